// The input gradient as a gather: dx at h sums dy at (h + pad - r dilation) / stride over the r
// that divide. The results whose h is the same modulo the stride meet the same taps: one phase.
#include <numeric>

#include "conv_taps.cuh"
#include "kernels/kernels.h"
#include "kernels/params/conv.h"

namespace gs::cuda {

ConvAxis gradient_axis(int64_t source, int64_t result, int64_t window, int64_t stride, int64_t pad,
                       int64_t dilation) {
  ConvAxis a;
  a.source = static_cast<int32_t>(source), a.result = static_cast<int32_t>(result);
  a.window = static_cast<int32_t>(window), a.stride = static_cast<int32_t>(stride);
  a.pad = static_cast<int32_t>(pad), a.dilation = static_cast<int32_t>(dilation);
  a.gradient = 1;
  const int32_t common = std::gcd(a.stride, a.dilation);
  a.phases = a.stride < a.result ? a.stride : a.result;
  a.tap_step = a.stride / common;
  a.source_step = -(a.dilation / common);
  return a;
}

// dx (N C H W) from dy (N O P Q) and weight (O C/G R S).
void conv2d_input_grad(const Conv2dInputGrad& p) {
  const ConvShape& s = p.shape;
  if (s.n * s.c * s.h * s.w == 0) return;
  check_conv("conv2d_input_grad", s);
  ConvSums sums;
  sums.vertical = gradient_axis(s.p, s.h, s.r, s.stride_h, s.pad_h, s.dilation_h);
  sums.horizontal = gradient_axis(s.q, s.w, s.s, s.stride_w, s.pad_w, s.dilation_w);
  sums.images = s.n, sums.groups = s.groups;
  sums.channels = s.o / s.groups, sums.outputs = s.c / s.groups;
  sums.weight_output = s.r * s.s, sums.weight_channel = sums.outputs * s.r * s.s;
  sums.source = p.dy, sums.weight = p.weight, sums.result = p.dx;
  fits_conv_depthwise(sums) ? conv_depthwise(s.dtype, sums) : conv_product(s.dtype, sums);
}

}  // namespace gs::cuda
