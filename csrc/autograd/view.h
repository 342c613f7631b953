// The history of views. Every view is a window (shape, strides, offset) on its base's memory; when
// either is written in place, the others' histories follow through two linear maps: reading a
// window and writing one.
#pragma once

#include "core/tensor.h"

namespace gs::autograd {

struct Window {
  Shape shape;
  Strides strides;
  int64_t offset;  // elements, from the start of the storage
};
inline Window window_of(const Tensor& t) { return {t.shape(), t.strides(), t.offset()}; }

// x laid out as `base` (whose elements do not overlap), read through `window`: a contiguous copy.
// Differentiable.
Tensor read_window(const Tensor& x, const Window& base, const Window& window);
// The transpose of read_window: zeros of base's shape with g added at the window's places (overlaps
// add up in a fixed order). Differentiable.
Tensor add_window(const Tensor& g, const Window& base, const Window& window);
// x of base's shape with the window's places set to 0. Differentiable.
Tensor clear_window(const Tensor& x, const Window& base, const Window& window);

}  // namespace gs::autograd
