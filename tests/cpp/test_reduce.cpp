// Reductions, first extremes, moments and scans on every instruction set, against plain loops in
// double.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "core/parallel.h"
#include "kernel_test.h"
#include "kernels/params/reduce.h"

namespace gs {
namespace {

Reduce reduction(ReduceOp op, const void* in, DType from, void* out, DType to,
                 std::vector<std::pair<int64_t, int64_t>> kept,
                 std::vector<std::pair<int64_t, int64_t>> reduced) {
  Reduce p = {};
  p.op = op;
  p.in = in;
  p.out = out;
  p.in_dtype = from;
  p.out_dtype = to;
  p.kept_ndim = static_cast<int>(kept.size());
  p.reduced_ndim = static_cast<int>(reduced.size());
  for (size_t d = 0; d < kept.size(); ++d) {
    p.kept_shape[d] = kept[d].first;
    p.kept_strides[d] = kept[d].second;
  }
  for (size_t d = 0; d < reduced.size(); ++d) {
    p.reduced_shape[d] = reduced[d].first;
    p.reduced_strides[d] = reduced[d].second;
  }
  return p;
}

double naive(ReduceOp op, const std::vector<double>& x) {
  double total = op == ReduceOp::Prod || op == ReduceOp::All ? 1 : 0;
  if (op == ReduceOp::Max || op == ReduceOp::Min) total = x[0];
  for (double v : x) {
    switch (op) {
      case ReduceOp::Sum:
      case ReduceOp::Mean:
        total += v;
        break;
      case ReduceOp::Prod:
        total *= v;
        break;
      case ReduceOp::Max:
        total = std::isnan(total) || v <= total ? total : v;
        break;
      case ReduceOp::Min:
        total = std::isnan(total) || v >= total ? total : v;
        break;
      case ReduceOp::All:
        total = total != 0 && v != 0;
        break;
      case ReduceOp::Any:
        total = total != 0 || v != 0;
        break;
      case ReduceOp::SumSquares:
        total += v * v;
        break;
      case ReduceOp::SumAbs:
        total += std::fabs(v);
        break;
      case ReduceOp::CountNonzero:
        total += v != 0;
        break;
    }
  }
  return op == ReduceOp::Mean ? total / static_cast<double>(x.size()) : total;
}

constexpr ReduceOp kEveryOp[] = {
    ReduceOp::Sum, ReduceOp::Mean, ReduceOp::Prod,       ReduceOp::Max,    ReduceOp::Min,
    ReduceOp::All, ReduceOp::Any,  ReduceOp::SumSquares, ReduceOp::SumAbs, ReduceOp::CountNonzero};

DType result_type(ReduceOp op, DType in) {
  if (op == ReduceOp::All || op == ReduceOp::Any) return DType::Bool;
  if (op == ReduceOp::CountNonzero) return DType::Int64;
  if (op == ReduceOp::Max || op == ReduceOp::Min || is_floating(in)) return in;
  return op == ReduceOp::Mean ? DType::Float32 : DType::Int64;
}

// Every subset of dimensions of a (p, q, r) array, dense or with its first and last dimension
// swapped.
template <class T>
void check_axes(DType dtype, double relative, int64_t p, int64_t q, int64_t r) {
  const bool small = p * q * r > 2000;  // keeps products and low-precision sums in range
  auto x = random_values<T>(p * q * r, small ? 0.999 : 0.8, small ? 1.001 : 1.25);
  if (!is_floating(dtype))
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<T>(static_cast<float>(i % 3));
  for (bool swapped : {false, true})
    for (int mask = 0; mask < 8; ++mask) {
      const int64_t shape[3] = {p, q, r};
      const int64_t strides[3] = {swapped ? 1 : q * r, swapped ? p : r, swapped ? p * q : 1};
      std::vector<std::pair<int64_t, int64_t>> kept, reduced;
      int64_t kept_count = 1;
      for (int d = 0; d < 3; ++d) {
        ((mask >> d) & 1 ? reduced : kept).push_back({shape[d], strides[d]});
        if (!((mask >> d) & 1)) kept_count *= shape[d];
      }
      std::vector<std::vector<double>> groups(kept_count);
      for (int64_t flat = 0; flat < p * q * r; ++flat) {
        const int64_t index[3] = {flat / (q * r), flat / r % q, flat % r};
        int64_t at = 0, group = 0;
        for (int d = 0; d < 3; ++d) {
          at += index[d] * strides[d];
          if (!((mask >> d) & 1)) group = group * shape[d] + index[d];
        }
        groups[group].push_back(static_cast<double>(x[at]));
      }
      for (ReduceOp op : kEveryOp) {
        std::vector<double> expected;
        for (const auto& group : groups) expected.push_back(naive(op, group));
        const DType to = result_type(op, dtype);
        on_every_isa([&](const KernelTable& table) {
          std::vector<char> memory(kept_count * 8);
          table.reduce(reduction(op, x.data(), dtype, memory.data(), to, kept, reduced));
          visit(to, [&](auto tag) {
            using Out = typename decltype(tag)::type;
            const Out* y = reinterpret_cast<const Out*>(memory.data());
            for (int64_t g = 0; g < kept_count; ++g) {
              if (!is_floating(to) && std::fabs(expected[g]) > 1e15) continue;  // wrapped
              const double allowed = is_floating(to) ? relative * std::fabs(expected[g]) : 0;
              ASSERT_NEAR(static_cast<double>(y[g]), expected[g], allowed)
                  << int(op) << " mask " << mask << " swapped " << swapped;
            }
          });
        });
      }
    }
}

TEST(Reduce, EverySubsetOfDimensions) {
  const std::vector<std::vector<int64_t>> shapes = {
      {1, 1, 1}, {3, 7, 5}, {2, 15, 17}, {31, 2, 33}, {4, 65, 66}};
  for (const auto& s : shapes) {
    check_axes<float>(DType::Float32, 3e-7, s[0], s[1], s[2]);
    check_axes<double>(DType::Float64, 1e-12, s[0], s[1], s[2]);
    check_axes<Half>(DType::Float16, 1e-3, s[0], s[1], s[2]);
    check_axes<BFloat16>(DType::BFloat16, 5e-3, s[0], s[1], s[2]);
    check_axes<int32_t>(DType::Int32, 1e-6, s[0], s[1], s[2]);
    check_axes<uint8_t>(DType::UInt8, 1e-6, s[0], s[1], s[2]);
  }
  check_axes<float>(DType::Float32, 3e-7, 600, 3, 7);    // narrow rows, folded
  check_axes<float>(DType::Float32, 3e-7, 3, 1, 40000);  // cut into chunks
  check_axes<float>(DType::Float32, 3e-7, 5000, 1, 30);
}

TEST(Reduce, EmptyAndNan) {
  on_every_isa([](const KernelTable& table) {
    float y = 5;
    table.reduce(
        reduction(ReduceOp::Sum, nullptr, DType::Float32, &y, DType::Float32, {}, {{0, 1}}));
    EXPECT_EQ(y, 0);
    table.reduce(
        reduction(ReduceOp::Mean, nullptr, DType::Float32, &y, DType::Float32, {}, {{0, 1}}));
    EXPECT_TRUE(std::isnan(y));
    table.reduce(
        reduction(ReduceOp::Prod, nullptr, DType::Float32, &y, DType::Float32, {}, {{0, 1}}));
    EXPECT_EQ(y, 1);
    bool b = false;
    table.reduce(reduction(ReduceOp::All, nullptr, DType::Float32, &b, DType::Bool, {}, {{0, 1}}));
    EXPECT_TRUE(b);
    float columns[3] = {7, 7, 7};
    table.reduce(reduction(ReduceOp::Sum, nullptr, DType::Float32, columns, DType::Float32,
                           {{3, 1}}, {{0, 3}}));
    EXPECT_EQ(columns[0] + columns[1] + columns[2], 0);
    for (int64_t n : {5, 64, 700})
      for (int64_t at : {int64_t(0), n / 2, n - 1}) {
        auto x = random_values<float>(n, -1, 1);
        x[at] = std::numeric_limits<float>::quiet_NaN();
        for (ReduceOp op : {ReduceOp::Max, ReduceOp::Min}) {
          table.reduce(reduction(op, x.data(), DType::Float32, &y, DType::Float32, {}, {{n, 1}}));
          EXPECT_TRUE(std::isnan(y));
        }
        int64_t index = -1;
        table.arg_extreme({true, x.data(), &y, &index, DType::Float32, 1, n, 1});
        EXPECT_TRUE(std::isnan(y));
        EXPECT_EQ(index, at);
      }
  });
}

TEST(Reduce, ConvertsOnLoad) {
  const std::vector<int32_t> x = {2000000000, 2000000000, -5};
  const std::vector<float> f = {1.75f, 2.5f, 16777216};
  on_every_isa([&](const KernelTable& table) {
    double y;
    table.reduce(
        reduction(ReduceOp::Sum, x.data(), DType::Int32, &y, DType::Float64, {}, {{3, 1}}));
    EXPECT_EQ(y, 3999999995.0);
    table.reduce(
        reduction(ReduceOp::Sum, f.data(), DType::Float32, &y, DType::Float64, {}, {{3, 1}}));
    EXPECT_EQ(y, 16777220.25);
    int64_t z;
    table.reduce(
        reduction(ReduceOp::Sum, f.data(), DType::Float32, &z, DType::Int64, {}, {{3, 1}}));
    EXPECT_EQ(z, 16777219);
  });
}

TEST(Reduce, LongSumsStayExactAndKeepTheirBits) {
  const int64_t n = 3000001;
  const auto x = random_values<float>(n, 0, 1);
  double expected = 0;
  for (float v : x) expected += static_cast<double>(v);
  on_every_isa([&](const KernelTable& table) {
    std::vector<float> first;
    for (int threads : {1, 2, 3}) {
      set_num_threads(threads);
      std::vector<float> y(1 + 300);
      table.reduce(reduction(ReduceOp::Sum, x.data(), DType::Float32, y.data(), DType::Float32, {},
                             {{n, 1}}));
      table.reduce(reduction(ReduceOp::Sum, x.data(), DType::Float32, y.data() + 1, DType::Float32,
                             {{300, 1}}, {{10000, 300}}));
      if (first.empty()) first = y;
      ASSERT_EQ(0, std::memcmp(y.data(), first.data(), y.size() * sizeof(float)));
    }
    set_num_threads(available_cpus());
    EXPECT_NEAR(first[0], expected, 1e-7 * expected);
  });
}

// The sums of each channel of a batch of images: 150 samples, 70 channels of n.
TEST(Reduce, SpansSideBySide) {
  for (int64_t n : {64, 65, 130, 700}) {
    const int64_t samples = 150, channels = 70;
    const auto x = random_values<float>(samples * channels * n, 0, 1);
    std::vector<double> expected(channels);
    for (int64_t i = 0; i < samples * channels * n; ++i)
      expected[i / n % channels] += static_cast<double>(x[i]);
    on_every_isa([&](const KernelTable& table) {
      std::vector<float> first;
      for (int threads : {1, 2, 3}) {
        set_num_threads(threads);
        std::vector<float> y(channels);
        table.reduce(reduction(ReduceOp::Sum, x.data(), DType::Float32, y.data(), DType::Float32,
                               {{channels, n}}, {{samples, channels * n}, {n, 1}}));
        if (first.empty()) first = y;
        ASSERT_EQ(0, std::memcmp(y.data(), first.data(), y.size() * sizeof(float)));
      }
      set_num_threads(available_cpus());
      for (int64_t c = 0; c < channels; ++c)
        ASSERT_NEAR(first[c], expected[c], 1e-7 * expected[c]) << n;
    });
  }
}

// ---------------------------------------------------------------- first extreme

template <class T>
void check_extremes(DType dtype) {
  for (int64_t outer : {1, 3})
    for (int64_t n : {1, 2, 17, 65, 600})
      for (int64_t inner : {1, 2, 33, 300}) {
        if (outer * n * inner > 60000) continue;
        auto x = random_values<T>(outer * n * inner, 0, 50);
        on_every_isa([&](const KernelTable& table) {
          for (bool largest : {true, false}) {
            std::vector<T> values(outer * inner);
            std::vector<int64_t> indices(outer * inner);
            table.arg_extreme(
                {largest, x.data(), values.data(), indices.data(), dtype, outer, n, inner});
            for (int64_t o = 0; o < outer; ++o)
              for (int64_t j = 0; j < inner; ++j) {
                int64_t best = 0;
                const auto at = [&](int64_t i) {
                  return static_cast<double>(x[(o * n + i) * inner + j]);
                };
                for (int64_t i = 1; i < n; ++i)
                  if (largest ? at(i) > at(best) : at(i) < at(best)) best = i;
                ASSERT_EQ(indices[o * inner + j], best) << n << " " << inner;
                ASSERT_EQ(static_cast<double>(values[o * inner + j]), at(best));
              }
          }
        });
      }
}

TEST(ArgExtreme, FirstOfEqualValues) {
  check_extremes<float>(DType::Float32);
  check_extremes<double>(DType::Float64);
  check_extremes<Half>(DType::Float16);
  check_extremes<int8_t>(DType::Int8);
  check_extremes<int64_t>(DType::Int64);
}

TEST(ArgExtreme, LongRowsAreCut) {
  std::vector<float> x(100000, 1);
  x[70001] = x[90000] = 2;
  on_every_isa([&](const KernelTable& table) {
    int64_t index;
    table.arg_extreme({true, x.data(), nullptr, &index, DType::Float32, 1, 100000, 1});
    EXPECT_EQ(index, 70001);
  });
}

// ---------------------------------------------------------------- moments and scans

template <class T>
void check_moments(DType dtype, double relative) {
  for (int64_t outer : {1, 2})
    for (int64_t n : {1, 7, 65, 300, 40000})
      for (int64_t inner : {1, 3, 65, 300}) {
        if (outer * n * inner > 130000) continue;
        const auto x = random_values<T>(outer * n * inner, 100, 101);
        on_every_isa([&](const KernelTable& table) {
          std::vector<T> mean(outer * inner), m2(outer * inner);
          table.moments({x.data(), mean.data(), m2.data(), dtype, outer, n, inner});
          for (int64_t o = 0; o < outer; ++o)
            for (int64_t j = 0; j < inner; ++j) {
              double m = 0, s = 0;
              for (int64_t i = 0; i < n; ++i) m += static_cast<double>(x[(o * n + i) * inner + j]);
              m /= static_cast<double>(n);
              for (int64_t i = 0; i < n; ++i) {
                const double d = static_cast<double>(x[(o * n + i) * inner + j]) - m;
                s += d * d;
              }
              ASSERT_NEAR(static_cast<double>(mean[o * inner + j]), m, relative * m);
              ASSERT_NEAR(static_cast<double>(m2[o * inner + j]), s, 10 * relative * s + 1e-9)
                  << n << " " << inner;
            }
        });
      }
}

TEST(Moments, MeanAndDeviationsFarFromZero) {
  check_moments<float>(DType::Float32, 2e-7);
  check_moments<double>(DType::Float64, 1e-13);
}

TEST(Scan, SumsAndProductsBothWays) {
  for (int64_t outer : {1, 3})
    for (int64_t n : {0, 1, 17, 400})
      for (int64_t inner : {1, 5, 300}) {
        const auto x = random_values<float>(outer * n * inner, 0.9, 1.1);
        on_every_isa([&](const KernelTable& table) {
          for (bool reverse : {false, true})
            for (ScanOp op : {ScanOp::Sum, ScanOp::Prod}) {
              std::vector<float> y(x.size());
              table.scan({op, x.data(), y.data(), DType::Float32, outer, n, inner, reverse});
              for (int64_t o = 0; o < outer; ++o)
                for (int64_t j = 0; j < inner; ++j) {
                  double total = op == ScanOp::Sum ? 0 : 1;
                  for (int64_t i = 0; i < n; ++i) {
                    const int64_t at = (o * n + (reverse ? n - 1 - i : i)) * inner + j;
                    const double v = static_cast<double>(x[at]);
                    total = op == ScanOp::Sum ? total + v : total * v;
                    ASSERT_NEAR(y[at], total, 1e-6 * total);
                  }
                }
            }
        });
      }
}

}  // namespace
}  // namespace gs
