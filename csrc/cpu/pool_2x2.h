// Pooling with 2x2 windows, stride 2 and no padding, the one that nearly every network has. Each
// input is read once where it lies.
//
// Rows are short (13, 28...) and rarely a multiple of the vector, and a scalar tail would cost a
// mispredicted branch per comparison. So vectors run over the end of a row: loads see the next
// row's values, whose results are never kept; stores spill onto the next row, which is written
// later, and behind the last row onto the next plane. Only at the limits that Plane gives are
// vectors cut.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/planes.h"
#include "cpu/shuffle.h"
#include "cpu/vec.h"

namespace gs::cpu {
namespace {

// Elements from `at`, zeros at `limit` and past it.
template <class C>
GS_INLINE Vec<C> load_below(const C* p, int64_t at, int64_t limit) {
  if (at + kLanes<C> <= limit) return load(p + at);
  alignas(kVectorBytes) C local[kLanes<C>] = {};
  if (at < limit) std::memcpy(local, p + at, (limit - at) * sizeof(C));
  return load(local);
}
template <class C>
GS_INLINE void load_pairs_below(const C* p, int64_t at, int64_t limit, Vec<C>* even, Vec<C>* odd) {
  if (at + 2 * kLanes<C> <= limit) return load_pairs(p + at, even, odd);
  alignas(kVectorBytes) C local[2 * kLanes<C>] = {};
  if (at < limit) std::memcpy(local, p + at, (limit - at) * sizeof(C));
  load_pairs(local, even, odd);
}
template <class To, class V>
GS_INLINE void store_below(To* p, int64_t at, int64_t limit, V v) {
  constexpr int kCount = sizeof(V) / sizeof(v[0]);
  typedef To Wide __attribute__((vector_size(kCount * sizeof(To))));
  const Wide wide = __builtin_convertvector(v, Wide);
  const int64_t room = limit - at;
  std::memcpy(p + at, &wide, room >= kCount ? sizeof wide : room * sizeof(To));
}
template <class C>
GS_INLINE void store_pairs_below(C* p, int64_t at, int64_t limit, Vec<C> even, Vec<C> odd) {
  if (at + 2 * kLanes<C> <= limit) return store_pairs<C>(p + at, even, odd);
  alignas(kVectorBytes) C local[2 * kLanes<C>];
  store_pairs<C>(local, even, odd);
  if (at < limit) std::memcpy(p + at, local, (limit - at) * sizeof(C));
}

// 0 2 4 ...: the first column of each window of a vector.
template <class Index, class C>
GS_INLINE Vec<Index> window_columns() {
  Vec<Index> lane;
  for (int i = 0; i < kLanes<C>; ++i) lane[i] = static_cast<Index>(2 * i);
  return lane;
}

template <class C>
GS_INLINE Vec<C> larger(Vec<C> a, Vec<C> b) {
  return a > b ? a : b;
}

// Values alone, without a thought of NaN: false where one may have been met (infinities of both
// signs look like one). The larger of two rows first, then of neighbours. Where a row fits a
// vector, two rows of windows share one.
template <class C>
GS_INLINE bool max_values_2x2(const Plane& plane, int64_t w, int64_t rows, int64_t cols, const C* x,
                              C* y) {
  constexpr int64_t n = kLanes<C>;
  Vec<C> met{};
  const auto upper = [&](int64_t at) {
    const Vec<C> a = load_below(x, at, plane.x_limit), b = load_below(x, at + w, plane.x_limit);
    met += a + b;
    return larger<C>(a, b);
  };
  int64_t p = 0;
  for (; w <= n && p + 2 <= rows; p += 2) {
    const Vec<C> first = upper(2 * p * w), second = upper(2 * (p + 1) * w);
    alignas(kVectorBytes) C both[n];
    store(both, larger<C>(even_lanes(first, second, LaneSequence<C>{}),
                          odd_lanes(first, second, LaneSequence<C>{})));
    typedef C Half __attribute__((vector_size(kVectorBytes / 2)));
    for (int64_t r = 0; r < 2; ++r) {
      Half half;
      std::memcpy(&half, both + r * (n / 2), sizeof half);
      store_below(y, (p + r) * cols, plane.y_limit, half);
    }
  }
  for (; p < rows; ++p) {
    for (int64_t q = 0; q < cols; q += n) {
      const Vec<C> low = upper(2 * p * w + 2 * q), high = upper(2 * p * w + 2 * q + n);
      store_below(y, p * cols + q, plane.y_limit,
                  larger<C>(even_lanes(low, high, LaneSequence<C>{}),
                            odd_lanes(low, high, LaneSequence<C>{})));
    }
  }
  const C sum = horizontal_sum(met);
  return sum == sum;
}

// x (H, W) -> y (P, Q); indices may be null. `take` is take_larger: value and place win or not.
template <class C, class Index, class Take>
GS_INLINE void max_plane_2x2(const Plane& plane, int64_t w, int64_t rows, int64_t cols, const C* x,
                             C* y, int32_t* indices, Take take) {
  if (!indices && max_values_2x2(plane, w, rows, cols, x, y)) return;
  const Vec<Index> lane = window_columns<Index, C>();
  for (int64_t p = 0; p < rows; ++p) {
    for (int64_t q = 0; q < cols; q += kLanes<C>) {
      const int64_t first = 2 * p * w + 2 * q, out = p * cols + q;
      Vec<C> a, b, c, d;
      load_pairs_below(x, first, plane.x_limit, &a, &b);
      load_pairs_below(x, first + w, plane.x_limit, &c, &d);
      Vec<C> best = a;
      Vec<Index> index = lane + static_cast<Index>(first);
      const Vec<Index> base = index;
      take(b, base + 1, &best, &index);
      take(c, base + static_cast<Index>(w), &best, &index);
      take(d, base + static_cast<Index>(w + 1), &best, &index);
      store_below(y, out, plane.y_limit, best);
      if (indices) store_below(indices, out, plane.y_limit, index);
    }
  }
}

// Each input belongs to one window at most, so it is written once: the upper row of the windows,
// then the lower, since the upper one's vectors spill onto it.
template <class C, class Index>
GS_INLINE void max_grad_plane_2x2(const Plane& plane, int64_t w, int64_t rows, int64_t cols,
                                  const C* dy, const int32_t* indices, C* dx) {
  const Vec<Index> lane = window_columns<Index, C>();
  for (int64_t row = 0; row < 2 * rows; ++row) {
    const int64_t p = row / 2;
    for (int64_t q = 0; q < cols; q += kLanes<C>) {
      const int64_t in = p * cols + q, out = row * w + 2 * q;
      typedef int32_t Wide __attribute__((vector_size(kLanes<C> * sizeof(int32_t))));
      Wide wide{};
      const int64_t room = plane.x_limit - in;
      std::memcpy(&wide, indices + in, room >= kLanes<C> ? sizeof wide : room * sizeof(int32_t));
      const auto index = __builtin_convertvector(wide, Vec<Index>);
      const Vec<Index> tap = index - (lane + static_cast<Index>(out));
      const Vec<C> g = load_below(dy, in, plane.x_limit), zero{};
      store_pairs_below<C>(dx, out, plane.y_limit, tap == 0 ? g : zero, tap == 1 ? g : zero);
    }
  }
}

template <class C>
GS_INLINE void average_plane_2x2(const Plane& plane, int64_t w, int64_t rows, int64_t cols,
                                 C factor, const C* x, C* y) {
  for (int64_t p = 0; p < rows; ++p) {
    for (int64_t q = 0; q < cols; q += kLanes<C>) {
      const int64_t first = 2 * p * w + 2 * q;
      Vec<C> a, b, c, d;
      load_pairs_below(x, first, plane.x_limit, &a, &b);
      load_pairs_below(x, first + w, plane.x_limit, &c, &d);
      store_below(y, p * cols + q, plane.y_limit, (((a + b) + c) + d) * factor);
    }
  }
}

template <class C>
GS_INLINE void average_grad_plane_2x2(const Plane& plane, int64_t w, int64_t rows, int64_t cols,
                                      C factor, const C* dy, C* dx) {
  for (int64_t row = 0; row < 2 * rows; ++row) {
    for (int64_t q = 0; q < cols; q += kLanes<C>) {
      const Vec<C> g = load_below(dy, row / 2 * cols + q, plane.x_limit) * factor;
      store_pairs_below<C>(dx, row * w + 2 * q, plane.y_limit, g, g);
    }
  }
}

}  // namespace
}  // namespace gs::cpu
