// Products on tensor cores: tiles of A and B come to shared memory by asynchronous copies, a few of
// them ahead of the one that the warps multiply. What a step of the multiplication is depends on
// the type; everything around it is here.
#pragma once

#include "gemm.cuh"
#include "ptx/mma.cuh"

namespace gs::cuda {

// One operand's tile in shared memory: rows of k, or, where the operand's rows are dense and not
// its k, lines of rows. A line is longer than its values by what spreads the fragments over all
// banks.
template <class T, int Rows, int Depth, bool AlongK, int Threads>
class OperandTile {
  static constexpr int kPack = kPackBytes / sizeof(T);
  static constexpr int kInner = AlongK ? Depth : Rows, kLines = AlongK ? Rows : Depth;
  static constexpr int kPad = sizeof(T) == 2 ? 8 : AlongK ? 4 : 8, kLine = kInner + kPad;
  // A thread copies a pack of every kStep-th line.
  static constexpr int kStep = Threads / (kInner / kPack);
  static_assert(kInner % kPack == 0 && Threads % (kInner / kPack) == 0 && kLines % kStep == 0);

 public:
  static constexpr int kValues = kLines * kLine;
  // Element (row, k) of the tile.
  static GS_DEVICE int at(int row, int k) { return AlongK ? row * kLine + k : k * kLine + row; }

  // `other` is the stride that is not 1.
  GS_DEVICE OperandTile(const T* p, int64_t other, int64_t first_row, int64_t rows, int64_t first_k)
      : rows_left_(static_cast<int>(rows - first_row < Rows ? rows - first_row : Rows)) {
    p += AlongK ? first_row * other + first_k : first_k * other + first_row;
    at_ = p + line() * other + inner();
  }

  // The next tile, of which k_left columns exist; zeros beyond the edges.
  GS_DEVICE void bring(T* tile, int64_t other, int k_left) {
    const int left = (AlongK ? k_left : rows_left_) - inner();
    const int there = left <= 0 ? 0 : left >= kPack ? kPack : left;
    const T* from = at_;
    GS_UNROLL for (int i = 0; i < kLines; i += kStep) {
      const bool outside = line() + i >= (AlongK ? rows_left_ : k_left);
      ptx::copy_async_16(tile + (line() + i) * kLine + inner(), from,
                         outside ? 0 : there * static_cast<int>(sizeof(T)));
      from += kStep * other;
    }
    at_ += AlongK ? Depth : Depth * other;
  }

 private:
  static GS_DEVICE int line() { return static_cast<int>(threadIdx.x) / (kInner / kPack); }
  static GS_DEVICE int inner() { return static_cast<int>(threadIdx.x) % (kInner / kPack) * kPack; }

  const T* at_;
  int rows_left_;
};

// The shape of a block's work: Rows x Cols of C, cut into warps of WarpRows x WarpCols, those into
// products of 16 x 8; Depth of k at a time, Stages of them in shared memory.
template <class Element, bool AAlongK, bool BAlongK, int Rows, int Cols, int Depth, int WarpRows,
          int WarpCols, int Stages>
struct Pipeline {
  using T = Element;
  static constexpr int kRows = Rows, kCols = Cols, kDepth = Depth, kStages = Stages;
  static constexpr bool kAAlongK = AAlongK, kBAlongK = BAlongK;
  static constexpr int kWarpRows = WarpRows, kWarpCols = WarpCols;
  static constexpr int kDown = WarpRows / 16, kAcross = WarpCols / 8;  // products of a warp
  static constexpr int kWarpsAcross = Cols / WarpCols;
  static constexpr int kThreads = Rows / WarpRows * kWarpsAcross * 32;
  using A = OperandTile<T, Rows, Depth, AAlongK, kThreads>;
  using B = OperandTile<T, Cols, Depth, BAlongK, kThreads>;
  static constexpr int kStage = A::kValues + B::kValues;
  // Sums on their way out: eight more a row keep the lanes that write together in different banks.
  static constexpr int kSumsRow = Cols + 8;
  static constexpr size_t kCopiesBytes = size_t(Stages) * kStage * sizeof(T);
  static constexpr size_t kSumsBytes = size_t(Rows) * kSumsRow * sizeof(float);
  static constexpr size_t kSharedBytes = kCopiesBytes > kSumsBytes ? kCopiesBytes : kSumsBytes;
  using Sums = float[kDown][kAcross][4];
};

// Math::step adds the products of one tile to a warp's sums. Blocks: how many a processor holds.
template <class P, class Math, int Blocks>
__global__ void __launch_bounds__(P::kThreads, Blocks)
    pipeline_kernel(const __grid_constant__ Product<typename P::T> p) {
  using T = typename P::T;
  GS_DYNAMIC_SHARED(unsigned char, memory);
  T* stages = reinterpret_cast<T*>(memory);
  const int64_t batch = p.first_batch + blockIdx.z, first_k = blockIdx.y * p.split_k;
  const int64_t end_k = first_k + p.split_k < p.k ? first_k + p.split_k : p.k;
  const TilePlace<P::kRows, P::kCols> at(p.m, p.n);
  const int64_t a_other = P::kAAlongK ? p.a_row : p.a_k, b_other = P::kBAlongK ? p.b_row : p.b_k;
  typename P::A a(p.a + p.a_batch(batch), a_other, at.row(), p.m, first_k);
  typename P::B b(p.b + p.b_batch(batch), b_other, at.col(), p.n, first_k);
  const int tiles = static_cast<int>(ceil_div(end_k - first_k, P::kDepth));
  const int in_last = static_cast<int>(end_k - first_k - int64_t(tiles - 1) * P::kDepth);
  const auto bring = [&](int tile) {  // beyond the last one an empty group, so that counts agree
    if (tile < tiles) {
      T* to = stages + tile % P::kStages * P::kStage;
      const int left = tile + 1 < tiles ? P::kDepth : in_last;
      a.bring(to, a_other, left), b.bring(to + P::A::kValues, b_other, left);
    }
    ptx::commit_copies();
  };
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int warp_row = warp / P::kWarpsAcross * P::kWarpRows;
  const int warp_col = warp % P::kWarpsAcross * P::kWarpCols;
  const bool idle = at.row() + warp_row >= p.m || at.col() + warp_col >= p.n;  // beyond the edge
  typename P::Sums sums = {};
  GS_UNROLL for (int tile = 0; tile < P::kStages - 1; ++tile) bring(tile);
  for (int tile = 0; tile < tiles; ++tile) {
    ptx::wait_copies<P::kStages - 2>();
    // Now this tile is there for all, and all are done with the one before, whose place is free.
    __syncthreads();
    bring(tile + P::kStages - 1);
    const T* tile_a = stages + tile % P::kStages * P::kStage;
    if (!idle) Math::step(tile_a, tile_a + P::A::kValues, warp_row, warp_col, lane, sums);
  }
  ptx::wait_copies<0>();
  __syncthreads();

  float* out = reinterpret_cast<float*>(memory);
  GS_UNROLL for (int i = 0; i < P::kDown; ++i) {
    GS_UNROLL for (int j = 0; j < P::kAcross; ++j) {
      float* to =
          out + (warp_row + i * 16 + lane / 4) * P::kSumsRow + warp_col + j * 8 + lane % 4 * 2;
      store_pack<float, 2>(to, {sums[i][j][0], sums[i][j][1]});
      store_pack<float, 2>(to + 8 * P::kSumsRow, {sums[i][j][2], sums[i][j][3]});
    }
  }
  __syncthreads();
  give_rows<P::kCols, P::kThreads>(p, batch, at.col(), out, P::kSumsRow, P::kRows,
                                   [&](int r) { return at.row() + r; });
}

template <class P, class Math, int Blocks>
void run_pipeline(const Product<typename P::T>& p) {
  launch_product(p, ceil_div(p.m, P::kRows) * ceil_div(p.n, P::kCols), P::kThreads, P::kSharedBytes,
                 pipeline_kernel<P, Math, Blocks>);
}

// f(A along k?, B along k?) as constants.
template <class T, class F>
void visit_orders(const Product<T>& p, F&& f) {
  using Yes = std::true_type;
  using No = std::false_type;
  if (p.a_k == 1) return p.b_k == 1 ? f(Yes{}, Yes{}) : f(Yes{}, No{});
  return p.b_k == 1 ? f(No{}, Yes{}) : f(No{}, No{});
}

}  // namespace gs::cuda
