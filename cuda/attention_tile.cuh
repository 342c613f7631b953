// What attention and its gradient share: tiles of rows in shared memory and their products.
#pragma once

#include <limits>

#include "core/dtype.h"
#include "kernels/params/attention.h"
#include "portable.cuh"
#include "runtime/stream.h"
#include "vec.cuh"

namespace gs::cuda {

inline constexpr int kAttentionThreads = 128;
inline constexpr int kQueries = 16, kKeys = 32;  // rows of a tile of queries and of keys

// Rows of a matrix in shared memory. One column more than needed: the threads of a warp read
// different rows at one column, which then lie in different banks.
template <class C>
struct Tile {
  C* data;
  int columns;
  GS_DEVICE int stride() const { return columns + 1; }
  GS_DEVICE C& at(int row, int column) const { return data[row * stride() + column]; }
  GS_DEVICE C* end(int rows) const { return data + rows * stride(); }
};
GS_HOST_DEVICE int64_t tile_elements(int64_t rows, int64_t columns) { return rows * (columns + 1); }

// Rows first, first + 1, ... of `from` (total x columns), times `factor`; 0 past the end.
template <class C, class T>
GS_DEVICE void load_rows(const Tile<C>& tile, int rows, const T* from, int64_t first, int64_t total,
                         C factor) {
  for (int i = static_cast<int>(threadIdx.x); i < rows * tile.columns; i += kAttentionThreads) {
    const int row = i / tile.columns, column = i % tile.columns;
    const int64_t at = first + row;
    tile.at(row, column) = at < total ? widen(from[at * tile.columns + column]) * factor : C(0);
  }
}

// Sum over the columns of a row of each.
template <class C>
GS_DEVICE C dot(const Tile<C>& a, int row_a, const Tile<C>& b, int row_b) {
  C sum = 0;
  for (int c = 0; c < a.columns; ++c) sum += a.at(row_a, c) * b.at(row_b, c);
  return sum;
}

// Where the mask of one head begins, or null.
template <class T, class Params>
GS_DEVICE const T* mask_of(const Params& p, int64_t head) {
  if (!p.mask) return nullptr;
  return static_cast<const T*>(p.mask) + head / p.heads * p.mask_batch_stride +
         head % p.heads * p.mask_head_stride;
}

// What is added to the score of a query and a key: -infinity where it may not look.
template <class C, class T>
GS_DEVICE C bias_of(const T* mask, bool causal, int64_t query, int64_t key, int64_t t, int64_t u) {
  if (query >= t || key >= u || (causal && key > query)) return -std::numeric_limits<C>::infinity();
  return mask ? widen(mask[query * u + key]) : C(0);
}

// Keys that any query of the tile sees: none lie beyond it.
template <class Params>
GS_DEVICE int64_t visible_keys(const Params& p, int64_t first_query) {
  const int64_t last = first_query + kQueries;
  return p.causal && last < p.u ? last : p.u;
}

// On tensor cores, for 16-bit floats: false, and nothing done, where the shape or the memory is not
// for them.
template <class T>
bool tensor_attention(const Attention& p);
template <class T>
bool tensor_attention_grad(const AttentionGrad& p);

}  // namespace gs::cuda
