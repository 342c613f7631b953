// Values as unsigned integers of the same order: NaN is largest, whatever its sign; -0 equals +0.
#pragma once

#include "core/dtype.h"
#include "vec.cuh"

namespace gs::cuda {

GS_DEVICE uint32_t ordered(float x) {
  if (x != x) return 0xffffffffu;
  uint32_t bits;
  x = x == 0 ? 0.0f : x;
  memcpy(&bits, &x, 4);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}
GS_DEVICE uint64_t ordered(double x) {
  if (x != x) return ~uint64_t(0);
  uint64_t bits;
  x = x == 0 ? 0.0 : x;
  memcpy(&bits, &x, 8);
  return bits >> 63 ? ~bits : bits | uint64_t(1) << 63;
}
GS_DEVICE uint64_t ordered(int64_t x) { return static_cast<uint64_t>(x) ^ uint64_t(1) << 63; }
GS_DEVICE uint32_t ordered(int32_t x) { return static_cast<uint32_t>(x) ^ 0x80000000u; }
// Narrow types leave the upper bits equal.
GS_DEVICE uint32_t ordered(int16_t x) { return static_cast<uint32_t>(x + 0x8000); }
GS_DEVICE uint32_t ordered(int8_t x) { return static_cast<uint32_t>(x + 0x80); }
GS_DEVICE uint32_t ordered(uint8_t x) { return x; }
// 16 bits; above `infinity` are the NaNs.
GS_DEVICE uint32_t ordered16(uint32_t bits, uint32_t infinity) {
  const uint32_t magnitude = bits & 0x7fffu;
  if (magnitude > infinity) return 0xffffu;
  if (magnitude == 0) return 0x8000u;
  return bits >> 15 ? ~bits & 0xffffu : bits | 0x8000u;
}
GS_DEVICE uint32_t ordered(Half x) { return ordered16(x.bits, 0x7c00u); }
GS_DEVICE uint32_t ordered(BFloat16 x) { return ordered16(x.bits, 0x7f80u); }

template <class T>
GS_DEVICE bool is_nan(T x) {
  if constexpr (std::is_integral_v<T>)
    return false;
  else
    return widen(x) != widen(x);
}

// The key of which the largest is the extreme; NaN is that of either end.
template <class T>
GS_DEVICE auto extreme_key(T x, bool largest) {
  const auto key = ordered(x);
  using Key = std::remove_const_t<decltype(key)>;
  if (is_nan(x)) return static_cast<Key>(~Key(0));
  return largest ? key : static_cast<Key>(~key);
}

// Bits of a key that differ among values.
inline int key_bits(DType t) { return static_cast<int>(8 * size_of(t)); }

// The key of element i of any dtype.
GS_DEVICE uint64_t ordered_element(const void* in, DType t, int64_t i) {
  switch (t) {
    case DType::Bool:
    case DType::UInt8:
      return ordered(static_cast<const uint8_t*>(in)[i]);
    case DType::Int8:
      return ordered(static_cast<const int8_t*>(in)[i]);
    case DType::Int16:
      return ordered(static_cast<const int16_t*>(in)[i]);
    case DType::Int32:
      return ordered(static_cast<const int32_t*>(in)[i]);
    case DType::Int64:
      return ordered(static_cast<const int64_t*>(in)[i]);
    case DType::Float16:
      return ordered(static_cast<const Half*>(in)[i]);
    case DType::BFloat16:
      return ordered(static_cast<const BFloat16*>(in)[i]);
    case DType::Float32:
      return ordered(static_cast<const float*>(in)[i]);
    default:
      return ordered(static_cast<const double*>(in)[i]);
  }
}

}  // namespace gs::cuda
