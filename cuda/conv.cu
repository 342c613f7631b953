// Convolution forward, and what all convolutions check.
#include "conv_taps.cuh"
#include "kernels/kernels.h"
#include "kernels/params/conv.h"
#include "kernels/params/unary.h"

namespace gs::cuda {

void check_conv(const char* name, const ConvShape& s) {
  constexpr int64_t kMost = INT32_MAX;
  const bool fits = s.h + 2 * s.pad_h <= kMost && s.w + 2 * s.pad_w <= kMost &&
                    s.c / s.groups <= kMost / (s.r * s.s) && s.o / s.groups <= kMost / (s.r * s.s);
  if (!fits)
    raise(ErrorKind::NotImplemented, name,
          "expected padded sides, and channels of a group times its window, below 2^31 on CUDA.");
}

dim3 conv_grid(int64_t blocks) {
  if (blocks > INT32_MAX)
    raise(ErrorKind::NotImplemented, "conv2d", "the convolution is too large for one launch.");
  return dim3(static_cast<unsigned>(blocks));
}

ConvAxis forward_axis(int64_t source, int64_t result, int64_t window, int64_t stride, int64_t pad,
                      int64_t dilation) {
  ConvAxis a;
  a.source = static_cast<int32_t>(source), a.result = static_cast<int32_t>(result);
  a.window = static_cast<int32_t>(window), a.stride = static_cast<int32_t>(stride);
  a.pad = static_cast<int32_t>(pad), a.dilation = static_cast<int32_t>(dilation);
  a.source_step = a.dilation;
  return a;
}

namespace {

// Costly functions would be unrolled over every sum that a thread holds: they get a pass of their
// own. Networks use None and Relu.
void activate(const Conv2d& p) {
  UnaryOp op = UnaryOp::Tanh;
  if (p.activation == Activation::Sigmoid) op = UnaryOp::Sigmoid;
  if (p.activation == Activation::Gelu) op = UnaryOp::Gelu;
  const ConvShape& s = p.shape;
  Unary unary_of{};
  unary_of.op = op;
  Loop& loop = unary_of.loop;
  loop.count = 2, loop.ndim = 1;
  loop.numel = loop.shape[0] = s.n * s.o * s.p * s.q;
  for (int k = 0; k < 2; ++k) {
    loop.operands[k] = {static_cast<char*>(p.y), s.dtype, false, {}};
    loop.operands[k].strides[0] = size_of(s.dtype);
  }
  unary(unary_of);
}

}  // namespace

// y (N O P Q) = act(x (N C H W) * weight (O C/G R S) + bias).
void conv2d(const Conv2d& p) {
  const ConvShape& s = p.shape;
  if (s.n * s.o * s.p * s.q == 0) return;
  check_conv("conv2d", s);
  ConvSums sums;
  sums.vertical = forward_axis(s.h, s.p, s.r, s.stride_h, s.pad_h, s.dilation_h);
  sums.horizontal = forward_axis(s.w, s.q, s.s, s.stride_w, s.pad_w, s.dilation_w);
  sums.images = s.n, sums.groups = s.groups;
  sums.channels = s.c / s.groups, sums.outputs = s.o / s.groups;
  sums.weight_output = sums.channels * s.r * s.s, sums.weight_channel = s.r * s.s;
  sums.source = p.x, sums.weight = p.weight, sums.bias = p.bias, sums.result = p.y;
  sums.relu = p.activation == Activation::Relu;
  fits_conv_depthwise(sums) ? conv_depthwise(s.dtype, sums) : conv_product(s.dtype, sums);
  if (p.activation != Activation::None && !sums.relu) activate(p);
}

}  // namespace gs::cuda
