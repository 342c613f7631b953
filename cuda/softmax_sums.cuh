// Maximum and sum of exponentials in one pass: what was summed is scaled down when a larger element
// comes. Softmax of long rows and of columns begins with it, and cross entropy.
#pragma once

#include "kernels/functors.h"
#include "rows.cuh"

namespace gs::cuda {

template <class C>
inline constexpr C kLowest = -std::numeric_limits<C>::infinity();

template <class C>
GS_DEVICE C exp_of(C x) {
  return ScalarMath<C>::exp(x);
}

// With Gaps also the sum of weight * (max - x), and of the weights, for smoothed labels.
template <class C, bool Gaps = false>
struct ExpSum {
  C max, sum, gap, weight;

  static GS_DEVICE ExpSum none() { return {kLowest<C>, C(0), C(0), C(0)}; }
  GS_DEVICE void raise_to(C larger) {
    if (max == larger) return;
    if (max != kLowest<C>) sum *= exp_of(max - larger);
    if (Gaps && weight != C(0)) gap += weight * (larger - max);
    max = larger;
  }
  // While there are no numbers above -infinity the exponentials are 0, not those of NaN.
  GS_DEVICE C base() const { return max == kLowest<C> ? C(0) : max; }

  GS_DEVICE void join(const ExpSum& other) {
    ExpSum b = other;
    const C larger = std::fmax(max, b.max);
    raise_to(larger);
    b.raise_to(larger);
    sum += b.sum;
    if (Gaps) gap += b.gap, weight += b.weight;
  }
  GS_DEVICE ExpSum of_lane(int lane) const {
    ExpSum s = *this;
    s.max = __shfl_sync(kFullWarp, max, lane);
    s.sum = __shfl_sync(kFullWarp, sum, lane);
    if (Gaps) {
      s.gap = __shfl_sync(kFullWarp, gap, lane);
      s.weight = __shfl_sync(kFullWarp, weight, lane);
    }
    return s;
  }
  // Of a row of -infinity nothing can be said.
  GS_DEVICE C total() const {
    return max == kLowest<C> ? std::numeric_limits<C>::quiet_NaN() : sum;
  }
};

// A few elements at once; `count` of them, the rest being -infinity.
template <int N, class C>
GS_DEVICE void absorb(ExpSum<C, false>& s, const C (&v)[N]) {
  C larger = s.max;
  GS_UNROLL for (int i = 0; i < N; ++i) larger = std::fmax(larger, v[i]);
  s.raise_to(larger);
  const C base = s.base();
  C sum = 0;
  GS_UNROLL for (int i = 0; i < N; ++i) sum += exp_of(v[i] - base);
  s.sum += sum;
}
template <int N, class C>
GS_DEVICE void absorb(ExpSum<C, true>& s, const C (&v)[N], const C (&weight)[N],
                      const bool (&used)[N]) {
  C larger = s.max;
  GS_UNROLL for (int i = 0; i < N; ++i) larger = std::fmax(larger, v[i]);
  s.raise_to(larger);
  const C base = s.base();
  C sum = 0, gap = 0, total = 0;
  GS_UNROLL for (int i = 0; i < N; ++i) {
    sum += exp_of(v[i] - base);
    if (!used[i]) continue;
    if (s.max != v[i]) gap += weight[i] * (s.max - v[i]);
    total += weight[i];
  }
  s.sum += sum;
  s.gap += gap;
  s.weight += total;
}

// ---------------------------------------------------------------- columns: inner above 1

// A thread takes element (o, i, j), i = y, y + depth..., of column o * inner + j; neighbouring
// threads take neighbouring columns. The threads of one column meet in shared memory.
inline constexpr int kColumnThreads = 256;

inline int column_depth(int64_t n) { return n >= 256 ? 32 : n >= 64 ? 8 : n >= 16 ? 4 : 1; }
inline dim3 column_block(int64_t n) {
  const unsigned depth = static_cast<unsigned>(column_depth(n));
  return dim3(kColumnThreads / depth, depth);
}
inline dim3 column_grid(int64_t columns, int64_t n) {
  return dim3(static_cast<unsigned>(ceil_div(columns, kColumnThreads / column_depth(n))));
}

struct Column {
  int64_t number, start, n;  // n is 0 in threads that have no column
  GS_DEVICE Column(int64_t outer, int64_t n_, int64_t inner) {
    number = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    const bool live = number < outer * inner;
    n = live ? n_ : 0;
    start = live ? number / inner * n_ * inner + number % inner : 0;
  }
};

inline constexpr int kColumnGroup = 8;  // elements summed before they join the rest

// f(values, first row) for one thread's part of a column, a group at a time; element k of a group
// is row first + k * blockDim.y, and -infinity beyond the end.
template <class T, class F>
GS_DEVICE void each_group_of_column(const T* x, int64_t n, int64_t inner, F f) {
  using C = compute_t<T>;
  for (int64_t i = threadIdx.y; i < n; i += int64_t(kColumnGroup) * blockDim.y) {
    C v[kColumnGroup];
    GS_UNROLL for (int k = 0; k < kColumnGroup; ++k) {
      const int64_t at = i + int64_t(k) * blockDim.y;
      v[k] = at < n ? widen(x[at * inner]) : kLowest<C>;
    }
    f(v, i);
  }
}

// A sum that can be joined as an ExpSum is.
template <class C>
struct SumState {
  C sum;
  static GS_DEVICE SumState none() { return {C(0)}; }
  GS_DEVICE void join(const SumState& other) { sum += other.sum; }
};

// Joins the states of a column's threads, in order; all of them get the result.
template <class State>
GS_DEVICE State column_join(const State& state) {
  if (blockDim.y == 1) return state;
  GS_SHARED(states, State[kColumnThreads]);
  states[threadIdx.y * blockDim.x + threadIdx.x] = state;
  __syncthreads();
  State all = states[threadIdx.x];
  for (unsigned y = 1; y < blockDim.y; ++y) all.join(states[y * blockDim.x + threadIdx.x]);
  __syncthreads();
  return all;
}

}  // namespace gs::cuda
