// Losses of two tensors, element by element: the loss of each, or the total in one pass over both.
#include "pointwise_loss.cuh"

#include "kernels/kernels.h"
#include "kernels/params/pointwise_loss.h"
#include "runtime/faults.h"
#include "runtime/scratch.h"

namespace gs::cuda {
namespace {

constexpr int64_t kTotalBlocks = 1056;  // eight for each of 132 processors
constexpr int kJoinThreads = 256;

// Writes the losses to y, or, where y is null, the sum of the block's to partial.
template <class L, class T>
__global__ void __launch_bounds__(kLossThreads)
    loss_kernel(const LossOperands<T> in, T* y, double* partial, const FaultSite outside) {
  using C = compute_t<T>;
  constexpr int N = kPackOf<T>;
  double total = 0;
  bool bad = false;
  each_loss_pack<L>(in, [&](int64_t first, const C(&x)[N], const C(&t)[N], const C(&p)[N]) {
    C v[N];
    GS_UNROLL for (int i = 0; i < N; ++i) v[i] =
        L::template value<ScalarMath<C>>(x[i], t[i], p[i], in.a);
    if (std::is_same_v<L, losses::CrossEntropy> && outside.fault) {
      GS_UNROLL for (int i = 0; i < N; ++i) bad |= !(x[i] >= C(0) && x[i] <= C(1));
    }
    if (in.weight.data) {
      C weight[N];
      in.weight.load(first, weight);
      GS_UNROLL for (int i = 0; i < N; ++i) v[i] *= weight[i];
    }
    if (y) {
      store_part(y, first, in.n, narrow<T>(v));
    } else {
      C sum = 0;
      GS_UNROLL for (int i = 0; i < N; ++i) sum += first + i >= 0 && first + i < in.n ? v[i] : C(0);
      total += sum;
    }
  });
  if (bad) atomicCAS(&outside.fault->site, 0ull, outside.site);
  if (y) return;  // all threads alike
  total = block_reduce<kLossThreads>(total, Plus{}, 0.0);
  if (threadIdx.x == 0) partial[blockIdx.x] = total;
}

template <class T>
__global__ void __launch_bounds__(kJoinThreads)
    join_totals(const double* partial, int64_t count, double divisor, T* total) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += kJoinThreads) sum += partial[i];
  sum = block_reduce<kJoinThreads>(sum, Plus{}, 0.0);
  if (threadIdx.x == 0) *total = T(static_cast<compute_t<T>>(sum / divisor));
}

// Where an input that is no probability is noted; nobody waits for that.
FaultSite site_of(const PointwiseLoss& p) {
  if (!p.outside || p.in.n == 0) return {};
  return fault_site("binary_cross_entropy", nullptr, 0);
}

template <class L, class T>
void loss_of(const PointwiseLoss& p) {
  const cudaStream_t stream = current_stream();
  const LossOperands<T> in(p.in);
  const FaultSite outside = site_of(p);
  if (p.y) {
    if (p.in.n)
      launch({loss_grid<T>(p.in.n, 1 << 16), dim3(kLossThreads), 0, stream}, loss_kernel<L, T>, in,
             p.y, nullptr, outside);
  } else {
    const dim3 grid = loss_grid<T>(p.in.n, kTotalBlocks);
    const Scratch<double> partial(grid.x);
    launch({grid, dim3(kLossThreads), 0, stream}, loss_kernel<L, T>, in, nullptr, partial.data(),
           outside);
    launch({dim3(1), dim3(kJoinThreads), 0, stream}, join_totals<T>, partial.data(), grid.x,
           p.divisor, p.total);
  }
}

}  // namespace

void pointwise_loss(const PointwiseLoss& p) {
  visit_floating(p.in.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    switch (p.in.op) {
#define GS_CASE(name) \
  case LossOp::name:  \
    return loss_of<losses::name, T>(p);
      GS_LOSSES(GS_CASE)
#undef GS_CASE
    }
  });
}

}  // namespace gs::cuda
