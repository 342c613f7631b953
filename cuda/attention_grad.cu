// The gradient of attention. Probabilities are made again from the scores and the logarithms of the
// sums that the forward pass kept. Two passes, so that nothing is added by several blocks: one over
// tiles of queries for dq, one over tiles of keys for dk and dvalue.
#include "attention_tile.cuh"
#include "kernels/kernels.h"
#include "kernels/params/attention.h"
#include "reduce.cuh"
#include "runtime/scratch.h"

namespace gs::cuda {
namespace {

// delta (rows) = sum of out * dout: what every score of the row loses.
template <class T>
__global__ void __launch_bounds__(kAttentionThreads)
    delta_kernel(const T* out, const T* dout, int64_t rows, int v, compute_t<T>* delta) {
  using C = compute_t<T>;
  constexpr int kWarps = kAttentionThreads / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int64_t row = int64_t(blockIdx.x) * kWarps + warp;
  C sum = 0;
  if (row < rows)
    for (int i = lane; i < v; i += 32) sum += widen(out[row * v + i]) * widen(dout[row * v + i]);
  sum = warp_reduce(sum, Plus{});
  if (lane == 0 && row < rows) delta[row] = sum;
}

// The shared memory of a block in either pass: `sums` is dq, or dk beside `more_sums`, dvalue.
template <class C>
struct Room {
  Tile<C> q, dout, k, value, probability, dscore, sums, more_sums;
  C *lse, *delta;

  GS_DEVICE Room(C* at, int d, int v, int sum_rows) {
    q = {at, d};
    dout = {q.end(kQueries), v};
    k = {dout.end(kQueries), d};
    value = {k.end(kKeys), v};
    probability = {value.end(kKeys), kKeys};
    dscore = {probability.end(kQueries), kKeys};
    sums = {dscore.end(kQueries), d};
    more_sums = {sums.end(sum_rows), v};
    lse = more_sums.end(sum_rows);
    delta = lse + kQueries;
  }
  static size_t bytes(int64_t d, int64_t v, int64_t sum_rows) {
    return sizeof(C) * static_cast<size_t>(tile_elements(kQueries + kKeys + sum_rows, d) +
                                           tile_elements(kQueries + kKeys + sum_rows, v) +
                                           tile_elements(2 * kQueries, kKeys) + 2 * kQueries);
  }
};

// The tensors of one head.
template <class T>
struct Head {
  using C = compute_t<T>;
  const T *q, *k, *value, *dout, *mask;
  const C *lse, *delta;

  GS_DEVICE Head(const AttentionGrad& p, const C* deltas, int64_t head)
      : q(static_cast<const T*>(p.q) + head * p.t * p.d),
        k(static_cast<const T*>(p.k) + head * p.u * p.d),
        value(static_cast<const T*>(p.value) + head * p.u * p.v),
        dout(static_cast<const T*>(p.dout) + head * p.t * p.v),
        mask(mask_of<T>(p, head)),
        lse(static_cast<const C*>(p.lse) + head * p.t),
        delta(deltas + head * p.t) {}

  GS_DEVICE void load_queries(const Room<C>& room, const AttentionGrad& p, int64_t query0) const {
    const int thread = static_cast<int>(threadIdx.x);
    load_rows(room.q, kQueries, q, query0, p.t, C(1));
    load_rows(room.dout, kQueries, dout, query0, p.t, C(1));
    if (thread < kQueries) {
      const bool inside = query0 + thread < p.t;
      room.lse[thread] = inside ? lse[query0 + thread] : C(0);
      room.delta[thread] = inside ? delta[query0 + thread] : C(0);
    }
  }
  GS_DEVICE void load_keys(const Room<C>& room, const AttentionGrad& p, int64_t key0) const {
    load_rows(room.k, kKeys, k, key0, p.u, C(1));
    load_rows(room.value, kKeys, value, key0, p.u, C(1));
  }
  // Probabilities and the gradient of the scores of a tile.
  GS_DEVICE void score_gradients(const Room<C>& room, const AttentionGrad& p, int64_t query0,
                                 int64_t key0) const {
    constexpr C kLowest = -std::numeric_limits<C>::infinity();
    const C scale = static_cast<C>(p.scale);
    for (int i = static_cast<int>(threadIdx.x); i < kQueries * kKeys; i += kAttentionThreads) {
      const int row = i / kKeys, column = i % kKeys;
      const C bias = bias_of<C>(mask, p.causal, query0 + row, key0 + column, p.t, p.u);
      const C score = dot(room.q, row, room.k, column) * scale + bias;
      const bool sees = score != kLowest && room.lse[row] != kLowest;
      const C probability = sees ? std::exp(score - room.lse[row]) : C(0);
      const C dprobability = dot(room.dout, row, room.value, column);
      room.probability.at(row, column) = probability;
      room.dscore.at(row, column) = probability * (dprobability - room.delta[row]) * scale;
    }
  }
};

template <class C>
GS_DEVICE void clear(const Tile<C>& tile, int rows) {
  for (int i = static_cast<int>(threadIdx.x); i < rows * tile.columns; i += kAttentionThreads)
    tile.at(i / tile.columns, i % tile.columns) = 0;
}
template <class T, class C>
GS_DEVICE void store_rows(const Tile<C>& tile, int rows, T* to, int64_t first, int64_t total) {
  for (int i = static_cast<int>(threadIdx.x); i < rows * tile.columns; i += kAttentionThreads) {
    const int row = i / tile.columns, column = i % tile.columns;
    if (first + row < total) to[(first + row) * tile.columns + column] = T(tile.at(row, column));
  }
}
// sums (keys x columns) += weights (queries x keys)^T rows (queries x columns)
template <class C>
GS_DEVICE void add_transposed(const Tile<C>& sums, const Tile<C>& weights, const Tile<C>& rows) {
  for (int i = static_cast<int>(threadIdx.x); i < kKeys * sums.columns; i += kAttentionThreads) {
    const int key = i / sums.columns, column = i % sums.columns;
    C sum = sums.at(key, column);
    for (int j = 0; j < kQueries; ++j) sum += weights.at(j, key) * rows.at(j, column);
    sums.at(key, column) = sum;
  }
}

template <class T>
__global__ void __launch_bounds__(kAttentionThreads)
    query_grad_kernel(const __grid_constant__ AttentionGrad p, const compute_t<T>* deltas,
                      int64_t tiles) {
  using C = compute_t<T>;
  GS_DYNAMIC_SHARED(C, memory);
  const Room<C> room(memory, static_cast<int>(p.d), static_cast<int>(p.v), kQueries);
  const int64_t index = blockIdx.x / tiles, query0 = blockIdx.x % tiles * kQueries;
  const Head<T> head(p, deltas, index);
  head.load_queries(room, p, query0);
  clear(room.sums, kQueries);
  const int64_t end = visible_keys(p, query0);
  for (int64_t key0 = 0; key0 < end; key0 += kKeys) {
    head.load_keys(room, p, key0);
    __syncthreads();
    head.score_gradients(room, p, query0, key0);
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < kQueries * room.sums.columns;
         i += kAttentionThreads) {
      const int row = i / room.sums.columns, column = i % room.sums.columns;
      C sum = room.sums.at(row, column);
      for (int j = 0; j < kKeys; ++j) sum += room.dscore.at(row, j) * room.k.at(j, column);
      room.sums.at(row, column) = sum;
    }
    __syncthreads();
  }
  store_rows(room.sums, kQueries, static_cast<T*>(p.dq) + index * p.t * p.d, query0, p.t);
}

template <class T>
__global__ void __launch_bounds__(kAttentionThreads)
    key_grad_kernel(const __grid_constant__ AttentionGrad p, const compute_t<T>* deltas,
                    int64_t tiles) {
  using C = compute_t<T>;
  GS_DYNAMIC_SHARED(C, memory);
  const Room<C> room(memory, static_cast<int>(p.d), static_cast<int>(p.v), kKeys);
  const int64_t index = blockIdx.x / tiles, key0 = blockIdx.x % tiles * kKeys;
  const Head<T> head(p, deltas, index);
  head.load_keys(room, p, key0);
  clear(room.sums, kKeys);
  clear(room.more_sums, kKeys);
  const int64_t first = p.causal ? key0 / kQueries * kQueries : 0;  // earlier queries see none
  for (int64_t query0 = first; query0 < p.t; query0 += kQueries) {
    head.load_queries(room, p, query0);
    __syncthreads();
    head.score_gradients(room, p, query0, key0);
    __syncthreads();
    add_transposed(room.sums, room.dscore, room.q);
    add_transposed(room.more_sums, room.probability, room.dout);
    __syncthreads();
  }
  __syncthreads();
  store_rows(room.sums, kKeys, static_cast<T*>(p.dk) + index * p.u * p.d, key0, p.u);
  store_rows(room.more_sums, kKeys, static_cast<T*>(p.dvalue) + index * p.u * p.v, key0, p.u);
}

}  // namespace

void attention_grad(const AttentionGrad& p) {
  const int64_t heads = p.batch * p.heads, rows = heads * p.t;
  if (rows == 0 || p.u == 0) return;
  visit_floating(p.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = compute_t<T>;
    if constexpr (sizeof(T) == 2) {
      if (tensor_attention_grad<T>(p)) return;
    }
    const Scratch<C> delta(rows);
    const dim3 threads(kAttentionThreads);
    const cudaStream_t stream = current_stream();
    launch(
        {dim3(static_cast<unsigned>(ceil_div(rows, kAttentionThreads / 32))), threads, 0, stream},
        delta_kernel<T>, static_cast<const T*>(p.out), static_cast<const T*>(p.dout), rows,
        static_cast<int>(p.v), delta.data());
    const int64_t query_tiles = ceil_div(p.t, kQueries), key_tiles = ceil_div(p.u, kKeys);
    launch({dim3(static_cast<unsigned>(query_tiles * heads)), threads,
            Room<C>::bytes(p.d, p.v, kQueries), stream},
           query_grad_kernel<T>, p, delta.data(), query_tiles);
    launch({dim3(static_cast<unsigned>(key_tiles * heads)), threads,
            Room<C>::bytes(p.d, p.v, kKeys), stream},
           key_grad_kernel<T>, p, delta.data(), key_tiles);
  });
}

}  // namespace gs::cuda
