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

  // Tiles of Count rows of a tensor (total x columns), one after the other; zeros beyond it. A
  // thread copies one pack of every kStep-th row.
  template <int Count>
  class Source {
    static constexpr int kLanes = Width <= 32 ? 4 : Width <= 64 ? 8 : 16;
    static constexpr int kStep = kTensorThreads / kLanes;
    static_assert(Count % kStep == 0 && Width <= kLanes * kPack);

   public:
    GS_DEVICE Source(const T* from, int first, int total, int columns)
        : at_(from + int64_t(first + row()) * columns + column()),
          left_(column() < columns ? total - first - row() : 0) {}
    GS_DEVICE void bring(T* tile, int columns) {
      GS_UNROLL for (int i = 0; i < Count; i += kStep) {
        if (column() < Width)
          ptx::copy_async_16(tile + at(row() + i, column()), at_, i < left_ ? 16 : 0);
        at_ += kStep * columns;
      }
      left_ -= Count;
    }

   private:
    static GS_DEVICE int row() { return static_cast<int>(threadIdx.x) / kLanes; }
    static GS_DEVICE int column() { return static_cast<int>(threadIdx.x) % kLanes * kPack; }
    const T* at_;
    int left_;
  };

  // The warp's sums, times `factor(i, half)`, to rows first, first + 1, ... of `to`, by way of the
  // warp's own rows of a tile: whole packs, neighbours side by side.
  template <int Down, class Factor>
  static GS_DEVICE void give(const Sums<Down, Width / 8>& sums, T* room, T* to, int first,
                             int total, int columns, int lane, const Factor& factor) {
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
        ptx::store_16(to + int64_t(first + row) * columns + column, room + at(row, column));
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
  int t, u;
  bool causal;

  template <class Params>
  GS_DEVICE Sight(const Params& p, int64_t head)
      : mask(mask_of<T>(p, head)),
        t(static_cast<int>(p.t)),
        u(static_cast<int>(p.u)),
        causal(p.causal) {}
  // No query of [first, first + queries) may look at a key of [key, ...).
  GS_DEVICE bool none(int first, int queries, int key) const {
    return first >= t || (causal && key > first + queries - 1);
  }
  // Every query from `query` on sees all of the keys, the mask aside.
  GS_DEVICE bool all(int query, int key, int keys) const {
    return key + keys <= u && (!causal || key + keys - 1 <= query);
  }
  // Keys that the queries before `query` see.
  GS_DEVICE int keys_before(int query) const { return causal && query < u ? query : u; }
  // Of the keys from `key` on, a query sees so many (or more than there are, or less than none).
  GS_DEVICE int keys_seen(int query, int key) const {
    return query < t ? keys_before(query + 1) - key : 0;
  }
  // Of the queries from `query` on, so many do not see a key; `never` where none does.
  GS_DEVICE int queries_blind(int key, int query, int never) const {
    return key >= u ? never : causal ? key - query : 0;
  }
  // What the mask adds to a score, in units of base 2.
  GS_DEVICE float bias(int query, int key) const {
    return static_cast<float>(mask[int64_t(query) * u + key]) * kLog2E;
  }
};

// What fits: heads in rows of whole packs, at most 128 wide, rows that can be counted in 32 bits.
template <class Params>
bool tensor_shape(const Params& p) {
  constexpr int64_t kMostRows = int64_t(1) << 30;
  return p.d % 8 == 0 && p.v % 8 == 0 && p.d <= 128 && p.v <= 128 && p.t < kMostRows &&
         p.u < kMostRows;
}
// f gets the width of the tiles.
template <class F>
void visit_width(int64_t d, int64_t v, F&& f) {
  const int64_t width = d < v ? v : d;
  if (width <= 32) return f(std::integral_constant<int, 32>{});
  if (width <= 64) return f(std::integral_constant<int, 64>{});
  if (width <= 96) return f(std::integral_constant<int, 96>{});
  return f(std::integral_constant<int, 128>{});
}

}  // namespace gs::cuda
