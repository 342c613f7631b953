// Matrix products: which kernel runs, how it is cut, and the second stage of those whose k is cut.
// C = act(alpha A B + beta C + bias), alone or in batches.
#include "gemm.cuh"
#include "kernels/params/gemm.h"

#include <atomic>

#include "gemm_batches.cuh"

namespace gs::cuda {
namespace {

std::atomic<Float32Products> how_float32{Float32Products::Exact};

constexpr int kThreads = 256;
// Products with so few rows or columns read the other operand once: vector_product.
constexpr int64_t kVectorRows = 4;

// Rows of an operand may be read in packs of 16 bytes along whichever dimension is dense.
template <class T>
bool has_packs(const T* p, int64_t row, int64_t k_step) {
  constexpr int64_t kPack = kPackBytes / sizeof(T);
  const int64_t other = k_step == 1 ? row : k_step;
  return (k_step == 1 || row == 1) && other % kPack == 0 && is_aligned(p, kPackBytes);
}

// One thread an element of C: the parts in the order of k, so that the bits are the same each time.
template <class T, class Index>
__global__ void __launch_bounds__(kThreads)
    add_splits_kernel(const __grid_constant__ Product<T> p) {
  const int64_t numel = p.batch * p.m * p.n, threads = int64_t(gridDim.x) * kThreads;
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < numel; i += threads) {
    const Index n = static_cast<Index>(p.n), m = static_cast<Index>(p.m);
    const Index row = static_cast<Index>(i) / n, col = static_cast<Index>(i) - row * n;
    const Index batch = row / m;
    compute_t<T> sum = 0;
    for (int64_t split = 0; split < p.splits; ++split) sum += p.sums[split * numel + i];
    write_one(p, batch, row - batch * m, col, sum);
  }
}

template <class T>
Product<T> product_of(const Gemm& g, const Batches& a, const Batches& b) {
  Product<T> p;
  p.a = static_cast<const T*>(g.a) + a.base(), p.b = static_cast<const T*>(g.b) + b.base();
  p.c = static_cast<T*>(g.c), p.bias = static_cast<const T*>(g.bias);
  p.m = g.m, p.n = g.n, p.k = g.k;
  p.a_row = g.a_row, p.a_k = g.a_col;
  p.b_row = g.b_col, p.b_k = g.b_row;
  p.c_row = g.c_row, p.c_batch = g.c_batch_stride;
  p.batch = g.batch, p.a_batch = a.on_device(), p.b_batch = b.on_device();
  p.alpha = g.alpha, p.beta = g.beta;
  p.bias_per_row = g.bias_per_row, p.activation = static_cast<int32_t>(g.activation);
  constexpr int64_t kPack = kPackBytes / sizeof(T);
  p.a_packs = a.multiples_of(kPack), p.b_packs = b.multiples_of(kPack);
  return p;
}

template <class T>
void floating_product(const Gemm& g) {
  const Batches a(g.a_batch_offsets, g.a_batch_stride, g.batch),
      b(g.b_batch_offsets, g.b_batch_stride, g.batch);
  Product<T> p = product_of<T>(g, a, b);
  const Path path = plan(p);
  if (p.splits == 1) return run_product(p, path);
  const Scratch<compute_t<T>> sums(p.splits * p.batch * p.m * p.n);
  p.sums = sums.data();
  run_product(p, path);
  add_splits(p);
}

}  // namespace

Float32Products float32_products() { return how_float32.load(std::memory_order_relaxed); }
void set_float32_products(Float32Products how) {
  how_float32.store(how, std::memory_order_relaxed);
}

// a_packs and b_packs come in as what the batch offsets allow.
template <class T>
Path plan(Product<T>& p) {
  p.a_packs = p.a_packs && has_packs(p.a, p.a_row, p.a_k);
  p.b_packs = p.b_packs && has_packs(p.b, p.b_row, p.b_k);
  p.c_packs = p.c_row % 4 == 0 && p.c_batch % 4 == 0 && is_aligned(p.c, 4 * sizeof(T));
  if (p.m <= kVectorRows || p.n <= kVectorRows) {
    const int64_t rows = p.m <= p.n ? p.n : p.m;
    split_k(p, ceil_div(rows, 16) * p.batch, 512, 64);
    return Path::Vector;
  }
  // Tiles as large as still give every processor one. Few rows of float32 have a narrow one: the
  // states of a recurrent layer are such.
  const auto tiles = [&](int64_t rows, int64_t cols) {
    return ceil_div(p.m, rows) * ceil_div(p.n, cols) * p.batch;
  };
  const bool tensor = tensor_takes(p), large = tiles(128, 128) >= kProcessors;
  if constexpr (sizeof(T) <= 4) {
    if (const int columns = wgmma_columns(p)) {
      split_k(p, 2 * tiles(128, columns), 256, 64);  // a processor holds one block, not two
      if (wgmma_takes(p))
        return columns == 256 ? Path::Wgmma256 : columns == 128 ? Path::Wgmma128 : Path::Wgmma64;
      return large    ? tensor ? Path::LargeTensor : Path::LargeTile
             : tensor ? Path::Tensor
                      : Path::Tile;
    }
  }
  const bool narrow = std::is_same_v<T, float> && !tensor && !large && p.m <= 32;
  split_k(p, large ? tiles(128, 128) : tiles(narrow ? 32 : 64, 64), 128, 64);
  if (tensor) return large ? Path::LargeTensor : Path::Tensor;
  return large ? Path::LargeTile : narrow ? Path::NarrowTile : Path::Tile;
}

template <class T>
void run_product(const Product<T>& p, Path path) {
  if constexpr (sizeof(T) <= 4) {
    if (path >= Path::Wgmma64) {
      const int columns = path == Path::Wgmma256 ? 256 : path == Path::Wgmma128 ? 128 : 64;
      if (wgmma_product(p, columns)) return;
      return tensor_takes(p) ? tensor_product(p, columns == 256) : tile_product(p, Path::Tile);
    }
  }
  switch (path) {
    case Path::Vector:
      return vector_product(p);
    case Path::Tensor:
    case Path::LargeTensor:
      return tensor_product(p, path == Path::LargeTensor);
    default:
      return tile_product(p, path);
  }
}

template <class T>
void add_splits(const Product<T>& p) {
  constexpr int64_t kMostBlocks = 1 << 16;
  const int64_t numel = p.batch * p.m * p.n, blocks = ceil_div(numel, kThreads);
  const dim3 grid(static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks));
  const bool small = numel < (int64_t(1) << 31);  // divisions of 64 bits are slow
  launch({grid, dim3(kThreads), 0, current_stream()},
         small ? add_splits_kernel<T, uint32_t> : add_splits_kernel<T, uint64_t>, p);
}

#define GS_INSTANTIATE(T)                                    \
  template Path plan(Product<T>& p);                         \
  template void run_product(const Product<T>& p, Path path); \
  template void add_splits(const Product<T>& p);
GS_INSTANTIATE(float)
GS_INSTANTIATE(double)
GS_INSTANTIATE(Half)
GS_INSTANTIATE(BFloat16)
#undef GS_INSTANTIATE

void gemm(const Gemm& g) {
  if (g.m == 0 || g.n == 0 || g.batch == 0) return;
  if (!is_floating(g.dtype)) return integer_product(g);
  visit_floating(g.dtype, [&](auto type) { floating_product<typename decltype(type)::type>(g); });
}

}  // namespace gs::cuda
