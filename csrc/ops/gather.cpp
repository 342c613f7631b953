// Reading and writing along one dimension by index, and orderings.
#include <algorithm>

#include "core/parallel.h"
#include "kernels/params/copy.h"
#include "kernels/params/index.h"
#include "kernels/params/sort.h"
#include "ops/advanced.h"
#include "ops/common.h"
#include "ops/fill.h"

namespace gs::ops {
namespace {

struct Along {
  int64_t dim;
  Tensor index;  // int64, contiguous; its values are yet to be checked
};

// torch.gather's rule: index has x's number of dimensions and is no larger except along dim.
Along along(const char* op, const Tensor& x, int64_t dim, const Tensor& index) {
  check_defined(op, x, "input");
  check_integral(op, index);
  check_same_device(op, {&x, &index});
  const int64_t d = wrap_dim(dim, x.dim(), op);
  bool fits = index.dim() == x.dim();
  for (int64_t i = 0; i < x.dim() && fits; ++i) fits = i == d || index.size(i) <= x.size(i);
  GS_CHECK(fits, Value, op, "expected an index no larger than ", x.shape(), " outside dimension ",
           d, ", got ", index.shape(), ".");
  return {d, as_index(index)};
}

// f(begin, end) on blocks of [0, count), at one of which `each` values of the index and `touched`
// other elements are read or written. A block's index is checked before, so that it is still in the
// cache when it is used: f may only have effects that an error may leave behind.
template <class F>
void in_checked_blocks(const char* op, const Tensor& index, int64_t n, int64_t count,
                       int64_t touched, F f) {
  constexpr int64_t kBlock = 16384, kLeastBlocks = 8;  // fewer are cut by the kernels themselves
  const int64_t each = index.numel() / count;
  const int64_t grain = index.device().is_cpu() && count >= kLeastBlocks
                            ? std::max<int64_t>(kBlock / std::max(each, touched), 1)
                            : count;
  parallel_for(0, count, grain, [&](int64_t begin, int64_t end) {
    if (index.device().is_cpu())
      check_index_range(op, index.device(), index.data<int64_t>() + begin * each,
                        (end - begin) * each, n, "index");
    f(begin, end);
  });
}

// x cut to the index's sizes outside dim, contiguous.
Tensor cut(const Tensor& x, const Along& a) {
  Tensor y = x;
  for (int64_t i = 0; i < x.dim(); ++i)
    if (i != a.dim && a.index.size(i) != x.size(i)) y = narrow(y, i, 0, a.index.size(i));
  return contiguous(y);
}

void scatter_into(const Tensor& out, const Along& a, const Tensor& src, bool add) {
  if (a.index.numel() == 0) return;
  const Tensor from = contiguous(broadcast_to(src, a.index.shape()));
  bool whole = true;
  for (int64_t i = 0; i < out.dim(); ++i)
    whole = whole && (i == a.dim || a.index.size(i) == out.size(i));
  const bool direct = whole && out.is_contiguous();
  // A window is worked on as a contiguous copy and copied back.
  Tensor target = direct ? out : cut(out, a);
  if (!direct && target.body()->storage == out.body()->storage) target = clone(target);
  const Span s = span_at(target.shape(), a.dim);
  const int64_t m = target.dim() ? a.index.size(a.dim) : 1;
  kernels::scatter(out.device(), {from.raw(), a.index.data<int64_t>(), target.raw(), s.n * s.inner,
                                  s.inner, out.dtype(), add, s.outer, s.n, m, s.inner});
  if (direct) return;
  Tensor window = out;
  for (int64_t i = 0; i < out.dim(); ++i)
    if (i != a.dim && a.index.size(i) != out.size(i))
      window = narrow(window, i, 0, a.index.size(i));
  copy_into(window, target);
}

void check_source(const char* op, const Tensor& index, const Tensor& src, DType dtype) {
  GS_CHECK(src.dtype() == dtype || src.body()->wrapped_number, Type, op, "expected src of dtype ",
           dtype, ", got ", src.dtype(), ".");
  check_number_fits(op, src, dtype);
  bool fits = src.dim() == 0 || src.dim() == index.dim();
  for (int64_t i = 0; i < src.dim() && fits; ++i) fits = index.size(i) <= src.size(i);
  GS_CHECK(fits, Value, op, "expected src at least as large as the index ", index.shape(), ", got ",
           src.shape(), ".");
}

Tensor source_for(const Along& a, const Tensor& src, DType dtype) {
  Tensor y = cast(to_device(src, a.index.device()), dtype);
  for (int64_t i = 0; i < y.dim(); ++i)
    if (y.size(i) != a.index.size(i)) y = narrow(y, i, 0, a.index.size(i));
  return y;
}

void record_scatter(const char* name, Tensor& out, const Tensor& x, const Tensor& source,
                    const Along& a, bool add) {
  if (!is_floating(out.dtype()) || !needs_grad(x, source)) return;
  record(name, out, inputs(x, source),
         [add, d = a.dim, index = Saved(a.index), shape = source.shape()](Backward& b) -> Tensors {
           const Tensor g = b.grad(), at = index.get(b);
           return {b.needs(0) ? (add ? g : scatter(g, d, at, 0.0)) : Tensor(),
                   b.needs(1) ? reduce_to(gather(g, d, at), shape) : Tensor()};
         });
}

Tensor scatter_write(const char* name, const Tensor& x, int64_t dim, const Tensor& index,
                     const Tensor& src, bool add) {
  Along a = along(name, x, dim, index);
  check_index_range(name, a.index, x.dim() ? x.size(a.dim) : 1, "index");
  check_source(name, a.index, src, x.dtype());
  const Tensor source = source_for(a, src, x.dtype());
  return autograd::in_place(name, x, [&](const Tensor& old, Tensor& out) {
    {
      autograd::GradGuard no_grad(false);
      scatter_into(out, a, source, add);
    }
    record_scatter(name, out, old, source, a, add);
  });
}

// Into a copy of x. Blocks are copied and written to while they are in the cache.
Tensor scatter_copy(const char* name, const Tensor& x, int64_t dim, const Tensor& index,
                    const Tensor& src, bool add) {
  Along a = along(name, x, dim, index);
  bool whole = x.dim() > 0 && a.index.numel() > 0 && x.is_contiguous();
  for (int64_t i = 0; i < x.dim(); ++i)
    whole = whole && (i == a.dim || a.index.size(i) == x.size(i));
  if (!whole) return scatter_write(name, clone(x), dim, index, src, add);
  check_source(name, a.index, src, x.dtype());
  const Tensor source = source_for(a, src, x.dtype());
  Tensor y = empty(x.shape(), x.dtype(), x.device());
  {
    autograd::GradGuard no_grad(false);
    const Tensor from = contiguous(broadcast_to(source, a.index.shape()));
    const Span s = span_at(x.shape(), a.dim);
    guard_index(name, a.index, s.n, "index");
    const int64_t size = size_of(x.dtype()), slab = s.n * s.inner;
    const int64_t m = a.index.size(a.dim), each = m * s.inner;
    in_checked_blocks(name, a.index, s.n, s.outer, slab, [&](int64_t begin, int64_t end) {
      Loop copy;
      copy.count = 2;
      copy.ndim = 1;
      copy.numel = copy.shape[0] = (end - begin) * slab;
      for (int k = 0; k < 2; ++k)
        copy.operands[k] = {(k == 0 ? y : x).data<char>() + begin * slab * size,
                            x.dtype(),
                            x.device().is_cpu(),
                            {size}};
      kernels::copy(x.device(), {copy});
      kernels::scatter(
          x.device(), {from.data<char>() + begin * each * size,
                       a.index.data<int64_t>() + begin * each, y.data<char>() + begin * slab * size,
                       slab, s.inner, x.dtype(), add, end - begin, s.n, m, s.inner});
    });
  }
  record_scatter(name, y, x, source, a, add);
  return y;
}

}  // namespace

Tensor gather(const Tensor& x, int64_t dim, const Tensor& index) {
  Along a = along("gather", x, dim, index);
  Tensor y = empty(a.index.shape(), x.dtype(), x.device());
  if (y.numel()) {
    autograd::GradGuard no_grad(false);
    const Tensor from = cut(x, a);
    const Span s = span_at(from.shape(), a.dim);
    guard_index("gather", a.index, s.n, "index");
    const int64_t size = size_of(x.dtype()), m = x.dim() ? a.index.size(a.dim) : 1;
    // Blocks of slabs, or of the one slab's rows of indices.
    const bool slabs = s.outer > 1;
    const int64_t count = slabs ? s.outer : m, each = a.index.numel() / count;
    in_checked_blocks("gather", a.index, s.n, count, each, [&](int64_t begin, int64_t end) {
      const int64_t slab = slabs ? begin * s.n * s.inner * size : 0;
      kernels::gather(x.device(),
                      {from.data<char>() + slab, s.n * s.inner, s.inner,
                       a.index.data<int64_t>() + begin * each, y.data<char>() + begin * each * size,
                       size, slabs ? end - begin : 1, s.n, slabs ? m : end - begin, s.inner});
    });
  }
  if (is_floating(x.dtype()) && needs_grad(x)) {
    record("gather", y, inputs(x),
           [d = a.dim, index = Saved(a.index), shape = x.shape()](Backward& b) -> Tensors {
             const Tensor g = b.grad();
             return {scatter_add_(zeros(shape, g.dtype(), g.device()), d, index.get(b), g)};
           });
  }
  return y;
}

Tensor scatter_(const Tensor& x, int64_t dim, const Tensor& index, const Operand& src) {
  return scatter_write("scatter_", x, dim, index, src, false);
}
Tensor scatter_add_(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src) {
  check_defined("scatter_add_", src, "src");
  return scatter_write("scatter_add_", x, dim, index, src, true);
}
Tensor scatter(const Tensor& x, int64_t dim, const Tensor& index, const Operand& src) {
  check_defined("scatter", x, "input");
  return scatter_copy("scatter", x, dim, index, src, false);
}
Tensor scatter_add(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& src) {
  check_defined("scatter_add", src, "src");
  return scatter_copy("scatter_add", x, dim, index, src, true);
}

namespace {

Tensor checked_vector(const char* op, const Tensor& index, int64_t n) {
  check_integral(op, index);
  GS_CHECK(index.dim() <= 1, Value, op, "expected a vector of indices, got shape ", index.shape(),
           ".");
  Tensor at = as_index(index);
  check_index_range(op, at, n, "index");
  return at;
}

// How to read what `at` names along dimension d of an x that is not contiguous, where the offsets
// of its pieces take less memory than a copy of x, and less time.
std::optional<Advanced> without_copy(const Tensor& x, int64_t d, const Tensor& at) {
  constexpr int64_t kOffset = 96;  // bytes that are copied while an offset is worked out
  if (x.is_contiguous() || x.numel() == 0) return std::nullopt;
  Advanced plan(x, d, at);
  int64_t inner;
  plan.split(x, &inner);
  const int64_t each = x.numel() / x.size(d) / inner;  // pieces of one row
  if (at.numel() > x.numel() / kOffset * size_of(x.dtype()) / each) return std::nullopt;
  return plan;
}

// Writes y, (at, the other dimensions of x), from where x lies.
BackgroundTask::Function writer(const Tensor& y, const Tensor& x, const Advanced& plan) {
  int64_t inner;
  const Tensor at = plan.offsets(x, &inner);
  const int64_t size = size_of(x.dtype()), each = at.numel() / std::max<int64_t>(y.size(0), 1);
  return [=, x = detached(x)](int64_t begin, int64_t end) {
    kernels::take(y.device(), {x.raw(), at.data<int64_t>() + begin * each,
                               y.data<char>() + begin * each * inner * size, size,
                               (end - begin) * each, inner});
  };
}

// index_select without a gradient.
Tensor selected(const Tensor& x, int64_t d, const Tensor& at) {
  autograd::GradGuard no_grad(false);
  constexpr int64_t kLarge = 4096;  // elements; fewer are copied in the time of two permutations
  if (!x.is_contiguous() && x.numel() >= kLarge && at.numel() < x.size(d)) {
    // Selected in the order in which x lies in memory, where rows are dense, and then brought into
    // its own: that moves what is selected alone.
    Dims order, back(x.dim(), 0);
    for (int64_t i = 0; i < x.dim(); ++i) order.push_back(i);
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return x.stride(a) > x.stride(b); });
    for (int64_t i = 0; i < x.dim(); ++i) back[order[i]] = i;
    if (!std::is_sorted(order.begin(), order.end()))
      return contiguous(permute(selected(permute(x, order), back[d], at), back));
  }
  if (const auto plan = without_copy(x, d, at)) {
    const Tensor y = empty(plan->shape(x), x.dtype(), x.device());
    if (y.numel()) writer(y, x, *plan)(0, y.size(0));
    return contiguous(plan->to_result(y));
  }
  Shape shape = x.shape();
  shape[d] = at.numel();
  Tensor y = empty(shape, x.dtype(), x.device());
  if (y.numel() == 0) return y;
  const Tensor from = contiguous(x);
  const Span s = span_at(x.shape(), d);
  kernels::index_select(x.device(), {from.raw(), at.data<int64_t>(), y.raw(), size_of(x.dtype()),
                                     s.outer, s.n, at.numel(), s.inner});
  return y;
}

}  // namespace

Tensor index_select(const Tensor& x, int64_t dim, const Tensor& index) {
  check_defined("index_select", x, "input");
  check_same_device("index_select", {&x, &index});
  const int64_t d = wrap_dim(dim, x.dim(), "index_select");
  const Tensor at = checked_vector("index_select", index, x.dim() ? x.size(d) : 1);
  if (x.dim() == 0) return clone(x);
  Tensor y = selected(x, d, at);
  if (is_floating(x.dtype()) && needs_grad(x)) {
    record("index_select", y, inputs(x),
           [d, at = Saved(at), shape = x.shape()](Backward& b) -> Tensors {
             const Tensor g = b.grad();
             return {index_add_(zeros(shape, g.dtype(), g.device()), d, at.get(b), g, 1)};
           });
  }
  return y;
}

// Without a gradient.
Rows rows_of_select(const Tensor& x, const Tensor& index, bool pinned) {
  check_same_device("index_select", {&x, &index});
  autograd::GradGuard no_grad(false);
  const Tensor at = checked_vector("index_select", index, x.size(0));
  Shape shape = x.shape();
  shape[0] = at.numel();
  const Tensor y = pinned && x.device().is_cpu() ? empty_pinned(shape, x.dtype())
                                                 : empty(shape, x.dtype(), x.device());
  if (const auto plan = without_copy(x, 0, at)) return {y, writer(y, x, *plan)};
  const Tensor from = detached(contiguous(x));
  const Span s = span_at(x.shape(), 0);
  const auto write = [=, size = size_of(x.dtype())](int64_t begin, int64_t end) {
    kernels::index_select(
        y.device(), {from.raw(), at.data<int64_t>() + begin,
                     y.data<char>() + begin * s.inner * size, size, 1, s.n, end - begin, s.inner});
  };
  return {y, write};
}

Tensor index_add_(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source,
                  Scalar alpha) {
  check_defined("index_add_", x, "input");
  check_defined("index_add_", source, "source");
  check_same_device("index_add_", {&x, &index, &source});
  check_same_dtype("index_add_", {&x, &source});
  const int64_t d = wrap_dim(dim, x.dim(), "index_add_");
  const Tensor at = checked_vector("index_add_", index, x.dim() ? x.size(d) : 1);
  Shape wanted = x.shape();
  if (!wanted.empty()) wanted[d] = at.numel();
  GS_CHECK(source.shape() == wanted, Value, "index_add_", "expected a source of shape ", wanted,
           ", got ", source.shape(), ".");
  return autograd::in_place("index_add_", x, [&](const Tensor& old, Tensor& out) {
    if (source.numel()) {
      autograd::GradGuard no_grad(false);
      const Tensor from = contiguous(source), target = contiguous(out);
      const Span s = span_at(x.shape(), d);
      kernels::index_add(x.device(), {from.raw(), at.data<int64_t>(), target.raw(), x.dtype(),
                                      s.outer, s.n, at.numel(), s.inner, alpha.to_double()});
      if (!target.same(out)) copy_into(out, target);
    }
    if (!is_floating(x.dtype()) || !needs_grad(old, source)) return;
    record("index_add_", out, inputs(old, source),
           [d, at = Saved(at), alpha](Backward& b) -> Tensors {
             const Tensor g = b.grad();
             return {g, b.needs(1) ? mul(index_select(g, d, at.get(b)), alpha) : Tensor()};
           });
  });
}

Tensor index_add(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source,
                 Scalar alpha) {
  check_defined("index_add", x, "input");
  return index_add_(clone(x), dim, index, source, alpha);
}

Tensor take_along_dim(const Tensor& x, const Tensor& index, int64_t dim) {
  check_integral("take_along_dim", index, "indices");
  GS_CHECK(x.dim() == index.dim(), Value, "take_along_dim",
           "expected indices with the dimensions of shape ", x.shape(), ", got ", index.shape(),
           ".");
  const int64_t d = wrap_dim(dim, x.dim(), "take_along_dim");
  Shape from = x.shape(), at = index.shape();
  if (x.dim()) {
    from[d] = at[d] = 1;
    const Shape both = broadcast(from, at, "take_along_dim");
    from = at = both;
    from[d] = x.size(d);
    at[d] = index.size(d);
  }
  // Negative positions count from the end, as NumPy has them.
  Tensor positions = as_index(index);
  const int64_t n = x.dim() ? x.size(d) : 1;
  if (check_index_range("take_along_dim", positions, n, "index", true) < 0)
    positions = where(lt(positions, 0), add(positions, n, 1), positions);
  return gather(broadcast_to(x, from), d, broadcast_to(positions, at));
}

// ---- orderings

static ValuesIndices ordered(const char* name, const Tensor& input, int64_t k, int64_t dim,
                             bool descending) {
  const int64_t d = wrap_dim(dim, input.dim(), name);
  ValuesIndices out;
  {
    autograd::GradGuard no_grad(false);
    const Tensor x = contiguous(input);
    const Span s = span_at(x.shape(), d);
    Shape shape = x.shape();
    if (!shape.empty()) shape[d] = k;
    out = {empty(shape, x.dtype(), x.device()), empty(shape, DType::Int64, x.device())};
    if (out.values.numel())
      kernels::sort(x.device(), {x.raw(), out.values.raw(), out.indices.data<int64_t>(), x.dtype(),
                                 s.outer, s.n, k, s.inner, descending});
  }
  if (is_floating(input.dtype()) && needs_grad(input)) {
    record(name, out.values, inputs(input),
           [d, at = Saved(out.indices), shape = input.shape()](Backward& b) -> Tensors {
             const Tensor g = b.grad();
             return {scatter_add_(zeros(shape, g.dtype(), g.device()), d, at.get(b), g)};
           });
  }
  return out;
}

ValuesIndices topk(const Tensor& x, int64_t k, int64_t dim, bool largest, bool) {
  check_defined("topk", x, "input");
  const int64_t d = wrap_dim(dim, x.dim(), "topk"), n = x.dim() ? x.size(d) : 1;
  GS_CHECK(k >= 0 && k <= n, Value, "topk", "expected k from 0 to ", n, " (dimension ", d,
           " of shape ", x.shape(), "), got ", k, ".");
  return ordered("topk", x, x.dim() ? k : 1, dim, largest);
}

ValuesIndices sort(const Tensor& x, int64_t dim, bool descending, bool) {
  check_defined("sort", x, "input");
  const int64_t d = wrap_dim(dim, x.dim(), "sort");
  return ordered("sort", x, x.dim() ? x.size(d) : 1, dim, descending);
}

Tensor argsort(const Tensor& x, int64_t dim, bool descending, bool stable) {
  check_defined("argsort", x, "input");
  autograd::GradGuard no_grad(false);
  return sort(x, dim, descending, stable).indices;
}

// out[i] = weight[index[i]]; the gradient of row padding_idx is 0.
Tensor embedding(const Tensor& index, const Tensor& weight, int64_t padding_idx) {
  check_integral("embedding", index);
  check_floating("embedding", weight, "weight");
  check_same_device("embedding", {&index, &weight});
  GS_CHECK(weight.dim() == 2, Value, "embedding", "expected weight of shape (V, D), got ",
           weight.shape(), ".");
  const int64_t rows = weight.size(0), width = weight.size(1);
  GS_CHECK(padding_idx >= -1 && padding_idx < rows, Index, "embedding", "padding_idx ", padding_idx,
           " is out of range for ", rows, " rows.");
  Tensor at = as_index(index);
  check_index_range("embedding", at, rows, "index");
  Shape shape = index.shape();
  shape.push_back(width);
  Tensor y = empty(shape, weight.dtype(), weight.device());
  if (y.numel()) {
    const Tensor table = contiguous(detach(weight));
    kernels::index_select(weight.device(), {table.raw(), at.data<int64_t>(), y.raw(),
                                            size_of(weight.dtype()), 1, rows, at.numel(), width});
  }
  if (needs_grad(weight)) {
    record("embedding", y, inputs(weight),
           [at = Saved(at), padding_idx, rows, width](Backward& b) -> Tensors {
             Tensor g = reshape(b.grad(), {-1, width});
             const Tensor flat = reshape(at.get(b), {-1});
             if (width == 0) g = reshape(b.grad(), {flat.numel(), 0});
             if (padding_idx >= 0) g = masked_fill(g, unsqueeze(eq(flat, padding_idx), 1), 0.0);
             return {index_add_(zeros({rows, width}, g.dtype(), g.device()), 0, flat, g, 1)};
           });
  }
  return y;
}

}  // namespace gs::ops
