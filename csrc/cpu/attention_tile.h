// What attention and its gradient share: a tile of scores, kept transposed. Rows are keys and lanes
// are queries, so that a query's maximum, sum and rescaling are whole-vector operations, and only
// the query tile is ever packed: keys and values are read where they lie.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>

#include "cpu/panel.h"
#include "cpu/scratch.h"
#include "cpu/shuffle.h"
#include "cpu/vmath.h"

namespace gs::cpu {
namespace {

inline constexpr int64_t kTile =
    64;  // queries and keys in a tile; also the row length of score tiles

GS_INLINE int64_t tiles_of(int64_t n) { return (n + kTile - 1) / kTile; }
GS_INLINE int64_t tile_size(int64_t tile, int64_t n) {
  return n - tile * kTile < kTile ? n - tile * kTile : kTile;
}

// A run of keys and the lanes (queries of the tile) that may see some of them: [lane0, queries).
struct KeyBlock {
  int64_t key0, keys, lane0;
  bool diagonal;  // some query of these lanes may not see some key
};

// The block at key0, which ends at `end` at the latest. Along the diagonal of a causal mask blocks
// are half as long, and leave out the lanes in which every key lies ahead.
template <class Params>
GS_INLINE KeyBlock key_block(const Params& p, int64_t query0, int64_t key0, int64_t end) {
  constexpr int64_t kHalf = kTile / 2;
  const bool diagonal = p.causal && (key0 + kTile < end ? key0 + kTile : end) - 1 > query0;
  const int64_t most = diagonal ? kHalf : kTile;
  const int64_t lane0 = diagonal && key0 > query0 ? (key0 - query0) / kHalf * kHalf : 0;
  return {key0, end - key0 < most ? end - key0 : most, lane0, diagonal};
}

// Number of keys that any query of [first, first + count) sees.
template <class Params>
GS_INLINE int64_t visible_keys(const Params& p, int64_t first, int64_t count) {
  return p.causal && first + count < p.u ? first + count : p.u;
}

template <class C, class Params>
GS_INLINE const C* mask_of(const Params& p, int64_t head) {
  if (!p.mask) return nullptr;
  return static_cast<const C*>(p.mask) + head / p.heads * p.mask_batch_stride +
         head % p.heads * p.mask_head_stride;
}

// to (columns x kTile) = from (rows x columns)^T; lanes up to whole vectors are 0.
template <class C>
GS_INLINE void transpose_rows(const C* from, int64_t rows, int64_t columns, C* to) {
  transpose(from, columns, rows, columns, to, kTile);
  for (int64_t i = rows; i < round_up_to_lanes<C>(rows); ++i)
    for (int64_t j = 0; j < columns; ++j) to[j * kTile + i] = C(0);
}

// scores (keys x queries) = K (scaled Q)^T + mask, -inf where a query may not look.
// k: the first key of the block; mask: the first query's row (null: none), turned round in `room`
// (kTile, kTile).
template <class C>
GS_INLINE void score_tile(const C* k, const KeyBlock& block, const C* q_transposed, int64_t query0,
                          int64_t queries, int64_t d, const C* mask, int64_t u, C* room,
                          C* scores) {
  product(LeftMatrix<C, false>{k, d}, block.keys, round_up_to_lanes<C>(queries) - block.lane0, d,
          q_transposed + block.lane0, kTile, scores + block.lane0, kTile, false);
  if (mask) {
    transpose(mask + block.lane0 * u + block.key0, u, queries - block.lane0, block.keys, room,
              kTile);
    for (int64_t j = 0; j < block.keys; ++j)
      for (int64_t i = block.lane0; i < queries; ++i)
        scores[j * kTile + i] += room[j * kTile + i - block.lane0];
  }
  if (!block.diagonal) return;
  for (int64_t j = 0; j < block.keys; ++j)
    for (int64_t i = block.lane0; i < queries && query0 + i < block.key0 + j; ++i)
      scores[j * kTile + i] = -std::numeric_limits<C>::infinity();
}

}  // namespace
}  // namespace gs::cpu
