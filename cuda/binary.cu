// y = f(a, b). Integers of every width are computed in 64 bits: what is stored wraps as the narrow
// type would.
#include "any_dtype.cuh"
#include "kernels/functors.h"
#include "kernels/kernels.h"
#include "kernels/params/binary.h"

namespace gs::cuda {
namespace {

// ---------------------------------------------------------------- floating point

template <BinaryOp op, class T>
struct Floating {
  GS_DEVICE T operator()(T a, T b) const {
    return T(floating_binary<op, ScalarMath<compute_t<T>>>(widen(a), widen(b)));
  }
};

template <class T>
void floating(const Binary& p) {
  switch (p.op) {
#define GS_CASE(name)  \
  case BinaryOp::name: \
    return elementwise<T, T, T>(p.loop, Floating<BinaryOp::name, T>{});
    GS_FLOATING_BINARY(GS_CASE)
#undef GS_CASE
    default:
      raise(ErrorKind::Type, "binary", "the function is not defined for ", dtype_of<T>::value, ".");
  }
}

// ---------------------------------------------------------------- integers and bool

template <BinaryOp op>
struct Integral {
  DType dtype;
  GS_DEVICE void operator()(const DeviceLoop& loop, const int64_t (&at)[3]) const {
    const int64_t a = load_integer(element(loop, 1, at[1]), dtype);
    const int64_t b = load_integer(element(loop, 2, at[2]), dtype);
    store_integer(loop.data[0] + at[0], dtype, integer_binary<op, int64_t>(a, b));
  }
};

// Sums of bools are or, products and.
BinaryOp on_bool(BinaryOp op) {
  if (op == BinaryOp::Add || op == BinaryOp::Maximum) return BinaryOp::Or;
  if (op == BinaryOp::Mul || op == BinaryOp::Minimum) return BinaryOp::And;
  return op;
}

void integral(const Binary& p) {
  const DType dtype = p.loop.operands[0].dtype;
  switch (dtype == DType::Bool ? on_bool(p.op) : p.op) {
#define GS_CASE(name)  \
  case BinaryOp::name: \
    return each_element<3>(p.loop, Integral<BinaryOp::name>{dtype});
    GS_INTEGER_BINARY(GS_CASE)
#undef GS_CASE
    default:
      raise(ErrorKind::Type, "binary", "the function is not defined for ", dtype, ".");
  }
}

}  // namespace

void binary(const Binary& p) {
  const DType dtype = p.loop.operands[0].dtype;
  if (!is_floating(dtype)) return integral(p);
  visit_floating(dtype, [&](auto tag) { floating<typename decltype(tag)::type>(p); });
}

}  // namespace gs::cuda
