// LSTM, GRU and plain RNN at every instruction set: forward against plain loops in double,
// gradients against finite differences of those loops.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <tuple>
#include <utility>
#include <vector>

#include "core/parallel.h"
#include "kernel_test.h"
#include "kernels/params/recurrent.h"

namespace gs::cpu {
namespace {

using Values = std::vector<double>;

struct Case {
  CellKind kind;
  bool reverse, bias, dense_out, with_dn;  // dense_out: stride H, otherwise 2H
  int64_t steps, batch, hidden, inputs;
  int64_t gates() const { return kind == CellKind::Lstm ? 4 : kind == CellKind::Gru ? 3 : 1; }
  int64_t stride() const { return dense_out ? hidden : 2 * hidden; }
};

struct Inputs {
  Values x, w_ih, b_ih, w, bias, h0, c0, dout, dh_n, dc_n;
  explicit Inputs(const Case& c) {
    std::mt19937 random(11);
    std::uniform_real_distribution<double> uniform(-1, 1);
    const auto fill = [&](int64_t n) {
      Values v(n);
      for (double& e : v) e = double(float(uniform(random)));
      return v;
    };
    const int64_t g = c.gates() * c.hidden, state = c.batch * c.hidden;
    x = fill(c.steps * c.batch * c.inputs);
    w_ih = fill(g * c.inputs);
    for (double& e : w_ih) e = float(e / std::sqrt(double(c.inputs + 1)));
    b_ih = fill(g);
    w = fill(g * c.hidden);
    for (double& e : w) e = float(e / std::sqrt(double(c.hidden + 1)));
    bias = fill(g);
    h0 = fill(state);
    c0 = fill(state);
    dout = fill(c.steps * c.batch * c.hidden);
    dh_n = fill(state);
    dc_n = fill(state);
  }
};

struct Outputs {
  Values out, h, c;
};

double sigmoid(double v) { return 1 / (1 + std::exp(-v)); }

Outputs plain_forward(const Case& c, const Inputs& in) {
  const int64_t hidden = c.hidden, gates = c.gates();
  Outputs result{Values(c.steps * c.batch * hidden), in.h0, in.c0};
  for (int64_t s = 0; s < c.steps; ++s) {
    const int64_t t = c.reverse ? c.steps - 1 - s : s;
    const Values before = result.h;
    for (int64_t b = 0; b < c.batch; ++b)
      for (int64_t j = 0; j < hidden; ++j) {
        double x[4] = {}, part[4] = {};
        for (int64_t g = 0; g < gates; ++g) {
          x[g] = c.bias ? in.b_ih[g * hidden + j] : 0;
          for (int64_t k = 0; k < c.inputs; ++k)
            x[g] +=
                in.x[(t * c.batch + b) * c.inputs + k] * in.w_ih[(g * hidden + j) * c.inputs + k];
          part[g] = c.bias ? in.bias[g * hidden + j] : 0;
          for (int64_t k = 0; k < hidden; ++k)
            part[g] += before[b * hidden + k] * in.w[(g * hidden + j) * hidden + k];
        }
        double& h = result.h[b * hidden + j];
        double& cell = result.c[b * hidden + j];
        if (c.kind == CellKind::Lstm) {
          cell =
              sigmoid(x[1] + part[1]) * cell + sigmoid(x[0] + part[0]) * std::tanh(x[2] + part[2]);
          h = sigmoid(x[3] + part[3]) * std::tanh(cell);
        } else if (c.kind == CellKind::Gru) {
          const double r = sigmoid(x[0] + part[0]), z = sigmoid(x[1] + part[1]);
          const double n = std::tanh(x[2] + r * part[2]);
          h = (1 - z) * n + z * before[b * hidden + j];
        } else {
          h = x[0] + part[0];
          h = c.kind == CellKind::RnnTanh ? std::tanh(h) : h > 0 ? h : 0;
        }
        result.out[(t * c.batch + b) * hidden + j] = h;
      }
  }
  return result;
}

double plain_loss(const Case& c, const Inputs& in) {
  const Outputs r = plain_forward(c, in);
  double loss = 0;
  for (size_t i = 0; i < r.out.size(); ++i) loss += r.out[i] * in.dout[i];
  if (!c.with_dn) return loss;
  for (size_t i = 0; i < r.h.size(); ++i) loss += r.h[i] * in.dh_n[i];
  if (c.kind == CellKind::Lstm)
    for (size_t i = 0; i < r.c.size(); ++i) loss += r.c[i] * in.dc_n[i];
  return loss;
}

template <class T>
std::vector<T> cast(const Values& v) {
  std::vector<T> result;
  for (double e : v) result.push_back(T(e));
  return result;
}

template <class T>
struct Result {
  std::vector<T> out, saved, cells, h_n, c_n, dgates, dgates_hh, dw, db, dh0, dc0;
  bool operator==(const Result& o) const {
    const auto same = [](const std::vector<T>& a, const std::vector<T>& b) {
      return !std::memcmp(a.data(), b.data(), a.size() * sizeof(T));
    };
    return same(out, o.out) && same(h_n, o.h_n) && same(c_n, o.c_n) && same(dgates, o.dgates) &&
           same(dw, o.dw) && same(db, o.db) && same(dh0, o.dh0) && same(dc0, o.dc0);
  }
};

template <class T>
Result<T> run(Isa isa, const Case& c, const Inputs& in) {
  const auto x = cast<T>(in.x), w_ih = cast<T>(in.w_ih), b_ih = cast<T>(in.b_ih), w = cast<T>(in.w),
             bias = cast<T>(in.bias), h0 = cast<T>(in.h0), c0 = cast<T>(in.c0),
             dh_n = cast<T>(in.dh_n), dc_n = cast<T>(in.dc_n);
  const int64_t rows = c.steps * c.batch, g = c.gates() * c.hidden, state = c.batch * c.hidden;
  const bool lstm = c.kind == CellKind::Lstm, gru = c.kind == CellKind::Gru;
  std::vector<T> dout(rows * c.stride(), T(99));
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < c.hidden; ++j) dout[i * c.stride() + j] = T(in.dout[i * c.hidden + j]);
  Result<T> r;
  r.out.assign(rows * c.stride(), T(-5));
  r.saved.resize(lstm || gru ? rows * 4 * c.hidden : 0);
  r.cells.resize(lstm ? rows * c.hidden : 0);
  for (auto* v : {&r.h_n, &r.c_n, &r.dh0, &r.dc0}) v->resize(state);
  r.dgates.resize(rows * g);
  r.dgates_hh.resize(gru ? rows * g : 0);
  r.dw.assign(g * c.hidden, T(7));
  r.db.assign(g, T(7));
  const DType dtype = dtype_of<T>::value;
  const Recurrent forward{c.kind,
                          dtype,
                          c.reverse,
                          c.steps,
                          c.batch,
                          c.inputs,
                          c.hidden,
                          x.data(),
                          w_ih.data(),
                          c.bias ? b_ih.data() : nullptr,
                          w.data(),
                          c.bias ? bias.data() : nullptr,
                          h0.data(),
                          lstm ? c0.data() : nullptr,
                          r.out.data(),
                          c.stride(),
                          lstm || gru ? r.saved.data() : nullptr,
                          lstm ? r.cells.data() : nullptr,
                          r.h_n.data(),
                          lstm ? r.c_n.data() : nullptr};
  table(isa).recurrent(forward);
  // Without the values for a gradient: the same states.
  const std::vector<T> out = r.out, h_n = r.h_n;
  Recurrent inference = forward;
  inference.saved = inference.cells = nullptr;
  table(isa).recurrent(inference);
  const auto same_bits = [](const std::vector<T>& a, const std::vector<T>& b) {
    return a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
  };
  EXPECT_TRUE(same_bits(out, r.out));
  EXPECT_TRUE(same_bits(h_n, r.h_n));
  table(isa).recurrent_grad({c.kind,
                             dtype,
                             c.reverse,
                             c.steps,
                             c.batch,
                             c.hidden,
                             w.data(),
                             h0.data(),
                             lstm ? c0.data() : nullptr,
                             r.out.data(),
                             c.stride(),
                             r.saved.data(),
                             r.cells.data(),
                             dout.data(),
                             c.stride(),
                             c.with_dn ? dh_n.data() : nullptr,
                             c.with_dn && lstm ? dc_n.data() : nullptr,
                             r.dgates.data(),
                             gru ? r.dgates_hh.data() : nullptr,
                             r.dw.data(),
                             r.db.data(),
                             r.dh0.data(),
                             lstm ? r.dc0.data() : nullptr});
  return r;
}

template <class T>
void expect_near(const char* what, const std::vector<T>& got, const Values& want,
                 double tolerance) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t i = 0; i < want.size(); ++i)
    ASSERT_NEAR(double(got[i]), want[i], tolerance * (1 + std::fabs(want[i])))
        << what << " at " << i;
}

// dgates W_ih
Values input_gradient(const Case& c, const Inputs& in, const Values& dgates) {
  const int64_t g = c.gates() * c.hidden;
  Values dx(c.steps * c.batch * c.inputs);
  for (int64_t i = 0; i < c.steps * c.batch; ++i)
    for (int64_t j = 0; j < g; ++j)
      for (int64_t k = 0; k < c.inputs; ++k)
        dx[i * c.inputs + k] += dgates[i * g + j] * in.w_ih[j * c.inputs + k];
  return dx;
}

Values finite_differences(const Case& c, Inputs in, Values Inputs::* member) {
  Values& v = in.*member;
  Values grad(v.size());
  const double step = 1e-5;
  for (size_t i = 0; i < v.size(); ++i) {
    const double old = v[i];
    v[i] = old + step;
    const double above = plain_loss(c, in);
    v[i] = old - step;
    grad[i] = (above - plain_loss(c, in)) / (2 * step);
    v[i] = old;
  }
  return grad;
}

constexpr CellKind kKinds[] = {CellKind::Lstm, CellKind::Gru, CellKind::RnnTanh, CellKind::RnnRelu};

template <class T>
Values inner(const std::vector<T>& v, const Case& c) {  // out without its other half
  Values result;
  for (int64_t i = 0; i < c.steps * c.batch; ++i)
    for (int64_t j = 0; j < c.hidden; ++j) result.push_back(double(v[i * c.stride() + j]));
  return result;
}

TEST(Recurrent, ForwardAgainstPlainLoops) {
  for (Isa isa : isas())
    for (CellKind kind : kKinds)
      for (const auto& [hidden, inputs] : {std::pair<int64_t, int64_t>{1, 1},
                                           {3, 40},
                                           {7, 1},
                                           {15, 16},
                                           {17, 3},
                                           {31, 65},
                                           {33, 33},
                                           {65, 31}})
        for (int64_t batch : {1, 5, 7, 8, 9, 15, 16, 17, 35}) {
          const Case c{kind, hidden % 4 == 1, batch != 5, batch > 5, true,
                       4,    batch,           hidden,     inputs};
          SCOPED_TRACE(testing::Message() << name_of(isa) << " kind " << int(kind) << " H "
                                          << hidden << " I " << inputs << " B " << batch);
          const Inputs in(c);
          const Outputs want = plain_forward(c, in);
          const auto f = run<float>(isa, c, in);
          const auto d = run<double>(isa, c, in);
          expect_near("out", inner(f.out, c), want.out, 2e-5);
          expect_near("out, double", inner(d.out, c), want.out, 1e-12);
          expect_near("h_n", d.h_n, want.h, 1e-12);
          if (kind == CellKind::Lstm) expect_near("c_n", d.c_n, want.c, 1e-12);
          for (int64_t i = 0; i < c.steps * c.batch;
               ++i)  // the other direction's half is left alone
            for (int64_t j = hidden; j < c.stride(); ++j)
              ASSERT_EQ(f.out[i * c.stride() + j], -5.0f);
          for (auto [single, twice] :
               {std::pair{&f.dgates, &d.dgates}, {&f.dw, &d.dw}, {&f.db, &d.db}, {&f.dh0, &d.dh0}})
            expect_near("gradient", *single, Values(twice->begin(), twice->end()), 5e-4);
        }
}

TEST(Recurrent, GradientsAgainstFiniteDifferences) {
  for (CellKind kind : kKinds)
    for (const auto& [steps, batch, hidden] :
         {std::tuple<int64_t, int64_t, int64_t>{5, 3, 9}, {1, 2, 4}, {3, 18, 5}})
      for (int variant = 0; variant < 4; ++variant) {
        // As many inputs as gates: every gate's gradient is seen in that of x.
        const Case c{kind,  variant % 2 == 1, variant < 3, variant < 2, variant != 2, steps,
                     batch, hidden,           4 * hidden};
        const Inputs in(c);
        const Values dx = finite_differences(c, in, &Inputs::x),
                     dw = finite_differences(c, in, &Inputs::w),
                     db = finite_differences(c, in, &Inputs::bias),
                     dh0 = finite_differences(c, in, &Inputs::h0),
                     dc0 = finite_differences(c, in, &Inputs::c0);
        const double tolerance = kind == CellKind::RnnRelu ? 1e-5 : 1e-7;
        for (Isa isa : isas()) {
          SCOPED_TRACE(testing::Message() << name_of(isa) << " kind " << int(kind) << " T " << steps
                                          << " B " << batch << " variant " << variant);
          const auto r = run<double>(isa, c, in);
          expect_near("dx", input_gradient(c, in, r.dgates), dx, tolerance);
          expect_near("dw", r.dw, dw, tolerance);
          if (c.bias) expect_near("db", r.db, db, tolerance);
          expect_near("dh0", r.dh0, dh0, tolerance);
          if (kind == CellKind::Lstm) expect_near("dc0", r.dc0, dc0, tolerance);
        }
      }
}

TEST(Recurrent, NarrowFloats) {
  for (Isa isa : isas())
    for (CellKind kind : kKinds) {
      const Case c{kind, true, true, false, true, 3, 17, 9, 20};
      const Inputs in(c);
      const Outputs want = plain_forward(c, in);
      const auto d = run<double>(isa, c, in);
      const auto h = run<Half>(isa, c, in);
      const auto b = run<BFloat16>(isa, c, in);
      expect_near("half", inner(h.out, c), want.out, 5e-3);
      expect_near("bfloat16", inner(b.out, c), want.out, 4e-2);
      expect_near("half dw", h.dw, Values(d.dw.begin(), d.dw.end()), 5e-2);
      expect_near("half dgates", h.dgates, d.dgates, 5e-2);
    }
}

TEST(Recurrent, NothingToDo) {
  for (Isa isa : isas())
    for (CellKind kind : kKinds) {
      const Case empty_time{kind, false, true, true, true, 0, 2, 3, 5};
      const Inputs in(empty_time);
      const auto r = run<double>(isa, empty_time, in);
      EXPECT_EQ(r.h_n, in.h0);
      EXPECT_EQ(r.dh0, in.dh_n);
      EXPECT_EQ(r.dw, Values(r.dw.size(), 0.0));
      EXPECT_EQ(r.db, Values(r.db.size(), 0.0));
      const Case empty_batch{kind, false, true, true, true, 4, 0, 3, 5};
      const auto e = run<double>(isa, empty_batch, Inputs(empty_batch));
      EXPECT_EQ(e.dw, Values(e.dw.size(), 0.0));
    }
}

// Depths of several pieces, and blocks of unlike rows.
TEST(Recurrent, LargeWeights) {
  for (Isa isa : isas())
    for (CellKind kind : {CellKind::Lstm, CellKind::Gru})
      for (int64_t batch : {33, 65}) {
        const Case c{kind, true, true, true, true, 2, batch, 201, 530};
        const Inputs in(c);
        const Outputs want = plain_forward(c, in);
        expect_near("out", inner(run<float>(isa, c, in).out, c), want.out, 2e-5);
        expect_near("out, double", inner(run<double>(isa, c, in).out, c), want.out, 1e-12);
      }
}

TEST(Recurrent, NoInputs) {
  for (Isa isa : isas())
    for (CellKind kind : kKinds)
      for (int64_t batch : {2, 17}) {
        const Case c{kind, false, true, true, true, 3, batch, 5, 0};
        const Inputs in(c);
        expect_near("out", inner(run<double>(isa, c, in).out, c), plain_forward(c, in).out, 1e-12);
      }
}

TEST(Recurrent, SameBitsForAnyThreads) {
  const int threads = num_threads();
  for (Isa isa : isas())
    for (CellKind kind : kKinds)
      for (const auto& [batch, inputs] :
           {std::pair<int64_t, int64_t>{7, 100}, {13, 100}, {50, 20}, {50, 600}}) {
        const Case c{kind, false, true, true, true, 6, batch, 193, inputs};
        const Inputs in(c);
        set_num_threads(1);
        const auto one = run<float>(isa, c, in);
        set_num_threads(2);
        EXPECT_TRUE(one == run<float>(isa, c, in));
        set_num_threads(3);
        EXPECT_TRUE(one == run<float>(isa, c, in));
      }
  set_num_threads(threads);
}

}  // namespace
}  // namespace gs::cpu
