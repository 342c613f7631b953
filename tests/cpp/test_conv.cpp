// Convolution and its gradients against naive loops in double, on every instruction set.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "core/parallel.h"
#include "cpu/isa.h"
#include "kernels/params/conv.h"

namespace gs {
namespace {

using cpu::Isa;

ConvShape make_shape(int64_t n, int64_t c, int64_t h, int64_t w, int64_t o, int64_t r, int64_t s,
                     int64_t stride = 1, int64_t pad = 0, int64_t dilation = 1,
                     int64_t groups = 1) {
  ConvShape v{};
  v.n = n, v.c = c, v.h = h, v.w = w, v.o = o, v.r = r, v.s = s, v.groups = groups;
  v.stride_h = v.stride_w = stride;
  v.pad_h = v.pad_w = pad;
  v.dilation_h = v.dilation_w = dilation;
  return v;
}

void set_output(ConvShape& v) {
  v.p = (v.h + 2 * v.pad_h - v.dilation_h * (v.r - 1) - 1) / v.stride_h + 1;
  v.q = (v.w + 2 * v.pad_w - v.dilation_w * (v.s - 1) - 1) / v.stride_w + 1;
}

std::string describe(const ConvShape& v) {
  std::string out = "n c h w o r s p q groups stride pad dilation:";
  for (int64_t x : {v.n, v.c, v.h, v.w, v.o, v.r, v.s, v.p, v.q, v.groups, v.stride_h, v.stride_w,
                    v.pad_h, v.pad_w, v.dilation_h, v.dilation_w})
    out += " " + std::to_string(x);
  return out;
}

template <class T>
std::vector<T> random_values(size_t n, uint32_t seed) {
  std::mt19937 bits(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<T> out(n);
  for (T& v : out) v = static_cast<T>(uniform(bits));
  return out;
}

// Calls f(x index, weight index, y index) for every product of the convolution.
template <class F>
void for_each_product(const ConvShape& v, F&& f) {
  const int64_t cg = v.c / v.groups, og = v.o / v.groups;
  for (int64_t n = 0; n < v.n; ++n)
    for (int64_t o = 0; o < v.o; ++o)
      for (int64_t p = 0; p < v.p; ++p)
        for (int64_t q = 0; q < v.q; ++q)
          for (int64_t c = 0; c < cg; ++c)
            for (int64_t r = 0; r < v.r; ++r)
              for (int64_t s = 0; s < v.s; ++s) {
                const int64_t h = p * v.stride_h + r * v.dilation_h - v.pad_h;
                const int64_t w = q * v.stride_w + s * v.dilation_w - v.pad_w;
                if (h < 0 || h >= v.h || w < 0 || w >= v.w) continue;
                f(((n * v.c + o / og * cg + c) * v.h + h) * v.w + w,
                  ((o * cg + c) * v.r + r) * v.s + s, ((n * v.o + o) * v.p + p) * v.q + q);
              }
}

struct Expected {
  std::vector<double> value, size;
  explicit Expected(size_t n) : value(n), size(n, 1.0) {}
  void add(int64_t i, double x) {
    value[i] += x;
    size[i] += std::abs(x);
  }
};

template <class T>
double epsilon() {
  if (std::is_same_v<T, double>) return 1e-13;
  if (std::is_same_v<T, float>) return 2e-6;
  if (std::is_same_v<T, Half>) return 2e-3;
  return 1.6e-2;
}

template <class T>
void expect_close(const std::vector<T>& got, const Expected& expected, const char* what) {
  ASSERT_EQ(got.size(), expected.value.size());
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(static_cast<double>(got[i]), expected.value[i], epsilon<T>() * expected.size[i])
        << what << " at " << i;
}

// Runs `call(table, out)` on every instruction set and number of threads: the same bits for any
// number.
template <class T, class F>
void check_runs(size_t count, const Expected& expected, const char* what, F&& call) {
  for (Isa isa : {Isa::Baseline, Isa::Avx2, Isa::Avx512}) {
    if (isa > cpu::best_isa()) continue;
    SCOPED_TRACE(cpu::name_of(isa));
    std::vector<T> first;
    for (int threads : {1, 2, 3}) {
      set_num_threads(threads);
      std::vector<T> out(count, static_cast<T>(std::numeric_limits<float>::quiet_NaN()));
      call(cpu::table(isa), out.data());
      if (threads == 1) {
        first = out;
        expect_close(out, expected, what);
        if (::testing::Test::HasFatalFailure()) return;
      }
      if (count) {
        ASSERT_EQ(0, std::memcmp(out.data(), first.data(), count * sizeof(T)))
            << what << ", threads " << threads;
      }
    }
    set_num_threads(1);
  }
}

template <class T>
void check(ConvShape v, Activation activation = Activation::None) {
  set_output(v);
  v.dtype = dtype_of<T>::value;
  SCOPED_TRACE(describe(v));
  const size_t x_size = v.n * v.c * v.h * v.w, w_size = v.o * (v.c / v.groups) * v.r * v.s;
  const size_t y_size = v.n * v.o * v.p * v.q;
  const auto x = random_values<T>(x_size, 1), weight = random_values<T>(w_size, 2);
  const auto bias = random_values<T>(v.o, 3), dy = random_values<T>(y_size, 4);

  Expected y(y_size), dx(x_size), dweight(w_size), dbias(v.o);
  for (size_t i = 0; i < y_size; ++i) {
    const int64_t o = static_cast<int64_t>(i) / (v.p * v.q) % v.o;
    y.add(i, static_cast<double>(bias[o]));
    dbias.add(o, static_cast<double>(dy[i]));
  }
  for_each_product(v, [&](int64_t xi, int64_t wi, int64_t yi) {
    y.add(yi, static_cast<double>(x[xi]) * static_cast<double>(weight[wi]));
    dx.add(xi, static_cast<double>(dy[yi]) * static_cast<double>(weight[wi]));
    dweight.add(wi, static_cast<double>(dy[yi]) * static_cast<double>(x[xi]));
  });
  if (activation == Activation::Relu)
    for (double& value : y.value) value = std::max(value, 0.0);
  if (activation == Activation::Tanh)
    for (double& value : y.value) value = std::tanh(value);

  check_runs<T>(y_size, y, "y", [&](const cpu::KernelTable& table, T* out) {
    table.conv2d({v, x.data(), weight.data(), bias.data(), out, activation});
  });
  if (::testing::Test::HasFatalFailure()) return;
  check_runs<T>(x_size, dx, "dx", [&](const cpu::KernelTable& table, T* out) {
    table.conv2d_input_grad({v, dy.data(), weight.data(), out});
  });
  if (::testing::Test::HasFatalFailure()) return;
  std::vector<T> bias_out(v.o);
  check_runs<T>(w_size, dweight, "dweight", [&](const cpu::KernelTable& table, T* out) {
    table.conv2d_weight_grad({v, x.data(), dy.data(), out, bias_out.data()});
    expect_close(bias_out, dbias, "dbias");
  });
  if (::testing::Test::HasFatalFailure()) return;
  check_runs<T>(w_size, dweight, "dweight without dbias",
                [&](const cpu::KernelTable& table, T* out) {
                  table.conv2d_weight_grad({v, x.data(), dy.data(), out, nullptr});
                });
}

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

// 3 x 3 with stride 1 and many channels is computed by Winograd's transforms.
TEST(Conv, WinogradSizes) {
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
TEST(Conv, WinogradDilation) {
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

TEST(Conv, WinogradDepth) {
  check<float>(make_shape(9, 64, 14, 14, 65, 3, 3, 1, 1));
  check<float>(make_shape(6, 130, 7, 7, 100, 3, 3, 1, 1));
  check<float>(make_shape(9, 300, 4, 5, 40, 3, 3, 1, 1));
  check<float>(make_shape(1, 40, 8, 7, 130, 3, 3, 1, 1));  // outputs are shared out between tasks
  check<float>(make_shape(5, 40, 9, 9, 200, 3, 3, 1, 1), Activation::Relu);
  check<float>(make_shape(5, 40, 9, 10, 30, 3, 3, 1, 1), Activation::Tanh);
}

// Sums whose terms are all positive only grow, and so do their rounding errors: the many channels
// must not be added in one long row.
TEST(Conv, PositiveData) {
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
TEST(Conv, PositiveWeightGrad) {
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
TEST(Conv, WinogradWeightGrad) {
  check<float>(make_shape(33, 16, 9, 10, 16, 3, 3, 1, 1));
  check<float>(make_shape(40, 130, 4, 4, 70, 3, 3, 1, 1));
  check<float>(make_shape(21, 65, 7, 6, 97, 3, 3, 1, 2));
  check<float>(make_shape(70, 31, 3, 2, 33, 3, 3, 1, 1));
  check<float>(make_shape(2, 16, 60, 300, 16, 3, 3, 1, 1));  // rows of tiles in pieces
}

// An infinity stays one, although the transforms would take differences of infinities; values whose
// transforms overflow have finite sums; and no value touches a window that does not see it.
TEST(Conv, WinogradInfinityAndOverflow) {
  auto v = make_shape(4, 16, 9, 10, 16, 3, 3, 1, 1);
  set_output(v);
  v.dtype = DType::Float32;
  const std::vector<float> weight(v.o * v.c * 9, 1.0f);
  for (const float special : {std::numeric_limits<float>::infinity(),
                              std::numeric_limits<float>::quiet_NaN(), 3e38f, 1e30f}) {
    std::vector<float> x(v.n * v.c * v.h * v.w, 1.0f);
    x[5 * v.w + 4] = special;                                 // image 0, channel 0
    if (special == 3e38f) x[(5 + v.h) * v.w + 4] = -special;  // channel 1 cancels it
    for (Isa isa : {Isa::Baseline, Isa::Avx2, Isa::Avx512}) {
      if (isa > cpu::best_isa()) continue;
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
TEST(Conv, WinogradWeightGradInfinity) {
  auto v = make_shape(4, 16, 9, 10, 16, 3, 3, 1, 1);
  set_output(v);
  v.dtype = DType::Float32;
  const std::vector<float> dy(v.n * v.o * v.p * v.q, 1.0f);
  for (const float special :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    std::vector<float> x(v.n * v.c * v.h * v.w, 1.0f);
    x[0] = special;  // the corner: the last row and column of weights do not see it
    for (Isa isa : {Isa::Baseline, Isa::Avx2, Isa::Avx512}) {
      if (isa > cpu::best_isa()) continue;
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
    for (Isa isa : {Isa::Baseline, Isa::Avx2, Isa::Avx512}) {
      if (isa > cpu::best_isa()) continue;
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
