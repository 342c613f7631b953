// Softmax, its logarithm and cross entropy, forward and backward.
#include "kernels/params/cross_entropy.h"
#include "kernels/params/softmax.h"
#include "register.h"

namespace gs::bench {
namespace {

struct Size {  // over n
  int64_t outer, n, inner;
};

void add_softmax(Size z, bool log) {
  const std::string name = log ? "log_softmax" : "softmax", shape = times({z.outer, z.n, z.inner});
  add(name, shape, [=](Bench& b) {
    const Tensor x = ramp({z.outer, z.n, z.inner}), y = empty_like(x);
    b.bytes(8 * x.numel(), [&] {
      b.kernels.softmax({log, x.raw(), y.raw(), DType::Float32, z.outer, z.n, z.inner});
    });
  });
  add(name + "_grad", shape, [=](Bench& b) {
    const Tensor dy = ramp({z.outer, z.n, z.inner}), y = ramp(dy.shape()), dx = empty_like(dy);
    b.bytes(12 * dy.numel(), [&] {
      b.kernels.softmax_grad(
          {log, dy.raw(), y.raw(), dx.raw(), DType::Float32, z.outer, z.n, z.inner});
    });
  });
}

void add_cross_entropy(Size z) {
  const std::string shape = times({z.outer, z.n, z.inner});
  add("cross_entropy", shape, [=](Bench& b) {
    const Tensor x = ramp({z.outer, z.n, z.inner}), target = indices({z.outer, z.inner}, z.n);
    const Tensor loss = empty(target.shape(), DType::Float32), lse = empty_like(loss);
    b.bytes(4 * x.numel(), [&] {
      b.kernels.cross_entropy({x.raw(), target.data<int64_t>(), nullptr, loss.raw(), lse.raw(),
                               DType::Float32, z.outer, z.n, z.inner, -100, 0});
    });
  });
  add("cross_entropy_grad", shape, [=](Bench& b) {
    const Tensor x = ramp({z.outer, z.n, z.inner}), target = indices({z.outer, z.inner}, z.n);
    const Tensor lse = ramp(target.shape()), dx = empty_like(x);
    const float dloss = 1;
    b.bytes(8 * x.numel(), [&] {
      b.kernels.cross_entropy_grad({x.raw(), target.data<int64_t>(), nullptr, lse.raw(), &dloss, 0,
                                    dx.raw(), DType::Float32, z.outer, z.n, z.inner, -100, 0});
    });
  });
}

const Register all([] {
  for (const Size z : {Size{4096, 1000, 1}, Size{32, 10, 1}, Size{16, 21, 4096}}) {
    add_softmax(z, false);
    add_softmax(z, true);
    add_cross_entropy(z);
  }
});

}  // namespace
}  // namespace gs::bench
