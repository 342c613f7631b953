// Rows of a few elements one after the other in memory. Working on each costs more than its
// elements; a block of them is transposed, and kernels that go across columns do the rest.
#pragma once

#include "cpu/rows.h"
#include "cpu/shuffle.h"

namespace gs::cpu {
namespace {

inline constexpr int64_t kShortRow = 64;         // longest that is worked on like this
inline constexpr int64_t kShortElements = 4096;  // of a block: a part of the first-level cache
inline constexpr int64_t kMostShortRows = 256;   // of a block

// Rows of n that make a block, a whole number of vectors.
GS_INLINE int64_t short_rows_of(int64_t n) {
  const int64_t rows = kShortElements / n / 64 * 64;
  return rows < kMostShortRows ? rows : kMostShortRows;
}

GS_INLINE bool is_short_row(int64_t rows, int64_t n) {
  return n >= 2 && n <= kShortRow && rows >= 16;
}

// kLanes rows, kKeep or fewer of their columns. `over`: whole vectors may be read.
template <int kKeep, class Word>
GS_INLINE void transpose_short(const Word* from, int64_t n, int count, bool over, Word* to,
                               int64_t to_row) {
  constexpr int lanes = kLanes<Word>;
  Vec<Word> x[lanes];
  if (over) {
#pragma GCC unroll 16
    for (int k = 0; k < lanes; ++k) x[k] = load(from + k * n);
  } else {
    for (int k = 0; k < lanes; ++k) x[k] = load_part(from + k * n, count);
  }
  transpose_vectors<Word>(x);
#pragma GCC unroll 16
  for (int i = 0; i < kKeep; ++i)
    if (i < count) store(to + i * to_row, x[i]);
}

template <class Word>
[[gnu::noinline]] void transpose_short_rows(const Word* from, const Word* end, int64_t rows,
                                            int64_t n, Word* to, int64_t to_row) {
  constexpr int lanes = kLanes<Word>;
  constexpr int few = lanes < 4 ? lanes : 4;
  int64_t r = 0;
  for (; r + lanes <= rows; r += lanes) {
    const Word* x = from + r * n;
    for (int64_t j = 0; j < n; j += lanes) {
      const int count = n - j < lanes ? static_cast<int>(n - j) : lanes;
      const bool over = (lanes - 1) * n + j + lanes <= end - x;
      if (count <= few)
        transpose_short<few>(x + j, n, count, over, to + j * to_row + r, to_row);
      else
        transpose_short<lanes>(x + j, n, count, over, to + j * to_row + r, to_row);
    }
  }
  for (; r < rows; ++r)
    for (int64_t j = 0; j < n; ++j) to[j * to_row + r] = from[r * n + j];
}

// to[j * to_row + r] = from[r * n + j] for rows r and columns j; the array ends at `end`.
template <class C>
GS_INLINE void transpose_rows(const C* from, const C* end, int64_t rows, int64_t n, C* to,
                              int64_t to_row) {
  if constexpr (sizeof(C) >= 4) {  // bits are moved, not values
    using Word = std::conditional_t<sizeof(C) == 4, float, double>;
    transpose_short_rows(reinterpret_cast<const Word*>(from), reinterpret_cast<const Word*>(end),
                         rows, n, reinterpret_cast<Word*>(to), to_row);
  } else {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = 0; j < n; ++j) to[j * to_row + r] = from[r * n + j];
  }
}

}  // namespace
}  // namespace gs::cpu
