// The blocked matrix product: slabs of rows and columns (is, js), passes over k (ks), blocks of C
// that are the parallel tasks, and inside a block the panels of A (ir) against the panels of B
// (jr).
//
// How C is cut depends on its shape alone and k is never split between threads, so every element is
// summed in the same order however many threads run.
#pragma once

#include <type_traits>

#include "core/parallel.h"
#include "cpu/gemm_kernel.h"
#include "cpu/gemm_own_panels.h"
#include "cpu/gemm_pack.h"
#include "cpu/gemm_write.h"
#include "cpu/scratch.h"

namespace gs::cpu {
namespace {

template <class T>
struct Product {
  int64_t m, n, k;
  const T* a;
  int64_t a_row, a_col;
  const T* b;
  int64_t b_row, b_col;
  T* c;
  int64_t c_row;
  Epilogue<T> epilogue;
};

// Panels of A that stand ready for the register tile: packed, or A itself.
template <class C>
struct PanelsA {
  const C* data;
  int64_t row, col;  // strides inside a panel
  int64_t next;      // from one panel to the next
  int64_t panel_rows;
};
// Panels of B: kTileCols wide, except that the last one may be one vector wide. `row` is from one
// value of k to the next, 0 where that is the width of the panel.
template <class C>
struct PanelsB {
  const C* data;
  int64_t next;
  int64_t row;
};

template <class C>
GS_INLINE int64_t panel_width(int64_t cols_left) {
  return cols_left <= kLanes<C> ? kLanes<C> : kTileCols<C>;
}

// One block of C: `rows` x `cols` values from (row, col) on, `depth` values of k.
template <class T>
struct Block {
  using C = compute_t<T>;
  int64_t rows, cols, depth;
  int64_t row, col;  // in C, for the bias
  T* c;
  int64_t c_row;
  C* partial;  // see write_tile
  int64_t partial_row;
  bool first, last;
};

template <class T>
void multiply_block(const Epilogue<T>& e, const Block<T>& block, const PanelsA<compute_t<T>>& a,
                    const PanelsB<compute_t<T>>& b) {
  using C = compute_t<T>;
  alignas(64) C tile[kTileRows * kTileCols<C>];
  const bool starts_plain = !block.first || e.beta == 0 || e.beta == 1;
  const bool ends_plain = !block.last || (e.plain() && std::is_same_v<T, C>);
  const bool direct = e.alpha == 1 && starts_plain && ends_plain &&
                      (std::is_same_v<T, C> || !block.first || e.beta == 0);
  const bool accumulate = !block.first || e.beta == 1;
  for (int64_t i = 0, panel_i = 0; i < block.rows; i += a.panel_rows, ++panel_i) {
    const int64_t rows = min_of(a.panel_rows, block.rows - i);
    const C* a_panel = a.data + panel_i * a.next;
    for (int64_t j = 0, panel_j = 0; j < block.cols; j += kTileCols<C>, ++panel_j) {
      const int64_t cols = min_of(kTileCols<C>, block.cols - j);
      const int64_t width = panel_width<C>(cols);
      const MicroKernel<C> kernel = micro_kernel<C>(rows, width);
      const C* b_panel = b.data + panel_j * b.next;
      const int64_t b_row = b.row ? b.row : width;
      C* partial = block.partial ? block.partial + i * block.partial_row + j : nullptr;
      if (direct && cols == width) {
        kernel(block.depth, a_panel, a.row, a.col, b_panel, b_row, partial, block.partial_row,
               accumulate, nullptr);
        continue;
      }
      kernel(block.depth, a_panel, a.row, a.col, b_panel, b_row, tile, kTileCols<C>, false,
             nullptr);
      write_tile<T>(e, tile, kTileCols<C>, rows, cols, block.row + i, block.col + j,
                    block.c + i * block.c_row + j, block.c_row, partial, block.partial_row,
                    block.first, block.last);
    }
  }
}

// Where things are in one product; made once, read by every task.
template <class T>
struct BlockedProduct {
  using C = compute_t<T>;
  static constexpr bool kNative = std::is_same_v<T, C>;

  static constexpr int64_t kTaskWork = 250000;  // multiplications that pay for a task

  const Product<T>& p;
  int64_t panel_rows, depth, slab;
  bool a_direct, b_direct;  // the operand is read where it is

  explicit BlockedProduct(const Product<T>& product) : p(product) {
    panel_rows = even_part(p.m, kTileRows);
    depth = even_part(p.k, kBlocks<C>.depth);
    slab = kNative ? kBlocks<C>.slab : kBlocks<C>.slab / 2;
    // With few columns a packed value would be used too seldom to pay: packing takes about as long
    // as a product with 64 columns, or 256 where A lies in rows and is read ahead by itself. Rows a
    // multiple of half a page apart fall into the same cache sets.
    const int64_t step = max_of(p.a_row, p.a_col) * static_cast<int64_t>(sizeof(C));
    const bool spread = step % 2048 != 0 || p.m * p.k <= 8192;
    const bool few_cols = p.n <= 2 * kTileCols<C> || (p.n <= 8 * kTileCols<C> && p.a_col == 1);
    a_direct = kNative && few_cols && spread && (p.a_col == 1 || p.a_row == 1);
    // B in rows of whole vectors is as good as packed where it stays in the second cache, and
    // better where too few rows of A would use it.
    const bool near = p.k * p.n * static_cast<int64_t>(sizeof(C)) <= 512 << 10;
    b_direct = kNative && p.b_col == 1 && p.n % kLanes<C> == 0 && (near || p.m <= 32);
  }

  int64_t panel_a_size() const { return panel_rows * depth + kPanelSlack<C>; }
  int64_t panel_b_size() const { return kTileCols<C> * depth; }

  void pack_a(int64_t row, int64_t k, int64_t k_count, C* out) const {
    pack_panel(p.a + row * p.a_row + k * p.a_col, p.a_row, p.a_col, min_of(panel_rows, p.m - row),
               p.m - row, k_count, out, panel_rows);
  }
  void pack_b(int64_t col, int64_t k, int64_t k_count, C* out) const {
    const int64_t left = p.n - col;
    pack_panel(p.b + k * p.b_row + col * p.b_col, p.b_col, p.b_row, min_of(kTileCols<C>, left),
               left, k_count, out, panel_width<C>(left));
  }

  void run() const {
    for (int64_t row = 0; row < p.m; row += slab)
      for (int64_t col = 0; col < p.n; col += slab)
        run_slab(row, min_of(slab, p.m - row), col, min_of(slab, p.n - col));
  }

  void run_slab(int64_t row, int64_t rows, int64_t col, int64_t cols) const {
    const int64_t block_rows = round_up(even_part(rows, kBlocks<C>.rows), panel_rows);
    const int64_t block_cols = round_up(even_part(cols, most_cols(rows, cols)), kTileCols<C>);
    const int64_t row_blocks = ceil_div(rows, block_rows), col_blocks = ceil_div(cols, block_cols);
    const int64_t panels_a = ceil_div(rows, panel_rows), panels_b = ceil_div(cols, kTileCols<C>);
    const OwnPanels<C> own(own_threads(panels_a, row_blocks * col_blocks),
                           a_direct ? 0 : panels_a * panel_a_size(),
                           b_direct ? 0 : block_cols * depth, row_blocks);
    // Otherwise an operand that several blocks need is packed once, before them; the other by the
    // block itself, into memory that stays in its core's cache.
    const bool share_a = !own.used() && !a_direct && col_blocks > 1;
    const bool share_b = !own.used() && !b_direct && row_blocks > 1;
    const Scratch<C> packed_a(share_a ? panels_a * panel_a_size() : 0);
    const Scratch<C> packed_b(share_b ? panels_b * panel_b_size() : 0);
    const bool has_partial = !kNative && p.k > depth;
    const Scratch<C> partial(has_partial ? rows * cols : 0);

    for (int64_t k = 0; k == 0 || k < p.k; k += depth) {
      const int64_t k_count = min_of(depth, p.k - k);
      pack_shared(row, col, k, k_count, packed_a.get(), share_a ? panels_a : 0, packed_b.get(),
                  share_b ? panels_b : 0);
      const int64_t work = block_rows * block_cols * max_of(k_count, 1);
      parallel_for(
          0, row_blocks * col_blocks, max_of(1, kTaskWork / work), [&](int64_t begin, int64_t end) {
            const bool keeps = own.serves_this_thread();
            const Scratch<C> own_a(keeps || share_a || a_direct
                                       ? 0
                                       : ceil_div(block_rows, panel_rows) * panel_a_size());
            const Scratch<C> own_b(keeps || share_b || b_direct ? 0 : block_cols * depth);
            for (int64_t i = begin; i < end; ++i) {
              // Columns outside where each thread packs: its part of the blocks then has few.
              const int64_t r_block = own.used() ? i % row_blocks : i / col_blocks;
              const int64_t q_block = own.used() ? i / row_blocks : i % col_blocks;
              const int64_t r = r_block * block_rows, q = q_block * block_cols;
              Block<T> block;
              block.rows = min_of(block_rows, rows - r);
              block.cols = min_of(block_cols, cols - q);
              block.depth = k_count;
              block.row = row + r;
              block.col = col + q;
              block.c = p.c + block.row * p.c_row + block.col;
              block.c_row = p.c_row;
              block.first = k == 0;
              block.last = k + k_count >= p.k;
              set_partial(block, partial.get(), r * cols + q, cols);
              C* const kept_a = keeps ? own.a() + r / panel_rows * panel_a_size() : nullptr;
              const PanelsA<C> a =
                  keeps
                      ? panels_of_a(block, k, kept_a, !a_direct && own.lacks(r_block, k))
                      : panels_of_a(block, k,
                                    own_a.get() ? own_a.get()
                                                : packed_a.get() + r / panel_rows * panel_a_size(),
                                    own_a.get() != nullptr);
              const PanelsB<C> b =
                  keeps ? panels_of_b(block, k, own.b(),
                                      !b_direct && own.lacks(row_blocks, k * col_blocks + q_block))
                        : panels_of_b(block, k,
                                      own_b.get()
                                          ? own_b.get()
                                          : packed_b.get() + q / kTileCols<C> * panel_b_size(),
                                      own_b.get() != nullptr);
              multiply_block(p.epilogue, block, a, b);
            }
          });
    }
  }

  // Columns of a block: few where there is one block of rows, so that there are several tasks.
  int64_t most_cols(int64_t rows, int64_t cols) const {
    if (rows > kBlocks<C>.rows || rows * cols * p.k < 4 * kTaskWork) return kBlocks<C>.cols;
    return min_of(kBlocks<C>.cols, ceil_div(cols, 4));
  }

  // How many threads pack for themselves; 0 where panels are shared.
  int own_threads(int64_t panels_a, int64_t blocks) const {
    const int threads = num_threads();
    const bool few = threads > 1 && threads <= OwnPanels<C>::kMostThreads && !in_parallel();
    return few && blocks > 1 && panels_a * panel_a_size() <= OwnPanels<C>::kMostValues ? threads
                                                                                       : 0;
  }

  void pack_shared(int64_t row, int64_t col, int64_t k, int64_t k_count, C* a, int64_t panels_a,
                   C* b, int64_t panels_b) const {
    parallel_for(0, panels_a + panels_b, max_of(1, 32768 / panel_b_size()),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t j = i - panels_a;
                     if (j < 0) {
                       pack_a(row + i * panel_rows, k, k_count, a + i * panel_a_size());
                     } else {
                       pack_b(col + j * kTileCols<C>, k, k_count, b + j * panel_b_size());
                     }
                   }
                 });
  }

  void set_partial(Block<T>& block, C* partial, int64_t at, int64_t cols) const {
    if constexpr (kNative) {
      block.partial = block.c;
      block.partial_row = block.c_row;
    } else {
      block.partial = partial ? partial + at : nullptr;
      block.partial_row = cols;
    }
  }

  // The block's panels at `at`, packed there first when they are not yet.
  PanelsA<C> panels_of_a(const Block<T>& block, int64_t k, C* at, bool pack) const {
    if constexpr (kNative) {
      if (a_direct)
        return {p.a + block.row * p.a_row + k * p.a_col, p.a_row, p.a_col, panel_rows * p.a_row,
                panel_rows};
    }
    for (int64_t i = 0; pack && i < block.rows; i += panel_rows)
      pack_a(block.row + i, k, block.depth, at + i / panel_rows * panel_a_size());
    return {at, 1, panel_rows, panel_a_size(), panel_rows};
  }

  PanelsB<C> panels_of_b(const Block<T>& block, int64_t k, C* at, bool pack) const {
    if constexpr (kNative) {
      if (b_direct) return {p.b + k * p.b_row + block.col, kTileCols<C>, p.b_row};
    }
    for (int64_t j = 0; pack && j < block.cols; j += kTileCols<C>)
      pack_b(block.col + j, k, block.depth, at + j / kTileCols<C> * panel_b_size());
    return {at, panel_b_size(), 0};
  }
};

}  // namespace
}  // namespace gs::cpu
