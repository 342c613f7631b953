// Attention at every instruction set: forward against plain loops in double, gradients against
// finite differences of those loops.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "core/parallel.h"
#include "kernel_test.h"
#include "kernels/params/attention.h"

namespace gs::cpu {
namespace {

using Values = std::vector<double>;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

enum class Mask { None, Shared, PerBatch, Full };

struct Case {
  int64_t batch, heads, t, u, d, v;
  bool causal;
  Mask mask;
  int64_t batch_stride() const {
    return mask == Mask::Full ? heads * t * u : mask == Mask::PerBatch ? t * u : 0;
  }
  int64_t head_stride() const { return mask == Mask::Full ? t * u : 0; }
  double scale() const { return 1 / std::sqrt(double(d)); }
};

struct Inputs {
  Values q, k, value, mask, dout;
  explicit Inputs(const Case& c) {
    std::mt19937 random(5);
    std::uniform_real_distribution<double> uniform(-1.5, 1.5);
    const auto fill = [&](int64_t n) {
      Values x(n);
      for (double& e : x) e = double(float(uniform(random)));
      return x;
    };
    const int64_t n = c.batch * c.heads;
    q = fill(n * c.t * c.d);
    k = fill(n * c.u * c.d);
    value = fill(n * c.u * c.v);
    dout = fill(n * c.t * c.v);
    if (c.mask == Mask::None) return;
    mask = fill(c.mask == Mask::Full       ? n * c.t * c.u
                : c.mask == Mask::PerBatch ? c.batch * c.t * c.u
                                           : c.t * c.u);
    for (size_t i = 0; i < mask.size(); ++i) {
      if (random() % 4 == 0) mask[i] = -kInfinity;
      if (int64_t(i) / c.u % c.t == 1) mask[i] = -kInfinity;  // a query that sees nothing
    }
  }
};

struct Plain {
  Values out, lse;
};
Plain plain_forward(const Case& c, const Inputs& in) {
  Plain r{Values(c.batch * c.heads * c.t * c.v), Values(c.batch * c.heads * c.t)};
  for (int64_t b = 0; b < c.batch; ++b)
    for (int64_t h = 0; h < c.heads; ++h)
      for (int64_t i = 0; i < c.t; ++i) {
        const int64_t head = b * c.heads + h;
        Values scores(c.u);
        double highest = -kInfinity, sum = 0;
        for (int64_t j = 0; j < c.u; ++j) {
          double s = 0;
          for (int64_t e = 0; e < c.d; ++e)
            s += in.q[(head * c.t + i) * c.d + e] * in.k[(head * c.u + j) * c.d + e];
          s *= c.scale();
          if (c.mask != Mask::None)
            s += in.mask[b * c.batch_stride() + h * c.head_stride() + i * c.u + j];
          if (c.causal && j > i) s = -kInfinity;
          scores[j] = s;
          highest = std::max(highest, s);
        }
        for (double s : scores) sum += highest == -kInfinity ? 0 : std::exp(s - highest);
        r.lse[head * c.t + i] = sum > 0 ? highest + std::log(sum) : -kInfinity;
        for (int64_t j = 0; j < c.u && sum > 0; ++j)
          for (int64_t e = 0; e < c.v; ++e)
            r.out[(head * c.t + i) * c.v + e] +=
                std::exp(scores[j] - highest) / sum * in.value[(head * c.u + j) * c.v + e];
      }
  return r;
}

Values finite_differences(const Case& c, Inputs in, Values Inputs::* member) {
  const auto loss = [&] {
    const Plain r = plain_forward(c, in);
    double sum = 0;
    for (size_t i = 0; i < r.out.size(); ++i) sum += r.out[i] * in.dout[i];
    return sum;
  };
  Values& x = in.*member;
  Values grad(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double old = x[i];
    x[i] = old + 1e-5;
    const double above = loss();
    x[i] = old - 1e-5;
    grad[i] = (above - loss()) / 2e-5;
    x[i] = old;
  }
  return grad;
}

// The plain gradient, for sizes that finite differences would take too long for.
struct Gradients {
  Values dq, dk, dv;
};
Gradients plain_backward(const Case& c, const Inputs& in) {
  const Plain r = plain_forward(c, in);
  Gradients g{Values(in.q.size()), Values(in.k.size()), Values(in.value.size())};
  for (int64_t b = 0; b < c.batch; ++b)
    for (int64_t h = 0; h < c.heads; ++h)
      for (int64_t i = 0; i < c.t; ++i) {
        const int64_t head = b * c.heads + h, row = head * c.t + i;
        if (r.lse[row] == -kInfinity) continue;
        double delta = 0;
        for (int64_t e = 0; e < c.v; ++e) delta += in.dout[row * c.v + e] * r.out[row * c.v + e];
        for (int64_t j = 0; j < c.u; ++j) {
          const int64_t key = head * c.u + j;
          double s = 0, dp = 0;
          for (int64_t e = 0; e < c.d; ++e) s += in.q[row * c.d + e] * in.k[key * c.d + e];
          for (int64_t e = 0; e < c.v; ++e) dp += in.dout[row * c.v + e] * in.value[key * c.v + e];
          s *= c.scale();
          if (c.mask != Mask::None)
            s += in.mask[b * c.batch_stride() + h * c.head_stride() + i * c.u + j];
          if (c.causal && j > i) s = -kInfinity;
          const double p = std::exp(s - r.lse[row]), ds = p * (dp - delta) * c.scale();
          for (int64_t e = 0; e < c.v; ++e) g.dv[key * c.v + e] += p * in.dout[row * c.v + e];
          for (int64_t e = 0; e < c.d; ++e) {
            g.dq[row * c.d + e] += ds * in.k[key * c.d + e];
            g.dk[key * c.d + e] += ds * in.q[row * c.d + e];
          }
        }
      }
  return g;
}

template <class T>
std::vector<T> cast(const Values& x) {
  std::vector<T> result;
  for (double e : x) result.push_back(T(e));
  return result;
}

template <class T>
struct Result {
  std::vector<T> out, dq, dk, dv;
  std::vector<compute_t<T>> lse;
};
template <class T>
Result<T> run(Isa isa, const Case& c, const Inputs& in) {
  const auto q = cast<T>(in.q), k = cast<T>(in.k), value = cast<T>(in.value),
             mask = cast<T>(in.mask), dout = cast<T>(in.dout);
  Result<T> r;
  r.out.assign(dout.size(), T(9));
  r.dq.assign(q.size(), T(9));
  r.dk.assign(k.size(), T(9));
  r.dv.assign(value.size(), T(9));
  r.lse.resize(c.batch * c.heads * c.t);
  const void* mask_data = mask.empty() ? nullptr : mask.data();
  const DType dtype = dtype_of<T>::value;
  table(isa).attention({dtype, c.batch, c.heads, c.t, c.u, c.d, c.v, q.data(), k.data(),
                        value.data(), mask_data, c.batch_stride(), c.head_stride(), c.causal,
                        c.scale(), r.out.data(), r.lse.data()});
  table(isa).attention_grad({dtype,
                             c.batch,
                             c.heads,
                             c.t,
                             c.u,
                             c.d,
                             c.v,
                             q.data(),
                             k.data(),
                             value.data(),
                             mask_data,
                             c.batch_stride(),
                             c.head_stride(),
                             c.causal,
                             c.scale(),
                             r.out.data(),
                             r.lse.data(),
                             dout.data(),
                             r.dq.data(),
                             r.dk.data(),
                             r.dv.data()});
  return r;
}

template <class T>
void expect_near(const char* what, const std::vector<T>& got, const Values& want,
                 double tolerance) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t i = 0; i < want.size(); ++i) {
    if (std::isinf(want[i])) {
      ASSERT_EQ(double(got[i]), want[i]) << what << " at " << i;
    } else {
      ASSERT_NEAR(double(got[i]), want[i], tolerance * (1 + std::fabs(want[i])))
          << what << " at " << i;
    }
  }
}

TEST(Attention, AgainstPlainLoops) {
  const Case cases[] = {
      {1, 1, 1, 1, 1, 1, false, Mask::None},         {2, 3, 7, 5, 3, 4, false, Mask::None},
      {2, 1, 65, 130, 17, 33, false, Mask::None},    {1, 2, 130, 70, 16, 16, true, Mask::None},
      {1, 9, 70, 130, 31, 15, true, Mask::None},     {2, 2, 66, 67, 8, 40, false, Mask::Shared},
      {3, 3, 33, 65, 32, 16, false, Mask::PerBatch}, {2, 5, 67, 67, 7, 3, true, Mask::Full},
      {1, 1, 3, 200, 65, 64, false, Mask::Full},     {4, 4, 31, 31, 15, 17, true, Mask::Shared},
      {1, 1, 1, 33, 64, 64, false, Mask::None},      {1, 2, 5, 0, 4, 4, false, Mask::None},
      {3, 3, 5, 0, 4, 4, true, Mask::None},          {0, 3, 5, 4, 4, 4, true, Mask::None}};
  for (Isa isa : isas())
    for (const Case& c : cases) {
      SCOPED_TRACE(testing::Message() << name_of(isa) << " T " << c.t << " U " << c.u << " D "
                                      << c.d << " mask " << int(c.mask));
      const Inputs in(c);
      const Plain want = plain_forward(c, in);
      const Gradients grad = plain_backward(c, in);
      const auto f = run<float>(isa, c, in);
      const auto d = run<double>(isa, c, in);
      expect_near("out", f.out, want.out, 1e-5);
      expect_near("lse", f.lse, want.lse, 1e-5);
      expect_near("dq", f.dq, grad.dq, 1e-4);
      expect_near("dk", f.dk, grad.dk, 1e-4);
      expect_near("dv", f.dv, grad.dv, 1e-4);
      expect_near("out, double", d.out, want.out, 1e-12);
      expect_near("lse, double", d.lse, want.lse, 1e-12);
      expect_near("dq, double", d.dq, grad.dq, 1e-11);
      expect_near("dk, double", d.dk, grad.dk, 1e-11);
      expect_near("dv, double", d.dv, grad.dv, 1e-11);
    }
}

TEST(Attention, PlainGradientAgainstFiniteDifferences) {
  for (const Case& c :
       {Case{2, 2, 5, 7, 3, 4, false, Mask::Full}, {1, 2, 6, 4, 3, 2, true, Mask::None}}) {
    const Inputs in(c);
    const Gradients grad = plain_backward(c, in);
    expect_near("dq", grad.dq, finite_differences(c, in, &Inputs::q), 1e-7);
    expect_near("dk", grad.dk, finite_differences(c, in, &Inputs::k), 1e-7);
    expect_near("dv", grad.dv, finite_differences(c, in, &Inputs::value), 1e-7);
  }
}

TEST(Attention, NarrowFloats) {
  for (Isa isa : isas())
    for (const Case& c :
         {Case{2, 2, 33, 65, 16, 7, false, Mask::Full}, {1, 9, 70, 70, 8, 8, true, Mask::None}}) {
      const Inputs in(c);
      const Plain want = plain_forward(c, in);
      const Gradients grad = plain_backward(c, in);
      const auto h = run<Half>(isa, c, in);
      const auto b = run<BFloat16>(isa, c, in);
      expect_near("half", h.out, want.out, 5e-3);
      expect_near("half dq", h.dq, grad.dq, 1e-2);
      expect_near("half dk", h.dk, grad.dk, 1e-2);
      expect_near("half dv", h.dv, grad.dv, 1e-2);
      expect_near("bfloat16", b.out, want.out, 4e-2);
    }
}

TEST(Attention, LargeScoresDoNotOverflow) {
  Case c{1, 1, 20, 150, 4, 4, false, Mask::None};
  Inputs in(c);
  for (double& e : in.q) e *= 100;
  for (Isa isa : isas())
    expect_near("out", run<float>(isa, c, in).out, plain_forward(c, in).out, 1e-3);
}

TEST(Attention, SameBitsForAnyThreads) {
  const int threads = num_threads();
  for (Isa isa : isas())
    for (const Case& c : {Case{3, 4, 100, 100, 32, 32, true, Mask::None},
                          {1, 3, 150, 200, 32, 24, false, Mask::Full}}) {
      const Inputs in(c);
      Result<float> runs[3];
      for (int n = 0; n < 3; ++n) {
        set_num_threads(n + 1);
        runs[n] = run<float>(isa, c, in);
      }
      for (int n = 1; n < 3; ++n) {
        EXPECT_EQ(runs[0].out, runs[n].out);
        EXPECT_EQ(runs[0].lse, runs[n].lse);
        EXPECT_EQ(runs[0].dq, runs[n].dq);
        EXPECT_EQ(runs[0].dk, runs[n].dk);
        EXPECT_EQ(runs[0].dv, runs[n].dv);
      }
    }
  set_num_threads(threads);
}

}  // namespace
}  // namespace gs::cpu
