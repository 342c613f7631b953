// What the losses of two tensors and their gradients share: operands read 16 bytes at a time.
#pragma once

#include "kernels/loss_functors.h"
#include "kernels/params/pointwise_loss.h"
#include "rows.cuh"

namespace gs::cuda {

inline constexpr int kLossThreads = 256;

// A Repeated as kernels read it.
template <class T>
struct RepeatedData {
  const T* data = nullptr;  // null: all are 1
  int64_t period = 1, n = 0;

  RepeatedData(const Repeated& r, int64_t elements)
      : data(static_cast<const T*>(r.data)), period(r.period), n(elements) {}

  // Elements [first, first + N); first may be below 0, where the values are never used.
  template <int N>
  GS_DEVICE void load(int64_t first, compute_t<T> (&v)[N]) const {
    using C = compute_t<T>;
    if (!data || period == 1) {
      const C value = data ? widen(*data) : C(1);
      GS_UNROLL for (int i = 0; i < N; ++i) v[i] = value;
      return;
    }
    if (period == n) {
      const Pack<T, N> pack = load_part(data, first, n, T(1.0f));
      GS_UNROLL for (int i = 0; i < N; ++i) v[i] = widen(pack.v[i]);
      return;
    }
    int64_t at =
        first < 0 ? first
        : first < (int64_t(1) << 31) && period < (int64_t(1) << 31)
            ? static_cast<int64_t>(static_cast<uint32_t>(first) % static_cast<uint32_t>(period))
            : first % period;
    GS_UNROLL for (int i = 0; i < N; ++i) {
      v[i] = at < 0 ? C(1) : widen(data[at]);
      if (++at == period) at = 0;
    }
  }
};

// LossInputs on the device.
template <class T>
struct LossOperands {
  const T* x;
  const T* target;
  RepeatedData<T> weight, positive;
  int64_t n;
  compute_t<T> a;

  explicit LossOperands(const LossInputs& in)
      : x(static_cast<const T*>(in.x)),
        target(static_cast<const T*>(in.target)),
        weight(in.weight, in.n),
        positive(in.positive, in.n),
        n(in.n),
        a(static_cast<compute_t<T>>(in.a)) {}
};

// f(first, x, t, p) for the packs of the calling thread.
template <class L, class T, class F>
GS_DEVICE void each_loss_pack(const LossOperands<T>& in, F f) {
  using C = compute_t<T>;
  constexpr int N = kPackOf<T>;
  const int64_t threads = int64_t(gridDim.x) * kLossThreads;
  const int64_t thread = int64_t(blockIdx.x) * kLossThreads + threadIdx.x;
  for (int64_t first = thread * N - shift_of(in.x); first < in.n; first += threads * N) {
    const Pack<T, N> xs = load_part(in.x, first, in.n, T(0.0f)),
                     ts = load_part(in.target, first, in.n, T(0.0f));
    C x[N], t[N], p[N];
    GS_UNROLL for (int i = 0; i < N; ++i) x[i] = widen(xs.v[i]), t[i] = widen(ts.v[i]), p[i] = C(1);
    if constexpr (std::is_same_v<L, losses::LogitsCrossEntropy>) in.positive.load(first, p);
    f(first, x, t, p);
  }
}

// Blocks for n elements; beyond `most` of them threads go round again.
template <class T>
dim3 loss_grid(int64_t n, int64_t most) {
  const int64_t blocks = ceil_div(n + kPackOf<T>, int64_t(kLossThreads) * kPackOf<T>);
  return dim3(static_cast<unsigned>(blocks < most ? blocks : most));
}

}  // namespace gs::cuda
