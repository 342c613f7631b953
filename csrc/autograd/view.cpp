#include "autograd/view.h"

#include <algorithm>

#include "autograd/record.h"
#include "core/device_runtime.h"
#include "core/error.h"
#include "kernels/kernels.h"
#include "kernels/loop_of.h"
#include "kernels/params/copy.h"
#include "kernels/params/index.h"

namespace gs::autograd {
namespace {

void copy(const Tensor& to, const Tensor& from) {
  if (to.numel()) kernels::copy(to.device(), {make_loop({&to, &from})});
}

void set_to_zero(const Tensor& t) {
  if (t.numel()) kernels::fill(t.device(), {make_loop({&t}), 0.0, 0});
}

// A buffer with base's strides, starting where base starts, so that window offsets are relative to
// it.
Tensor buffer_for(const Window& base, DType dtype, Device device) {
  GS_CHECK(is_dense(base.shape, base.strides), Runtime, "as_strided",
           "a view's gradient needs a base without holes or overlaps, got strides ", base.strides,
           " for shape ", base.shape, "; clone() the base first.");
  return empty_strided(base.shape, base.strides, dtype, device);
}

Tensor window_on(const Tensor& buffer, const Window& base, const Window& window) {
  return alias(buffer, window.shape, window.strides, window.offset - base.offset);
}

// Whether two places may be one: no, when a step along each dimension goes beyond all that the
// dimensions of smaller steps reach.
bool overlaps(const Window& w) {
  int order[kMaxDims], count = 0;
  for (int i = 0; i < static_cast<int>(w.shape.size()); ++i)
    if (w.shape[i] > 1) order[count++] = i;
  std::sort(order, order + count, [&](int a, int b) { return w.strides[a] < w.strides[b]; });
  int64_t reach = 0;
  for (int k = 0; k < count; ++k) {
    const int64_t stride = w.strides[order[k]];
    if (stride <= reach) return true;
    reach += stride * (w.shape[order[k]] - 1);
  }
  return false;
}

// Element offsets of every place of the window, in row-major order.
Tensor offsets_of(const Window& base, const Window& window) {
  Tensor out = empty(window.shape, DType::Int64);
  int64_t* p = out.data<int64_t>();
  int64_t index[kMaxDims] = {};
  const int64_t ndim = window.shape.size();
  for (int64_t i = 0; i < out.numel(); ++i) {
    int64_t at = window.offset - base.offset;
    for (int64_t d = 0; d < ndim; ++d) at += index[d] * window.strides[d];
    p[i] = at;
    for (int64_t d = ndim - 1; d >= 0 && ++index[d] == window.shape[d]; --d) index[d] = 0;
  }
  return out;
}

}  // namespace

Tensor read_window(const Tensor& x, const Window& base, const Window& window) {
  Tensor buffer = x;
  if (!(x.strides() == base.strides)) {
    buffer = buffer_for(base, x.dtype(), x.device());
    copy(buffer, x);
  }
  Tensor out = empty(window.shape, x.dtype(), x.device());
  const Window from = {base.shape, base.strides, base.offset - buffer.offset()};
  copy(out, window_on(buffer, from, window));
  if (needs_grad(x)) {
    record("read_window", out, inputs(x),
           [base, window](Backward& b) -> Tensors { return {add_window(b.grad(), base, window)}; });
  }
  return out;
}

Tensor add_window(const Tensor& g, const Window& base, const Window& window) {
  Tensor out = buffer_for(base, g.dtype(), g.device());
  set_to_zero(out);
  if (!overlaps(window)) {
    copy(window_on(out, base, window), g);
  } else if (g.numel()) {
    Tensor dense = empty(g.shape(), g.dtype(), g.device());
    copy(dense, g);
    const Tensor here = offsets_of(base, window);
    const Tensor at = empty(here.shape(), here.dtype(), g.device());
    copy_bytes(at.raw(), g.device(), here.raw(), here.device(), here.numel() * size_of(at.dtype()));
    const int64_t extent = out.body()->storage->bytes() / size_of(out.dtype()) - out.offset();
    kernels::put(g.device(), {dense.raw(), 1, at.data<int64_t>(), out.raw(), g.dtype(), true,
                              g.numel(), 1, extent});
  }
  if (needs_grad(g)) {
    record("add_window", out, inputs(g), [base, window](Backward& b) -> Tensors {
      return {read_window(b.grad(), base, window)};
    });
  }
  return out;
}

Tensor clear_window(const Tensor& x, const Window& base, const Window& window) {
  Tensor out = buffer_for(base, x.dtype(), x.device());
  copy(out, x);
  set_to_zero(window_on(out, base, window));
  if (needs_grad(x)) {
    record("clear_window", out, inputs(x), [base, window](Backward& b) -> Tensors {
      return {clear_window(b.grad(), base, window)};
    });
  }
  return out;
}

}  // namespace gs::autograd
