// Attention with an online softmax (Dao et al., "FlashAttention", NeurIPS 2022): a block takes a
// tile of queries and goes over the keys; no matrix of scores is kept. Here for every floating type
// and head; 16-bit floats have tensor cores where they fit (attention_tensor.cu).
#include "attention_tile.cuh"
#include "kernels/kernels.h"
#include "kernels/params/attention.h"
#include "reduce.cuh"

namespace gs::cuda {
namespace {

// The shared memory of a block.
template <class C>
struct Room {
  Tile<C> q, k, value, scores, out;  // out: running sums of probability times value
  C *highest, *sum, *rescale;        // of each query

  GS_DEVICE Room(C* at, int d, int v) {
    q = {at, d};
    k = {q.end(kQueries), d};
    value = {k.end(kKeys), v};
    scores = {value.end(kKeys), kKeys};
    out = {scores.end(kQueries), v};
    highest = out.end(kQueries);
    sum = highest + kQueries;
    rescale = sum + kQueries;
  }
  static size_t bytes(int64_t d, int64_t v) {
    return sizeof(C) *
           static_cast<size_t>(tile_elements(kQueries, d) + tile_elements(kKeys, d) +
                               tile_elements(kKeys, v) + tile_elements(kQueries, kKeys) +
                               tile_elements(kQueries, v) + 3 * kQueries);
  }
};

// Probabilities of one tile in place of its scores; running maximum and sum follow. A warp takes a
// query, a lane a key.
template <class C>
GS_DEVICE void soften(const Room<C>& room) {
  static_assert(kKeys == 32);
  constexpr C kLowest = -std::numeric_limits<C>::infinity();
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  for (int i = warp; i < kQueries; i += kAttentionThreads / 32) {
    const C score = room.scores.at(i, lane);
    const C before = room.highest[i], now = warp_reduce(score, Larger{});
    const C highest = Larger{}(before, now);
    const C base = highest == kLowest ? C(0) : highest;  // -inf - -inf would be NaN
    const C probability = std::exp(score - base);
    const C total = warp_reduce(probability, Plus{});
    room.scores.at(i, lane) = probability;
    __syncwarp();
    if (lane == 0) {
      const C shrink = std::exp(before - base);
      room.rescale[i] = shrink;
      room.sum[i] = room.sum[i] * shrink + total;
      room.highest[i] = highest;
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kAttentionThreads)
    attention_kernel(const __grid_constant__ Attention p, int64_t tiles) {
  using C = compute_t<T>;
  GS_DYNAMIC_SHARED(C, memory);
  const int d = static_cast<int>(p.d), v = static_cast<int>(p.v);
  const int thread = static_cast<int>(threadIdx.x);
  const Room<C> room(memory, d, v);
  const int64_t head = blockIdx.x / tiles, query0 = blockIdx.x % tiles * kQueries;
  const T* const q = static_cast<const T*>(p.q) + head * p.t * d;
  const T* const k = static_cast<const T*>(p.k) + head * p.u * d;
  const T* const value = static_cast<const T*>(p.value) + head * p.u * v;
  const T* const mask = mask_of<T>(p, head);

  load_rows(room.q, kQueries, q, query0, p.t, static_cast<C>(p.scale));
  for (int i = thread; i < kQueries * v; i += kAttentionThreads) room.out.at(i / v, i % v) = 0;
  if (thread < kQueries) {
    room.highest[thread] = -std::numeric_limits<C>::infinity();
    room.sum[thread] = 0;
  }
  const int64_t end = visible_keys(p, query0);
  for (int64_t key0 = 0; key0 < end; key0 += kKeys) {
    load_rows(room.k, kKeys, k, key0, p.u, C(1));
    load_rows(room.value, kKeys, value, key0, p.u, C(1));
    __syncthreads();
    for (int i = thread; i < kQueries * kKeys; i += kAttentionThreads) {
      const int row = i / kKeys, column = i % kKeys;
      const C bias = bias_of<C>(mask, p.causal, query0 + row, key0 + column, p.t, p.u);
      room.scores.at(row, column) = dot(room.q, row, room.k, column) + bias;
    }
    __syncthreads();
    soften(room);
    __syncthreads();
    for (int i = thread; i < kQueries * v; i += kAttentionThreads) {
      const int row = i / v, column = i % v;
      C sum = room.out.at(row, column) * room.rescale[row];
      for (int j = 0; j < kKeys; ++j) sum += room.scores.at(row, j) * room.value.at(j, column);
      room.out.at(row, column) = sum;
    }
    __syncthreads();
  }
  T* const out = static_cast<T*>(p.out) + head * p.t * v;
  for (int i = thread; i < kQueries * v; i += kAttentionThreads) {
    const int row = i / v;
    const C sum = room.sum[row];
    if (query0 + row < p.t)
      out[(query0 + row) * v + i % v] = T(sum == C(0) ? C(0) : room.out.at(row, i % v) / sum);
  }
  if (p.lse && thread < kQueries && query0 + thread < p.t) {
    const C sum = room.sum[thread];
    static_cast<C*>(p.lse)[head * p.t + query0 + thread] =
        sum == C(0) ? -std::numeric_limits<C>::infinity() : room.highest[thread] + std::log(sum);
  }
}

}  // namespace

void attention(const Attention& p) {
  const int64_t tiles = ceil_div(p.t, kQueries), blocks = tiles * p.batch * p.heads;
  if (blocks == 0) return;
  visit_floating(p.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (sizeof(T) == 2) {
      if (tensor_attention<T>(p)) return;
    }
    launch({dim3(static_cast<unsigned>(blocks)), dim3(kAttentionThreads),
            Room<compute_t<T>>::bytes(p.d, p.v), current_stream()},
           attention_kernel<T>, p, tiles);
  });
}

}  // namespace gs::cuda
