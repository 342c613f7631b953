// Products of 16-bit floats on Hopper: a block's tiles come through the copy engine into a ring of
// stages, and two warpgroups multiply them by wgmma, straight from shared memory in any of the four
// orders of A and B. As many blocks as processors, each taking one tile of C after another: while
// sums are written, the next tile's operands are on their way.
#include "gemm_wgmma.cuh"

#include <atomic>

#include "runtime/architecture.h"
#include "runtime/tensor_map.h"
#include "wgmma_tiles.h"

namespace gs::cuda {
namespace {

std::atomic<int> wanted{kByShape};

// The barriers of the ring: a stage is filled when its bytes have come, free when all warps that
// multiply are through with it.
template <class W>
struct Barriers {
  uint64_t *filled, *free;
  GS_DEVICE explicit Barriers(unsigned char* memory)
      : filled(reinterpret_cast<uint64_t*>(memory + W::kBarriersAt)), free(filled + W::kStages) {}
  GS_DEVICE void init() {
    for (int i = 0; i < W::kStages; ++i) {
      ptx::init_barrier(filled + i, 1);
      ptx::init_barrier(free + i, W::kConsumers * kGroupWarps);
    }
    ptx::publish_barriers();
  }
};

// By one thread.
template <class W>
GS_DEVICE void bring_tiles(const Product<typename W::T>& p, const ptx::TensorMap& a_map,
                           const ptx::TensorMap& b_map, unsigned units, unsigned char* memory) {
  const Barriers<W> barriers(memory);
  ptx::prefetch_map(a_map), ptx::prefetch_map(b_map);
  Ring<W::kStages> ring;
  for (unsigned number = blockIdx.x; number < units; number += gridDim.x) {
    const Unit<W> unit(p, number);
    int64_t k = unit.first_k;
    for (int step = 0; step < unit.steps; ++step, k += W::kDepth) {
      ptx::wait_phase(barriers.free + ring.stage, ring.parity ^ 1);  // at once in the first round
      uint64_t* filled = barriers.filled + ring.stage;
      ptx::arrive_expecting(filled, W::kStageBytes);
      char* a = reinterpret_cast<char*>(memory) + ring.stage * W::kStageBytes;
      bring_operand<W::kAAlongK, W::kRows, W::kLine>(a, a_map, p.a_batch, unit.batch, unit.row, k,
                                                     filled);
      bring_operand<W::kBAlongK, W::kCols, W::kLine>(a + W::kABytes, b_map, p.b_batch, unit.batch,
                                                     unit.col, k, filled);
      ring.next();
    }
  }
}

// The products of one stage: sums += A B, or = A B in the first.
template <class W>
GS_DEVICE void multiply_stage(const unsigned char* a, const unsigned char* b, bool first,
                              float (&sums)[W::kSums]) {
  // From one k to the next: within a line, or from line to line.
  constexpr int kAStep = W::kAAlongK ? sizeof(typename W::T) : W::kLine;
  constexpr int kBStep = W::kBAlongK ? sizeof(typename W::T) : W::kLine;
  constexpr int kBox = 64 * W::kLine;
  GS_UNROLL for (int k = 0; k < W::kDepth; k += 16)
      ptx::multiply_64<typename W::T, W::kCols, W::kAAlongK, W::kBAlongK>(
          sums, ptx::operand<W::kAAlongK>(a + k * kAStep, kBox),
          ptx::operand<W::kBAlongK>(b + k * kBStep, kBox), !first || k > 0);
}

// By the two warpgroups that multiply.
template <class W>
GS_DEVICE void multiply_tiles(const Product<typename W::T>& p, bool wide, unsigned units,
                              unsigned char* memory) {
  const Barriers<W> barriers(memory);
  const int group = static_cast<int>(threadIdx.x) / kGroupThreads;
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  float* piece = reinterpret_cast<float*>(memory + W::kSumsAt) + warp * W::kSumsValues;
  const auto let_go = [&](int stage) {
    if (lane == 0) ptx::arrive(barriers.free + stage);
  };
  Ring<W::kStages> ring;
  float sums[W::kSums];
  for (unsigned number = blockIdx.x; number < units; number += gridDim.x) {
    const Unit<W> unit(p, number);
    int before = 0;
    for (int step = 0; step < unit.steps; ++step) {
      ptx::wait_phase(barriers.filled + ring.stage, ring.parity);
      const unsigned char* a = memory + ring.stage * W::kStageBytes;
      ptx::pin_sums(sums);
      ptx::fence_products();
      multiply_stage<W>(a + group * W::kGroupRows * W::kLine, a + W::kABytes, step == 0, sums);
      ptx::commit_products();
      // One stage's products stay under way; those of the stage before are through.
      ptx::wait_products<1>();
      if (step > 0) let_go(before);
      before = ring.stage;
      ring.next();
    }
    ptx::wait_products<0>();
    ptx::pin_sums(sums);
    let_go(before);
    give_sums<W::kCols>(p, wide, unit.batch, unit.split, unit.row + warp * 16, unit.col, sums,
                        piece);
  }
}

template <class W>
__global__ void __launch_bounds__(W::kThreads, 1)
    wgmma_kernel(const __grid_constant__ Product<typename W::T> p,
                 const __grid_constant__ ptx::TensorMap a_map,
                 const __grid_constant__ ptx::TensorMap b_map, unsigned units, bool wide) {
  if constexpr (ptx::kHopper) {
    GS_DYNAMIC_SHARED(unsigned char, memory);
    if (threadIdx.x == 0) Barriers<W>(memory).init();
    __syncthreads();
    constexpr int kMultiplying = W::kConsumers * kGroupThreads;
    if (threadIdx.x >= kMultiplying) {
      ptx::fewer_registers<W::kFewRegisters>();
      if (threadIdx.x == kMultiplying) bring_tiles<W>(p, a_map, b_map, units, memory);
    } else {
      ptx::more_registers<W::kManyRegisters>();
      multiply_tiles<W>(p, wide, units, memory);
    }
  } else {
    ptx::trap();
  }
}

// ---------------------------------------------------------------- launching

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
  ptx::TensorMap a_map, b_map;
  if (!map_tensor(boxed<W::kAAlongK, W::kRows>(p.a, p.a_row, p.a_k, p.m, p.k, p.a_batch, p.batch),
                  a_map) ||
      !map_tensor(boxed<W::kBAlongK, W::kCols>(p.b, p.b_row, p.b_k, p.n, p.k, p.b_batch, p.batch),
                  b_map))
    return false;
  const int64_t units = ceil_div(p.m, W::kRows) * ceil_div(p.n, W::kCols) * p.batch * p.splits;
  if (units > INT32_MAX) return false;
  const bool wide = p.c_row % 8 == 0 && p.c_batch % 8 == 0 && is_aligned(p.c, kPackBytes);
  const int64_t most = processors(), blocks = units < most ? units : most;
  launch(
      {dim3(static_cast<unsigned>(blocks)), dim3(W::kThreads), W::kSharedBytes, current_stream()},
      wgmma_kernel<W>, p, a_map, b_map, static_cast<unsigned>(units), wide);
  return true;
}

template <class T, bool AAlongK, bool BAlongK>
bool run_with(const Product<T>& p, int cols) {
  if (cols == 256) return run<WgmmaTile<T, AAlongK, BAlongK, 256, 4>>(p);
  if (cols == 128) return run<WgmmaTile<T, AAlongK, BAlongK, 128, 6>>(p);
  return run<WgmmaTile<T, AAlongK, BAlongK, 64, 8>>(p);
}

}  // namespace

void set_wgmma_tiles(int columns) { wanted.store(columns, std::memory_order_relaxed); }

// Narrow tiles cost more for each column, since less is computed from each byte that is read; but
// they leave fewer processors without work in the last round.
template <class T>
int wgmma_columns(const Product<T>& p) {
  constexpr int64_t kShortest = 64;
  const int columns_wanted = wanted.load(std::memory_order_relaxed);
  if (p.m < kShortest || p.n < kShortest || p.k < kShortest || !is_hopper()) return 0;
  if (columns_wanted != kByShape) return columns_wanted;
  int best = 0;
  int64_t least = 0;
  for (const auto& [columns, cost] :
       {std::pair(256, 256), std::pair(128, 144), std::pair(64, 86)}) {
    const int64_t tiles = ceil_div(p.m, 128) * ceil_div(p.n, columns) * p.batch;
    const int64_t all = ceil_div(tiles, kProcessors) * cost;
    if (best == 0 || all < least) best = columns, least = all;
  }
  return best;
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
