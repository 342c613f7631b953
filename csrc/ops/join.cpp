// Operations that move elements into new tensors: joining, repeating, reversing, padding.
#include <algorithm>

#include "autograd/record.h"
#include "kernels/params/index.h"
#include "ops/common.h"

namespace gs::ops {

Tensor cat(const Tensors& tensors, int64_t dim) {
  GS_CHECK(!tensors.empty(), Value, "cat", "expected at least one tensor.");
  for (const Tensor& t : tensors) check_defined("cat", t, "every element");
  // As in PyTorch, tensors of shape (0,) join anything.
  const auto skipped = [](const Tensor& t) { return t.dim() == 1 && t.size(0) == 0; };
  const auto first = std::find_if_not(tensors.begin(), tensors.end(), skipped);
  const Tensor& model = first == tensors.end() ? tensors[0] : *first;
  GS_CHECK(model.dim() > 0, Value, "cat", "0-dimensional tensors cannot be joined; use stack().");
  const int64_t d = wrap_dim(dim, model.dim(), "cat");
  Shape shape = model.shape();
  DType dtype = tensors[0].dtype();
  shape[d] = 0;
  for (const Tensor& t : tensors) {
    check_same_device("cat", {&model, &t});
    dtype = promote(dtype, t.dtype());
    if (skipped(t)) continue;
    bool fits = t.dim() == shape.size();
    for (int64_t i = 0; i < shape.size() && fits; ++i) fits = i == d || t.size(i) == shape[i];
    GS_CHECK(fits, Value, "cat", "expected shapes that agree outside dimension ", d, ", got ",
             model.shape(), " and ", t.shape(), ".");
    shape[d] += t.size(d);
  }
  Tensor y = empty(shape, dtype, model.device());
  int64_t at = 0;
  std::vector<int64_t> lengths;
  for (const Tensor& t : tensors) {
    lengths.push_back(skipped(t) ? -1 : t.size(d));
    if (skipped(t)) continue;
    Shape part = shape;
    part[d] = t.size(d);
    copy_into(alias(y, part, y.strides(), at * y.stride(d)), t);
    at += t.size(d);
  }
  if (is_floating(dtype) && autograd::any_needs_grad(tensors)) {
    autograd::InputList list;
    std::vector<DType> dtypes;
    for (const Tensor& t : tensors) {
      list.push_back(&t);
      dtypes.push_back(t.dtype());
    }
    record("cat", y, list, [d, lengths, dtypes](Backward& b) -> Tensors {
      const Tensor g = b.grad();
      Tensors out(lengths.size());
      int64_t start = 0;
      for (size_t i = 0; i < lengths.size(); ++i) {
        if (lengths[i] < 0) {
          out[i] = zeros({0}, dtypes[i], g.device());
          continue;
        }
        if (b.needs(int(i))) out[i] = cast(narrow(g, d, start, lengths[i]), dtypes[i]);
        start += lengths[i];
      }
      return out;
    });
  }
  return y;
}

Tensor stack(const Tensors& tensors, int64_t dim) {
  GS_CHECK(!tensors.empty(), Value, "stack", "expected at least one tensor.");
  Tensors parts;
  for (const Tensor& t : tensors) {
    check_defined("stack", t, "every element");
    GS_CHECK(t.shape() == tensors[0].shape(), Value, "stack", "expected tensors of one shape, got ",
             tensors[0].shape(), " and ", t.shape(), ".");
    parts.push_back(unsqueeze(t, wrap_dim(dim, t.dim() + 1, "stack")));
  }
  return cat(parts, wrap_dim(dim, tensors[0].dim() + 1, "stack"));
}

// Seen as (1, n1, 1, n2, ...) expanded to (r1, n1, r2, n2, ...) and copied.
Tensor repeat(const Tensor& x, const Dims& repeats) {
  const int64_t lead = repeats.size() - x.dim();
  GS_CHECK(lead >= 0, Value, "repeat", "expected at least ", x.dim(), " repeats for shape ",
           x.shape(), ", got ", repeats, ".");
  Tensor y = x;
  for (int64_t i = 0; i < lead; ++i) y = unsqueeze(y, 0);
  Shape whole;
  for (int64_t i = 0; i < repeats.size(); ++i) {
    GS_CHECK(repeats[i] >= 0, Value, "repeat", "expected repeats of 0 or more, got ", repeats, ".");
    int64_t size;
    GS_CHECK(!__builtin_mul_overflow(y.size(i), repeats[i], &size), Value, "repeat", "repeats ",
             repeats, " overflow.");
    whole.push_back(size);
  }
  checked_numel(whole, "repeat");  // before any part is made
  if (2 * repeats.size() <= kMaxDims) {
    // (r0, s0, r1, s1, ...) by strides of 0, then one copy.
    Shape split, spread;
    for (int64_t i = 0; i < repeats.size(); ++i) {
      split.push_back(1), split.push_back(y.size(i));
      spread.push_back(repeats[i]), spread.push_back(y.size(i));
    }
    y = reshape(expand(reshape(y, split), spread), whole);
  } else {
    for (int64_t i = repeats.size() - 1; i >= 0; --i) {
      if (repeats[i] == 1) continue;
      Shape spread = y.shape(), result = y.shape();
      spread.insert(i, repeats[i]);
      result[i] = whole[i];
      y = reshape(expand(unsqueeze(y, i), spread), result);
    }
  }
  return y.body()->storage == x.body()->storage ? clone(y) : y;
}

Tensor repeat_interleave(const Tensor& x, int64_t repeats, std::optional<int64_t> dim) {
  GS_CHECK(repeats >= 0, Value, "repeat_interleave", "expected repeats of 0 or more, got ", repeats,
           ".");
  if (!dim) return repeat_interleave(reshape(x, {-1}), repeats, 0);
  GS_CHECK(x.dim() > 0, Value, "repeat_interleave", "a 0-dimensional tensor has no dimension ",
           *dim, ".");
  const int64_t d = wrap_dim(*dim, x.dim(), "repeat_interleave");
  Shape spread = x.shape(), result = x.shape();
  spread.insert(d + 1, repeats);
  GS_CHECK(!__builtin_mul_overflow(result[d], repeats, &result[d]), Value, "repeat_interleave",
           "repeats ", repeats, " overflow.");
  const Tensor y = reshape(expand(unsqueeze(x, d + 1), spread), result);
  return y.body()->storage == x.body()->storage ? clone(y) : y;
}

Tensor flip(const Tensor& x, const Dims& dims) {
  bool mask[kMaxDims] = {};
  Strides strides = x.strides();
  for (int64_t dim : dims) {
    const int64_t d = wrap_dim(dim, x.dim(), "flip");
    GS_CHECK(!mask[d], Value, "flip", "dimension ", dim, " appears twice in ", dims, ".");
    mask[d] = x.dim() > 0;
  }
  int64_t offset = x.offset();
  for (int64_t i = 0; i < x.dim() && x.numel(); ++i) {
    if (!mask[i]) continue;
    offset += (x.size(i) - 1) * x.stride(i);
    strides[i] = -strides[i];
  }
  Tensor y = empty(x.shape(), x.dtype(), x.device());
  if (y.numel()) copy_into(y, alias(x, x.shape(), strides, offset));
  if (is_floating(x.dtype()) && needs_grad(x)) {
    record("flip", y, inputs(x), [dims](Backward& b) -> Tensors { return {flip(b.grad(), dims)}; });
  }
  return y;
}

Tensor roll(const Tensor& x, const Dims& shifts, const Dims& dims) {
  if (dims.empty()) {
    GS_CHECK(shifts.size() == 1, Value, "roll", "expected one shift without dims, got ", shifts,
             ".");
    return reshape(roll(reshape(x, {-1}), shifts, {0}), x.shape());
  }
  GS_CHECK(shifts.size() == dims.size(), Value, "roll", "expected as many shifts as dims, got ",
           shifts, " and ", dims, ".");
  Tensor y = x;
  for (int64_t i = 0; i < dims.size(); ++i) {
    GS_CHECK(x.dim() > 0, Index, "roll", "a 0-dimensional tensor has no dimension ", dims[i], ".");
    const int64_t d = wrap_dim(dims[i], x.dim(), "roll"), n = x.size(d);
    if (n == 0) continue;
    const int64_t by = ((shifts[i] % n) + n) % n;
    if (by) y = cat({narrow(y, d, n - by, by), narrow(y, d, 0, n - by)}, d);
  }
  return y.same(x) ? clone(x) : y;
}

static Tensor triangle(const char* name, const Tensor& x, int64_t diagonal, bool upper) {
  GS_CHECK(x.dim() >= 2, Value, name, "expected a matrix or a batch of them, got shape ", x.shape(),
           ".");
  Tensor y;
  {
    autograd::GradGuard no_grad(false);
    const Tensor from = contiguous(x);
    y = empty(x.shape(), x.dtype(), x.device());
    const int64_t rows = x.size(-2), cols = x.size(-1);
    const int64_t k = std::clamp(diagonal, -rows - 1, cols + 1);
    if (y.numel())
      kernels::triangle(x.device(), {from.raw(), y.raw(), size_of(x.dtype()),
                                     x.numel() / (rows * cols), rows, cols, k, upper});
  }
  if (is_floating(x.dtype()) && needs_grad(x)) {
    record(name, y, inputs(x), [name, diagonal, upper](Backward& b) -> Tensors {
      return {triangle(name, b.grad(), diagonal, upper)};
    });
  }
  return y;
}

Tensor tril(const Tensor& x, int64_t diagonal) { return triangle("tril", x, diagonal, false); }
Tensor triu(const Tensor& x, int64_t diagonal) { return triangle("triu", x, diagonal, true); }

// ---- padding

namespace {

Tensor pad_constant(const Tensor& x, const Dims& before, const Dims& after, double value) {
  Shape shape = x.shape();
  Tensor inside = x;
  for (int64_t i = 0; i < x.dim(); ++i) {
    shape[i] += before[i] + after[i];
    GS_CHECK(shape[i] >= 0, Value, "pad", "padding ", before[i], " and ", after[i],
             " leaves less than nothing of dimension ", i, " of shape ", x.shape(), ".");
    if (before[i] < 0) inside = narrow(inside, i, -before[i], inside.size(i) + before[i]);
    if (after[i] < 0) inside = narrow(inside, i, 0, inside.size(i) + after[i]);
  }
  Tensor y = full(shape, value, x.dtype(), x.device());
  int64_t offset = 0;
  for (int64_t i = 0; i < x.dim(); ++i) offset += std::max<int64_t>(0, before[i]) * y.stride(i);
  if (inside.numel()) copy_into(alias(y, inside.shape(), y.strides(), offset), inside);
  if (is_floating(x.dtype()) && needs_grad(inside)) {
    record("pad", y, inputs(inside), [before, inner = inside.shape()](Backward& b) -> Tensors {
      Tensor g = b.grad();
      for (int64_t i = 0; i < inner.size(); ++i)
        g = narrow(g, i, std::max<int64_t>(0, before[i]), inner[i]);
      return {g};
    });
  }
  return y;
}

// The source position of every padded position along one dimension.
Tensor padded_positions(const std::string& mode, int64_t n, int64_t before, int64_t after) {
  Tensor index = empty({n + before + after}, DType::Int64);
  int64_t* p = index.data<int64_t>();
  for (int64_t i = 0; i < index.numel(); ++i) {
    int64_t at = i - before;
    if (mode == "replicate")
      at = std::clamp<int64_t>(at, 0, n - 1);
    else if (mode == "circular")
      at = ((at % n) + n) % n;
    else
      at = at < 0 ? -at : at >= n ? 2 * (n - 1) - at : at;  // reflect
    p[i] = at;
  }
  return index;
}

}  // namespace

Tensor pad(const Tensor& x, const Dims& pad, const std::string& mode, double value) {
  check_defined("pad", x, "input");
  GS_CHECK(pad.size() % 2 == 0 && pad.size() / 2 <= x.dim(), Value, "pad",
           "expected pairs for at most ", x.dim(), " dimensions of shape ", x.shape(), ", got ",
           pad, ".");
  GS_CHECK(mode == "constant" || mode == "reflect" || mode == "replicate" || mode == "circular",
           Value, "pad", "expected mode 'constant', 'reflect', 'replicate' or 'circular', got '",
           mode, "'.");
  Dims before(x.dim(), 0), after(x.dim(), 0);
  for (int64_t i = 0; i < pad.size() / 2; ++i) {
    const int64_t limit = int64_t{1} << 40;
    GS_CHECK(std::max(pad[2 * i], pad[2 * i + 1]) < limit &&
                 std::min(pad[2 * i], pad[2 * i + 1]) > -limit,
             Value, "pad", "padding ", pad, " is larger than any memory.");
    before[x.dim() - 1 - i] = pad[2 * i];
    after[x.dim() - 1 - i] = pad[2 * i + 1];
  }
  if (mode == "constant") return pad_constant(x, before, after, value);
  Tensor y = x;
  for (int64_t d = 0; d < x.dim(); ++d) {
    if (before[d] == 0 && after[d] == 0) continue;
    const int64_t n = x.size(d), longest = mode == "reflect"    ? n - 1
                                           : mode == "circular" ? n
                                                                : int64_t{1} << 40;
    GS_CHECK(
        n > 0 && std::min(before[d], after[d]) >= 0 && std::max(before[d], after[d]) <= longest,
        Value, "pad", "padding ", before[d], " and ", after[d], " does not fit mode '", mode,
        "' and dimension ", d, " of shape ", x.shape(), ".");
    y = index_select(y, d, to_device(padded_positions(mode, n, before[d], after[d]), x.device()));
  }
  return y;
}

}  // namespace gs::ops
