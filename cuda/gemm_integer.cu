// Products of integers and bool. Sums wrap round in 64 bits and are cut to the type at the end,
// which gives the same as arithmetic in it; on bool they count matches.
#include "any_dtype.cuh"
#include "gemm_batches.cuh"
#include "kernels/params/gemm.h"

namespace gs::cuda {
namespace {

constexpr int kTile = 32, kThreads = 256, kEach = kTile * kTile / kThreads;

struct IntegerProduct {
  const char *a, *b;
  char* c;
  const char* bias;
  int64_t m, n, k, a_row, a_k, b_row, b_k, c_row, c_batch;
  BatchOffsets a_batch, b_batch;
  int64_t batch, first_batch;
  int64_t alpha, beta, element_size;
  int32_t dtype, bias_per_row, relu, unused;
};

GS_DEVICE uint64_t load(const IntegerProduct& p, const char* from, int64_t at) {
  return static_cast<uint64_t>(
      load_integer(from + at * p.element_size, static_cast<DType>(p.dtype)));
}

GS_DEVICE void give(const IntegerProduct& p, int64_t batch, int64_t row, int64_t col,
                    uint64_t sum) {
  const DType dtype = static_cast<DType>(p.dtype);
  char* to = p.c + (batch * p.c_batch + row * p.c_row + col) * p.element_size;
  uint64_t value = static_cast<uint64_t>(p.alpha) * sum;
  if (p.beta) value += static_cast<uint64_t>(p.beta) * load(p, to, 0);
  if (p.bias) value += load(p, p.bias, p.bias_per_row ? row : col);
  if (dtype == DType::Bool) value = value != 0;
  store_integer(to, dtype, static_cast<int64_t>(value));
  if (p.relu && load_integer(to, dtype) < 0) store_integer(to, dtype, 0);
}

// Rows [first, first + kTile) of an operand, columns [k, k + kTile), as (rows, k); zeros outside.
GS_DEVICE void bring(const IntegerProduct& p, const char* from, int64_t row_stride,
                     int64_t k_stride, int64_t first, int64_t rows, int64_t k,
                     uint64_t (&tile)[kTile][kTile + 1]) {
  const bool along_k = k_stride == 1;
  for (int e = static_cast<int>(threadIdx.x); e < kTile * kTile; e += kThreads) {
    const int row = along_k ? e / kTile : e % kTile, at = along_k ? e % kTile : e / kTile;
    const bool there = first + row < rows && k + at < p.k;
    tile[row][at] = there ? load(p, from, (first + row) * row_stride + (k + at) * k_stride) : 0;
  }
}

__global__ void __launch_bounds__(kThreads, 2)
    integer_kernel(const __grid_constant__ IntegerProduct p) {
  GS_SHARED(a, uint64_t[kTile][kTile + 1]);
  GS_SHARED(b, uint64_t[kTile][kTile + 1]);
  const int64_t batch = p.first_batch + blockIdx.z;
  const char *from_a = p.a + p.a_batch(batch) * p.element_size,
             *from_b = p.b + p.b_batch(batch) * p.element_size;
  const TilePlace<kTile, kTile> at(p.m, p.n);
  const int col = static_cast<int>(threadIdx.x) % kTile,
            row = static_cast<int>(threadIdx.x) / kTile;
  uint64_t sums[kEach] = {};
  for (int64_t k = 0; k < p.k; k += kTile) {
    bring(p, from_a, p.a_row, p.a_k, at.row(), p.m, k, a);
    bring(p, from_b, p.b_row, p.b_k, at.col(), p.n, k, b);
    __syncthreads();
    _Pragma("unroll 4") for (int j = 0; j < kTile; ++j) {
      GS_UNROLL for (int i = 0; i < kEach; ++i) sums[i] +=
          a[row + i * (kTile / kEach)][j] * b[col][j];
    }
    __syncthreads();
  }
  GS_UNROLL for (int i = 0; i < kEach; ++i) {
    const int64_t c_row = at.row() + row + i * (kTile / kEach);
    if (c_row < p.m && at.col() + col < p.n) give(p, batch, c_row, at.col() + col, sums[i]);
  }
}

}  // namespace

void integer_product(const Gemm& g) {
  const Batches a(g.a_batch_offsets, g.a_batch_stride, g.batch),
      b(g.b_batch_offsets, g.b_batch_stride, g.batch);
  const int64_t size = size_of(g.dtype);
  IntegerProduct p = {};
  p.a = static_cast<const char*>(g.a) + a.base() * size;
  p.b = static_cast<const char*>(g.b) + b.base() * size;
  p.c = static_cast<char*>(g.c), p.bias = static_cast<const char*>(g.bias);
  p.m = g.m, p.n = g.n, p.k = g.k;
  p.a_row = g.a_row, p.a_k = g.a_col, p.b_row = g.b_col, p.b_k = g.b_row;
  p.c_row = g.c_row, p.c_batch = g.c_batch_stride;
  p.a_batch = a.on_device(), p.b_batch = b.on_device(), p.batch = g.batch;
  p.alpha = static_cast<int64_t>(g.alpha), p.beta = static_cast<int64_t>(g.beta);
  p.element_size = size, p.dtype = static_cast<int32_t>(g.dtype);
  p.bias_per_row = g.bias_per_row, p.relu = g.activation == Activation::Relu;
  for (; p.first_batch < p.batch; p.first_batch += kMostBatches) {
    const dim3 grid(static_cast<unsigned>(ceil_div(g.m, kTile) * ceil_div(g.n, kTile)), 1,
                    static_cast<unsigned>(std::min(p.batch - p.first_batch, kMostBatches)));
    launch({grid, dim3(kThreads), 0, current_stream()}, integer_kernel, p);
  }
}

}  // namespace gs::cuda
