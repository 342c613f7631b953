// A product on CUDA beside the CPU's, with all that the kernel's parameters can say.
#pragma once

#include <vector>

#include "kernels/kernels.h"
#include "kernels/params/gemm.h"
#include "twin.h"

namespace gs::twin {

// Sums of k products of numbers of size 1: their rounding grows with the root of k.
inline double limit(DType t, int64_t k) {
  return tolerance_of(t) * (1 + std::sqrt(static_cast<double>(k)) / 4);
}

struct Size {
  int64_t m, n, k;
};

// The kernel's whole contract, where operations ask for a part of it alone.
struct Call {
  Size s{37, 70, 20};
  DType dtype = DType::Float32;
  double alpha = 1, beta = 0;
  bool bias = false, bias_per_row = false;
  Activation activation = Activation::None;
  int64_t batch = 1;
  bool a_transposed = false, b_transposed = false;
  // Of the lines in memory: how many elements they are longer, and the stride within.
  int64_t a_step[2] = {0, 1}, b_step[2] = {0, 1};
  int64_t shift = 0;   // of each operand's beginning
  int64_t c_more = 0;  // of C's row
  std::vector<int64_t> a_offsets, b_offsets;
};

inline void expect_call(const Call& call, double tolerance = -1) {
  const Size& s = call.s;
  const auto line = [](int64_t n, const int64_t (&step)[2]) { return n * step[1] + step[0]; };
  const int64_t a_line = line(call.a_transposed ? s.m : s.k, call.a_step);
  const int64_t b_line = line(call.b_transposed ? s.k : s.n, call.b_step);
  const int64_t a_matrix = a_line * (call.a_transposed ? s.k : s.m);
  const int64_t b_matrix = b_line * (call.b_transposed ? s.n : s.k);
  const int64_t c_row = s.n + call.c_more, c_matrix = c_row * s.m;
  int64_t matrices = call.batch;
  for (const auto* offsets : {&call.a_offsets, &call.b_offsets})
    for (const int64_t i : *offsets) matrices = std::max(matrices, i + 1);
  const DType t = call.dtype;
  const auto given = [&](int64_t count, int seed) {
    const double high = is_floating(t) ? 1 : 100;
    const Tensor x = values({count}, -high, high, DType::Float64, seed);
    if (t == DType::Bool) return ops::gt(x, Scalar(0.0));
    return ops::cast(t == DType::UInt8 ? ops::abs(x) : x, t);
  };
  const Tensor a = given(matrices * a_matrix + call.shift, 1),
               b = given(matrices * b_matrix + call.shift, 2),
               c = given(call.batch * c_matrix + call.shift, 3),
               bias = given(std::max(s.m, s.n), 4);
  std::vector<int64_t> a_offsets = call.a_offsets, b_offsets = call.b_offsets;
  for (int64_t& i : a_offsets) i *= a_matrix;
  for (int64_t& i : b_offsets) i *= b_matrix;
  const auto run = [&](Device device) {
    const auto there = [&](const Tensor& x) { return ops::clone(ops::to_device(x, device)); };
    const Tensor at = there(a), bt = there(b), ct = there(c), bias_there = there(bias);
    const auto begin = [&](const Tensor& x) {
      return static_cast<char*>(x.raw()) + call.shift * size_of(t);
    };
    Gemm g{};
    g.dtype = t, g.m = s.m, g.n = s.n, g.k = s.k;
    g.a = begin(at), g.a_row = a_line, g.a_col = call.a_step[1];
    g.b = begin(bt), g.b_row = b_line, g.b_col = call.b_step[1];
    if (call.a_transposed) std::swap(g.a_row, g.a_col);
    if (call.b_transposed) std::swap(g.b_row, g.b_col);
    g.c = begin(ct), g.c_row = c_row;
    g.alpha = call.alpha, g.beta = call.beta;
    g.bias = call.bias ? bias_there.raw() : nullptr, g.bias_per_row = call.bias_per_row;
    g.activation = call.activation;
    g.batch = call.batch;
    g.a_batch_stride = a_matrix, g.b_batch_stride = b_matrix, g.c_batch_stride = c_matrix;
    if (!a_offsets.empty()) g.a_batch_offsets = a_offsets.data();
    if (!b_offsets.empty()) g.b_batch_offsets = b_offsets.data();
    kernels::gemm(device, g);
    return ct;
  };
  SCOPED_TRACE(::testing::Message() << s.m << " x " << s.n << " x " << s.k << " " << t);
  expect_close(run(kCuda), run(Device{}), tolerance >= 0 ? tolerance : limit(t, s.k));
}

}  // namespace gs::twin
