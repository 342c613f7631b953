// Matrix products in tiles: a block computes a tile of C from tiles of A and B in shared memory,
// two of each by turns; a thread keeps a tile of sums in registers. Any strides.
#include "gemm.cuh"

namespace gs::cuda {
namespace {

// A block's tile of C and its depth, a thread's part of it, and blocks on a processor.
template <class Element, int Rows, int Cols, int Depth, int ThreadRows, int ThreadCols, int Blocks>
struct Tile {
  using T = Element;
  static constexpr int kRows = Rows, kCols = Cols, kDepth = Depth;
  static constexpr int kThreadRows = ThreadRows, kThreadCols = ThreadCols, kBlocks = Blocks;
  // A warp is four lanes down and eight across. A thread's rows are groups of four, the same group
  // of all lanes together: neighbours read neighbouring packs of shared memory.
  static constexpr int kGroupRows = 4 * 4, kGroupCols = 8 * 4;
  static constexpr int kWarpRows = 4 * ThreadRows, kWarpCols = 8 * ThreadCols;
  static constexpr int kWarpsDown = Rows / kWarpRows, kWarpsAcross = Cols / kWarpCols;
  static constexpr int kThreads = kWarpsDown * kWarpsAcross * 32;
  static_assert(Rows % kWarpRows == 0 && Cols % kWarpCols == 0);
  // Four more than a row needs: banks of rows that are written together differ.
  static constexpr int kARow = Rows + 4, kBRow = Cols + 4;
  static constexpr int kAValues = Depth * kARow, kBValues = Depth * kBRow;
  static constexpr int kStageRows = kWarpsDown * kGroupRows;
  static constexpr int kStageValues = kStageRows * kBRow, kPairs = 2 * (kAValues + kBValues);
  static constexpr int kShared = kPairs > kStageValues ? kPairs : kStageValues;
};

// Brings tiles of one operand, rows x depth, by way of registers to shared memory, where they lie
// (depth, rows) in the type of the sums. A thread takes packs along the dimension that is dense.
template <class T, int Rows, int Depth, int Threads>
class Loader {
  using C = compute_t<T>;
  static constexpr int kEach = Rows * Depth / Threads, kWidest = kPackBytes / sizeof(T);
  static constexpr int kPack = kEach < kWidest ? kEach : kWidest, kPacks = kEach / kPack;
  static_assert(Rows * Depth % Threads == 0 && kEach % kPack == 0 && Depth % kPack == 0);

 public:
  GS_DEVICE Loader(const T* p, int64_t row_stride, int64_t k_stride, int64_t first_row,
                   int64_t rows, int64_t first_k)
      : along_k_(k_stride == 1 || row_stride != 1),
        rows_left_(static_cast<int>(rows - first_row < Rows ? rows - first_row : Rows)) {
    GS_UNROLL for (int i = 0; i < kPacks; ++i) at_[i] =
        p + (first_row + row(i)) * row_stride + (first_k + k(i)) * k_stride;
  }

  // The next tile, of which k_left columns exist; zeros beyond the edges.
  GS_DEVICE void load(int64_t row_stride, int64_t k_stride, bool packs, int k_left) {
    const int64_t stride = along_k_ ? k_stride : row_stride;
    GS_UNROLL for (int i = 0; i < kPacks; ++i) {
      const int rows = rows_left_ - row(i), depth = k_left - k(i);
      const int there = rows <= 0 || depth <= 0 ? 0 : along_k_ ? depth : rows;
      if (packs && there >= kPack) {
        values_[i] = load_pack<T, kPack>(at_[i]);
      } else {
        GS_UNROLL for (int j = 0; j < kPack; ++j) values_[i].v[j] =
            j < there ? at_[i][j * stride] : T(0);
      }
      at_[i] += Depth * k_stride;
    }
  }

  GS_DEVICE void store(C* tile, int tile_row) const {
    GS_UNROLL for (int i = 0; i < kPacks; ++i) {
      C* to = tile + k(i) * tile_row + row(i);
      if (along_k_) {
        GS_UNROLL for (int j = 0; j < kPack; ++j) to[j * tile_row] = widen(values_[i].v[j]);
      } else {
        Pack<C, kPack> wide;
        GS_UNROLL for (int j = 0; j < kPack; ++j) wide.v[j] = widen(values_[i].v[j]);
        store_pack<C, kPack>(to, wide);
      }
    }
  }

 private:
  // Where in the tile pack i lies.
  GS_DEVICE int row(int i) const {
    const int e = static_cast<int>(threadIdx.x) + i * Threads;
    return along_k_ ? e / (Depth / kPack) : e % (Rows / kPack) * kPack;
  }
  GS_DEVICE int k(int i) const {
    const int e = static_cast<int>(threadIdx.x) + i * Threads;
    return along_k_ ? e % (Depth / kPack) * kPack : e / (Rows / kPack);
  }

  bool along_k_;
  int rows_left_;
  const T* at_[kPacks];
  Pack<T, kPack> values_[kPacks];
};

// `Count` values in groups of four, the groups `Distance` apart, 16 bytes at a time.
template <int Count, int Distance, class C>
GS_DEVICE void load_groups(const C* from, C (&to)[Count]) {
  constexpr int kPack = kPackBytes / sizeof(C) < 4 ? kPackBytes / sizeof(C) : 4;
  GS_UNROLL for (int i = 0; i < Count; i += kPack) {
    const Pack<C, kPack> pack = load_pack<C, kPack>(from + i / 4 * Distance + i % 4);
    GS_UNROLL for (int j = 0; j < kPack; ++j) to[i + j] = pack.v[j];
  }
}

template <class Tile, class C>
GS_DEVICE void multiply(const C* a, const C* b, C (&sums)[Tile::kThreadRows][Tile::kThreadCols]) {
  GS_UNROLL for (int k = 0; k < Tile::kDepth; ++k) {
    C x[Tile::kThreadRows], y[Tile::kThreadCols];
    load_groups<Tile::kThreadRows, Tile::kGroupRows>(a + k * Tile::kARow, x);
    load_groups<Tile::kThreadCols, Tile::kGroupCols>(b + k * Tile::kBRow, y);
    GS_UNROLL for (int i = 0; i < Tile::kThreadRows; ++i) {
      GS_UNROLL for (int j = 0; j < Tile::kThreadCols; ++j) sums[i][j] += x[i] * y[j];
    }
  }
}

template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    tile_kernel(const __grid_constant__ Product<typename Tile::T> p) {
  using T = typename Tile::T;
  using C = compute_t<T>;
  constexpr int kDepth = Tile::kDepth;
  GS_SHARED_ALIGNED(32, shared, C[Tile::kShared]);
  C* tiles_a = shared;
  C* tiles_b = shared + 2 * Tile::kAValues;
  const int64_t batch = p.first_batch + blockIdx.z, first_k = blockIdx.y * p.split_k;
  const int64_t depth = p.k - first_k < p.split_k ? p.k - first_k : p.split_k;
  const TilePlace<Tile::kRows, Tile::kCols> at(p.m, p.n);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const int warp_row = warp / Tile::kWarpsAcross, warp_col = warp % Tile::kWarpsAcross;
  const int my_row = warp_row * Tile::kWarpRows + lane / 8 * 4;
  const int my_col = warp_col * Tile::kWarpCols + lane % 8 * 4;

  Loader<T, Tile::kRows, kDepth, Tile::kThreads> a(p.a + p.a_batch(batch), p.a_row, p.a_k, at.row(),
                                                   p.m, first_k);
  Loader<T, Tile::kCols, kDepth, Tile::kThreads> b(p.b + p.b_batch(batch), p.b_row, p.b_k, at.col(),
                                                   p.n, first_k);
  C sums[Tile::kThreadRows][Tile::kThreadCols] = {};
  const int tiles = static_cast<int>(ceil_div(depth, kDepth));
  const int in_last = static_cast<int>(depth - int64_t(tiles - 1) * kDepth);
  const auto bring = [&](int tile) {
    const int left = tile + 1 < tiles ? kDepth : in_last;
    a.load(p.a_row, p.a_k, p.a_packs, left), b.load(p.b_row, p.b_k, p.b_packs, left);
  };
  const auto put = [&](int which) {
    a.store(tiles_a + which * Tile::kAValues, Tile::kARow);
    b.store(tiles_b + which * Tile::kBValues, Tile::kBRow);
  };
  if (tiles > 0) bring(0), put(0);
  __syncthreads();
  for (int tile = 0; tile < tiles; ++tile) {
    const bool more = tile + 1 < tiles;
    const int which = tile % 2;
    if (more) bring(tile + 1);  // on its way during the multiplications
    multiply<Tile>(tiles_a + which * Tile::kAValues + my_row,
                   tiles_b + which * Tile::kBValues + my_col, sums);
    if (more) put(which ^ 1);
    __syncthreads();
  }

  // Through shared memory to whole rows of C, a group of every thread's rows at a time.
  GS_UNROLL for (int group = 0; group < Tile::kThreadRows / 4; ++group) {
    if (group > 0) __syncthreads();
    C* stage = shared + (warp_row * Tile::kGroupRows + lane / 8 * 4) * Tile::kBRow + my_col;
    GS_UNROLL for (int i = 0; i < 4; ++i) {
      GS_UNROLL for (int j = 0; j < Tile::kThreadCols; j += 4) {
        Pack<C, 4> pack;
        GS_UNROLL for (int q = 0; q < 4; ++q) pack.v[q] = sums[group * 4 + i][j + q];
        store_pack<C, 4>(stage + i * Tile::kBRow + j / 4 * Tile::kGroupCols, pack);
      }
    }
    __syncthreads();
    give_rows<Tile::kCols, Tile::kThreads>(
        p, batch, at.col(), shared, Tile::kBRow, Tile::kStageRows, [&](int r) {
          return at.row() + r / Tile::kGroupRows * Tile::kWarpRows + group * Tile::kGroupRows +
                 r % Tile::kGroupRows;
        });
  }
}

template <class Tile, class T>
void run(const Product<T>& p) {
  launch_product(p, ceil_div(p.m, Tile::kRows) * ceil_div(p.n, Tile::kCols), Tile::kThreads, 0,
                 tile_kernel<Tile>);
}

}  // namespace

template <class T>
void tile_product(const Product<T>& p, Path path) {
  if constexpr (std::is_same_v<T, float>) {
    if (path == Path::LargeTile) return run<Tile<T, 128, 128, 8, 8, 8, 2>>(p);
    if (path == Path::NarrowTile) return run<Tile<T, 32, 64, 16, 4, 4, 4>>(p);
  }
  run<Tile<T, 64, 64, 16, 4, 4, sizeof(T) == 8 ? 1 : 2>>(p);
}

template void tile_product(const Product<float>& p, Path path);
template void tile_product(const Product<double>& p, Path path);
template void tile_product(const Product<Half>& p, Path path);
template void tile_product(const Product<BFloat16>& p, Path path);

}  // namespace gs::cuda
