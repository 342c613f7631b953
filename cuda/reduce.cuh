// Reductions over a warp and over a block. Every thread gets the result; the order of the steps is
// fixed, so the bits are the same every time.
#pragma once

#include "portable.cuh"

namespace gs::cuda {

inline constexpr unsigned kFullWarp = 0xffffffffu;

struct Plus {
  template <class T>
  GS_DEVICE T operator()(T a, T b) const {
    return a + b;
  }
};
struct Larger {  // NaN wins
  template <class T>
  GS_DEVICE T operator()(T a, T b) const {
    return a > b || a != a ? a : b;
  }
};

template <class T, class Op>
GS_DEVICE T warp_reduce(T value, Op op) {
  GS_UNROLL for (int lanes = 16; lanes > 0; lanes /= 2) value =
      op(value, __shfl_xor_sync(kFullWarp, value, lanes));
  return value;
}

// For blocks of Threads threads in one dimension, a multiple of 32. May be called again at once:
// the last barrier keeps the next call's writes behind this call's reads.
template <int Threads, class T, class Op>
GS_DEVICE T block_reduce(T value, Op op, T identity) {
  static_assert(Threads % 32 == 0 && Threads <= 1024);
  value = warp_reduce(value, op);
  if constexpr (Threads > 32) {
    GS_SHARED(of_warp, T[Threads / 32]);
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    if (lane == 0) of_warp[warp] = value;
    __syncthreads();
    value = warp_reduce(lane < Threads / 32 ? of_warp[lane] : identity, op);
    __syncthreads();
  }
  return value;
}

}  // namespace gs::cuda
