// Advanced indexing: integer and bool tensors as indices, with NumPy's rules.
#include <algorithm>
#include <vector>

#include "core/parallel.h"
#include "kernels/params/index.h"

#include "ops/advanced.h"
#include "ops/common.h"

namespace gs::ops {

namespace {

// Flat positions of the true elements: counted first, so that they fill their memory.
Tensor positions_in(const Tensor& mask) {
  int64_t count = 0;
  if (mask.numel())
    kernels::nonzero(mask.device(), {mask.data<bool>(), mask.numel(), nullptr, &count});
  Tensor out = empty({count}, DType::Int64, mask.device());
  if (count)
    kernels::nonzero(mask.device(), {mask.data<bool>(), mask.numel(), out.data<int64_t>(), &count});
  return out;
}

// The integer indices of a bool mask's true elements, one tensor per dimension of the mask.
Tensors positions_of(const Tensor& mask) {
  if (mask.dim() == 1) return {positions_in(contiguous(mask))};
  const Tensor rows = nonzero(mask);
  Tensors out;
  for (int64_t i = 0; i < mask.dim(); ++i) out.push_back(contiguous(select(rows, 1, i)));
  return out;
}

// True when a mask of several dimensions can be seen as one flat mask over one flat dimension of x.
bool has_wide_mask(const Tensor& x, const Tensors& indices) {
  bool wide = false;
  int64_t at = 0;
  for (const Tensor& t : indices) {
    const bool mask = t.defined() && t.dtype() == DType::Bool;
    for (int64_t i = 0; mask && i < t.dim(); ++i)
      if (at + i >= x.dim() || t.size(i) != x.size(at + i)) return false;
    wide = wide || (mask && t.dim() > 1);
    at += mask ? t.dim() : 1;
  }
  return wide && at <= x.dim() && x.numel() > 0 && x.is_contiguous();
}

// x[indices] with such masks flattened: positions in them are offsets, with no coordinates between.
Tensor index_flat(const Tensor& x, const Tensors& indices) {
  Shape shape;
  Tensors flat;
  int64_t at = 0;
  for (const Tensor& t : indices) {
    const bool mask = t.defined() && t.dtype() == DType::Bool;
    const int64_t dims = mask ? t.dim() : 1;
    int64_t size = 1;
    for (int64_t i = 0; i < dims; ++i) size *= x.size(at++);
    if (dims > 0) shape.push_back(size);
    flat.push_back(mask && dims > 1 ? reshape(t, {-1}) : t);
  }
  while (at < x.dim()) shape.push_back(x.size(at++));
  return index(reshape(x, shape), flat);
}

}  // namespace

Advanced::Advanced(const char* op, const Tensor& x, const Tensors& indices) {
  autograd::GradGuard no_grad(false);
  std::vector<bool> from_mask;  // per dimension: the index is in range
  for (const Tensor& t : indices) {
    from_mask.resize(index.size(), true);
    if (!t.defined()) {
      index.push_back(t);
      continue;
    }
    check_same_device(op, {&x, &t});
    if (t.dtype() == DType::Bool) {
      const int64_t at = static_cast<int64_t>(index.size());
      for (int64_t i = 0; i < t.dim(); ++i) {
        GS_CHECK(at + i < x.dim() && t.size(i) == x.size(at + i), Index, op, "a mask of shape ",
                 t.shape(), " does not fit a tensor of shape ", x.shape(), " at dimension ", at,
                 ".");
      }
      for (Tensor& p : positions_of(t)) index.push_back(std::move(p));
    } else {
      check_integral(op, t, "an index");
      from_mask.push_back(false);
      index.push_back(t);
    }
  }
  GS_CHECK(static_cast<int64_t>(index.size()) <= x.dim(), Index, op, "too many indices (",
           index.size(), ") for a tensor of shape ", x.shape(), ".");
  index.resize(static_cast<size_t>(x.dim()));
  from_mask.resize(index.size(), true);
  bool first = true;
  for (int64_t d = 0; d < x.dim(); ++d) {
    const Tensor& t = index[static_cast<size_t>(d)];
    if (!t.defined()) {
      rest.push_back(d);
      continue;
    }
    common = first ? t.shape() : broadcast(common, t.shape(), op);
    first = false;
    advanced.push_back(d);
  }
  GS_CHECK(!advanced.empty(), Index, op, "expected at least one index.");
  for (int64_t d : advanced) {
    Tensor& t = index[static_cast<size_t>(d)];
    t = as_index(t);
    GS_CHECK(t.numel() == 0 || x.size(d) > 0, Index, op, "cannot index dimension ", d, " of shape ",
             x.shape(), ": it has no elements.");
    const bool known = from_mask[static_cast<size_t>(d)];
    if (!known && check_index_range(op, t, x.size(d), "index", true) < 0)
      t = where(lt(t, 0), add(t, x.size(d), 1), t);
    t = contiguous(broadcast_to(t, common));
  }
  // Adjacent indices leave their dimensions in place, separated ones move them to the front.
  place = advanced.back() - advanced[0] == advanced.size() - 1 ? advanced[0] : 0;
}

Advanced::Advanced(const Tensor& x, int64_t dim, const Tensor& at)
    : common({at.numel()}), place(dim) {
  index.resize(static_cast<size_t>(x.dim()));
  index[static_cast<size_t>(dim)] = at;
  for (int64_t d = 0; d < x.dim(); ++d) (d == dim ? advanced : rest).push_back(d);
}

Shape Advanced::shape(const Tensor& x) const {
  Shape out = common;
  for (int64_t d : rest) out.push_back(x.size(d));
  return out;
}

int64_t Advanced::split(const Tensor& x, int64_t* inner) const {
  int64_t tail = rest.size();
  *inner = 1;
  while (tail > 0 && (x.stride(rest[tail - 1]) == *inner || x.size(rest[tail - 1]) == 1))
    *inner *= x.size(rest[--tail]);
  return tail;
}

Tensor Advanced::offsets(const Tensor& x, int64_t* inner) const {
  const int64_t tail = split(x, inner);
  if (tail == 0 && advanced.size() == 1 && x.stride(advanced[0]) == 1)
    return index[static_cast<size_t>(advanced[0])];
  int64_t per_index = 1, rows = 1;
  for (int64_t i = 0; i < tail; ++i) per_index *= x.size(rest[i]);
  for (int64_t n : common) rows *= n;
  if (!x.device().is_cpu()) return device_offsets(x, rows, tail);
  Tensor out = empty({rows, per_index}, DType::Int64);
  int64_t* p = out.data<int64_t>();
  if (out.numel() == 0) return out;
  parallel_for(0, rows, 32768, [&](int64_t begin, int64_t end) {
    std::fill(p + begin, p + end, 0);
    for (int64_t d : advanced) {
      const int64_t* from = index[static_cast<size_t>(d)].data<int64_t>();
      const int64_t stride = x.stride(d);
      for (int64_t i = begin; i < end; ++i) p[i] += from[i] * stride;
    }
  });
  for (int64_t i = rows - 1; i >= 0 && per_index > 1;
       --i) {  // from the back: row i spreads over i * per_index
    const int64_t start = p[i];
    int64_t at[kMaxDims] = {};
    for (int64_t j = 0; j < per_index; ++j) {
      int64_t offset = start;
      for (int64_t k = 0; k < tail; ++k) offset += at[k] * x.stride(rest[k]);
      p[i * per_index + j] = offset;
      for (int64_t k = tail - 1; k >= 0 && ++at[k] == x.size(rest[k]); --k) at[k] = 0;
    }
  }
  return out;
}

// The same out of operations: what the indices contribute, and what a place within a row does.
Tensor Advanced::device_offsets(const Tensor& x, int64_t rows, int64_t tail) const {
  Tensor out;
  for (int64_t d : advanced) {
    const Tensor part = mul(reshape(index[static_cast<size_t>(d)], {rows, 1}), x.stride(d));
    out = out.defined() ? add(out, part, 1) : part;
  }
  for (int64_t k = 0; k < tail; ++k) {
    const int64_t n = x.size(rest[k]), stride = x.stride(rest[k]);
    const Tensor steps = mul(arange(0, n, 1, DType::Int64, x.device()), stride);
    out = reshape(add(unsqueeze(out, -1), steps, 1), {rows, out.size(1) * n});
  }
  return out;
}

Tensor Advanced::to_result(const Tensor& t) const {
  if (place == 0) return t;
  Dims order;
  const int64_t n = common.size();
  for (int64_t i = 0; i < place; ++i) order.push_back(n + i);
  for (int64_t i = 0; i < n; ++i) order.push_back(i);
  for (int64_t i = n + place; i < t.dim(); ++i) order.push_back(i);
  return permute(t, order);
}

Tensor Advanced::from_result(const Tensor& t) const {
  if (place == 0) return t;
  Dims order;
  for (int64_t i = 0; i < common.size(); ++i) order.push_back(place + i);
  for (int64_t i = 0; i < place; ++i) order.push_back(i);
  for (int64_t i = place + common.size(); i < t.dim(); ++i) order.push_back(i);
  return permute(t, order);
}

namespace {

// values, laid out as plan.shape(), written at the plan's places of x.
void put_into(const Tensor& x, const Advanced& plan, const Tensor& values, bool add) {
  int64_t inner;
  const Tensor at = plan.offsets(x, &inner), rows = contiguous(values);
  if (at.numel() == 0 || inner == 0) return;
  int64_t extent = 1;
  for (int64_t d = 0; d < x.dim(); ++d) extent += (x.size(d) - 1) * x.stride(d);
  kernels::put(x.device(), {rows.raw(), inner, at.data<int64_t>(), x.raw(), x.dtype(), add,
                            at.numel(), inner, extent});
}

// zeros(shape) with g added at the indices: the transpose of index().
Tensor index_grad(const Tensor& g, const Tensors& indices, const Shape& shape) {
  Tensor dx = zeros(shape, g.dtype(), g.device());
  {
    autograd::GradGuard no_grad(false);
    const Advanced plan("index", dx, indices);
    put_into(dx, plan, plan.from_result(g), true);
  }
  if (needs_grad(g)) {
    record("index_grad", dx, inputs(g),
           [indices](Backward& b) -> Tensors { return {index(b.grad(), indices)}; });
  }
  return dx;
}

}  // namespace

Tensor index(const Tensor& x, const Tensors& indices) {
  check_defined("index", x, "input");
  if (has_wide_mask(x, indices)) return index_flat(x, indices);
  Tensor y;
  Tensors fixed;
  {
    autograd::GradGuard no_grad(false);
    const Advanced plan("index", x, indices);
    fixed = plan.index;
    int64_t inner;
    const Tensor at = plan.offsets(x, &inner);
    y = empty(plan.shape(x), x.dtype(), x.device());
    if (y.numel())
      kernels::take(x.device(),
                    {x.raw(), at.data<int64_t>(), y.raw(), size_of(x.dtype()), at.numel(), inner});
    y = plan.to_result(y);
  }
  if (is_floating(x.dtype()) && needs_grad(x)) {
    std::vector<Saved> saved(fixed.begin(), fixed.end());
    record("index", y, inputs(x), [saved, shape = x.shape()](Backward& b) -> Tensors {
      Tensors list;
      for (const Saved& s : saved) list.push_back(s.get(b));
      return {index_grad(b.grad(), list, shape)};
    });
  }
  return y;
}

Tensor index_put_(const Tensor& x, const Tensors& indices, const Operand& values, bool accumulate) {
  check_defined("index_put_", x, "input");
  const Advanced plan("index_put_", x, indices);
  const Tensor window =
      plan.to_result(empty_strided(plan.shape(x), Strides(plan.shape(x).size(), 0), x.dtype()));
  GS_CHECK(broadcast(window.shape(), values.shape(), "index_put_") == window.shape(), Value,
           "index_put_", "expected values that broadcast to shape ", window.shape(), ", got ",
           values.shape(), ".");
  check_same_device("index_put_", {&x, &values});
  check_number_fits("index_put_", values, x.dtype());
  return autograd::in_place("index_put_", x, [&](const Tensor& old, Tensor& out) {
    {
      autograd::GradGuard no_grad(false);
      const Tensor spread =
          broadcast_to(cast(to_device(clone(values), out.device()), out.dtype()), window.shape());
      put_into(out, plan, plan.from_result(spread), accumulate);
    }
    if (!is_floating(out.dtype()) || !needs_grad(old, values)) return;
    const Tensor& source = values;
    record("index_put_", out, inputs(old, source),
           [list = plan.index, accumulate, shape = values.shape(),
            dtype = values.dtype()](Backward& b) -> Tensors {
             const Tensor g = b.grad();
             Tensor dold, dvalues;
             if (b.needs(0)) dold = accumulate ? g : index_put_(clone(g), list, 0.0, false);
             if (b.needs(1)) dvalues = cast(reduce_to(index(g, list), shape), dtype);
             return {dold, dvalues};
           });
  });
}

Tensor nonzero(const Tensor& x) {
  check_defined("nonzero", x, "input");
  autograd::GradGuard no_grad(false);
  const Tensor flat = positions_in(contiguous(x.dtype() == DType::Bool ? x : ne(x, 0)));
  if (x.dim() == 1) return reshape(flat, {-1, 1});
  const int64_t ndim = x.dim(), last = ndim - 1;
  Tensor out = empty({flat.numel(), ndim}, DType::Int64, x.device());
  if (out.numel() == 0) return out;
  if (!x.device().is_cpu()) {
    Tensor at = flat;
    for (int64_t d = last; d >= 0; --d) {
      copy_into(select(out, 1, d), remainder(at, x.size(d)));
      at = floor_divide(at, x.size(d));
    }
    return out;
  }
  const int64_t* from = flat.data<int64_t>();
  int64_t* to = out.data<int64_t>();
  const int64_t inner = x.size(last);
  parallel_for(0, flat.numel(), 16384, [&](int64_t begin, int64_t end) {
    int64_t row[kMaxDims], start = -inner;  // coordinates of a row, worked out when it begins
    for (int64_t i = begin; i < end; ++i) {
      if (from[i] >= start + inner) {
        int64_t at = from[i] / inner;
        start = at * inner;
        for (int64_t d = last - 1; d >= 0; --d) {
          row[d] = at % x.size(d);
          at /= x.size(d);
        }
      }
      for (int64_t d = 0; d < last; ++d) to[i * ndim + d] = row[d];
      to[i * ndim + last] = from[i] - start;
    }
  });
  return out;
}

static void check_mask(const char* op, const Tensor& mask) {
  check_defined(op, mask, "mask");
  GS_CHECK(mask.dtype() == DType::Bool, Type, op, "expected a mask of dtype bool, got ",
           mask.dtype(), ".");
}

Tensor masked_select(const Tensor& x, const Tensor& mask) {
  check_mask("masked_select", mask);
  const Shape shape = broadcast(x.shape(), mask.shape(), "masked_select");
  if (shape.empty()) return index(reshape(x, {1}), {reshape(mask, {1})});
  return index(broadcast_to(x, shape), {broadcast_to(mask, shape)});
}

Tensor masked_fill(const Tensor& x, const Tensor& mask, const Operand& value) {
  check_mask("masked_fill", mask);
  GS_CHECK(value.dim() == 0, Value, "masked_fill", "expected one value, got a tensor of shape ",
           value.shape(), ".");
  check_number_fits("masked_fill", value, x.dtype());
  return where(mask, cast(value, x.dtype()), x);
}

Tensor masked_fill_(const Tensor& x, const Tensor& mask, const Operand& value) {
  check_mask("masked_fill_", mask);
  GS_CHECK(broadcast(x.shape(), mask.shape(), "masked_fill_") == x.shape(), Value, "masked_fill_",
           "expected a mask that broadcasts to shape ", x.shape(), ", got ", mask.shape(), ".");
  return copy_(x, masked_fill(x, mask, value));
}

Tensor one_hot(const Tensor& x, int64_t num_classes) {
  GS_CHECK(x.dtype() == DType::Int64, Type, "one_hot", "expected classes of dtype int64, got ",
           x.dtype(), ".");
  GS_CHECK(num_classes != 0 && num_classes >= -1, Value, "one_hot",
           "expected num_classes of -1 or above 0, got ", num_classes, ".");
  GS_CHECK(x.numel() > 0 || num_classes > 0, Value, "one_hot",
           "an empty tensor needs num_classes.");
  const int64_t n =
      num_classes > 0 ? num_classes : amax(x, std::nullopt, false).item().to_int() + 1;
  Tensor classes = as_index(x);
  check_index_range("one_hot", classes, n, "class");
  Shape shape = x.shape();
  shape.push_back(n);
  Tensor y = empty(shape, DType::Int64, x.device());
  copy_into(y, eq(unsqueeze(classes, -1), arange(0, n, 1, DType::Int64, x.device())));
  return y;
}

}  // namespace gs::ops
