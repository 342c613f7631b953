// Convolution, relu and max pooling as one operation: what networks infer with. Where the
// convolution's kernel can make the maxima of 2x2 windows itself, it writes nothing else. Otherwise
// a block of images goes through all three while it is in the second cache of one core. Either way
// the convolution's output, the largest tensor of such a network, never goes to memory and no
// thread waits between the three.
#include <algorithm>

#include "core/parallel.h"
#include "kernels/params/conv.h"
#include "kernels/params/pool.h"
#include "ops/window.h"

namespace gs::ops {
namespace {

// A block's part of the convolution's output.
constexpr int64_t kBlockBytes = 256 << 10;
// Each block packs the weights anew: from so many points on it is little beside the product, and
// so few weights never matter.
constexpr int64_t kEnoughPoints = 768, kFewWeights = 4096;
constexpr int64_t kChunkWork = 250'000;  // multiplications

// Where one kernel does all three well: few values a patch, or Winograd's tiles, which are the
// windows.
bool pools_itself(Device device, const ConvShape& s, const PoolShape& pool) {
  const bool windows = pool.kernel_h == 2 && pool.kernel_w == 2 && pool.stride_h == 2 &&
                       pool.stride_w == 2 && pool.pad_h == 0 && pool.pad_w == 0;
  const bool plain =
      s.groups == 1 && s.stride_h == 1 && s.stride_w == 1 && s.dilation_h == 1 && s.dilation_w == 1;
  if (!device.is_cpu() || s.dtype != DType::Float32 || !windows || !plain) return false;
  const bool tiles = s.r == 3 && s.s == 3 && s.c >= 16 && s.o >= 16 && s.n * pool.p * pool.q >= 16;
  return tiles || s.c * (s.r + 1) * (s.s + 1) <= 512;
}

// How many images make a block, 0 where the whole batch had better be done at once. Goes by the
// shape alone, as all work is cut.
int64_t images_of_block(const ConvShape& s) {
  const int64_t points = s.p * s.q, weights = s.o * (s.c / s.groups) * s.r * s.s;
  const int64_t image_bytes = s.o * points * size_of(s.dtype);
  if (s.n < 4 || image_bytes > 2 * kBlockBytes) return 0;
  const int64_t fit = std::clamp<int64_t>(kBlockBytes / image_bytes, 1, (s.n + 3) / 4);
  const int64_t blocks = (s.n + fit - 1) / fit, images = (s.n + blocks - 1) / blocks;
  return images * points >= kEnoughPoints || weights <= kFewWeights ? images : 0;
}

// Raw pointers moved by whole images.
template <class P>
P* image_of(P* data, int64_t index, int64_t values, DType dtype) {
  using Byte = std::conditional_t<std::is_const_v<P>, const char, char>;
  return static_cast<Byte*>(data) + index * values * size_of(dtype);
}

// Images [begin, begin + conv.n) through all three; `between` holds the block's convolution.
void run_block(Device device, Conv2d conv, MaxPool2d pool, int64_t begin, int64_t count,
               void* between) {
  ConvShape& s = conv.shape;
  s.n = count;
  pool.shape.planes = count * s.o;
  conv.x = image_of(conv.x, begin, s.c * s.h * s.w, s.dtype);
  conv.y = between;
  pool.x = between;
  pool.y = image_of(pool.y, begin, s.o * pool.shape.p * pool.shape.q, s.dtype);
  kernels::conv2d(device, conv);
  kernels::max_pool2d(device, pool);
}

}  // namespace

Tensor conv2d_relu(const Tensor& input, const Tensor& kernel, const Tensor& bias_in,
                   const Dims& stride, const Dims& padding, const Dims& dilation, int64_t groups,
                   OptionalDims pool_size, OptionalDims pool_stride, const Dims& pool_padding) {
  const bool batched = input.defined() && input.dim() == 4;
  if (!batched || needs_grad(input, kernel, bias_in) || !input.numel() || !kernel.numel()) {
    const Tensor y = relu(conv2d(input, kernel, bias_in, stride, padding, dilation, groups));
    return pool_size ? max_pool2d(y, *pool_size, pool_stride, pool_padding, {1}, false) : y;
  }
  const char* op = "conv2d_relu";
  const ConvShape s = conv2d_shape(op, input, kernel, bias_in, stride, padding, dilation, groups);
  const Shape conv_shape{s.n, s.o, s.p, s.q};
  const Tensor x = contiguous(input), weight = contiguous(kernel);
  const Tensor bias = contiguous_or_none(bias_in);
  Conv2d conv{s, x.raw(), weight.raw(), raw_or_null(bias), nullptr, Activation::Relu};
  if (!pool_size) {
    Tensor y = empty(conv_shape, s.dtype, x.device());
    conv.y = y.raw();
    kernels::conv2d(x.device(), conv);
    return y;
  }
  const PoolShape pool =
      max_pool2d_shape(op, s.dtype, conv_shape, *pool_size, pool_stride, pool_padding);
  Tensor y = empty({s.n, s.o, pool.p, pool.q}, s.dtype, x.device());
  if (pools_itself(x.device(), s, pool)) {
    conv.y = y.raw();
    conv.pool = true;
    kernels::conv2d(x.device(), conv);
    return y;
  }
  const int64_t images = images_of_block(s);
  if (!images) {
    const Tensor between = empty(conv_shape, s.dtype, x.device());
    conv.y = between.raw();
    kernels::conv2d(x.device(), conv);
    kernels::max_pool2d(x.device(), {pool, between.raw(), y.raw(), nullptr});
    return y;
  }
  const MaxPool2d pooling{pool, nullptr, y.raw(), nullptr};
  const int64_t blocks = (s.n + images - 1) / images;
  const int64_t work = images * s.o * s.p * s.q * (s.c / s.groups) * s.r * s.s;
  parallel_for(0, blocks, std::max<int64_t>(1, kChunkWork / work), [&](int64_t begin, int64_t end) {
    const Tensor between = empty({images, s.o, s.p, s.q}, s.dtype, x.device());
    for (int64_t i = begin; i < end; ++i)
      run_block(x.device(), conv, pooling, i * images, std::min(images, s.n - i * images),
                between.raw());
  });
  return y;
}

}  // namespace gs::ops
