// Maxima and sums of exponentials over the middle of (outer, n, inner), of a row (inner is 1) or of
// a block of columns: what softmax and cross entropy begin with.
#pragma once

#include "core/parallel.h"
#include "cpu/rows.h"
#include "cpu/vmath.h"

namespace gs::cpu {
namespace {

inline constexpr int64_t kGrain = 16384;  // exponentials worth a task
inline constexpr int64_t kMaxBlock = 512;

GS_INLINE int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }
GS_INLINE int64_t grain_for(int64_t work) {
  return work >= kGrain ? 1 : kGrain / (work > 0 ? work : 1);
}

template <class C>
constexpr C kLowest = -std::numeric_limits<C>::infinity();

template <class C>
GS_INLINE double sum_exp(const C* x, int64_t n, C max) {
  return sum_vectors<C>(n, [x, max](int64_t i, int count) {
    return VecMath<C>::exp(load_part(x + i, count, kLowest<C>) - max);
  });
}

// ---------------------------------------------------------------- columns: inner above 1

// Columns [j0, j0 + width) of one outer index, read and written in the compute type. Rows are
// padded to whole vectors, so that the loops below need no tails.
template <class T>
struct Columns {
  using C = value_t<T>;
  int64_t width, padded, stride;
  bool padded_rows;
  alignas(64) mutable C buffer[kMaxBlock];

  Columns(int64_t w, int64_t inner)
      : width(w),
        padded((w + kLanes<C> - 1) / kLanes<C> * kLanes<C>),
        stride(inner),
        padded_rows(padded != w) {
    for (int64_t j = 0; j < padded; ++j) buffer[j] = 0;
  }
  GS_INLINE const C* in(const Source<T>& x, int64_t row, C* into) const {
    const C* from = x.span(row * stride, width, into);
    if (from == into || !padded_rows) return from;
    for (int64_t j = 0; j < width; ++j) into[j] = from[j];
    return into;
  }
  GS_INLINE const C* in(const Source<T>& x, int64_t row) const { return in(x, row, buffer); }
  GS_INLINE C* out(const Sink<T>& y, int64_t row) const {
    return padded_rows ? buffer : y.target(row * stride, buffer);
  }
  GS_INLINE void flush(const Sink<T>& y, int64_t row) const {
    if (y.converts()) return y.finish(row * stride, buffer, width);
    if (!padded_rows) return;
    C* to = y.target(row * stride, buffer);
    for (int64_t j = 0; j < width; ++j) to[j] = buffer[j];
  }
};

template <class C, class F>
GS_INLINE void vectors(int64_t padded, F f) {
  for (int64_t j = 0; j < padded; j += kLanes<C>) f(j);
}

// Long sums are made of sums of 32, so that rounding does not pile up: f(from, to) for each group.
template <class F>
GS_INLINE void in_groups(int64_t n, F f) {
  for (int64_t i = 0; i < n; i += 32) f(i, min_of(i + 32, n));
}

// Maximum and sum of exponentials of each column.
template <class T>
void column_sums(const Columns<T>& columns, const Source<T>& x, int64_t n, value_t<T>* max,
                 value_t<T>* sum) {
  using C = value_t<T>;
  vectors<C>(columns.padded, [=](int64_t j) {
    store(max + j, splat(kLowest<C>));
    store(sum + j, splat(C(0)));
  });
  for (int64_t i = 0; i < n; ++i) {
    const C* row = columns.in(x, i);
    vectors<C>(columns.padded, [=](int64_t j) {
      const Vec<C> v = load(row + j), m = load(max + j);
      store(max + j, v > m ? v : m);
    });
  }
  in_groups(n, [&](int64_t from, int64_t to) {
    alignas(64) C part[kMaxBlock] = {};
    for (int64_t i = from; i < to; ++i) {
      const C* row = columns.in(x, i);
      vectors<C>(columns.padded, [&](int64_t j) {
        store(part + j, load(part + j) + VecMath<C>::exp(load(row + j) - load(max + j)));
      });
    }
    vectors<C>(columns.padded, [&](int64_t j) { store(sum + j, load(sum + j) + load(part + j)); });
  });
}

// Calls f(o, j0, width) for blocks of columns so narrow that n rows of them stay in the
// second-level cache.
template <class F>
void each_block(int64_t outer, int64_t n, int64_t inner, F f) {
  int64_t block = 65536 / (n > 0 ? n : 1) / 64 * 64;
  block = block < 64 ? 64 : min_of(block, kMaxBlock);
  const int64_t blocks = (inner + block - 1) / block;
  parallel_for(0, outer * blocks, grain_for(n * min_of(block, inner)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t task = begin; task < end; ++task) {
                   const int64_t j0 = task % blocks * block;
                   f(task / blocks, j0, min_of(block, inner - j0));
                 }
               });
}

}  // namespace
}  // namespace gs::cpu
