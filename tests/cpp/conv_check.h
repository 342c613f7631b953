// What the tests of convolution share: shapes, and the convolution with its gradients against naive
// loops in double, on every instruction set.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "core/parallel.h"
#include "kernel_test.h"
#include "kernels/params/conv.h"

namespace gs {
namespace {

ConvShape make_shape(int64_t n, int64_t c, int64_t h, int64_t w, int64_t o, int64_t r, int64_t s,
                     int64_t stride = 1, int64_t pad = 0, int64_t dilation = 1,
                     int64_t groups = 1) {
  ConvShape v{};
  v.n = n, v.c = c, v.h = h, v.w = w, v.o = o, v.r = r, v.s = s, v.groups = groups;
  v.stride_h = v.stride_w = stride;
  v.pad_h = v.pad_w = pad;
  v.dilation_h = v.dilation_w = dilation;
  return v;
}

void set_output(ConvShape& v) {
  v.p = (v.h + 2 * v.pad_h - v.dilation_h * (v.r - 1) - 1) / v.stride_h + 1;
  v.q = (v.w + 2 * v.pad_w - v.dilation_w * (v.s - 1) - 1) / v.stride_w + 1;
}

std::string describe(const ConvShape& v) {
  std::string out = "n c h w o r s p q groups stride pad dilation:";
  for (int64_t x : {v.n, v.c, v.h, v.w, v.o, v.r, v.s, v.p, v.q, v.groups, v.stride_h, v.stride_w,
                    v.pad_h, v.pad_w, v.dilation_h, v.dilation_w})
    out += " " + std::to_string(x);
  return out;
}

template <class T>
std::vector<T> random_values(size_t n, uint32_t seed) {
  std::mt19937 bits(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<T> out(n);
  for (T& v : out) v = static_cast<T>(uniform(bits));
  return out;
}

// Calls f(x index, weight index, y index) for every product of the convolution.
template <class F>
void for_each_product(const ConvShape& v, F&& f) {
  const int64_t cg = v.c / v.groups, og = v.o / v.groups;
  for (int64_t n = 0; n < v.n; ++n)
    for (int64_t o = 0; o < v.o; ++o)
      for (int64_t p = 0; p < v.p; ++p)
        for (int64_t q = 0; q < v.q; ++q)
          for (int64_t c = 0; c < cg; ++c)
            for (int64_t r = 0; r < v.r; ++r)
              for (int64_t s = 0; s < v.s; ++s) {
                const int64_t h = p * v.stride_h + r * v.dilation_h - v.pad_h;
                const int64_t w = q * v.stride_w + s * v.dilation_w - v.pad_w;
                if (h < 0 || h >= v.h || w < 0 || w >= v.w) continue;
                f(((n * v.c + o / og * cg + c) * v.h + h) * v.w + w,
                  ((o * cg + c) * v.r + r) * v.s + s, ((n * v.o + o) * v.p + p) * v.q + q);
              }
}

struct Expected {
  std::vector<double> value, size;
  explicit Expected(size_t n) : value(n), size(n, 1.0) {}
  void add(int64_t i, double x) {
    value[i] += x;
    size[i] += std::abs(x);
  }
};

template <class T>
double epsilon() {
  if (std::is_same_v<T, double>) return 1e-13;
  if (std::is_same_v<T, float>) return 2e-6;
  if (std::is_same_v<T, Half>) return 2e-3;
  return 1.6e-2;
}

template <class T>
void expect_close(const std::vector<T>& got, const Expected& expected, const char* what) {
  ASSERT_EQ(got.size(), expected.value.size());
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(static_cast<double>(got[i]), expected.value[i], epsilon<T>() * expected.size[i])
        << what << " at " << i;
}

// Runs `call(table, out)` on every instruction set and number of threads: the same bits for any
// number.
template <class T, class F>
void check_runs(size_t count, const Expected& expected, const char* what, F&& call) {
  for (Isa isa : isas()) {
    SCOPED_TRACE(cpu::name_of(isa));
    std::vector<T> first;
    for (int threads : {1, 2, 3}) {
      set_num_threads(threads);
      std::vector<T> out(count, static_cast<T>(std::numeric_limits<float>::quiet_NaN()));
      call(cpu::table(isa), out.data());
      if (threads == 1) {
        first = out;
        expect_close(out, expected, what);
        if (::testing::Test::HasFatalFailure()) return;
      }
      if (count) {
        ASSERT_EQ(0, std::memcmp(out.data(), first.data(), count * sizeof(T)))
            << what << ", threads " << threads;
      }
    }
    set_num_threads(1);
  }
}

template <class T>
void check(ConvShape v, Activation activation = Activation::None) {
  set_output(v);
  v.dtype = dtype_of<T>::value;
  SCOPED_TRACE(describe(v));
  const size_t x_size = v.n * v.c * v.h * v.w, w_size = v.o * (v.c / v.groups) * v.r * v.s;
  const size_t y_size = v.n * v.o * v.p * v.q;
  const auto x = random_values<T>(x_size, 1), weight = random_values<T>(w_size, 2);
  const auto bias = random_values<T>(v.o, 3), dy = random_values<T>(y_size, 4);

  Expected y(y_size), dx(x_size), dweight(w_size), dbias(v.o);
  for (size_t i = 0; i < y_size; ++i) {
    const int64_t o = static_cast<int64_t>(i) / (v.p * v.q) % v.o;
    y.add(i, static_cast<double>(bias[o]));
    dbias.add(o, static_cast<double>(dy[i]));
  }
  for_each_product(v, [&](int64_t xi, int64_t wi, int64_t yi) {
    y.add(yi, static_cast<double>(x[xi]) * static_cast<double>(weight[wi]));
    dx.add(xi, static_cast<double>(dy[yi]) * static_cast<double>(weight[wi]));
    dweight.add(wi, static_cast<double>(dy[yi]) * static_cast<double>(x[xi]));
  });
  if (activation == Activation::Relu)
    for (double& value : y.value) value = std::max(value, 0.0);
  if (activation == Activation::Tanh)
    for (double& value : y.value) value = std::tanh(value);

  check_runs<T>(y_size, y, "y", [&](const cpu::KernelTable& table, T* out) {
    table.conv2d({v, x.data(), weight.data(), bias.data(), out, activation});
  });
  if (::testing::Test::HasFatalFailure()) return;
  check_runs<T>(x_size, dx, "dx", [&](const cpu::KernelTable& table, T* out) {
    table.conv2d_input_grad({v, dy.data(), weight.data(), out});
  });
  if (::testing::Test::HasFatalFailure()) return;
  std::vector<T> bias_out(v.o);
  check_runs<T>(w_size, dweight, "dweight", [&](const cpu::KernelTable& table, T* out) {
    table.conv2d_weight_grad({v, x.data(), dy.data(), out, bias_out.data()});
    expect_close(bias_out, dbias, "dbias");
  });
  if (::testing::Test::HasFatalFailure()) return;
  check_runs<T>(w_size, dweight, "dweight without dbias",
                [&](const cpu::KernelTable& table, T* out) {
                  table.conv2d_weight_grad({v, x.data(), dy.data(), out, nullptr});
                });
}

}  // namespace
}  // namespace gs
