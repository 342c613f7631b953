// Layer and batch normalisation, forward and backward.
#include "kernels/params/norm.h"
#include "register.h"

namespace gs::bench {
namespace {

void add_layer_norm(int64_t rows, int64_t n) {
  add("layer_norm", times({rows, n}), [=](Bench& b) {
    const Tensor x = ramp({rows, n}), y = empty_like(x), w = ramp({n}), bias = ramp({n});
    const Tensor mean = ramp({rows}), rstd = ramp({rows});
    b.bytes(8 * x.numel(), [&] {
      b.kernels.layer_norm({x.raw(), w.raw(), bias.raw(), y.raw(), mean.raw(), rstd.raw(),
                            DType::Float32, rows, n, 1e-5});
    });
  });
  add("layer_norm_grad", times({rows, n}), [=](Bench& b) {
    const Tensor x = ramp({rows, n}), dy = ramp({rows, n}), dx = empty_like(x), w = ramp({n});
    const Tensor mean = ramp({rows}), rstd = ramp({rows}), dw = ramp({n}), db = ramp({n});
    b.bytes(12 * x.numel(), [&] {
      b.kernels.layer_norm_grad({dy.raw(), x.raw(), w.raw(), mean.raw(), rstd.raw(), dx.raw(),
                                 dw.raw(), db.raw(), DType::Float32, rows, n});
    });
  });
}

// The batch's moments need a pass of their own: x is read twice.
void add_batch_norm(int64_t n, int64_t c, int64_t inner) {
  add("batch_norm", times({n, c, inner}), [=](Bench& b) {
    const Tensor x = ramp({n, c, inner}), y = empty_like(x), w = ramp({c}), bias = ramp({c});
    const Tensor mean = ramp({c}), rstd = ramp({c}), old_mean = ramp({c}), old_var = ramp({c}, 1);
    b.bytes(8 * x.numel(), [&] {
      b.kernels.batch_norm({x.raw(), w.raw(), bias.raw(), y.raw(), mean.raw(), rstd.raw(),
                            old_mean.raw(), old_var.raw(), DType::Float32, n, c, inner, true, 0.1,
                            1e-5});
    });
  });
  add("batch_norm_grad", times({n, c, inner}), [=](Bench& b) {
    const Tensor x = ramp({n, c, inner}), dy = ramp(x.shape()), dx = empty_like(x), w = ramp({c});
    const Tensor mean = ramp({c}), rstd = ramp({c}), dw = ramp({c}), db = ramp({c});
    b.bytes(12 * x.numel(), [&] {
      b.kernels.batch_norm_grad({dy.raw(), x.raw(), w.raw(), mean.raw(), rstd.raw(), dx.raw(),
                                 dw.raw(), db.raw(), DType::Float32, n, c, inner, true});
    });
  });
}

const Register all([] {
  add_layer_norm(4096, 768);
  add_layer_norm(8192, 256);
  add_layer_norm(32, 64);
  add_batch_norm(16, 64, 3136);
  add_batch_norm(32, 512, 16);
  add_batch_norm(256, 128, 1);
});

}  // namespace
}  // namespace gs::bench
