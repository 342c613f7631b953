// Running totals over the threads of a block.
#pragma once

#include "reduce.cuh"

namespace gs::cuda {

template <class T, class Op>
GS_DEVICE T warp_running(T value, Op op) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  GS_UNROLL for (int apart = 1; apart < 32; apart *= 2) {
    const T before = __shfl_up_sync(kFullWarp, value, static_cast<unsigned>(apart));
    if (lane >= apart) value = op(before, value);
  }
  return value;
}

// What the threads before this one bring, joined, and in *total what all of them bring. The block
// has Threads threads, or is one of several warps when Threads is 32. May be called again at once.
template <int Threads, class T, class Op>
GS_DEVICE T exclusive_scan(T value, Op op, T identity, T* total) {
  static_assert(Threads % 32 == 0 && Threads <= 1024);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const T running = warp_running(value, op);
  T before = __shfl_up_sync(kFullWarp, running, 1);
  if (lane == 0) before = identity;
  if constexpr (Threads == 32) {
    *total = __shfl_sync(kFullWarp, running, 31);
    return before;
  } else {
    GS_SHARED(of_warp, T[Threads / 32]);
    if (lane == 31) of_warp[warp] = running;
    __syncthreads();
    const T mine = lane < Threads / 32 ? of_warp[lane] : identity;
    const T warps = warp_running(mine, op);
    *total = __shfl_sync(kFullWarp, warps, 31);
    const T warps_before = __shfl_sync(kFullWarp, warps, warp > 0 ? warp - 1 : 0);
    __syncthreads();
    return warp > 0 ? op(warps_before, before) : before;
  }
}

}  // namespace gs::cuda
