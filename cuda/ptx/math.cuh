// Pairs of 16-bit floats as tensor units take them, and functions of one instruction. Each stands
// beside what it means on the emulator.
#pragma once

#include <cmath>

#include "core/dtype.h"
#include "portable.cuh"
#include "ptx/convert.cuh"

namespace gs::cuda::ptx {

// Two floats as two 16-bit floats, to the nearest: `low` in the lower half of the word.
template <class T>
GS_DEVICE uint32_t pack_pair(float low, float high) {
  static_assert(std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>);
  if constexpr (std::is_same_v<T, Half>) {
    return halves_of(low, high);
  } else {
    return bfloat16s_of(low, high);
  }
}

// 2 to the power of x, to about 2 units in the last place; results below the normal numbers are 0.
GS_DEVICE float exp2(float x) {
  float y = 0;
#if defined(GRADSTONE_CUDA_EMU)
  y = std::exp2(x);
#elif defined(__CUDA_ARCH__)
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
#endif
  return y;
}

}  // namespace gs::cuda::ptx
