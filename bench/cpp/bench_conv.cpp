// Convolutions: FLOP/s for every instruction set, one thread and two; the three passes one by one.
#include "kernels/params/conv.h"
#include "register.h"

namespace gs::bench {
namespace {

struct Layer {
  const char* name;
  int64_t n, c, h, w, o, kernel, stride, pad, groups;
};

ConvShape shape_of(const Layer& l) {
  ConvShape s{};
  s.dtype = DType::Float32;
  s.n = l.n, s.c = l.c, s.h = l.h, s.w = l.w, s.o = l.o, s.r = s.s = l.kernel, s.groups = l.groups;
  s.stride_h = s.stride_w = l.stride, s.pad_h = s.pad_w = l.pad, s.dilation_h = s.dilation_w = 1;
  s.p = (l.h + 2 * l.pad - l.kernel) / l.stride + 1;
  s.q = (l.w + 2 * l.pad - l.kernel) / l.stride + 1;
  return s;
}

void add_conv(const Layer& l) {
  const char* passes[] = {"/forward", "/input_grad", "/weight_grad"};
  for (int pass = 0; pass < 3; ++pass) {
    add("conv", std::string(l.name) + passes[pass], [=](Bench& b) {
      const ConvShape s = shape_of(l);
      const Tensor x = ramp({s.n, s.c, s.h, s.w}), y = ramp({s.n, s.o, s.p, s.q});
      const Tensor weight = ramp({s.o, s.c / s.groups, s.r, s.s}), bias = ramp({s.o});
      b.flops(2.0 * y.numel() * s.c / s.groups * s.r * s.s, [&] {
        if (pass == 0)
          b.kernels.conv2d({s, x.raw(), weight.raw(), bias.raw(), y.raw(), Activation::Relu});
        if (pass == 1) b.kernels.conv2d_input_grad({s, y.raw(), weight.raw(), x.raw()});
        if (pass == 2)
          b.kernels.conv2d_weight_grad({s, x.raw(), y.raw(), weight.raw(), bias.raw()});
      });
    });
  }
}

const Register all([] {
  const Layer layers[] = {
      {"32x32x14x14_64_3x3", 32, 32, 14, 14, 64, 3, 1, 1, 1},
      {"32x32x13x13_64_3x3_unpadded", 32, 32, 13, 13, 64, 3, 1, 0, 1},
      {"32x1x28x28_32_3x3", 32, 1, 28, 28, 32, 3, 1, 0, 1},
      {"32x1x28x28_6_5x5", 32, 1, 28, 28, 6, 5, 1, 2, 1},
      {"32x3x32x32_64_3x3", 32, 3, 32, 32, 64, 3, 1, 1, 1},
      {"8x3x224x224_64_7x7s2", 8, 3, 224, 224, 64, 7, 2, 3, 1},
      {"16x64x56x56_64_3x3", 16, 64, 56, 56, 64, 3, 1, 1, 1},
      {"16x128x28x28_128_3x3s2", 16, 128, 28, 28, 128, 3, 2, 1, 1},
      {"16x256x14x14_256_3x3", 16, 256, 14, 14, 256, 3, 1, 1, 1},
      {"32x512x4x4_512_3x3", 32, 512, 4, 4, 512, 3, 1, 1, 1},
      {"16x64x56x56_256_1x1", 16, 64, 56, 56, 256, 1, 1, 0, 1},
      {"32x64x32x32_depthwise_3x3", 32, 64, 32, 32, 64, 3, 1, 1, 64},
      {"32x64x14x14_depthwise_3x3", 32, 64, 14, 14, 64, 3, 1, 1, 64},
      {"32x32x28x28_32_3x3", 32, 32, 28, 28, 32, 3, 1, 1, 1},
      {"32x128x14x14_128_3x3", 32, 128, 14, 14, 128, 3, 1, 1, 1},
      {"32x256x7x7_256_3x3", 32, 256, 7, 7, 256, 3, 1, 1, 1},
      {"32x64x32x32_128_3x3s2", 32, 64, 32, 32, 128, 3, 2, 1, 1},
      {"32x128x28x28_256_1x1s2", 32, 128, 28, 28, 256, 1, 2, 0, 1},
      {"16x32x32x32_64_4x4s2", 16, 32, 32, 32, 64, 4, 2, 1, 1},  // and its transpose
      {"16x128x16x16_256_4x4s2", 16, 128, 16, 16, 256, 4, 2, 1, 1},
      {"32x240x14x14_depthwise_3x3s2", 32, 240, 14, 14, 240, 3, 2, 1, 240},
      {"1x256x14x14_256_3x3", 1, 256, 14, 14, 256, 3, 1, 1, 1},
  };
  for (const Layer& layer : layers) add_conv(layer);
});

}  // namespace
}  // namespace gs::bench
