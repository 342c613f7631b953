// 16-bit floats to float and back, a contiguous span at a time.
#pragma once

#include <cstdint>

#include "cpu/vec.h"

#ifdef __F16C__
#include <immintrin.h>
#endif

namespace gs::cpu {
namespace {

// Branch-free, so that it vectorises without F16C: the exponent is rebiased by a multiplication,
// which also makes subnormals right.
GS_INLINE float decode_half(uint16_t h) {
  const uint32_t shifted = static_cast<uint32_t>(h & 0x7fffu) << 13;
  float value;
  __builtin_memcpy(&value, &shifted, 4);
  value *= 0x1p112f;
  uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  bits = shifted >= 0x0f800000u ? shifted | 0x7f800000u : bits;
  bits |= static_cast<uint32_t>(h & 0x8000u) << 16;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

inline void to_float(float* y, const Half* x, int64_t n) {
  int64_t i = 0;
#ifdef __F16C__
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(y + i,
                     _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i))));
#endif
  for (; i < n; ++i) y[i] = decode_half(x[i].bits);
}
inline void to_float(float* y, const BFloat16* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t bits = static_cast<uint32_t>(x[i].bits) << 16;
    __builtin_memcpy(y + i, &bits, 4);
  }
}
inline void from_float(Half* y, const float* x, int64_t n) {
  int64_t i = 0;
#ifdef __F16C__
  for (; i + 8 <= n; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(y + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
#endif
  for (; i < n; ++i) y[i] = Half(x[i]);
}
inline void from_float(BFloat16* y, const float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    uint32_t f;
    __builtin_memcpy(&f, x + i, 4);
    const uint32_t rounded = (f + 0x7fffu + ((f >> 16) & 1u)) >> 16, nan = (f >> 16) | 0x40u;
    y[i].bits = static_cast<uint16_t>((f & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
  }
}

}  // namespace
}  // namespace gs::cpu
