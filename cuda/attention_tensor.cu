// Attention of 16-bit floats on tensor cores (Dao, "FlashAttention-2", 2023): a block keeps a tile
// of queries and goes over the keys, whose next tile comes while one is worked off. Probabilities
// stay in registers, where the product with the values takes them.
#include "attention_tensor.cuh"
#include "gemm.cuh"
#include "kernels/params/attention.h"

namespace gs::cuda {
namespace {

// Masked: a mask adds to the scores. Its reads take registers, so there is less of the rest then.
template <class Element, int Width, int Down, bool Masked>
struct Shape {
  using T = Element;
  using Tile = RowTile<T, Width>;
  static constexpr bool kMasked = Masked;
  static constexpr int kWidth = Width, kDown = Down, kWarpQueries = 16 * Down;
  static constexpr int kQueries = kTensorWarps * kWarpQueries;
  static constexpr int kKeys = Down * Width > 128 ? 32 : 64;  // their scores are in registers
  static constexpr int kBlocks = Down == 2 || Width > 64 ? 2 : Width > 32 ? 3 : 4;
  static constexpr int kStage = 2 * kKeys * Tile::kStride;  // a tile of keys and one of values
  static constexpr size_t kBytes = Tile::bytes(kQueries) + 2 * kStage * sizeof(T);
};

// What a warp knows of its queries while it goes over the keys. The sum of a row is cut over the
// four lanes that hold it.
template <class S>
struct Rows {
  static constexpr int kDown = S::kDown;
  Sums<kDown, S::kWidth / 8> out = {};
  float highest[kDown][2], sum[kDown][2];

  GS_DEVICE Rows() {
    GS_UNROLL for (int i = 0; i < kDown; ++i) {
      GS_UNROLL for (int half = 0; half < 2; ++half) {
        highest[i][half] = -std::numeric_limits<float>::infinity();
        sum[i][half] = 0;
      }
    }
  }

  // Probabilities in place of scores, relative to the highest score so far; what was summed before
  // follows that.
  GS_DEVICE void soften(Sums<kDown, S::kKeys / 8>& scores) {
    constexpr float kLowest = -std::numeric_limits<float>::infinity();
    GS_UNROLL for (int i = 0; i < kDown; ++i) {
      GS_UNROLL for (int half = 0; half < 2; ++half) {
        float now = highest[i][half];
        GS_UNROLL for (int j = 0; j < S::kKeys / 8; ++j) {
          now = fmaxf(now, fmaxf(scores[i][j][2 * half], scores[i][j][2 * half + 1]));
        }
        now = over_row(now, [](float a, float b) { return fmaxf(a, b); });
        const float base = now == kLowest ? 0 : now;  // -inf - -inf would be NaN
        const float shrink = ptx::exp2(highest[i][half] - base);
        highest[i][half] = now;
        float total = sum[i][half] * shrink;
        GS_UNROLL for (int j = 0; j < S::kKeys / 8; ++j) {
          GS_UNROLL for (int e = 2 * half; e < 2 * half + 2; ++e) {
            scores[i][j][e] = ptx::exp2(scores[i][j][e] - base);
            total += scores[i][j][e];
          }
        }
        sum[i][half] = total;
        GS_UNROLL for (int j = 0; j < S::kWidth / 8; ++j) {
          out[i][j][2 * half] *= shrink, out[i][j][2 * half + 1] *= shrink;
        }
      }
    }
  }

  // Joins what the four lanes of a row have.
  template <class Op>
  static GS_DEVICE float over_row(float x, const Op& op) {
    x = op(x, __shfl_xor_sync(kFullWarp, x, 1));
    return op(x, __shfl_xor_sync(kFullWarp, x, 2));
  }
};

// Scores in units of base 2, from products; -infinity where a query may not look.
template <class S>
GS_DEVICE void finish_scores(Sums<S::kDown, S::kKeys / 8>& scores,
                             const Sight<typename S::T>& sight, float scale, int query0, int key0,
                             int lane) {
  const bool all = !S::kMasked && sight.all(query0, key0, S::kKeys);
  GS_UNROLL for (int i = 0; i < S::kDown; ++i) {
    GS_UNROLL for (int half = 0; half < 2; ++half) {
      const int query = query0 + row_in_warp(i, 2 * half, lane);
      const int seen = all ? S::kKeys : sight.keys_seen(query, key0);
      GS_UNROLL for (int j = 0; j < S::kKeys / 8; ++j) {
        GS_UNROLL for (int e = 2 * half; e < 2 * half + 2; ++e) {
          const int column = column_in_warp(j, e, lane);
          float score = scores[i][j][e] * scale;
          if (column >= seen) score = -std::numeric_limits<float>::infinity();
          if (S::kMasked && column < seen) score += sight.bias(query, key0 + column);
          scores[i][j][e] = score;
        }
      }
    }
  }
}

template <class S>
__global__ void __launch_bounds__(kTensorThreads, S::kBlocks)
    tensor_kernel(const __grid_constant__ Attention p, unsigned tiles) {
  using T = typename S::T;
  using Tile = typename S::Tile;
  GS_DYNAMIC_SHARED(T, memory);
  const int d = static_cast<int>(p.d), v = static_cast<int>(p.v), t = static_cast<int>(p.t);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  // The last queries see the most keys: theirs are the first blocks.
  const int64_t head = blockIdx.x / tiles;
  const int query0 = static_cast<int>(tiles - 1 - blockIdx.x % tiles) * S::kQueries;
  const int mine = query0 + warp * S::kWarpQueries;  // the warp's first query
  T* const queries = memory + warp * S::kWarpQueries * Tile::kStride;
  T* const stages = memory + S::kQueries * Tile::kStride;
  const Sight<T> sight(p, head);

  const int key_tiles = (sight.keys_before(query0 + S::kQueries) + S::kKeys - 1) / S::kKeys;
  using Keys = typename Tile::template Source<S::kKeys>;
  Keys k(static_cast<const T*>(p.k) + head * p.u * d, 0, sight.u, d);
  Keys value(static_cast<const T*>(p.value) + head * p.u * v, 0, sight.u, v);
  const auto bring = [&](int tile) {
    if (tile < key_tiles) {
      T* const to = stages + tile % 2 * S::kStage;
      k.bring(to, d), value.bring(to + S::kStage / 2, v);
    }
    ptx::commit_copies();
  };
  typename Tile::template Source<S::kQueries> q(static_cast<const T*>(p.q) + head * p.t * d, query0,
                                                t, d);
  q.bring(memory, d);
  bring(0);
  Rows<S> rows;
  for (int tile = 0; tile < key_tiles; ++tile) {
    ptx::wait_copies<0>();
    // Now this tile is there for all, and all are done with the one before, whose place is free.
    __syncthreads();
    bring(tile + 1);
    const int key0 = tile * S::kKeys;
    if (sight.none(mine, S::kWarpQueries, key0)) continue;
    const T* const keys = stages + tile % 2 * S::kStage;
    Sums<S::kDown, S::kKeys / 8> scores = {};
    multiply_rows<Tile, T, S::kWidth>(scores, queries, keys, lane);
    finish_scores<S>(scores, sight, static_cast<float>(p.scale) * kLog2E, mine, key0, lane);
    rows.soften(scores);
    Weights<S::kDown, S::kKeys / 16> probabilities;
    round_sums<T>(probabilities, scores);
    multiply_weights<Tile>(rows.out, probabilities, keys + S::kStage / 2, lane);
  }

  float totals[S::kDown][2];
  GS_UNROLL for (int i = 0; i < S::kDown; ++i) {
    GS_UNROLL for (int half = 0; half < 2; ++half) {
      const float total = totals[i][half] = Rows<S>::over_row(rows.sum[i][half], Plus{});
      const int query = mine + row_in_warp(i, 2 * half, lane);
      if (p.lse && lane % 4 == 0 && query < t)
        static_cast<float*>(p.lse)[head * p.t + query] =
            total == 0 ? -std::numeric_limits<float>::infinity()
                       : (rows.highest[i][half] + std::log2(total)) * kLn2;
    }
  }
  Tile::template give<S::kDown>(
      rows.out, queries, static_cast<T*>(p.out) + head * p.t * v, mine, t, v, lane,
      [&](int i, int half) { return totals[i][half] == 0 ? 0 : 1 / totals[i][half]; });
}

template <class S>
void run(const Attention& p) {
  const int64_t tiles = ceil_div(p.t, S::kQueries);
  launch({dim3(static_cast<unsigned>(tiles * p.batch * p.heads)), dim3(kTensorThreads), S::kBytes,
          current_stream()},
         tensor_kernel<S>, p, static_cast<unsigned>(tiles));
}

}  // namespace

template <class T>
bool tensor_attention(const Attention& p) {
  if (!tensor_shape(p)) return false;
  for (const void* pointer : {p.q, p.k, p.value, static_cast<const void*>(p.out)})
    if (!is_aligned(pointer, kPackBytes)) return false;
  // Tall tiles read shared memory less often, where they still give every processor one.
  const bool tall = ceil_div(p.t, 128) * p.batch * p.heads >= kProcessors;
  visit_width(p.d, p.v, [&](auto width) {
    if (p.mask)
      run<Shape<T, width.value, 1, true>>(p);
    else if (tall)
      run<Shape<T, width.value, 2, false>>(p);
    else
      run<Shape<T, width.value, 1, false>>(p);
  });
  return true;
}

template bool tensor_attention<Half>(const Attention& p);
template bool tensor_attention<BFloat16>(const Attention& p);

}  // namespace gs::cuda
