// Convolution that writes the maxima of 2x2 windows alone, against the convolution and the pooling
// one after the other.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "core/parallel.h"
#include "kernel_test.h"
#include "kernels/params/conv.h"
#include "kernels/params/pool.h"

namespace gs {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Case {
  int64_t n, c, h, w, o, r, s, pad = 0, stride = 1, groups = 1;
};

struct Layer {
  ConvShape s{};
  std::vector<float> x, weight, bias;

  explicit Layer(const Case& v) {
    s.dtype = DType::Float32;
    s.n = v.n, s.c = v.c, s.h = v.h, s.w = v.w, s.o = v.o, s.r = v.r, s.s = v.s;
    s.groups = v.groups;
    s.stride_h = s.stride_w = v.stride;
    s.pad_h = s.pad_w = v.pad;
    s.dilation_h = s.dilation_w = 1;
    s.p = (v.h + 2 * v.pad - v.r) / v.stride + 1;
    s.q = (v.w + 2 * v.pad - v.s) / v.stride + 1;
    x = values(s.n * s.c * s.h * s.w);
    weight = values(s.o * s.c / s.groups * s.r * s.s);
    bias = values(s.o);
  }
  std::vector<float> values(int64_t count) {
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<float> out(static_cast<size_t>(count));
    for (float& v : out) v = uniform(bits);
    return out;
  }
  size_t pooled() const { return static_cast<size_t>(s.n * s.o * (s.p / 2) * (s.q / 2)); }

  std::vector<float> one_by_one(Isa isa, const float* b, Activation activation) const {
    std::vector<float> y(static_cast<size_t>(s.n * s.o * s.p * s.q)), out(pooled());
    cpu::table(isa).conv2d({s, x.data(), weight.data(), b, y.data(), activation});
    const PoolShape pool{s.dtype, s.n * s.o, s.p, s.q, s.p / 2, s.q / 2, 2, 2, 2, 2, 0, 0, 1, 1};
    if (!out.empty()) cpu::table(isa).max_pool2d({pool, y.data(), out.data(), nullptr});
    return out;
  }
  // The values behind the last one stay.
  std::vector<float> at_once(Isa isa, const float* b, Activation activation) const {
    std::vector<float> out(pooled() + 32, -7);
    Conv2d p{s, x.data(), weight.data(), b, out.data(), activation};
    p.pool = true;
    cpu::table(isa).conv2d(p);
    for (size_t i = pooled(); i < out.size(); ++i) EXPECT_EQ(out[i], -7) << i - pooled();
    out.resize(pooled());
    return out;
  }

  std::mt19937 bits{5};
};

void expect_same(const std::vector<float>& got, const std::vector<float>& expected, float bound) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(expected[i]))
      ASSERT_TRUE(std::isnan(got[i])) << i;
    else if (std::isinf(expected[i]))
      ASSERT_EQ(got[i], expected[i]) << i;
    else
      ASSERT_NEAR(got[i], expected[i], bound) << i;
  }
}

template <class F>
void for_each_isa(F&& f) {
  for (Isa isa : isas()) {
    SCOPED_TRACE(cpu::name_of(isa));
    f(isa);
  }
}

float bound_of(const ConvShape& s) {
  return 4e-6f * static_cast<float>(s.c / s.groups * s.r * s.s + 1);
}

void check(const Case& v) {
  const Layer layer(v);
  const ConvShape& s = layer.s;
  SCOPED_TRACE(::testing::Message()
               << "n c h w o r s pad: " << v.n << ' ' << v.c << ' ' << v.h << ' ' << v.w << ' '
               << v.o << ' ' << v.r << ' ' << v.s << ' ' << v.pad);
  for_each_isa([&](Isa isa) {
    for (const Activation activation : {Activation::Relu, Activation::None}) {
      const float* bias = activation == Activation::Relu ? layer.bias.data() : nullptr;
      set_num_threads(1);
      const auto expected = layer.one_by_one(isa, bias, activation);
      const auto first = layer.at_once(isa, bias, activation);
      expect_same(first, expected, bound_of(s));
      for (const int threads : {2, 3}) {
        set_num_threads(threads);
        const auto again = layer.at_once(isa, bias, activation);
        if (!first.empty())
          ASSERT_EQ(0, std::memcmp(again.data(), first.data(), first.size() * sizeof(float)));
      }
      set_num_threads(1);
    }
  });
}

TEST(ConvPooled, FewChannels) {
  for (const int64_t outputs : {1, 2, 5, 6, 7, 13, 32})
    for (const int64_t width : {4, 5, 7, 19, 36}) check({3, 2, 9, width, outputs, 3, 3});
  check({5, 1, 28, 28, 32, 3, 3});
  check({5, 1, 28, 28, 6, 5, 5, 2});
  check({4, 6, 14, 14, 16, 5, 5});
  check({2, 3, 8, 9, 4, 1, 1});
  check({2, 3, 8, 9, 4, 2, 4, 1});
  check({1, 1, 3, 1200, 3, 2, 1});  // a row in pieces
  check({9, 1, 3, 3, 5, 2, 2});     // a vector of windows in several images
}

TEST(ConvPooled, WinogradTiles) {
  for (const int64_t size : {6, 7, 8, 13, 14, 31}) check({3, 16, size, size + 1, 17, 3, 3, 1});
  check({5, 32, 13, 13, 64, 3, 3});
  check({1, 16, 4, 600, 16, 3, 3, 1});
  check({2, 130, 9, 9, 20, 3, 3, 1});
}

TEST(ConvPooled, WithoutAPathOfItsOwn) {
  check({2, 40, 9, 9, 3, 5, 5, 2});       // too many values a patch
  check({2, 4, 9, 9, 6, 3, 3, 1, 2});     // stride
  check({2, 4, 9, 9, 6, 3, 3, 1, 1, 2});  // groups
  check({2, 3, 3, 9, 6, 3, 3});           // no window at all
  check({1, 16, 4, 4, 16, 3, 3, 1});      // too few tiles
}

TEST(ConvPooled, NotFinite) {
  for (const Case& v : {Case{2, 2, 9, 10, 7, 3, 3, 1}, Case{2, 16, 9, 10, 16, 3, 3, 1}}) {
    for (const float special : {kInf, -kInf, kNan}) {
      for (const int64_t at : {0, 37, 89}) {
        Layer layer(v);
        layer.x[static_cast<size_t>(at)] = special;
        for_each_isa([&](Isa isa) {
          for (const Activation activation : {Activation::Relu, Activation::None})
            expect_same(layer.at_once(isa, layer.bias.data(), activation),
                        layer.one_by_one(isa, layer.bias.data(), activation), bound_of(layer.s));
        });
      }
    }
  }
}

}  // namespace
}  // namespace gs
