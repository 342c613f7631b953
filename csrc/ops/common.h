// What every family of operations needs: checks, promotion, loops, and undoing a broadcast.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <utility>

#include "autograd/record.h"
#include "core/error.h"
#include "core/tensor.h"
#include "kernels/kernels.h"
#include "kernels/loop_of.h"
#include "ops/ops.h"

namespace gs {
enum class UnaryOp : uint8_t;  // kernels/params/unary.h
}

namespace gs::ops {

using autograd::Backward;
using autograd::inputs;
using autograd::needs_grad;
using autograd::record;
using autograd::Saved;

// ---- checks: each raises the error described, naming the operation

void check_defined(const char* op, const Tensor& t, const char* what);             // TypeError
void check_floating(const char* op, const Tensor& t, const char* what = "input");  // TypeError
void check_integral(const char* op, const Tensor& t,
                    const char* what = "index");  // TypeError unless integer
// A single number in the host's memory goes with tensors of any device: kernels take it by value.
inline bool is_host_number(const Tensor& t) {
  return t.dim() == 0 && t.device().is_cpu() && !t.requires_grad();
}
// Where the result of both goes.
inline Device device_of(const Tensor& a, const Tensor& b) {
  return a.device().is_cpu() ? b.device() : a.device();
}
// Undefined tensors and numbers are passed over. RuntimeError for devices, TypeError for dtypes.
void check_same_device(const char* op, std::initializer_list<const Tensor*> tensors);
void check_same_dtype(const char* op, std::initializer_list<const Tensor*> tensors);
// Every value v has 0 <= v < n, or -n <= v; IndexError names an offender. Returns the smallest.
// On CUDA nobody waits for that: `index` becomes its copy in which offenders are 0, and negative
// ones count from n; IndexError comes when somebody waits for the device, and 0 is returned.
int64_t check_index_range(const char* op, Tensor& index, int64_t n, const char* what,
                          bool negative_allowed = false);
// The same on CUDA alone. True: that is done.
bool guard_index(const char* op, Tensor& index, int64_t n, const char* what,
                 bool negative_allowed = false);
int64_t check_index_range(const char* op, Device device, const int64_t* index, int64_t count,
                          int64_t n, const char* what, bool negative_allowed = false);

// ---- promotion

DType result_dtype(const Tensor& a,
                   const Tensor& b);  // PyTorch's rule with 0-dim tensors and numbers
inline DType float_dtype(DType t) { return is_floating(t) ? t : default_dtype(); }
// int64, contiguous.
Tensor as_index(const Tensor& index);

// ---- loops

// y = kernel over x, same shape and dtype.
void run_unary(UnaryOp op, const Tensor& x, const Tensor& y, double a = 0, double b = 0);
// Every element is `value`. ValueError where an integer dtype cannot hold it.
void fill_with(const char* op, const Tensor& to, Scalar value);
// ValueError for a number (not a tensor) that the integer `dtype` cannot hold.
void check_number_fits(const char* op, const Tensor& value, DType dtype);
void copy_into(const Tensor& to, const Tensor& from);  // broadcast, converted, no history
Tensor zeros(const Shape& shape, DType dtype, Device device = {});
inline Tensor zeros_like(const Tensor& t) { return zeros(t.shape(), t.dtype(), t.device()); }
// Operands that may be missing.
inline void* raw_or_null(const Tensor& t) { return t.defined() ? t.raw() : nullptr; }
inline Tensor contiguous_or_none(const Tensor& t) { return t.defined() ? contiguous(t) : Tensor(); }
// Uninitialised, in pinned memory of the host.
Tensor empty_pinned(const Shape& shape, DType dtype);

// ---- shapes

struct Span {  // a shape seen as (outer, n, inner) around one dimension
  int64_t outer = 1, n = 1, inner = 1;
};
Span span_at(const Shape& shape, int64_t dim);
// Sums g down to `shape`, from which it was broadcast. Differentiable.
Tensor reduce_to(const Tensor& g, const Shape& shape);
// One or two values become two.
std::pair<int64_t, int64_t> pair_of(const char* op, const Dims& values, const char* what);

}  // namespace gs::ops
