#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "core/parallel.h"
#include "core/random.h"
#include "kernel_test.h"
#include "kernels/params/random.h"
#include "kernels/params/reduce.h"

namespace gs {
namespace {

template <class T>
std::vector<T> draw(Isa isa, RandomOp op, int64_t n, double a, double b, int64_t low = 0,
                    int64_t high = 0, uint64_t seed = 42, uint64_t offset = 3) {
  auto y = std::make_unique<T[]>(static_cast<size_t>(n) + 1);
  Random p{op, y.get(), n, dtype_of<T>::value, seed, offset, a, b, low, high};
  cpu::table(isa).random(p);
  return std::vector<T>(y.get(), y.get() + n);
}

// The published vectors of philox4x32-10 (Random123, kat_vectors).
TEST(Philox, KnownAnswers) {
  const auto check = [](uint64_t seed, uint64_t offset, uint64_t counter,
                        std::vector<uint32_t> expected) {
    const Philox4 out = philox(seed, offset, counter);
    EXPECT_EQ(std::vector<uint32_t>(out.v, out.v + 4), expected);
  };
  check(0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  check(~uint64_t(0), ~uint64_t(0), ~uint64_t(0), {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  check(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88,
        {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST(Generator, OffsetsAdvance) {
  Generator g(5);
  EXPECT_EQ(g.next(), 0u);
  EXPECT_EQ(g.next(), 1u);
  g.manual_seed(7);
  EXPECT_EQ(g.seed(), 7u);
  EXPECT_EQ(g.next(), 0u);
  EXPECT_EQ(&default_generator(), &default_generator());
}

TEST(Random, UniformFollowsTheStream) {
  for (Isa isa : isas())
    for (int64_t n : {0, 1, 3, 7, 15, 17, 31, 33, 65, 1000}) {
      const auto f = draw<float>(isa, RandomOp::Uniform, n, 0, 1);
      const auto d = draw<double>(isa, RandomOp::Uniform, n, 0, 1);
      for (int64_t i = 0; i < n; ++i) {
        EXPECT_EQ(f[i], to_unit_float(philox(42, 3, uint64_t(i) / 4).v[i % 4]));
        const Philox4 block = philox(42, 3, uint64_t(i) / 2);
        EXPECT_EQ(d[i], to_unit_double(block.v[i % 2 * 2], block.v[i % 2 * 2 + 1]));
      }
    }
}

TEST(Random, UniformStaysInItsRange) {
  for (Isa isa : isas()) {
    const auto check = [&](auto tag, double a, double b) {
      using T = decltype(tag);
      for (const T& v : draw<T>(isa, RandomOp::Uniform, 20000, a, b)) {
        ASSERT_GE(static_cast<double>(static_cast<compute_t<T>>(v)), a);
        ASSERT_LT(static_cast<double>(static_cast<compute_t<T>>(v)), b);
      }
    };
    for (auto [a, b] : {std::pair{0.0, 1.0}, {-0.5, 0.5}, {1024.0, 1026.0}}) {
      check(float(), a, b);
      check(double(), a, b);
      check(Half(0.0f), a, b);
    }
    check(BFloat16(0.0f), 0, 1);
    for (float v : draw<float>(isa, RandomOp::Uniform, 100, 2, 2)) ASSERT_EQ(v, 2);
  }
}

TEST(Random, SameUniformBitsOnEveryInstructionSet) {
  for (Isa isa : isas()) {
    EXPECT_EQ(draw<float>(isa, RandomOp::Uniform, 5001, -0.3, 0.7),
              draw<float>(Isa::Baseline, RandomOp::Uniform, 5001, -0.3, 0.7));
    EXPECT_EQ(draw<double>(isa, RandomOp::Uniform, 5001, -0.3, 0.7),
              draw<double>(Isa::Baseline, RandomOp::Uniform, 5001, -0.3, 0.7));
    EXPECT_EQ(draw<int64_t>(isa, RandomOp::Integers, 5001, 0, 0, -5, 1000),
              draw<int64_t>(Isa::Baseline, RandomOp::Integers, 5001, 0, 0, -5, 1000));
  }
}

TEST(Random, NormalIsBoxMullerOfTheStream) {
  for (Isa isa : isas())
    for (int64_t n : {1, 3, 17, 66, 2001}) {
      const auto f = draw<float>(isa, RandomOp::Normal, n, 1.5, 2);
      const auto d = draw<double>(isa, RandomOp::Normal, n, 1.5, 2);
      for (int64_t i = 0; i < n; ++i) {
        const Philox4 w = philox(42, 3, uint64_t(i) / 4);
        const uint32_t* pair = w.v + i % 4 / 2 * 2;
        const double r = std::sqrt(-2 * std::log((pair[0] + 0.5) * 0x1p-32));
        const double a = 2 * M_PI * to_unit_float(pair[1]);
        EXPECT_NEAR(f[i], 1.5 + 2 * r * (i % 2 ? std::sin(a) : std::cos(a)), 1e-5);
        const Philox4 v = philox(42, 3, uint64_t(i) / 2);
        const double rd = std::sqrt(-2 * std::log(1 - to_unit_double(v.v[0], v.v[1])));
        const double ad = 2 * M_PI * to_unit_double(v.v[2], v.v[3]);
        EXPECT_NEAR(d[i], 1.5 + 2 * rd * (i % 2 ? std::sin(ad) : std::cos(ad)), 1e-13);
      }
    }
}

TEST(Random, Moments) {
  for (Isa isa : isas()) {
    constexpr int64_t n = 400000;
    double sum = 0, square = 0, cube = 0, fourth = 0;
    for (float v : draw<float>(isa, RandomOp::Normal, n, 0, 1)) {
      sum += v;
      square += double(v) * v;
      cube += double(v) * v * v;
      fourth += double(v) * v * v * v;
    }
    EXPECT_NEAR(sum / n, 0, 0.01);
    EXPECT_NEAR(square / n, 1, 0.01);
    EXPECT_NEAR(cube / n, 0, 0.03);
    EXPECT_NEAR(fourth / n, 3, 0.06);
  }
}

TEST(Random, BernoulliAndIntegers) {
  for (Isa isa : isas()) {
    for (double p : {0.0, 0.25, 1.0}) {
      const auto bits = draw<bool>(isa, RandomOp::Bernoulli, 100000, p, 0);
      const auto floats = draw<double>(isa, RandomOp::Bernoulli, 100000, p, 0);
      int64_t ones = 0;
      for (size_t i = 0; i < bits.size(); ++i) {
        ones += bits[i];
        ASSERT_EQ(floats[i], bits[i] ? 1 : 0);  // one mask for all dtypes
      }
      EXPECT_NEAR(double(ones) / 100000, p, p == 0.25 ? 0.006 : 0);
    }
    std::vector<int64_t> seen(10);
    for (int32_t v : draw<int32_t>(isa, RandomOp::Integers, 100000, 0, 0, -3, 7)) {
      ASSERT_TRUE(v >= -3 && v < 7);
      ++seen[static_cast<size_t>(v + 3)];
    }
    for (int64_t count : seen) EXPECT_NEAR(double(count), 10000, 500);
    for (int64_t v : draw<int64_t>(isa, RandomOp::Integers, 50, 0, 0, INT64_MIN, INT64_MAX))
      EXPECT_NE(v, INT64_MAX);
    for (uint8_t v : draw<uint8_t>(isa, RandomOp::Integers, 50, 0, 0, 255, 256)) EXPECT_EQ(v, 255);
    for (Half v : draw<Half>(isa, RandomOp::Integers, 50, 0, 0, 4, 5)) EXPECT_EQ(float(v), 4);
  }
}

TEST(Random, Permutation) {
  std::vector<int64_t> reference;
  for (Isa isa : isas())
    for (int64_t n : {0, 1, 2, 17, 1000}) {
      std::vector<int64_t> y(static_cast<size_t>(n)), sorted;
      cpu::table(isa).random_permutation({y.data(), n, 9, 1});
      sorted = y;
      std::sort(sorted.begin(), sorted.end());
      for (int64_t i = 0; i < n; ++i) ASSERT_EQ(sorted[static_cast<size_t>(i)], i);
      if (n < 1000) continue;
      if (reference.empty()) reference = y;
      EXPECT_EQ(y, reference);
      EXPECT_NE(y, sorted);
    }
  // All six orders of three come about equally often.
  int counts[6] = {};
  for (uint64_t offset = 0; offset < 6000; ++offset) {
    int64_t y[3];
    cpu::table(Isa::Baseline).random_permutation({y, 3, 1, offset});
    ++counts[y[0] * 2 + (y[1] > y[2])];
  }
  for (int c : counts) EXPECT_NEAR(c, 1000, 150);
}

template <class T>
void check_dropout(Isa isa, int64_t n, double p) {
  std::vector<T> x(static_cast<size_t>(n) + 1, T(3.0f)), y = x;
  const Dropout params{x.data() + 1, y.data() + 1, n, dtype_of<T>::value, p, 42, 3};  // misaligned
  cpu::table(isa).dropout(params);
  const auto scale = static_cast<compute_t<T>>(1 / (1 - p));
  for (int64_t i = 0; i < n; ++i) {
    const bool kept = philox(42, 3, uint64_t(i) / 4).v[i % 4] >= p * 0x1p32;
    const compute_t<T> expected = kept ? compute_t<T>(3) * scale : compute_t<T>(0);
    ASSERT_EQ(static_cast<compute_t<T>>(y[size_t(i) + 1]),
              static_cast<compute_t<T>>(static_cast<T>(expected)));
  }
  EXPECT_EQ(static_cast<float>(static_cast<compute_t<T>>(y[0])), 3.0f);
}

TEST(Random, Dropout) {
  for (Isa isa : isas())
    for (int64_t n : {0, 1, 3, 7, 15, 17, 31, 33, 65, 1000})
      for (double p : {0.0, 0.5, 0.9}) {
        check_dropout<float>(isa, n, p);
        check_dropout<double>(isa, n, p);
        check_dropout<Half>(isa, n, p);
        check_dropout<BFloat16>(isa, n, p);
      }
  for (Isa isa : isas()) {
    std::vector<float> x(100, INFINITY), y(100, 1.0f);
    cpu::table(isa).dropout({x.data(), y.data(), 100, DType::Float32, 1.0, 1, 1});
    for (float v : y) EXPECT_EQ(v, 0);
  }
}

TEST(Random, SameBitsForAnyNumberOfThreads) {
  const int before = num_threads();
  for (Isa isa : isas())
    for (RandomOp op : {RandomOp::Uniform, RandomOp::Normal, RandomOp::Bernoulli}) {
      std::vector<std::vector<float>> runs;
      for (int threads : {1, 2, 3}) {
        set_num_threads(threads);
        runs.push_back(draw<float>(isa, op, 100003, 0.25, 1));
      }
      EXPECT_EQ(runs[0], runs[1]);
      EXPECT_EQ(runs[0], runs[2]);
      // A shorter draw is the beginning of a longer one.
      const auto part = draw<float>(isa, op, 1001, 0.25, 1);
      EXPECT_TRUE(std::equal(part.begin(), part.end(), runs[0].begin()));
    }
  set_num_threads(before);
}

}  // namespace
}  // namespace gs
