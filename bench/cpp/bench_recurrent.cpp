// One layer through time, with as many inputs as hidden units: FLOP/s of the forward's products and
// of those in the gradient's kernel, which leaves out the input's.
#include "kernels/params/recurrent.h"
#include "register.h"

namespace gs::bench {
namespace {

struct Size {
  CellKind kind;
  const char* name;
  int64_t steps, batch, hidden;
};

Tensor small(const Shape& shape) {  // -0.05 to 0.05, so that the cells do not saturate
  const Tensor t = ramp(shape);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] *= 0.025f;
  return t;
}

void add_recurrent(Size z, bool grad) {
  const std::string name = std::string(z.name) + (grad ? "_grad" : "");
  add(name, times({z.steps, z.batch, z.hidden}), [=](Bench& b) {
    const bool gru = z.kind == CellKind::Gru;
    const int64_t gates = z.kind == CellKind::Lstm ? 4 : gru ? 3 : 1;
    const int64_t rows = z.steps * z.batch, g = gates * z.hidden, h = z.hidden;
    const Tensor x = small({rows, h}), w = small({g, h}), bias = small({g});
    const Tensor h0 = small({z.batch, h}), h_n = small({z.batch, h}), c_n = small({z.batch, h});
    const Tensor out = small({rows, h}), saved = small({rows, 4 * h}), cells = small({rows, h});
    const Tensor dgates = small({rows, g}), dgates_hh = small({rows, g});
    const Tensor dw = small({g, h}), db = small({g});
    Recurrent forward{};
    forward.kind = z.kind, forward.dtype = DType::Float32;
    forward.steps = z.steps, forward.batch = z.batch;
    forward.inputs = h, forward.hidden = h;
    forward.x = x.raw(), forward.w_ih = w.raw(), forward.b_ih = bias.raw();
    forward.w_hh = w.raw(), forward.b_hh = bias.raw();
    forward.h0 = h0.raw(), forward.c0 = h0.raw();
    forward.out = out.raw(), forward.out_stride = h;
    forward.saved = saved.raw(), forward.cells = cells.raw();
    forward.h_n = h_n.raw(), forward.c_n = c_n.raw();
    const RecurrentGrad backward{z.kind,
                                 DType::Float32,
                                 false,
                                 z.steps,
                                 z.batch,
                                 h,
                                 w.raw(),
                                 h0.raw(),
                                 h0.raw(),
                                 out.raw(),
                                 h,
                                 saved.raw(),
                                 cells.raw(),
                                 out.raw(),
                                 h,
                                 nullptr,
                                 nullptr,
                                 dgates.raw(),
                                 gru ? dgates_hh.raw() : nullptr,
                                 dw.raw(),
                                 db.raw(),
                                 h_n.raw(),
                                 c_n.raw()};
    b.kernels.recurrent(forward);
    b.flops(4.0 * rows * g * h,
            [&] { grad ? b.kernels.recurrent_grad(backward) : b.kernels.recurrent(forward); });
  });
}

const Register all([] {
  for (const Size& z :
       {Size{CellKind::Lstm, "lstm", 100, 32, 256}, Size{CellKind::Lstm, "lstm", 100, 1, 256},
        Size{CellKind::Lstm, "lstm", 50, 32, 128}, Size{CellKind::Gru, "gru", 100, 32, 256},
        Size{CellKind::RnnTanh, "rnn", 100, 32, 256}, Size{CellKind::Lstm, "lstm", 1, 32, 256}})
    for (const bool grad : {false, true}) add_recurrent(z, grad);
});

}  // namespace
}  // namespace gs::bench
