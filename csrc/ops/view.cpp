// Views: the same memory under other sizes and strides. Each one's gradient is the inverse view or,
// where elements were left out or repeated, a write into zeros.
#include <algorithm>

#include "autograd/view.h"
#include "ops/common.h"

namespace gs::ops {
namespace {

using autograd::mark_view;

// The window (shape, strides, offset) on x's memory, with a rule for its gradient.
template <class Rule>
Tensor make_view(const char* name, const Tensor& x, const Shape& shape, const Strides& strides,
                 int64_t offset, Rule rule) {
  Tensor y = alias(x, shape, strides, offset);
  if (is_floating(x.dtype()) && needs_grad(x)) record(name, y, inputs(x), std::move(rule));
  mark_view(y, x);
  return y;
}

// The gradient of taking `length` positions of dim d from `start` every `step`: zeros elsewhere.
Tensor slice_grad(const Tensor& g, const Shape& shape, int64_t d, int64_t start, int64_t step) {
  Strides strides = contiguous_strides(shape);
  const autograd::Window base{shape, strides, 0};
  autograd::Window window{g.shape(), strides, start * strides[d]};
  window.strides[d] *= step;
  return autograd::add_window(g, base, window);
}

}  // namespace

Tensor view(const Tensor& x, const Dims& wanted) {
  const Shape shape = infer_shape(wanted, x.numel(), x.shape(), "view");
  Strides strides;
  GS_CHECK(view_strides(x.shape(), x.strides(), shape, &strides), Runtime, "view",
           "a tensor of shape ", x.shape(), " and strides ", x.strides(), " cannot be seen as ",
           shape, " without a copy; use reshape().");
  return make_view(
      "view", x, shape, strides, x.offset(),
      [from = x.shape()](Backward& b) -> Tensors { return {reshape(b.grad(), from)}; });
}

Tensor reshape(const Tensor& x, const Dims& wanted) {
  check_defined("reshape", x, "input");
  const Shape shape = infer_shape(wanted, x.numel(), x.shape(), "reshape");
  Strides strides;
  if (!view_strides(x.shape(), x.strides(), shape, &strides)) return reshape(clone(x), shape);
  return make_view(
      "reshape", x, shape, strides, x.offset(),
      [from = x.shape()](Backward& b) -> Tensors { return {reshape(b.grad(), from)}; });
}

Tensor flatten(const Tensor& x, int64_t start_dim, int64_t end_dim) {
  const int64_t first = wrap_dim(start_dim, x.dim(), "flatten"),
                last = wrap_dim(end_dim, x.dim(), "flatten");
  GS_CHECK(first <= last, Value, "flatten", "start_dim ", start_dim, " comes after end_dim ",
           end_dim, " in a tensor of shape ", x.shape(), ".");
  if (x.dim() == 0) return reshape(x, {1});
  Shape shape;
  int64_t joined = 1;
  for (int64_t i = 0; i < x.dim(); ++i) {
    if (i < first || i > last)
      shape.push_back(x.size(i));
    else
      joined *= x.size(i);
    if (i == last) shape.push_back(joined);
  }
  return reshape(x, shape);
}

Tensor unflatten(const Tensor& x, int64_t dim, const Dims& sizes) {
  const int64_t d = wrap_dim(dim, x.dim(), "unflatten");
  GS_CHECK(x.dim() > 0 && !sizes.empty(), Value, "unflatten",
           "expected a tensor with dimensions and sizes, got shape ", x.shape(), " and sizes ",
           sizes, ".");
  const Shape inner = infer_shape(sizes, x.size(d), {x.size(d)}, "unflatten");
  Shape shape;
  for (int64_t i = 0; i < x.dim(); ++i) {
    if (i != d)
      shape.push_back(x.size(i));
    else
      for (int64_t n : inner) shape.push_back(n);
  }
  return view(x, shape);
}

Tensor permute(const Tensor& x, const Dims& dims) {
  GS_CHECK(dims.size() == x.dim(), Value, "permute", "expected ", x.dim(), " dimensions for shape ",
           x.shape(), ", got ", dims, ".");
  Shape shape;
  Strides strides;
  Dims order, inverse(x.dim(), -1);
  for (int64_t i = 0; i < dims.size(); ++i) {
    const int64_t d = wrap_dim(dims[i], x.dim(), "permute");
    GS_CHECK(inverse[d] == -1, Value, "permute", "dimension ", dims[i], " appears twice in ", dims,
             ".");
    inverse[d] = i;
    order.push_back(d);
    shape.push_back(x.size(d));
    strides.push_back(x.stride(d));
  }
  return make_view("permute", x, shape, strides, x.offset(),
                   [inverse](Backward& b) -> Tensors { return {permute(b.grad(), inverse)}; });
}

Tensor transpose(const Tensor& x, int64_t dim0, int64_t dim1) {
  const int64_t a = wrap_dim(dim0, x.dim(), "transpose"), c = wrap_dim(dim1, x.dim(), "transpose");
  Shape shape = x.shape();
  Strides strides = x.strides();
  if (x.dim() > 0) {
    std::swap(shape[a], shape[c]);
    std::swap(strides[a], strides[c]);
  }
  return make_view("transpose", x, shape, strides, x.offset(),
                   [a, c](Backward& b) -> Tensors { return {transpose(b.grad(), a, c)}; });
}

Tensor t(const Tensor& x) {
  GS_CHECK(x.dim() <= 2, Value, "t", "expected a matrix or a vector, got shape ", x.shape(), ".");
  return x.dim() < 2 ? x : transpose(x, 0, 1);
}

Tensor movedim(const Tensor& x, const Dims& source, const Dims& destination) {
  GS_CHECK(source.size() == destination.size(), Value, "movedim",
           "expected as many sources as destinations, got ", source, " and ", destination, ".");
  Dims order(x.dim(), -1);
  bool moved[kMaxDims] = {};
  for (int64_t i = 0; i < source.size(); ++i) {
    const int64_t from = wrap_dim(source[i], x.dim(), "movedim"),
                  to = wrap_dim(destination[i], x.dim(), "movedim");
    GS_CHECK(x.dim() > 0 && !moved[from] && order[to] == -1, Value, "movedim",
             "repeated dimension in ", source, " or ", destination, ".");
    moved[from] = true;
    order[to] = from;
  }
  int64_t next = 0;
  for (int64_t i = 0; i < x.dim(); ++i) {
    if (order[i] != -1) continue;
    while (moved[next]) ++next;
    order[i] = next++;
  }
  return permute(x, order);
}

Tensor squeeze(const Tensor& x, OptionalDims dim) {
  bool mask[kMaxDims] = {};
  if (dim) {
    for (int64_t d : *dim) mask[wrap_dim(d, x.dim(), "squeeze")] = true;
  }
  Shape shape;
  Strides strides;
  for (int64_t i = 0; i < x.dim(); ++i) {
    if (x.size(i) == 1 && (!dim || mask[i])) continue;
    shape.push_back(x.size(i));
    strides.push_back(x.stride(i));
  }
  return make_view(
      "squeeze", x, shape, strides, x.offset(),
      [from = x.shape()](Backward& b) -> Tensors { return {reshape(b.grad(), from)}; });
}

Tensor unsqueeze(const Tensor& x, int64_t dim) {
  const int64_t d = wrap_dim(dim, x.dim() + 1, "unsqueeze");
  Shape shape = x.shape();
  Strides strides = x.strides();
  strides.insert(d, d < x.dim() ? x.size(d) * x.stride(d) : 1);
  shape.insert(d, 1);
  return make_view(
      "unsqueeze", x, shape, strides, x.offset(),
      [from = x.shape()](Backward& b) -> Tensors { return {reshape(b.grad(), from)}; });
}

Tensor expand(const Tensor& x, const Dims& sizes) {
  const int64_t lead = sizes.size() - x.dim();
  GS_CHECK(lead >= 0, Value, "expand", "expected at least ", x.dim(), " sizes for shape ",
           x.shape(), ", got ", sizes, ".");
  Shape shape;
  Strides strides;
  for (int64_t i = 0; i < sizes.size(); ++i) {
    const int64_t have = i < lead ? 1 : x.size(i - lead);
    const int64_t want = sizes[i] == -1 && i >= lead ? have : sizes[i];
    GS_CHECK(want >= 0 && (have == want || have == 1), Value, "expand", "cannot expand shape ",
             x.shape(), " to ", sizes, ": size ", have, " at dimension ", i, " is not 1.");
    shape.push_back(want);
    strides.push_back(i < lead || have != want ? 0 : x.stride(i - lead));
  }
  checked_numel(shape, "expand");
  return make_view(
      "expand", x, shape, strides, x.offset(),
      [from = x.shape()](Backward& b) -> Tensors { return {reduce_to(b.grad(), from)}; });
}

Tensor broadcast_to(const Tensor& x, const Dims& shape) {
  return x.shape() == shape ? x : expand(x, shape);
}

Tensor slice(const Tensor& x, int64_t dim, std::optional<int64_t> start,
             std::optional<int64_t> stop, int64_t step) {
  GS_CHECK(x.dim() > 0, Index, "slice", "a 0-dimensional tensor cannot be sliced.");
  const int64_t d = wrap_dim(dim, x.dim(), "slice"), n = x.size(d);
  GS_CHECK(step > 0, Value, "slice", "expected a step above 0, got ", step,
           "; use flip() to reverse.");
  const auto bound = [n](int64_t v) { return std::clamp<int64_t>(v < 0 ? v + n : v, 0, n); };
  const int64_t from = bound(start.value_or(0)), to = std::max(from, bound(stop.value_or(n)));
  const int64_t length = to > from ? (to - from - 1) / step + 1 : 0;
  Shape shape = x.shape();
  Strides strides = x.strides();
  shape[d] = length;
  // A length of 0 or 1 leaves the stride without a meaning; keeping the old one avoids overflow.
  if (length > 1) strides[d] *= step;
  const int64_t offset = x.offset() + (length ? from * x.stride(d) : 0);
  return make_view(
      "slice", x, shape, strides, offset,
      [from, d, step = length > 1 ? step : 1, whole = x.shape()](Backward& b) -> Tensors {
        return {slice_grad(b.grad(), whole, d, b.grad().numel() ? from : 0, step)};
      });
}

Tensor narrow(const Tensor& x, int64_t dim, int64_t start, int64_t length) {
  GS_CHECK(x.dim() > 0, Value, "narrow", "a 0-dimensional tensor cannot be narrowed.");
  const int64_t d = wrap_dim(dim, x.dim(), "narrow"), n = x.size(d);
  const int64_t from = start < 0 ? start + n : start;
  GS_CHECK(from >= 0 && length >= 0 && from <= n && length <= n - from, Index, "narrow", "start ",
           start, " and length ", length, " do not fit dimension ", d, " of size ", n, ".");
  return slice(x, d, from, from + length, 1);
}

Tensor select(const Tensor& x, int64_t dim, int64_t index) {
  GS_CHECK(x.dim() > 0, Index, "select", "a 0-dimensional tensor has no positions.");
  const int64_t d = wrap_dim(dim, x.dim(), "select"), n = x.size(d);
  GS_CHECK(index >= -n && index < n, Index, "select", "index ", index,
           " is out of range for dimension ", d, " of size ", n, ".");
  const int64_t at = index < 0 ? index + n : index;
  Shape shape = x.shape();
  Strides strides = x.strides();
  shape.erase(d);
  strides.erase(d);
  return make_view("select", x, shape, strides, x.offset() + at * x.stride(d),
                   [at, d, whole = x.shape()](Backward& b) -> Tensors {
                     return {slice_grad(unsqueeze(b.grad(), d), whole, d, at, 1)};
                   });
}

Tensor as_strided(const Tensor& x, const Dims& size, const Dims& stride,
                  std::optional<int64_t> storage_offset) {
  GS_CHECK(size.size() == stride.size(), Value, "as_strided",
           "expected as many strides as sizes, got ", size, " and ", stride, ".");
  const int64_t numel = checked_numel(size, "as_strided"),
                offset = storage_offset.value_or(x.offset());
  int64_t last = offset;
  for (int64_t i = 0; i < size.size() && numel; ++i) {
    int64_t span;
    GS_CHECK(stride[i] >= 0, Value, "as_strided", "expected strides of 0 or more, got ", stride,
             ".");
    GS_CHECK(!__builtin_mul_overflow(size[i] - 1, stride[i], &span) &&
                 !__builtin_add_overflow(last, span, &last),
             Value, "as_strided", "sizes ", size, " and strides ", stride, " overflow.");
  }
  const int64_t have = x.body()->storage->bytes() / size_of(x.dtype());
  GS_CHECK(offset >= 0 && (numel == 0 ? offset <= have : last < have), Value, "as_strided",
           "sizes ", size, ", strides ", stride, " and offset ", offset, " reach past the ", have,
           " elements of the storage.");
  const autograd::Window base = autograd::window_of(x), window{size, stride, offset};
  if (needs_grad(x)) {
    GS_CHECK(is_dense(base.shape, base.strides) &&
                 (numel == 0 || (offset >= base.offset && last < base.offset + x.numel())),
             Runtime, "as_strided",
             "a differentiable view must stay inside its tensor; detach() or clone() it first.");
  }
  return make_view("as_strided", x, size, stride, offset, [base, window](Backward& b) -> Tensors {
    return {autograd::add_window(b.grad(), base, window)};
  });
}

Tensor diagonal(const Tensor& x, int64_t offset, int64_t dim1, int64_t dim2) {
  const int64_t a = wrap_dim(dim1, x.dim(), "diagonal"), c = wrap_dim(dim2, x.dim(), "diagonal");
  GS_CHECK(x.dim() >= 2 && a != c, Value, "diagonal",
           "expected two different dimensions of a matrix, got ", dim1, " and ", dim2,
           " for shape ", x.shape(), ".");
  const int64_t rows = x.size(a), cols = x.size(c);
  const int64_t down = offset < 0 ? (offset < -rows ? rows : -offset) : 0,
                right = offset > 0 ? std::min(offset, cols) : 0;
  const int64_t length = std::max<int64_t>(0, std::min(rows - down, cols - right));
  Shape shape = x.shape();
  Strides strides = x.strides();
  const int64_t stride = x.stride(a) + x.stride(c);
  const int64_t at = x.offset() + (length ? down * x.stride(a) + right * x.stride(c) : 0);
  for (int64_t d : {std::max(a, c), std::min(a, c)}) {
    shape.erase(d);
    strides.erase(d);
  }
  shape.push_back(length);
  strides.push_back(stride);
  // The gradient is written along the same diagonal of contiguous zeros.
  autograd::Window base{x.shape(), contiguous_strides(x.shape()), 0}, window{shape, {}, 0};
  for (int64_t i = 0; i < x.dim(); ++i)
    if (i != a && i != c) window.strides.push_back(base.strides[i]);
  window.strides.push_back(base.strides[a] + base.strides[c]);
  window.offset = length ? down * base.strides[a] + right * base.strides[c] : 0;
  return make_view("diagonal", x, shape, strides, at, [base, window](Backward& b) -> Tensors {
    return {autograd::add_window(b.grad(), base, window)};
  });
}

Tensor unfold(const Tensor& x, int64_t dimension, int64_t size, int64_t step) {
  const int64_t d = wrap_dim(dimension, x.dim(), "unfold"), n = x.dim() ? x.size(d) : 1;
  GS_CHECK(size >= 0 && size <= n, Value, "unfold", "expected a window of 0 to ", n,
           " positions, got ", size, ".");
  GS_CHECK(step > 0, Value, "unfold", "expected a step above 0, got ", step, ".");
  const auto windows = [&](const Shape& sizes, const Strides& from, int64_t offset) {
    autograd::Window w{sizes, from, offset};
    const int64_t stride = from.empty() ? 1 : from[d];
    if (!sizes.empty()) {
      w.shape[d] = (n - size) / step + 1;
      w.strides[d] = w.shape[d] > 1 ? stride * step : stride;
    }
    w.shape.push_back(size);
    w.strides.push_back(stride);
    return w;
  };
  const autograd::Window window = windows(x.shape(), x.strides(), x.offset());
  const Strides plain = contiguous_strides(x.shape());
  return make_view(
      "unfold", x, window.shape, window.strides, window.offset,
      [base = autograd::Window{x.shape(), plain, 0}, w = windows(x.shape(), plain, 0)](
          Backward& b) -> Tensors { return {autograd::add_window(b.grad(), base, w)}; });
}

Tensors split(const Tensor& x, const Dims& sizes, int64_t dim) {
  GS_CHECK(x.dim() > 0, Value, "split", "a 0-dimensional tensor cannot be split.");
  const int64_t d = wrap_dim(dim, x.dim(), "split");
  Tensors out;
  int64_t at = 0, total = 0;
  bool overflow = false;
  for (int64_t n : sizes) {
    GS_CHECK(n >= 0, Value, "split", "expected sizes of 0 or more, got ", sizes, ".");
    overflow |= __builtin_add_overflow(total, n, &total);
  }
  GS_CHECK(!overflow && total == x.size(d), Value, "split", "expected sizes that add up to ",
           x.size(d), " (dimension ", d, " of shape ", x.shape(), "), got ", sizes, ".");
  for (int64_t n : sizes) {
    out.push_back(narrow(x, d, at, n));
    at += n;
  }
  return out;
}

Tensors chunk(const Tensor& x, int64_t chunks, int64_t dim) {
  GS_CHECK(chunks > 0, Value, "chunk", "expected chunks above 0, got ", chunks, ".");
  GS_CHECK(x.dim() > 0, Value, "chunk", "a 0-dimensional tensor cannot be split.");
  const int64_t d = wrap_dim(dim, x.dim(), "chunk"), n = x.size(d),
                each = std::max<int64_t>(1, n / chunks + (n % chunks != 0));
  Tensors out;
  for (int64_t at = 0; at < n || out.empty(); at += each)
    out.push_back(narrow(x, d, at, std::min(each, n - at)));
  return out;
}

Tensors unbind(const Tensor& x, int64_t dim) {
  GS_CHECK(x.dim() > 0, Value, "unbind", "a 0-dimensional tensor cannot be taken apart.");
  const int64_t d = wrap_dim(dim, x.dim(), "unbind");
  Tensors out;
  for (int64_t i = 0; i < x.size(d); ++i) out.push_back(select(x, d, i));
  return out;
}

}  // namespace gs::ops
