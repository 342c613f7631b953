// The error of the elementary functions, in units in the last place, on every instruction set:
// float32 against double, float64 against long double, over bit patterns a stride apart and dense
// values around 0. docs/ACCURACY.md publishes the figures, which
//
//   GRADSTONE_ACCURACY=101 build/cpp/gradstone_tests --gtest_filter='Vmath.*'
//
// prints (the number is the stride over the float32 patterns).
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "kernel_test.h"
#include "kernels/functors.h"
#include "kernels/params/unary.h"

namespace gs {
namespace {

// Largest errors allowed. `of_input`: in ulp of x, for functions that are x times a factor whose
// digits the result loses.
struct Bound {
  const char* name;
  double float32, float64;
  bool of_input;
};
constexpr Bound kBounds[] = {
    {"Sqrt", 0.5, 0.5, false}, {"Rsqrt", 1.5, 1.5, false},    {"Exp", 1.5, 1.5, false},
    {"Expm1", 2, 2, false},    {"Log", 1.5, 1.5, false},      {"Log1p", 1.5, 1.5, false},
    {"Log2", 2, 1, false},     {"Sin", 3, 1, false},          {"Cos", 3, 1, false},
    {"Tan", 1.5, 1, false},    {"Atan", 1, 1, false},         {"Sinh", 3, 2.5, false},
    {"Cosh", 3, 2, false},     {"Tanh", 3, 3, false},         {"Sigmoid", 3, 3, false},
    {"Erf", 2, 1.5, false},    {"Gelu", 2.5, 2, true},        {"GeluTanh", 2.5, 2.5, true},
    {"Silu", 2.5, 2.5, true},  {"Softplus", 2.5, 2.5, false}, {"LogSigmoid", 2.5, 2.5, false},
};

struct Parameters {
  double a = 0, b = 0;
};
Parameters parameters_of(UnaryOp op) {
  return op == UnaryOp::Softplus ? Parameters{1, 20} : Parameters{};
}

template <class T, class Wide>
Wide spacing(Wide v) {
  using Limits = std::numeric_limits<T>;
  const T size = static_cast<T>(std::fabs(v));
  if (!(size >= Limits::min())) return Limits::denorm_min();
  if (std::isinf(size)) return std::ldexp(Wide(1), Limits::max_exponent - Limits::digits);
  return static_cast<Wide>(std::nextafter(size, Limits::infinity())) - static_cast<Wide>(size);
}

// |y - exact| in ulp. Infinity counts as the power of two behind the largest number.
template <class T, class Wide>
double error_of(T y, Wide exact, Wide unit) {
  const T rounded = static_cast<T>(exact);
  if (y == rounded) return std::isinf(y) ? 0 : static_cast<double>(std::fabs(y - exact) / unit);
  if (std::isnan(y) || std::isnan(rounded)) return std::isnan(y) && std::isnan(rounded) ? 0 : 1e30;
  const Wide end = std::ldexp(Wide(1), std::numeric_limits<T>::max_exponent);
  const auto finite = [end](Wide v) { return v > end ? end : v < -end ? -end : v; };
  return static_cast<double>(std::fabs(finite(y) - finite(exact)) / unit);
}

struct Worst {
  double error = 0, at = 0;
};

template <class T, class Wide, class Functor>
void measure(UnaryOp op, const Bound& bound, const std::vector<T>& x, Worst* worst) {
  const Parameters c = parameters_of(op);
  const int64_t n = static_cast<int64_t>(x.size());
  std::vector<Wide> exact(n);
  for (int64_t i = 0; i < n; ++i)
    exact[i] =
        Functor::template value<ScalarMath<Wide>>(static_cast<Wide>(x[i]), Wide(c.a), Wide(c.b));
  std::vector<T> y(n);
  for (Isa isa : isas()) {
    Unary p{op, {}, c.a, c.b};
    p.loop.count = 2;
    p.loop.ndim = 1;
    p.loop.numel = p.loop.shape[0] = n;
    T* data[2] = {y.data(), const_cast<T*>(x.data())};
    for (int k = 0; k < 2; ++k) {
      p.loop.operands[k].data = reinterpret_cast<char*>(data[k]);
      p.loop.operands[k].dtype = dtype_of<T>::value;
      p.loop.operands[k].strides[0] = sizeof(T);
    }
    cpu::table(isa).unary(p);
    Worst& w = worst[static_cast<int>(isa)];
    for (int64_t i = 0; i < n; ++i) {
      const Wide unit = spacing<T, Wide>(bound.of_input ? static_cast<Wide>(x[i]) : exact[i]);
      const double error = error_of(y[i], exact[i], unit);
      if (error > w.error) w = {error, static_cast<double>(x[i])};
    }
  }
}

// f(block of values): every stride-th float32 pattern, then steps of 2^-12 around 0.
template <class F>
void each_float(uint64_t stride, F f) {
  std::vector<float> block;
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += stride) {
    const uint32_t word = static_cast<uint32_t>(bits);
    float v;
    std::memcpy(&v, &word, sizeof v);
    block.push_back(v);
    if (block.size() == 1 << 20) {
      f(block);
      block.clear();
    }
  }
  for (float v = -20; v < 20; v += 0x1p-12f) block.push_back(v);
  f(block);
}
template <class F>
void each_double(bool published, F f) {  // long double is slow
  std::vector<double> block;
  const uint64_t count = published ? 100003 : 10007, stride = ~uint64_t{0} / count;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t word = i * stride;
    double v;
    std::memcpy(&v, &word, sizeof v);
    block.push_back(v);
  }
  for (double v = -20; v < 20; v += published ? 0.000123456789 : 0.00123456789) block.push_back(v);
  f(block);
}

const Bound* bound_of(const char* name) {
  for (const Bound& b : kBounds)
    if (std::strcmp(b.name, name) == 0) return &b;
  return nullptr;
}

struct Report {
  explicit Report(const char* type) : printed(std::getenv("GRADSTONE_ACCURACY") != nullptr) {
    if (printed) std::printf("| %s | baseline | AVX2 | AVX-512 | bound | worst at |\n", type);
  }
  void row(const Bound& bound, const Worst* worst, double allowed) const {
    if (!printed) return;
    const Worst* last = worst;
    for (int k = 0; k < 3; ++k)
      if (worst[k].error > last->error) last = worst + k;
    std::printf("| %s%s | %.2f | %.2f | %.2f | %g | %.9g |\n", bound.name,
                bound.of_input ? " (ulp of x)" : "", worst[0].error, worst[1].error, worst[2].error,
                allowed, last->at);
  }
  bool printed;
};

TEST(Vmath, Float32ErrorsAreWithinThePublishedBounds) {
  const char* asked = std::getenv("GRADSTONE_ACCURACY");
  const uint64_t stride = asked ? std::strtoull(asked, nullptr, 10) : 20011;
  const Report report("float32");
  const auto check = [&](UnaryOp op, auto functor, const char* name) {
    const Bound* bound = bound_of(name);
    if (!bound) return;
    Worst worst[3];
    each_float(stride ? stride : 1, [&](const std::vector<float>& x) {
      measure<float, double, decltype(functor)>(op, *bound, x, worst);
    });
    report.row(*bound, worst, bound->float32);
    for (const Worst& w : worst) EXPECT_LE(w.error, bound->float32) << name << "(" << w.at << ")";
  };
#define GS_CASE(name) check(UnaryOp::name, functors::name{}, #name);
  GS_FLOATING_UNARY(GS_CASE)
#undef GS_CASE
}

TEST(Vmath, Float64ErrorsAreWithinThePublishedBounds) {
  const Report report("float64");
  const auto check = [&](UnaryOp op, auto functor, const char* name) {
    const Bound* bound = bound_of(name);
    if (!bound) return;
    Worst worst[3];
    each_double(report.printed, [&](const std::vector<double>& x) {
      measure<double, long double, decltype(functor)>(op, *bound, x, worst);
    });
    report.row(*bound, worst, bound->float64);
    for (const Worst& w : worst) EXPECT_LE(w.error, bound->float64) << name << "(" << w.at << ")";
  };
#define GS_CASE(name) check(UnaryOp::name, functors::name{}, #name);
  GS_FLOATING_UNARY(GS_CASE)
#undef GS_CASE
}

}  // namespace
}  // namespace gs
