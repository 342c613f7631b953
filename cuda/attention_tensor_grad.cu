// The gradient of attention of 16-bit floats on tensor cores. Two passes, so that nothing is added
// by several blocks: tiles of queries go over the keys for dq, tiles of keys over the queries for
// dk and dvalue. Scores and probabilities are made again, in registers; there they also are the
// left operands of the products with the other side's rows: the second pass makes them transposed.
#include "attention_tensor.cuh"

namespace gs::cuda {
namespace {

// Mine: rows of the tile that a block keeps, of two tensors. Theirs: rows of the tiles it goes
// over.
template <class Element, int Width, int Down, int Theirs>
struct Shape {
  using T = Element;
  using Tile = RowTile<T, Width>;
  static constexpr int kWidth = Width, kDown = Down, kWarpRows = 16 * Down;
  static constexpr int kMine = kTensorWarps * kWarpRows, kTheirs = Theirs;
  static constexpr int kStage = 2 * kTheirs * Tile::kStride;
  static constexpr int kCopies = 2 * kMine * Tile::kStride + 2 * kStage;
  static constexpr size_t kBytes = kCopies * sizeof(T);
};

// What a row's scores are compared with, in base 2: +infinity where it sees nothing.
GS_DEVICE float limit_of(const float* lse, int64_t query, int64_t t) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  if (query >= t) return kInfinity;
  const float kept = lse[query];
  return kept == -kInfinity ? kInfinity : kept * kLog2E;
}

// The tensors of one head.
template <class T>
struct Head {
  const T *q, *k, *value, *dout;
  const float *lse, *delta;

  GS_DEVICE Head(const AttentionGrad& p, const float* deltas, int64_t head)
      : q(static_cast<const T*>(p.q) + head * p.t * p.d),
        k(static_cast<const T*>(p.k) + head * p.u * p.d),
        value(static_cast<const T*>(p.value) + head * p.u * p.v),
        dout(static_cast<const T*>(p.dout) + head * p.t * p.v),
        lse(static_cast<const float*>(p.lse) + head * p.t),
        delta(deltas + head * p.t) {}
};

// ---------------------------------------------------------------- dq

template <class S>
__global__ void __launch_bounds__(kTensorThreads)
    query_grad_kernel(const __grid_constant__ AttentionGrad p, const float* deltas, int64_t tiles) {
  using T = typename S::T;
  using Tile = typename S::Tile;
  GS_DYNAMIC_SHARED(T, memory);
  const int d = static_cast<int>(p.d), v = static_cast<int>(p.v);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int64_t index = blockIdx.x / tiles;
  const int64_t query0 = (tiles - 1 - blockIdx.x % tiles) * S::kMine;
  const int64_t mine = query0 + warp * S::kWarpRows;
  const Head<T> head(p, deltas, index);
  const Sight<T> sight(p, index);
  const float scale = static_cast<float>(p.scale) * kLog2E;
  T* const queries = memory + warp * S::kWarpRows * Tile::kStride;
  T* const douts = queries + S::kMine * Tile::kStride;
  T* const stages = memory + 2 * S::kMine * Tile::kStride;

  const int64_t end = p.causal && query0 + S::kMine < p.u ? query0 + S::kMine : p.u;
  const int64_t key_tiles = ceil_div(end, S::kTheirs);
  const auto bring = [&](int64_t tile) {
    if (tile < key_tiles) {
      T* const to = stages + tile % 2 * S::kStage;
      Tile::template bring<S::kTheirs>(to, head.k, tile * S::kTheirs, p.u, d);
      Tile::template bring<S::kTheirs>(to + S::kStage / 2, head.value, tile * S::kTheirs, p.u, v);
    }
    ptx::commit_copies();
  };
  Tile::template bring<S::kMine>(memory, head.q, query0, p.t, d);
  Tile::template bring<S::kMine>(memory + S::kMine * Tile::kStride, head.dout, query0, p.t, v);
  bring(0);
  float limit[S::kDown][2], delta[S::kDown][2];
  GS_UNROLL for (int i = 0; i < S::kDown; ++i) {
    GS_UNROLL for (int half = 0; half < 2; ++half) {
      const int64_t query = mine + row_in_warp(i, 2 * half, lane);
      limit[i][half] = limit_of(head.lse, query, p.t);
      delta[i][half] = query < p.t ? head.delta[query] : 0;
    }
  }
  Sums<S::kDown, S::kWidth / 8> dq = {};
  for (int64_t tile = 0; tile < key_tiles; ++tile) {
    ptx::wait_copies<0>();
    __syncthreads();  // this tile is there for all, and the place of the one before is free
    bring(tile + 1);
    const int64_t key0 = tile * S::kTheirs;
    if (sight.none(mine, S::kWarpRows, key0)) continue;
    const T* const keys = stages + tile % 2 * S::kStage;
    Sums<S::kDown, S::kTheirs / 8> scores = {}, dscores = {};
    multiply_rows<Tile, T, S::kWidth>(scores, queries, keys, lane);
    multiply_rows<Tile, T, S::kWidth>(dscores, douts, keys + S::kStage / 2, lane);
    const bool all = sight.all(mine, key0, S::kTheirs);
    GS_UNROLL for (int i = 0; i < S::kDown; ++i) {
      GS_UNROLL for (int j = 0; j < S::kTheirs / 8; ++j) {
        GS_UNROLL for (int e = 0; e < 4; ++e) {
          float score = scores[i][j][e] * scale;
          if (!all)
            score = sight(score, mine + row_in_warp(i, e, lane), key0 + column_in_warp(j, e, lane));
          dscores[i][j][e] =
              ptx::exp2(score - limit[i][e / 2]) * (dscores[i][j][e] - delta[i][e / 2]);
        }
      }
    }
    Weights<S::kDown, S::kTheirs / 16> weights;
    round_sums<T>(weights, dscores);
    multiply_weights<Tile>(dq, weights, keys, lane);
  }
  ptx::wait_copies<0>();
  Tile::template give<S::kDown>(dq, queries, static_cast<T*>(p.dq) + index * p.t * d, mine, p.t, d,
                                lane, [&](int, int) { return static_cast<float>(p.scale); });
}

// ---------------------------------------------------------------- dk and dvalue

template <class S>
__global__ void __launch_bounds__(kTensorThreads)
    key_grad_kernel(const __grid_constant__ AttentionGrad p, const float* deltas, int64_t tiles) {
  using T = typename S::T;
  using Tile = typename S::Tile;
  GS_DYNAMIC_SHARED(T, memory);
  GS_SHARED(limits, float[2][S::kTheirs]);
  GS_SHARED(lost, float[2][S::kTheirs]);  // delta
  const int d = static_cast<int>(p.d), v = static_cast<int>(p.v);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const int64_t index = blockIdx.x / tiles, key0 = blockIdx.x % tiles * S::kMine;
  const int64_t mine = key0 + warp * S::kWarpRows;
  const Head<T> head(p, deltas, index);
  const Sight<T> sight(p, index);
  const float scale = static_cast<float>(p.scale) * kLog2E;
  T* const keys = memory + warp * S::kWarpRows * Tile::kStride;
  T* const values = keys + S::kMine * Tile::kStride;
  T* const stages = memory + 2 * S::kMine * Tile::kStride;

  const int64_t query_tiles = ceil_div(p.t, S::kTheirs);
  const int64_t first = p.causal ? key0 / S::kTheirs : 0;  // earlier queries see none of the keys
  const auto bring = [&](int64_t tile) {
    if (tile < query_tiles) {
      T* const to = stages + tile % 2 * S::kStage;
      Tile::template bring<S::kTheirs>(to, head.q, tile * S::kTheirs, p.t, d);
      Tile::template bring<S::kTheirs>(to + S::kStage / 2, head.dout, tile * S::kTheirs, p.t, v);
    }
    ptx::commit_copies();
  };
  // What a query of a tile has: read early, written when the tile's place is free.
  float limit = 0, delta = 0;
  const auto read_query = [&](int64_t tile) {
    const int64_t query = tile * S::kTheirs + thread;
    limit = limit_of(head.lse, query, p.t);
    delta = query < p.t ? head.delta[query] : 0;
  };
  const auto write_query = [&](int64_t tile) {
    if (thread < S::kTheirs) limits[tile % 2][thread] = limit, lost[tile % 2][thread] = delta;
  };
  Tile::template bring<S::kMine>(memory, head.k, key0, p.u, d);
  Tile::template bring<S::kMine>(memory + S::kMine * Tile::kStride, head.value, key0, p.u, v);
  bring(first);
  read_query(first), write_query(first);
  Sums<S::kDown, S::kWidth / 8> dk = {}, dvalue = {};
  for (int64_t tile = first; tile < query_tiles; ++tile) {
    ptx::wait_copies<0>();
    __syncthreads();  // this tile is there for all, and the place of the one before is free
    bring(tile + 1), read_query(tile + 1);
    const int64_t query0 = tile * S::kTheirs;
    if (mine < p.u && !sight.none(query0, S::kTheirs, mine)) {
      const T* const queries = stages + tile % 2 * S::kStage;
      const T* const douts = queries + S::kStage / 2;
      Sums<S::kDown, S::kTheirs / 8> scores = {}, dscores = {};
      multiply_rows<Tile, T, S::kWidth>(scores, keys, queries, lane);
      multiply_rows<Tile, T, S::kWidth>(dscores, values, douts, lane);
      const bool all = sight.all(query0, mine, S::kWarpRows);
      GS_UNROLL for (int i = 0; i < S::kDown; ++i) {
        GS_UNROLL for (int j = 0; j < S::kTheirs / 8; ++j) {
          GS_UNROLL for (int e = 0; e < 4; ++e) {
            const int query = column_in_warp(j, e, lane);
            float score = scores[i][j][e] * scale;
            if (!all) score = sight(score, query0 + query, mine + row_in_warp(i, e, lane));
            const float probability = ptx::exp2(score - limits[tile % 2][query]);
            scores[i][j][e] = probability;
            dscores[i][j][e] = probability * (dscores[i][j][e] - lost[tile % 2][query]);
          }
        }
      }
      Weights<S::kDown, S::kTheirs / 16> weights;
      round_sums<T>(weights, scores);
      multiply_weights<Tile>(dvalue, weights, douts, lane);
      round_sums<T>(weights, dscores);
      multiply_weights<Tile>(dk, weights, queries, lane);
    }
    write_query(tile + 1);
  }
  ptx::wait_copies<0>();
  __syncthreads();  // the warp's own rows may still be on their way from another thread's copies
  Tile::template give<S::kDown>(dk, keys, static_cast<T*>(p.dk) + index * p.u * d, mine, p.u, d,
                                lane, [&](int, int) { return static_cast<float>(p.scale); });
  Tile::template give<S::kDown>(dvalue, values, static_cast<T*>(p.dvalue) + index * p.u * v, mine,
                                p.u, v, lane, [](int, int) { return 1.0f; });
}

// Wide heads have less room for sums: fewer rows a warp.
template <class T, int Width>
void run(const AttentionGrad& p, const float* delta) {
  using Queries = std::conditional_t<Width <= 64, Shape<T, Width, 2, 32>, Shape<T, Width, 1, 64>>;
  using Keys = std::conditional_t<Width <= 32, Shape<T, Width, 2, 32>, Shape<T, Width, 1, 32>>;
  const int64_t heads = p.batch * p.heads;
  const int64_t query_tiles = ceil_div(p.t, Queries::kMine), key_tiles = ceil_div(p.u, Keys::kMine);
  launch({dim3(static_cast<unsigned>(query_tiles * heads)), dim3(kTensorThreads), Queries::kBytes,
          current_stream()},
         query_grad_kernel<Queries>, p, delta, query_tiles);
  launch({dim3(static_cast<unsigned>(key_tiles * heads)), dim3(kTensorThreads), Keys::kBytes,
          current_stream()},
         key_grad_kernel<Keys>, p, delta, key_tiles);
}

}  // namespace

template <class T>
bool tensor_attention_grad(const AttentionGrad& p, const float* delta) {
  if (!tensor_heads(p.d, p.v)) return false;
  const void* const all[] = {p.q, p.k, p.value, p.dout, p.dq, p.dk, p.dvalue};
  for (const void* pointer : all)
    if (!is_aligned(pointer, kPackBytes)) return false;
  visit_width(p.d, p.v, [&](auto width) { run<T, width.value>(p, delta); });
  return true;
}

template bool tensor_attention_grad<Half>(const AttentionGrad& p, const float* delta);
template bool tensor_attention_grad<BFloat16>(const AttentionGrad& p, const float* delta);

}  // namespace gs::cuda
