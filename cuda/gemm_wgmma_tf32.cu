// Products of float32 on Hopper, where float32_products() allows tensor cores. wgmma takes tf32
// along k alone, and bits that tf32 lacks are cut off: so A and B are first written out anew, along
// k whatever their strides, rounded to tf32, and for ThreeTf32 what the rounding left as a second
// part. That costs a pass over A and B, which only large products repay.
#include "float32_products.h"
#include "gemm_wgmma.cuh"
#include "ptx/mma.cuh"
#include "runtime/scratch.h"
#include "wgmma_tiles.h"

namespace gs::cuda {
namespace {

constexpr int kThreads = 256, kTile = 64;

// An operand, and where its parts go: (part, batch, row, k), lines a multiple of four long.
struct Rounding {
  const float* from = nullptr;
  float* to = nullptr;
  BatchOffsets batches;
  int64_t row = 0, k_step = 0, rows = 0, k = 0;
  int64_t line = 0, batch = 1;
  int64_t tiles_across = 0, tiles = 0;
  GS_HOST_DEVICE int64_t part() const { return batch * rows * line; }
};

// A block rounds 64 x 64 numbers, read along the dimension that is dense and written along k.
template <bool AlongK, int Parts>
__global__ void __launch_bounds__(kThreads) round_kernel(const __grid_constant__ Rounding p) {
  GS_SHARED(tile, float[kTile][kTile + 1]);
  const int64_t batch = blockIdx.x / p.tiles, at = blockIdx.x % p.tiles;
  const int64_t first_row = at / p.tiles_across * kTile, first_k = at % p.tiles_across * kTile;
  const float* from = p.from + p.batches(batch) + first_row * p.row + first_k * p.k_step;
  GS_UNROLL for (int i = 0; i < kTile * kTile; i += kThreads) {
    const int e = i + static_cast<int>(threadIdx.x);
    const int row = AlongK ? e / kTile : e % kTile, k = AlongK ? e % kTile : e / kTile;
    const bool inside = first_row + row < p.rows && first_k + k < p.k;
    tile[row][k] = inside ? from[row * p.row + k * p.k_step] : 0;
  }
  __syncthreads();
  float* to = p.to + (batch * p.rows + first_row) * p.line + first_k;
  GS_UNROLL for (int i = 0; i < kTile * kTile / 4; i += kThreads) {
    const int e = i + static_cast<int>(threadIdx.x), row = e / (kTile / 4), k = e % (kTile / 4) * 4;
    if (first_row + row >= p.rows || first_k + k >= p.line) continue;
    Pack<float, 4> parts[Parts];
    GS_UNROLL for (int j = 0; j < 4; ++j) {
      float x = tile[row][k + j];
      GS_UNROLL for (int part = 0; part < Parts; ++part) {
        const uint32_t bits = ptx::to_tf32(x);
        memcpy(&parts[part].v[j], &bits, 4);
        x -= parts[part].v[j];
      }
    }
    GS_UNROLL for (int part = 0; part < Parts; ++part)
        store_pack<float, 4>(to + part * p.part() + row * p.line + k, parts[part]);
  }
}

// An operand rounded: as the copy engine takes it, and with where its matrices lie.
template <int Parts>
class Rounded {
 public:
  Rounded(const float* from, int64_t row, int64_t k_step, int64_t rows, int64_t k,
          const BatchOffsets& batches, int64_t batch, int box_rows)
      : p_(describe(from, row, k_step, rows, k, batches, batch)), memory_(Parts * p_.part()) {
    p_.to = memory_.data();
    const dim3 grid(static_cast<unsigned>(p_.tiles * p_.batch));
    launch({grid, dim3(kThreads), 0, current_stream()},
           k_step == 1 ? round_kernel<true, Parts> : round_kernel<false, Parts>, p_);
    boxed_.base = p_.to, boxed_.element_bytes = 4, boxed_.lines = box_rows;
    const int64_t size[4] = {k, rows, p_.batch, Parts};
    const int64_t stride[4] = {1, p_.line, rows * p_.line, p_.part()};
    for (int i = 0; i < 4; ++i) boxed_.size[i] = size[i], boxed_.stride[i] = stride[i];
  }
  const BoxedTensor& boxed() const { return boxed_; }
  BatchOffsets batches() const { return {nullptr, p_.batch, 0, p_.batch > 1 ? 1 : 0}; }

  static int64_t blocks(int64_t rows, int64_t k) {
    return ceil_div(rows, kTile) * ceil_div(k, kTile);
  }

 private:
  static Rounding describe(const float* from, int64_t row, int64_t k_step, int64_t rows, int64_t k,
                           const BatchOffsets& batches, int64_t batch) {
    Rounding p;
    const bool shared = !batches.table && batches.outer_stride == 0 && batches.inner_stride == 0;
    p.from = from, p.batches = batches, p.batch = shared ? 1 : batch;
    p.row = row, p.k_step = k_step, p.rows = rows, p.k = k;
    p.line = ceil_div(k, 4) * 4;
    p.tiles_across = ceil_div(k, kTile), p.tiles = blocks(rows, k);
    return p;
  }

  Rounding p_;
  Scratch<float> memory_;
  BoxedTensor boxed_;
};

template <int Parts, int Cols, int Stages>
bool run(Product<float> p) {
  using W = WgmmaTile<float, true, true, Cols, Stages, Parts>;
  const Rounded<Parts> a(p.a, p.a_row, p.a_k, p.m, p.k, p.a_batch, p.batch, W::kRows);
  const Rounded<Parts> b(p.b, p.b_row, p.b_k, p.n, p.k, p.b_batch, p.batch, W::kCols);
  p.a_batch = a.batches(), p.b_batch = b.batches();
  return launch_wgmma<W>(p, a.boxed(), b.boxed(), p.c_packs);
}

}  // namespace

// The pass over A and B takes time like m k + n k, and what wgmma saves is like m n k.
template <>
int wgmma_columns(const Product<float>& p) {
  const Float32Products how = float32_products();
  const int64_t shortest = how == Float32Products::ThreeTf32 ? 512 : 1024;
  if (how == Float32Products::Exact || p.k < 64 || !is_hopper()) return 0;
  if (wanted_columns() != kByShape) return p.m < 64 || p.n < 64 ? 0 : wanted_columns();
  if (p.m * p.n < shortest * (p.m + p.n)) return 0;
  return best_columns(p, how == Float32Products::ThreeTf32 ? 128 : 256);
}

template <>
bool wgmma_takes(const Product<float>& p) {
  using Any = Rounded<2>;
  const int64_t blocks = Any::blocks(p.m > p.n ? p.m : p.n, p.k) * p.batch;
  const int64_t most = int64_t(1) << 30;  // bytes of rounded operands
  return blocks <= INT32_MAX && (p.m + p.n) * (p.k + 3) * p.batch * 8 <= most;
}

template <>
bool wgmma_product(const Product<float>& p, int columns) {
  if (float32_products() == Float32Products::ThreeTf32)
    return columns == 64 ? run<2, 64, 4>(p) : run<2, 128, 3>(p);
  if (columns == 256) return run<1, 256, 4>(p);
  return columns == 128 ? run<1, 128, 6>(p) : run<1, 64, 8>(p);
}

}  // namespace gs::cuda
