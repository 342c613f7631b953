// Parameters of optimizers and of gradient scaling; kernels.h says what holds for all.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace gs {

// One parameter's buffers: dense, n elements. Unused buffers are null.
struct OptimizerTensor {
  void* parameter;
  const void* grad;
  void* state1;  // momentum buffer | exp_avg | square_avg
  void* state2;  // exp_avg_sq | momentum buffer
  void* state3;  // max_exp_avg_sq | grad_avg
  int64_t n;
  DType dtype;
  double step;  // Adam: the step count after this step; SGD: 1 on a buffer's first step
  float* counter = nullptr;  // CUDA's Adam: holds the count before this step; advanced
};
// found_inf: null, or a number on the device (CUDA alone): unless it is 0 nothing is changed.
struct SgdStep {
  OptimizerTensor* tensors;
  int64_t count;
  double lr, momentum, dampening, weight_decay;
  bool nesterov, maximize;
  const float* found_inf = nullptr;
};
struct AdamStep {
  OptimizerTensor* tensors;
  int64_t count;
  double lr, beta1, beta2, eps, weight_decay;
  bool decoupled /*AdamW*/, amsgrad, maximize;
  const float* found_inf = nullptr;
};
struct RmspropStep {
  OptimizerTensor* tensors;
  int64_t count;
  double lr, alpha, eps, weight_decay, momentum;
  bool centered, maximize;
  const float* found_inf = nullptr;
};
// The p-norm of all `grad`s together, p 1, 2 or infinity: summed in double, written as a `dtype`.
// Like the numbers below, it lies in the memory of the device: nobody waits for it.
struct GradNorm {
  const OptimizerTensor* tensors;
  int64_t count;
  double p;
  void* norm;
  DType dtype;
};
// grad *= factor for all (grad is written through `parameter`). With a norm the factor becomes
// factor / (norm + 1e-6), and nothing is done unless that is below 1 or NaN.
struct ScaleAll {
  OptimizerTensor* tensors;
  int64_t count;
  double factor;
  const void* norm = nullptr;
  DType norm_dtype = DType::Float32;
};
// grad /= *scale for all (as a product with the reciprocal); *found_inf becomes 1 where a gradient
// is infinite or NaN, and is left alone otherwise.
struct UnscaleAll {
  OptimizerTensor* tensors;
  int64_t count;
  const float* scale;
  float* found_inf;
};
// After found_inf the scale shrinks by backoff; after `interval` steps without it grows by growth,
// unless it would become infinite. `streak` counts the steps.
struct UpdateScale {
  float* scale;
  int32_t* streak;
  const float* found_inf;
  double growth, backoff;
  int64_t interval;
};

}  // namespace gs
