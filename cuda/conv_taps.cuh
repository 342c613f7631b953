// A convolution seen from what it writes. Forward, y (p, q) sums x over the taps of its window; the
// input gradient sums dy over the taps that reach dx (h, w). Along one axis both are a line of
// evenly spaced taps over evenly spaced places of the source.
#pragma once

#include "kernels/params/conv.h"
#include "vec.cuh"

namespace gs::cuda {

// All numbers fit 31 bits: check_conv has seen to it.
struct ConvAxis {
  int32_t source = 0, result = 0;  // sizes of what is read and of what is written
  int32_t window = 0, stride = 1, pad = 0, dilation = 1;
  int32_t gradient = 0;  // 0 or 1: kernel parameters have no holes
  // Of the gradient: the results of one phase (at % phases) meet the same taps; `tap_step` from one
  // of these to the next, and the places of the source that lie between.
  int32_t phases = 1, tap_step = 1, source_step = 1;
};

// Tap first + i * axis.tap_step stands over place source + i * axis.source_step, 0 <= i < count.
struct TapLine {
  int32_t first, count, source;
};

GS_DEVICE TapLine taps_at(const ConvAxis& a, int32_t at) {
  if (!a.gradient) return {0, a.window, at * a.stride - a.pad};
  for (int32_t tap = 0; tap < a.tap_step && tap < a.window; ++tap) {
    const int32_t distance = at + a.pad - tap * a.dilation;
    if (distance % a.stride == 0)
      return {tap, (a.window - 1 - tap) / a.tap_step + 1, distance / a.stride};
  }
  return {0, 0, 0};
}

// Results of one phase: phase, phase + phases, ...; and how far the taps move from one to the next.
GS_HOST_DEVICE int32_t phase_size(const ConvAxis& a, int32_t phase) {
  return (a.result - phase + a.phases - 1) / a.phases;
}
GS_DEVICE int32_t phase_step(const ConvAxis& a) { return a.gradient ? 1 : a.stride; }

// One of the two products, forward or input gradient, over images of `groups` groups. `channels`
// are those of the source and `outputs` those of the result, in one group.
struct ConvSums {
  ConvAxis vertical = {}, horizontal = {};
  int64_t images = 0, groups = 0, channels = 0, outputs = 0;
  int64_t weight_output = 0, weight_channel = 0;  // strides of the weight
  const void* source = nullptr;
  const void* weight = nullptr;
  const void* bias = nullptr;
  void* result = nullptr;
  int64_t relu = 0;  // 0 or 1

  GS_HOST_DEVICE int64_t source_plane() const {
    return int64_t(vertical.source) * horizontal.source;
  }
  GS_HOST_DEVICE int64_t result_plane() const {
    return int64_t(vertical.result) * horizontal.result;
  }
  GS_HOST_DEVICE int64_t window() const { return int64_t(vertical.window) * horizontal.window; }
};

template <class T>
GS_DEVICE compute_t<T> finish_sum(const ConvSums& p, compute_t<T> sum, int64_t output) {
  if (p.bias) sum += widen(static_cast<const T*>(p.bias)[output]);
  return p.relu && sum < compute_t<T>(0) ? compute_t<T>(0) : sum;  // NaN stays
}

// Raises where an axis or a depth does not fit 31 bits.
void check_conv(const char* name, const ConvShape& s);
ConvAxis forward_axis(int64_t source, int64_t result, int64_t window, int64_t stride, int64_t pad,
                      int64_t dilation);
ConvAxis gradient_axis(int64_t source, int64_t result, int64_t window, int64_t stride, int64_t pad,
                       int64_t dilation);

// Sums as a product of matrices (conv_product.cu), and for groups of few outputs without one
// (conv_depthwise.cu).
void conv_product(DType dtype, const ConvSums& p);
bool fits_conv_depthwise(const ConvSums& p);
void conv_depthwise(DType dtype, const ConvSums& p);

// The weight gradient of groups of few channels and outputs (conv_depthwise_grad.cu).
bool fits_conv_depthwise_grad(const ConvShape& s);
void conv_depthwise_grad(const Conv2dWeightGrad& p);

// Blocks that keep the largest cards busy. A constant, so that work is cut by shape alone and the
// bits are the same on every card.
inline constexpr int64_t kEnoughBlocks = 264;
// One dimension of a grid; raises where there are too many.
dim3 conv_grid(int64_t blocks);

}  // namespace gs::cuda
