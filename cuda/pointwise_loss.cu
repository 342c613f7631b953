// Losses of two tensors, element by element: the loss of each, or the total in one pass over both.
#include "pointwise_loss.cuh"

#include "kernels/kernels.h"
#include "runtime/scratch.h"

namespace gs::cuda {
namespace {

constexpr int64_t kTotalBlocks = 1056;  // eight for each of 132 processors
constexpr int kJoinThreads = 256;

// Writes the losses to y, or, where y is null, the sum of the block's to partial.
template <class L, class T>
__global__ void __launch_bounds__(kLossThreads)
    loss_kernel(const LossOperands<T> in, T* y, double* partial, int* outside) {
  using C = compute_t<T>;
  constexpr int N = kPackOf<T>;
  double total = 0;
  bool bad = false;
  each_loss_pack<L>(in, [&](int64_t first, const C(&x)[N], const C(&t)[N], const C(&p)[N]) {
    C v[N];
    GS_UNROLL for (int i = 0; i < N; ++i) v[i] =
        L::template value<ScalarMath<C>>(x[i], t[i], p[i], in.a);
    if (std::is_same_v<L, losses::CrossEntropy> && outside) {
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
  if (bad) atomicOr(outside, 1);
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

// True where the host waits for the answer whether inputs are within [0, 1]; in a captured graph it
// cannot, and does not ask.
class Outside {
 public:
  explicit Outside(bool* answer) : answer_(answer), flag_(1) {
    if (answer_)
      check(cudaMemsetAsync(flag_.data(), 0, sizeof(int), current_stream()), "pointwise_loss");
  }
  int* flag() const { return answer_ ? flag_.data() : nullptr; }
  void fetch() const {
    if (!answer_) return;
    int found = 0;
    check(cudaMemcpyAsync(&found, flag_.data(), sizeof found, cudaMemcpyDeviceToHost,
                          current_stream()),
          "pointwise_loss");
    synchronize(current_stream());
    if (found) *answer_ = true;
  }

 private:
  bool* answer_;
  Scratch<int> flag_;
};

template <class L, class T>
void loss_of(const PointwiseLoss& p) {
  const cudaStream_t stream = current_stream();
  const LossOperands<T> in(p.in);
  const Outside outside(p.in.n && capture() == Capture::Off ? p.outside : nullptr);
  if (p.y) {
    if (p.in.n)
      launch({loss_grid<T>(p.in.n, 1 << 16), dim3(kLossThreads), 0, stream}, loss_kernel<L, T>, in,
             p.y, nullptr, outside.flag());
  } else {
    const dim3 grid = loss_grid<T>(p.in.n, kTotalBlocks);
    const Scratch<double> partial(grid.x);
    launch({grid, dim3(kLossThreads), 0, stream}, loss_kernel<L, T>, in, nullptr, partial.data(),
           outside.flag());
    launch({dim3(1), dim3(kJoinThreads), 0, stream}, join_totals<T>, partial.data(), grid.x,
           p.divisor, p.total);
  }
  outside.fetch();
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
