// What the forward and the backward of the recurrent layers share: the order of steps, the cut of
// the batch, and vectors at the edge of a hidden size that is no multiple of the vector width.
#pragma once

#include <cstdint>

#include "cpu/panel.h"
#include "kernels/params.h"

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
