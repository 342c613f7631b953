// Attention: FLOP/s of the products that the mask leaves (half of them when causal).
#include "kernels/params/attention.h"
#include "register.h"

namespace gs::bench {
namespace {

struct Size {
  int64_t batch, heads, t, u, d;
  bool causal;
};

void add_attention(Size z, bool grad) {
  const std::string shape = times({z.batch, z.heads, z.t, z.u, z.d}) + (z.causal ? "/causal" : "");
  add(grad ? "attention_grad" : "attention", shape, [=](Bench& b) {
    const Tensor q = ramp({z.batch, z.heads, z.t, z.d}, -1), dout = ramp(q.shape(), -1);
    const Tensor k = ramp({z.batch, z.heads, z.u, z.d}, -1), value = ramp(k.shape(), -1);
    const Tensor out = empty_like(q), dq = empty_like(q), dk = empty_like(k), dv = empty_like(k);
    const Tensor lse = empty({z.batch, z.heads, z.t}, DType::Float32);
    const Attention forward{DType::Float32, z.batch,   z.heads,     z.t,     z.u, z.d, z.d,
                            q.raw(),        k.raw(),   value.raw(), nullptr, 0,   0,   z.causal,
                            0.125,          out.raw(), lse.raw()};
    const AttentionGrad backward{
        DType::Float32, z.batch,   z.heads,     z.t,        z.u,      z.d,      z.d,
        q.raw(),        k.raw(),   value.raw(), nullptr,    0,        0,        z.causal,
        0.125,          out.raw(), lse.raw(),   dout.raw(), dq.raw(), dk.raw(), dv.raw()};
    b.kernels.attention(forward);
    const double product = 2.0 * (z.causal ? 0.5 : 1) * z.batch * z.heads * z.t * z.u * z.d;
    b.flops((grad ? 5 : 2) * product,
            [&] { grad ? b.kernels.attention_grad(backward) : b.kernels.attention(forward); });
  });
}

const Register all([] {
  for (const Size& z : {Size{8, 12, 512, 512, 64, true}, Size{8, 12, 512, 512, 64, false},
                        Size{16, 8, 128, 128, 32, true}, Size{1, 2, 1024, 1024, 64, true},
                        Size{8, 12, 1, 512, 64, false}})
    for (const bool grad : {false, true}) add_attention(z, grad);
});

}  // namespace
}  // namespace gs::bench
