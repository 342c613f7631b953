// Pooling at every instruction set against plain loops in double.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "core/parallel.h"
#include "kernel_test.h"
#include "kernels/params/pool.h"

namespace gs::cpu {
namespace {

// Values that repeat, so that the first of equal maxima matters, and some NaN.
template <class T>
std::vector<T> sample(int64_t n, unsigned seed, bool with_nan = false) {
  std::mt19937 random(seed);
  std::vector<T> values(n + 1);  // one more: a test may start at an odd address
  for (T& v : values) v = T(float(int(random() % 41) - 20) / 4);
  if (with_nan)
    for (int64_t i = 3; i < n; i += 17) values[i] = T(std::numeric_limits<float>::quiet_NaN());
  return values;
}

PoolShape make_shape(DType dtype, int64_t planes, int64_t h, int64_t w, int64_t kernel,
                     int64_t stride, int64_t pad, int64_t dilation) {
  const auto out = [&](int64_t n) {
    return (n + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1;
  };
  return {dtype,  planes, h,      w,   out(h), out(w),   kernel,
          kernel, stride, stride, pad, pad,    dilation, dilation};
}

struct Case {
  int64_t planes, h, w, kernel, stride, pad, dilation;
};
const Case kCases[] = {
    {3, 8, 8, 2, 2, 0, 1},     {2, 7, 9, 2, 2, 0, 1},   {1, 2, 2, 2, 2, 0, 1},
    {5, 66, 67, 2, 2, 0, 1},   {3, 31, 35, 3, 2, 1, 1}, {2, 17, 15, 3, 1, 1, 1},
    {2, 33, 33, 3, 1, 0, 2},   {1, 12, 40, 5, 3, 2, 1}, {2, 7, 7, 7, 1, 3, 1},
    {2, 130, 131, 2, 2, 1, 1}, {1, 1, 1, 2, 1, 1, 1},   {1, 1, 1, 2, 1, 1, 2},
    {0, 4, 4, 2, 2, 0, 1},     {2, 65, 3, 3, 3, 1, 1},  {500, 11, 11, 2, 2, 0, 1},
    {300, 5, 4, 2, 2, 0, 1},   {700, 3, 3, 2, 2, 0, 1}};

template <class F>
void for_window(const PoolShape& s, int64_t p, int64_t q, F f) {
  for (int64_t r = 0; r < s.kernel_h; ++r)
    for (int64_t t = 0; t < s.kernel_w; ++t)
      f(p * s.stride_h - s.pad_h + r * s.dilation_h, q * s.stride_w - s.pad_w + t * s.dilation_w);
}
bool inside(const PoolShape& s, int64_t row, int64_t column) {
  return row >= 0 && row < s.h && column >= 0 && column < s.w;
}

template <class T>
class Pool : public testing::Test {};
using Types = testing::Types<float, double, Half, BFloat16>;
TYPED_TEST_SUITE(Pool, Types);

TYPED_TEST(Pool, MaximumAndItsGradient) {
  using T = TypeParam;
  for (Isa isa : isas()) {
    for (const Case& c : kCases) {
      for (bool with_nan : {false, true}) {
        const PoolShape s = make_shape(dtype_of<T>::value, c.planes, c.h, c.w, c.kernel, c.stride,
                                       c.pad, c.dilation);
        const auto x = sample<T>(s.planes * s.h * s.w, 1, with_nan),
                   dy = sample<T>(s.planes * s.p * s.q, 2);
        std::vector<T> y(s.planes * s.p * s.q + 2), plain(y.size()), dx(s.planes * s.h * s.w + 2);
        std::vector<int32_t> indices(y.size(), -7);
        table(isa).max_pool2d({s, x.data() + 1, y.data() + 1, indices.data()});
        table(isa).max_pool2d({s, x.data() + 1, plain.data(), nullptr});
        table(isa).max_pool2d_grad({s, dy.data() + 1, indices.data(), dx.data() + 1});
        std::vector<double> want_dx(s.planes * s.h * s.w);
        for (int64_t n = 0; n < s.planes; ++n)
          for (int64_t p = 0; p < s.p; ++p)
            for (int64_t q = 0; q < s.q; ++q) {
              double best = -std::numeric_limits<double>::infinity();
              int64_t at = -1;
              for_window(s, p, q, [&](int64_t row, int64_t column) {
                if (!inside(s, row, column)) return;
                const double v = double(x[1 + (n * s.h + row) * s.w + column]);
                if (at >= 0 && (std::isnan(best) || v <= best)) return;
                best = v;
                at = row * s.w + column;
              });
              const int64_t i = (n * s.p + p) * s.q + q;
              ASSERT_EQ(indices[i], at)
                  << name_of(isa) << " h " << s.h << " w " << s.w << " output " << i;
              if (std::isnan(best)) {
                ASSERT_TRUE(std::isnan(double(y[1 + i])) && std::isnan(double(plain[i])));
              } else {
                ASSERT_EQ(double(y[1 + i]), best);
                ASSERT_EQ(double(plain[i]), best);
              }
              if (at >= 0) want_dx[n * s.h * s.w + at] += double(dy[1 + i]);
            }
        for (size_t i = 0; i < want_dx.size(); ++i)
          ASSERT_EQ(double(dx[1 + i]), want_dx[i]) << name_of(isa) << " h " << s.h << " w " << s.w;
        ASSERT_EQ(double(dx[0]), 0);  // nothing outside is written
        ASSERT_EQ(double(dx.back()), 0);
        ASSERT_EQ(double(y.back()), 0);
      }
    }
  }
}

TYPED_TEST(Pool, AverageAndItsGradient) {
  using T = TypeParam;
  const double tolerance = sizeof(T) == 8 ? 1e-12 : sizeof(T) == 4 ? 1e-5 : 0.05;
  for (Isa isa : isas()) {
    for (const Case& c : kCases) {
      for (int mode = 0; mode < 3; ++mode) {
        if (c.dilation > 1) continue;
        const bool with_pad = mode == 1;
        const int64_t divisor = mode == 2 ? 3 : 0;
        const PoolShape s =
            make_shape(dtype_of<T>::value, c.planes, c.h, c.w, c.kernel, c.stride, c.pad, 1);
        const auto x = sample<T>(s.planes * s.h * s.w, 3), dy = sample<T>(s.planes * s.p * s.q, 4);
        std::vector<T> y(s.planes * s.p * s.q + 1), dx(s.planes * s.h * s.w + 1);
        table(isa).avg_pool2d({s, with_pad, divisor, x.data() + 1, y.data()});
        table(isa).avg_pool2d_grad({s, with_pad, divisor, dy.data() + 1, dx.data()});
        std::vector<double> want_dx(s.planes * s.h * s.w);
        for (int64_t n = 0; n < s.planes; ++n)
          for (int64_t p = 0; p < s.p; ++p)
            for (int64_t q = 0; q < s.q; ++q) {
              double sum = 0, taps = 0;
              for_window(s, p, q, [&](int64_t row, int64_t column) {
                if (inside(s, row, column)) sum += double(x[1 + (n * s.h + row) * s.w + column]);
                taps += with_pad ? row < s.h + s.pad_h && column < s.w + s.pad_w
                                 : inside(s, row, column);
              });
              if (divisor) taps = divisor;
              const int64_t i = (n * s.p + p) * s.q + q;
              ASSERT_NEAR(double(y[i]), sum / taps, tolerance) << name_of(isa) << " w " << s.w;
              for_window(s, p, q, [&](int64_t row, int64_t column) {
                if (inside(s, row, column))
                  want_dx[(n * s.h + row) * s.w + column] += double(dy[1 + i]) / taps;
              });
            }
        for (size_t i = 0; i < want_dx.size(); ++i)
          ASSERT_NEAR(double(dx[i]), want_dx[i], tolerance) << name_of(isa) << " w " << s.w;
      }
    }
  }
}

TYPED_TEST(Pool, Adaptive) {
  using T = TypeParam;
  const double tolerance = sizeof(T) == 8 ? 1e-12 : sizeof(T) == 4 ? 1e-5 : 0.05;
  const int64_t sizes[][4] = {{7, 7, 1, 1}, {33, 31, 1, 1}, {1, 3, 1, 1},  {4, 4, 1, 1},
                              {8, 9, 3, 4}, {5, 3, 7, 7},   {17, 65, 4, 5}};
  for (Isa isa : isas()) {
    for (const auto& [h, w, p, q] : sizes) {
      const int64_t planes = p == 1 ? 37 : 3;
      const DType dtype = dtype_of<T>::value;
      const auto x = sample<T>(planes * h * w, 5), dy = sample<T>(planes * p * q, 6);
      std::vector<T> mean(planes * p * q), top(planes * p * q), dx(planes * h * w);
      std::vector<int32_t> indices(planes * p * q);
      table(isa).adaptive_pool2d({dtype, planes, h, w, p, q, x.data() + 1, mean.data(), nullptr});
      table(isa).adaptive_pool2d(
          {dtype, planes, h, w, p, q, x.data() + 1, top.data(), indices.data()});
      table(isa).adaptive_avg_pool2d_grad({dtype, planes, h, w, p, q, dy.data() + 1, dx.data()});
      std::vector<double> want_dx(dx.size());
      for (int64_t n = 0; n < planes; ++n)
        for (int64_t i = 0; i < p; ++i)
          for (int64_t j = 0; j < q; ++j) {
            const int64_t r0 = i * h / p, r1 = ((i + 1) * h + p - 1) / p;
            const int64_t c0 = j * w / q, c1 = ((j + 1) * w + q - 1) / q, at = (n * p + i) * q + j;
            const double count = double((r1 - r0) * (c1 - c0));
            double sum = 0, best = -1e9;
            int64_t best_at = -1;
            for (int64_t r = r0; r < r1; ++r)
              for (int64_t c = c0; c < c1; ++c) {
                const double v = double(x[1 + (n * h + r) * w + c]);
                sum += v;
                if (v > best) best = v, best_at = r * w + c;
                want_dx[(n * h + r) * w + c] += double(dy[1 + at]) / count;
              }
            ASSERT_NEAR(double(mean[at]), sum / count, tolerance);
            ASSERT_EQ(double(top[at]), best);
            ASSERT_EQ(indices[at], best_at);
          }
      for (size_t i = 0; i < dx.size(); ++i) ASSERT_NEAR(double(dx[i]), want_dx[i], tolerance);
    }
  }
}

TEST(PoolThreads, SameBitsForAnyThreads) {
  const PoolShape s = make_shape(DType::Float32, 64, 57, 59, 3, 2, 1, 1);
  const auto x = sample<float>(s.planes * s.h * s.w, 7);
  const int threads = num_threads();
  for (Isa isa : isas()) {
    std::vector<float> y[3], dx[3];
    for (int n = 0; n < 3; ++n) {
      set_num_threads(n + 1);
      y[n].resize(s.planes * s.p * s.q);
      dx[n].resize(x.size());
      std::vector<int32_t> indices(y[n].size());
      table(isa).max_pool2d({s, x.data(), y[n].data(), indices.data()});
      table(isa).max_pool2d_grad({s, y[n].data(), indices.data(), dx[n].data()});
    }
    EXPECT_EQ(y[0], y[1]);
    EXPECT_EQ(y[0], y[2]);
    EXPECT_EQ(dx[0], dx[1]);
    EXPECT_EQ(dx[0], dx[2]);
  }
  set_num_threads(threads);
}

}  // namespace
}  // namespace gs::cpu
