// An elementwise loop over up to four strided operands, ready to run: dimensions coalesced and
// sorted so that the last one has the smallest strides.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "core/shape.h"

namespace gs {

struct LoopOperand {
  char* data;
  DType dtype;
  bool on_host;               // in host memory: beside tensors of a device, a single number
  int64_t strides[kMaxDims];  // bytes; 0 along broadcast dimensions
};

// operands[0] is the output. Its elements never overlap each other; an input may be the output
// itself (same data, same strides), never a shifted overlap.
// Only the first `count` operands and `ndim` dimensions are written: clearing all of it took longer
// than the arithmetic of a small tensor.
struct Loop {
  int count = 0;  // operands, the output included
  int ndim = 0;   // 0 means a single element; shape[0] is then 1 and strides[0] 0
  int64_t numel = 0;
  int64_t shape[kMaxDims];
  LoopOperand operands[4];
};

}  // namespace gs
