// Convolution and its gradients against naive loops in double, on every instruction set.
#include "conv_check.h"

namespace gs {
namespace {

TEST(Conv, StridePaddingDilationGroups) {
  for (int64_t stride : {1, 2, 3})
    for (int64_t pad : {0, 1, 3})
      for (int64_t dilation : {1, 2})
        for (int64_t groups : {1, 2, 6}) {
          check<float>(make_shape(3, 6, 11, 13, 12, 3, 2, stride, pad, dilation, groups));
          if (HasFatalFailure()) return;
        }
}

TEST(Conv, Depthwise) {
  for (int64_t multiplier : {1, 2, 5})
    for (int64_t stride : {1, 2})
      for (int64_t kernel : {1, 3, 5})
        for (int64_t size : {5, 17, 40}) {
          check<float>(make_shape(2, 5, size, size + 1, 5 * multiplier, kernel, kernel, stride,
                                  kernel / 2, 1, 5));
          if (HasFatalFailure()) return;
        }
}

// Every height of kernel, bands of large planes, and images two by two (an odd number of them)
// where rows are short.
TEST(Conv, DepthwiseSizes) {
  for (int64_t stride : {1, 2, 3})
    for (int64_t kernel : {2, 4, 6, 7})
      for (int64_t size : {4, 7, 14, 29}) {
        check<float>(make_shape(3, 3, size, size + 1, 3, kernel, kernel, stride, 3, 1, 3));
        if (HasFatalFailure()) return;
      }
  check<float>(make_shape(1, 2, 130, 127, 2, 3, 3, 1, 1, 1, 2));
  check<float>(make_shape(2, 2, 130, 127, 2, 5, 5, 2, 2, 1, 2));
  check<float>(make_shape(19, 3, 7, 7, 6, 3, 5, 1, 1, 1, 3));
  check<float>(make_shape(17, 20, 4, 3, 20, 3, 3, 1, 1, 1, 20));
  check<float>(make_shape(3, 4, 20, 21, 4, 3, 3, 1, 2, 2, 4));
  check<double>(make_shape(3, 4, 7, 4, 4, 5, 5, 1, 2, 1, 4));
  check<Half>(make_shape(3, 4, 7, 7, 4, 5, 5, 2, 2, 1, 4));
}

// Planes narrower than a vector, whose lanes are channels: blocks of channels that overlap, points
// that are left over, rows of outputs in every kind of block.
TEST(Conv, DepthwiseSmallPlanes) {
  for (int64_t stride : {1, 2})
    for (int64_t kernel : {2, 3, 4, 5, 6, 7})
      for (int64_t size : {4, 7, 13}) {
        check<float>(
            make_shape(2, 21, size, size + 1, 21, kernel, kernel, stride, kernel / 2, 1, 21));
        if (HasFatalFailure()) return;
      }
  for (int64_t stride : {1, 2})
    for (int64_t kernel : {3, 4, 5, 7})
      check<float>(make_shape(10, 67, 7, 8, 67, kernel, kernel, stride, 2, 1, 67));
  check<float>(make_shape(3, 32, 7, 7, 32, 3, 3, 1, 1, 1, 32), Activation::Tanh);
  check<float>(make_shape(3, 33, 9, 3, 33, 3, 3, 1, 1, 1, 33));
  check<double>(make_shape(3, 33, 9, 3, 33, 3, 3, 1, 1, 1, 33));
  check<float>(make_shape(2, 17, 12, 6, 17, 3, 5, 1, 2, 2, 17));
  check<float>(make_shape(2, 16, 9, 9, 16, 3, 3, 1, 0, 1, 16));
  check<float>(make_shape(2, 16, 4, 4, 16, 3, 3, 1, 4, 1, 16));
  check<double>(make_shape(2, 19, 7, 9, 19, 5, 5, 1, 2, 1, 19));
  check<Half>(make_shape(2, 19, 7, 9, 19, 3, 3, 1, 1, 1, 19));
  check<BFloat16>(make_shape(2, 19, 7, 9, 19, 3, 3, 2, 1, 1, 19));
}

TEST(Conv, GroupsOfFewChannels) {
  for (int64_t stride : {1, 2}) {
    check<float>(make_shape(3, 32, 15, 14, 32, 3, 3, stride, 1, 1, 4));
    check<float>(make_shape(3, 20, 7, 7, 30, 5, 5, stride, 2, 1, 5));
    check<float>(make_shape(2, 16, 33, 40, 32, 7, 7, stride, 3, 1, 4));
  }
  check<double>(make_shape(2, 16, 9, 9, 16, 3, 3, 1, 1, 1, 4));
}

TEST(Conv, FewOutputs) {
  check<float>(make_shape(2, 70, 30, 31, 3, 3, 3, 1, 1));
  check<float>(make_shape(3, 200, 8, 7, 1, 3, 3, 1, 1), Activation::Tanh);
  check<float>(make_shape(2, 3, 33, 31, 70, 7, 7, 2, 3));
  check<double>(make_shape(2, 2, 12, 13, 20, 5, 5, 2, 2));
}

TEST(Conv, OddChannels) {
  for (int64_t c : {1, 3, 17, 33})
    for (int64_t o : {1, 2, 7, 15, 31, 65}) {
      check<float>(make_shape(2, c, 9, 10, o, 3, 3, 1, 1));
      if (HasFatalFailure()) return;
    }
}

TEST(Conv, ManyPassesOverTheDepth) {
  check<float>(make_shape(2, 100, 12, 12, 20, 3, 3, 1, 1));
  check<double>(make_shape(2, 100, 7, 7, 20, 3, 3, 2, 1));
  check<Half>(make_shape(2, 100, 7, 7, 20, 3, 3, 1, 1));
}

TEST(Conv, PointwiseIsAPlainProduct) {
  check<float>(make_shape(3, 40, 7, 7, 50, 1, 1));
  check<float>(make_shape(2, 20, 33, 31, 10, 1, 1));
  check<float>(make_shape(2, 20, 33, 31, 10, 1, 1, 2));
  check<float>(make_shape(5, 30, 1, 1, 40, 1, 1));
}

TEST(Conv, SingleRowsAndColumns) {
  auto v = make_shape(3, 4, 1, 200, 6, 1, 5);  // conv1d
  v.pad_w = 2;
  check<float>(v);
  v.stride_w = 3;
  check<float>(v);
  v = make_shape(3, 4, 200, 1, 6, 5, 1);
  v.pad_h = 4, v.dilation_h = 3;
  check<float>(v);
  check<float>(make_shape(2, 3, 5, 40, 8, 5, 3));    // P = 1
  check<float>(make_shape(2, 3, 5, 5, 8, 5, 5));     // one point
  check<float>(make_shape(1, 2, 1, 3000, 5, 1, 3));  // parts of a row
  check<float>(make_shape(1, 2, 1, 9000, 2, 1, 3, 1, 0, 1, 2));
}

TEST(Conv, KernelWiderThanTheImage) {
  check<float>(make_shape(2, 3, 2, 3, 4, 5, 5, 1, 2));
  check<float>(make_shape(2, 3, 1, 1, 4, 3, 3, 1, 4));  // windows that see padding alone
  check<float>(make_shape(2, 3, 4, 4, 4, 2, 2, 1, 5));
  check<float>(make_shape(2, 3, 4, 4, 4, 2, 2, 3, 2, 3));
  auto v = make_shape(2, 4, 9, 6, 8, 3, 2, 1, 0, 1, 2);
  v.stride_h = 2, v.stride_w = 5, v.pad_h = 1, v.pad_w = 2, v.dilation_h = 3, v.dilation_w = 2;
  check<float>(v);
}

TEST(Conv, StrideLargerThanTheKernel) {
  check<float>(make_shape(2, 3, 10, 11, 4, 2, 2, 4));
  check<float>(make_shape(2, 4, 10, 11, 4, 1, 1, 3, 0, 1, 4));
}

// Input gradients with stride 2: the four phases share what they see of dy where planes are even,
// also phases that no tap reaches.
TEST(Conv, StrideTwoPhases) {
  for (int64_t kernel : {1, 2, 3, 4, 5}) {
    check<float>(make_shape(3, 20, 14, 16, 18, kernel, kernel, 2, kernel / 2));
    check<float>(make_shape(3, 20, 15, 16, 18, kernel, kernel, 2, kernel / 2));
    check<float>(make_shape(2, 24, 20, 12, 36, kernel, kernel, 2, 0, 1, 2));
    check<float>(make_shape(5, 40, 14, 12, 40, kernel, kernel, 2, kernel / 2, 1, 40));
    if (HasFatalFailure()) return;
  }
  check<float>(make_shape(2, 20, 14, 16, 18, 3, 3, 2, 2, 2));
  check<float>(make_shape(1, 250, 8, 8, 300, 4, 4, 2, 1));
  check<float>(make_shape(2, 33, 15, 13, 33, 3, 3, 2, 2, 2, 33));
}

TEST(Conv, NoImages) {
  check<float>(make_shape(0, 3, 8, 8, 5, 3, 3, 1, 1));
  check<float>(make_shape(0, 4, 8, 8, 4, 3, 3, 2, 1, 1, 4));
}

TEST(Conv, Types) {
  for (int64_t stride : {1, 2}) {
    check<double>(make_shape(2, 3, 14, 15, 10, 3, 3, stride, 1));
    check<Half>(make_shape(2, 3, 14, 15, 10, 3, 3, stride, 1));
    check<BFloat16>(make_shape(2, 3, 14, 15, 10, 3, 3, stride, 1));
    check<double>(make_shape(2, 6, 14, 15, 6, 3, 3, stride, 1, 1, 6));
    check<BFloat16>(make_shape(2, 6, 14, 15, 6, 3, 3, stride, 1, 1, 6));
  }
}

TEST(Conv, LargerBatchesAndImages) {
  check<float>(make_shape(20, 1, 28, 28, 8, 3, 3));
  check<float>(make_shape(9, 8, 12, 12, 16, 3, 3, 1, 1));
  check<float>(make_shape(1, 3, 65, 70, 6, 7, 7, 2, 3));
}

TEST(Conv, OneImageManyChannels) {  // the rows of A are shared out between tasks
  check<float>(make_shape(1, 20, 6, 7, 250, 3, 3, 1, 1));
  check<float>(make_shape(1, 200, 5, 5, 130, 3, 3, 2, 1));
  check<Half>(make_shape(1, 20, 6, 7, 250, 3, 3, 1, 1));
}

TEST(Conv, Activations) {
  check<float>(make_shape(2, 3, 9, 9, 6, 3, 3), Activation::Relu);
  check<float>(make_shape(2, 3, 9, 9, 6, 3, 3), Activation::Tanh);
  check<float>(make_shape(2, 3, 9, 9, 3, 3, 3, 1, 1, 1, 3), Activation::Relu);
}

TEST(Conv, NanStaysInItsWindows) {
  for (int64_t groups : {1, 4}) {
    auto v = make_shape(1, 4, 8, 9, 4, 3, 3, 1, 1, 1, groups);
    set_output(v);
    v.dtype = DType::Float32;
    auto x = random_values<float>(v.c * v.h * v.w, 1);
    const auto weight = random_values<float>(v.o * v.c / groups * 9, 2);
    const auto dy = random_values<float>(v.o * v.p * v.q, 3);
    x[4 * v.w + 8] =
        std::numeric_limits<float>::quiet_NaN();  // the last of row 4: its right is padding
    for (Isa isa : isas()) {
      std::vector<float> y(v.o * v.p * v.q), dweight(weight.size());
      cpu::table(isa).conv2d({v, x.data(), weight.data(), nullptr, y.data(), Activation::Relu});
      for (int64_t h = 0; h < v.h; ++h)
        for (int64_t w = 0; w < v.w; ++w)
          EXPECT_EQ(std::isnan(y[h * v.w + w]), h >= 3 && h <= 5 && w >= 7) << h << ' ' << w;
      cpu::table(isa).conv2d_weight_grad({v, x.data(), dy.data(), dweight.data(), nullptr});
      // Taps of the first column meet every column of x but the last.
      for (int64_t r = 0; r < 3; ++r)
        for (int64_t c = 0; c < 3; ++c)
          EXPECT_EQ(std::isnan(dweight[r * 3 + c]), c > 0) << r << ' ' << c;
    }
  }
}

}  // namespace
}  // namespace gs
