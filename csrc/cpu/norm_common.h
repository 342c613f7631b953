// What the kernels of all norms share: how work is cut, and parameters in the compute type.
#pragma once

#include <cmath>

#include "core/parallel.h"
#include "cpu/isa.h"
#include "cpu/moments.h"
#include "cpu/rows.h"

namespace gs::cpu {
namespace {

inline constexpr int64_t kGrain = 32768;  // elements worth a task

GS_INLINE int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }
GS_INLINE int64_t grain_for(int64_t work) {
  return work >= kGrain ? 1 : kGrain / (work > 0 ? work : 1);
}

// A parameter of n values in the compute type: null stays null.
template <class T>
struct Parameter {
  using C = compute_t<T>;
  RowBuffer<T> buffer;
  const C* values;
  Parameter(const void* p, int64_t n)
      : buffer(p ? n : 0), values(p ? buffer.in(static_cast<const T*>(p), n) : nullptr) {}
};

}  // namespace
}  // namespace gs::cpu
