// The plan of an advanced index: which dimensions are indexed, by what, and where the result's go.
#pragma once

#include "core/tensor.h"

namespace gs::ops {

struct Advanced {
  // Checks everything: dtypes, mask shapes, ranges, broadcasting.
  Advanced(const char* op, const Tensor& x, const Tensors& indices);
  // One dimension, by a vector that has been checked.
  Advanced(const Tensor& x, int64_t dim, const Tensor& at);

  Tensors index;  // per dimension of x: int64, contiguous, non-negative, of shape `common`; or
                  // undefined
  Shape common;
  Dims advanced, rest;  // the dimensions with and without an index
  int64_t place;        // where the common dimensions stand in the result

  Shape shape(const Tensor& x) const;  // (common..., rest...): the layout rows are moved in
  // The trailing dimensions of a row that lie side by side in memory, *inner elements, are moved as
  // one piece. The number of those in front of them.
  int64_t split(const Tensor& x, int64_t* inner) const;
  // Element offsets of every piece from x's first element; pieces have *inner elements.
  Tensor offsets(const Tensor& x, int64_t* inner) const;
  Tensor to_result(const Tensor& t) const;    // (common..., rest...) -> the result's order
  Tensor from_result(const Tensor& t) const;  // and back

 private:
  Tensor device_offsets(const Tensor& x, int64_t rows, int64_t tail) const;
};

}  // namespace gs::ops
