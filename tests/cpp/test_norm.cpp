// Layer, batch and group normalisation on every instruction set, against plain loops in double.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "core/parallel.h"
#include "kernel_test.h"
#include "kernels/params/norm.h"

namespace gs {
namespace {

double as_double(double v) { return v; }
double as_double(float v) { return static_cast<double>(v); }
double as_double(Half v) { return static_cast<double>(static_cast<float>(v)); }
double as_double(BFloat16 v) { return static_cast<double>(static_cast<float>(v)); }

// Normalises groups of elements; group_of[i] and the index of the parameter, param_of[i], describe
// both kinds.
struct Reference {
  std::vector<double> y, dx, dweight, dbias, mean, variance;
};
template <class T>
Reference reference(const std::vector<T>& x, const std::vector<T>& dy, const std::vector<T>* w,
                    const std::vector<T>* b, const std::vector<int64_t>& group_of, int64_t groups,
                    const std::vector<int64_t>& param_of, int64_t params, double eps,
                    bool fixed = false, const std::vector<T>* fixed_mean = nullptr,
                    const std::vector<T>* fixed_var = nullptr) {
  Reference r;
  const size_t n = x.size();
  std::vector<double> count(groups), sum_g(groups), sum_gh(groups), h(n), g(n);
  r.mean.assign(groups, 0);
  r.variance.assign(groups, 0);
  r.y.resize(n);
  r.dx.resize(n);
  r.dweight.assign(params, 0);
  r.dbias.assign(params, 0);
  for (size_t i = 0; i < n; ++i) {
    count[group_of[i]] += 1;
    r.mean[group_of[i]] += as_double(x[i]);
  }
  for (int64_t k = 0; k < groups; ++k) r.mean[k] /= count[k];
  for (size_t i = 0; i < n; ++i) {
    const double d = as_double(x[i]) - r.mean[group_of[i]];
    r.variance[group_of[i]] += d * d / count[group_of[i]];
  }
  for (int64_t k = 0; fixed && k < groups; ++k) {
    r.mean[k] = as_double((*fixed_mean)[k]);
    r.variance[k] = as_double((*fixed_var)[k]);
  }
  for (size_t i = 0; i < n; ++i) {
    const int64_t k = group_of[i], p = param_of[i];
    const double weight = w ? as_double((*w)[p]) : 1, bias = b ? as_double((*b)[p]) : 0;
    h[i] = (as_double(x[i]) - r.mean[k]) / std::sqrt(r.variance[k] + eps);
    r.y[i] = h[i] * weight + bias;
    g[i] = as_double(dy[i]) * weight;
    sum_g[k] += g[i];
    sum_gh[k] += g[i] * h[i];
    r.dweight[p] += as_double(dy[i]) * h[i];
    r.dbias[p] += as_double(dy[i]);
  }
  for (size_t i = 0; i < n; ++i) {
    const int64_t k = group_of[i];
    const double rstd = 1 / std::sqrt(r.variance[k] + eps);
    r.dx[i] =
        fixed ? g[i] * rstd : rstd * (g[i] - sum_g[k] / count[k] - h[i] * sum_gh[k] / count[k]);
  }
  return r;
}

template <class T>
void expect_near(const std::vector<T>& got, const std::vector<double>& expected, double tolerance,
                 const char* what) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(as_double(got[i]), expected[i], tolerance * (1 + std::fabs(expected[i])))
        << what << " " << i;
}

// ---------------------------------------------------------------- layer norm

template <class T>
void check_layer_norm(DType dtype, double tolerance) {
  using C = compute_t<T>;
  const double eps = 1e-5;
  for (int64_t rows : {0, 1, 3, 130, 300})
    for (int64_t n : {1, 3, 7, 15, 17, 33, 65, 768, 5000}) {
      if (rows * n > 120000) continue;
      const auto x = random_values<T>(rows * n, 1, 3), dy = random_values<T>(rows * n, -1, 1, 2);
      const auto w = random_values<T>(n, 0.5, 1.5, 3), b = random_values<T>(n, -1, 1, 4);
      std::vector<int64_t> group(rows * n), param(rows * n);
      for (int64_t i = 0; i < rows * n; ++i) {
        group[i] = i / n;
        param[i] = i % n;
      }
      for (bool affine : {true, false}) {
        const Reference r = reference(x, dy, affine ? &w : nullptr, affine ? &b : nullptr, group,
                                      rows, param, n, eps);
        on_every_isa([&](const KernelTable& table) {
          std::vector<T> y(rows * n), dx(rows * n), dw(n), db(n);
          std::vector<C> mean(rows), rstd(rows);
          table.layer_norm({x.data(), affine ? w.data() : nullptr, affine ? b.data() : nullptr,
                            y.data(), mean.data(), rstd.data(), dtype, rows, n, eps});
          table.layer_norm_grad({dy.data(), x.data(), affine ? w.data() : nullptr, mean.data(),
                                 rstd.data(), dx.data(), affine ? dw.data() : nullptr,
                                 affine ? db.data() : nullptr, dtype, rows, n});
          // A row of one or three values can have a tiny variance: the gradient is then large and
          // so its error.
          expect_near(y, r.y, tolerance, "y");
          if (n > 3) expect_near(dx, r.dx, 5 * tolerance, "dx");
          if (affine) {
            expect_near(dw, r.dweight, 5 * tolerance, "dweight");
            expect_near(db, r.dbias, 5 * tolerance, "dbias");
          }
        });
      }
    }
}

TEST(LayerNorm, EverySize) {
  check_layer_norm<float>(DType::Float32, 4e-6);
  check_layer_norm<double>(DType::Float64, 1e-11);
  check_layer_norm<Half>(DType::Float16, 2e-3);
  check_layer_norm<BFloat16>(DType::BFloat16, 1.2e-2);
}

// ---------------------------------------------------------------- batch norm

template <class T>
void check_batch_norm(DType dtype, double tolerance) {
  using C = compute_t<T>;
  const double eps = 1e-5, momentum = 0.1;
  for (int64_t n : {2, 7, 200})
    for (int64_t c : {1, 3, 65, 300})
      for (int64_t inner : {1, 3, 16, 49, 700, 5000}) {
        const int64_t count = n * c * inner;
        if (count > 120000 || n * inner < 6) continue;
        const auto x = random_values<T>(count, 1, 3), dy = random_values<T>(count, -1, 1, 2);
        const auto w = random_values<T>(c, 0.5, 1.5, 3), b = random_values<T>(c, -1, 1, 4);
        const auto running_m = random_values<T>(c, 1.5, 2.5, 5),
                   running_v = random_values<T>(c, 0.5, 1, 6);
        std::vector<int64_t> channel(count);
        for (int64_t i = 0; i < count; ++i) channel[i] = i / inner % c;
        for (bool training : {true, false})
          for (bool affine : {true, false}) {
            const Reference r =
                reference(x, dy, affine ? &w : nullptr, affine ? &b : nullptr, channel, c, channel,
                          c, eps, !training, &running_m, &running_v);
            on_every_isa([&](const KernelTable& table) {
              std::vector<T> y(count), dx(count), dw(c), db(c), rm = running_m, rv = running_v;
              std::vector<C> mean(c), rstd(c);
              table.batch_norm({x.data(), affine ? w.data() : nullptr, affine ? b.data() : nullptr,
                                y.data(), mean.data(), rstd.data(), rm.data(), rv.data(), dtype, n,
                                c, inner, training, momentum, eps});
              table.batch_norm_grad({dy.data(), x.data(), affine ? w.data() : nullptr, mean.data(),
                                     rstd.data(), dx.data(), affine ? dw.data() : nullptr,
                                     affine ? db.data() : nullptr, dtype, n, c, inner, training});
              expect_near(y, r.y, tolerance, "y");
              expect_near(dx, r.dx, 5 * tolerance, "dx");
              if (affine) {
                expect_near(dw, r.dweight, 5 * tolerance, "dweight");
                expect_near(db, r.dbias, 5 * tolerance, "dbias");
              }
              const double m = static_cast<double>(n * inner);
              for (int64_t k = 0; k < c; ++k) {
                const double old_m = as_double(running_m[k]), old_v = as_double(running_v[k]);
                const double new_m = training ? old_m + momentum * (r.mean[k] - old_m) : old_m;
                const double new_v =
                    training ? old_v + momentum * (r.variance[k] * m / (m - 1) - old_v) : old_v;
                ASSERT_NEAR(as_double(rm[k]), new_m, tolerance * 3);
                ASSERT_NEAR(as_double(rv[k]), new_v, tolerance * 3);
              }
            });
          }
      }
}

TEST(BatchNorm, EverySize) {
  check_batch_norm<float>(DType::Float32, 4e-6);
  check_batch_norm<double>(DType::Float64, 1e-11);
  check_batch_norm<Half>(DType::Float16, 2e-3);
  check_batch_norm<BFloat16>(DType::BFloat16, 1.2e-2);
}

TEST(BatchNorm, FarFromZeroNothingCancels) {
  const int64_t n = 8, inner = 1000;
  const auto x = random_values<double>(n * inner, 9999, 10001);
  const std::vector<float> xf(x.begin(), x.end());
  double mean = 0, variance = 0;
  for (float v : xf) mean += static_cast<double>(v) / static_cast<double>(n * inner);
  for (float v : xf)
    variance += std::pow(static_cast<double>(v) - mean, 2) / static_cast<double>(n * inner);
  on_every_isa([&](const KernelTable& table) {
    std::vector<float> y(xf.size());
    float m, rstd;
    table.batch_norm({xf.data(), nullptr, nullptr, y.data(), &m, &rstd, nullptr, nullptr,
                      DType::Float32, n, 1, inner, true, 0.1, 0});
    EXPECT_NEAR(rstd, 1 / std::sqrt(variance), 1e-6);
    for (size_t i = 0; i < y.size(); ++i)
      ASSERT_NEAR(y[i], (static_cast<double>(xf[i]) - mean) / std::sqrt(variance),
                  2e-3);  // the mean rounds to float32
  });
}

// ---------------------------------------------------------------- group norm

template <class T>
void check_group_norm(DType dtype, double tolerance) {
  using C = compute_t<T>;
  const double eps = 1e-5;
  struct Case {
    int64_t n, c, groups;
  };
  for (const Case k :
       {Case{0, 4, 2}, {1, 1, 1}, {1, 6, 3}, {3, 8, 8}, {2, 70, 1}, {5, 12, 4}, {26, 12, 4}})
    for (int64_t inner : {1, 3, 5, 16, 17, 49, 255, 257, 700, 5000}) {
      const int64_t count = k.n * k.c * inner, rows = k.n * k.groups;
      if (count > 120000 || k.c / k.groups * inner < 6) continue;
      const auto x = random_values<T>(count, 1, 3), dy = random_values<T>(count, -1, 1, 2);
      const auto w = random_values<T>(k.c, 0.5, 1.5, 3), b = random_values<T>(k.c, -1, 1, 4);
      std::vector<int64_t> group(count), channel(count);
      for (int64_t i = 0; i < count; ++i) {
        channel[i] = i / inner % k.c;
        group[i] = i / (k.c / k.groups * inner);
      }
      for (bool affine : {true, false}) {
        const T *weight = affine ? w.data() : nullptr, *bias = affine ? b.data() : nullptr;
        const Reference r = reference(x, dy, affine ? &w : nullptr, affine ? &b : nullptr, group,
                                      rows, channel, k.c, eps);
        on_every_isa([&](const KernelTable& table) {
          std::vector<T> y(count), dx(count), dw(k.c), db(k.c);
          std::vector<C> mean(rows), rstd(rows);
          table.group_norm({x.data(), weight, bias, y.data(), mean.data(), rstd.data(), dtype, k.n,
                            k.c, inner, k.groups, eps});
          table.group_norm_grad({dy.data(), x.data(), weight, mean.data(), rstd.data(), dx.data(),
                                 dw.data(), db.data(), dtype, k.n, k.c, inner, k.groups});
          expect_near(y, r.y, tolerance, "y");
          expect_near(dx, r.dx, 5 * tolerance, "dx");
          expect_near(dw, r.dweight, 5 * tolerance, "dweight");
          expect_near(db, r.dbias, 5 * tolerance, "dbias");
          table.group_norm_grad({dy.data(), x.data(), weight, mean.data(), rstd.data(), nullptr,
                                 nullptr, db.data(), dtype, k.n, k.c, inner, k.groups});
          expect_near(db, r.dbias, 5 * tolerance, "dbias alone");
        });
      }
    }
}

TEST(GroupNorm, EverySize) {
  check_group_norm<float>(DType::Float32, 4e-6);
  check_group_norm<double>(DType::Float64, 1e-11);
  check_group_norm<Half>(DType::Float16, 2e-3);
  check_group_norm<BFloat16>(DType::BFloat16, 1.2e-2);
}

TEST(Norm, SameBitsForAnyNumberOfThreads) {
  const int64_t n = 64, c = 5, inner = 1600, count = n * c * inner;
  const auto x = random_values<float>(count, -1, 1), dy = random_values<float>(count, -1, 1, 2);
  on_every_isa([&](const KernelTable& table) {
    std::vector<float> first;
    for (int threads : {1, 2, 3}) {
      set_num_threads(threads);
      std::vector<float> out(6 * count + 8000), mean(2000), rstd(2000);
      float *y = out.data(), *extra = y + 6 * count;
      table.batch_norm({x.data(), nullptr, nullptr, y, mean.data(), rstd.data(), nullptr, nullptr,
                        DType::Float32, n, c, inner, true, 0.1, 1e-5});
      table.batch_norm_grad({dy.data(), x.data(), nullptr, mean.data(), rstd.data(), y + count,
                             extra, extra + 1600, DType::Float32, n, c, inner, true});
      table.layer_norm({x.data(), nullptr, nullptr, y + 2 * count, mean.data(), rstd.data(),
                        DType::Float32, n * c, inner, 1e-5});
      table.layer_norm_grad({dy.data(), x.data(), nullptr, mean.data(), rstd.data(), y + 3 * count,
                             extra + 3200, extra + 4800, DType::Float32, n * c, inner});
      table.group_norm({x.data(), nullptr, nullptr, y + 4 * count, mean.data(), rstd.data(),
                        DType::Float32, n, c, inner, c, 1e-5});
      table.group_norm_grad({dy.data(), x.data(), nullptr, mean.data(), rstd.data(), y + 5 * count,
                             extra + 6400, extra + 7200, DType::Float32, n, c, inner, c});
      if (first.empty()) first = out;
      ASSERT_EQ(0, std::memcmp(out.data(), first.data(), out.size() * sizeof(float)));
    }
    set_num_threads(available_cpus());
  });
}

}  // namespace
}  // namespace gs
