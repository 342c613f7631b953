// Loops over one row in whole vectors, with the last, short vector handled by the same code.
#pragma once

#include <cstdint>
#include <utility>

#include "cpu/convert.h"
#include "cpu/doubles.h"
#include "cpu/prefetch.h"
#include "cpu/scratch.h"
#include "cpu/source.h"
#include "cpu/vec.h"

#if GS_ISA_LEVEL == 2
#include <immintrin.h>
#endif

namespace gs::cpu {
namespace {

// The first `count` lanes from memory, `fill` in the others. With a constant count of all lanes it
// is a plain load.
template <class C>
GS_INLINE Vec<C> load_part(const C* p, int count, C fill = C(0)) {
  if (__builtin_constant_p(count) && count == kLanes<C>) return load(p);
#if GS_ISA_LEVEL == 2
  if constexpr (std::is_same_v<C, float>)
    return (Vec<float>)_mm512_mask_loadu_ps(_mm512_set1_ps(fill),
                                            static_cast<__mmask16>((1u << count) - 1), p);
  else
    return (Vec<double>)_mm512_mask_loadu_pd(_mm512_set1_pd(fill),
                                             static_cast<__mmask8>((1u << count) - 1), p);
#else
  Vec<C> v = splat(fill);
  for (int i = 0; i < kLanes<C>; ++i)
    if (i < count) v[i] = p[i];
  return v;
#endif
}

template <class C>
GS_INLINE void store_part(C* p, Vec<C> v, int count) {
  if (__builtin_constant_p(count) && count == kLanes<C>) return store(p, v);
#if GS_ISA_LEVEL == 2
  if constexpr (std::is_same_v<C, float>)
    _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1), (__m512)v);
  else
    _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << count) - 1), (__m512d)v);
#else
  for (int i = 0; i < kLanes<C>; ++i)
    if (i < count) p[i] = v[i];
#endif
}

// f(i, count) for each vector of a row of n; count is the number of lanes in use.
template <class C, class F>
GS_INLINE void each_vector(int64_t n, F f) {
  constexpr int lanes = kLanes<C>;
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) f(i, lanes);
  if (i < n) f(i, static_cast<int>(n - i));
}

template <class V, size_t... I>
GS_INLINE auto join_halves(V v, std::index_sequence<I...>) {
  return __builtin_shufflevector(v, v, I...) + __builtin_shufflevector(v, v, (I + sizeof...(I))...);
}
// Sum of the lanes in a fixed tree order. Halves are added as vectors: lanes that go through memory
// one by one would wait for their stores.
template <int kCount, class V>
GS_INLINE auto tree_sum(V v) {
  if constexpr (kCount == 2)
    return v[0] + v[1];
  else
    return tree_sum<kCount / 2>(join_halves(v, std::make_index_sequence<kCount / 2>{}));
}

template <class V, size_t... I>
GS_INLINE auto larger_half(V v, std::index_sequence<I...>) {
  const auto low = __builtin_shufflevector(v, v, I...),
             high = __builtin_shufflevector(v, v, (I + sizeof...(I))...);
  return high > low ? high : low;
}
template <int kCount, class V>
GS_INLINE auto tree_max(V v) {
  if constexpr (kCount == 2)
    return v[1] > v[0] ? v[1] : v[0];
  else
    return tree_max<kCount / 2>(larger_half(v, std::make_index_sequence<kCount / 2>{}));
}

// Sum of the lanes in double.
template <size_t... I>
GS_INLINE Vec<double> halves_as_doubles(Vec<float> v, std::index_sequence<I...>) {
  return to_doubles(__builtin_shufflevector(v, v, I...)) +
         to_doubles(__builtin_shufflevector(v, v, (I + sizeof...(I))...));
}
template <class C>
GS_INLINE double lane_sum(Vec<C> v) {
  constexpr int n = kLanes<double>;
  if constexpr (std::is_same_v<C, float>)
    return tree_sum<n>(halves_as_doubles(v, std::make_index_sequence<n>{}));
  else
    return tree_sum<n>(v);
}

// Sum of f(i, count) over a row; f gives zeros in lanes that are not in use. Four sums in turn hide
// the latency of an addition; every few thousand elements they go into a double, so that long rows
// stay exact.
template <class C, class F>
GS_INLINE double sum_vectors(int64_t n, F f) {
  constexpr int lanes = kLanes<C>;
  constexpr int64_t piece = 4096;
  double total = 0;
  int64_t i = 0;
  do {
    const int64_t end = n - i < piece ? n : i + piece;
    Vec<C> acc[4] = {};
    for (; i + 4 * lanes <= end; i += 4 * lanes)
      for (int k = 0; k < 4; ++k) acc[k] += f(i + k * lanes, lanes);
    for (; i + lanes <= end; i += lanes) acc[0] += f(i, lanes);
    if (i < end) acc[1] += f(i, static_cast<int>(end - i));
    i = end;
    total += lane_sum<C>((acc[0] + acc[1]) + (acc[2] + acc[3]));
  } while (i < n);
  return total;
}

struct SumPair {
  double first = 0, second = 0;
};
// Sums of f(i, count, &a, &b), which gives zeros in lanes that are not in use; n <= a few thousand.
template <class C, class F>
GS_INLINE SumPair sum_pairs(int64_t n, F f) {
  constexpr int lanes = kLanes<C>;
  Vec<C> first[2] = {}, second[2] = {};
  int64_t i = 0;
  const auto add = [&](int k, int64_t at, int count) {
    Vec<C> a, b;
    f(at, count, a, b);
    first[k] += a;
    second[k] += b;
  };
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    add(0, i, lanes);
    add(1, i + lanes, lanes);
  }
  each_vector<C>(n - i, [&](int64_t j, int count) { add(0, i + j, count); });
  return {lane_sum<C>(first[0] + first[1]), lane_sum<C>(second[0] + second[1])};
}

// Largest element, n > 0. A NaN may or may not come through.
template <class C>
GS_INLINE C row_max(const C* x, int64_t n) {
  const C first = x[0];
  Vec<C> best[2] = {splat(first), splat(first)};
  constexpr int lanes = kLanes<C>;
  int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    prefetch_ahead<2 * lanes>(x + i);
    for (int k = 0; k < 2; ++k) {
      const Vec<C> v = load(x + i + k * lanes);
      best[k] = v > best[k] ? v : best[k];
    }
  }
  each_vector<C>(n - i, [&](int64_t j, int count) {
    const Vec<C> v = load_part(x + i + j, count, first);
    best[0] = v > best[0] ? v : best[0];
  });
  return tree_max<lanes>(best[0] > best[1] ? best[0] : best[1]);
}

// Rows read or written in the compute type. For 16-bit floats a row of up to n passes through
// scratch memory.
template <class T>
struct RowsIn {
  using C = value_t<T>;
  Source<T> source;
  Scratch<C> memory;
  GS_INLINE RowsIn(const Source<T>& x, int64_t n) : source(x), memory(x.converts() ? n : 0) {}
  GS_INLINE const C* at(int64_t i, int64_t n) const { return source.span(i, n, memory.get()); }
};
template <class T>
struct RowsOut {
  using C = value_t<T>;
  Sink<T> sink;
  Scratch<C> memory;
  GS_INLINE RowsOut(const Sink<T>& y, int64_t n) : sink(y), memory(y.converts() && y ? n : 0) {}
  GS_INLINE C* at(int64_t i) const { return sink.target(i, memory.get()); }
  GS_INLINE void flush(int64_t i, int64_t n) const { sink.finish(i, memory.get(), n); }
};

}  // namespace
}  // namespace gs::cpu
