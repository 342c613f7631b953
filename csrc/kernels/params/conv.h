// Parameters of convolution; kernels.h says what holds for all.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "kernels/params/gemm.h"

namespace gs {

// x (N, C, H, W), w (O, C/groups, R, S), y (N, O, P, Q). conv1d is H = R = 1.
struct ConvShape {
  DType dtype;
  int64_t n, c, h, w, o, r, s, p, q, groups;
  int64_t stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
};
struct Conv2d {
  ConvShape shape;
  const void* x;
  const void* weight;
  const void* bias;  // O values or null
  void* y;
  Activation activation = Activation::None;
  bool pool = false;  // y (N, O, P/2, Q/2): maxima of 2x2 windows; CPU, float32, None or Relu
};
struct Conv2dInputGrad {  // dx is overwritten (also the forward of conv_transpose2d)
  ConvShape shape;
  const void* dy;
  const void* weight;
  void* dx;
};
struct Conv2dWeightGrad {  // dweight is overwritten; dbias too when not null
  ConvShape shape;
  const void* x;
  const void* dy;
  void* dweight;
  void* dbias;
};

}  // namespace gs
