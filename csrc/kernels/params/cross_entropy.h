// Parameters of cross entropy; kernels.h says what holds for all.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace gs {

// logits (outer, n, inner), target (outer, inner) of class indices already checked to be in range
// or ignore_index. loss (outer, inner): per position, unreduced, weighted, 0 where ignored:
//   weight[t] * (1 - eps) * (lse - x_t) + eps / n * sum_j weight_j * (lse - x_j).
// lse (outer, inner) is kept for the gradient.
struct CrossEntropy {
  const void* x;
  const int64_t* target;
  const void* weight;  // n values or null
  void* loss;
  void* lse;
  DType dtype;
  int64_t outer, n, inner;
  int64_t ignore_index;
  double smoothing;
};
struct CrossEntropyGrad {  // dx is overwritten; dloss (outer, inner)
  const void* x;
  const int64_t* target;
  const void* weight;
  const void* lse;
  const void* dloss;
  int64_t dloss_stride;  // 0: one scalar for all positions, 1: dense
  void* dx;
  DType dtype;
  int64_t outer, n, inner;
  int64_t ignore_index;
  double smoothing;
};

}  // namespace gs
