// Products of small matrices whose right side already stands in rows of whole vectors, so that
// nothing is packed per call: the recurrent step (one packed W_hh, thousands of products) and the
// tiles of attention. Serial; callers cut the work. Everything larger goes through the gemm kernel.
#pragma once

#include <cstdint>

#include "cpu/gemm_kernel.h"

namespace gs::cpu {
namespace {

// A (rows x k): element (i, l) at p[i * row + l], or at p[i + l * row] when transposed.
template <class C, bool kTransposed>
struct LeftMatrix {
  const C* p;
  int64_t row;
  GS_INLINE C at(int64_t i, int64_t l) const {
    return kTransposed ? p[i + l * row] : p[i * row + l];
  }
  GS_INLINE int64_t next_row() const { return kTransposed ? 1 : row; }
  GS_INLINE int64_t next_column() const { return kTransposed ? row : 1; }
};

// c (M x N vectors) = or += a (M x k) b (k x N vectors) for one or two rows: too few sums to keep
// the FMA units busy, so they keep several for each element.
template <int M, int N, class C, bool kTransposed>
GS_INLINE void few_rows_product(LeftMatrix<C, kTransposed> a, int64_t k, const C* b, int64_t b_row,
                                C* c, int64_t c_row, bool accumulate) {
  constexpr int kSums = M == 1 ? 4 : 2;
  Vec<C> sum[kSums][M][N];
#pragma GCC unroll 4
  for (int s = 0; s < kSums; ++s)
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 8
      for (int j = 0; j < N; ++j)
        sum[s][i][j] = accumulate && s == 0 ? load(c + i * c_row + j * kLanes<C>) : Vec<C>{};
  const auto step = [&](int64_t l, auto& into) __attribute__((always_inline)) {
    Vec<C> right[N];
#pragma GCC unroll 8
    for (int j = 0; j < N; ++j) right[j] = load(b + l * b_row + j * kLanes<C>);
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) {
      const Vec<C> left = splat(a.at(i, l));
#pragma GCC unroll 8
      for (int j = 0; j < N; ++j) into[i][j] += left * right[j];
    }
  };
  int64_t l = 0;
  for (; l + kSums <= k; l += kSums)
#pragma GCC unroll 4
    for (int s = 0; s < kSums; ++s) step(l + s, sum[s]);
  for (; l < k; ++l) step(l, sum[0]);
#pragma GCC unroll 4
  for (int s = 1; s < kSums; ++s)
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 8
      for (int j = 0; j < N; ++j) sum[0][i][j] += sum[s][i][j];
#pragma GCC unroll 8
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 8
    for (int j = 0; j < N; ++j) store(c + i * c_row + j * kLanes<C>, sum[0][i][j]);
}

// One column of register tiles: m rows, N vectors wide.
template <int N, class C, bool kTransposed>
GS_INLINE void column_product(LeftMatrix<C, kTransposed> a, int64_t m, int64_t k, const C* b,
                              int64_t b_row, C* c, int64_t c_row, bool accumulate) {
  if (m == 1) return few_rows_product<1, N>(a, k, b, b_row, c, c_row, accumulate);
  if (m == 2) return few_rows_product<2, N>(a, k, b, b_row, c, c_row, accumulate);
  const int64_t tile_rows = even_part(m, kTileRows);
  for (int64_t i = 0; i < m; i += tile_rows) {
    const int64_t rows = min_of(tile_rows, m - i);
    micro_kernel<C>(rows, N * kLanes<C>)(k, a.p + i * a.next_row(), a.next_row(), a.next_column(),
                                         b, b_row, c + i * c_row, c_row, accumulate, nullptr);
  }
}

// c (m x n) = or += a (m x k) b (k x n) where n is a multiple of kLanes<C>. The order of a
// sum depends on m and k alone.
template <class C, bool kTransposed>
__attribute__((noinline)) void product(LeftMatrix<C, kTransposed> a, int64_t m, int64_t n,
                                       int64_t k, const C* b, int64_t b_row, C* c, int64_t c_row,
                                       bool accumulate) {
  int64_t j = 0;
  for (; j + kTileCols<C> <= n; j += kTileCols<C>)
    column_product<2>(a, m, k, b + j, b_row, c + j, c_row, accumulate);
  if (j < n) column_product<1>(a, m, k, b + j, b_row, c + j, c_row, accumulate);
}

template <class C>
GS_INLINE int64_t round_up_to_lanes(int64_t n) {
  return round_up(n, kLanes<C>);
}

}  // namespace
}  // namespace gs::cpu
