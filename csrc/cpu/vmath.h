// Elementary functions on whole vectors. float: own range reductions and polynomials, fitted for
// this file, good to a few units in the last place, with IEEE results at infinities, NaN, zeros and
// subnormals (docs/ACCURACY.md has the measured errors). double: the exponentials and logarithms of
// vmath_double.h. The rest of double, and the rarer float functions: libm lane by lane.
#pragma once

#include <limits>

#include "cpu/lanes.h"
#include "cpu/vmath_double.h"
#include "kernels/functors.h"

#if GS_ISA_LEVEL == 2
#include <immintrin.h>
#endif

namespace gs::cpu {
namespace {

// ---------------------------------------------------------------- float: exp and its family

using VecF = Vec<float>;
using VecI = Vec<int32_t>;
using VecU = Vec<uint32_t>;  // bit patterns are subtracted unsigned, where wrapping is defined

// 2^n, n in [-126, 127].
GS_INLINE VecF power_of_two(VecI n) { return (VecF)((n + 127) << 23); }

// x = n ln2 + r, |r| <= ln2 / 2. |x| < 2^21.
struct ExpReduced {
  VecF r, whole;  // whole is n as a float
  VecI n;
};
GS_INLINE ExpReduced reduce_exp(VecF x) {
  const VecF magic = splat(0x1.8p23f);  // the adder rounds x / ln2 to a whole number
  const VecF shifted = x * 1.44269504f + magic;
  const VecF n = shifted - magic;
  const VecF r = (x - n * 0x1.62ep-1f) - n * 0x1.0bfbe8p-15f;
  return {r, n, (VecI)((VecU)shifted - (VecU)magic)};
}

// y 2^n where 2^n itself may be infinite or subnormal.
GS_INLINE VecF scale_exp(VecF y, ExpReduced e) {
#if GS_ISA_LEVEL == 2
  return (VecF)_mm512_maskz_scalef_ps(0xffff, (__m512)y, (__m512)e.whole);
#else
  const VecI half = e.n >> 1;
  return y * power_of_two(half) * power_of_two(e.n - half);
#endif
}

// x in [-104, 89], or NaN.
GS_INLINE VecF exp_in_range(VecF x) {
  const ExpReduced e = reduce_exp(x);
  const VecF r = e.r;
  VecF p = 1.395171846e-03f * r + 8.369598291e-03f;
  p = p * r + 4.166618727e-02f;
  p = p * r + 1.666651289e-01f;
  p = p * r + 5.000000101e-01f;
  return scale_exp((p * (r * r) + r) + 1.0f, e);
}

GS_INLINE VecF vexp(VecF x) {
  x = x > 89.0f ? splat(89.0f) : x;  // written so that NaN passes
  return exp_in_range(x < -104.0f ? splat(-104.0f) : x);
}

// exp(r) - 1 = r + r^2 P(r) for |r| <= ln2 / 2.
GS_INLINE VecF expm1_reduced(VecF r) {
  VecF p = 1.991558597e-04f * r + 1.394204693e-03f;
  p = p * r + 8.333270693e-03f;
  p = p * r + 4.166634211e-02f;
  p = p * r + 1.666666683e-01f;
  p = p * r + 5.000000049e-01f;
  return p * (r * r) + r;
}

// 2^n (q + 1) - 1 without cancellation.
GS_INLINE VecF vexpm1(VecF x) {
  VecF c = x > 89.0f ? splat(89.0f) : x;
  c = c < -20.0f ? splat(-20.0f) : c;
  const auto [r, whole, n] = reduce_exp(c);
  const VecF q = expm1_reduced(r);
  const VecF scale = power_of_two(n - 1);
  const VecF y = (q * scale + (scale - 0.5f)) * 2.0f;
  const VecF small = vabs<float>(x) < 0.3f ? q : y;
  return x == 0.0f ? x : small;
}

GS_INLINE VecF vtanh(VecF x) {
  VecF size = vabs<float>(x);
  size = size > 10.0f ? splat(10.0f) : size;
  // expm1 of a number from 0 to 20: 2^n does not overflow, and n = 0 gives q itself.
  const auto [r, whole, n] = reduce_exp(size * 2.0f);
  const VecF scale = power_of_two(n);
  const VecF t = expm1_reduced(r) * scale + (scale - 1.0f);
  return vcopysign<float>(t / (t + 2.0f), x);
}

GS_INLINE VecF vsigmoid(VecF x) {
  VecF size = vabs<float>(x);
  size = size > 104.0f ? splat(104.0f) : size;
  const VecF z = exp_in_range(-size);
  return (x < 0.0f ? z : splat(1.0f)) / (1.0f + z);
}

GS_INLINE VecF vsinh(VecF x) {
  const VecF size = vabs<float>(x);
  const VecF t = vexpm1(size);
  const VecF small = 0.5f * (t + t / (t + 1.0f));
  const VecF half = vexp(0.5f * size);  // exp(|x|) overflows before sinh does
  return vcopysign<float>(size > 80.0f ? (0.5f * half) * half : small, x);
}

GS_INLINE VecF vcosh(VecF x) {
  const VecF size = vabs<float>(x);
  const VecF e = vexp(size), half = vexp(0.5f * size);
  return size > 80.0f ? (0.5f * half) * half : 0.5f * e + 0.5f / e;
}

// ---------------------------------------------------------------- float: logarithms

// x = 2^e (1 + f), 1 + f in [sqrt(1/2), sqrt(2)): log(1 + f) = f + tail. x is positive and finite.
struct LogReduced {
  VecF e, f, tail;
};
GS_INLINE LogReduced reduce_log(VecF x) {
  const auto tiny = x < 0x1p-126f;
  const VecI i = (VecI)((VecU)(tiny ? x * 0x1p23f : x) - 0x3f3504f3u);
  const VecI e = (i >> 23) - (tiny ? 23 : VecI{});
  const VecF f = (VecF)((i & 0x7fffff) + 0x3f3504f3) - 1.0f;
  VecF p = -7.646104852e-02f * f + 1.277911489e-01f;
  p = p * f + -1.316418576e-01f;
  p = p * f + 1.419969564e-01f;
  p = p * f + -1.662276495e-01f;
  p = p * f + 2.000129270e-01f;
  p = p * f + -2.500083796e-01f;
  p = p * f + 3.333333120e-01f;
  const VecF square = f * f;
  return {__builtin_convertvector(e, VecF), f, (p * f) * square - 0.5f * square};
}

GS_INLINE VecF log_specials(VecF x, VecF y) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const VecF low = x == 0.0f ? splat(-infinity) : splat(std::numeric_limits<float>::quiet_NaN());
  return x > 0.0f ? (x < infinity ? y : x) : low;
}

GS_INLINE VecF vlog(VecF x) {
  const auto [e, f, tail] = reduce_log(x);
  return log_specials(x, e * 0x1.62ep-1f + (f + (e * 0x1.0bfbe8p-15f + tail)));
}

GS_INLINE VecF vlog2(VecF x) {
  const auto [e, f, tail] = reduce_log(x);
  return log_specials(x, (f + tail) * 1.44269504f + e);
}

// log(1 + x) = log(u) + (what u lost by rounding) / u.
GS_INLINE VecF vlog1p(VecF x) {
  const VecF u = 1.0f + x, back = u - 1.0f;
  const VecF lost = (1.0f - (u - back)) + (x - back);
  const auto [e, f, tail] = reduce_log(u);
  const VecF y = e * 0x1.62ep-1f + (f + (e * 0x1.0bfbe8p-15f + (tail + lost / u)));
  return u == 1.0f ? x : log_specials(u, y);
}

// ---------------------------------------------------------------- float: erf, sin, cos

// Below 1 an odd polynomial; above, log(erfc) is close to a polynomial.
GS_INLINE VecF verf(VecF x) {
  VecF t = vabs<float>(x);
  const VecF z = x * x;
  VecF p = 7.889123006e-05f * z + -8.020842319e-04f;
  p = p * z + 5.189535456e-03f;
  p = p * z + -2.685444465e-02f;
  p = p * z + 1.128360018e-01f;
  p = p * z + -3.761262714e-01f;
  p = p * z + 1.283791660e-01f;  // 2 / sqrt(pi) - 1
  const VecF inner = p * x + x;
  t = t > 4.0f ? splat(4.0f) : t;
  VecF q = -2.169757573e-05f * t + 4.414721681e-04f;
  q = q * t + -4.205282207e-03f;
  q = q * t + 2.521033249e-02f;
  q = q * t + -1.084220875e-01f;
  q = q * t + -6.332164087e-01f;
  q = q * t + -1.129580305e+00f;
  q = q * t + 1.884664568e-04f;
  const VecF outer = vcopysign<float>(1.0f - vexp(q), x);
  return t < 1.0f ? inner : outer;
}

// The normal distribution function. The logarithm of its tail is close to a polynomial all the way
// from 0, so one exponential does for both sides; the tail is 0 where 1 - tail rounds to 1.
GS_INLINE VecF vnormal_cdf(VecF x) {
  constexpr float kEnd = 5.7f;
  const VecF size = vabs<float>(x), t = size > kEnd ? splat(kEnd) : size;
  VecF q = -1.921538342e-06f * t + 2.677086377e-05f;
  q = q * t + -1.265362953e-04f;
  q = q * t + -1.011017303e-04f;
  q = q * t + 4.904335365e-03f;
  q = q * t + -3.639370948e-02f;
  q = q * t + -3.182965815e-01f;
  q = q * t + -7.978857160e-01f;
  q = q * t + -6.931471825e-01f;
  const VecF tail = size > kEnd ? VecF{} : vexp(q);
  return x < 0.0f ? tail : 1.0f - tail;
}

// x = n pi/2 + r for |x| <= 40000; pi/2 in four parts so short that n times the first three is
// exact.
struct TrigReduced {
  VecF sin_r, cos_r;
  VecI n;
};
GS_INLINE TrigReduced reduce_trig(VecF x) {
  const VecF magic = splat(0x1.8p23f);
  const VecF shifted = x * 0.636619772f + magic;
  const VecF n = shifted - magic;
  VecF r = x - n * 0x1.92p+0f;
  r = r - n * 0x1.fbp-12f;
  r = r - n * 0x1.51p-22f;
  r = r - n * 0x1.0b4612p-34f;
  const VecF z = r * r;
  const VecF s = (-1.951083920e-04f * z + 8.332131498e-03f) * z + -1.666665423e-01f;
  const VecF c = (2.443120278e-05f * z + -1.388730602e-03f) * z + 4.166664565e-02f;
  return {s * (z * r) + r, c * (z * z) + (1.0f - 0.5f * z), (VecI)((VecU)shifted - (VecU)magic)};
}
inline constexpr float kTrigLimit = 40000.0f;

// Outside the range of the reduction (infinities and NaN too) libm does the whole vector.
GS_INLINE bool beyond_trig(VecF x) { return any_lane(~(vabs<float>(x) <= kTrigLimit)); }

GS_INLINE VecF vsin(VecF x) {
  if (beyond_trig(x)) [[unlikely]]
    return each_lane<float>(x, [](float v) { return std::sin(v); });
  const auto [s, c, n] = reduce_trig(x);
  const VecF y = (n & 1) != 0 ? c : s;
  return x == 0.0f ? x : (VecF)((VecI)y ^ ((n & 2) << 30));
}

GS_INLINE VecF vcos(VecF x) {
  if (beyond_trig(x)) [[unlikely]]
    return each_lane<float>(x, [](float v) { return std::cos(v); });
  const auto [s, c, n] = reduce_trig(x);
  const VecF y = (n & 1) != 0 ? s : c;
  return (VecF)((VecI)y ^ (((n + 1) & 2) << 30));
}

// ---------------------------------------------------------------- the policies

// What float and double share: rounding and sign handling in vectors, the rest lane by lane in
// libm.
template <class Scalar>
struct LaneMath {
  using T = Vec<Scalar>;
  using S = ScalarMath<Scalar>;
  static GS_INLINE T set(double v) { return splat(static_cast<Scalar>(v)); }
  static GS_INLINE T abs(T x) { return vabs<Scalar>(x); }
  static GS_INLINE T copysign(T x, T y) { return vcopysign<Scalar>(x, y); }
  static GS_INLINE T sqrt(T x) { return vsqrt<Scalar>(x); }
  static GS_INLINE T floor(T x) { return vfloor<Scalar>(x); }
  static GS_INLINE T ceil(T x) { return vceil<Scalar>(x); }
  static GS_INLINE T round(T x) { return vround<Scalar>(x); }
  static GS_INLINE T trunc(T x) { return vtrunc<Scalar>(x); }
#define GS_LANES(name)                                                \
  static GS_INLINE T name(T x) {                                      \
    return each_lane<Scalar>(x, [](Scalar v) { return S::name(v); }); \
  }
#define GS_LANES2(name)                                                               \
  static GS_INLINE T name(T x, T y) {                                                 \
    return each_lane<Scalar>(x, y, [](Scalar v, Scalar w) { return S::name(v, w); }); \
  }
  GS_LANES(exp)
  GS_LANES(expm1)
  GS_LANES(log)
  GS_LANES(log1p)
  GS_LANES(log2)
  GS_LANES(sin)
  GS_LANES(cos)
  GS_LANES(tan)
  GS_LANES(atan)
  GS_LANES(sinh)
  GS_LANES(cosh)
  GS_LANES(tanh)
  GS_LANES(erf)
  GS_LANES(normal_cdf)
  GS_LANES(sigmoid)
  GS_LANES2(pow)
  GS_LANES2(fmod)
  GS_LANES2(atan2)
#undef GS_LANES
#undef GS_LANES2
};

template <class Scalar>
struct VecMath : LaneMath<Scalar> {};

template <>
struct VecMath<float> : LaneMath<float> {
  static GS_INLINE VecF exp(VecF x) { return vexp(x); }
  static GS_INLINE VecF expm1(VecF x) { return vexpm1(x); }
  static GS_INLINE VecF log(VecF x) { return vlog(x); }
  static GS_INLINE VecF log1p(VecF x) { return vlog1p(x); }
  static GS_INLINE VecF log2(VecF x) { return vlog2(x); }
  static GS_INLINE VecF sin(VecF x) { return vsin(x); }
  static GS_INLINE VecF cos(VecF x) { return vcos(x); }
  static GS_INLINE VecF sinh(VecF x) { return vsinh(x); }
  static GS_INLINE VecF cosh(VecF x) { return vcosh(x); }
  static GS_INLINE VecF tanh(VecF x) { return vtanh(x); }
  static GS_INLINE VecF erf(VecF x) { return verf(x); }
  static GS_INLINE VecF normal_cdf(VecF x) { return vnormal_cdf(x); }
  static GS_INLINE VecF sigmoid(VecF x) { return vsigmoid(x); }
};

template <>
struct VecMath<double> : LaneMath<double> {
  static GS_INLINE VecD exp(VecD x) { return vexp(x); }
  static GS_INLINE VecD expm1(VecD x) { return vexpm1(x); }
  static GS_INLINE VecD log(VecD x) { return vlog(x); }
  static GS_INLINE VecD log1p(VecD x) { return vlog1p(x); }
  static GS_INLINE VecD tanh(VecD x) { return vtanh(x); }
  static GS_INLINE VecD sigmoid(VecD x) { return vsigmoid(x); }
};

}  // namespace
}  // namespace gs::cpu
