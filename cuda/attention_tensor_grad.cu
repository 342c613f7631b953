// The gradient of attention of 16-bit floats on tensor cores. Two passes, so that nothing is added
// by several blocks: tiles of queries go over the keys for dq, tiles of keys over the queries for
// dk and dvalue. Scores and probabilities are made again, in registers; there they also are the
// left operands of the products with the other side's rows: the second pass makes them transposed.
#include "attention_tensor.cuh"
#include "kernels/params/attention.h"
#include "reduce.cuh"
#include "runtime/scratch.h"

namespace gs::cuda {
namespace {

// Mine: rows of the tile that a block keeps, of two tensors. Theirs: rows of the tiles it goes
// over.
template <class Element, int Width, int Down, int Theirs, bool Masked>
struct Shape {
  using T = Element;
  using Tile = RowTile<T, Width>;
  static constexpr bool kMasked = Masked;
  static constexpr int kWidth = Width, kDown = Down, kWarpRows = 16 * Down;
  static constexpr int kMine = kTensorWarps * kWarpRows, kTheirs = Theirs;
  static constexpr int kBlocks = Width * Down <= 32 ? 3 : 2;
  static constexpr int kStage = 2 * kTheirs * Tile::kStride;
  static constexpr int kCopies = 2 * kMine * Tile::kStride + 2 * kStage;
  static constexpr size_t kBytes = kCopies * sizeof(T);
};

// What the gradient has to know of a query: what its scores are compared with, in base 2 (+infinity
// where it sees nothing), and what every score's gradient loses, the sum of out * dout.
struct alignas(8) Query {
  float limit, lost;
};
// Each head has room for whole tiles of them.
inline constexpr int kQueryRoom = 128;
GS_HOST_DEVICE int64_t queries_of(int64_t t) { return ceil_div(t, kQueryRoom) * kQueryRoom; }

// Half a warp a query, a lane one pack of its row; v <= 128.
template <class T>
__global__ void __launch_bounds__(kTensorThreads)
    prepare_kernel(const __grid_constant__ AttentionGrad p, Query* queries) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr int kLanes = 16, kPack = 8;
  const int64_t room = queries_of(p.t);
  const int64_t i = int64_t(blockIdx.x) * (kTensorThreads / kLanes) + threadIdx.x / kLanes;
  const int64_t query = i % room, row = i / room * p.t + query;
  const int column = static_cast<int>(threadIdx.x) % kLanes * kPack;
  float sum = 0;
  if (query < p.t && column < p.v) {
    const auto out = load_pack<T, kPack>(static_cast<const T*>(p.out) + row * p.v + column);
    const auto dout = load_pack<T, kPack>(static_cast<const T*>(p.dout) + row * p.v + column);
    GS_UNROLL for (int e = 0; e < kPack; ++e) sum +=
        static_cast<float>(out.v[e]) * static_cast<float>(dout.v[e]);
  }
  GS_UNROLL for (int lanes = kLanes / 2; lanes > 0; lanes /= 2) sum +=
      __shfl_xor_sync(kFullWarp, sum, lanes);
  if (column > 0) return;
  const float lse = query < p.t ? static_cast<const float*>(p.lse)[row] : -kInfinity;
  queries[i] = {lse == -kInfinity ? kInfinity : lse * kLog2E, sum};
}

// The tensors of one head.
template <class T>
struct Head {
  const T *q, *k, *value, *dout;
  const Query* queries;

  GS_DEVICE Head(const AttentionGrad& p, const Query* all, int64_t head)
      : q(static_cast<const T*>(p.q) + head * p.t * p.d),
        k(static_cast<const T*>(p.k) + head * p.u * p.d),
        value(static_cast<const T*>(p.value) + head * p.u * p.v),
        dout(static_cast<const T*>(p.dout) + head * p.t * p.v),
        queries(all + head * queries_of(p.t)) {}
};

// ---------------------------------------------------------------- dq

template <class S>
__global__ void __launch_bounds__(kTensorThreads, S::kBlocks)
    query_grad_kernel(const __grid_constant__ AttentionGrad p, const Query* all_queries,
                      unsigned tiles) {
  using T = typename S::T;
  using Tile = typename S::Tile;
  GS_DYNAMIC_SHARED(T, memory);
  const int d = static_cast<int>(p.d), v = static_cast<int>(p.v), t = static_cast<int>(p.t);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int64_t index = blockIdx.x / tiles;
  const int query0 = static_cast<int>(tiles - 1 - blockIdx.x % tiles) * S::kMine;
  const int mine = query0 + warp * S::kWarpRows;
  const Head<T> head(p, all_queries, index);
  const Sight<T> sight(p, index);
  const float scale = static_cast<float>(p.scale) * kLog2E;
  T* const queries = memory + warp * S::kWarpRows * Tile::kStride;
  T* const douts = queries + S::kMine * Tile::kStride;
  T* const stages = memory + 2 * S::kMine * Tile::kStride;

  const int key_tiles = (sight.keys_before(query0 + S::kMine) + S::kTheirs - 1) / S::kTheirs;
  using Theirs = typename Tile::template Source<S::kTheirs>;
  Theirs k(head.k, 0, sight.u, d), value(head.value, 0, sight.u, v);
  const auto bring = [&](int tile) {
    if (tile < key_tiles) {
      T* const to = stages + tile % 2 * S::kStage;
      k.bring(to, d), value.bring(to + S::kStage / 2, v);
    }
    ptx::commit_copies();
  };
  typename Tile::template Source<S::kMine> q(head.q, query0, t, d), dout(head.dout, query0, t, v);
  q.bring(memory, d), dout.bring(memory + S::kMine * Tile::kStride, v);
  bring(0);
  Query of_row[S::kDown][2];
  GS_UNROLL for (int i = 0; i < S::kDown; ++i) {
    GS_UNROLL for (int half = 0; half < 2; ++half) {
      of_row[i][half] = head.queries[mine + row_in_warp(i, 2 * half, lane)];
    }
  }
  Sums<S::kDown, S::kWidth / 8> dq = {};
  for (int tile = 0; tile < key_tiles; ++tile) {
    ptx::wait_copies<0>();
    __syncthreads();  // this tile is there for all, and the place of the one before is free
    bring(tile + 1);
    const int key0 = tile * S::kTheirs;
    if (sight.none(mine, S::kWarpRows, key0)) continue;
    const T* const keys = stages + tile % 2 * S::kStage;
    Sums<S::kDown, S::kTheirs / 8> scores = {}, dscores = {};
    multiply_rows<Tile, T, S::kWidth>(scores, queries, keys, lane);
    multiply_rows<Tile, T, S::kWidth>(dscores, douts, keys + S::kStage / 2, lane);
    const bool all = !S::kMasked && sight.all(mine, key0, S::kTheirs);
    GS_UNROLL for (int i = 0; i < S::kDown; ++i) {
      GS_UNROLL for (int half = 0; half < 2; ++half) {
        const int query = mine + row_in_warp(i, 2 * half, lane);
        const int seen = all ? S::kTheirs : sight.keys_seen(query, key0);
        const auto [limit, lost] = of_row[i][half];
        GS_UNROLL for (int j = 0; j < S::kTheirs / 8; ++j) {
          GS_UNROLL for (int e = 2 * half; e < 2 * half + 2; ++e) {
            const int column = column_in_warp(j, e, lane);
            float score = scores[i][j][e] * scale;
            if (S::kMasked && column < seen) score += sight.bias(query, key0 + column);
            const float probability = column < seen ? ptx::exp2(score - limit) : 0;
            dscores[i][j][e] = probability * (dscores[i][j][e] - lost);
          }
        }
      }
    }
    Weights<S::kDown, S::kTheirs / 16> weights;
    round_sums<T>(weights, dscores);
    multiply_weights<Tile>(dq, weights, keys, lane);
  }
  ptx::wait_copies<0>();
  Tile::template give<S::kDown>(dq, queries, static_cast<T*>(p.dq) + index * p.t * d, mine, t, d,
                                lane, [&](int, int) { return static_cast<float>(p.scale); });
}

// ---------------------------------------------------------------- dk and dvalue

// Probabilities in place of products: of keys (rows) for queries.
template <class S>
GS_DEVICE void to_probabilities(Sums<S::kDown, S::kTheirs / 8>& scores,
                                const Sight<typename S::T>& sight, float scale,
                                const Query* of_column, int query0, int key0, int lane) {
  const bool all = !S::kMasked && sight.all(query0, key0, S::kWarpRows);
  int blind[S::kDown][2];
  GS_UNROLL for (int i = 0; i < S::kDown; ++i) {
    GS_UNROLL for (int half = 0; half < 2; ++half) {
      const int key = key0 + row_in_warp(i, 2 * half, lane);
      blind[i][half] = all ? 0 : sight.queries_blind(key, query0, S::kTheirs);
    }
  }
  GS_UNROLL for (int j = 0; j < S::kTheirs / 8; ++j) {
    GS_UNROLL for (int odd = 0; odd < 2; ++odd) {
      const int column = column_in_warp(j, odd, lane);
      const float limit = of_column[column].limit;
      GS_UNROLL for (int i = 0; i < S::kDown; ++i) {
        GS_UNROLL for (int half = 0; half < 2; ++half) {
          const int e = 2 * half + odd;
          const bool seen = column >= blind[i][half];
          float score = scores[i][j][e] * scale;
          if (S::kMasked && seen && query0 + column < sight.t)
            score += sight.bias(query0 + column, key0 + row_in_warp(i, e, lane));
          scores[i][j][e] = seen ? ptx::exp2(score - limit) : 0;
        }
      }
    }
  }
}

template <class S>
__global__ void __launch_bounds__(kTensorThreads, S::kBlocks)
    key_grad_kernel(const __grid_constant__ AttentionGrad p, const Query* all_queries,
                    unsigned tiles) {
  using T = typename S::T;
  using Tile = typename S::Tile;
  GS_DYNAMIC_SHARED(T, memory);
  GS_SHARED(of_column, Query[2][S::kTheirs]);
  const int d = static_cast<int>(p.d), v = static_cast<int>(p.v);
  const int t = static_cast<int>(p.t), u = static_cast<int>(p.u);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const int64_t index = blockIdx.x / tiles;
  const int key0 = static_cast<int>(blockIdx.x % tiles) * S::kMine;
  const int mine = key0 + warp * S::kWarpRows;
  const Head<T> head(p, all_queries, index);
  const Sight<T> sight(p, index);
  const float scale = static_cast<float>(p.scale) * kLog2E;
  T* const keys = memory + warp * S::kWarpRows * Tile::kStride;
  T* const values = keys + S::kMine * Tile::kStride;
  T* const stages = memory + 2 * S::kMine * Tile::kStride;

  const int query_tiles = (t + S::kTheirs - 1) / S::kTheirs;
  const int first = p.causal ? key0 / S::kTheirs : 0;  // earlier queries see none of the keys
  using Theirs = typename Tile::template Source<S::kTheirs>;
  Theirs q(head.q, first * S::kTheirs, t, d), dout(head.dout, first * S::kTheirs, t, v);
  const auto bring = [&](int tile) {
    if (tile < query_tiles) {
      T* const to = stages + tile % 2 * S::kStage;
      q.bring(to, d), dout.bring(to + S::kStage / 2, v);
      if (thread < S::kTheirs / 2)  // two queries a thread; there is room for whole tiles
        ptx::copy_async_16(&of_column[tile % 2][thread * 2],
                           head.queries + tile * S::kTheirs + thread * 2, 16);
    }
    ptx::commit_copies();
  };
  typename Tile::template Source<S::kMine> k(head.k, key0, u, d), value(head.value, key0, u, v);
  k.bring(memory, d), value.bring(memory + S::kMine * Tile::kStride, v);
  bring(first);
  Sums<S::kDown, S::kWidth / 8> dk = {}, dvalue = {};
  for (int tile = first; tile < query_tiles; ++tile) {
    ptx::wait_copies<0>();
    __syncthreads();  // this tile is there for all, and the place of the one before is free
    bring(tile + 1);
    const int query0 = tile * S::kTheirs;
    if (mine < u && !sight.none(query0, S::kTheirs, mine)) {
      const T* const queries = stages + tile % 2 * S::kStage;
      const T* const douts = queries + S::kStage / 2;
      const Query* const of_query = of_column[tile % 2];
      Weights<S::kDown, S::kTheirs / 16> weights;
      Sums<S::kDown, S::kTheirs / 8> probabilities = {}, dscores = {};
      multiply_rows<Tile, T, S::kWidth>(probabilities, keys, queries, lane);
      to_probabilities<S>(probabilities, sight, scale, of_query, query0, mine, lane);
      round_sums<T>(weights, probabilities);
      multiply_weights<Tile>(dvalue, weights, douts, lane);
      multiply_rows<Tile, T, S::kWidth>(dscores, values, douts, lane);
      GS_UNROLL for (int i = 0; i < S::kDown; ++i) {
        GS_UNROLL for (int j = 0; j < S::kTheirs / 8; ++j) {
          GS_UNROLL for (int e = 0; e < 4; ++e) {
            const float lost = of_query[column_in_warp(j, e, lane)].lost;
            dscores[i][j][e] = probabilities[i][j][e] * (dscores[i][j][e] - lost);
          }
        }
      }
      round_sums<T>(weights, dscores);
      multiply_weights<Tile>(dk, weights, queries, lane);
    }
  }
  ptx::wait_copies<0>();
  __syncthreads();  // the warp's own rows may still be on their way from another thread's copies
  Tile::template give<S::kDown>(dk, keys, static_cast<T*>(p.dk) + index * p.u * d, mine, u, d, lane,
                                [&](int, int) { return static_cast<float>(p.scale); });
  Tile::template give<S::kDown>(dvalue, values, static_cast<T*>(p.dvalue) + index * p.u * v, mine,
                                u, v, lane, [](int, int) { return 1.0f; });
}

// Wide heads, and masks, have less room for sums: fewer rows a warp, or fewer queries at a time.
template <class T, int Width, bool Masked>
void run(const AttentionGrad& p) {
  constexpr int kDown = Width <= 64 && !Masked ? 2 : 1;
  using Queries = Shape<T, Width, kDown, Width <= 64 || Masked ? 32 : 64, Masked>;
  constexpr bool kTight = Width * kDown == 128 && (Masked || kDown == 2);
  using Keys = Shape<T, Width, kDown, kTight ? 16 : 32, Masked>;
  const int64_t heads = p.batch * p.heads, room = heads * queries_of(p.t);
  const Scratch<Query> queries(room);
  const dim3 threads(kTensorThreads);
  const cudaStream_t stream = current_stream();
  const auto blocks = [](int64_t n) { return dim3(static_cast<unsigned>(n)); };
  launch({blocks(room * 16 / kTensorThreads), threads, 0, stream}, prepare_kernel<T>, p,
         queries.data());
  const int64_t query_tiles = ceil_div(p.t, Queries::kMine), key_tiles = ceil_div(p.u, Keys::kMine);
  launch({blocks(query_tiles * heads), threads, Queries::kBytes, stream},
         query_grad_kernel<Queries>, p, queries.data(), static_cast<unsigned>(query_tiles));
  launch({blocks(key_tiles * heads), threads, Keys::kBytes, stream}, key_grad_kernel<Keys>, p,
         queries.data(), static_cast<unsigned>(key_tiles));
}

}  // namespace

template <class T>
bool tensor_attention_grad(const AttentionGrad& p) {
  if (!tensor_shape(p)) return false;
  const void* const all[] = {p.q, p.k, p.value, p.out, p.dout, p.dq, p.dk, p.dvalue};
  for (const void* pointer : all)
    if (!is_aligned(pointer, kPackBytes)) return false;
  visit_width(p.d, p.v, [&](auto width) {
    p.mask ? run<T, width.value, true>(p) : run<T, width.value, false>(p);
  });
  return true;
}

template bool tensor_attention_grad<Half>(const AttentionGrad& p);
template bool tensor_attention_grad<BFloat16>(const AttentionGrad& p);

}  // namespace gs::cuda
