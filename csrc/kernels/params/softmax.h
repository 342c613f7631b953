// Parameters of softmax and its logarithm; kernels.h says what holds for all.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace gs {

struct Softmax {  // (outer, n, inner) over n
  bool log;
  const void* x;
  void* y;
  DType dtype;
  int64_t outer, n, inner;
};
struct SoftmaxGrad {
  bool log;
  const void* dy;
  const void* y;
  void* dx;
  DType dtype;
  int64_t outer, n, inner;
};

}  // namespace gs
