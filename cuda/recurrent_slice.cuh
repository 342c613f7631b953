// The product of a kernel that runs all steps of a recurrent layer: a block keeps its rows of the
// weight in shared memory for good, and multiplies them with the states of a few sequences at a
// time, which come in pieces by asynchronous copies. The warps cut each piece among them; their
// sums are added in order. So a sum has the same bits however many blocks there are.
#pragma once

#include "cell.cuh"
#include "grid_barrier.cuh"
#include "ptx/mma.cuh"
#include "runtime/scratch.h"

namespace gs::cuda {

inline constexpr int kSliceThreads = 256, kSliceWarps = kSliceThreads / 32;
inline constexpr int kChunk = 128;  // of the depth, at a time
GS_HOST_DEVICE int64_t whole_chunks(int64_t depth) { return ceil_div(depth, kChunk) * kChunk; }

// Units hidden units of a block, Gates rows of the weight each, and Batch sequences at a time.
template <class Element, int Gates, int Units, int Batch>
struct SliceShape {
  using T = Element;
  using C = compute_t<T>;
  static constexpr bool kTensor = sizeof(T) == 2;
  static constexpr int kGates = Gates, kUnits = Units, kBatch = Batch;
  // Tensor cores take rows in eights: those beyond are zeros.
  static constexpr int kRows = kTensor ? (Gates * Units + 7) / 8 * 8 : Gates * Units;
  static constexpr int kBlocks = Units <= 4 ? 2 : 1;  // that a processor holds, of narrow slices
  static constexpr int kStages = 4, kPack = kPackBytes / sizeof(T);
  // One pack more a row keeps lanes that read different rows in different banks.
  static constexpr int kPad = kPack, kLine = kChunk + kPad, kStage = Batch * kLine;
  static_assert(Batch % 8 == 0 && (!kTensor || Batch == 16) && kRows % 4 == 0);

  static GS_HOST_DEVICE int64_t weight_line(int64_t padded) { return padded + kPad; }
  static size_t bytes(int64_t padded) {
    return sizeof(T) * static_cast<size_t>(kRows * weight_line(padded) + kStages * kStage) +
           sizeof(C) * kSliceWarps * Batch * kRows;
  }
};

template <class S>
class Slice {
  using T = typename S::T;
  using C = typename S::C;
  static constexpr int kDown = S::kBatch / 8, kAcross = S::kRows / 4;  // of a lane

 public:
  // padded: the depth in whole chunks. A state's row has so many elements, zeros behind the depth.
  GS_DEVICE Slice(T* memory, int64_t padded)
      : weight_(memory),
        stages_(memory + S::kRows * S::weight_line(padded)),
        sums_(reinterpret_cast<C*>(stages_ + S::kStages * S::kStage)),
        padded_(static_cast<int>(padded)) {}

  // weight(row, k) for the rows gate * kUnits + unit; 0 where there is none.
  template <class Weight>
  GS_DEVICE void load(bool depth_first, const Weight& weight) {
    const int line = static_cast<int>(S::weight_line(padded_));
    for (int i = static_cast<int>(threadIdx.x); i < S::kRows * padded_; i += kSliceThreads) {
      const int row = depth_first ? i / padded_ : i % S::kRows;
      const int k = depth_first ? i % padded_ : i / S::kRows;
      weight_[row * line + k] = weight(row, k);
    }
    __syncthreads();
  }

  // All rows times the states first, first + 1, ... of `states` (batch x padded); sum() has them.
  GS_DEVICE void multiply(const T* states, int64_t first, int64_t batch) {
    const int chunks = padded_ / kChunk;
    const auto bring = [&](int chunk) {
      if (chunk < chunks) bring_chunk(chunk, states, first, batch);
      ptx::commit_copies();
    };
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    Totals totals = {};
    GS_UNROLL for (int chunk = 0; chunk < S::kStages - 1; ++chunk) bring(chunk);
    for (int chunk = 0; chunk < chunks; ++chunk) {
      ptx::wait_copies<S::kStages - 2>();
      __syncthreads();  // this chunk is there for all, and the place of the one before is free
      bring(chunk + S::kStages - 1);
      const T* const states_of = stages_ + chunk % S::kStages * S::kStage;
      constexpr int kEach = kChunk / kSliceWarps;
      add(totals, weight_ + chunk * kChunk + warp * kEach, states_of + warp * kEach, lane);
    }
    ptx::wait_copies<0>();
    give(totals, warp, lane);
    __syncthreads();
  }
  // What multiply found for a sequence of its own and a row.
  GS_DEVICE C sum(int sequence, int row) const {
    C sum = 0;
    GS_UNROLL for (int warp = 0; warp < kSliceWarps; ++warp) sum +=
        sums_[(warp * S::kBatch + sequence) * S::kRows + row];
    return sum;
  }

 private:
  // Of a lane: sequences lane / 4 + 8 i by rows lane % 4 + 4 j; of tensor cores, products of 16
  // sequences by 8 rows.
  using Totals = std::conditional_t<S::kTensor, float[(S::kRows + 7) / 8][4], C[kDown][kAcross]>;

  GS_DEVICE void bring_chunk(int chunk, const T* states, int64_t first, int64_t batch) {
    constexpr int kAcrossPacks = kChunk / S::kPack, kPacks = S::kBatch * kAcrossPacks;
    static_assert(kPacks % kSliceThreads == 0);
    T* const to = stages_ + chunk % S::kStages * S::kStage;
    GS_UNROLL for (int i = 0; i < kPacks; i += kSliceThreads) {
      const int pack = i + static_cast<int>(threadIdx.x);
      const int row = pack / kAcrossPacks, k = pack % kAcrossPacks * S::kPack;
      const bool inside = first + row < batch;
      ptx::copy_async_16(to + row * S::kLine + k,
                         inside ? states + (first + row) * padded_ + chunk * kChunk + k : states,
                         inside ? kPackBytes : 0);
    }
  }

  // The products of a warp's part of a chunk, 16 of the depth.
  GS_DEVICE void add(Totals& totals, const T* weight, const T* states, int lane) const {
    const int line = static_cast<int>(S::weight_line(padded_));
    if constexpr (S::kTensor) {
      uint32_t left[4];
      ptx::load_matrices<false>(left, states + lane % 16 * S::kLine + lane / 16 * 8);
      GS_UNROLL for (int j = 0; j < S::kRows / 8; ++j) {
        const T* const row = weight + (j * 8 + lane / 4) * line + lane % 4 * 2;
        uint32_t right[2];
        right[0] = *reinterpret_cast<const uint32_t*>(row);
        right[1] = *reinterpret_cast<const uint32_t*>(row + 8);
        ptx::multiply_16x8x16<T>(totals[j], left, right);
      }
    } else {
      GS_UNROLL for (int k = 0; k < kChunk / kSliceWarps; k += S::kPack) {
        Pack<T, S::kPack> h[kDown], w[kAcross];
        GS_UNROLL for (int i = 0; i < kDown; ++i) h[i] =
            load_pack<T, S::kPack>(states + (lane / 4 + 8 * i) * S::kLine + k);
        GS_UNROLL for (int j = 0; j < kAcross; ++j) w[j] =
            load_pack<T, S::kPack>(weight + (lane % 4 + 4 * j) * line + k);
        GS_UNROLL for (int e = 0; e < S::kPack; ++e) {
          GS_UNROLL for (int i = 0; i < kDown; ++i) {
            GS_UNROLL for (int j = 0; j < kAcross; ++j) totals[i][j] += h[i].v[e] * w[j].v[e];
          }
        }
      }
    }
  }

  GS_DEVICE void give(const Totals& totals, int warp, int lane) {
    C* const to = sums_ + warp * S::kBatch * S::kRows;
    if constexpr (S::kTensor) {
      GS_UNROLL for (int j = 0; j < S::kRows / 8; ++j) {
        GS_UNROLL for (int e = 0; e < 4; ++e) {
          const int sequence = lane / 4 + e / 2 * 8, row = j * 8 + lane % 4 * 2 + e % 2;
          to[sequence * S::kRows + row] = totals[j][e];
        }
      }
    } else {
      GS_UNROLL for (int i = 0; i < kDown; ++i) {
        GS_UNROLL for (int j = 0; j < kAcross; ++j) {
          to[(lane / 4 + 8 * i) * S::kRows + lane % 4 + 4 * j] = totals[i][j];
        }
      }
    }
  }

  T* weight_;
  T* stages_;
  C* sums_;
  int padded_;
};

// The unit of a thread: one of a sequence of the pass that begins at sequence `first`.
template <class S>
struct SliceUnit {
  static_assert(S::kBatch * S::kUnits <= kSliceThreads);
  int sequence_, unit_;  // in the pass, in the block
  int64_t b_, j_;        // of all
  bool there_;

  GS_DEVICE SliceUnit(int64_t first, int64_t batch, int64_t hidden)
      : sequence_(static_cast<int>(threadIdx.x) / S::kUnits),
        unit_(static_cast<int>(threadIdx.x) % S::kUnits),
        b_(first + sequence_),
        j_(int64_t(blockIdx.x) * S::kUnits + unit_),
        there_(sequence_ < S::kBatch && b_ < batch && j_ < hidden) {}
};

// ---------------------------------------------------------------- the grid

// Blocks: x over the hidden units, y over the sequences, which need not wait for each other. A
// block has the passes y, y + gridDim.y, ... of kBatch sequences.
struct SliceGrid {
  int64_t unit_blocks = 0, groups = 0;  // groups 0: it does not fit
};
inline constexpr int kCountersApart = 32;  // the groups' counters, in cache lines of their own

// Not more than a few passes a block: beyond, the products are large enough to be kernels alone.
template <class S, class Kernel>
SliceGrid plan_slices(Kernel kernel, int64_t batch, int64_t hidden, int64_t depth) {
  constexpr int64_t kMostPasses = 4;
  const int64_t passes = ceil_div(batch, S::kBatch), unit_blocks = ceil_div(hidden, S::kUnits);
  const int64_t resident = resident_blocks(kernel, kSliceThreads, S::bytes(whole_chunks(depth)));
  const int64_t possible = resident / unit_blocks, groups = possible < passes ? possible : passes;
  if (groups == 0 || ceil_div(passes, groups) > kMostPasses) return {};
  return {unit_blocks, groups};
}

// Runs all steps of a layer, whose sizes are set. `exchange` is the layer's room for what goes from
// one block to all: (2, B, padded), zeros at the start, as the counters in `arrived` are.
template <class S, class Kernel, class Layer>
void launch_slices(const char* name, const SliceGrid& grid, Kernel kernel, Layer& layer,
                   typename S::T*& exchange) {
  using T = typename S::T;
  const int64_t count = 2 * layer.batch * layer.padded, counters = grid.groups * kCountersApart;
  const Scratch<T> room(count);
  const Scratch<unsigned> arrived(counters);
  const cudaStream_t stream = current_stream();
  check(cudaMemsetAsync(room.data(), 0, static_cast<size_t>(count) * sizeof(T), stream), name);
  check(cudaMemsetAsync(arrived.data(), 0, static_cast<size_t>(counters) * 4, stream), name);
  exchange = room.data(), layer.arrived = arrived.data();
  launch_together(
      {dim3(static_cast<unsigned>(grid.unit_blocks), static_cast<unsigned>(grid.groups)),
       dim3(kSliceThreads), S::bytes(layer.padded), stream},
      kernel, layer);
}

// The layers that these kernels are compiled for: K(cell, T).
#define GS_SLICE_LAYERS(K) \
  K(Lstm, float) K(Lstm, Half) K(Lstm, BFloat16) K(Gru, float) K(Gru, Half) K(Gru, BFloat16)

}  // namespace gs::cuda
