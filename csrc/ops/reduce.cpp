// Reductions over any dimensions.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/params/reduce.h"
#include "ops/common.h"

namespace gs::ops {
namespace {

// Which dimensions go, checked and sorted.
struct Axes {
  Dims reduced;  // indices, ascending
  bool mask[kMaxDims] = {};
  Shape kept_shape;   // result with keepdim = false
  Shape ones_shape;   // result with keepdim = true
  int64_t count = 1;  // elements per result
};

Axes axes_of(const char* op, const Tensor& x, const OptionalDims& dim) {
  check_defined(op, x, "input");
  Axes axes;
  if (!dim || dim->empty()) {
    for (int64_t i = 0; i < x.dim(); ++i) axes.mask[i] = true;
  } else {
    for (int64_t d : *dim) {
      const int64_t i = wrap_dim(d, x.dim(), op);
      GS_CHECK(!axes.mask[i], Value, op, "dimension ", d, " appears twice in dim ", *dim, ".");
      axes.mask[i] = true;
    }
  }
  for (int64_t i = 0; i < x.dim(); ++i) {
    axes.ones_shape.push_back(axes.mask[i] ? 1 : x.size(i));
    if (axes.mask[i]) {
      axes.reduced.push_back(i);
      axes.count *= x.size(i);
    } else {
      axes.kept_shape.push_back(x.size(i));
    }
  }
  return axes;
}

Tensor run(ReduceOp op, const Tensor& x, const Axes& axes, bool keepdim, DType dtype) {
  Tensor y = empty(keepdim ? axes.ones_shape : axes.kept_shape, dtype, x.device());
  if (y.numel() == 0) return y;
  Reduce p{};
  p.op = op;
  p.in = x.raw();
  p.out = y.raw();
  p.in_dtype = x.dtype();
  p.out_dtype = dtype;
  for (int64_t i = 0; i < x.dim(); ++i) {
    int64_t* shape = axes.mask[i] ? p.reduced_shape : p.kept_shape;
    int64_t* strides = axes.mask[i] ? p.reduced_strides : p.kept_strides;
    int& n = axes.mask[i] ? p.reduced_ndim : p.kept_ndim;
    shape[n] = x.size(i);
    strides[n++] = x.stride(i);
  }
  kernels::reduce(x.device(), p);
  return y;
}

// g of a reduction, with the reduced dimensions back as ones and spread over x's shape.
Tensor spread(const Tensor& g, const Axes& axes, const Shape& shape) {
  return broadcast_to(reshape(g, axes.ones_shape), shape);
}

DType sum_dtype(DType t, OptionalDType wanted) {
  return wanted.value_or(is_floating(t) ? t : DType::Int64);
}

// x^p of sums x >= 0 for p > 0, with the gradient 0 at 0 instead of 0/0 behind it.
Tensor root(const Tensor& x, double p) {
  if (!needs_grad(x)) return pow(x, p);
  const Tensor zero = eq(x, 0);
  return where(zero, 0.0, pow(where(zero, 1.0, x), p));
}

void check_not_empty(const char* op, const Tensor& x, const Axes& axes) {
  GS_CHECK(axes.count > 0, Value, op, "cannot reduce 0 elements: the input has shape ", x.shape(),
           ".");
}

}  // namespace

// d sum = spread(g)
Tensor sum(const Tensor& x, OptionalDims dim, bool keepdim, OptionalDType dtype) {
  const Axes axes = axes_of("sum", x, dim);
  const DType type = sum_dtype(x.dtype(), dtype);
  Tensor y = run(ReduceOp::Sum, x, axes, keepdim, type);
  if (is_floating(type) && needs_grad(x)) {
    record("sum", y, inputs(x),
           [axes, shape = x.shape(), from = x.dtype()](Backward& b) -> Tensors {
             return {cast(spread(b.grad(), axes, shape), from)};
           });
  }
  return y;
}

// d mean = spread(g) / n
Tensor mean(const Tensor& x, OptionalDims dim, bool keepdim, OptionalDType dtype) {
  const DType type = dtype.value_or(x.dtype());
  GS_CHECK(is_floating(type), Type, "mean", "expected a floating dtype, got ", type,
           "; pass dtype= or convert with .float().");
  const Axes axes = axes_of("mean", x, dim);
  Tensor y = run(ReduceOp::Mean, x, axes, keepdim, type);
  if (needs_grad(x)) {
    record("mean", y, inputs(x),
           [axes, shape = x.shape(), from = x.dtype()](Backward& b) -> Tensors {
             return {cast(spread(div(b.grad(), double(axes.count), ""), axes, shape), from)};
           });
  }
  return y;
}

// The gradient of a product is the product of the others. Without zeros that is y / x; with zeros
// it is built from running products from both ends, so that nothing is divided.
static Tensor others_product(const Tensor& x, int64_t dim) {
  const int64_t n = x.size(dim);
  const auto shifted = [&](const Tensor& t, bool forwards) {
    const Tensor one = full(select(t, dim, 0).shape(), 1.0, t.dtype(), t.device());
    const Tensor edge = unsqueeze(one, dim);
    return forwards ? cat({edge, narrow(t, dim, 0, n - 1)}, dim)
                    : cat({narrow(t, dim, 1, n - 1), edge}, dim);
  };
  const Tensor before = cumprod(shifted(x, true), dim);
  const Tensor after = flip(cumprod(flip(shifted(x, false), {dim}), dim), {dim});
  return mul(before, after);
}

Tensor prod(const Tensor& x, std::optional<int64_t> dim, bool keepdim, OptionalDType dtype) {
  const OptionalDims dims = dim ? OptionalDims(Dims{*dim}) : std::nullopt;
  const Axes axes = axes_of("prod", x, dims);
  const DType type = sum_dtype(x.dtype(), dtype);
  if (type == DType::Bool) return run(ReduceOp::All, x, axes, keepdim, type);
  Tensor y = run(ReduceOp::Prod, x, axes, keepdim, type);
  if (is_floating(type) && needs_grad(x)) {
    record("prod", y, inputs(x), [axes, dim, x = Saved(x), type](Backward& b) -> Tensors {
      const Tensor original = x.get(b), v = cast(original, type);
      const Tensor g = spread(b.grad(), axes, v.shape());
      if (v.numel() == 0) return {zeros_like(original)};
      if (v.dim() == 0) return {cast(g, original.dtype())};
      const Tensor flat = dim ? v : reshape(v, {-1});
      const Tensor others =
          reshape(others_product(flat, dim ? wrap_dim(*dim, v.dim(), "prod") : 0), v.shape());
      return {cast(mul(g, others), original.dtype())};
    });
  }
  return y;
}

// d var = 2 (x - mean) g / (n - correction)
Tensor var(const Tensor& x, OptionalDims dim, double correction, bool keepdim) {
  check_floating("var", x);
  const Axes axes = axes_of("var", x, dim);
  const double divisor = std::max(0.0, double(axes.count) - correction);
  // Kept dimensions first, then the reduced ones as one: a view where the memory allows it.
  Dims order;
  for (int64_t i = 0; i < x.dim(); ++i)
    if (!axes.mask[i]) order.push_back(i);
  for (int64_t i : axes.reduced) order.push_back(i);
  Tensor y;
  {
    autograd::GradGuard no_grad(false);
    const Tensor rows = contiguous(permute(x, order));
    Tensor m = empty(axes.kept_shape, x.dtype(), x.device());
    Tensor m2 = empty(axes.kept_shape, x.dtype(), x.device());
    if (m.numel())
      kernels::moments(x.device(),
                       {rows.raw(), m.raw(), m2.raw(), x.dtype(), m.numel(), axes.count, 1});
    y = div(m2, divisor, "");
    if (keepdim) y = reshape(y, axes.ones_shape);
  }
  if (needs_grad(x)) {
    record("var", y, inputs(x), [axes, divisor, dim, x = Saved(x)](Backward& b) -> Tensors {
      const Tensor v = x.get(b);
      const Tensor centered = sub(v, mean(v, axes.reduced, true, std::nullopt), 1);
      return {mul(mul(centered, 2.0 / divisor), spread(b.grad(), axes, v.shape()))};
    });
  }
  return y;
}

// The gradient at 0, where all elements are equal, is taken as 0.
Tensor std(const Tensor& x, OptionalDims dim, double correction, bool keepdim) {
  return root(var(x, dim, correction, keepdim), 0.5);
}

// The gradient goes to all elements equal to the extreme, in equal shares.
static Tensor extreme(const char* name, ReduceOp op, const Tensor& x, OptionalDims dim,
                      bool keepdim) {
  const Axes axes = axes_of(name, x, dim);
  check_not_empty(name, x, axes);
  Tensor y = run(op, x, axes, keepdim, x.dtype());
  if (is_floating(x.dtype()) && needs_grad(x)) {
    record(name, y, inputs(x), [axes, x = Saved(x), y = Saved::output(y)](Backward& b) -> Tensors {
      const Tensor v = detach(x.get(b));
      const Tensor winner = reshape(detach(y.get(b)), axes.ones_shape);
      const Tensor wins = cast(logical_or(eq(v, winner), isnan(v)), v.dtype());
      const Tensor share =
          div(reshape(b.grad(), axes.ones_shape), sum(wins, axes.reduced, true, std::nullopt), "");
      return {mul(wins, share)};
    });
  }
  return y;
}

Tensor amax(const Tensor& x, OptionalDims dim, bool keepdim) {
  return extreme("amax", ReduceOp::Max, x, dim, keepdim);
}
Tensor amin(const Tensor& x, OptionalDims dim, bool keepdim) {
  return extreme("amin", ReduceOp::Min, x, dim, keepdim);
}

// ---- positions of extremes

namespace {

// Shape with dimension d replaced by 1 or removed.
Shape without(const Shape& shape, int64_t d, bool keepdim) {
  Shape out = shape;
  if (shape.empty()) return out;
  if (keepdim)
    out[d] = 1;
  else
    out.erase(d);
  return out;
}

ValuesIndices arg_extreme(const char* name, const Tensor& input, int64_t dim, bool keepdim,
                          bool largest, bool with_values) {
  const int64_t d = wrap_dim(dim, input.dim(), name);
  const Tensor x = contiguous(input);
  const Span s = span_at(x.shape(), d);
  GS_CHECK(s.n > 0, Index, name, "dimension ", d, " of shape ", x.shape(), " has no elements.");
  const Shape shape = without(x.shape(), d, keepdim);
  ValuesIndices out;
  out.indices = empty(shape, DType::Int64, x.device());
  if (with_values) out.values = empty(shape, x.dtype(), x.device());
  if (out.indices.numel()) {
    kernels::arg_extreme(x.device(),
                         {largest, x.raw(), with_values ? out.values.raw() : nullptr,
                          out.indices.data<int64_t>(), x.dtype(), s.outer, s.n, s.inner});
  }
  return out;
}

// The gradient goes to the one element that was picked.
ValuesIndices extreme_along(const char* name, const Tensor& x, int64_t dim, bool keepdim,
                            bool largest) {
  check_defined(name, x, "input");
  ValuesIndices out;
  {
    autograd::GradGuard no_grad(false);
    out = arg_extreme(name, x, dim, keepdim, largest, true);
  }
  if (is_floating(x.dtype()) && needs_grad(x)) {
    const int64_t d = wrap_dim(dim, x.dim(), name);
    record(name, out.values, inputs(x),
           [d, keepdim, shape = x.shape(), index = Saved(out.indices)](Backward& b) -> Tensors {
             if (shape.empty()) return {b.grad()};
             const Tensor g = keepdim ? b.grad() : unsqueeze(b.grad(), d);
             const Tensor i = keepdim ? index.get(b) : unsqueeze(index.get(b), d);
             return {scatter_add_(zeros(shape, g.dtype(), g.device()), d, i, g)};
           });
  }
  return out;
}

Tensor position(const char* name, const Tensor& x, std::optional<int64_t> dim, bool keepdim,
                bool largest) {
  check_defined(name, x, "input");
  autograd::GradGuard no_grad(false);
  if (dim) return arg_extreme(name, x, *dim, keepdim, largest, false).indices;
  GS_CHECK(x.numel() > 0, Index, name,
           "cannot find a position among 0 elements: the input has shape ", x.shape(), ".");
  const Tensor at = arg_extreme(name, reshape(x, {-1}), 0, false, largest, false).indices;
  return keepdim ? reshape(at, Dims(x.dim(), 1)) : at;
}

}  // namespace

ValuesIndices max_dim(const Tensor& x, int64_t dim, bool keepdim) {
  return extreme_along("max", x, dim, keepdim, true);
}
ValuesIndices min_dim(const Tensor& x, int64_t dim, bool keepdim) {
  return extreme_along("min", x, dim, keepdim, false);
}
Tensor argmax(const Tensor& x, std::optional<int64_t> dim, bool keepdim) {
  return position("argmax", x, dim, keepdim, true);
}
Tensor argmin(const Tensor& x, std::optional<int64_t> dim, bool keepdim) {
  return position("argmin", x, dim, keepdim, false);
}

Tensor all(const Tensor& x, OptionalDims dim, bool keepdim) {
  return run(ReduceOp::All, x, axes_of("all", x, dim), keepdim, DType::Bool);
}
Tensor any(const Tensor& x, OptionalDims dim, bool keepdim) {
  return run(ReduceOp::Any, x, axes_of("any", x, dim), keepdim, DType::Bool);
}
Tensor count_nonzero(const Tensor& x, OptionalDims dim) {
  return run(ReduceOp::CountNonzero, x, axes_of("count_nonzero", x, dim), false, DType::Int64);
}

// m + log(sum(exp(x - m))), m the maximum (0 where it is infinite); its gradient is softmax.
Tensor logsumexp(const Tensor& input, const Dims& dim, bool keepdim) {
  check_defined("logsumexp", input, "input");
  const Tensor x = cast(input, float_dtype(input.dtype()));
  const Axes axes = axes_of("logsumexp", x, dim);
  if (axes.count == 0) return log(sum(x, axes.reduced, keepdim, std::nullopt));
  const Tensor top = detach(amax(detach(x), axes.reduced, true));
  const Tensor m = where(isfinite(top), top, 0.0);
  const Tensor y = add(log(sum(exp(sub(x, m, 1)), axes.reduced, true, std::nullopt)), m, 1);
  return keepdim ? y : reshape(y, axes.kept_shape);
}

// (sum |x|^p)^(1/p). At 0 the gradient is taken as 0, the smallest subgradient.
Tensor norm(const Tensor& input, NormOrder order, OptionalDims dim, bool keepdim,
            OptionalDType dtype) {
  check_defined("norm", input, "input");
  const Tensor x = dtype ? static_cast<Tensor>(cast(input, *dtype)) : input;
  const double p = order.value;
  check_floating("norm", x);
  const Axes axes = axes_of("norm", x, dim);
  const OptionalDims dims = axes.reduced;
  if (std::isinf(p)) return p > 0 ? amax(abs(x), dims, keepdim) : amin(abs(x), dims, keepdim);
  if (p == 0) {
    const Tensor n = cast(count_nonzero(detach(x), dims), x.dtype());
    return keepdim ? reshape(n, axes.ones_shape) : n;
  }
  if (p == 1) return sum(abs(x), dims, keepdim, std::nullopt);
  if (p != 2) {
    if (p < 0) return pow(sum(pow(abs(x), p), dims, keepdim, std::nullopt), 1 / p);
    return root(sum(root(abs(x), p), dims, keepdim, std::nullopt), 1 / p);
  }
  Tensor y;
  {
    autograd::GradGuard no_grad(false);
    y = sqrt(run(ReduceOp::SumSquares, x, axes, keepdim, x.dtype()));
  }
  if (needs_grad(x)) {
    record("norm", y, inputs(x),
           [axes, x = Saved(x), y = Saved::output(y)](Backward& b) -> Tensors {
             const Tensor v = x.get(b), length = spread(y.get(b), axes, v.shape());
             const Tensor unit = div(v, where(eq(length, 0.0), 1.0, length), "");
             return {mul(unit, spread(b.grad(), axes, v.shape()))};
           });
  }
  return y;
}

// ---- running sums and products

namespace {

// Narrower integers go through int64, the only one that the kernels have, and wrap round after it.
Tensor scan(ScanOp op, const Tensor& input, int64_t d, bool reverse) {
  if (!is_floating(input.dtype()) && input.dtype() != DType::Int64)
    return cast(scan(op, cast(input, DType::Int64), d, reverse), input.dtype());
  const Tensor x = contiguous(input);
  Tensor y = empty_like(x);
  const Span s = span_at(x.shape(), d);
  if (y.numel())
    kernels::scan(x.device(), {op, x.raw(), y.raw(), x.dtype(), s.outer, s.n, s.inner, reverse});
  return y;
}

Tensor running_sum(const Tensor& x, int64_t d, bool reverse) {
  Tensor y;
  {
    autograd::GradGuard no_grad(false);
    y = scan(ScanOp::Sum, x, d, reverse);
  }
  if (needs_grad(x)) {
    record("cumsum", y, inputs(x),
           [d, reverse](Backward& b) -> Tensors { return {running_sum(b.grad(), d, !reverse)}; });
  }
  return y;
}

}  // namespace

Tensor cumsum(const Tensor& x, int64_t dim, OptionalDType dtype) {
  check_defined("cumsum", x, "input");
  const int64_t d = wrap_dim(dim, x.dim(), "cumsum");
  return running_sum(cast(x, sum_dtype(x.dtype(), dtype)), d, false);
}

// dx_i = sum over j >= i of g_j y_j / x_i; where x has zeros, from differences of the others'
// products.
Tensor cumprod(const Tensor& input, int64_t dim, OptionalDType dtype) {
  check_defined("cumprod", input, "input");
  const int64_t d = wrap_dim(dim, input.dim(), "cumprod");
  const Tensor x = cast(input, sum_dtype(input.dtype(), dtype));
  Tensor y;
  {
    autograd::GradGuard no_grad(false);
    y = scan(ScanOp::Prod, x, d, false);
  }
  if (is_floating(x.dtype()) && needs_grad(x)) {
    record("cumprod", y, inputs(x), [d, x = Saved(x)](Backward& b) -> Tensors {
      const Tensor v = x.get(b), g = b.grad();
      if (v.dim() == 0 || v.numel() == 0) return {g};
      // dx_i = before_i * sum over j >= i of g_j prod(x[i+1..j]), a recurrence from the end
      const int64_t n = v.size(d);
      Tensors dx(static_cast<size_t>(n));
      Tensor tail = select(g, d, n - 1);
      const Tensor ones = full(tail.shape(), 1.0, g.dtype(), g.device());
      const Tensor before = n > 1 ? cumprod(cat({unsqueeze(ones, d), narrow(v, d, 0, n - 1)}, d), d)
                                  : unsqueeze(ones, d);
      for (int64_t i = n - 1; i >= 0; --i) {
        if (i < n - 1) tail = add(select(g, d, i), mul(select(v, d, i + 1), tail), 1);
        dx[static_cast<size_t>(i)] = mul(select(before, d, i), tail);
      }
      return {stack(dx, d)};
    });
  }
  return y;
}

}  // namespace gs::ops
