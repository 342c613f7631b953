// y = f(x) and dx = g f'(x). One vector loop per function and type; float16 and bfloat16 pass
// through float.
#include <limits>

#include "cpu/isa.h"
#include "cpu/spans.h"
#include "cpu/vmath.h"
#include "kernels/params/unary.h"

namespace gs::cpu {
namespace {

struct Constants {
  double a, b;
};

// ---------------------------------------------------------------- floating point

template <class F, class T>
[[gnu::noinline]] void value_body(T* y, const T* x, const T*, int64_t n, Constants constants) {
  using M = VecMath<T>;
  const Vec<T> a = M::set(constants.a), b = M::set(constants.b);
  for (int64_t i = 0; i < n; i += kLanes<T>) store(y + i, F::template value<M>(load(x + i), a, b));
}
template <class F, class T>
void value_span(char* const* p, int64_t n, const void* context) {
  const Constants constants = *static_cast<const Constants*>(context);
  in_vectors([&](T* y, const T* x, const T* unused,
                 int64_t m) { value_body<F, T>(y, x, unused, m, constants); },
             n, reinterpret_cast<T*>(p[0]), reinterpret_cast<const T*>(p[1]));
}

template <class F, class T>
[[gnu::noinline]] void grad_body(T* dx, const T* g, const T* s, int64_t n, Constants constants) {
  using M = VecMath<T>;
  const Vec<T> a = M::set(constants.a), b = M::set(constants.b);
  for (int64_t i = 0; i < n; i += kLanes<T>)
    store(dx + i, F::template grad<M>(load(g + i), load(s + i), a, b));
}
template <class F, class T>
void grad_span(char* const* p, int64_t n, const void* context) {
  const Constants constants = *static_cast<const Constants*>(context);
  in_vectors(
      [&](T* dx, const T* g, const T* s, int64_t m) { grad_body<F, T>(dx, g, s, m, constants); }, n,
      reinterpret_cast<T*>(p[0]), reinterpret_cast<const T*>(p[1]),
      reinterpret_cast<const T*>(p[2]));
}

template <class T>
SpanFunction value_kernel(UnaryOp op) {
  switch (op) {
#define GS_CASE(name) \
  case UnaryOp::name: \
    return value_span<functors::name, T>;
    GS_FLOATING_UNARY(GS_CASE)
#undef GS_CASE
    default:
      return nullptr;
  }
}
template <class T>
SpanFunction grad_kernel(UnaryOp op) {
  switch (op) {
#define GS_CASE(name) \
  case UnaryOp::name: \
    return grad_span<functors::name, T>;
    GS_FLOATING_UNARY(GS_CASE)
#undef GS_CASE
    default:
      return nullptr;
  }
}

// ---------------------------------------------------------------- integers and bool

// The nearest number of T to a bound of Clamp: round towards the inside, never past the ends of T.
template <class T>
T to_bound(double v, bool lower) {
  constexpr T low = std::numeric_limits<T>::lowest(), high = std::numeric_limits<T>::max();
  if (!(v > static_cast<double>(low))) return low;
  if (!(v < static_cast<double>(high))) return high;
  return static_cast<T>(lower ? std::ceil(v) : std::floor(v));
}

template <UnaryOp op, class T>
void integer_span(char* const* p, int64_t n, const void* context) {
  const Constants& constants = *static_cast<const Constants*>(context);
  T a = 0, b = 0;
  if constexpr (op == UnaryOp::Clamp) {
    a = to_bound<T>(constants.a, true);
    b = to_bound<T>(constants.b, false);
  }
  T* y = reinterpret_cast<T*>(p[0]);
  const T* x = reinterpret_cast<const T*>(p[1]);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = integer_unary<op, T>(x[i], a, b);
}

void not_span(char* const* p, int64_t n, const void*) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) p[0][i] = p[1][i] == 0;
}

template <class T>
SpanFunction integer_kernel(UnaryOp op) {
  switch (op) {
    case UnaryOp::Neg:
      return integer_span<UnaryOp::Neg, T>;
    case UnaryOp::Abs:
      return integer_span<UnaryOp::Abs, T>;
    case UnaryOp::Sign:
      return integer_span<UnaryOp::Sign, T>;
    case UnaryOp::Square:
      return integer_span<UnaryOp::Square, T>;
    case UnaryOp::Relu:
      return integer_span<UnaryOp::Relu, T>;
    case UnaryOp::BitNot:
      return integer_span<UnaryOp::BitNot, T>;
    case UnaryOp::Clamp:
    case UnaryOp::Hardtanh:
      return integer_span<UnaryOp::Clamp, T>;
    case UnaryOp::Floor:
    case UnaryOp::Ceil:
    case UnaryOp::Round:
    case UnaryOp::Trunc:
      return integer_span<UnaryOp::Floor, T>;
    default:
      return nullptr;
  }
}

SpanFunction value_kernel_for(DType dtype, UnaryOp op) {
  switch (dtype) {
    case DType::Bool:
      return op == UnaryOp::BitNot ? not_span : nullptr;
    case DType::UInt8:
      return integer_kernel<uint8_t>(op);
    case DType::Int8:
      return integer_kernel<int8_t>(op);
    case DType::Int16:
      return integer_kernel<int16_t>(op);
    case DType::Int32:
      return integer_kernel<int32_t>(op);
    case DType::Int64:
      return integer_kernel<int64_t>(op);
    case DType::Float64:
      return value_kernel<double>(op);
    default:
      return value_kernel<float>(op);
  }
}

}  // namespace

namespace GS_ISA {

void unary(const Unary& p) {
  const Constants constants{p.a, p.b};
  run_spans(p.loop, true, value_kernel_for(p.loop.operands[0].dtype, p.op), &constants);
}

void unary_grad(const UnaryGrad& p) {
  const Constants constants{p.a, p.b};
  const bool wide = p.loop.operands[0].dtype == DType::Float64;
  run_spans(p.loop, true, wide ? grad_kernel<double>(p.op) : grad_kernel<float>(p.op), &constants);
}

}  // namespace GS_ISA
}  // namespace gs::cpu
