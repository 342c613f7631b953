// The parameters of convolution and pooling windows, checked.
#pragma once

#include <tuple>

#include "kernels/params/conv.h"
#include "kernels/params/pool.h"
#include "ops/common.h"

namespace gs::ops {

// The largest stride, padding, dilation or kernel size: products of two stay in 62 bits.
inline constexpr int64_t kLargestWindow = (int64_t{1} << 31) - 1;

// One value, or one for each of two spatial dimensions. In 1 dimension only *w is set.
inline void parse_window(const char* op, int spatial, const Dims& values, const char* what,
                         int64_t lowest, int64_t* h, int64_t* w) {
  if (spatial == 1) {
    GS_CHECK(values.size() == 1, Value, op, "expected ", what, " to be one int, got ", values, ".");
    *w = values[0];
  } else {
    std::tie(*h, *w) = pair_of(op, values, what);
  }
  for (int64_t v : values)
    GS_CHECK(v >= lowest && v <= kLargestWindow, Value, op, "expected ", what, " of ", lowest,
             " or more and below 2^31, got ", values, ".");
}

// What conv2d of a batch x (N, C, H, W) is; checks everything that conv2d checks.
ConvShape conv2d_shape(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias,
                       const Dims& stride, const Dims& padding, const Dims& dilation,
                       int64_t groups);

// What max_pool2d of planes (..., H, W) of shape `x` is, with no dilation and the floor of sizes.
PoolShape max_pool2d_shape(const char* op, DType dtype, const Shape& x, const Dims& kernel,
                           const OptionalDims& stride, const Dims& padding);

}  // namespace gs::ops
