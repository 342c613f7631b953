// Parameters of reductions and scans; kernels.h says what holds for all.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "core/shape.h"

namespace gs {

enum class ReduceOp : uint8_t {
  Sum,
  Mean,
  Prod,
  Max,
  Min,
  All,
  Any,
  SumSquares,
  SumAbs,
  CountNonzero
};

// out[k] = op over the reduced dimensions of in[k, :]. Kept dimensions come first in row-major
// order of `out`, which is dense. Sum Mean Prod: out dtype is given (int64 for integers and bool;
// in may then be of another dtype: convert on load). Max Min keep the dtype, NaN wins. All Any give
// bool.
struct Reduce {
  ReduceOp op;
  const void* in;
  void* out;
  DType in_dtype, out_dtype;
  int kept_ndim, reduced_ndim;
  int64_t kept_shape[kMaxDims], kept_strides[kMaxDims];  // elements
  int64_t reduced_shape[kMaxDims], reduced_strides[kMaxDims];
};

// (outer, n, inner) -> value and index of the first extreme; NaN counts as the extreme.
struct ArgExtreme {
  bool largest;
  const void* in;
  void* values;      // may be null
  int64_t* indices;  // may be null
  DType dtype;
  int64_t outer, n, inner;
};

// Mean and sum of squared deviations over n, two passes or Welford: (outer, n, inner) -> (outer,
// inner).
struct Moments {
  const void* in;
  void* mean;
  void* m2;
  DType dtype;
  int64_t outer, n, inner;
};

enum class ScanOp : uint8_t { Sum, Prod };
struct Scan {
  ScanOp op;
  const void* in;
  void* out;
  DType dtype;  // int64 or floating
  int64_t outer, n, inner;
  bool reverse;
};

}  // namespace gs
