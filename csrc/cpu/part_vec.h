// Some lanes of a vector: the first of them, or a half.
#pragma once

#include <type_traits>

#include "cpu/shuffle.h"

namespace gs::cpu {
namespace {

// A mask of the first n lanes.
template <class C>
GS_INLINE auto lane_mask(int64_t n) {
  using I = std::conditional_t<sizeof(C) == 4, int32_t, int64_t>;
  Vec<I> index;
#pragma GCC unroll 16
  for (int i = 0; i < kLanes<C>; ++i) index[i] = i;
  return index < static_cast<I>(n);
}
// The first n lanes, zeros behind them.
template <class C>
GS_INLINE Vec<C> first_lanes(Vec<C> v, int64_t n) {
  return lane_mask<C>(n) ? v : Vec<C>{};
}

// Two vectors of half the width as one.
template <class C, class V, size_t... I>
GS_INLINE Vec<C> join_halves(V low, V high, std::index_sequence<I...>) {
  return __builtin_shufflevector(low, high, I...);
}
// The upper half of a vector in the lower.
template <class V, size_t... I>
GS_INLINE V upper_half(V v, std::index_sequence<I...>) {
  return __builtin_shufflevector(v, v, ((I + sizeof...(I) / 2) % sizeof...(I))...);
}

}  // namespace
}  // namespace gs::cpu
