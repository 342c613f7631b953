// What the forward and the backward of the recurrent layers share: the order of steps, the cut of
// the batch, and vectors at the edge of a hidden size that is no multiple of the vector width.
#pragma once

#include <cstdint>

#include "cpu/panel.h"
#include "kernels/params/recurrent.h"

namespace gs::cpu {
namespace {

GS_INLINE constexpr int gate_count(CellKind kind) {
  return kind == CellKind::Lstm ? 4 : kind == CellKind::Gru ? 3 : 1;
}

// Sequences do not touch each other: a block of the batch runs through all its steps on one thread,
// with no meeting between steps. The rows share each panel of W_hh while it is in the first cache.
inline constexpr int64_t kBlockRows = 16;

// A small batch is cut over hidden units instead, and its threads meet after every step: a part
// must be worth a meeting, in multiply-adds. A meeting of two awake threads takes 0.2 us, this much
// of a product with one row 4 us, and half of the weights may fit a core's own cache where all of
// them did not.
inline constexpr int64_t kStepGrain = 1 << 17;

// A sequence of fewer values is still in the core's own cache from the product that made it.
inline constexpr int64_t kFarValues = 1 << 17;

// The place in time of the step that is run as number `s`.
GS_INLINE int64_t time_of(int64_t s, int64_t steps, bool reverse) {
  return reverse ? steps - 1 - s : s;
}

// The first n <= kLanes values at p.
template <class C>
GS_INLINE Vec<C> load_first(const C* p, int64_t n) {
  return n >= kLanes<C> ? load(p) : load_some(p, static_cast<int>(n));
}
template <class C>
GS_INLINE void store_first(C* p, Vec<C> v, int64_t n) {
  if (n >= kLanes<C>) {
    store(p, v);
  } else {
    store_some(p, v, static_cast<int>(n));
  }
}

// Asks for part `piece` of `pieces` of a table (rows x width), in the order of memory. A step's
// share of a sequence comes from far away and its cells take it in short strips, which no hardware
// foresees; asked for piece by piece during the products of the step before, it is there in time.
// The empty statement stands for an effect: GCC takes calls of functions that only prefetch for
// calls that do nothing, and drops them.
template <class C>
GS_INLINE void fetch_rows(const C* p, int64_t row_stride, int64_t rows, int64_t width,
                          int64_t piece, int64_t pieces) {
  constexpr int64_t kLine = 64 / sizeof(C);
  __asm__ volatile("");
  int64_t at = rows * width * piece / pieces;
  const int64_t end = rows * width * (piece + 1) / pieces;
  while (at < end) {
    const int64_t row = at / width, from = at % width, to = min_of(width, from + end - at);
    const C* line = p + row * row_stride;
    for (int64_t j = from; j < to; j += kLine) __builtin_prefetch(line + j);
    at += to - from;
  }
}

// Calls f with the kind as a constant.
template <class F>
GS_INLINE void visit_cell(CellKind kind, F&& f) {
  switch (kind) {
    case CellKind::Lstm:
      return f(std::integral_constant<CellKind, CellKind::Lstm>{});
    case CellKind::Gru:
      return f(std::integral_constant<CellKind, CellKind::Gru>{});
    case CellKind::RnnTanh:
      return f(std::integral_constant<CellKind, CellKind::RnnTanh>{});
    default:
      return f(std::integral_constant<CellKind, CellKind::RnnRelu>{});
  }
}

}  // namespace
}  // namespace gs::cpu
