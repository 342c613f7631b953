// Lanes rearranged: pairs taken apart and put together, and blocks of whole vectors transposed.
#pragma once

#include <cstdint>
#include <utility>

#include "cpu/vec.h"

namespace gs::cpu {
namespace {

template <class V, size_t... I>
GS_INLINE V even_lanes(V low, V high, std::index_sequence<I...>) {
  return __builtin_shufflevector(low, high, (2 * I)...);
}
template <class V, size_t... I>
GS_INLINE V odd_lanes(V low, V high, std::index_sequence<I...>) {
  return __builtin_shufflevector(low, high, (2 * I + 1)...);
}
// Lanes kFirst, kFirst + 1, ... of a alternate with those of b: a0 b0 a1 b1 ...
template <size_t kFirst, class V, size_t... I>
GS_INLINE V alternate(V a, V b, std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b, (kFirst + I / 2 + (I % 2) * sizeof...(I))...);
}
template <class C>
using LaneSequence = std::make_index_sequence<kLanes<C>>;

// The 2 * kLanes values at p as the values at even and at odd positions.
template <class C>
GS_INLINE void load_pairs(const C* p, Vec<C>* even, Vec<C>* odd) {
  const Vec<C> low = load(p), high = load(p + kLanes<C>);
  *even = even_lanes(low, high, LaneSequence<C>{});
  *odd = odd_lanes(low, high, LaneSequence<C>{});
}
template <class C>
GS_INLINE void store_pairs(C* p, Vec<C> even, Vec<C> odd) {
  store(p, alternate<0>(even, odd, LaneSequence<C>{}));
  store(p + kLanes<C>, alternate<kLanes<C> / 2>(even, odd, LaneSequence<C>{}));
}

// rows[j][i] = rows[i][j] of kLanes vectors: log2(kLanes) rounds of perfect shuffles.
template <class C>
GS_INLINE void transpose_vectors(Vec<C>* rows) {
  constexpr int n = kLanes<C>;
#pragma GCC unroll 4
  for (int round = 1; round < n; round *= 2) {
    Vec<C> next[n];
#pragma GCC unroll 8
    for (int i = 0; i < n / 2; ++i) {
      next[2 * i] = alternate<0>(rows[i], rows[i + n / 2], LaneSequence<C>{});
      next[2 * i + 1] = alternate<n / 2>(rows[i], rows[i + n / 2], LaneSequence<C>{});
    }
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) rows[i] = next[i];
  }
}

// to[j * to_row + i] = from[i * from_row + j] for i, j < kLanes.
template <class C>
GS_INLINE void transpose_block(const C* from, int64_t from_row, C* to, int64_t to_row) {
  constexpr int n = kLanes<C>;
  Vec<C> rows[n];
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) rows[i] = load(from + i * from_row);
  transpose_vectors<C>(rows);
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) store(to + i * to_row, rows[i]);
}

// to (columns x rows) = from (rows x columns)^T.
template <class C>
__attribute__((noinline)) void transpose(const C* from, int64_t from_row, int64_t rows,
                                         int64_t columns, C* to, int64_t to_row) {
  int64_t i = 0;
  for (; i + kLanes<C> <= rows; i += kLanes<C>) {
    int64_t j = 0;
    for (; j + kLanes<C> <= columns; j += kLanes<C>)
      transpose_block(from + i * from_row + j, from_row, to + j * to_row + i, to_row);
    for (; j < columns; ++j)
      for (int64_t r = i; r < i + kLanes<C>; ++r) to[j * to_row + r] = from[r * from_row + j];
  }
  for (; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) to[j * to_row + i] = from[i * from_row + j];
}

}  // namespace
}  // namespace gs::cpu
