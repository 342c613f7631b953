#include "ops/common.h"
#include "kernels/params/copy.h"
#include "kernels/params/index.h"
#include "kernels/params/unary.h"

#include <cmath>

namespace gs::ops {

void check_defined(const char* op, const Tensor& t, const char* what) {
  GS_CHECK(t.defined(), Type, op, "expected ", what, " to be a tensor, got None.");
}

void check_floating(const char* op, const Tensor& t, const char* what) {
  check_defined(op, t, what);
  GS_CHECK(is_floating(t.dtype()), Type, op, "expected ", what, " of a floating dtype, got ",
           t.dtype(), "; convert it first, for example with .float().");
}

void check_integral(const char* op, const Tensor& t, const char* what) {
  check_defined(op, t, what);
  GS_CHECK(is_integral(t.dtype()), Type, op, "expected ", what, " of an integer dtype, got ",
           t.dtype(), ".");
}

void check_same_device(const char* op, std::initializer_list<const Tensor*> tensors) {
  const Tensor* first = nullptr;
  for (const Tensor* t : tensors) {
    if (!t->defined() || is_host_number(*t)) continue;
    if (!first) first = t;
    GS_CHECK(t->device() == first->device(), Runtime, op,
             "expected all tensors on one device, got ", first->device(), " and ", t->device(),
             ".");
  }
}

void check_same_dtype(const char* op, std::initializer_list<const Tensor*> tensors) {
  const Tensor* first = nullptr;
  for (const Tensor* t : tensors) {
    if (!t->defined()) continue;
    if (!first) first = t;
    GS_CHECK(t->dtype() == first->dtype(), Type, op, "expected all tensors of one dtype, got ",
             first->dtype(), " and ", t->dtype(), ".");
  }
}

bool guard_index(const char* op, Tensor& index, int64_t n, const char* what,
                 bool negative_allowed) {
  if (!index.device().is_cuda()) return false;
  GS_CHECK(n > 0 || index.numel() == 0, Index, op, "any ", what, " is out of range for size ", n,
           ".");
  const int64_t low = negative_allowed ? -n : 0;
  const Tensor safe = empty(index.shape(), DType::Int64, index.device());
  cuda_runtime()->guard_indices({op, what, index.data<int64_t>(), safe.data<int64_t>(),
                                 index.numel(), low, n, low, 0, negative_allowed});
  index = safe;
  return true;
}

int64_t check_index_range(const char* op, Tensor& index, int64_t n, const char* what,
                          bool negative_allowed) {
  if (guard_index(op, index, n, what, negative_allowed)) return 0;
  return check_index_range(op, index.device(), index.data<int64_t>(), index.numel(), n, what,
                           negative_allowed);
}

int64_t check_index_range(const char* op, Device device, const int64_t* index, int64_t count,
                          int64_t n, const char* what, bool negative_allowed) {
  if (count == 0) return 0;
  int64_t low = 0, high = 0;
  kernels::index_range(device, {index, count, &low, &high});
  const int64_t bound = negative_allowed ? -n : 0;
  GS_CHECK(low >= bound && high < n, Index, op, what, " ", low < bound ? low : high,
           " is out of range for size ", n, ".");
  return low;
}

// 0: Python numbers, 1: 0-dimensional tensors, 2: tensors with dimensions. The higher rank decides,
// unless the lower one belongs to a higher category (bool < integer < float).
DType result_dtype(const Tensor& a, const Tensor& b) {
  if (a.dtype() == b.dtype()) return a.dtype();
  const auto rank = [](const Tensor& t) {
    return t.body()->wrapped_number ? 0 : t.dim() == 0 ? 1 : 2;
  };
  const auto category = [](DType t) { return is_floating(t) ? 2 : is_integral(t) ? 1 : 0; };
  const int rank_a = rank(a), rank_b = rank(b);
  if (rank_a == rank_b) return promote(a.dtype(), b.dtype());
  const Tensor& strong = rank_a > rank_b ? a : b;
  const Tensor& weak = rank_a > rank_b ? b : a;
  if (category(weak.dtype()) <= category(strong.dtype())) return strong.dtype();
  // A number brings only its category: a float with an integer tensor gives the default float.
  if (weak.body()->wrapped_number && is_floating(weak.dtype())) return default_dtype();
  return weak.dtype();
}

Tensor as_index(const Tensor& index) { return contiguous(cast(index, DType::Int64)); }

void run_unary(UnaryOp op, const Tensor& x, const Tensor& y, double a, double b) {
  if (y.numel() == 0) return;
  kernels::unary(y.device(), {op, make_loop({&y, &x}), a, b});
}

// NaN, infinities and numbers out of range; a negative one wraps round in uint8, as in PyTorch.
static void check_fits(const char* op, Scalar value, DType dtype) {
  if (!is_integral(dtype)) return;
  const int bits = static_cast<int>(8 * size_of(dtype)) - (dtype == DType::UInt8 ? 0 : 1);
  const double v = std::trunc(value.to_double()), end = std::ldexp(1.0, bits);
  const bool fits = dtype == DType::UInt8 ? std::fabs(v) < end : v >= -end && v < end;
  const bool whole = !value.is_floating() && dtype == DType::Int64;  // needs no rounding
  GS_CHECK(fits || whole, Value, op, "the number ", value.to_double(), " does not fit in dtype ",
           dtype, ".");
}

void fill_with(const char* op, const Tensor& to, Scalar value) {
  check_fits(op, value, to.dtype());
  const double real = value.to_double();
  const int64_t integer = to.dtype() == DType::Bool ? real != 0 : value.to_int();
  if (to.numel()) kernels::fill(to.device(), {make_loop({&to}), real, integer});
}

void check_number_fits(const char* op, const Tensor& value, DType dtype) {
  if (value.body()->wrapped_number) check_fits(op, value.item(), dtype);
}

void copy_into(const Tensor& to, const Tensor& from) {
  if (to.numel() == 0) return;
  kernels::copy(to.device(), {make_loop({&to, &from})});
}

Tensor zeros(const Shape& shape, DType dtype, Device device) {
  Tensor out = empty(shape, dtype, device);
  if (out.numel()) kernels::fill(device, {make_loop({&out}), 0.0, 0});
  return out;
}

Span span_at(const Shape& shape, int64_t dim) {
  Span s;
  for (int64_t i = 0; i < shape.size(); ++i) {
    if (i < dim) s.outer *= shape[i];
    if (i == dim) s.n = shape[i];
    if (i > dim) s.inner *= shape[i];
  }
  return s;
}

Tensor reduce_to(const Tensor& g, const Shape& shape) {
  if (g.shape() == shape) return g;
  const int64_t lead = g.dim() - shape.size();
  Dims dims;
  for (int64_t i = 0; i < g.dim(); ++i)
    if (i < lead || (shape[i - lead] == 1 && g.shape()[i] != 1)) dims.push_back(i);
  Tensor out = dims.empty() ? g : sum(g, dims, true, std::nullopt);
  return lead ? reshape(out, shape) : out;
}

std::pair<int64_t, int64_t> pair_of(const char* op, const Dims& values, const char* what) {
  GS_CHECK(values.size() == 1 || values.size() == 2, Value, op, "expected ", what,
           " to be one int or two, got ", values, ".");
  return {values[0], values.back()};
}

}  // namespace gs::ops
