// Conversions between float and the two 16-bit floats. Each instruction stands beside what it means
// on the host; bfloat16 to float is a shift and needs none.
#pragma once

#include <cstdint>
#include <cstring>  // memcpy

#include "core/macros.h"

#if defined(__CUDACC__)
#define GS_PTX_DEVICE __device__ __forceinline__
#else
#define GS_PTX_DEVICE inline
#endif

namespace gs::cuda::ptx {

// What NaN becomes in 16 bits, whatever its sign and payload were.
inline constexpr uint32_t kNarrowNaN = 0x7fffu;

namespace host {

GS_HOST_DEVICE uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return bits;
}
GS_HOST_DEVICE float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

// Rounds to nearest, ties to even; large numbers become infinite, small ones subnormal.
GS_HOST_DEVICE uint32_t half_of(float x) {
  const uint32_t sign = bits_of(x) >> 16 & 0x8000u, size = bits_of(x) & 0x7fffffffu;
  if (size > 0x7f800000u) return kNarrowNaN;
  if (size >= 0x47800000u) return sign | 0x7c00u;  // 65536 and more
  // Cut so many bits off that what is left counts units of the half: 2^-24 where it is subnormal.
  const uint32_t exponent = size >> 23;
  const bool subnormal = exponent < 113;
  if (exponent < 102) return sign;  // below half of the smallest
  const uint32_t mantissa = subnormal ? (size & 0x7fffffu) | 0x800000u : size - (112u << 23);
  const uint32_t cut = subnormal ? 126 - exponent : 13;
  const uint32_t kept = mantissa >> cut, rest = mantissa & ((1u << cut) - 1), tie = 1u << (cut - 1);
  return sign | (kept + (rest > tie || (rest == tie && (kept & 1))));
}

GS_HOST_DEVICE uint32_t bfloat16_of(float x) {
  const uint32_t bits = bits_of(x), kept = bits >> 16, rest = bits & 0xffffu;
  if ((bits & 0x7fffffffu) > 0x7f800000u) return kNarrowNaN;
  return kept + (rest > 0x8000u || (rest == 0x8000u && (kept & 1)));
}

GS_HOST_DEVICE float float_of_half(uint32_t half) {
  const uint32_t sign = (half & 0x8000u) << 16, size = half & 0x7fffu;
  if (size > 0x7c00u) return float_of(0x7fffffffu);
  if (size == 0x7c00u) return float_of(sign | 0x7f800000u);
  if (size >= 0x400u) return float_of(sign | ((size << 13) + (112u << 23)));
  const float value = static_cast<float>(size) * 5.9604644775390625e-08f;  // 2^-24
  return float_of(sign | bits_of(value));
}

}  // namespace host

// cvt.f32.f16
GS_PTX_DEVICE float float_of_half(uint16_t half) {
#if defined(__CUDA_ARCH__)
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(half));
  return x;
#else
  return host::float_of_half(half);
#endif
}

// cvt.rn.f16.f32
GS_PTX_DEVICE uint16_t half_of(float x) {
#if defined(__CUDA_ARCH__)
  uint16_t half;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(x));
  return half;
#else
  return static_cast<uint16_t>(host::half_of(x));
#endif
}

// cvt.rn.bf16.f32
GS_PTX_DEVICE uint16_t bfloat16_of(float x) {
#if defined(__CUDA_ARCH__)
  uint16_t narrow;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(narrow) : "f"(x));
  return narrow;
#else
  return static_cast<uint16_t>(host::bfloat16_of(x));
#endif
}

// Two at once: `low` comes first in memory. The instruction names the high half first.
GS_PTX_DEVICE uint32_t halves_of(float low, float high) {
#if defined(__CUDA_ARCH__)
  uint32_t both;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  return both;
#else
  return host::half_of(low) | host::half_of(high) << 16;
#endif
}
GS_PTX_DEVICE uint32_t bfloat16s_of(float low, float high) {
#if defined(__CUDA_ARCH__)
  uint32_t both;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  return both;
#else
  return host::bfloat16_of(low) | host::bfloat16_of(high) << 16;
#endif
}

}  // namespace gs::cuda::ptx

#undef GS_PTX_DEVICE
