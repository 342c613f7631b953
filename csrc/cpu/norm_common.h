// What the kernels of all norms share: how work is cut, parameters in the compute type, and a row
// with a weight and a bias for each of its elements.
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
  using C = value_t<T>;
  RowsIn<T> rows;
  const C* values;
  Parameter(const void* p, DType dtype, int64_t n)
      : rows(Source<T>(p, dtype), p ? n : 0), values(p ? rows.at(0, n) : nullptr) {}
};

template <class C>
[[gnu::noinline]] void norm_row(const C* x, const C* weight, const C* bias, C* y, int64_t n, C mean,
                                C rstd) {
  each_vector<C>(n, [=](int64_t i, int count) {
    Vec<C> v = (load_part(x + i, count) - mean) * rstd;
    if (weight) v *= load_part(weight + i, count);
    if (bias) v += load_part(bias + i, count);
    store_part(y + i, v, count);
  });
}

}  // namespace
}  // namespace gs::cpu
