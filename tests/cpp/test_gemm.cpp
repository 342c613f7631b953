// The matrix product against a naive loop in double, on every instruction set.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "core/parallel.h"
#include "kernel_test.h"
#include "kernels/params/gemm.h"

namespace gs {
namespace {

template <class T>
std::vector<T> random_values(size_t n, uint32_t seed) {
  std::mt19937 bits(seed);
  std::uniform_real_distribution<double> uniform(-1, 1);
  std::vector<T> out(n);
  for (T& v : out) {
    if constexpr (std::is_same_v<T, bool>)
      v = uniform(bits) > 0;
    else if constexpr (std::is_unsigned_v<T>)
      v = static_cast<T>((uniform(bits) + 1) * 4);
    else if constexpr (std::is_integral_v<T>)
      v = static_cast<T>(uniform(bits) * 9);
    else
      v = static_cast<T>(static_cast<float>(uniform(bits)));
  }
  return out;
}

double activate(Activation kind, double x) {
  switch (kind) {
    case Activation::None:
      return x;
    case Activation::Relu:
      return x < 0 ? 0 : x;
    case Activation::Tanh:
      return std::tanh(x);
    case Activation::Sigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::Gelu:
      return x * 0.5 * (1 + std::erf(x * std::sqrt(0.5)));
  }
  return x;
}

template <class T>
double epsilon() {
  if (std::is_same_v<T, double>) return 1e-13;
  if (std::is_same_v<T, float>) return 2e-6;
  if (std::is_same_v<T, Half>) return 2e-3;
  return 1.6e-2;
}

struct Case {
  int64_t m, n, k;
  bool a_transposed = false, b_transposed = false;
  double alpha = 1, beta = 0;
  int bias = 0;  // 1: per column, 2: per row
  Activation activation = Activation::None;
  int64_t a_step = 1, b_step = 1;  // distance between neighbours (general strides)
  int64_t padding = 0;             // of the leading dimension
  int64_t misalign = 0;            // elements
};

std::string describe(const Case& c) {
  return "m " + std::to_string(c.m) + " n " + std::to_string(c.n) + " k " + std::to_string(c.k) +
         " ta " + std::to_string(c.a_transposed) + " tb " + std::to_string(c.b_transposed) +
         " alpha " + std::to_string(c.alpha) + " beta " + std::to_string(c.beta) + " bias " +
         std::to_string(c.bias) + " act " + std::to_string(static_cast<int>(c.activation)) +
         " steps " + std::to_string(c.a_step) + "," + std::to_string(c.b_step) + " pad " +
         std::to_string(c.padding);
}

template <class T>
void check(const Case& s) {
  SCOPED_TRACE(describe(s));
  Gemm g{};
  g.dtype = dtype_of<T>::value;
  g.m = s.m, g.n = s.n, g.k = s.k;
  g.alpha = s.alpha, g.beta = s.beta;
  g.a_row = s.a_transposed ? s.a_step : (s.k + s.padding) * s.a_step;
  g.a_col = s.a_transposed ? (s.m + s.padding) * s.a_step : s.a_step;
  g.b_row = s.b_transposed ? s.b_step : (s.n + s.padding) * s.b_step;
  g.b_col = s.b_transposed ? (s.k + s.padding) * s.b_step : s.b_step;
  g.c_row = s.n + s.padding;
  const int64_t last_a =
      std::max<int64_t>(0, (s.m - 1) * g.a_row) + std::max<int64_t>(0, (s.k - 1) * g.a_col);
  const int64_t last_b =
      std::max<int64_t>(0, (s.k - 1) * g.b_row) + std::max<int64_t>(0, (s.n - 1) * g.b_col);
  // Exact sizes: a read past the end is seen by the address sanitizer.
  const auto a = random_values<T>(last_a + 1 + s.misalign, 1),
             b = random_values<T>(last_b + 1 + s.misalign, 2);
  const auto bias = random_values<T>(std::max(s.m, s.n), 3);
  auto c_before = random_values<T>(s.m * g.c_row + s.misalign + 1, 4);
  if (s.beta == 0 && !std::is_integral_v<T>)
    for (T& v : c_before) v = static_cast<T>(std::numeric_limits<float>::quiet_NaN());
  g.a = a.data() + s.misalign, g.b = b.data() + s.misalign;
  g.bias = s.bias ? bias.data() : nullptr;
  g.bias_per_row = s.bias == 2;
  g.activation = s.activation;

  std::vector<double> expected(s.m * s.n), size(s.m * s.n);
  for (int64_t i = 0; i < s.m; ++i)
    for (int64_t j = 0; j < s.n; ++j) {
      double sum = 0, magnitude = 1;
      for (int64_t k = 0; k < s.k; ++k) {
        const double x = static_cast<double>(a[s.misalign + i * g.a_row + k * g.a_col]) *
                         static_cast<double>(b[s.misalign + k * g.b_row + j * g.b_col]);
        sum += x;
        magnitude += std::abs(x);
      }
      sum *= s.alpha;
      if (s.beta != 0) sum += s.beta * static_cast<double>(c_before[s.misalign + i * g.c_row + j]);
      if (s.bias) sum += static_cast<double>(bias[s.bias == 2 ? i : j]);
      expected[i * s.n + j] = activate(s.activation, sum);
      size[i * s.n + j] = magnitude;
    }

  on_every_isa([&](const cpu::KernelTable& table) {
    std::vector<T> first;
    for (int threads : {1, 2, 3, 5}) {  // few threads pack for themselves, more share
      set_num_threads(threads);
      auto c = c_before;
      g.c = c.data() + s.misalign;
      table.gemm(g);
      if (threads > 1) {
        ASSERT_EQ(0, std::memcmp(c.data(), first.data(), c.size() * sizeof(T)))
            << threads << " threads";
        continue;
      }
      first = c;
      for (int64_t i = 0; i < s.m; ++i)
        for (int64_t j = 0; j < g.c_row; ++j) {
          const size_t at = s.misalign + i * g.c_row + j;
          if (j >= s.n) {  // padding stays as it was
            ASSERT_EQ(0, std::memcmp(&c[at], &c_before[at], sizeof(T))) << i << ", " << j;
            continue;
          }
          ASSERT_NEAR(static_cast<double>(c[at]), expected[i * s.n + j],
                      epsilon<T>() * size[i * s.n + j])
              << i << ", " << j;
        }
    }
    set_num_threads(1);
  });
}

TEST(Gemm, OddSizesInAllOrientations) {
  const int64_t sizes[] = {0, 1, 3, 7, 15, 17, 31, 33, 65};
  for (int64_t m : sizes)
    for (int64_t n : sizes)
      for (int64_t k : {0, 1, 7, 16, 33, 65})
        for (int t = 0; t < 4; ++t) {
          Case s{m, n, k, t % 2 == 1, t / 2 == 1};
          check<float>(s);
          if (HasFatalFailure()) return;
        }
}

TEST(Gemm, DoubleOddSizes) {
  for (int64_t m : {1, 5, 17, 65})
    for (int64_t n : {1, 9, 33, 67})
      for (int64_t k : {1, 8, 35})
        for (int t = 0; t < 4; ++t) {
          Case s{m, n, k, t % 2 == 1, t / 2 == 1};
          check<double>(s);
          if (HasFatalFailure()) return;
        }
}

template <class T>
void check_blocked() {
  for (int t = 0; t < 4; ++t)
    for (auto [m, n, k] :
         {std::array<int64_t, 3>{129, 140, 131}, {200, 401, 50}, {33, 500, 401}, {300, 20, 800}}) {
      Case s{m, n, k, t % 2 == 1, t / 2 == 1};
      s.padding = 3, s.misalign = 1;
      s.bias = t % 3, s.activation = t % 2 ? Activation::Relu : Activation::None;
      s.alpha = t < 2 ? 1 : 0.5, s.beta = t % 2 ? 0.75 : 0;
      check<T>(s);
      if (::testing::Test::HasFatalFailure()) return;
    }
}
TEST(Gemm, BlockedFloat) { check_blocked<float>(); }
TEST(Gemm, BlockedDouble) { check_blocked<double>(); }
TEST(Gemm, BlockedHalf) { check_blocked<Half>(); }
TEST(Gemm, BlockedBFloat16) { check_blocked<BFloat16>(); }

TEST(Gemm, DeepHalfKeepsItsPartialSumsInFloat) {
  check<Half>({40, 70, 1300});
  check<BFloat16>({40, 70, 1300, true, true, 0.5, 0.5, 1, Activation::Tanh});
}

TEST(Gemm, WideAndTallSlabs) {
  check<float>({20, 4100, 30});
  check<float>({4100, 40, 20, false, true});
}

TEST(Gemm, OperandsReadWhereTheyAre) {
  for (int t = 0; t < 2; ++t) {
    check<float>({32, 512, 800, t == 1});   // B, for few rows, in several passes
    check<float>({100, 128, 900, t == 1});  // B, because it stays near
    check<double>({30, 96, 700, t == 1});
    check<float>({600, 48, 500, t == 1});  // A, for few columns
    if (HasFatalFailure()) return;
  }
}

TEST(Gemm, FewRowsAgainstColumns) {
  for (int64_t m : {2, 3, 5, 8, 13, 33, 64})
    for (int64_t n : {1, 2, 5, 12, 13, 31})
      for (int64_t k : {64, 65, 79, 131, 300, 512, 1100}) {
        Case s{m, n, k, false, true};
        check<float>(s);
        s.padding = 3, s.misalign = 1, s.bias = 1 + n % 2, s.activation = Activation::Relu;
        s.alpha = 0.5, s.beta = n % 3 ? 0.75 : 0;
        check<float>(s);
        if (HasFatalFailure()) return;
      }
  check<float>({32, 100, 784, false, true});
  check<float>({7, 30, 5000, false, true});
}

TEST(Gemm, VectorsInBothOrders) {
  for (auto [m, n, k] :
       {std::array<int64_t, 3>{1, 700, 300}, {700, 1, 300}, {1, 5, 1000}, {1, 1, 77}, {1100, 1, 3}})
    for (int t = 0; t < 4; ++t)
      for (int bias : {0, 1, 2}) {
        Case s{m, n, k, t % 2 == 1, t / 2 == 1, 0.5, 2, bias, Activation::Sigmoid};
        s.padding = 1;
        check<float>(s);
        check<double>(s);
        check<Half>(s);
        if (HasFatalFailure()) return;
      }
}

TEST(Gemm, GeneralStrides) {
  for (auto [m, n, k] :
       {std::array<int64_t, 3>{1, 40, 30}, {40, 1, 30}, {20, 30, 40}, {130, 170, 90}}) {
    Case s{m, n, k};
    s.a_step = 2, s.b_step = 3;
    check<float>(s);
    check<BFloat16>(s);
  }
}

TEST(Gemm, ActivationsAndBias) {
  for (Activation act : {Activation::None, Activation::Relu, Activation::Tanh, Activation::Sigmoid,
                         Activation::Gelu})
    for (int bias : {0, 1, 2})
      for (double beta : {0.0, 1.0, -0.5})
        for (int64_t size : {9, 150}) {
          Case s{size, size + 3, 40, false, false, 1, beta, bias, act};
          check<float>(s);
          check<double>(s);
          if (HasFatalFailure()) return;
        }
}

TEST(Gemm, Integers) {
  for (int t = 0; t < 4; ++t) {
    Case s{7, 300, 19, t % 2 == 1, t / 2 == 1, 2, 3, t % 3};
    check<int8_t>({3, 5, 1});
    check<int16_t>(s);
    check<int32_t>(s);
    check<int64_t>(s);
    check<uint8_t>({3, 5, 1});
  }
}

TEST(Gemm, IntegersWrapAndBoolIsAnyOfAnd) {
  on_every_isa([](const cpu::KernelTable& table) {
    const uint8_t a[] = {200, 100}, b[] = {2, 3};
    uint8_t c[1];
    Gemm g{};
    g.dtype = DType::UInt8, g.m = 1, g.n = 1, g.k = 2;
    g.a = a, g.a_row = 2, g.a_col = 1, g.b = b, g.b_row = 1, g.b_col = 1, g.c = c, g.c_row = 1;
    table.gemm(g);
    EXPECT_EQ(c[0], static_cast<uint8_t>(200 * 2 + 100 * 3));
    const bool p[] = {true, false, true, true}, q[] = {false, true, true, true};
    bool r[4];
    g.dtype = DType::Bool, g.m = 2, g.n = 2, g.k = 2, g.a_row = 2, g.b_row = 2, g.c_row = 2;
    g.a = p, g.b = q, g.c = r;
    table.gemm(g);
    EXPECT_FALSE(r[0]);
    EXPECT_TRUE(r[1]);
    EXPECT_TRUE(r[2]);
    EXPECT_TRUE(r[3]);
  });
}

TEST(Gemm, Batches) {
  for (int64_t size : {5, 40, 150})
    for (bool offsets : {false, true}) {
      const int64_t m = size, n = size + 1, k = size + 2, batch = 4;
      const auto a = random_values<float>(batch * m * k, 1), b = random_values<float>(2 * k * n, 2);
      const std::vector<int64_t> a_at{3 * m * k, 0, 2 * m * k, m * k}, b_at{0, k * n, k * n, 0};
      Gemm g{};
      g.dtype = DType::Float32, g.m = m, g.n = n, g.k = k, g.batch = batch;
      g.a = a.data(), g.a_row = k, g.a_col = 1, g.b = b.data(), g.b_row = n, g.b_col = 1,
      g.c_row = n;
      g.a_batch_stride = m * k, g.b_batch_stride = 0, g.c_batch_stride = m * n;
      if (offsets) g.a_batch_offsets = a_at.data(), g.b_batch_offsets = b_at.data();
      on_every_isa([&](const cpu::KernelTable& table) {
        std::vector<float> first;
        for (int threads : {1, 2, 3}) {
          set_num_threads(threads);
          std::vector<float> c(batch * m * n, -7);
          g.c = c.data();
          table.gemm(g);
          if (threads == 1) first = c;
          ASSERT_EQ(c, first);
          for (int64_t q = 0; q < batch; ++q)
            for (int64_t i = 0; i < m; i += 3)
              for (int64_t j = 0; j < n; ++j) {
                double sum = 0;
                const float* aq = a.data() + (offsets ? a_at[q] : q * m * k);
                const float* bq = b.data() + (offsets ? b_at[q] : 0);
                for (int64_t l = 0; l < k; ++l) sum += double(aq[i * k + l]) * bq[l * n + j];
                ASSERT_NEAR(c[q * m * n + i * n + j], sum, 1e-4) << q << ' ' << i << ' ' << j;
              }
        }
        set_num_threads(1);
      });
    }
}

TEST(Gemm, NanAndInfinityPass) {
  const float inf = std::numeric_limits<float>::infinity(),
              nan = std::numeric_limits<float>::quiet_NaN();
  for (int64_t size : {1, 6, 40, 150})
    for (int t = 0; t < 2; ++t) {
      auto a = random_values<float>(size * size, 1), b = random_values<float>(size * size, 2);
      a[0] = inf;                // row 0 of C: inf or nan
      b[size * size - 1] = nan;  // the last column
      for (int64_t j = 0; j < size; ++j) a[size * (size - 1) + j] = 0;
      Gemm g{};
      g.dtype = DType::Float32, g.m = size, g.n = size, g.k = size;
      g.a = a.data(), g.a_row = size, g.a_col = 1, g.b = b.data(), g.b_row = size, g.b_col = 1,
      g.c_row = size;
      g.alpha = t, g.activation = Activation::Relu;
      on_every_isa([&](const cpu::KernelTable& table) {
        std::vector<float> c(size * size, nan);
        g.c = c.data();
        table.gemm(g);
        // 0 * nan is nan even where alpha or A is 0.
        ASSERT_TRUE(std::isnan(c[size * size - 1]));
        if (size == 1) return;
        for (int64_t j = 0; j + 1 < size; ++j) {
          if (g.alpha == 0)
            ASSERT_TRUE(std::isnan(c[j]));
          else
            ASSERT_EQ(c[j], b[j] > 0 ? inf : 0) << j;
        }
        for (int64_t i = 1; i + 1 < size; ++i) ASSERT_TRUE(std::isfinite(c[i * size])) << i;
      });
    }
}

}  // namespace
}  // namespace gs
