// Kernels along contiguous rows, in the numbers and lengths at which they change their ways:
// reductions and extremes of short rows, and running sums of rows side by side or cut.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "core/parallel.h"
#include "kernel_test.h"
#include "kernels/params/reduce.h"

namespace gs {
namespace {

template <class T>
std::vector<double> reduce_rows(const KernelTable& table, ReduceOp op, const std::vector<T>& x,
                                int64_t rows, int64_t n) {
  Reduce p = {};
  std::vector<T> out(rows, T(77));
  p.op = op;
  p.in = x.data();
  p.out = out.data();
  p.in_dtype = p.out_dtype = dtype_of<T>::value;
  p.kept_ndim = p.reduced_ndim = 1;
  p.kept_shape[0] = rows;
  p.kept_strides[0] = n;
  p.reduced_shape[0] = n;
  p.reduced_strides[0] = 1;
  table.reduce(p);
  return {out.begin(), out.end()};
}

template <class T>
void check_reductions(double relative) {
  for (int64_t rows : {1, 5, 16, 17, 70, 300})
    for (int64_t n : {1, 2, 3, 4, 5, 8, 10, 15, 16, 17, 31, 33, 64, 65, 100, 127, 1024, 1025}) {
      if (rows * n > 70000) continue;
      const auto x = random_values<T>(rows * n, 1, 3, 3);
      on_every_isa([&](const KernelTable& table) {
        const auto sums = reduce_rows(table, ReduceOp::Sum, x, rows, n);
        const auto means = reduce_rows(table, ReduceOp::Mean, x, rows, n);
        const auto largest = reduce_rows(table, ReduceOp::Max, x, rows, n);
        const auto least = reduce_rows(table, ReduceOp::Min, x, rows, n);
        const auto squares = reduce_rows(table, ReduceOp::SumSquares, x, rows, n);
        const auto products = reduce_rows(table, ReduceOp::Prod, x, rows, n);
        for (int64_t r = 0; r < rows; ++r) {
          double sum = 0, square = 0, product = 1, high = -1e9, low = 1e9;
          for (int64_t i = 0; i < n; ++i) {
            const double v = static_cast<double>(x[r * n + i]);
            sum += v;
            square += v * v;
            product *= v;
            high = std::max(high, v);
            low = std::min(low, v);
          }
          ASSERT_NEAR(sums[r], sum, relative * sum) << rows << " x " << n;
          ASSERT_NEAR(squares[r], square, relative * square) << rows << " x " << n;
          ASSERT_EQ(largest[r], high) << rows << " x " << n;
          ASSERT_EQ(least[r], low) << rows << " x " << n;
          if (std::is_floating_point_v<T>) {
            ASSERT_NEAR(means[r], sum / n, relative * sum / n);
          }
          if (std::is_floating_point_v<T> && n < 32) {
            ASSERT_NEAR(products[r], product, relative * product) << rows << " x " << n;
          }
        }
      });
    }
}

TEST(Rows, Reductions) {
  check_reductions<float>(2e-7);
  check_reductions<double>(1e-14);
  check_reductions<int64_t>(0);
  check_reductions<int32_t>(0);
}

TEST(Rows, ReductionsOf16Bits) {
  for (int64_t n : {3, 20, 64, 100}) {
    const auto x = random_values<Half>(80 * n, 0, 1, 3);
    on_every_isa([&](const KernelTable& table) {
      Reduce p = {};
      std::vector<Half> out(80);
      p.op = ReduceOp::Sum;
      p.in = x.data();
      p.out = out.data();
      p.in_dtype = p.out_dtype = DType::Float16;
      p.kept_ndim = p.reduced_ndim = 1;
      p.kept_shape[0] = 80;
      p.kept_strides[0] = n;
      p.reduced_shape[0] = n;
      p.reduced_strides[0] = 1;
      table.reduce(p);
      for (int64_t r = 0; r < 80; ++r) {
        double sum = 0;
        for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[r * n + i]);
        ASSERT_NEAR(static_cast<double>(out[r]), sum, 1e-3 * sum);
      }
    });
  }
}

TEST(Rows, CancellationStaysExact) {
  std::vector<float> x;
  for (int r = 0; r < 40; ++r) x.insert(x.end(), {1e8f, 1, -1e8f, 1});
  on_every_isa([&](const KernelTable& table) {
    for (double v : reduce_rows(table, ReduceOp::Sum, x, 40, 4)) ASSERT_EQ(v, 2);
  });
}

TEST(Rows, NanAndInfinity) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  constexpr float inf = std::numeric_limits<float>::infinity();
  for (int64_t n : {2, 5, 16, 40, 130})
    for (int64_t at : {int64_t(0), n - 1}) {
      std::vector<float> x(50 * n, -inf);
      for (int64_t r = 0; r < 50; r += 2) x[r * n + at] = nan;
      on_every_isa([&](const KernelTable& table) {
        const auto largest = reduce_rows(table, ReduceOp::Max, x, 50, n);
        const auto sums = reduce_rows(table, ReduceOp::Sum, x, 50, n);
        for (int64_t r = 0; r < 50; ++r) {
          ASSERT_EQ(std::isnan(largest[r]), r % 2 == 0) << n;
          ASSERT_EQ(std::isnan(sums[r]), r % 2 == 0) << n;
          if (r % 2) {
            ASSERT_EQ(largest[r], -inf);
          }
        }
        std::vector<int64_t> index(50);
        table.arg_extreme({true, x.data(), nullptr, index.data(), DType::Float32, 50, n, 1});
        for (int64_t r = 0; r < 50; ++r) ASSERT_EQ(index[r], r % 2 ? 0 : at) << n;
      });
    }
}

template <class T>
void check_extremes_and_moments(double relative) {
  for (int64_t rows : {15, 16, 70, 300})
    for (int64_t n : {2, 3, 10, 16, 17, 64}) {
      auto x = random_values<T>(rows * n, 0, 9, 3);
      for (int64_t r = 0; r < rows; ++r) x[r * n + n - 1] = x[r * n];  // ties
      on_every_isa([&](const KernelTable& table) {
        std::vector<T> values(rows), mean(rows), m2(rows);
        std::vector<int64_t> index(rows);
        const DType type = dtype_of<T>::value;
        table.arg_extreme({false, x.data(), values.data(), index.data(), type, rows, n, 1});
        if (is_floating(type)) table.moments({x.data(), mean.data(), m2.data(), type, rows, n, 1});
        for (int64_t r = 0; r < rows; ++r) {
          const auto at = [&](int64_t i) { return static_cast<double>(x[r * n + i]); };
          int64_t best = 0;
          double sum = 0, square = 0;
          for (int64_t i = 0; i < n; ++i) {
            if (at(i) < at(best)) best = i;
            sum += at(i);
          }
          for (int64_t i = 0; i < n; ++i) square += (at(i) - sum / n) * (at(i) - sum / n);
          ASSERT_EQ(index[r], best) << rows << " x " << n;
          ASSERT_EQ(static_cast<double>(values[r]), at(best));
          if (!is_floating(type)) continue;
          ASSERT_NEAR(static_cast<double>(mean[r]), sum / n, relative * sum / n);
          ASSERT_NEAR(static_cast<double>(m2[r]), square, 10 * relative * square + 1e-9);
        }
      });
    }
}

TEST(Rows, ExtremesAndMoments) {
  check_extremes_and_moments<float>(2e-7);
  check_extremes_and_moments<double>(1e-13);
  check_extremes_and_moments<Half>(1e-3);
  check_extremes_and_moments<int16_t>(0);
  check_extremes_and_moments<int64_t>(0);
}

template <class T>
void check_scan(int64_t rows, int64_t n, double relative) {
  const bool whole = std::is_integral_v<T>;
  const auto x = random_values<T>(rows * n, whole ? -9 : 0.9, whole ? 9 : 1.1, 3);
  on_every_isa([&](const KernelTable& table) {
    for (bool reverse : {false, true})
      for (ScanOp op : {ScanOp::Sum, ScanOp::Prod}) {
        std::vector<T> y(x.size() + 1, T(5));
        table.scan({op, x.data(), y.data(), dtype_of<T>::value, rows, n, 1, reverse});
        ASSERT_EQ(static_cast<double>(y.back()), 5);
        for (int64_t r = 0; r < rows; ++r) {
          using State = std::conditional_t<std::is_integral_v<T>, uint64_t, double>;
          State total = op == ScanOp::Sum ? 0 : 1;
          for (int64_t i = 0; i < n; ++i) {
            const int64_t at = r * n + (reverse ? n - 1 - i : i);
            const State v = static_cast<State>(x[at]);
            total = op == ScanOp::Sum ? total + v : total * v;
            const double wanted = static_cast<double>(static_cast<T>(total));
            ASSERT_NEAR(static_cast<double>(y[at]), wanted, relative * std::fabs(wanted))
                << rows << " x " << n << " at " << r << ", " << i;
          }
        }
      }
  });
}

TEST(Rows, RunningSumsAndProducts) {
  for (int64_t rows : {1, 3, 8, 16, 17, 70})
    for (int64_t n : {1, 3, 4, 15, 16, 17, 33, 100}) {
      check_scan<float>(rows, n, 1e-7);
      check_scan<double>(rows, n, 1e-14);
      check_scan<int64_t>(rows, n, 0);
      check_scan<Half>(rows, n, 2e-3);
    }
  for (int64_t n : {4096, 4097, 6000}) {  // cut
    check_scan<float>(1, n, 1e-7);
    check_scan<float>(3, n, 1e-7);
    check_scan<double>(2, n, 1e-14);
    check_scan<int64_t>(2, n, 0);
  }
}

TEST(Rows, RunningSumsKeepNanAndInfinity) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  constexpr float inf = std::numeric_limits<float>::infinity();
  std::vector<float> x(10000, 1);
  x[3000] = inf;
  x[7000] = -inf;
  x[9000] = nan;
  on_every_isa([&](const KernelTable& table) {
    std::vector<float> y(x.size());
    table.scan({ScanOp::Sum, x.data(), y.data(), DType::Float32, 1, 10000, 1, false});
    EXPECT_EQ(y[2999], 3000);
    EXPECT_EQ(y[3000], inf);
    EXPECT_EQ(y[6999], inf);
    for (int64_t i = 7000; i < 10000; ++i) ASSERT_TRUE(std::isnan(y[i])) << i;
  });
}

TEST(Rows, SameBitsForAnyNumberOfThreads) {
  const auto x = random_values<float>(300000, -1, 1, 3);
  const int before = num_threads();
  on_every_isa([&](const KernelTable& table) {
    std::vector<float> first;
    for (int threads : {1, 2, 3}) {
      set_num_threads(threads);
      std::vector<float> y(2 * x.size());
      table.scan({ScanOp::Sum, x.data(), y.data(), DType::Float32, 1, 300000, 1, false});
      table.scan({ScanOp::Sum, x.data(), y.data() + x.size(), DType::Float32, 300, 1000, 1, true});
      for (int64_t n : {3, 10, 100})
        for (double v : reduce_rows(table, ReduceOp::Sum, x, 300000 / n, n))
          y.push_back(static_cast<float>(v));
      if (first.empty()) first = y;
      ASSERT_EQ(std::memcmp(first.data(), y.data(), y.size() * sizeof(float)), 0) << threads;
    }
  });
  set_num_threads(before);
}

}  // namespace
}  // namespace gs
