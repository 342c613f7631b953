// What the kernels of matrix products share: a product as kernels take it, the plan of its blocks,
// and the way of finished sums to C.
#pragma once

#include "float32_products.h"
#include "kernels/functors.h"
#include "kernels/kernels.h"
#include "kernels/params/gemm.h"
#include "reduce.cuh"
#include "runtime/stream.h"
#include "vec.cuh"

namespace gs::cuda {

// ---------------------------------------------------------------- a product on the device

// Where the matrix of batch i begins, in elements.
struct BatchOffsets {
  const int64_t* table = nullptr;  // device memory; null: two strides
  int64_t inner = 1, outer_stride = 0, inner_stride = 0;
  GS_DEVICE int64_t operator()(int64_t i) const {
    return table ? table[i] : i / inner * outer_stride + i % inner * inner_stride;
  }
};

// C = act(alpha A B + beta C + bias), M x K by K x N. Both operands are seen as rows of K: A's rows
// are those of C, B's rows the columns of C. k is cut into `splits` parts of `split_k`, one for
// each blockIdx.y; where there are several, or C is not wanted, sums go to `sums` (split, batch, M,
// N).
template <class T>
struct Product {
  using C = compute_t<T>;
  const T* a = nullptr;
  const T* b = nullptr;
  T* c = nullptr;
  const T* bias = nullptr;
  C* sums = nullptr;
  int64_t m = 0, n = 0, k = 0;
  int64_t a_row = 0, a_k = 0, b_row = 0, b_k = 0, c_row = 0, c_batch = 0;
  BatchOffsets a_batch, b_batch;
  int64_t batch = 1, first_batch = 0;  // blockIdx.z counts from first_batch
  int64_t splits = 1, split_k = 0;
  double alpha = 1, beta = 0;
  // Whole packs of 16 bytes may be read along the dimension whose stride is 1, and packs of four
  // elements written to C. Integers of 4 bytes: the struct has no holes.
  int32_t a_packs = 0, b_packs = 0, c_packs = 0, bias_per_row = 0;
  int32_t activation = 0, unused = 0;
};

// The blocks of a launch: tiles of C, parts of k, batches.
inline constexpr int64_t kMostBatches = 65535;
inline constexpr int64_t kProcessors = 132;  // of an H100; the same on every card: so are the bits

template <class T, class Kernel>
void launch_product(Product<T> p, int64_t blocks, int threads, size_t shared_bytes, Kernel kernel) {
  for (; p.first_batch < p.batch; p.first_batch += kMostBatches) {
    const int64_t left = p.batch - p.first_batch;
    const dim3 grid(static_cast<unsigned>(blocks), static_cast<unsigned>(p.splits),
                    static_cast<unsigned>(left < kMostBatches ? left : kMostBatches));
    launch({grid, dim3(static_cast<unsigned>(threads)), shared_bytes, current_stream()}, kernel, p);
  }
}

// How k is cut so that `blocks` blocks, a part each, fill the card: sets splits and split_k.
template <class T>
void split_k(Product<T>& p, int64_t blocks, int64_t shortest, int64_t multiple) {
  constexpr int64_t kWanted = 2 * kProcessors, kMost = 64;
  int64_t splits = 1;
  if (blocks * 2 <= kWanted) splits = kWanted / blocks;
  if (splits > p.k / shortest) splits = p.k / shortest;
  if (splits > kMost) splits = kMost;
  if (splits < 1) splits = 1;
  p.split_k = ceil_div(ceil_div(p.k, splits), multiple) * multiple;
  p.splits = p.split_k ? ceil_div(p.k, p.split_k) : 1;
}

// The kind of kernel for a product, by its shape, its memory and the device. How k is cut depends
// on the shape and the device alone.
enum class Path : uint8_t {
  Vector,
  NarrowTile,
  Tile,
  LargeTile,
  Tensor,
  LargeTensor,
  Wgmma64,
  Wgmma128,
  Wgmma256
};
template <class T>
Path plan(Product<T>& p);  // sets splits, split_k and the packs
// Runs it as planned: into C if p.sums is null, which needs one split; otherwise into p.sums.
template <class T>
void run_product(const Product<T>& p, Path path);
// C from `splits` parts of sums, added in order.
template <class T>
void add_splits(const Product<T>& p);

// What run_product chooses from.
template <class T>
void vector_product(const Product<T>& p);
template <class T>
void tile_product(const Product<T>& p, Path path);
template <class T>
void tensor_product(const Product<T>& p, bool large);
template <class T>
bool tensor_takes(const Product<T>& p);  // the dtype, the strides and the alignment
void integer_product(const Gemm& g);

// Products by the warpgroups of Hopper, in tiles of 128 x `columns`: 16-bit floats, and float32
// where float32_products() allows tf32.
template <class T>
int wgmma_columns(const Product<T>& p);  // for the shape and the device; 0: not by these
template <class T>
bool wgmma_takes(const Product<T>& p);  // the strides and the alignment
template <class T>
bool wgmma_product(const Product<T>& p, int columns);  // false: the driver does not take it

// ---------------------------------------------------------------- from sums to C

template <class C>
GS_DEVICE C activate(Activation kind, C x) {
  using M = ScalarMath<C>;
  const C none = 0;
  if (kind == Activation::Relu) return functors::Relu::value<M>(x, none, none);
  if (kind == Activation::Tanh) return M::tanh(x);
  if (kind == Activation::Sigmoid) return M::sigmoid(x);
  if (kind == Activation::Gelu) return functors::Gelu::value<M>(x, none, none);
  return x;
}

template <class T>
GS_DEVICE void write_one(const Product<T>& p, int64_t batch, int64_t row, int64_t col,
                         compute_t<T> sum) {
  using C = compute_t<T>;
  T* to = p.c + batch * p.c_batch + row * p.c_row + col;
  C v = static_cast<C>(p.alpha) * sum;
  if (p.beta != 0) v += static_cast<C>(p.beta) * widen(*to);
  if (p.bias) v += widen(p.bias[p.bias_per_row ? row : col]);
  *to = T(activate(static_cast<Activation>(p.activation), v));
}

template <class T>
GS_DEVICE compute_t<T>* sums_of(const Product<T>& p, int64_t split, int64_t batch, int64_t row,
                                int64_t col) {
  return p.sums + ((split * p.batch + batch) * p.m + row) * p.n + col;
}

template <class T>
GS_DEVICE void give_one(const Product<T>& p, int64_t batch, int64_t row, int64_t col,
                        compute_t<T> sum) {
  if (p.sums)
    *sums_of(p, blockIdx.y, batch, row, col) = sum;
  else
    write_one(p, batch, row, col, sum);
}

// Four sums in a row, in whole packs.
template <class T>
GS_DEVICE void write_four(const Product<T>& p, int64_t batch, int64_t row, int64_t col,
                          Pack<compute_t<T>, 4> v) {
  using C = compute_t<T>;
  T* to = p.c + batch * p.c_batch + row * p.c_row + col;
  GS_UNROLL for (int j = 0; j < 4; ++j) v.v[j] *= static_cast<C>(p.alpha);
  if (p.beta != 0) {
    const Pack<T, 4> before = load_pack<T, 4>(to);
    GS_UNROLL for (int j = 0; j < 4; ++j) v.v[j] += static_cast<C>(p.beta) * widen(before.v[j]);
  }
  if (p.bias) {
    GS_UNROLL for (int j = 0; j < 4; ++j) v.v[j] += widen(p.bias[p.bias_per_row ? row : col + j]);
  }
  Pack<T, 4> out;
  GS_UNROLL for (int j = 0; j < 4; ++j) out.v[j] =
      T(activate(static_cast<Activation>(p.activation), v.v[j]));
  store_pack<T, 4>(to, out);
}

// Rows of a tile's sums, `Across` wide, from shared memory: by all threads of the block, neighbours
// in a row. row_of(r) is the row of C in which row r of `stage` belongs.
template <int Across, int Threads, class T, class RowOf>
GS_DEVICE void give_rows(const Product<T>& p, int64_t batch, int64_t first_col,
                         const compute_t<T>* stage, int stage_row, int rows, RowOf row_of) {
  constexpr int kPacks = Across / 4;
  // Not unrolled: an activation is long, and there are five.
  _Pragma("unroll 1") for (int e = static_cast<int>(threadIdx.x); e < rows * kPacks; e += Threads) {
    const int r = e / kPacks, j = e % kPacks * 4;
    const int64_t row = row_of(r), col = first_col + j;
    if (row >= p.m || col >= p.n) continue;
    const compute_t<T>* from = stage + r * stage_row + j;
    if (!p.sums && p.c_packs && col + 4 <= p.n) {
      write_four(p, batch, row, col, load_pack<compute_t<T>, 4>(from));
    } else {
      const int64_t count = p.n - col < 4 ? p.n - col : 4;
      _Pragma("unroll 1") for (int i = 0; i < count; ++i) give_one(p, batch, row, col + i, from[i]);
    }
  }
}

// Tiles in the order of blockIdx.x: down a band of eight, then across, so that blocks which run at
// one time share rows of A and of B in the second cache.
template <int Rows, int Cols>
class TilePlace {
 public:
  GS_DEVICE TilePlace(int64_t m, int64_t n) {
    constexpr unsigned kBand = 8;
    const unsigned down = static_cast<unsigned>(ceil_div(m, Rows)),
                   across = static_cast<unsigned>(ceil_div(n, Cols)), block = blockIdx.x;
    const unsigned band = block / (kBand * across), within = block % (kBand * across);
    const unsigned left = down - band * kBand, height = left < kBand ? left : kBand;
    tile_row_ = band * kBand + within % height, tile_col_ = within / height;
  }
  GS_DEVICE int64_t row() const { return int64_t(tile_row_) * Rows; }
  GS_DEVICE int64_t col() const { return int64_t(tile_col_) * Cols; }

 private:
  unsigned tile_row_, tile_col_;
};

}  // namespace gs::cuda
