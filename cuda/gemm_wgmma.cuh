// The parts of the products by wgmma (gemm_wgmma.cu): how a block's work is cut, where its pieces
// lie, the ring of stages between the warp that brings tiles and those that multiply them, and the
// way of the sums to C.
#pragma once

#include "gemm.cuh"
#include "ptx/tensor_copy.cuh"
#include "ptx/wgmma.cuh"

namespace gs::cuda {

inline constexpr int kGroupThreads = 128, kGroupWarps = 4;  // of a warpgroup

// A block's tile is 128 x Cols, 64 rows for each of two warpgroups; 64 of k, the width of the
// copies' swizzle, to a stage. A third warpgroup has the one thread that brings the tiles.
template <class Element, bool AAlongK, bool BAlongK, int Cols, int Stages>
struct WgmmaTile {
  using T = Element;
  static_assert(sizeof(T) == 2 && Cols % 64 == 0 && Cols <= 256);
  static constexpr bool kAAlongK = AAlongK, kBAlongK = BAlongK;
  static constexpr int kRows = 128, kCols = Cols, kDepth = 64, kStages = Stages;
  static constexpr int kConsumers = 2, kGroupRows = kRows / kConsumers;
  static constexpr int kThreads = (kConsumers + 1) * kGroupThreads;
  static constexpr int kSums = Cols / 2;  // of a thread
  static constexpr int kLine = kDepth * static_cast<int>(sizeof(T));
  static constexpr int kABytes = kRows * kLine, kBBytes = Cols * kLine;
  static constexpr int kStageBytes = kABytes + kBBytes;
  // Registers of a thread that brings and of one that multiplies: together those of the launch.
  static constexpr int kFewRegisters = 40, kManyRegisters = 232;
  // Dynamic shared memory: the stages, a piece for each warp's sums, the barriers.
  static constexpr int kSumsRow = 64, kSumsRows = 16;  // of floats
  static constexpr int kSumsValues = kSumsRow * kSumsRows;
  static constexpr int kSumsAt = Stages * kStageBytes;
  static constexpr int kBarriersAt = kSumsAt + kConsumers * kGroupWarps * kSumsValues * 4;
  static constexpr size_t kSharedBytes = kBarriersAt + 2 * Stages * sizeof(uint64_t);
  static_assert(kSharedBytes <= size_t(227) << 10);
};

// Which stage is next, and the parity of its barriers' phase.
template <int Stages>
struct Ring {
  int stage = 0;
  unsigned parity = 0;
  GS_DEVICE void next() {
    if (++stage == Stages) stage = 0, parity ^= 1;
  }
};

// What is computed between two writings of sums: a tile of C, a part of k, a matrix of the batch.
// Blocks take units in the order of their numbers, a grid's width apart: neighbours in number run
// at one time. Tiles are numbered down a band and then across, so that those which run together
// are about a square of C and share rows of A and of B in the second cache.
template <class W>
struct Unit {
  int64_t row, col, batch, split, first_k;
  int steps;

  template <class T>
  GS_DEVICE Unit(const Product<T>& p, unsigned number) {
    constexpr unsigned kBand = W::kCols == 256 ? 16 : W::kCols == 128 ? 12 : 8;
    const unsigned down = static_cast<unsigned>(ceil_div(p.m, W::kRows)),
                   across = static_cast<unsigned>(ceil_div(p.n, W::kCols)), tiles = down * across;
    const unsigned other = number / tiles, tile = number - other * tiles;
    const unsigned splits = static_cast<unsigned>(p.splits);
    batch = other / splits, split = other - batch * splits;
    const unsigned band = tile / (kBand * across), within = tile - band * kBand * across;
    const unsigned left = down - band * kBand, height = left < kBand ? left : kBand;
    row = int64_t(band * kBand + within % height) * W::kRows;
    col = int64_t(within / height) * W::kCols;
    first_k = split * p.split_k;
    const int64_t depth = p.k - first_k < p.split_k ? p.k - first_k : p.split_k;
    steps = static_cast<int>(ceil_div(depth, W::kDepth));
  }
};

// One operand's boxes of a tile. Along k a box is all its rows; otherwise, 64 rows.
template <bool AlongK, int Rows, int Line>
GS_DEVICE void bring_operand(char* to, const ptx::TensorMap& map, const BatchOffsets& batches,
                             int64_t batch, int64_t row, int64_t k, uint64_t* barrier) {
  const int32_t z = static_cast<int32_t>(batches.inner_stride ? batch % batches.inner : 0);
  const int32_t w = static_cast<int32_t>(batches.outer_stride ? batch / batches.inner : 0);
  const int32_t y = static_cast<int32_t>(row), x = static_cast<int32_t>(k);
  if constexpr (AlongK) {
    ptx::copy_box(to, map, {x, y, z, w}, barrier);
  } else {
    GS_UNROLL for (int r = 0; r < Rows; r += 64)
        ptx::copy_box(to + r * Line, map, {y + r, x, z, w}, barrier);
  }
}

// ---------------------------------------------------------------- from sums to C

// Where in a warp's piece of shared memory sum (row, col) of 16 x 64 lies. Packs of four change
// places so that neither the lanes that write fragments nor those that read rows share banks.
GS_DEVICE int sum_place(int row, int col) {
  return row * 64 + (((col / 4) ^ (col / 32) ^ (row % 8 * 2)) * 4) + col % 4;
}

// Eight sums in a row, on to C in a pack of 16 bytes. `stage` is theirs.
template <class T>
GS_DEVICE void write_eight(const Product<T>& p, int64_t batch, int64_t row, int64_t col,
                           float* first, float* second) {
  Pack<float, 4> v[2] = {load_pack<float, 4>(first), load_pack<float, 4>(second)};
  T* to = p.c + batch * p.c_batch + row * p.c_row + col;
  const float alpha = static_cast<float>(p.alpha), beta = static_cast<float>(p.beta);
  GS_UNROLL for (int i = 0; i < 8; ++i) v[i / 4].v[i % 4] *= alpha;
  if (p.beta != 0) {
    const Pack<T, 8> before = load_pack<T, 8>(to);
    GS_UNROLL for (int i = 0; i < 8; ++i) v[i / 4].v[i % 4] += beta * widen(before.v[i]);
  }
  if (p.bias) {
    GS_UNROLL for (int i = 0; i < 8; ++i) v[i / 4].v[i % 4] +=
        widen(p.bias[p.bias_per_row ? row : col + i]);
  }
  const auto activation = static_cast<Activation>(p.activation);
  if (activation != Activation::None) {  // in a loop: an activation is long, and there are five
    store_pack<float, 4>(first, v[0]), store_pack<float, 4>(second, v[1]);
    _Pragma("unroll 1") for (int i = 0; i < 8; ++i) {
      float* at = (i < 4 ? first : second) + i % 4;
      *at = activate(activation, *at);
    }
    v[0] = load_pack<float, 4>(first), v[1] = load_pack<float, 4>(second);
  }
  Pack<T, 8> out;
  GS_UNROLL for (int i = 0; i < 8; ++i) out.v[i] = T(v[i / 4].v[i % 4]);
  store_pack<T, 8>(to, out);
}

// A warp's 16 x 64 sums, from its piece of shared memory: eight lanes to a row.
template <class T>
GS_DEVICE void give_piece(const Product<T>& p, bool wide, int64_t batch, int64_t split, int64_t row,
                          int64_t first_col, float* piece) {
  const int lane = static_cast<int>(threadIdx.x) % 32, col = lane % 8 * 8;
  const int64_t left = p.n - first_col - col;
  _Pragma("unroll 1") for (int r = lane / 8; r < 16; r += 4) {
    if (row + r >= p.m || left <= 0) continue;
    float *first = piece + sum_place(r, col), *second = piece + sum_place(r, col + 4);
    if (p.sums && left >= 8 && p.n % 4 == 0) {
      float* to = sums_of(p, split, batch, row + r, first_col + col);
      store_pack<float, 4>(to, load_pack<float, 4>(first));
      store_pack<float, 4>(to + 4, load_pack<float, 4>(second));
    } else if (!p.sums && left >= 8 && wide) {
      write_eight(p, batch, row + r, first_col + col, first, second);
    } else {
      _Pragma("unroll 1") for (int i = 0; i < 8 && i < left; ++i) {
        const float sum = (i < 4 ? first : second)[i % 4];
        if (p.sums)
          *sums_of(p, split, batch, row + r, first_col + col + i) = sum;
        else
          write_one(p, batch, row + r, first_col + col + i, sum);
      }
    }
  }
}

// A warp's 16 rows of sums from its threads' registers, 64 columns at a time. The rounds are one
// piece of code; which registers a round takes is known when it is compiled.
template <int Cols, class T>
GS_DEVICE void give_sums(const Product<T>& p, bool wide, int64_t batch, int64_t split, int64_t row,
                         int64_t col, const float (&sums)[Cols / 2], float* piece) {
  const int lane = static_cast<int>(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
  _Pragma("unroll 1") for (int round = 0; round < Cols / 64; ++round) {
    GS_UNROLL for (int q = 0; q < Cols / 64; ++q) {
      if (q != round) continue;
      GS_UNROLL for (int j = 0; j < 8; ++j) {
        const float* of = sums + (q * 8 + j) * 4;
        store_pack<float, 2>(piece + sum_place(g, j * 8 + t * 2), {of[0], of[1]});
        store_pack<float, 2>(piece + sum_place(g + 8, j * 8 + t * 2), {of[2], of[3]});
      }
    }
    __syncwarp();
    give_piece(p, wide, batch, split, row, col + round * 64, piece);
    __syncwarp();  // the next round writes where this one's lanes have read
  }
}

}  // namespace gs::cuda
