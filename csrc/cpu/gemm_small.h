// Products too small to pack: A is read where it is, and so is B, apart from columns that do not
// fill vectors. Nothing is allocated and nothing runs in parallel.
#pragma once

#include "cpu/gemm_blocked.h"

namespace gs::cpu {
namespace {

inline constexpr int64_t kSmallValues = 12288;  // values of B that may be packed on the stack

template <class C>
GS_INLINE bool is_small(const Product<C>& p) {
  if (p.m * p.n * p.k > 96 * 96 * 96) return false;
  const int64_t packed_cols = p.b_col == 1 ? kTileCols<C> : round_up(p.n, kLanes<C>);
  return packed_cols * p.k <= kSmallValues;
}

template <class C>
void gemm_small(const Product<C>& p) {
  alignas(64) C packed[kSmallValues];
  alignas(64) C tile[kTileRows * kTileCols<C>];
  const Epilogue<C>& e = p.epilogue;
  const bool direct = e.alpha == 1 && (e.beta == 0 || e.beta == 1) && e.plain();
  const int64_t panel_rows = even_part(p.m, kTileRows);
  for (int64_t j = 0; j < p.n; j += kTileCols<C>) {
    const int64_t cols = min_of(kTileCols<C>, p.n - j);
    const int64_t width = panel_width<C>(cols);
    const C* b = p.b + j * p.b_col;
    int64_t b_row = p.b_row;
    if (p.b_col != 1 || cols < width) {
      pack_panel(b, p.b_col, p.b_row, cols, p.n - j, p.k, packed, width);
      b = packed;
      b_row = width;
    }
    for (int64_t i = 0; i < p.m; i += panel_rows) {
      const int64_t rows = min_of(panel_rows, p.m - i);
      const MicroKernel<C> kernel = micro_kernel<C>(rows, width);
      const C* a = p.a + i * p.a_row;
      C* c = p.c + i * p.c_row + j;
      if (direct && cols == width) {
        kernel(p.k, a, p.a_row, p.a_col, b, b_row, c, p.c_row, e.beta == 1, nullptr);
        continue;
      }
      kernel(p.k, a, p.a_row, p.a_col, b, b_row, tile, kTileCols<C>, false, nullptr);
      write_tile<C>(e, tile, kTileCols<C>, rows, cols, i, j, c, p.c_row, c, p.c_row, true, true);
    }
  }
}

}  // namespace
}  // namespace gs::cpu
