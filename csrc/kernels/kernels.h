// The whole contract between operations and devices. A kernel takes one params struct whose shapes
// have been validated and whose outputs have been allocated; it loops and does nothing else.
// Each name below exists three times: gs::cpu::name, gs::cuda::name, and gs::kernels::name(device,
// params), which forwards. Signatures cannot drift, because they are written once.
//
// The structs are declared here and defined by family in kernels/params/, so that a file is
// compiled anew for the families it uses alone. In all of them: pointers are to dense row-major
// memory unless strides say otherwise; `dtype` is the type of every floating operand of the call
// unless another is named; sizes may be 0.
#pragma once

#include "core/device.h"
#include "core/device_runtime.h"

// clang-format off
#define GS_KERNELS(K) \
  K(unary, Unary) K(unary_grad, UnaryGrad) K(binary, Binary) K(compare, Compare) K(where, Where) \
  K(copy, Copy) K(fill, Fill) K(arange, Arange) K(axpy, Axpy) \
  K(reduce, Reduce) K(arg_extreme, ArgExtreme) K(moments, Moments) K(scan, Scan) \
  K(gemm, Gemm) \
  K(conv2d, Conv2d) K(conv2d_input_grad, Conv2dInputGrad) \
  K(conv2d_weight_grad, Conv2dWeightGrad) \
  K(max_pool2d, MaxPool2d) K(max_pool2d_grad, MaxPool2dGrad) K(avg_pool2d, AvgPool2d) \
  K(avg_pool2d_grad, AvgPool2dGrad) K(adaptive_pool2d, AdaptivePool2d) \
  K(adaptive_avg_pool2d_grad, AdaptiveAvgPool2dGrad) \
  K(softmax, Softmax) K(softmax_grad, SoftmaxGrad) K(cross_entropy, CrossEntropy) \
  K(cross_entropy_grad, CrossEntropyGrad) K(pointwise_loss, PointwiseLoss) \
  K(pointwise_loss_grad, PointwiseLossGrad) \
  K(layer_norm, LayerNorm) K(layer_norm_grad, LayerNormGrad) K(batch_norm, BatchNorm) \
  K(batch_norm_grad, BatchNormGrad) K(group_norm, GroupNorm) K(group_norm_grad, GroupNormGrad) \
  K(recurrent, Recurrent) K(recurrent_grad, RecurrentGrad) \
  K(attention, Attention) K(attention_grad, AttentionGrad) \
  K(index_select, IndexSelect) K(index_add, IndexAdd) K(gather, Gather) K(scatter, Scatter) \
  K(take, Take) K(put, Put) K(index_range, IndexRange) K(nonzero, Nonzero) K(sort, Sort) \
  K(triangle, Triangle) K(image_batch, ImageBatch) \
  K(random, Random) K(random_permutation, RandomPermutation) K(dropout, Dropout) \
  K(sgd_step, SgdStep) K(adam_step, AdamStep) K(rmsprop_step, RmspropStep) \
  K(grad_norm, GradNorm) K(scale_all, ScaleAll) K(unscale_all, UnscaleAll) \
  K(update_scale, UpdateScale)
// clang-format on

namespace gs {

#define GS_STRUCT(name, Params) struct Params;
GS_KERNELS(GS_STRUCT)
#undef GS_STRUCT

#define GS_DECLARE(name, Params) void name(const Params& p);
namespace cpu {
GS_KERNELS(GS_DECLARE)
}
namespace cuda {
GS_KERNELS(GS_DECLARE)
const DeviceRuntime& runtime();
}  // namespace cuda
#undef GS_DECLARE

namespace kernels {

#ifdef GRADSTONE_HAS_CUDA
#define GS_FORWARD(name, Params)                     \
  inline void name(Device device, const Params& p) { \
    device.is_cpu() ? cpu::name(p) : cuda::name(p);  \
  }
#else
[[noreturn]] void no_cuda(const char* name);
#define GS_FORWARD(name, Params)                     \
  inline void name(Device device, const Params& p) { \
    if (!device.is_cpu()) no_cuda(#name);            \
    cpu::name(p);                                    \
  }
#endif
GS_KERNELS(GS_FORWARD)
#undef GS_FORWARD

}  // namespace kernels
}  // namespace gs
