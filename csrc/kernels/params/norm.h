// Parameters of normalisation; kernels.h says what holds for all.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace gs {

// Rows of n: y = (x - mean) * rstd * weight + bias. mean and rstd (rows) are outputs, in compute
// type (float32, or float64 for float64).
struct LayerNorm {
  const void* x;
  const void* weight;  // n or null
  const void* bias;    // n or null
  void* y;
  void* mean;
  void* rstd;
  DType dtype;
  int64_t rows, n;
  double eps;
};
struct LayerNormGrad {
  const void* dy;
  const void* x;
  const void* weight;
  const void* mean;
  const void* rstd;
  void* dx;  // each of the three may be null
  void* dweight;
  void* dbias;
  DType dtype;
  int64_t rows, n;
};

// x (N, C, inner) in groups of C / groups channels: each group of each sample is normalised, weight
// and bias are per channel. mean and rstd (N groups) as above.
struct GroupNorm {
  const void* x;
  const void* weight;  // C or null
  const void* bias;    // C or null
  void* y;
  void* mean;
  void* rstd;
  DType dtype;
  int64_t n, c, inner, groups;
  double eps;
};
struct GroupNormGrad {
  const void* dy;
  const void* x;
  const void* weight;
  const void* mean;
  const void* rstd;
  void* dx;  // each of the three may be null
  void* dweight;
  void* dbias;
  DType dtype;
  int64_t n, c, inner, groups;
};

// x (N, C, inner). In training: mean and rstd (C, compute type) are computed from the batch and
// running_* (may be null) are updated with momentum (unbiased variance). In evaluation running_*
// are used and mean, rstd are filled from them.
struct BatchNorm {
  const void* x;
  const void* weight;
  const void* bias;
  void* y;
  void* mean;
  void* rstd;
  void* running_mean;  // dtype of x
  void* running_var;
  DType dtype;
  int64_t n, c, inner;
  bool training;
  double momentum, eps;
};
struct BatchNormGrad {
  const void* dy;
  const void* x;
  const void* weight;
  const void* mean;
  const void* rstd;
  void* dx;  // each of the three may be null
  void* dweight;
  void* dbias;
  DType dtype;
  int64_t n, c, inner;
  bool training;
};

}  // namespace gs
