// Softmax and cross entropy on every instruction set, against plain loops in double.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "core/parallel.h"
#include "kernel_test.h"
#include "kernels/params/cross_entropy.h"
#include "kernels/params/softmax.h"

namespace gs {
namespace {

struct Sizes {
  int64_t outer, n, inner;
  int64_t count() const { return outer * n * inner; }
  int64_t at(int64_t o, int64_t i, int64_t j) const { return (o * n + i) * inner + j; }
};
std::vector<Sizes> every_size() {
  std::vector<Sizes> all;
  for (int64_t outer : {0, 1, 3})
    for (int64_t n : {1, 3, 7, 15, 17, 31, 33, 65, 1000})
      for (int64_t inner : {1, 2, 16, 33, 100})
        if (outer * n * inner < 120000) all.push_back({outer, n, inner});
  // Several blocks of rows of few classes, and the first width beyond.
  for (int64_t n : {2, 10, 65, 96, 97}) all.push_back({67, n, 1});
  return all;
}

template <class T>
double log_sum_exp(const std::vector<T>& x, const Sizes& s, int64_t o, int64_t j) {
  double max = -std::numeric_limits<double>::infinity(), sum = 0;
  for (int64_t i = 0; i < s.n; ++i) max = std::fmax(max, static_cast<double>(x[s.at(o, i, j)]));
  for (int64_t i = 0; i < s.n; ++i) sum += std::exp(static_cast<double>(x[s.at(o, i, j)]) - max);
  return max + std::log(sum);
}

// ---------------------------------------------------------------- softmax

template <class T>
void check_softmax(DType dtype, double tolerance) {
  for (const Sizes& s : every_size()) {
    const auto x = random_values<T>(s.count() + 1, -8, 8),
               g = random_values<T>(s.count(), -1, 1, 2);
    on_every_isa([&](const KernelTable& table) {
      for (bool log : {false, true}) {
        std::vector<T> y(s.count()), dx(s.count());
        const std::vector<T> input(x.begin() + 1, x.end());
        table.softmax({log, input.data(), y.data(), dtype, s.outer, s.n, s.inner});
        table.softmax_grad({log, g.data(), y.data(), dx.data(), dtype, s.outer, s.n, s.inner});
        for (int64_t o = 0; o < s.outer; ++o)
          for (int64_t j = 0; j < s.inner; ++j) {
            const double lse = log_sum_exp(input, s, o, j);
            double dot = 0;
            for (int64_t i = 0; i < s.n; ++i) {
              const int64_t at = s.at(o, i, j);
              const double z = static_cast<double>(input[at]) - lse,
                           expected = log ? z : std::exp(z);
              ASSERT_NEAR(static_cast<double>(y[at]), expected, tolerance * (log ? 10 : 1))
                  << s.n << " " << s.inner;
              dot += static_cast<double>(g[at]) * (log ? 1 : static_cast<double>(y[at]));
            }
            for (int64_t i = 0; i < s.n; ++i) {
              const int64_t at = s.at(o, i, j);
              const double yi = static_cast<double>(y[at]), gi = static_cast<double>(g[at]);
              const double expected = log ? gi - std::exp(yi) * dot : yi * (gi - dot);
              ASSERT_NEAR(static_cast<double>(dx[at]), expected,
                          10 * tolerance * (1 + std::fabs(dot)));
            }
          }
      }
    });
  }
}

TEST(Softmax, EverySize) {
  check_softmax<float>(DType::Float32, 3e-7);
  check_softmax<double>(DType::Float64, 1e-14);
  check_softmax<Half>(DType::Float16, 1e-3);
  check_softmax<BFloat16>(DType::BFloat16, 8e-3);
}

TEST(Softmax, InfinitiesFollowPyTorch) {
  const float inf = std::numeric_limits<float>::infinity();
  on_every_isa([&](const KernelTable& table) {
    for (int64_t inner : {1, 3})
      for (int64_t n : {3, 40}) {
        std::vector<float> x(n * inner, -inf), y(n * inner);
        table.softmax({false, x.data(), y.data(), DType::Float32, 1, n, inner});
        for (float v : y) EXPECT_TRUE(std::isnan(v));
        for (int64_t j = 0; j < inner; ++j) x[(n - 1) * inner + j] = 3;
        table.softmax({false, x.data(), y.data(), DType::Float32, 1, n, inner});
        for (int64_t i = 0; i < n; ++i) EXPECT_EQ(y[i * inner], i == n - 1 ? 1.0f : 0.0f);
        table.softmax({true, x.data(), y.data(), DType::Float32, 1, n, inner});
        for (int64_t i = 0; i < n; ++i) EXPECT_EQ(y[i * inner], i == n - 1 ? 0.0f : -inf);
        for (int64_t j = 0; j < inner; ++j) x[j] = std::numeric_limits<float>::quiet_NaN();
        table.softmax({false, x.data(), y.data(), DType::Float32, 1, n, inner});
        for (float v : y) EXPECT_TRUE(std::isnan(v));
      }
  });
}

// ---------------------------------------------------------------- cross entropy

template <class T>
void check_cross_entropy(DType dtype, double tolerance) {
  using C = compute_t<T>;
  for (const Sizes& s : every_size()) {
    const int64_t positions = s.outer * s.inner;
    const auto x = random_values<T>(s.count(), -6, 6), w = random_values<T>(s.n, 0.5, 2, 3);
    const auto g = random_values<T>(positions, -1, 1, 4);
    std::vector<int64_t> target(positions);
    for (int64_t k = 0; k < positions; ++k) target[k] = k % 4 == 3 ? -100 : k * 7 % s.n;
    on_every_isa([&](const KernelTable& table) {
      for (bool weighted : {false, true})
        for (double eps : {0.0, 0.1})
          for (int64_t dloss_stride : {0, 1}) {
            std::vector<T> loss(positions), lse(positions), dx(s.count());
            const void* weight = weighted ? w.data() : nullptr;
            table.cross_entropy({x.data(), target.data(), weight, loss.data(), lse.data(), dtype,
                                 s.outer, s.n, s.inner, -100, eps});
            table.cross_entropy_grad({x.data(), target.data(), weight, lse.data(), g.data(),
                                      dloss_stride, dx.data(), dtype, s.outer, s.n, s.inner, -100,
                                      eps});
            const auto weight_of = [&](int64_t i) {
              return weighted ? static_cast<double>(w[i]) : 1.0;
            };
            double total = 0;
            for (int64_t i = 0; i < s.n; ++i) total += weight_of(i);
            for (int64_t o = 0; o < s.outer; ++o)
              for (int64_t j = 0; j < s.inner; ++j) {
                const int64_t k = o * s.inner + j, t = target[k];
                if (t == -100) {
                  ASSERT_EQ(static_cast<C>(loss[k]), 0);
                  for (int64_t i = 0; i < s.n; ++i) ASSERT_EQ(static_cast<C>(dx[s.at(o, i, j)]), 0);
                  continue;
                }
                const double z = log_sum_exp(x, s, o, j);
                const auto gap = [&](int64_t i) {
                  return z - static_cast<double>(x[s.at(o, i, j)]);
                };
                double smooth = 0;
                for (int64_t i = 0; i < s.n; ++i) smooth += weight_of(i) * gap(i);
                const double n = static_cast<double>(s.n);
                const double expected = weight_of(t) * (1 - eps) * gap(t) + eps / n * smooth;
                ASSERT_NEAR(static_cast<double>(loss[k]), expected,
                            tolerance * (1 + std::fabs(expected)));
                ASSERT_NEAR(static_cast<double>(lse[k]), z, tolerance * 10);
                const double dy = static_cast<double>(g[k * dloss_stride]);
                for (int64_t i = 0; i < s.n; ++i) {
                  const double p = std::exp(-gap(i)), own = weight_of(t) * (1 - eps);
                  const double slope =
                      p * (own + eps / n * total) - (i == t ? own : 0) - eps / n * weight_of(i);
                  ASSERT_NEAR(static_cast<double>(dx[s.at(o, i, j)]), dy * slope, 10 * tolerance);
                }
              }
          }
    });
  }
}

TEST(CrossEntropy, EverySizeWeightsSmoothingIgnored) {
  check_cross_entropy<float>(DType::Float32, 1e-6);
  check_cross_entropy<double>(DType::Float64, 1e-13);
  check_cross_entropy<BFloat16>(DType::BFloat16, 1e-2);
  check_cross_entropy<Half>(DType::Float16, 2e-3);
}

TEST(CrossEntropy, ConfidentRowsKeepTheirSmallLoss) {
  const std::vector<float> x = {100, 90, 85};
  const int64_t target = 0;
  on_every_isa([&](const KernelTable& table) {
    float loss, lse;
    table.cross_entropy(
        {x.data(), &target, nullptr, &loss, &lse, DType::Float32, 1, 3, 1, -100, 0});
    EXPECT_NEAR(loss, std::log1p(std::exp(-10.0) + std::exp(-15.0)), 2e-7 * 4.5e-5 + 3e-8);
  });
}

TEST(Softmax, SameBitsForAnyNumberOfThreads) {
  const auto x = random_values<float>(200 * 1001, -5, 5);
  std::vector<int64_t> target(200 * 1001);
  for (size_t k = 0; k < target.size(); ++k) target[k] = static_cast<int64_t>(k % 7);
  on_every_isa([&](const KernelTable& table) {
    std::vector<float> first;
    for (int threads : {1, 2, 3}) {
      set_num_threads(threads);
      std::vector<float> y(4 * x.size()), lse(x.size());
      table.softmax({false, x.data(), y.data(), DType::Float32, 200, 1001, 1});
      table.softmax({true, x.data(), y.data() + x.size(), DType::Float32, 1, 200, 1001});
      table.cross_entropy({x.data(), target.data(), nullptr, y.data() + 2 * x.size(), lse.data(),
                           DType::Float32, 1, 200, 1001, -100, 0.1});
      table.cross_entropy_grad({x.data(), target.data(), nullptr, lse.data(), x.data(), 0,
                                y.data() + 3 * x.size(), DType::Float32, 1, 200, 1001, -100, 0.1});
      if (first.empty()) first = y;
      ASSERT_EQ(0, std::memcmp(y.data(), first.data(), y.size() * sizeof(float)));
    }
    set_num_threads(available_cpus());
  });
}

}  // namespace
}  // namespace gs
