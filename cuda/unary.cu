// y = f(x) and dx = g f'(x). The functions are those of kernels/functors.h; 16-bit floats are
// computed in float.
#include <limits>

#include "any_dtype.cuh"
#include "kernels/functors.h"
#include "kernels/kernels.h"
#include "kernels/params/unary.h"
#include "loop.cuh"

namespace gs::cuda {
namespace {

// ---------------------------------------------------------------- floating point

template <class F, class T>
struct Value {
  compute_t<T> a, b;
  GS_DEVICE T operator()(T x) const {
    return T(F::template value<ScalarMath<compute_t<T>>>(widen(x), a, b));
  }
};

template <class F, class T>
struct Gradient {
  compute_t<T> a, b;
  GS_DEVICE T operator()(T g, T s) const {
    return T(F::template grad<ScalarMath<compute_t<T>>>(widen(g), widen(s), a, b));
  }
};

template <class F, class T>
void value(const Unary& p) {
  using C = compute_t<T>;
  elementwise<T, T>(p.loop, Value<F, T>{static_cast<C>(p.a), static_cast<C>(p.b)});
}
template <class F, class T>
void gradient(const UnaryGrad& p) {
  using C = compute_t<T>;
  elementwise<T, T, T>(p.loop, Gradient<F, T>{static_cast<C>(p.a), static_cast<C>(p.b)});
}

template <class T>
void floating(const Unary& p) {
  switch (p.op) {
#define GS_CASE(name) \
  case UnaryOp::name: \
    return value<functors::name, T>(p);
    GS_FLOATING_UNARY(GS_CASE)
#undef GS_CASE
    default:
      raise(ErrorKind::Type, "unary", "the function is not defined for ", dtype_of<T>::value, ".");
  }
}

template <class T>
void floating_gradient(const UnaryGrad& p) {
  switch (p.op) {
#define GS_CASE(name) \
  case UnaryOp::name: \
    return gradient<functors::name, T>(p);
    GS_FLOATING_UNARY(GS_CASE)
#undef GS_CASE
    default:
      raise(ErrorKind::Type, "unary", "the function has no gradient.");
  }
}

// ---------------------------------------------------------------- integers and bool

// In 64 bits: what is stored wraps as the narrow type would.
template <UnaryOp op>
struct Integral {
  DType dtype;
  int64_t a, b;
  GS_DEVICE void operator()(const DeviceLoop& loop, const int64_t (&at)[2]) const {
    const int64_t x = load_integer(element(loop, 1, at[1]), dtype);
    store_integer(loop.data[0] + at[0], dtype, integer_unary<op, int64_t>(x, a, b));
  }
};
struct Not {
  GS_DEVICE void operator()(const DeviceLoop& loop, const int64_t (&at)[2]) const {
    const bool x = load_integer(element(loop, 1, at[1]), DType::Bool) != 0;
    store_integer(loop.data[0] + at[0], DType::Bool, !x);
  }
};

// The nearest number of the dtype to a bound of Clamp, rounded towards the inside.
int64_t to_bound(DType dtype, double v, bool lower) {
  const int bits = static_cast<int>(8 * size_of(dtype)) - (dtype != DType::UInt8);
  const int64_t high = bits == 63 ? std::numeric_limits<int64_t>::max() : (int64_t(1) << bits) - 1;
  const int64_t low = dtype == DType::UInt8 ? 0 : -high - 1;
  if (!(v > static_cast<double>(low))) return low;
  if (!(v < static_cast<double>(high))) return high;
  return static_cast<int64_t>(lower ? std::ceil(v) : std::floor(v));
}

void integral(const Unary& p) {
  const DType dtype = p.loop.operands[0].dtype;
  if (dtype == DType::Bool) return each_element<2>(p.loop, Not{});
  switch (p.op) {
#define GS_CASE(name) \
  case UnaryOp::name: \
    return each_element<2>(p.loop, Integral<UnaryOp::name>{dtype, 0, 0});
    GS_CASE(Neg)
    GS_CASE(Abs)
    GS_CASE(Sign)
    GS_CASE(Square)
    GS_CASE(Relu)
    GS_CASE(BitNot)
#undef GS_CASE
    case UnaryOp::Clamp:
    case UnaryOp::Hardtanh:
      return each_element<2>(p.loop, Integral<UnaryOp::Clamp>{dtype, to_bound(dtype, p.a, true),
                                                              to_bound(dtype, p.b, false)});
    default:  // Floor, Ceil, Round, Trunc
      return each_element<2>(p.loop, Integral<UnaryOp::Floor>{dtype, 0, 0});
  }
}

}  // namespace

void unary(const Unary& p) {
  const DType dtype = p.loop.operands[0].dtype;
  if (!is_floating(dtype)) return integral(p);
  visit_floating(dtype, [&](auto tag) { floating<typename decltype(tag)::type>(p); });
}

void unary_grad(const UnaryGrad& p) {
  visit_floating(p.loop.operands[0].dtype,
                 [&](auto tag) { floating_gradient<typename decltype(tag)::type>(p); });
}

}  // namespace gs::cuda
