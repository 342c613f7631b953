// Exponentials and logarithms of whole vectors of double, built like those of float (cpu/vmath.h,
// which includes this): Taylor and atanh series, whose coefficients are fractions, so no fit is
// needed. IEEE results at infinities, NaN, zeros and subnormals.
#pragma once

#include <limits>

#include "cpu/lanes.h"

#if GS_ISA_LEVEL == 2
#include <immintrin.h>
#endif

namespace gs::cpu {
namespace {

using VecD = Vec<double>;
using VecL = Vec<int64_t>;
using VecUL = Vec<uint64_t>;  // bit patterns are added unsigned, where wrapping is defined

// Adding it leaves a whole number in the low bits of the pattern.
inline constexpr double kWholeBits = 0x1.8p52;

// 2^n for a whole n in [-1022, 1023].
GS_INLINE VecD power_of_two(VecD n) { return (VecD)(((VecUL)(n + kWholeBits) + 1023u) << 52); }

// x = whole ln2 + r, |r| <= ln2 / 2; tail is exp(r) - 1 - r, by the series up to r^13 / 13!.
struct DoubleExpReduced {
  VecD r, whole, tail;
};
GS_INLINE DoubleExpReduced reduce_exp(VecD x) {
  const VecD whole = (x * 0x1.71547652b82fep+0 + kWholeBits) - kWholeBits;
  const VecD r = (x - whole * 0x1.62e42feep-1) - whole * 0x1.a39ef35793c76p-33;
  VecD p = r * (1.0 / 6227020800.0) + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  return {r, whole, p * (r * r)};
}

GS_INLINE VecD vexp(VecD x) {
  x = x > 710.0 ? splat(710.0) : x;  // written so that NaN passes
  x = x < -746.0 ? splat(-746.0) : x;
  const auto [r, whole, tail] = reduce_exp(x);
  const VecD y = (tail + r) + 1.0;
#if GS_ISA_LEVEL == 2
  return (VecD)_mm512_maskz_scalef_pd(0xff, (__m512d)y, (__m512d)whole);
#else
  const VecD half = (0.5 * whole + kWholeBits) - kWholeBits;
  return y * power_of_two(half) * power_of_two(whole - half);
#endif
}

GS_INLINE VecD vexpm1(VecD x) {
  VecD c = x > 710.0 ? splat(710.0) : x;
  c = c < -40.0 ? splat(-40.0) : c;
  const auto [r, whole, tail] = reduce_exp(c);
  const VecD q = tail + r, scale = power_of_two(whole - 1.0);
  const VecD y = (q * scale + (scale - 0.5)) * 2.0;
  const VecD small = vabs<double>(x) < 0.3 ? q : y;
  return x == 0.0 ? x : small;
}

GS_INLINE VecD vtanh(VecD x) {
  VecD size = vabs<double>(x);
  size = size > 20.0 ? splat(20.0) : size;
  const VecD t = vexpm1(size * 2.0);
  return vcopysign<double>(t / (t + 2.0), x);
}

GS_INLINE VecD vsigmoid(VecD x) {
  const VecD z = vexp(-vabs<double>(x));
  return (x < 0.0 ? z : splat(1.0)) / (1.0 + z);
}

// x = 2^e (1 + f), 1 + f in [sqrt(1/2), sqrt(2)): log(1 + f) = f + tail. x is positive and finite.
// log(1 + f) = 2 atanh(s) for s = f / (2 + f), which is f - s (f - 2 (z / 3 + z^2 / 5 + ...)) for
// z = s^2.
struct DoubleLogReduced {
  VecD e, f, tail;
};
GS_INLINE DoubleLogReduced reduce_log(VecD x) {
  constexpr uint64_t one = 0x3ff0000000000000u, root = 0x3fe6a09e667f3bcdu;
  const auto tiny = x < 0x1p-1022;
  const VecUL i = (VecUL)(tiny ? x * 0x1p54 : x) + (one - root);
  // The biased exponent as the low bits of 2^52, to be taken off again.
  const VecD e = (VecD)((i >> 52) | 0x4330000000000000u) -
                 (tiny ? splat(0x1p52 + 1023 + 54) : splat(0x1p52 + 1023));
  const VecD f = (VecD)((i & 0x000fffffffffffffu) + root) - 1.0;
  const VecD s = f / (2.0 + f), z = s * s;
  VecD p = z * (2.0 / 21) + 2.0 / 19;
  p = p * z + 2.0 / 17;
  p = p * z + 2.0 / 15;
  p = p * z + 2.0 / 13;
  p = p * z + 2.0 / 11;
  p = p * z + 2.0 / 9;
  p = p * z + 2.0 / 7;
  p = p * z + 2.0 / 5;
  p = p * z + 2.0 / 3;
  return {e, f, s * (p * z - f)};
}

GS_INLINE VecD log_specials(VecD x, VecD y) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const VecD low = x == 0.0 ? splat(-infinity) : splat(std::numeric_limits<double>::quiet_NaN());
  return x > 0.0 ? (x < infinity ? y : x) : low;
}

GS_INLINE VecD vlog(VecD x) {
  const auto [e, f, tail] = reduce_log(x);
  return log_specials(x, e * 0x1.62e42feep-1 + (f + (e * 0x1.a39ef35793c76p-33 + tail)));
}

// log(1 + x) = log(u) + (what u lost by rounding) / u.
GS_INLINE VecD vlog1p(VecD x) {
  const VecD u = 1.0 + x, back = u - 1.0;
  const VecD lost = (1.0 - (u - back)) + (x - back);
  const auto [e, f, tail] = reduce_log(u);
  const VecD y = e * 0x1.62e42feep-1 + (f + (e * 0x1.a39ef35793c76p-33 + (tail + lost / u)));
  return u == 1.0 ? x : log_specials(u, y);
}

}  // namespace
}  // namespace gs::cpu
