// Elementwise kernels on every instruction set, against scalar double arithmetic.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "core/parallel.h"
#include "kernel_test.h"
#include "kernels/functors.h"
#include "kernels/params/binary.h"
#include "kernels/params/unary.h"

namespace gs {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

template <class F>
void each_unary(F f) {
#define GS_CASE(name) f(UnaryOp::name, functors::name{}, #name);
  GS_FLOATING_UNARY(GS_CASE)
#undef GS_CASE
}

struct Parameters {
  double a, b;
};
Parameters parameters_of(UnaryOp op) {
  switch (op) {
    case UnaryOp::LeakyRelu:
      return {0.1, 0};
    case UnaryOp::Elu:
      return {1.5, 0};
    case UnaryOp::Softplus:
      return {1, 20};
    case UnaryOp::Clamp:
    case UnaryOp::Hardtanh:
      return {-1.5, 2.5};
    default:
      return {0, 0};
  }
}

double spacing(double v) {  // of float32 around v
  const float f = std::fabs(static_cast<float>(v));
  if (!(f >= std::numeric_limits<float>::min())) return 0x1p-149;
  if (std::isinf(f)) return 0x1p104;
  return static_cast<double>(std::nextafter(f, std::numeric_limits<float>::infinity())) -
         static_cast<double>(f);
}

// Functions that subtract near-equal terms are judged beside the size of those terms.
double tolerance(UnaryOp op, double x, double expected) {
  switch (op) {
    case UnaryOp::Gelu:
    case UnaryOp::GeluTanh:
      return 3 * spacing(x);
    case UnaryOp::Softplus:
    case UnaryOp::LogSigmoid:
    case UnaryOp::Tan:
      return 4 * spacing(expected);
    case UnaryOp::Silu:
      return 5 * spacing(expected) + std::fabs(x) * 0x1p-149;
    default:
      return 3 * spacing(expected);
  }
}

// ---------------------------------------------------------------- unary

TEST(Unary, Float32IsWithinAFewUlpOfDoubleEverywhere) {
  std::vector<float> x;
  for (uint64_t bits = 0; bits < (1ull << 32); bits += 60013) {
    const uint32_t word = static_cast<uint32_t>(bits);
    float v;
    std::memcpy(&v, &word, 4);
    x.push_back(v);
  }
  for (float v = -12; v < 12; v += 1.0f / 1024) x.push_back(v);
  for (float v : {0.0f, -0.0f, 1.0f, -1.0f, 88.7f, 88.8f, -87.4f, -103.9f, -104.1f, 0x1p-126f,
                  0x1p-149f, 1e5f})
    x.push_back(v);
  const float inf = static_cast<float>(kInf);
  x.insert(x.end(), {inf, -inf, static_cast<float>(kNan)});
  on_every_isa([&](const KernelTable& table) {
    each_unary([&](UnaryOp op, auto functor, const char* name) {
      const Parameters c = parameters_of(op);
      std::vector<float> y(x.size());
      table.unary({op, dense_loop(DType::Float32, x.size(), {y.data(), x.data()}), c.a, c.b});
      double worst = 0;
      float where = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        const double expected = functor.template value<ScalarMath<double>>(
            static_cast<double>(x[i]), static_cast<double>(static_cast<float>(c.a)),
            static_cast<double>(static_cast<float>(c.b)));
        if (std::isnan(expected)) {
          ASSERT_TRUE(std::isnan(y[i])) << name << "(" << x[i] << ") = " << y[i];
          continue;
        }
        const float rounded = static_cast<float>(expected);
        if (y[i] == rounded) {
          const bool zero = rounded == 0 && x[i] == 0;
          ASSERT_TRUE(!zero || std::signbit(y[i]) == std::signbit(rounded)) << name << x[i];
          continue;
        }
        if ((op == UnaryOp::GeluTanh || op == UnaryOp::Square) && std::fabs(x[i]) > 1e12f)
          continue;  // x^3
        const double error =
            std::fabs(static_cast<double>(y[i]) - expected) / tolerance(op, x[i], expected);
        if (!(error <= worst)) {
          worst = error;
          where = x[i];
        }
      }
      EXPECT_LE(worst, 1) << name << "(" << where << ")";
    });
  });
}

template <class T>
void check_sizes(DType dtype, double relative) {
  on_every_isa([&](const KernelTable& table) {
    for (int64_t n : {0, 1, 3, 7, 15, 17, 31, 33, 65, 700}) {
      const auto base = random_values<T>(n + 1, -3, 3);
      each_unary([&](UnaryOp op, auto functor, const char* name) {
        const Parameters c = parameters_of(op);
        std::vector<T> y(n + 2, T(77.0f));
        const T* x = base.data() + 1;  // not aligned to a vector
        table.unary({op, dense_loop(dtype, n, {y.data() + 1, x}), c.a, c.b});
        for (int64_t i = 0; i < n; ++i) {
          const double expected =
              functor.template value<ScalarMath<double>>(static_cast<double>(x[i]), c.a, c.b);
          if (std::isnan(expected)) continue;
          ASSERT_NEAR(static_cast<double>(y[i + 1]), expected, relative * (1 + std::fabs(expected)))
              << name << n;
        }
        ASSERT_EQ(static_cast<float>(y[0]), 77.0f);
        ASSERT_EQ(static_cast<float>(y[n + 1]), 77.0f);
      });
    }
  });
}

TEST(Unary, OddSizesAndMisalignedPointers) {
  check_sizes<float>(DType::Float32, 2e-6);
  check_sizes<double>(DType::Float64, 1e-13);
  check_sizes<Half>(DType::Float16, 6e-4);
  check_sizes<BFloat16>(DType::BFloat16, 5e-3);
}

TEST(Unary, DerivativesAgreeWithFiniteDifferences) {
  const auto x = random_values<double>(257, 0.05, 2.3), g = random_values<double>(257, -2, 2, 2);
  const std::vector<float> xf(x.begin(), x.end()), gf(g.begin(), g.end());
  const int64_t n = static_cast<int64_t>(x.size());
  on_every_isa([&](const KernelTable& table) {
    each_unary([&](UnaryOp op, auto functor, const char* name) {
      const Parameters c = parameters_of(op);
      std::vector<double> y(n), dx(n);
      table.unary({op, dense_loop(DType::Float64, n, {y.data(), x.data()}), c.a, c.b});
      const auto& saved = uses_output(op) ? y : x;
      table.unary_grad(
          {op, dense_loop(DType::Float64, n, {dx.data(), g.data(), saved.data()}), c.a, c.b});
      const std::vector<float> saved_float(saved.begin(), saved.end());
      std::vector<float> dx_float(n);
      table.unary_grad(
          {op, dense_loop(DType::Float32, n, {dx_float.data(), gf.data(), saved_float.data()}), c.a,
           c.b});
      const auto f = [&](double v) {
        return functor.template value<ScalarMath<double>>(v, c.a, c.b);
      };
      for (int64_t i = 0; i < n; ++i) {
        const double h = 1e-6, slope = (f(x[i] + h) - f(x[i] - h)) / (2 * h);
        if (std::fabs(slope) > 1e4) continue;  // a jump of a step function
        ASSERT_NEAR(dx[i], g[i] * slope, 1e-6 * (1 + std::fabs(slope))) << name << " at " << x[i];
        ASSERT_NEAR(dx_float[i], dx[i], 2e-5 * (1 + std::fabs(slope))) << name << " at " << x[i];
      }
    });
  });
}

TEST(Unary, Integers) {
  const std::vector<int32_t> x = {INT32_MIN, -7, -1, 0, 1, 6, INT32_MAX};
  on_every_isa([&](const KernelTable& table) {
    const auto run = [&](UnaryOp op, double a = 0, double b = 0) {
      std::vector<int32_t> y(x.size());
      table.unary({op, dense_loop(DType::Int32, x.size(), {y.data(), x.data()}), a, b});
      return y;
    };
    EXPECT_EQ(run(UnaryOp::Neg), (std::vector<int32_t>{INT32_MIN, 7, 1, 0, -1, -6, -INT32_MAX}));
    EXPECT_EQ(run(UnaryOp::Abs), (std::vector<int32_t>{INT32_MIN, 7, 1, 0, 1, 6, INT32_MAX}));
    EXPECT_EQ(run(UnaryOp::Sign), (std::vector<int32_t>{-1, -1, -1, 0, 1, 1, 1}));
    EXPECT_EQ(run(UnaryOp::Relu), (std::vector<int32_t>{0, 0, 0, 0, 1, 6, INT32_MAX}));
    EXPECT_EQ(run(UnaryOp::BitNot), (std::vector<int32_t>{INT32_MAX, 6, 0, -1, -2, -7, INT32_MIN}));
    EXPECT_EQ(run(UnaryOp::Clamp, -3, 4), (std::vector<int32_t>{-3, -3, -1, 0, 1, 4, 4}));
    EXPECT_EQ(run(UnaryOp::Clamp, -kInf, 4), (std::vector<int32_t>{INT32_MIN, -7, -1, 0, 1, 4, 4}));
    EXPECT_EQ(run(UnaryOp::Floor), x);
    const bool in[3] = {true, false, true};
    bool out[3];
    table.unary({UnaryOp::BitNot, dense_loop(DType::Bool, 3, {out, in}), 0, 0});
    EXPECT_TRUE(!out[0] && out[1] && !out[2]);
  });
}

// ---------------------------------------------------------------- binary

TEST(Binary, FloatingDivisionFollowsPython) {
  const double values[] = {5.5, -5.5, 2, -2, 0.3, 0, -0.0, kInf, -kInf, kNan, 1e6, -7};
  std::vector<double> a, b;
  for (double v : values)
    for (double w : values) {
      a.push_back(v);
      b.push_back(w);
    }
  const int64_t n = static_cast<int64_t>(a.size());
  on_every_isa([&](const KernelTable& table) {
    std::vector<double> quotient(n), rest(n), high(n), low(n);
    table.binary(
        {BinaryOp::FloorDiv, dense_loop(DType::Float64, n, {quotient.data(), a.data(), b.data()})});
    table.binary(
        {BinaryOp::Remainder, dense_loop(DType::Float64, n, {rest.data(), a.data(), b.data()})});
    table.binary(
        {BinaryOp::Maximum, dense_loop(DType::Float64, n, {high.data(), a.data(), b.data()})});
    table.binary(
        {BinaryOp::Minimum, dense_loop(DType::Float64, n, {low.data(), a.data(), b.data()})});
    for (int64_t i = 0; i < n; ++i) {
      if (std::isnan(a[i]) || std::isnan(b[i])) {
        EXPECT_TRUE(std::isnan(high[i]) && std::isnan(low[i]) && std::isnan(rest[i]) &&
                    std::isnan(quotient[i]));
        continue;
      }
      EXPECT_EQ(high[i], std::max(a[i], b[i]));
      EXPECT_EQ(low[i], std::min(a[i], b[i]));
      if (b[i] == 0) {
        EXPECT_TRUE(std::isnan(rest[i]));
        EXPECT_TRUE(a[i] == 0 ? std::isnan(quotient[i]) : std::isinf(quotient[i]));
      } else if (std::isfinite(a[i]) && std::isfinite(b[i])) {
        EXPECT_TRUE(rest[i] == 0 || std::signbit(rest[i]) == std::signbit(b[i]))
            << a[i] << " % " << b[i];
        EXPECT_LT(std::fabs(rest[i]), std::fabs(b[i]));
        EXPECT_EQ(quotient[i], std::floor(quotient[i]));
        EXPECT_NEAR(quotient[i] * b[i] + rest[i], a[i], 1e-9 * (1 + std::fabs(a[i])));
      }
    }
  });
}

template <class T>
void check_integers(DType dtype) {
  const int64_t low = std::numeric_limits<T>::min(), high = std::numeric_limits<T>::max();
  std::vector<T> a, b;
  for (int64_t v : {low, low + 1, int64_t(-7), int64_t(-1), int64_t(0), int64_t(1), int64_t(3),
                    int64_t(7), high})
    for (int64_t w : {low, int64_t(-3), int64_t(-1), int64_t(0), int64_t(1), int64_t(2), int64_t(5),
                      int64_t(8), high}) {
      a.push_back(static_cast<T>(v));
      b.push_back(static_cast<T>(w));
    }
  const int64_t n = static_cast<int64_t>(a.size()), bits = 8 * sizeof(T);
  on_every_isa([&](const KernelTable& table) {
    const auto run = [&](BinaryOp op, auto expected) {
      std::vector<T> y(n);
      table.binary({op, dense_loop(dtype, n, {y.data(), a.data(), b.data()})});
      for (int64_t i = 0; i < n; ++i)
        EXPECT_EQ(y[i], static_cast<T>(expected(__int128(a[i]), __int128(b[i]))))
            << int(op) << " " << +a[i] << " " << +b[i];
    };
    using Wide = __int128;
    run(BinaryOp::Add, [](Wide v, Wide w) { return v + w; });
    run(BinaryOp::Sub, [](Wide v, Wide w) { return v - w; });
    run(BinaryOp::Mul, [](Wide v, Wide w) { return v * w; });
    run(BinaryOp::Div, [](Wide v, Wide w) { return w == 0 ? 0 : v / w; });
    run(BinaryOp::Fmod, [](Wide v, Wide w) { return w == 0 ? 0 : v % w; });
    run(BinaryOp::FloorDiv, [](Wide v, Wide w) {
      return w == 0 ? Wide(0) : v / w - (v % w != 0 && (v % w < 0) != (w < 0));
    });
    run(BinaryOp::Remainder, [](Wide v, Wide w) {
      const Wide r = w == 0 ? Wide(0) : v % w;
      return r != 0 && (r < 0) != (w < 0) ? r + w : r;
    });
    run(BinaryOp::Maximum, [](Wide v, Wide w) { return v > w ? v : w; });
    run(BinaryOp::Minimum, [](Wide v, Wide w) { return v < w ? v : w; });
    run(BinaryOp::And, [](Wide v, Wide w) { return v & w; });
    run(BinaryOp::Or, [](Wide v, Wide w) { return v | w; });
    run(BinaryOp::Xor, [](Wide v, Wide w) { return v ^ w; });
    run(BinaryOp::ShiftLeft, [&](Wide v, Wide w) {
      return w < 0 || w >= bits ? Wide(0)
                                : static_cast<Wide>(static_cast<unsigned __int128>(v) << int(w));
    });
    run(BinaryOp::ShiftRight,
        [&](Wide v, Wide w) { return w < 0 || w >= bits ? Wide(v < 0 ? -1 : 0) : v >> int(w); });
  });
}

TEST(Binary, Integers) {
  check_integers<uint8_t>(DType::UInt8);
  check_integers<int8_t>(DType::Int8);
  check_integers<int16_t>(DType::Int16);
  check_integers<int32_t>(DType::Int32);
  check_integers<int64_t>(DType::Int64);
}

TEST(Binary, IntegerAndFloatingPowers) {
  const int32_t a[4] = {3, -2, 10, 0}, b[4] = {4, 5, 9, 0};
  const std::vector<float> x = {-2, 0.5f, 9, 4, 0};
  on_every_isa([&](const KernelTable& table) {
    int32_t y[4];
    table.binary({BinaryOp::Pow, dense_loop(DType::Int32, 4, {y, a, b})});
    EXPECT_EQ(y[0], 81);
    EXPECT_EQ(y[1], -32);
    EXPECT_EQ(y[2], 1000000000);
    EXPECT_EQ(y[3], 1);
    for (float exponent : {2.0f, 0.5f, -1.0f, -0.5f, 3.0f, 2.5f}) {
      std::vector<float> z(x.size());
      Loop loop = dense_loop(DType::Float32, x.size(), {z.data(), x.data(), &exponent});
      loop.operands[2].strides[0] = 0;
      table.binary({BinaryOp::Pow, loop});
      for (size_t i = 0; i < x.size(); ++i) {
        const float expected = std::pow(x[i], exponent);
        if (std::isnan(expected))
          EXPECT_TRUE(std::isnan(z[i]));
        else
          EXPECT_FLOAT_EQ(z[i], expected);
      }
    }
  });
}

// y = op(a, b) with every mixture of layouts, against plain indexing.
struct Layout {
  const char* name;
  std::vector<int64_t> strides;  // elements
};

template <class T>
void check_layouts(DType dtype) {
  const std::vector<std::vector<int64_t>> shapes = {
      {5, 3, 2}, {4, 7, 130}, {3, 1, 65}, {2, 600, 3}, {37, 41, 1}, {2, 3, 1100}, {1, 2, 2500}};
  for (const auto& s : shapes) {
    const int64_t p = s[0], q = s[1], r = s[2], numel = p * q * r;
    const std::vector<Layout> layouts = {{"dense", {q * r, r, 1}},
                                         {"last two swapped", {q * r, 1, q}},
                                         {"reversed order", {1, p, p * q}},
                                         {"every other", {2 * q * r, 2 * r, 2}},
                                         {"one row", {0, 0, 1}},
                                         {"one column", {0, 1, 0}},
                                         {"scalar", {0, 0, 0}}};
    const auto a = random_values<T>(2 * numel, -4, 4, 3), b = random_values<T>(2 * numel, -4, 4, 4);
    on_every_isa([&](const KernelTable& table) {
      for (size_t ly = 0; ly < 4; ++ly)
        for (const Layout& la : layouts)
          for (const Layout& lb : layouts) {
            SCOPED_TRACE(std::string(layouts[ly].name) + " = " + la.name + " - " + lb.name);
            std::vector<T> y(2 * numel, T(0.0f));
            Loop loop = dense_loop(dtype, numel, {y.data(), a.data(), b.data()});
            loop.ndim = 3;
            const Layout* used[3] = {&layouts[ly], &la, &lb};
            for (int d = 0; d < 3; ++d) {
              loop.shape[d] = s[d];
              for (int k = 0; k < 3; ++k)
                loop.operands[k].strides[d] = used[k]->strides[d] * size_of(dtype);
            }
            table.binary({BinaryOp::Sub, loop});
            const auto at = [](const Layout& l, int64_t i, int64_t j, int64_t k) {
              return i * l.strides[0] + j * l.strides[1] + k * l.strides[2];
            };
            for (int64_t i = 0; i < p; ++i)
              for (int64_t j = 0; j < q; ++j)
                for (int64_t k = 0; k < r; ++k) {
                  using C = compute_t<T>;
                  const T expected = static_cast<T>(static_cast<C>(
                      static_cast<C>(a[at(la, i, j, k)]) - static_cast<C>(b[at(lb, i, j, k)])));
                  ASSERT_EQ(static_cast<double>(y[at(layouts[ly], i, j, k)]),
                            static_cast<double>(expected));
                }
          }
    });
  }
}

TEST(Binary, EveryLayout) {
  check_layouts<float>(DType::Float32);
  check_layouts<double>(DType::Float64);
  check_layouts<Half>(DType::Float16);
  check_layouts<BFloat16>(DType::BFloat16);
  check_layouts<int32_t>(DType::Int32);
  check_layouts<int8_t>(DType::Int8);
}

TEST(Binary, InPlace) {
  on_every_isa([&](const KernelTable& table) {
    for (int64_t n : {1, 17, 700, 40000}) {
      auto a = random_values<float>(n, -1, 1);
      const auto before = a, b = random_values<float>(n, -1, 1, 5);
      table.binary({BinaryOp::Mul, dense_loop(DType::Float32, n, {a.data(), a.data(), b.data()})});
      for (int64_t i = 0; i < n; ++i) ASSERT_EQ(a[i], before[i] * b[i]);
    }
  });
}

// ---------------------------------------------------------------- determinism

TEST(Elementwise, SameBitsForAnyNumberOfThreads) {
  const int64_t n = 300007;
  const auto x = random_values<float>(n, -5, 5);
  on_every_isa([&](const KernelTable& table) {
    std::vector<float> first;
    for (int threads : {1, 2, 3}) {
      set_num_threads(threads);
      std::vector<float> y(n);
      table.unary({UnaryOp::Gelu, dense_loop(DType::Float32, n, {y.data(), x.data()})});
      if (first.empty()) first = y;
      ASSERT_EQ(0, std::memcmp(first.data(), y.data(), n * sizeof(float)));
    }
    set_num_threads(available_cpus());
    // Nor does it matter where an element stands: vector or tail.
    std::vector<float> y(n);
    for (int64_t from : {0, 1, 5}) {
      table.unary({UnaryOp::Gelu, dense_loop(DType::Float32, 77, {y.data(), x.data() + from})});
      ASSERT_EQ(0, std::memcmp(first.data() + from, y.data(), 77 * sizeof(float)));
    }
  });
}

}  // namespace
}  // namespace gs
