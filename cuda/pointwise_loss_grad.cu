// Gradients of the losses of two tensors: of the input, of the target, or of both in one pass.
#include "kernels/kernels.h"
#include "kernels/params/pointwise_loss.h"
#include "pointwise_loss.cuh"

namespace gs::cuda {
namespace {

template <class T>
struct LossGradients {
  T* dx;       // may be null
  T* dtarget;  // may be null
};

template <class L, class T>
__global__ void __launch_bounds__(kLossThreads, 4)
    loss_grad_kernel(const LossOperands<T> in, const RepeatedData<T> cotangent, compute_t<T> scale,
                     const LossGradients<T> out) {
  using C = compute_t<T>;
  using M = ScalarMath<C>;
  constexpr int N = kPackOf<T>;
  each_loss_pack<L>(in, [&](int64_t first, const C(&x)[N], const C(&t)[N], const C(&p)[N]) {
    C g[N];
    cotangent.load(first, g);
    GS_UNROLL for (int i = 0; i < N; ++i) g[i] *= scale;
    if (in.weight.data) {
      C weight[N];
      in.weight.load(first, weight);
      GS_UNROLL for (int i = 0; i < N; ++i) g[i] *= weight[i];
    }
    Pack<T, N> y;
    if (out.dx) {
      GS_UNROLL for (int i = 0; i < N; ++i) y.v[i] =
          T(g[i] * L::template by_input<M>(x[i], t[i], p[i], in.a));
      store_part(out.dx, first, in.n, y);
    }
    if (out.dtarget) {
      GS_UNROLL for (int i = 0; i < N; ++i) y.v[i] =
          T(g[i] * L::template by_target<M>(x[i], t[i], p[i], in.a));
      store_part(out.dtarget, first, in.n, y);
    }
  });
}

template <class L, class T>
void gradient_of(const PointwiseLossGrad& p) {
  const LossGradients<T> out{static_cast<T*>(p.dx), static_cast<T*>(p.dtarget)};
  launch({loss_grid<T>(p.in.n, 1 << 16), dim3(kLossThreads), 0, current_stream()},
         loss_grad_kernel<L, T>, LossOperands<T>(p.in), RepeatedData<T>(p.g, p.in.n), p.scale, out);
}

}  // namespace

void pointwise_loss_grad(const PointwiseLossGrad& p) {
  if (p.in.n == 0) return;
  visit_floating(p.in.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    switch (p.in.op) {
#define GS_CASE(name) \
  case LossOp::name:  \
    return gradient_of<losses::name, T>(p);
      GS_LOSSES(GS_CASE)
#undef GS_CASE
    }
  });
}

}  // namespace gs::cuda
