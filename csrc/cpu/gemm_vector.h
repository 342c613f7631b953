// Products with a vector: y[i] = sum over k of M(i, k) x[k], bound by the reading of M. Two orders:
// dot products when the rows of M lie along memory, sums of scaled columns when its columns do.
#pragma once

#include "cpu/gemm_blocked.h"
#include "kernels/params/gemm.h"

namespace gs::cpu {
namespace {

// dots[r] = M(r, :) . x for R rows.
template <int R, class T, class C>
GS_INLINE void dot_rows(const T* m, int64_t row, const C* x, int64_t k, C* dots) {
  constexpr int64_t n = kLanes<C>;
  Vec<C> sum[R][2] = {};
  int64_t j = 0;
  for (; j + 2 * n <= k; j += 2 * n) {
    const Vec<C> x0 = load(x + j), x1 = load(x + j + n);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      sum[r][0] += load(m + r * row + j) * x0;
      sum[r][1] += load(m + r * row + j + n) * x1;
    }
  }
  for (; j < k; j += n) {
    const int64_t left = min_of(n, k - j);
    const Vec<C> x0 = load_tail(x + j, left);
    for (int r = 0; r < R; ++r) sum[r][0] += load_tail(m + r * row + j, left) * x0;
  }
  for (int r = 0; r < R; ++r) dots[r] = horizontal_sum(sum[r][0] + sum[r][1]);
}

// y[i] += sum over K columns of M(i, k) x[k].
template <int K, class T, class C>
GS_INLINE void add_columns(const T* m, int64_t col, const C* x, int64_t rows, C* y) {
  constexpr int64_t n = kLanes<C>;
  for (int64_t i = 0; i < rows; i += n) {
    const int64_t left = min_of(n, rows - i);
    Vec<C> sum = load_tail(y + i, left);
#pragma GCC unroll 8
    for (int k = 0; k < K; ++k) sum += load_tail(m + k * col + i, left) * x[k];
    store_tail(y + i, sum, left);
  }
}

template <class T, class C>
void dot_product_rows(const T* m, int64_t row, const C* x, int64_t k, int64_t rows, C* y) {
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4) dot_rows<4>(m + i * row, row, x, k, y + i);
  for (; i < rows; ++i) dot_rows<1>(m + i * row, row, x, k, y + i);
}

template <class T, class C>
void sum_columns(const T* m, int64_t col, const C* x, int64_t k, int64_t rows, C* y) {
  for (int64_t i = 0; i < rows; ++i) y[i] = 0;
  int64_t j = 0;
  for (; j + 8 <= k; j += 8) add_columns<8>(m + j * col, col, x + j, rows, y);
  for (; j < k; ++j) add_columns<1>(m + j * col, col, x + j, rows, y);
}

// A product with one row or one column, seen as y = M x.
template <class T>
struct VectorProduct {
  int64_t rows, k;
  const T* m;
  int64_t m_row, m_col;
  const T* x;
  int64_t x_step;
  T* y;
  int64_t y_step;
  int64_t bias_step;  // 0: one value for all
};

template <class T>
GS_INLINE VectorProduct<T> as_vector_product(const Product<T>& p) {
  const bool per_row = p.epilogue.bias_per_row;
  if (p.m == 1) return {p.n, p.k, p.b, p.b_col, p.b_row, p.a, p.a_col, p.c, 1, per_row ? 0 : 1};
  return {p.m, p.k, p.a, p.a_row, p.a_col, p.b, p.b_row, p.c, p.c_row, per_row ? 1 : 0};
}

template <class T>
GS_INLINE bool is_vector_product(const Product<T>& p) {
  if (p.m != 1 && p.n != 1) return false;
  const VectorProduct<T> v = as_vector_product(p);
  return v.m_col == 1 || v.m_row == 1;
}

template <class T>
void gemm_vector(const Product<T>& p) {
  using C = compute_t<T>;
  constexpr int64_t kChunk = 2048;  // values of y held in L1
  const VectorProduct<T> v = as_vector_product(p);
  const Epilogue<T>& e = p.epilogue;
  C few[kChunk];
  const Scratch<C> many(v.k > kChunk ? v.k : 0);
  C* x = v.k > kChunk ? many.get() : few;
  for (int64_t j = 0; j < v.k; ++j) x[j] = static_cast<C>(v.x[j * v.x_step]);

  const int64_t by_work = 65536 / max_of(v.k, 1);
  const int64_t grain = v.m_col == 1 ? round_up(max_of(by_work, 1), 4) : max_of(by_work, kChunk);
  parallel_for(0, v.rows, grain, [&](int64_t begin, int64_t end) {
    C y[kChunk];
    for (int64_t at = begin; at < end; at += kChunk) {
      const int64_t count = min_of(kChunk, end - at);
      const T* m = v.m + at * v.m_row;
      if (v.m_col == 1) {
        dot_product_rows(m, v.m_row, x, v.k, count, y);
      } else {
        sum_columns(m, v.m_col, x, v.k, count, y);
      }
      for (int64_t i = 0; i < count; ++i) {
        T& to = v.y[(at + i) * v.y_step];
        C value = e.alpha == 1 ? y[i] : e.alpha * y[i];
        if (e.beta != 0) value += e.beta * static_cast<C>(to);
        if (e.bias) value += static_cast<C>(e.bias[(at + i) * v.bias_step]);
        if (e.activation != Activation::None) value = activate<C>(e.activation, splat(value))[0];
        to = static_cast<T>(value);
      }
    }
  });
}

}  // namespace
}  // namespace gs::cpu
