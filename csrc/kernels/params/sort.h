// Parameters of sorting; kernels.h says what holds for all.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace gs {

// Stable sort along the middle of (outer, n, inner); the first k of each row are written. NaN is
// largest.
struct Sort {
  const void* in;
  void* values;      // (outer, k, inner)
  int64_t* indices;  // (outer, k, inner)
  DType dtype;
  int64_t outer, n, k, inner;
  bool descending;
};

}  // namespace gs
