// What attention on tensor cores and its gradient share: tiles of rows in shared memory, the two
// kinds of products of a warp, and the scores. Four warps a block; a warp has 16 * Down rows of the
// tile that stays, and goes over the tiles of the other side.
#pragma once

#include <limits>

#include "attention_tile.cuh"
#include "ptx/math.cuh"
#include "ptx/memory.cuh"
#include "ptx/mma.cuh"

namespace gs::cuda {

inline constexpr int kTensorWarps = 4, kTensorThreads = 32 * kTensorWarps;
inline constexpr float kLog2E = 1.44269504088896340736f, kLn2 = 0.69314718055994530942f;

// Sums of a warp, Down * 16 rows by Across * 8 columns, as the tensor cores hold them: element e of
// [i][j] is at row i * 16 + lane / 4 + e / 2 * 8, column j * 8 + lane % 4 * 2 + e % 2.
template <int Down, int Across>
using Sums = float[Down][Across][4];
// Sums as the left operand of a product, rounded to 16 bits, 16 columns to a step.
template <int Down, int Steps>
using Weights = uint32_t[Down][Steps][4];

GS_DEVICE int row_in_warp(int i, int e, int lane) { return i * 16 + lane / 4 + e / 2 * 8; }
GS_DEVICE int column_in_warp(int j, int e, int lane) { return j * 8 + lane % 4 * 2 + e % 2; }

// Rows of T in shared memory, Width columns. Eight more keep the lanes of ldmatrix in different
// banks, and rows at multiples of 16 bytes.
template <class T, int Width>
struct RowTile {
  static constexpr int kStride = Width + 8, kPack = 8;
  static constexpr GS_DEVICE int at(int row, int column) { return row * kStride + column; }
  static constexpr size_t bytes(int rows) { return size_t(rows) * kStride * sizeof(T); }

  // Count rows of `from` (total x columns) from `first` on; zeros beyond it. By all threads.
  template <int Count>
  static GS_DEVICE void bring(T* tile, const T* from, int64_t first, int64_t total, int columns) {
    constexpr int kAcross = Width / kPack;
    static_assert(Count * kAcross % kTensorThreads == 0);
    GS_UNROLL for (int i = 0; i < Count * kAcross; i += kTensorThreads) {
      const int pack = i + static_cast<int>(threadIdx.x);
      const int row = pack / kAcross, column = pack % kAcross * kPack;
      const bool inside = first + row < total && column < columns;
      ptx::copy_async_16(tile + at(row, column),
                         inside ? from + (first + row) * columns + column : from, inside ? 16 : 0);
    }
  }

  // The warp's sums, times `factor(i, half)`, to rows first, first + 1, ... of `to`, by way of the
  // warp's own rows of a tile: whole packs, neighbours side by side.
  template <int Down, class Factor>
  static GS_DEVICE void give(const Sums<Down, Width / 8>& sums, T* room, T* to, int64_t first,
                             int64_t total, int columns, int lane, const Factor& factor) {
    constexpr int kAcross = Width / kPack;
    __syncwarp();
    GS_UNROLL for (int i = 0; i < Down; ++i) {
      GS_UNROLL for (int half = 0; half < 2; ++half) {
        const float f = factor(i, half);
        GS_UNROLL for (int j = 0; j < Width / 8; ++j) {
          const float* pair = sums[i][j] + 2 * half;
          const int place = at(row_in_warp(i, 2 * half, lane), column_in_warp(j, 0, lane));
          *reinterpret_cast<uint32_t*>(room + place) = ptx::pack_pair<T>(pair[0] * f, pair[1] * f);
        }
      }
    }
    __syncwarp();
    for (int pack = lane; pack < Down * 16 * kAcross; pack += 32) {
      const int row = pack / kAcross, column = pack % kAcross * kPack;
      if (first + row < total && column < columns)
        ptx::store_16(to + (first + row) * columns + column, room + at(row, column));
    }
  }
};

// 16 rows of a tile as a left operand, 16 columns of depth from k on.
template <class Tile, class T>
GS_DEVICE void load_left(uint32_t (&r)[4], const T* rows, int row, int k, int lane) {
  ptx::load_matrices<false>(r, rows + Tile::at(row + lane % 16, k + lane / 16 * 8));
}

// sums (rows of a x rows of b) += a b^T: both have their depth along the tile's columns.
template <class Tile, class T, int Width, int Down, int Across>
GS_DEVICE void multiply_rows(Sums<Down, Across>& sums, const T* a, const T* b, int lane) {
  GS_UNROLL for (int k = 0; k < Width; k += 16) {
    uint32_t left[Down][4];
    GS_UNROLL for (int i = 0; i < Down; ++i) load_left<Tile>(left[i], a, i * 16, k, lane);
    GS_UNROLL for (int j = 0; j < Across; j += 2) {
      uint32_t pair[4];
      const int row = j * 8 + lane / 16 * 8 + lane % 8;
      ptx::load_matrices<false>(pair, b + Tile::at(row, k + lane / 8 % 2 * 8));
      GS_UNROLL for (int i = 0; i < Down; ++i) {
        ptx::multiply_16x8x16<T>(sums[i][j], left[i], {pair[0], pair[1]});
        ptx::multiply_16x8x16<T>(sums[i][j + 1], left[i], {pair[2], pair[3]});
      }
    }
  }
}

// sums (rows x columns of b) += weights (rows x rows of b) b.
template <class Tile, class T, int Down, int Steps, int Across>
GS_DEVICE void multiply_weights(Sums<Down, Across>& sums, const Weights<Down, Steps>& weights,
                                const T* b, int lane) {
  GS_UNROLL for (int s = 0; s < Steps; ++s) {
    GS_UNROLL for (int j = 0; j < Across; j += 2) {
      uint32_t pair[4];
      ptx::load_matrices<true>(pair, b + Tile::at(s * 16 + lane % 16, j * 8 + lane / 16 * 8));
      GS_UNROLL for (int i = 0; i < Down; ++i) {
        ptx::multiply_16x8x16<T>(sums[i][j], weights[i][s], {pair[0], pair[1]});
        ptx::multiply_16x8x16<T>(sums[i][j + 1], weights[i][s], {pair[2], pair[3]});
      }
    }
  }
}

template <class T, int Down, int Steps>
GS_DEVICE void round_sums(Weights<Down, Steps>& weights, const Sums<Down, 2 * Steps>& sums) {
  GS_UNROLL for (int i = 0; i < Down; ++i) {
    GS_UNROLL for (int s = 0; s < Steps; ++s) {
      GS_UNROLL for (int q = 0; q < 4; ++q) {
        const float* pair = sums[i][2 * s + q / 2] + q % 2 * 2;
        weights[i][s][q] = ptx::pack_pair<T>(pair[0], pair[1]);
      }
    }
  }
}

// Who may look at whom, in one head.
template <class T>
struct Sight {
  const T* mask;  // of the head, or null
  int64_t t, u;
  bool causal;

  template <class Params>
  GS_DEVICE Sight(const Params& p, int64_t head)
      : mask(mask_of<T>(p, head)), t(p.t), u(p.u), causal(p.causal) {}
  // No query of [first, first + queries) may look at a key of [key, ...).
  GS_DEVICE bool none(int64_t first, int queries, int64_t key) const {
    return first >= t || (causal && key > first + queries - 1);
  }
  // Every query of a tile sees every key of it, without a mask.
  GS_DEVICE bool all(int64_t query, int64_t key, int keys) const {
    return !mask && key + keys <= u && (!causal || key + keys - 1 <= query);
  }
  // What a score becomes, in units of base 2.
  GS_DEVICE float operator()(float score, int64_t query, int64_t key) const {
    if (key >= u || (causal && key > query)) return -std::numeric_limits<float>::infinity();
    return mask && query < t ? score + widen(mask[query * u + key]) * kLog2E : score;
  }
};

// Heads that fit: rows of whole packs, at most 128 wide. f gets the width of the tiles.
inline bool tensor_heads(int64_t d, int64_t v) {
  return d % 8 == 0 && v % 8 == 0 && d <= 128 && v <= 128;
}
template <class F>
void visit_width(int64_t d, int64_t v, F&& f) {
  const int64_t width = d < v ? v : d;
  if (width <= 32) return f(std::integral_constant<int, 32>{});
  if (width <= 64) return f(std::integral_constant<int, 64>{});
  if (width <= 96) return f(std::integral_constant<int, 96>{});
  return f(std::integral_constant<int, 128>{});
}

}  // namespace gs::cuda
