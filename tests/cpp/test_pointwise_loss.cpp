// Pointwise losses on every instruction set, against the same formulas in scalar double arithmetic
// (tests/op_specs has the formulas written once more, in NumPy).
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "core/parallel.h"
#include "kernel_test.h"
#include "kernels/loss_functors.h"
#include "kernels/params/pointwise_loss.h"

namespace gs {
namespace {

template <class F>
void each_loss(F f) {
#define GS_CASE(name) f(LossOp::name, losses::name{}, #name);
  GS_LOSSES(GS_CASE)
#undef GS_CASE
}

// One call's operands; a period of 0 stands for no weight.
template <class T>
struct Operands {
  std::vector<T> x, t, w, p, g;
  int64_t n, w_period, p_period, g_period;
  LossInputs in;

  Operands(LossOp op, DType dtype, int64_t n_, int64_t wp, int64_t pp, int64_t gp)
      : n(n_), w_period(wp), p_period(pp), g_period(gp) {
    const bool unit = op == LossOp::CrossEntropy;
    x = random_values<T>(n + 1, unit ? 0.02 : -2, unit ? 0.98 : 2, 1);
    t = random_values<T>(n + 1, 0, 1, 2);
    if (op == LossOp::Hinge)
      for (auto& v : t) v = T(static_cast<double>(v) < 0.5 ? -1.0f : 1.0f);
    w = random_values<T>(wp, 0.5, 2, 3);
    p = random_values<T>(pp, 0.5, 2, 4);
    g = random_values<T>(gp, -1, 1, 5);
    in = {op, dtype, n, x.data() + 1, t.data() + 1, {}, {}, 0.75};  // not aligned to a vector
    if (wp) in.weight = {w.data(), wp};
    if (pp) in.positive = {p.data(), pp};
  }
  static double of(const std::vector<T>& v, int64_t i) {
    return v.empty() ? 1.0 : static_cast<double>(v[i % static_cast<int64_t>(v.size())]);
  }
  template <class F>
  double apply(F f, int64_t i) const {
    return f(static_cast<double>(x[i + 1]), static_cast<double>(t[i + 1]), of(p, i), 0.75);
  }
};

template <class T>
void check(DType dtype, double tolerance) {
  using M = ScalarMath<double>;
  on_every_isa([&](const KernelTable& table) {
    each_loss([&](LossOp op, auto loss, const char* name) {
      for (int64_t n : {0, 1, 3, 7, 15, 17, 31, 33, 65, 1030, 70000}) {
        for (int64_t variant : {0, 1, 2, 3}) {
          if (n == 70000 && (variant == 2 || sizeof(T) == 8)) continue;
          SCOPED_TRACE(std::string(name) + " " + std::to_string(n) + " " + std::to_string(variant));
          // None; one number; a row of 5; dense.
          const int64_t period = variant == 0 ? 0 : variant == 1 ? 1 : variant == 2 ? 5 : n;
          const Operands<T> o(op, dtype, n, period, period, variant == 3 ? n : 1);
          const auto value = [&](double x, double t, double p, double a) {
            return loss.template value<M>(x, t, p, a);
          };
          std::vector<T> y(n + 1, T(77.0f));
          table.pointwise_loss({o.in, y.data(), nullptr, 1, nullptr});
          double total = 0;
          for (int64_t i = 0; i < n; ++i) {
            const double expected = o.apply(value, i) * Operands<T>::of(o.w, i);
            ASSERT_NEAR(static_cast<double>(y[i]), expected, tolerance * (1 + std::fabs(expected)));
            total += expected;
          }
          ASSERT_EQ(static_cast<float>(y[n]), 77.0f);
          T sum;
          table.pointwise_loss({o.in, nullptr, &sum, 2, nullptr});
          if (std::isfinite(static_cast<double>(sum)) || sizeof(T) > 2) {
            ASSERT_NEAR(static_cast<double>(sum), total / 2,
                        tolerance * (1 + std::fabs(total) + 0.1 * static_cast<double>(n)));
          }

          std::vector<T> dx(n + 1, T(77.0f)), dt(n + 1, T(77.0f));
          table.pointwise_loss_grad({o.in, {o.g.data(), o.g_period}, 0.5, dx.data(), dt.data()});
          for (int64_t i = 0; i < n; ++i) {
            const double factor = 0.5 * Operands<T>::of(o.g, i) * Operands<T>::of(o.w, i);
            const auto by_input = [&](double x, double t, double p, double a) {
              return loss.template by_input<M>(x, t, p, a);
            };
            const auto by_target = [&](double x, double t, double p, double a) {
              return loss.template by_target<M>(x, t, p, a);
            };
            const double ex = factor * o.apply(by_input, i), et = factor * o.apply(by_target, i);
            ASSERT_NEAR(static_cast<double>(dx[i]), ex, tolerance * (1 + std::fabs(ex)));
            ASSERT_NEAR(static_cast<double>(dt[i]), et, tolerance * (1 + std::fabs(et)));
          }
          ASSERT_EQ(static_cast<float>(dx[n]), 77.0f);
          ASSERT_EQ(static_cast<float>(dt[n]), 77.0f);
        }
      }
    });
  });
}

TEST(PointwiseLoss, Float32) { check<float>(DType::Float32, 2e-6); }
TEST(PointwiseLoss, Float64) { check<double>(DType::Float64, 1e-13); }
TEST(PointwiseLoss, Float16) { check<Half>(DType::Float16, 2e-3); }
TEST(PointwiseLoss, BFloat16) { check<BFloat16>(DType::BFloat16, 1.6e-2); }

TEST(PointwiseLoss, DerivativesAgreeWithFiniteDifferences) {
  using M = ScalarMath<double>;
  each_loss([&](LossOp op, auto loss, const char* name) {
    const Operands<double> o(op, DType::Float64, 200, 0, 5, 1);
    const double h = 1e-6;
    for (int64_t i = 0; i < o.n; ++i) {
      const double x = o.x[i + 1], t = o.t[i + 1], p = o.p[i % 5], a = 0.75;
      const auto f = [&](double at, double to) { return loss.template value<M>(at, to, p, a); };
      ASSERT_NEAR(loss.template by_input<M>(x, t, p, a), (f(x + h, t) - f(x - h, t)) / (2 * h),
                  1e-6 * 100)
          << name << " " << x << " " << t;
      if (op == LossOp::Hinge) continue;
      ASSERT_NEAR(loss.template by_target<M>(x, t, p, a), (f(x, t + h) - f(x, t - h)) / (2 * h),
                  1e-6 * 100)
          << name << " " << x << " " << t;
    }
  });
}

TEST(PointwiseLoss, ExtremesStayFiniteAndNanStaysNan) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  on_every_isa([&](const KernelTable& table) {
    // Probabilities of 0 and 1: logarithms end at -100, gradients at 1e12.
    const float x[4] = {0, 1, 0, 1}, t[4] = {0, 1, 1, 0};
    float y[4], dx[4];
    const float one = 1;
    const LossInputs bce{LossOp::CrossEntropy, DType::Float32, 4, x, t, {}, {}, 0};
    bool outside = false;
    table.pointwise_loss({bce, y, nullptr, 1, &outside});
    EXPECT_FALSE(outside);
    EXPECT_EQ(y[0], 0);
    EXPECT_EQ(y[1], 0);
    EXPECT_EQ(y[2], 100);
    EXPECT_EQ(y[3], 100);
    table.pointwise_loss_grad({bce, {&one, 1}, 1, dx, nullptr});
    EXPECT_EQ(dx[0], 0);
    EXPECT_FLOAT_EQ(dx[2], -1e12f);
    // Logits far out: the small side keeps its digits.
    const float logits[4] = {-800, 800, -20, 20}, labels[4] = {0, 1, 0, 1};
    const LossInputs far{LossOp::LogitsCrossEntropy, DType::Float32, 4, logits, labels, {}, {}, 0};
    table.pointwise_loss({far, y, nullptr, 1, nullptr});
    table.pointwise_loss_grad({far, {&one, 1}, 1, dx, nullptr});
    EXPECT_EQ(y[0], 0);
    EXPECT_EQ(y[1], 0);
    EXPECT_FLOAT_EQ(y[2], std::exp(-20.0f));
    EXPECT_FLOAT_EQ(dx[2], std::exp(-20.0f));
    EXPECT_FLOAT_EQ(dx[3], -std::exp(-20.0f));

    each_loss([&](LossOp op, auto, const char* name) {
      const float bad[2] = {nan, 0.5f}, half[2] = {0.5f, nan};
      float out[2];
      table.pointwise_loss(
          {{op, DType::Float32, 2, bad, half, {}, {}, 0.75}, out, nullptr, 1, nullptr});
      EXPECT_TRUE(std::isnan(out[0])) << name;
      EXPECT_TRUE(op == LossOp::Hinge || std::isnan(out[1])) << name;
    });
    const float beyond[3] = {0.5f, 1.5f, 0.5f}, below[3] = {-0.1f, 0.5f, 0.5f};
    for (const float* values : {beyond, below}) {
      outside = false;
      table.pointwise_loss({{LossOp::CrossEntropy, DType::Float32, 3, values, values, {}, {}, 0},
                            y,
                            nullptr,
                            1,
                            &outside});
      EXPECT_TRUE(outside);
    }
  });
}

TEST(PointwiseLoss, SameBitsForAnyNumberOfThreads) {
  on_every_isa([&](const KernelTable& table) {
    for (LossOp op : {LossOp::Squared, LossOp::LogitsCrossEntropy}) {
      const Operands<float> o(op, DType::Float32, 200001, 3, 7, 1);
      float first = 0;
      std::vector<float> before;
      for (int threads : {1, 2, 3}) {
        set_num_threads(threads);
        float total;
        std::vector<float> dx(o.n);
        table.pointwise_loss({o.in, nullptr, &total, 1, nullptr});
        table.pointwise_loss_grad({o.in, {o.g.data(), 1}, 1, dx.data(), nullptr});
        if (before.empty()) first = total, before = dx;
        ASSERT_EQ(0, std::memcmp(&first, &total, sizeof total));
        ASSERT_EQ(0, std::memcmp(before.data(), dx.data(), dx.size() * sizeof(float)));
      }
      set_num_threads(available_cpus());
    }
  });
}

}  // namespace
}  // namespace gs
