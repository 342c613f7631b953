// The catalogue of operations. Each is declared ONCE, as a row in ops/catalogue/*.def:
//
//   OP(return type, C++ name, (C++ parameters), "python signature", kind, "one plain sentence")
//
// From the row come the C++ declaration below, the Python binding (python/src), and the test that
// every operation has a row in tests/op_specs. Kinds: F a function of the package, M a method of
// Tensor, FM both, N a function of gradstone._C alone (the package builds on it). Names starting
// with _ are private. In a Python signature `*shape` accepts f(2, 3) and f((2, 3)); `=` gives a
// default.
//
// Parameter types and what Python may pass: const Tensor& a tensor (None where the default is
// None); const Operand& a tensor or a number; const Tensors& a list or tuple of tensors; Scalar a
// number; int64_t, double, bool; const Dims& an int or a sequence of ints; std::optional<...> None
// or the value; const Bound& None, a number or a tensor; NormOrder a number or "fro"; DType a
// dtype; Device a device or its name; const std::string& a string. Results: Tensor; Tensors a
// tuple; ValuesIndices a named tuple (values, indices); double; bool; void None.
#pragma once

#include <optional>
#include <string>

#include "core/tensor.h"

namespace gs::ops {

// A tensor or a number. Numbers become 0-dimensional tensors that yield in type promotion.
class Operand : public Tensor {
 public:
  Operand(const Tensor& t) : Tensor(t) {}
  Operand(Tensor&& t) : Tensor(std::move(t)) {}
  Operand(Scalar s) : Tensor(wrapped_number(s)) {}
  Operand(double v) : Operand(Scalar(v)) {}
  Operand(int64_t v) : Operand(Scalar(v)) {}
  Operand(int v) : Operand(Scalar(v)) {}
  Operand(bool v) : Operand(Scalar(v)) {}
};

// What clamp takes: nothing, a number (kept as it is: no tensor is made of it), or a tensor.
struct Bound {
  Bound(std::nullopt_t) {}
  Bound(Scalar s) : number(s) {}
  Bound(double v) : number(v) {}
  Bound(int v) : number(v) {}
  Bound(Tensor t) : tensor(std::move(t)) {}
  std::optional<Scalar> number;
  Tensor tensor;
};

// Which norm: a number, or "fro" in Python, which is 2.
struct NormOrder {
  NormOrder(double v) : value(v) {}
  double value;
};

struct ValuesIndices {
  Tensor values, indices;
};

using OptionalDims = std::optional<Dims>;
using OptionalDType = std::optional<DType>;

#define OP(Return, name, parameters, signature, kind, doc) Return name parameters;
#include "ops/catalogue/all.def"
#undef OP

inline Tensor to_device(const Tensor& x, Device device) { return to_device(x, device, false); }
// A copy in pinned memory of the host; the tensor itself when it is there already.
Tensor pin_memory(const Tensor& x);
inline Tensor copy_(const Tensor& x, const Operand& source) { return copy_(x, source, false); }
inline Tensor round(const Tensor& x) { return round(x, 0); }
inline Tensor norm(const Tensor& x, NormOrder p, OptionalDims dim, bool keepdim) {
  return norm(x, p, std::move(dim), keepdim, std::nullopt);
}
inline Tensor cumsum(const Tensor& x, int64_t dim) { return cumsum(x, dim, std::nullopt); }
inline Tensor cumprod(const Tensor& x, int64_t dim) { return cumprod(x, dim, std::nullopt); }

}  // namespace gs::ops
