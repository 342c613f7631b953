// Products of 16-bit floats on Hopper, in any of the four orders of A and B: lines of rows as well
// as lines of k are what wgmma reads.
#include "gemm_wgmma.cuh"

#include <atomic>

#include "wgmma_tiles.h"

namespace gs::cuda {
namespace {

std::atomic<int> wanted{kByShape};

template <bool AlongK, int Rows>
BoxedTensor boxed(const void* base, int64_t row, int64_t k_step, int64_t rows, int64_t k,
                  const BatchOffsets& batches, int64_t batch) {
  BoxedTensor t;
  t.base = base;
  t.size[0] = AlongK ? k : rows, t.size[1] = AlongK ? rows : k;
  t.stride[1] = AlongK ? row : k_step;
  if (batches.inner_stride) {
    t.size[2] = batches.inner < batch ? batches.inner : batch;
    t.stride[2] = batches.inner_stride;
  }
  if (batches.outer_stride) {
    t.size[3] = ceil_div(batch, batches.inner);
    t.stride[3] = batches.outer_stride;
  }
  t.lines = AlongK ? Rows : 64;
  return t;
}

template <class W>
bool run(const Product<typename W::T>& p) {
  const bool wide = p.c_row % 8 == 0 && p.c_batch % 8 == 0 && is_aligned(p.c, kPackBytes);
  return launch_wgmma<W>(
      p, boxed<W::kAAlongK, W::kRows>(p.a, p.a_row, p.a_k, p.m, p.k, p.a_batch, p.batch),
      boxed<W::kBAlongK, W::kCols>(p.b, p.b_row, p.b_k, p.n, p.k, p.b_batch, p.batch), wide);
}

template <class T, bool AAlongK, bool BAlongK>
bool run_with(const Product<T>& p, int cols) {
  if (cols == 256) return run<WgmmaTile<T, AAlongK, BAlongK, 256, 4>>(p);
  if (cols == 128) return run<WgmmaTile<T, AAlongK, BAlongK, 128, 6>>(p);
  return run<WgmmaTile<T, AAlongK, BAlongK, 64, 8>>(p);
}

}  // namespace

void set_wgmma_tiles(int columns) { wanted.store(columns, std::memory_order_relaxed); }

int wanted_columns() { return wanted.load(std::memory_order_relaxed); }

template <class T>
int wgmma_columns(const Product<T>& p) {
  constexpr int64_t kShortest = 64;
  if (p.m < kShortest || p.n < kShortest || p.k < kShortest || !is_hopper()) return 0;
  return wanted_columns() == kByShape ? best_columns(p, 256) : wanted_columns();
}

template <class T>
bool wgmma_takes(const Product<T>& p) {
  const bool strides = (p.a_k == 1 ? p.a_row : p.a_k) > 0 && (p.b_k == 1 ? p.b_row : p.b_k) > 0;
  return strides && p.a_packs && p.b_packs && !p.a_batch.table && !p.b_batch.table;
}

template <class T>
bool wgmma_product(const Product<T>& p, int cols) {
  if (p.a_k == 1)
    return p.b_k == 1 ? run_with<T, true, true>(p, cols) : run_with<T, true, false>(p, cols);
  return p.b_k == 1 ? run_with<T, false, true>(p, cols) : run_with<T, false, false>(p, cols);
}

#define GS_INSTANTIATE(T)                          \
  template int wgmma_columns(const Product<T>& p); \
  template bool wgmma_takes(const Product<T>& p);  \
  template bool wgmma_product(const Product<T>& p, int cols);
GS_INSTANTIATE(Half)
GS_INSTANTIATE(BFloat16)
#undef GS_INSTANTIATE

}  // namespace gs::cuda
