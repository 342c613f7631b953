// Write-back: what happens to a tile of sums on its way to C.
#pragma once

#include <type_traits>

#include "cpu/gemm_blocks.h"
#include "cpu/vmath.h"
#include "kernels/params/gemm.h"

namespace gs::cpu {
namespace {

template <class C>
GS_INLINE Vec<C> activate(Activation kind, Vec<C> v) {
  if (kind == Activation::None) return v;
  if (kind == Activation::Relu) return v < Vec<C>{} ? Vec<C>{} : v;  // NaN stays
  if constexpr (std::is_same_v<C, float>) {
    if (kind == Activation::Tanh) return vtanh(v);
    if (kind == Activation::Sigmoid) return vsigmoid(v);
    return v * vnormal_cdf(v);
  } else {
    constexpr C kSqrtHalf = C(0.70710678118654752440);
    if (kind == Activation::Tanh) return each_lane<C>(v, [](C x) { return __builtin_tanh(x); });
    if (kind == Activation::Sigmoid)
      return each_lane<C>(v, [](C x) { return 1 / (1 + __builtin_exp(-x)); });
    return v * C(0.5) * (1 + each_lane<C>(v * kSqrtHalf, [](C x) { return __builtin_erf(x); }));
  }
}

// What is done to the finished sums: act(alpha * sum + beta * c + bias).
template <class T>
struct Epilogue {
  using C = compute_t<T>;
  C alpha = 1, beta = 0;
  const T* bias = nullptr;
  bool bias_per_row = false;
  Activation activation = Activation::None;

  bool plain() const { return !bias && activation == Activation::None; }
};

// The first n <= kLanes values of a vector, in pieces of halving size rather than one by one.
template <class T>
GS_INLINE Vec<compute_t<T>> load_tail(const T* p, int64_t n) {
  constexpr int64_t lanes = kLanes<compute_t<T>>;
  if (n >= lanes) return load(p);
  T values[lanes];
  __builtin_memset(values, 0, sizeof values);
  int64_t at = 0;
#pragma GCC unroll 4
  for (int64_t size = lanes / 2; size > 0; size /= 2) {
    if (!(n & size)) continue;
    __builtin_memcpy(values + at, p + at, size * sizeof(T));
    at += size;
  }
  return load(values);
}
// The same where the whole vector may be read: one load and a mask.
template <class T>
GS_INLINE Vec<compute_t<T>> load_masked(const T* p, int64_t n) {
  using C = compute_t<T>;
  using I = std::conditional_t<sizeof(C) == 4, int32_t, int64_t>;
  Vec<I> index;
#pragma GCC unroll 16
  for (int i = 0; i < kLanes<C>; ++i) index[i] = i;
  return index < static_cast<I>(n) ? load(p) : Vec<C>{};
}
template <class T>
GS_INLINE void store_tail(T* p, Vec<compute_t<T>> v, int64_t n) {
  constexpr int64_t lanes = kLanes<compute_t<T>>;
  if (n >= lanes) return store(p, v);
  T values[lanes];
  store(values, v);
  int64_t at = 0;
#pragma GCC unroll 4
  for (int64_t size = lanes / 2; size > 0; size /= 2) {
    if (!(n & size)) continue;
    __builtin_memcpy(p + at, values + at, size * sizeof(T));
    at += size;
  }
}

// rows x cols of sums from `tile` to C. The first pass over k meets beta, the others add to the
// partial sums; the last one applies bias and activation. `partial` (compute type) is C itself
// unless C is 16 bits wide and k takes several passes. `row` and `col` are the place in C, for the
// bias.
template <class T>
void write_tile(const Epilogue<T>& e, const compute_t<T>* tile, int64_t tile_row, int64_t rows,
                int64_t cols, int64_t row, int64_t col, T* c, int64_t c_row, compute_t<T>* partial,
                int64_t partial_row, bool first, bool last) {
  using C = compute_t<T>;
  constexpr int64_t n = kLanes<C>;
  const bool has_row_bias = last && e.bias && e.bias_per_row;
  const bool has_col_bias = last && e.bias && !e.bias_per_row;
  for (int64_t j = 0; j < cols; j += n) {
    const int64_t left = min_of(n, cols - j);
    const Vec<C> col_bias = has_col_bias ? load_tail(e.bias + col + j, left) : Vec<C>{};
    for (int64_t i = 0; i < rows; ++i) {
      Vec<C> v = load(tile + i * tile_row + j);
      if (e.alpha != 1) v *= e.alpha;
      if (!first) {
        v += load_tail(partial + i * partial_row + j, left);
      } else if (e.beta != 0) {
        v += e.beta * load_tail(c + i * c_row + j, left);
      }
      if (!last) {
        store_tail(partial + i * partial_row + j, v, left);
        continue;
      }
      if (has_col_bias) v += col_bias;
      if (has_row_bias) v += static_cast<C>(e.bias[row + i]);
      store_tail(c + i * c_row + j, activate<C>(e.activation, v), left);
    }
  }
}

}  // namespace
}  // namespace gs::cpu
