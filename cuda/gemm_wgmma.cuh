// Products by the warpgroups of Hopper. A block's tiles come through the copy engine into a ring of
// stages, and two warpgroups multiply them by wgmma, straight from shared memory. As many blocks as
// processors, each taking one tile of C after another: while sums are written, the next tile's
// operands are on their way.
#pragma once

#include "gemm_wgmma_sums.cuh"
#include "ptx/tensor_copy.cuh"
#include "ptx/wgmma.cuh"
#include "runtime/architecture.h"
#include "runtime/tensor_map.h"

namespace gs::cuda {

inline constexpr int kGroupThreads = 128, kGroupWarps = 4;  // of a warpgroup

// A block's tile is 128 x Cols, 64 rows for each of two warpgroups; a stage is as deep as the
// copies' swizzle is wide, 128 bytes. A third warpgroup has the one thread that brings the tiles.
// With two parts, a number is the sum of one in the first and a small one in the second, and three
// products stand for one: all but that of the two second parts.
template <class Element, bool AAlongK, bool BAlongK, int Cols, int Stages, int Parts = 1>
struct WgmmaTile {
  using T = Element;
  static_assert(sizeof(T) == 2 || (AAlongK && BAlongK));
  static constexpr bool kAAlongK = AAlongK, kBAlongK = BAlongK;
  static constexpr int kBytes = sizeof(T), kLine = 128, kDepth = kLine / kBytes;
  static constexpr int kRows = 128, kCols = Cols, kStages = Stages, kParts = Parts;
  static constexpr int kConsumers = 2, kGroupRows = kRows / kConsumers;
  static constexpr int kThreads = (kConsumers + 1) * kGroupThreads;
  static constexpr int kSums = Cols / 2;  // of a thread
  static constexpr int kAPart = kRows * kLine, kBPart = Cols * kLine;
  static constexpr int kABytes = Parts * kAPart, kBBytes = Parts * kBPart;
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

// One operand's boxes of a tile, of one part. Along k a box is all its rows; otherwise, 64 rows.
// Parts are the map's last dimension, instead of the outer count of batches.
template <bool AlongK, int Rows, int Line>
GS_DEVICE void bring_operand(char* to, const ptx::TensorMap& map, const BatchOffsets& batches,
                             int64_t batch, int64_t row, int64_t k, int part, uint64_t* barrier) {
  const int32_t z = static_cast<int32_t>(batches.inner_stride ? batch % batches.inner : 0);
  const int32_t w = static_cast<int32_t>(batches.outer_stride ? batch / batches.inner : part);
  const int32_t y = static_cast<int32_t>(row), x = static_cast<int32_t>(k);
  if constexpr (AlongK) {
    ptx::copy_box(to, map, {x, y, z, w}, barrier);
  } else {
    GS_UNROLL for (int r = 0; r < Rows; r += 64)
        ptx::copy_box(to + r * Line, map, {y + r, x, z, w}, barrier);
  }
}

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
    _Pragma("unroll 1") for (int step = 0; step < unit.steps; ++step, k += W::kDepth) {
      ptx::wait_phase(barriers.free + ring.stage, ring.parity ^ 1);  // at once in the first round
      uint64_t* filled = barriers.filled + ring.stage;
      ptx::arrive_expecting(filled, W::kStageBytes);
      char* a = reinterpret_cast<char*>(memory) + ring.stage * W::kStageBytes;
      char* b = a + W::kABytes;
      GS_UNROLL for (int part = 0; part < W::kParts; ++part) {
        bring_operand<W::kAAlongK, W::kRows, W::kLine>(a + part * W::kAPart, a_map, p.a_batch,
                                                       unit.batch, unit.row, k, part, filled);
        bring_operand<W::kBAlongK, W::kCols, W::kLine>(b + part * W::kBPart, b_map, p.b_batch,
                                                       unit.batch, unit.col, k, part, filled);
      }
      ring.next();
    }
  }
}

// The products of one stage, of one part of A and of B: sums += A B, or = A B at first.
template <class W>
GS_DEVICE void multiply_parts(const unsigned char* a, const unsigned char* b, bool first,
                              float (&sums)[W::kSums]) {
  // From one k to the next: within a line, or from line to line.
  constexpr int kAStep = W::kAAlongK ? W::kBytes : W::kLine;
  constexpr int kBStep = W::kBAlongK ? W::kBytes : W::kLine;
  constexpr int kBox = 64 * W::kLine, kOnce = 32 / W::kBytes;
  GS_UNROLL for (int k = 0; k < W::kDepth; k += kOnce)
      ptx::multiply_64<typename W::T, W::kCols, W::kAAlongK, W::kBAlongK>(
          sums, ptx::operand<W::kAAlongK>(a + k * kAStep, kBox),
          ptx::operand<W::kBAlongK>(b + k * kBStep, kBox), !first || k > 0);
}

template <class W>
GS_DEVICE void multiply_stage(const unsigned char* stage, bool first, float (&sums)[W::kSums]) {
  const int group = static_cast<int>(threadIdx.x) / kGroupThreads;
  const unsigned char* a = stage + group * W::kGroupRows * W::kLine;
  const unsigned char* b = stage + W::kABytes;
  ptx::fence_products();
  if constexpr (W::kParts == 2) {  // the small ones first
    multiply_parts<W>(a + W::kAPart, b, first, sums);
    multiply_parts<W>(a, b + W::kBPart, false, sums);
  }
  multiply_parts<W>(a, b, first && W::kParts == 1, sums);
  ptx::commit_products();
}

// The sums of a unit's products. let_go(stage) is called when a stage's are through.
template <class W, class LetGo>
GS_DEVICE void multiply_unit(const Barriers<W>& barriers, const unsigned char* memory, int steps,
                             Ring<W::kStages>& ring, float (&sums)[W::kSums], LetGo let_go) {
  int before = 0;
  ptx::pin_sums(sums);
  _Pragma("unroll 1") for (int step = 0; step < steps; ++step) {
    ptx::wait_phase(barriers.filled + ring.stage, ring.parity);
    multiply_stage<W>(memory + ring.stage * W::kStageBytes, step == 0, sums);
    // One stage's products stay under way; those of the stage before are through.
    ptx::wait_products<1>();
    if (step > 0) let_go(before);
    before = ring.stage;
    ring.next();
  }
  ptx::wait_products<0>();
  ptx::pin_sums(sums);
  let_go(before);
}

// The tensor cores cut sums off instead of rounding them: where that would be seen, the products of
// each stage have sums of their own, and the long sum is an addition of float.
template <class W, class LetGo>
GS_DEVICE void multiply_unit_exactly(const Barriers<W>& barriers, const unsigned char* memory,
                                     int steps, Ring<W::kStages>& ring, float (&sums)[W::kSums],
                                     LetGo let_go) {
  float of_stage[W::kSums];
  _Pragma("unroll 1") for (int step = 0; step < steps; ++step) {
    ptx::wait_phase(barriers.filled + ring.stage, ring.parity);
    ptx::pin_sums(of_stage);
    multiply_stage<W>(memory + ring.stage * W::kStageBytes, true, of_stage);
    ptx::wait_products<0>();
    ptx::pin_sums(of_stage);
    let_go(ring.stage);
    GS_UNROLL for (int i = 0; i < W::kSums; ++i) sums[i] =
        step == 0 ? of_stage[i] : sums[i] + of_stage[i];
    ring.next();
  }
}

// By the two warpgroups that multiply.
template <class W>
GS_DEVICE void multiply_tiles(const Product<typename W::T>& p, bool wide, unsigned units,
                              unsigned char* memory) {
  const Barriers<W> barriers(memory);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  float* piece = reinterpret_cast<float*>(memory + W::kSumsAt) + warp * W::kSumsValues;
  const auto let_go = [&](int stage) {
    if (lane == 0) ptx::arrive(barriers.free + stage);
  };
  Ring<W::kStages> ring;
  float sums[W::kSums];
  for (unsigned number = blockIdx.x; number < units; number += gridDim.x) {
    const Unit<W> unit(p, number);
    if constexpr (W::kParts == 1)
      multiply_unit(barriers, memory, unit.steps, ring, sums, let_go);
    else
      multiply_unit_exactly(barriers, memory, unit.steps, ring, sums, let_go);
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

// How wide tiles are best. Narrow ones cost more for each column, since less is computed from each
// byte that is read; but they leave fewer processors without work in the last round.
template <class T>
int best_columns(const Product<T>& p, int widest) {
  int best = 0;
  int64_t least = 0;
  for (const auto& [columns, cost] :
       {std::pair(256, 256), std::pair(128, 144), std::pair(64, 86)}) {
    const int64_t tiles = ceil_div(p.m, 128) * ceil_div(p.n, columns) * p.batch;
    const int64_t all = ceil_div(tiles, kProcessors) * cost;
    if (columns <= widest && (best == 0 || all < least)) best = columns, least = all;
  }
  return best;
}
int wanted_columns();  // set_wgmma_tiles

// `wide`: C may be written in packs of 16 bytes. False where the driver does not take the operands.
template <class W>
bool launch_wgmma(const Product<typename W::T>& p, const BoxedTensor& a, const BoxedTensor& b,
                  bool wide) {
  ptx::TensorMap a_map, b_map;
  const int64_t units = ceil_div(p.m, W::kRows) * ceil_div(p.n, W::kCols) * p.batch * p.splits;
  if (units > INT32_MAX || !map_tensor(a, a_map) || !map_tensor(b, b_map)) return false;
  const int64_t most = processors(), blocks = units < most ? units : most;
  launch(
      {dim3(static_cast<unsigned>(blocks)), dim3(W::kThreads), W::kSharedBytes, current_stream()},
      wgmma_kernel<W>, p, a_map, b_map, static_cast<unsigned>(units), wide);
  return true;
}

}  // namespace gs::cuda
