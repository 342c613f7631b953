// Sums and moments that all norms need, of rows and of columns.
#pragma once

#include "rows.cuh"

namespace gs::cuda {

// ---------------------------------------------------------------- states that can be joined

template <class C>
struct SumPair {
  C first, second;
  static GS_DEVICE SumPair none() { return {C(0), C(0)}; }
  GS_DEVICE void join(const SumPair& other) { first += other.first, second += other.second; }
  GS_DEVICE SumPair of_lane(int lane) const {
    return {__shfl_sync(kFullWarp, first, lane), __shfl_sync(kFullWarp, second, lane)};
  }
};

// Mean and sum of squared deviations of `count` elements, joined by Chan's formula.
template <class C>
struct Moment {
  C mean, m2, count;
  static GS_DEVICE Moment none() { return {C(0), C(0), C(0)}; }
  GS_DEVICE void join(const Moment& other) {
    if (other.count == C(0)) return;
    if (count == C(0)) {  // no product of 0 and a delta that overflows
      *this = other;
      return;
    }
    const C total = count + other.count, part = other.count / total, delta = other.mean - mean;
    const C step = delta * part;
    mean += step - step == C(0) ? step : other.mean;  // infinity and a number: infinity
    m2 += other.m2 + delta * delta * part * count;
    count = total;
  }
  GS_DEVICE Moment of_lane(int lane) const {
    return {__shfl_sync(kFullWarp, mean, lane), __shfl_sync(kFullWarp, m2, lane),
            __shfl_sync(kFullWarp, count, lane)};
  }
};

// Elements [from, to) of v; the mean first, then deviations from it, so that nothing cancels.
template <int N, class C>
GS_DEVICE void absorb(Moment<C>& s, const C (&v)[N], int from, int to) {
  if (to <= from) return;
  const C count = static_cast<C>(to - from);
  C sum = 0, m2 = 0;
  GS_UNROLL for (int i = 0; i < N; ++i) sum += i >= from && i < to ? v[i] : C(0);
  const C mean = sum / count;
  GS_UNROLL for (int i = 0; i < N; ++i) {
    const C d = i >= from && i < to ? v[i] - mean : C(0);
    m2 += d * d;
  }
  s.join({mean, m2, count});
}
// A pack that begins at element `first` of a row of n.
template <class T>
GS_DEVICE void absorb(Moment<compute_t<T>>& s, const Pack<T, kPackOf<T>>& pack, int64_t first,
                      int64_t n) {
  constexpr int N = kPackOf<T>;
  compute_t<T> v[N];
  GS_UNROLL for (int i = 0; i < N; ++i) v[i] = widen(pack.v[i]);
  absorb(s, v, first < 0 ? static_cast<int>(-first) : 0,
         n - first < N ? static_cast<int>(n - first) : N);
}

template <class C>
GS_DEVICE C rstd_of(C variance, C eps) {
  return C(1) / std::sqrt(variance + eps);
}

// ---------------------------------------------------------------- columns of a matrix

// A block takes 32 columns of a chunk of rows: threads of one column meet in shared memory, and the
// chunks' results are joined by another kernel, in their order.
inline constexpr int kTileColumns = 32, kTileDepth = 8, kJoinDepth = 32;

struct ColumnChunks {
  int64_t rows, columns, length, chunks;
  ColumnChunks(int64_t r, int64_t c) : rows(r), columns(c) {
    constexpr int64_t kBlocks = 1056, kShortest = 64;  // eight blocks for each of 132 processors
    const int64_t tiles = ceil_div(columns, kTileColumns), wanted = ceil_div(kBlocks, tiles),
                  possible = ceil_div(rows, kShortest);
    chunks = wanted < possible ? wanted : possible;
    length = rows > 0 ? ceil_div(rows, chunks) : 1;
    chunks = ceil_div(rows, length);
  }
  dim3 grid() const {
    return dim3(static_cast<unsigned>(ceil_div(columns, kTileColumns)),
                static_cast<unsigned>(chunks));
  }
};
inline dim3 tile_block() { return dim3(kTileColumns, kTileDepth); }

// Joins the states of the threads of each column; the first row of threads gets the result.
template <int Depth, class State>
GS_DEVICE State tile_join(const State& state) {
  GS_SHARED(states, State[Depth][kTileColumns]);
  states[threadIdx.y][threadIdx.x] = state;
  __syncthreads();
  State all = state;
  if (threadIdx.y == 0)
    for (int y = 1; y < Depth; ++y) all.join(states[y][threadIdx.x]);
  __syncthreads();
  return all;
}

// partial (chunks, columns): sums of f(row, column), which gives a SumPair.
template <class F, class C>
__global__ void __launch_bounds__(kTileColumns* kTileDepth)
    column_pairs(const F f, int64_t rows, int64_t columns, int64_t length, SumPair<C>* partial) {
  const int64_t column = int64_t(blockIdx.x) * kTileColumns + threadIdx.x;
  const int64_t from = int64_t(blockIdx.y) * length, to = column >= columns      ? from
                                                          : from + length < rows ? from + length
                                                                                 : rows;
  auto sum = SumPair<C>::none();
  constexpr int kGroup = 8;  // summed before they join the rest: rounding does not pile up
  for (int64_t row = from + threadIdx.y; row < to; row += kGroup * kTileDepth) {
    auto part = SumPair<C>::none();
    GS_UNROLL for (int k = 0; k < kGroup; ++k) if (row + k * kTileDepth < to)
        part.join(f(row + k * kTileDepth, column));
    sum.join(part);
  }
  sum = tile_join<kTileDepth>(sum);
  if (threadIdx.y == 0 && column < columns) partial[int64_t(blockIdx.y) * columns + column] = sum;
}

// out (columns): the sums of f(k, column) over k < count, in two rows of results: dweight from
// .first, dbias from .second; either may be null.
template <class F, class T>
__global__ void __launch_bounds__(kTileColumns* kJoinDepth)
    join_pairs(const F f, int64_t count, int64_t columns, T* first, T* second) {
  using C = compute_t<T>;
  const int64_t column = int64_t(blockIdx.x) * kTileColumns + threadIdx.x;
  auto sum = SumPair<C>::none();
  if (column < columns)
    for (int64_t k = threadIdx.y; k < count; k += kJoinDepth) sum.join(f(k, column));
  sum = tile_join<kJoinDepth>(sum);
  if (threadIdx.y != 0 || column >= columns) return;
  if (first) first[column] = T(sum.first);
  if (second) second[column] = T(sum.second);
}
template <class T, class F>
void launch_join(const F& f, int64_t count, int64_t columns, void* first, void* second) {
  if (columns == 0 || (!first && !second)) return;
  launch({dim3(static_cast<unsigned>(ceil_div(columns, kTileColumns))),
          dim3(kTileColumns, kJoinDepth), 0, current_stream()},
         join_pairs<F, T>, f, count, columns, static_cast<T*>(first), static_cast<T*>(second));
}

// Partial sums of a matrix (count, columns) of pairs.
template <class C>
struct StoredPairs {
  const SumPair<C>* partial;
  int64_t columns;
  GS_DEVICE SumPair<C> operator()(int64_t k, int64_t column) const {
    return partial[k * columns + column];
  }
};

}  // namespace gs::cuda
