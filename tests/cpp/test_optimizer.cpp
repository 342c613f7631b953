#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "core/parallel.h"
#include "kernel_test.h"
#include "kernels/params/optimizer.h"

namespace gs {
namespace {

// One parameter in float64: what PyTorch's single-tensor code computes.
struct Reference {
  double w, g, s1, s2, s3, step;
};

double lerp(double a, double b, double w) { return a + w * (b - a); }

void reference_step(const SgdStep& p, Reference& r) {
  double g = p.maximize ? -r.g : r.g;
  g += p.weight_decay * r.w;
  if (p.momentum != 0) {
    r.s1 = r.step == 1 ? g : p.momentum * r.s1 + (1 - p.dampening) * g;
    g = p.nesterov ? g + p.momentum * r.s1 : r.s1;
  }
  r.w -= p.lr * g;
}

void reference_step(const AdamStep& p, Reference& r) {
  double g = p.maximize ? -r.g : r.g;
  if (p.decoupled)
    r.w *= 1 - p.lr * p.weight_decay;
  else
    g += p.weight_decay * r.w;
  r.s1 = lerp(r.s1, g, 1 - p.beta1);
  r.s2 = p.beta2 * r.s2 + (1 - p.beta2) * g * g;
  double v = r.s2;
  if (p.amsgrad) v = r.s3 = std::max(r.s3, r.s2);
  const double correction1 = 1 - std::pow(p.beta1, r.step);
  const double correction2 = 1 - std::pow(p.beta2, r.step);
  r.w -= p.lr / correction1 * r.s1 / (std::sqrt(v) / std::sqrt(correction2) + p.eps);
}

void reference_step(const RmspropStep& p, Reference& r) {
  double g = p.maximize ? -r.g : r.g;
  g += p.weight_decay * r.w;
  r.s1 = p.alpha * r.s1 + (1 - p.alpha) * g * g;
  double variance = r.s1;
  if (p.centered) {
    r.s3 = lerp(r.s3, g, 1 - p.alpha);
    variance -= r.s3 * r.s3;
  }
  const double root = std::sqrt(variance) + p.eps;
  if (p.momentum > 0) {
    r.s2 = p.momentum * r.s2 + g / root;
    r.w -= p.lr * r.s2;
  } else {
    r.w -= p.lr * g / root;
  }
}

// Tensors of many sizes and all four dtypes, one element off any alignment, with a guard behind
// each.
struct Parameters {
  template <class T>
  struct Typed {
    std::vector<T> data[5];  // parameter, grad, three states
  };
  template <class T>
  void add(int64_t n, std::vector<Typed<T>>& list) {
    Typed<T>& t = list.emplace_back();
    std::vector<Reference>& r = references.emplace_back(static_cast<size_t>(n), Reference{});
    for (auto& d : t.data) d.assign(static_cast<size_t>(n) + 2, T(compute_t<T>(0)));
    for (int64_t i = 0; i < n; ++i)
      r[static_cast<size_t>(i)].w = t.data[0][static_cast<size_t>(i) + 1] =
          static_cast<T>(static_cast<compute_t<T>>(uniform(engine)));
    t.data[0].back() = T(compute_t<T>(77));
    tensors.push_back({t.data[0].data() + 1, t.data[1].data() + 1, t.data[2].data() + 1,
                       t.data[3].data() + 1, t.data[4].data() + 1, n, dtype_of<T>::value, 0});
  }
  explicit Parameters(std::vector<int64_t> sizes) {
    f32.reserve(sizes.size());
    f64.reserve(sizes.size());
    f16.reserve(sizes.size());
    bf16.reserve(sizes.size());
    for (int64_t n : sizes) {
      add(n, f32);
      add(n, f64);
      add(n, f16);
      add(n, bf16);
    }
  }
  template <class F>
  void each(F f) {  // f(tensor, typed buffers, references)
    for (size_t t = 0; t < f32.size(); ++t) {
      f(tensors[4 * t], f32[t], references[4 * t]);
      f(tensors[4 * t + 1], f64[t], references[4 * t + 1]);
      f(tensors[4 * t + 2], f16[t], references[4 * t + 2]);
      f(tensors[4 * t + 3], bf16[t], references[4 * t + 3]);
    }
  }
  void new_gradients() {
    each([&](OptimizerTensor& t, auto& typed, std::vector<Reference>& rs) {
      using T = std::decay_t<decltype(typed.data[0][0])>;
      t.step += 1;
      for (size_t i = 0; i < rs.size(); ++i) {
        typed.data[1][i + 1] = static_cast<T>(static_cast<compute_t<T>>(uniform(engine)));
        rs[i].g = static_cast<compute_t<T>>(typed.data[1][i + 1]);
        rs[i].step = t.step;
      }
    });
  }
  void compare() {
    each([&](OptimizerTensor& t, auto& typed, std::vector<Reference>& rs) {
      const double tolerance = t.dtype == DType::Float64   ? 1e-12
                               : t.dtype == DType::Float32 ? 1e-5
                               : t.dtype == DType::Float16 ? 8e-3
                                                           : 6e-2;
      for (size_t i = 0; i < rs.size(); ++i)
        ASSERT_NEAR(static_cast<double>(typed.data[0][i + 1]), rs[i].w, tolerance)
            << t.dtype << " element " << i << " of " << t.n;
      ASSERT_EQ(static_cast<double>(typed.data[0].back()), 77);
      for (int k = 1; k < 5; ++k) ASSERT_EQ(static_cast<double>(typed.data[k].back()), 0);
      for (int k = 0; k < 5; ++k) ASSERT_EQ(static_cast<double>(typed.data[k][0]), 0);
    });
  }

  std::mt19937 engine{5};
  std::uniform_real_distribution<float> uniform{-1, 1};
  std::vector<Typed<float>> f32;
  std::vector<Typed<double>> f64;
  std::vector<Typed<Half>> f16;
  std::vector<Typed<BFloat16>> bf16;
  std::vector<OptimizerTensor> tensors;
  std::vector<std::vector<Reference>> references;
};

const std::vector<int64_t> kSizes = {0, 1, 3, 7, 15, 17, 0, 31, 33, 65, 20000, 5};

template <class Step>
void check(Step p, void (*cpu::KernelTable::*kernel)(const Step&)) {
  for (Isa isa : isas()) {
    Parameters parameters(kSizes);
    p.tensors = parameters.tensors.data();
    p.count = static_cast<int64_t>(parameters.tensors.size());
    for (int step = 0; step < 4; ++step) {
      parameters.new_gradients();
      (cpu::table(isa).*kernel)(p);
      for (auto& rs : parameters.references)
        for (Reference& r : rs) reference_step(p, r);
    }
    parameters.compare();
  }
}

TEST(Optimizer, Sgd) {
  const auto run = [](SgdStep p) { check(p, &cpu::KernelTable::sgd_step); };
  run({nullptr, 0, 0.1, 0, 0, 0, false, false});
  run({nullptr, 0, 0.1, 0, 0, 0.1, false, true});
  run({nullptr, 0, 0.1, 0.9, 0, 0, false, false});
  run({nullptr, 0, 0.1, 0.9, 0.3, 0.01, false, false});
  run({nullptr, 0, 0.1, 0.9, 0, 0.01, true, true});
}

TEST(Optimizer, Adam) {
  const auto run = [](AdamStep p) { check(p, &cpu::KernelTable::adam_step); };
  // The large eps keeps 16-bit states, which may round to 0, from dividing by it.
  run({nullptr, 0, 0.01, 0.9, 0.999, 1e-2, 0, false, false, false});
  run({nullptr, 0, 0.01, 0.9, 0.99, 1e-2, 0.1, false, false, false});
  run({nullptr, 0, 0.01, 0.9, 0.99, 1e-2, 0.1, true, false, false});
  run({nullptr, 0, 0.01, 0.4, 0.9, 1e-2, 0.1, true, true, true});
}

TEST(Optimizer, Rmsprop) {
  const auto run = [](RmspropStep p) { check(p, &cpu::KernelTable::rmsprop_step); };
  run({nullptr, 0, 0.01, 0.9, 0.1, 0, 0, false, false});
  run({nullptr, 0, 0.01, 0.9, 0.1, 0.1, 0.9, false, true});
  run({nullptr, 0, 0.01, 0.9, 0.1, 0.01, 0.5, true, false});
}

TEST(Optimizer, AdamWithItsDefaultEpsilon) {
  for (Isa isa : isas()) {
    float w = 1, g = 0.5f, m = 0, v = 0;
    OptimizerTensor t{&w, &g, &m, &v, nullptr, 1, DType::Float32, 1};
    cpu::table(isa).adam_step({&t, 1, 1e-3, 0.9, 0.999, 1e-8, 0, false, false, false});
    EXPECT_FLOAT_EQ(w, 0.999f);  // the first step has the length lr
    EXPECT_FLOAT_EQ(m, 0.05f);
    EXPECT_FLOAT_EQ(v, 0.00025f);
    g = 0;
    v = m = 0;
    cpu::table(isa).adam_step({&t, 1, 1e-3, 0.9, 0.999, 1e-8, 0, false, false, false});
    EXPECT_FLOAT_EQ(w, 0.999f);  // 0 / eps
  }
}

// Tensors at different step counts in one call, as after adding a parameter group.
TEST(Optimizer, AdamStepCountsMayDiffer) {
  for (Isa isa : isas()) {
    double w[2] = {1, 1}, g[2] = {0.5, 0.5}, m[2] = {0.1, 0.1}, v[2] = {0.2, 0.2};
    OptimizerTensor t[2];
    Reference r[2];
    for (int k = 0; k < 2; ++k) {
      t[k] = {w + k, g + k, m + k, v + k, nullptr, 1, DType::Float64, k == 0 ? 2.0 : 50.0};
      r[k] = {w[k], g[k], m[k], v[k], 0, t[k].step};
    }
    const AdamStep p{t, 2, 0.01, 0.9, 0.99, 1e-8, 0, false, false, false};
    for (auto& one : r) reference_step(p, one);
    cpu::table(isa).adam_step(p);
    EXPECT_NEAR(w[0], r[0].w, 1e-14);
    EXPECT_NEAR(w[1], r[1].w, 1e-14);
    EXPECT_NE(w[0], w[1]);
  }
}

TEST(Optimizer, GradNormAndScale) {
  for (Isa isa : isas()) {
    Parameters parameters(kSizes);
    parameters.new_gradients();
    double squares = 0, sizes = 0, largest = 0;
    for (auto& rs : parameters.references)
      for (Reference& r : rs) {
        squares += r.g * r.g;
        sizes += std::fabs(r.g);
        largest = std::max(largest, std::fabs(r.g));
      }
    const auto norm = [&](double p) {
      double result = -1;
      cpu::table(isa).grad_norm({parameters.tensors.data(), int64_t(parameters.tensors.size()), p,
                                 &result, DType::Float64});
      return result;
    };
    const double infinity = std::numeric_limits<double>::infinity();
    EXPECT_NEAR(norm(2), std::sqrt(squares), 1e-9 * std::sqrt(squares));
    EXPECT_NEAR(norm(1), sizes, 1e-9 * sizes);
    EXPECT_EQ(norm(infinity), largest);
    parameters.f32[10].data[1][12345] = NAN;
    EXPECT_TRUE(std::isnan(norm(2)));
    EXPECT_TRUE(std::isnan(norm(infinity)));
    double none = -1;
    cpu::table(isa).grad_norm({nullptr, 0, 2, &none, DType::Float64});
    EXPECT_EQ(none, 0);

    cpu::table(isa).scale_all(
        {parameters.tensors.data(), int64_t(parameters.tensors.size()), -0.5});
    for (auto& rs : parameters.references)
      for (Reference& r : rs) r.w *= -0.5;
    parameters.compare();
  }
}

TEST(Optimizer, ClipsByTheNorm) {
  for (Isa isa : isas()) {
    Parameters parameters(kSizes);
    const int64_t count = int64_t(parameters.tensors.size());
    const auto clip = [&](float norm) {
      cpu::table(isa).scale_all({parameters.tensors.data(), count, 2.0, &norm, DType::Float32});
    };
    clip(1.5f);  // below the limit: nothing is done
    parameters.compare();
    clip(8);
    for (auto& rs : parameters.references)
      for (Reference& r : rs) r.w *= 2.0 / (8 + 1e-6);
    parameters.compare();
    clip(NAN);
    EXPECT_TRUE(std::isnan(parameters.f32[10].data[0][1]));
  }
}

TEST(Optimizer, UnscaleFindsWhatIsNotFinite) {
  for (Isa isa : isas()) {
    Parameters parameters(kSizes);
    const int64_t count = int64_t(parameters.tensors.size());
    const float scale = 8;
    float found = 0;
    const auto unscale = [&] {
      cpu::table(isa).unscale_all({parameters.tensors.data(), count, &scale, &found});
    };
    unscale();
    EXPECT_EQ(found, 0);
    for (auto& rs : parameters.references)
      for (Reference& r : rs) r.w /= 8;
    parameters.compare();
    for (const float bad : {INFINITY, -INFINITY, NAN}) {
      found = 0;
      float& last = *(parameters.f32[10].data[0].end() - 2);  // before the guard
      const float before = std::exchange(last, bad);
      unscale();
      EXPECT_EQ(found, 1);
      last = before;
    }
  }
}

TEST(Optimizer, ScaleGrowsAndShrinks) {
  for (Isa isa : isas()) {
    float scale = 1024, found = 0;
    int32_t streak = 0;
    const auto update = [&] {
      cpu::table(isa).update_scale({&scale, &streak, &found, 2.0, 0.5, 3});
    };
    update(), update();
    EXPECT_EQ(scale, 1024);
    EXPECT_EQ(streak, 2);
    update();
    EXPECT_EQ(scale, 2048);
    EXPECT_EQ(streak, 0);
    update();
    found = 1;
    update();
    EXPECT_EQ(scale, 1024);
    EXPECT_EQ(streak, 0);
    found = 0, scale = 3e38f, streak = 2;
    update();
    EXPECT_EQ(scale, 3e38f);  // twice as much would be infinite
  }
}

TEST(Optimizer, SameBitsForAnyNumberOfThreads) {
  const int before = num_threads();
  for (Isa isa : isas()) {
    std::vector<std::vector<float>> runs;
    std::vector<double> norms;
    for (int threads : {1, 2, 3}) {
      set_num_threads(threads);
      Parameters parameters({1000, 70001, 3, 40000});
      for (int step = 0; step < 2; ++step) {
        parameters.new_gradients();
        cpu::table(isa).adam_step({parameters.tensors.data(), int64_t(parameters.tensors.size()),
                                   0.01, 0.9, 0.999, 1e-8, 0.1, true, false, false});
      }
      norms.emplace_back();
      cpu::table(isa).grad_norm({parameters.tensors.data(), int64_t(parameters.tensors.size()), 2,
                                 &norms.back(), DType::Float64});
      runs.emplace_back();
      for (auto& t : parameters.f32)
        runs.back().insert(runs.back().end(), t.data[0].begin(), t.data[0].end());
    }
    EXPECT_EQ(runs[0], runs[1]);
    EXPECT_EQ(runs[0], runs[2]);
    EXPECT_EQ(norms[0], norms[1]);
    EXPECT_EQ(norms[0], norms[2]);
  }
  set_num_threads(before);
}

}  // namespace
}  // namespace gs
