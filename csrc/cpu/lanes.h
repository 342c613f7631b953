// What float and double vectors share: functions lane by lane, signs and rounding.
#pragma once

#include <cmath>

#include "cpu/vec.h"

namespace gs::cpu {
namespace {

template <class T>
struct LaneBits;
template <>
struct LaneBits<float> {
  using type = int32_t;
  static constexpr type sign = INT32_MIN;
};
template <>
struct LaneBits<double> {
  using type = int64_t;
  static constexpr type sign = INT64_MIN;
};
template <class T>
using VecInt = Vec<typename LaneBits<T>::type>;

template <class T, class F>
GS_INLINE Vec<T> each_lane(Vec<T> x, F f) {
  Vec<T> y = x;
  for (int i = 0; i < kLanes<T>; ++i) y[i] = f(x[i]);
  return y;
}
template <class T, class F>
GS_INLINE Vec<T> each_lane(Vec<T> x, Vec<T> y, F f) {
  Vec<T> z = x;
  for (int i = 0; i < kLanes<T>; ++i) z[i] = f(x[i], y[i]);
  return z;
}
// True when any lane of a comparison's result is.
template <class Mask>
GS_INLINE bool any_lane(Mask m) {
  constexpr int n = sizeof(Mask) / sizeof(m[0]);
  auto all = m[0];
  for (int i = 1; i < n; ++i) all |= m[i];
  return all != 0;
}

template <class T>
GS_INLINE Vec<T> vabs(Vec<T> x) {
  return (Vec<T>)((VecInt<T>)x & ~LaneBits<T>::sign);
}
template <class T>
GS_INLINE Vec<T> vcopysign(Vec<T> x, Vec<T> y) {
  return (Vec<T>)(((VecInt<T>)x & ~LaneBits<T>::sign) | ((VecInt<T>)y & LaneBits<T>::sign));
}
template <class T>
GS_INLINE Vec<T> vsqrt(Vec<T> x) {
  return each_lane<T>(x, [](T v) { return std::sqrt(v); });
}

#if GS_ISA_LEVEL > 0
template <class T>
GS_INLINE Vec<T> vround(Vec<T> x) {
  return each_lane<T>(x, [](T v) { return std::nearbyint(v); });
}
template <class T>
GS_INLINE Vec<T> vfloor(Vec<T> x) {
  return each_lane<T>(x, [](T v) { return std::floor(v); });
}
template <class T>
GS_INLINE Vec<T> vceil(Vec<T> x) {
  return each_lane<T>(x, [](T v) { return std::ceil(v); });
}
template <class T>
GS_INLINE Vec<T> vtrunc(Vec<T> x) {
  return each_lane<T>(x, [](T v) { return std::trunc(v); });
}
#else
// SSE2 has no rounding instruction: adding 2^23 (2^52) makes the adder round to a whole number.
template <class T>
GS_INLINE Vec<T> vround(Vec<T> x) {
  constexpr T magic = sizeof(T) == 4 ? T(0x1p23) : T(0x1p52);
  const Vec<T> size = vabs<T>(x), whole = (size + magic) - magic;
  return size < magic ? vcopysign<T>(whole, x) : x;
}
template <class T>
GS_INLINE Vec<T> vfloor(Vec<T> x) {
  const Vec<T> whole = vround<T>(x);
  return vcopysign<T>(whole > x ? whole - T(1) : whole, x);
}
template <class T>
GS_INLINE Vec<T> vceil(Vec<T> x) {
  return -vfloor<T>(-x);
}
template <class T>
GS_INLINE Vec<T> vtrunc(Vec<T> x) {
  return vcopysign<T>(vfloor<T>(vabs<T>(x)), x);
}
#endif

}  // namespace
}  // namespace gs::cpu
