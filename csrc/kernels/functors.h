// Each elementwise function with its derivative beside it. They are written against a "math policy"
// M, which names a type M::T and the elementary functions on it: ScalarMath below serves scalars on
// host and device, VecMath (cpu/vmath.h) serves whole CPU vectors. `?:` and comparisons mean the
// same for both.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "core/macros.h"
#include "kernels/params/binary.h"
#include "kernels/params/unary.h"

namespace gs {

// True when the derivative is written in terms of the function's value instead of its argument.
GS_INLINE constexpr bool uses_output(UnaryOp op) {
  switch (op) {
    case UnaryOp::Sqrt:
    case UnaryOp::Rsqrt:
    case UnaryOp::Reciprocal:
    case UnaryOp::Exp:
    case UnaryOp::Tanh:
    case UnaryOp::Sigmoid:
    case UnaryOp::Relu:
      return true;
    default:
      return false;
  }
}

// ---------------------------------------------------------------- scalars

template <class Scalar>
struct ScalarMath {
  using T = Scalar;
  static GS_HOST_DEVICE T set(double v) { return static_cast<T>(v); }
  static GS_HOST_DEVICE T abs(T x) { return std::fabs(x); }
  static GS_HOST_DEVICE T sqrt(T x) { return std::sqrt(x); }
  static GS_HOST_DEVICE T exp(T x) { return std::exp(x); }
  static GS_HOST_DEVICE T expm1(T x) { return std::expm1(x); }
  static GS_HOST_DEVICE T log(T x) { return std::log(x); }
  static GS_HOST_DEVICE T log1p(T x) { return std::log1p(x); }
  static GS_HOST_DEVICE T log2(T x) { return std::log2(x); }
  static GS_HOST_DEVICE T sin(T x) { return std::sin(x); }
  static GS_HOST_DEVICE T cos(T x) { return std::cos(x); }
  static GS_HOST_DEVICE T tan(T x) { return std::tan(x); }
  static GS_HOST_DEVICE T atan(T x) { return std::atan(x); }
  static GS_HOST_DEVICE T sinh(T x) { return std::sinh(x); }
  static GS_HOST_DEVICE T cosh(T x) { return std::cosh(x); }
  static GS_HOST_DEVICE T tanh(T x) { return std::tanh(x); }
  static GS_HOST_DEVICE T erf(T x) { return std::erf(x); }
  static GS_HOST_DEVICE T normal_cdf(T x) {
    return set(0.5) * (set(1) + erf(x * set(0.707106781186547524401)));
  }
  static GS_HOST_DEVICE T floor(T x) { return std::floor(x); }
  static GS_HOST_DEVICE T ceil(T x) { return std::ceil(x); }
  static GS_HOST_DEVICE T round(T x) { return std::nearbyint(x); }
  static GS_HOST_DEVICE T trunc(T x) { return std::trunc(x); }
  static GS_HOST_DEVICE T pow(T x, T y) { return std::pow(x, y); }
  static GS_HOST_DEVICE T fmod(T x, T y) { return std::fmod(x, y); }
  static GS_HOST_DEVICE T atan2(T y, T x) { return std::atan2(y, x); }
  static GS_HOST_DEVICE T copysign(T x, T y) { return std::copysign(x, y); }
  // Divides by 1 or more, so that neither end overflows and the small end keeps its subnormals.
  static GS_HOST_DEVICE T sigmoid(T x) {
    const T z = std::exp(-std::fabs(x));
    return (x < 0 ? z : T(1)) / (T(1) + z);
  }
};

// ---------------------------------------------------------------- one argument

#define GS_VALUE                              \
  template <class M, class T = typename M::T> \
  static GS_HOST_DEVICE T value(T x, [[maybe_unused]] T a, [[maybe_unused]] T b)
// s is the function's value where uses_output(op), otherwise its argument.
#define GS_GRAD                                                                                  \
  template <class M, class T = typename M::T>                                                    \
  static GS_HOST_DEVICE T grad([[maybe_unused]] T g, [[maybe_unused]] T s, [[maybe_unused]] T a, \
                               [[maybe_unused]] T b)

namespace functors {

struct Neg {
  GS_VALUE { return -x; }
  GS_GRAD { return -g; }
};
struct Abs {
  GS_VALUE { return M::abs(x); }
  GS_GRAD { return s > M::set(0) ? g : (s < M::set(0) ? -g : g * s); }
};
struct Sign {  // NaN stays NaN
  GS_VALUE { return x > M::set(0) ? M::set(1) : (x < M::set(0) ? M::set(-1) : x * M::set(0)); }
  GS_GRAD { return M::set(0); }
};
struct Square {
  GS_VALUE { return x * x; }
  GS_GRAD { return M::set(2) * g * s; }
};
struct Sqrt {
  GS_VALUE { return M::sqrt(x); }
  GS_GRAD { return g / (M::set(2) * s); }
};
struct Rsqrt {
  GS_VALUE { return M::set(1) / M::sqrt(x); }
  GS_GRAD { return M::set(-0.5) * g * (s * s * s); }
};
struct Reciprocal {
  GS_VALUE { return M::set(1) / x; }
  GS_GRAD { return -g * (s * s); }
};
struct Exp {
  GS_VALUE { return M::exp(x); }
  GS_GRAD { return g * s; }
};
struct Expm1 {
  GS_VALUE { return M::expm1(x); }
  GS_GRAD { return g * M::exp(s); }
};
struct Log {
  GS_VALUE { return M::log(x); }
  GS_GRAD { return g / s; }
};
struct Log1p {
  GS_VALUE { return M::log1p(x); }
  GS_GRAD { return g / (M::set(1) + s); }
};
struct Log2 {
  GS_VALUE { return M::log2(x); }
  GS_GRAD { return g / (s * M::set(0.693147180559945309417)); }
};
struct Sin {
  GS_VALUE { return M::sin(x); }
  GS_GRAD { return g * M::cos(s); }
};
struct Cos {
  GS_VALUE { return M::cos(x); }
  GS_GRAD { return -g * M::sin(s); }
};
struct Tan {
  GS_VALUE { return M::tan(x); }
  GS_GRAD {
    const T t = M::tan(s);
    return g * (M::set(1) + t * t);
  }
};
struct Atan {
  GS_VALUE { return M::atan(x); }
  GS_GRAD { return g / (M::set(1) + s * s); }
};
struct Sinh {
  GS_VALUE { return M::sinh(x); }
  GS_GRAD { return g * M::cosh(s); }
};
struct Cosh {
  GS_VALUE { return M::cosh(x); }
  GS_GRAD { return g * M::sinh(s); }
};
struct Tanh {
  GS_VALUE { return M::tanh(x); }
  GS_GRAD { return g * (M::set(1) - s * s); }
};
struct Sigmoid {
  GS_VALUE { return M::sigmoid(x); }
  GS_GRAD { return g * (s * (M::set(1) - s)); }
};
struct Relu {  // written so that NaN stays
  GS_VALUE { return x < M::set(0) ? M::set(0) : x; }
  GS_GRAD { return s > M::set(0) ? g : M::set(0); }
};
struct LeakyRelu {
  GS_VALUE { return x > M::set(0) ? x : a * x; }
  GS_GRAD { return s > M::set(0) ? g : a * g; }
};
struct Elu {
  GS_VALUE { return x > M::set(0) ? x : a * M::expm1(x); }
  GS_GRAD { return s > M::set(0) ? g : g * a * M::exp(s); }
};
struct Gelu {  // x Phi(x), Phi the normal distribution function
  GS_VALUE { return x * M::normal_cdf(x); }
  GS_GRAD {
    const T cdf = M::normal_cdf(s);
    const T pdf = M::set(0.398942280401432677940) * M::exp(M::set(-0.5) * s * s);
    return g * (cdf + s * pdf);
  }
};
struct GeluTanh {  // 0.5 x (1 + tanh(k (x + c x^3)))
  GS_VALUE {
    const T u = M::set(0.797884560802865355880) * (x + M::set(0.044715) * x * x * x);
    return M::set(0.5) * x * (M::set(1) + M::tanh(u));
  }
  GS_GRAD {
    const T k = M::set(0.797884560802865355880), c = M::set(0.044715);
    const T t = M::tanh(k * (s + c * s * s * s));
    const T du = k * (M::set(1) + M::set(3) * c * s * s);
    return g * (M::set(0.5) * (M::set(1) + t) + M::set(0.5) * s * (M::set(1) - t * t) * du);
  }
};
struct Silu {
  GS_VALUE { return x * M::sigmoid(x); }
  GS_GRAD {
    const T p = M::sigmoid(s);
    return g * (p * (M::set(1) + s * (M::set(1) - p)));
  }
};
struct Softplus {  // log(1 + exp(a x)) / a, and x itself above the threshold b
  GS_VALUE { return a * x > b ? x : M::log1p(M::exp(a * x)) / a; }
  GS_GRAD { return a * s > b ? g : g * M::sigmoid(a * s); }
};
struct Erf {
  GS_VALUE { return M::erf(x); }
  GS_GRAD { return g * M::set(1.12837916709551257390) * M::exp(-s * s); }
};
struct Floor {
  GS_VALUE { return M::floor(x); }
  GS_GRAD { return M::set(0); }
};
struct Ceil {
  GS_VALUE { return M::ceil(x); }
  GS_GRAD { return M::set(0); }
};
struct Round {
  GS_VALUE { return M::round(x); }
  GS_GRAD { return M::set(0); }
};
struct Trunc {
  GS_VALUE { return M::trunc(x); }
  GS_GRAD { return M::set(0); }
};
struct Clamp {  // the upper bound wins when the bounds cross
  GS_VALUE {
    const T low = x < a ? a : x;
    return low > b ? b : low;
  }
  GS_GRAD { return (s >= a) & (s <= b) ? g : M::set(0); }
};
struct Hardtanh {
  GS_VALUE { return Clamp::value<M>(x, a, b); }
  GS_GRAD { return (s > a) & (s < b) ? g : M::set(0); }
};
struct LogSigmoid {
  GS_VALUE { return (x > M::set(0) ? M::set(0) : x) - M::log1p(M::exp(-M::abs(x))); }
  GS_GRAD { return g * M::sigmoid(-s); }
};

}  // namespace functors

#undef GS_VALUE
#undef GS_GRAD

// Every UnaryOp with a floating version: K(name).
// clang-format off
#define GS_FLOATING_UNARY(K) \
  K(Neg) K(Abs) K(Sign) K(Square) K(Sqrt) K(Rsqrt) K(Reciprocal) K(Exp) K(Expm1) K(Log) K(Log1p) \
  K(Log2) K(Sin) K(Cos) K(Tan) K(Atan) K(Sinh) K(Cosh) K(Tanh) K(Sigmoid) K(Relu) K(LeakyRelu) \
  K(Elu) K(Gelu) K(GeluTanh) K(Silu) K(Softplus) K(Erf) K(Floor) K(Ceil) K(Round) K(Trunc) \
  K(Clamp) K(LogSigmoid) K(Hardtanh)
// clang-format on

// ---------------------------------------------------------------- integers, one argument

// Arithmetic wraps round: done in unsigned numbers, where that is defined.
template <class T>
using wrapping_t = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;

// a and b are the bounds of Clamp and Hardtanh, already rounded into T.
template <UnaryOp op, class T>
GS_HOST_DEVICE T integer_unary(T x, T a, T b) {
  using W = wrapping_t<T>;
  if constexpr (op == UnaryOp::Neg) return static_cast<T>(W(0) - W(x));
  if constexpr (op == UnaryOp::Abs) return x < 0 ? static_cast<T>(W(0) - W(x)) : x;
  if constexpr (op == UnaryOp::Sign) return static_cast<T>((x > 0) - (x < 0));
  if constexpr (op == UnaryOp::Square) return static_cast<T>(W(x) * W(x));
  if constexpr (op == UnaryOp::Relu) return x < 0 ? T(0) : x;
  if constexpr (op == UnaryOp::BitNot) return static_cast<T>(~x);
  if constexpr (op == UnaryOp::Clamp || op == UnaryOp::Hardtanh) {
    const T low = x < a ? a : x;
    return low > b ? b : low;
  }
  return x;  // Floor, Ceil, Round, Trunc
}

// ---------------------------------------------------------------- two arguments

// Division that rounds down, as Python's // does; exact where fmod is.
template <class M, class T = typename M::T>
GS_HOST_DEVICE T floor_divide(T a, T b) {
  const T zero = M::set(0), rest = M::fmod(a, b);
  T quotient = (a - rest) / b;
  quotient = (rest != zero) & ((b < zero) != (rest < zero)) ? quotient - M::set(1) : quotient;
  T whole = M::floor(quotient);
  whole = quotient - whole > M::set(0.5) ? whole + M::set(1) : whole;
  whole = quotient == zero ? M::copysign(zero, a / b) : whole;
  return b == zero ? a / b : whole;
}

template <BinaryOp op, class M, class T = typename M::T>
GS_HOST_DEVICE T floating_binary(T a, T b) {
  if constexpr (op == BinaryOp::Add) return a + b;
  if constexpr (op == BinaryOp::Sub) return a - b;
  if constexpr (op == BinaryOp::Mul) return a * b;
  if constexpr (op == BinaryOp::Div) return a / b;
  if constexpr (op == BinaryOp::Pow) return M::pow(a, b);
  if constexpr (op == BinaryOp::Maximum) return (a > b) | (a != a) ? a : b;
  if constexpr (op == BinaryOp::Minimum) return (a < b) | (a != a) ? a : b;
  if constexpr (op == BinaryOp::FloorDiv) return floor_divide<M>(a, b);
  if constexpr (op == BinaryOp::Remainder) {
    const T zero = M::set(0), rest = M::fmod(a, b);
    return (rest != zero) & ((b < zero) != (rest < zero)) ? rest + b : rest;
  }
  if constexpr (op == BinaryOp::Fmod) return M::fmod(a, b);
  if constexpr (op == BinaryOp::Atan2) return M::atan2(a, b);
}

// Every BinaryOp with a floating version: K(name).
// clang-format off
#define GS_FLOATING_BINARY(K) \
  K(Add) K(Sub) K(Mul) K(Div) K(Pow) K(Maximum) K(Minimum) K(FloorDiv) K(Remainder) K(Fmod) K(Atan2)
// clang-format on

template <class T>
GS_HOST_DEVICE T integer_power(T base, T exponent) {
  wrapping_t<T> power = 1, square = static_cast<wrapping_t<T>>(base);
  for (; exponent > 0; exponent = static_cast<T>(exponent >> 1)) {
    if (exponent & 1) power *= square;
    square *= square;
  }
  return static_cast<T>(power);
}

// Division by zero gives 0, and the lowest number over -1 wraps instead of trapping.
template <BinaryOp op, class T>
GS_HOST_DEVICE T integer_binary(T a, T b) {
  using W = wrapping_t<T>;
  constexpr T bits = static_cast<T>(8 * sizeof(T));
  if constexpr (op == BinaryOp::Add) return static_cast<T>(W(a) + W(b));
  if constexpr (op == BinaryOp::Sub) return static_cast<T>(W(a) - W(b));
  if constexpr (op == BinaryOp::Mul) return static_cast<T>(W(a) * W(b));
  if constexpr (op == BinaryOp::Pow) return integer_power(a, b);
  if constexpr (op == BinaryOp::Maximum) return a > b ? a : b;
  if constexpr (op == BinaryOp::Minimum) return a < b ? a : b;
  if constexpr (op == BinaryOp::And) return static_cast<T>(a & b);
  if constexpr (op == BinaryOp::Or) return static_cast<T>(a | b);
  if constexpr (op == BinaryOp::Xor) return static_cast<T>(a ^ b);
  if constexpr (op == BinaryOp::ShiftLeft)
    return b < 0 || b >= bits ? T(0) : static_cast<T>(W(a) << W(b));
  if constexpr (op == BinaryOp::ShiftRight)
    return b < 0 || b >= bits ? static_cast<T>(a < 0 ? -1 : 0) : static_cast<T>(a >> b);
  if constexpr (op == BinaryOp::Div || op == BinaryOp::FloorDiv || op == BinaryOp::Remainder ||
                op == BinaryOp::Fmod) {
    constexpr bool quotient_wanted = op == BinaryOp::Div || op == BinaryOp::FloorDiv;
    if (b == 0) return 0;
    if (std::is_signed_v<T> && b == static_cast<T>(-1))
      return quotient_wanted ? static_cast<T>(W(0) - W(a)) : T(0);
    const T quotient = static_cast<T>(a / b), rest = static_cast<T>(a % b);
    const bool round_down = rest != 0 && (rest < 0) != (b < 0);
    if constexpr (op == BinaryOp::Div) return quotient;
    if constexpr (op == BinaryOp::Fmod) return rest;
    if constexpr (op == BinaryOp::FloorDiv) return static_cast<T>(quotient - round_down);
    return static_cast<T>(round_down ? rest + b : rest);
  }
}

// Every BinaryOp with an integer version, and every CompareOp: K(name).
// clang-format off
#define GS_INTEGER_BINARY(K) \
  K(Add) K(Sub) K(Mul) K(Div) K(Pow) K(Maximum) K(Minimum) K(FloorDiv) K(Remainder) K(Fmod) \
  K(And) K(Or) K(Xor) K(ShiftLeft) K(ShiftRight)
#define GS_COMPARE(K) \
  K(Eq) K(Ne) K(Lt) K(Le) K(Gt) K(Ge) K(LogicalAnd) K(LogicalOr) K(LogicalXor)
// clang-format on

template <CompareOp op, class T>
GS_HOST_DEVICE bool compare_values(T a, T b) {
  if constexpr (op == CompareOp::Eq) return a == b;
  if constexpr (op == CompareOp::Ne) return a != b;
  if constexpr (op == CompareOp::Lt) return a < b;
  if constexpr (op == CompareOp::Le) return a <= b;
  if constexpr (op == CompareOp::Gt) return a > b;
  if constexpr (op == CompareOp::Ge) return a >= b;
  if constexpr (op == CompareOp::LogicalAnd) return (a != T(0)) & (b != T(0));
  if constexpr (op == CompareOp::LogicalOr) return (a != T(0)) | (b != T(0));
  if constexpr (op == CompareOp::LogicalXor) return (a != T(0)) != (b != T(0));
}

}  // namespace gs
