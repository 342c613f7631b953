// Parameters of pooling; kernels.h says what holds for all.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace gs {

// x (planes, H, W) -> y (planes, P, Q); conv-like windows, planes = N * C.
struct PoolShape {
  DType dtype;
  int64_t planes, h, w, p, q;
  int64_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
};
struct MaxPool2d {
  PoolShape shape;
  const void* x;
  void* y;
  int32_t* indices;  // position in the H*W plane of the first maximum (NaN wins); may be null
};
struct MaxPool2dGrad {  // dx is overwritten
  PoolShape shape;
  const void* dy;
  const int32_t* indices;
  void* dx;
};
struct AvgPool2d {
  PoolShape shape;
  bool count_include_pad;
  int64_t divisor;  // 0: window size
  const void* x;
  void* y;
};
struct AvgPool2dGrad {
  PoolShape shape;
  bool count_include_pad;
  int64_t divisor;
  const void* dy;
  void* dx;
};
// Window i of p covers [floor(i*h/p), ceil((i+1)*h/p)).
struct AdaptivePool2d {
  DType dtype;
  int64_t planes, h, w, p, q;
  const void* x;
  void* y;
  int32_t* indices;  // adaptive maximum when not null, otherwise average
};
struct AdaptiveAvgPool2dGrad {
  DType dtype;
  int64_t planes, h, w, p, q;
  const void* dy;
  void* dx;
};

}  // namespace gs
