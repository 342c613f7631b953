// Block sizes of the matrix product, for caches of 48 KB (L1) and 1 MB (L2) a core.
//
// C is cut into tiles of kTileRows x kTileCols that live in registers. One panel of A (kTileRows x
// depth) stays in L1 while the panels of a block of B (depth x cols) pass by from L2.
#pragma once

#include "cpu/vec.h"

namespace gs::cpu {
namespace {

// Rows of a register tile: rows * 2 accumulators, 2 vectors of B and one broadcast of A fill the 32
// (AVX-512) or 16 registers.
#if GS_ISA_LEVEL == 2
inline constexpr int kTileRows = 14;
#elif GS_ISA_LEVEL == 1
inline constexpr int kTileRows = 6;
#else
inline constexpr int kTileRows = 5;  // a product without FMA needs a register of its own
#endif
template <class T>
inline constexpr int kTileCols = 2 * kLanes<T>;

struct Blocks {
  int64_t depth;  // k of one pass
  int64_t rows;   // rows of C in one task
  int64_t cols;   // columns of C in one task
  int64_t slab;   // rows or columns of a shared packed operand
};

template <class T>
inline constexpr Blocks kBlocks = {};
template <>
inline constexpr Blocks kBlocks<float> = {512, 56, 256, 4032};
template <>
inline constexpr Blocks kBlocks<double> = {256, 84, 256, 4032};

GS_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
GS_INLINE int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }
GS_INLINE int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }
GS_INLINE int64_t max_of(int64_t a, int64_t b) { return a > b ? a : b; }

// The size of `n` cut into equal parts of at most `most`, so that no part is a poor remainder.
GS_INLINE int64_t even_part(int64_t n, int64_t most) {
  return n <= most ? max_of(n, 1) : ceil_div(n, ceil_div(n, most));
}

}  // namespace
}  // namespace gs::cpu
