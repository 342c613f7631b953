// Convolution by Winograd's transforms: 3 x 3 kernels with stride 1 and many channels.
#include "conv_check.h"

namespace gs {
namespace {

TEST(ConvWinograd, Sizes) {
  for (int64_t pad : {0, 1, 2})
    for (int64_t h : {4, 7, 14})
      for (int64_t w : {3, 8, 15, 33, 36}) {
        check<float>(make_shape(5, 16, h, w, 17, 3, 3, 1, pad));
        if (HasFatalFailure()) return;
      }
  check<float>(
      make_shape(3, 17, 12, 13, 33, 3, 3, 1, 3));  // more padding than the input gradient has
  check<float>(make_shape(1, 16, 5, 530, 16, 3, 3, 1, 1));  // rows of tiles in pieces
  check<float>(make_shape(1, 16, 3, 777, 31, 3, 3, 1, 0));
}

// Dilated, in phases: sizes that are no multiples of the dilation, more and less padding than keeps
// the size, one direction alone, and phases so small that the direct path is taken.
TEST(ConvWinograd, Dilation) {
  for (int64_t pad : {0, 1, 2, 5})
    for (int64_t size : {12, 17, 24}) {
      check<float>(make_shape(2, 64, size, size + 3, 65, 3, 3, 1, pad, 2));
      if (HasFatalFailure()) return;
    }
  check<float>(make_shape(2, 64, 20, 22, 64, 3, 3, 1, 2, 2), Activation::Relu);
  for (int64_t dilation : {3, 4})
    check<float>(make_shape(2, 256, 12, 11, 257, 3, 3, 1, dilation, dilation));
  check<float>(make_shape(1, 256, 10, 8, 256, 3, 3, 1, 9, 4));
  auto v = make_shape(3, 64, 12, 14, 64, 3, 3, 1, 1);
  v.dilation_h = 3;
  check<float>(v);
  v.dilation_h = 1, v.dilation_w = 2;
  check<float>(v);
}

TEST(ConvWinograd, Depth) {
  check<float>(make_shape(9, 64, 14, 14, 65, 3, 3, 1, 1));
  check<float>(make_shape(6, 130, 7, 7, 100, 3, 3, 1, 1));
  check<float>(make_shape(9, 300, 4, 5, 40, 3, 3, 1, 1));
  check<float>(make_shape(1, 40, 8, 7, 130, 3, 3, 1, 1));  // outputs are shared out between tasks
  check<float>(make_shape(5, 40, 9, 9, 200, 3, 3, 1, 1), Activation::Relu);
  check<float>(make_shape(5, 40, 9, 10, 30, 3, 3, 1, 1), Activation::Tanh);
}

// Sums whose terms are all positive only grow, and so do their rounding errors: the many channels
// must not be added in one long row.
TEST(ConvWinograd, PositiveData) {
  for (int64_t channels : {64, 256, 512}) {
    auto v = make_shape(4, channels, 8, 9, 17, 3, 3, 1, 1);
    for (const bool gradient : {false, true}) {
      if (gradient) std::swap(v.c, v.o);  // the channels that the input gradient adds up
      set_output(v);
      v.dtype = DType::Float32;
      SCOPED_TRACE(describe(v));
      auto from = random_values<float>(v.n * channels * v.h * v.w, 1);
      auto weight = random_values<float>(v.o * v.c * 9, 2);
      for (auto* values : {&from, &weight})
        for (float& value : *values) value = std::abs(value);
      Expected to(v.n * (gradient ? v.c : v.o) * v.h * v.w);
      std::fill(to.size.begin(), to.size.end(), 0.0);
      for_each_product(v, [&](int64_t xi, int64_t wi, int64_t yi) {
        const int64_t source = gradient ? yi : xi, target = gradient ? xi : yi;
        to.add(target, static_cast<double>(from[source]) * static_cast<double>(weight[wi]));
      });
      check_runs<float>(
          to.value.size(), to, "positive", [&](const cpu::KernelTable& t, float* out) {
            if (gradient)
              t.conv2d_input_grad({v, from.data(), weight.data(), out});
            else
              t.conv2d({v, from.data(), weight.data(), nullptr, out, Activation::None});
          });
      if (HasFatalFailure()) return;
    }
  }
}

// The same of the weight gradient, which adds up points: many images, few and many channels.
TEST(ConvWinograd, PositiveWeightGrad) {
  for (int64_t channels : {16, 64, 512}) {
    auto v = make_shape(16384 / channels / 8, channels, 13, 14, 17, 3, 3, 1, 1);
    set_output(v);
    v.dtype = DType::Float32;
    SCOPED_TRACE(describe(v));
    auto x = random_values<float>(v.n * v.c * v.h * v.w, 1);
    auto dy = random_values<float>(v.n * v.o * v.p * v.q, 2);
    for (auto* values : {&x, &dy})
      for (float& value : *values) value = std::abs(value);
    Expected dweight(v.o * v.c * 9);
    std::fill(dweight.size.begin(), dweight.size.end(), 0.0);
    for_each_product(v, [&](int64_t xi, int64_t wi, int64_t yi) {
      dweight.add(wi, static_cast<double>(x[xi]) * static_cast<double>(dy[yi]));
    });
    check_runs<float>(dweight.value.size(), dweight, "positive",
                      [&](const cpu::KernelTable& t, float* out) {
                        t.conv2d_weight_grad({v, x.data(), dy.data(), out, nullptr});
                      });
    if (HasFatalFailure()) return;
  }
}

// Blocks of channels and of outputs, chunks of tiles that end within an image, groups of chunks,
// and sizes that leave part of a vector or of a tile.
TEST(ConvWinograd, WeightGrad) {
  check<float>(make_shape(33, 16, 9, 10, 16, 3, 3, 1, 1));
  check<float>(make_shape(40, 130, 4, 4, 70, 3, 3, 1, 1));
  check<float>(make_shape(21, 65, 7, 6, 97, 3, 3, 1, 2));
  check<float>(make_shape(70, 31, 3, 2, 33, 3, 3, 1, 1));
  check<float>(make_shape(2, 16, 60, 300, 16, 3, 3, 1, 1));  // rows of tiles in pieces
}

// An infinity stays one, although the transforms would take differences of infinities; values whose
// transforms overflow have finite sums; and no value touches a window that does not see it.
TEST(ConvWinograd, InfinityAndOverflow) {
  auto v = make_shape(4, 16, 9, 10, 16, 3, 3, 1, 1);
  set_output(v);
  v.dtype = DType::Float32;
  const std::vector<float> weight(v.o * v.c * 9, 1.0f);
  for (const float special : {std::numeric_limits<float>::infinity(),
                              std::numeric_limits<float>::quiet_NaN(), 3e38f, 1e30f}) {
    std::vector<float> x(v.n * v.c * v.h * v.w, 1.0f);
    x[5 * v.w + 4] = special;                                 // image 0, channel 0
    if (special == 3e38f) x[(5 + v.h) * v.w + 4] = -special;  // channel 1 cancels it
    for (Isa isa : isas()) {
      std::vector<float> y(v.n * v.o * v.p * v.q), dx(x.size());
      cpu::table(isa).conv2d({v, x.data(), weight.data(), nullptr, y.data(), Activation::None});
      cpu::table(isa).conv2d_input_grad({v, x.data(), weight.data(), dx.data()});
      for (const auto* out : {&y, &dx})
        for (int64_t i = 0; i < v.h * v.w; ++i) {
          const int64_t h = i / v.w, w = i % v.w;
          const int64_t rows = 3 - (h == 0) - (h == v.h - 1), cols = 3 - (w == 0) - (w == v.w - 1);
          const float got = (*out)[i], plain = static_cast<float>(16 * rows * cols);
          if (std::abs(h - 5) > 1 || std::abs(w - 4) > 1)
            ASSERT_EQ(got, plain) << h << ' ' << w;
          else if (std::isnan(special))
            ASSERT_TRUE(std::isnan(got));
          else if (special == 3e38f)
            ASSERT_TRUE(std::isfinite(got));
          else
            ASSERT_FLOAT_EQ(got, special) << h << ' ' << w;
        }
    }
  }
}

// A value at a border is seen by some of the weights alone.
TEST(ConvWinograd, WeightGradInfinity) {
  auto v = make_shape(4, 16, 9, 10, 16, 3, 3, 1, 1);
  set_output(v);
  v.dtype = DType::Float32;
  const std::vector<float> dy(v.n * v.o * v.p * v.q, 1.0f);
  for (const float special :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    std::vector<float> x(v.n * v.c * v.h * v.w, 1.0f);
    x[0] = special;  // the corner: the last row and column of weights do not see it
    for (Isa isa : isas()) {
      std::vector<float> dweight(v.o * v.c * 9), dbias(v.o);
      cpu::table(isa).conv2d_weight_grad({v, x.data(), dy.data(), dweight.data(), dbias.data()});
      for (int64_t i = 0; i < v.o * v.c * 9; ++i) {
        const bool sees = i / 9 % v.c == 0 && i % 9 / 3 < 2 && i % 3 < 2;
        const float rows = i % 9 / 3 == 1 ? 9 : 8, cols = i % 3 == 1 ? 10 : 9;
        if (!sees)
          ASSERT_EQ(dweight[i], 4 * rows * cols) << i;
        else if (std::isnan(special))
          ASSERT_TRUE(std::isnan(dweight[i])) << i;
        else
          ASSERT_EQ(dweight[i], special) << i;
      }
      for (const float sum : dbias) ASSERT_EQ(sum, 4 * 9 * 10);
    }
  }
}

}  // namespace
}  // namespace gs
