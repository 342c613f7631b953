// Parameters of copies, conversions and fills; kernels.h says what holds for all.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "kernels/loop.h"

namespace gs {

struct Copy {
  Loop loop;  // y, x: any two dtypes; float -> int truncates, anything -> bool is != 0
};

struct Fill {
  Loop loop;  // y alone
  double value;
  int64_t integer;  // used for integer dtypes and bool
};

struct Arange {
  void* y;
  int64_t n;
  DType dtype;
  double start, step;  // y[i] = start + i * step, computed in double or int64
};

// y += alpha * x, which autograd needs often.
struct Axpy {
  void* y;
  const void* x;
  int64_t n;
  DType dtype;
  double alpha;
};

}  // namespace gs
