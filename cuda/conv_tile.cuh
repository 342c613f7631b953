// The product of two tiles in shared memory, summed in registers: what the convolutions and the
// weight gradient have in common.
#pragma once

#include "ptx/mma.cuh"
#include "vec.cuh"

namespace gs::cuda {

// Sums `steps` tiles of K. The loader fetches a step into registers while the step before is
// multiplied, then stores it into the buffer that nobody reads.
template <class Tile, class Loader>
GS_DEVICE void sum_tiles(const Tile& tile, Loader& loader, int32_t steps,
                         typename Tile::Sums& sums) {
  GS_SHARED(buffers, typename Tile::Operands[2]);
  if (steps == 0) return;
  loader.load(0);
  loader.store(buffers[0]);
  __syncthreads();
  for (int32_t step = 0; step < steps; ++step) {
    const bool more = step + 1 < steps;
    if (more) loader.load(step + 1);
    tile.add_product(buffers[step & 1], sums);
    if (more) loader.store(buffers[(step + 1) & 1]);
    __syncthreads();
  }
}

// C (M x N) += A (K x M)^T B (K x N), each thread a piece of RowsT x ColsT in pieces of 16 bytes.
// A warp is 4 x 8 threads: it reads few different rows and columns.
template <class C_, int M, int N, int RowsT, int ColsT>
struct ConvTile {
  using C = C_;
  using Element = C_;  // of the operands
  static constexpr int kM = M, kN = N, kK = 8, kRows = RowsT, kColumns = ColsT;
  static constexpr int kLanes = kPackBytes / sizeof(C);
  static constexpr int kThreadsM = kM / kRows, kThreadsN = kN / kColumns;
  static constexpr int kThreads = kThreadsM * kThreadsN;
  static constexpr int kPad = kLanes;  // a column of K stored by one warp falls into all banks
  static constexpr int kBlocks = kM == 128 ? 2 : kM == 64 && kThreads == 128 ? 3 : 512 / kThreads;
  static_assert(kRows % kLanes == 0 && kColumns % kLanes == 0);
  static_assert(kThreadsM % 4 == 0 && kThreadsN % 8 == 0);

  struct Operands {
    C a[kK][kM + kPad];
    C b[kK][kN + kPad];
    GS_DEVICE C& a_at(int m, int k) { return a[k][m]; }
    GS_DEVICE C& b_at(int n, int k) { return b[k][n]; }
  };
  using Sums = C[kRows][kColumns];

  int row, column;  // of this thread among kThreadsM x kThreadsN

  GS_DEVICE ConvTile() {
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    constexpr int kWarpsN = kThreadsN / 8;
    row = warp / kWarpsN * 4 + lane / 8;
    column = warp % kWarpsN * 8 + lane % 8;
  }
  // Place in the tile of row i and column j of this thread's sums.
  GS_DEVICE int row_of(int i) const {
    return i / kLanes * (kThreadsM * kLanes) + row * kLanes + i % kLanes;
  }
  GS_DEVICE int column_of(int j) const {
    return j / kLanes * (kThreadsN * kLanes) + column * kLanes + j % kLanes;
  }

  GS_DEVICE void add_product(const Operands& from, Sums& sums) const {
    GS_UNROLL for (int k = 0; k < kK; ++k) {
      Pack<C, kLanes> a[kRows / kLanes], b[kColumns / kLanes];
      GS_UNROLL for (int i = 0; i < kRows / kLanes; ++i) a[i] =
          load_pack<C, kLanes>(&from.a[k][row_of(i * kLanes)]);
      GS_UNROLL for (int j = 0; j < kColumns / kLanes; ++j) b[j] =
          load_pack<C, kLanes>(&from.b[k][column_of(j * kLanes)]);
      GS_UNROLL for (int i = 0; i < kRows; ++i) GS_UNROLL for (int j = 0; j < kColumns; ++j)
          sums[i][j] += a[i / kLanes].v[i % kLanes] * b[j / kLanes].v[j % kLanes];
    }
  }
};

// The same on tensor cores, sums in float: each warp makes WarpM x WarpN of C, in products of 16
// x 8.
template <int M, int N, int WarpM, int WarpN>
struct ConvWarpTile {
  using C = float;
  static constexpr int kM = M, kN = N;
  static constexpr int kRows = WarpM / 8, kColumns = WarpN / 4;  // sums of a thread
  static constexpr int kLanes = 2;                               // neighbours among them
  static constexpr int kWarpsN = N / WarpN, kThreads = M / WarpM * kWarpsN * 32;
  using Sums = float[kRows][kColumns];

  int row, column, lane;  // first of the warp

  GS_DEVICE ConvWarpTile() {
    const int warp = static_cast<int>(threadIdx.x) / 32;
    lane = static_cast<int>(threadIdx.x) % 32;
    row = warp / kWarpsN * WarpM;
    column = warp % kWarpsN * WarpN;
  }
  // Of a product, lane 4 g + t holds columns 2 t, 2 t + 1 of rows g and g + 8.
  GS_DEVICE int row_of(int i) const { return row + i * 8 + lane / 4; }
  GS_DEVICE int column_of(int j) const { return column + j / 2 * 8 + lane % 4 * 2 + j % 2; }

  // multiply(d) adds to the sums of product (i, j).
  template <class Multiply>
  static GS_DEVICE void add_to(Sums& sums, int i, int j, const Multiply& multiply) {
    float d[4] = {sums[2 * i][2 * j], sums[2 * i][2 * j + 1], sums[2 * i + 1][2 * j],
                  sums[2 * i + 1][2 * j + 1]};
    multiply(d);
    sums[2 * i][2 * j] = d[0], sums[2 * i][2 * j + 1] = d[1];
    sums[2 * i + 1][2 * j] = d[2], sums[2 * i + 1][2 * j + 1] = d[3];
  }
};

// Of 16-bit floats. A lies along K, and so does B where that is how it is loaded.
template <class T, int M, int N, int WarpM, int WarpN, bool kBAlongK>
struct ConvTensorTile : ConvWarpTile<M, N, WarpM, WarpN> {
  using Warps = ConvWarpTile<M, N, WarpM, WarpN>;
  using Warps::row, Warps::column, Warps::lane;
  using Element = T;
  static constexpr int kK = 32;
  static constexpr int kBlocks = 512 / Warps::kThreads;
  static constexpr int kPad = 8;  // eight lines of a fragment fall into all banks
  static_assert(WarpM % 16 == 0 && WarpN % 16 == 0);

  struct Operands {
    T a[M][kK + kPad];
    T b[kBAlongK ? N : kK][(kBAlongK ? kK : N) + kPad];
    GS_DEVICE T& a_at(int m, int k) { return a[m][k]; }
    GS_DEVICE T& b_at(int n, int k) { return kBAlongK ? b[n][k] : b[k][n]; }
  };

  GS_DEVICE void add_product(const Operands& from, typename Warps::Sums& sums) const {
    const int of_8 = lane % 8, low = lane / 8 % 2 * 8, high = lane / 16 * 8;
    GS_UNROLL for (int k = 0; k < kK; k += 16) {
      uint32_t a[WarpM / 16][4], b[WarpN / 16][4];
      GS_UNROLL for (int i = 0; i < WarpM / 16; ++i)
          ptx::load_matrices<false>(a[i], &from.a[row + i * 16 + low + of_8][k + high]);
      GS_UNROLL for (int j = 0; j < WarpN / 16; ++j) {
        const int n = column + j * 16;
        if constexpr (kBAlongK)
          ptx::load_matrices<false>(b[j], &from.b[n + high + of_8][k + low]);
        else
          ptx::load_matrices<true>(b[j], &from.b[k + low + of_8][n + high]);
      }
      GS_UNROLL for (int i = 0; i < WarpM / 16; ++i) GS_UNROLL for (int j = 0; j < WarpN / 8; ++j) {
        const uint32_t pair[2] = {b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]};
        Warps::add_to(sums, i, j, [&](float (&d)[4]) { ptx::multiply_16x8x16<T>(d, a[i], pair); });
      }
    }
  }
};

// Three sizes for each type of values. The patches are B: gathered along N, or for the weight
// gradient along K.
template <class T, bool kBAlongK>
struct ConvTiles {
  using Large = ConvTensorTile<T, 128, 128, 32, 32, kBAlongK>;
  using Middle = ConvTensorTile<T, 64, 128, 32, 32, kBAlongK>;
  using Small = ConvTensorTile<T, 32, 64, 16, 32, kBAlongK>;
};
template <bool kBAlongK>
struct ConvTiles<float, kBAlongK> {
  using Large = ConvTile<float, 128, 128, 8, 8>;
  using Middle = ConvTile<float, 64, 128, 8, 8>;
  using Small = ConvTile<float, 32, 64, 4, 4>;
};
template <bool kBAlongK>
struct ConvTiles<double, kBAlongK> {  // twice the registers
  using Large = ConvTile<double, 64, 64, 4, 4>;
  using Middle = ConvTile<double, 64, 64, 4, 4>;
  using Small = ConvTile<double, 32, 64, 4, 4>;
};

template <class Tile>
int64_t tile_count(int64_t m, int64_t n) {
  return ceil_div(m, Tile::kM) * ceil_div(n, Tile::kN);
}

}  // namespace gs::cuda
