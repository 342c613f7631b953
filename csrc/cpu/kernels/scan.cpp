// Kernels along the middle of (outer, n, inner): first extreme, moments, running sums and products.
#include <limits>

#include "core/parallel.h"
#include "cpu/convert.h"
#include "cpu/isa.h"
#include "cpu/moments.h"
#include "cpu/scan_rows.h"
#include "cpu/scratch.h"
#include "cpu/short_rows.h"
#include "cpu/source.h"
#include "kernels/params/reduce.h"

namespace gs::cpu {
namespace {

inline constexpr int64_t kGrain = 32768;  // elements worth a task
inline constexpr int64_t kChunk = 16384;  // elements of one partial result
inline constexpr int64_t kBlock = 256;    // columns worked on together
static_assert(kBlock >= kMostShortRows && kMomentColumns >= kMostShortRows);

GS_INLINE int64_t grain_for(int64_t work) {
  return work >= kGrain ? 1 : kGrain / (work > 0 ? work : 1);
}
GS_INLINE int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }

// ---------------------------------------------------------------- first extreme

template <bool largest, class C>
GS_INLINE bool beats(C v, C best) {
  return (largest ? v > best : v < best) | ((v != v) & (best == best));
}

// Position of the first extreme of n > 0 elements from `from` on: the value first, in independent
// lanes, then where it is.
template <bool largest, class C>
int64_t first_extreme(const Source<C>& in, int64_t from, int64_t n) {
  constexpr int64_t lanes = 64, span = 512;
  alignas(64) C buffer[span];
  C best = in[from];
  for (int64_t i = 0; i < n; i += span) {
    const int64_t m = min_of(span, n - i);
    const C* v = in.span(from + i, m, buffer);
    int64_t j = 0;
    if (m >= lanes) {
      alignas(64) C acc[lanes];
      for (int64_t k = 0; k < lanes; ++k) acc[k] = v[k];
      for (j = lanes; j + lanes <= m; j += lanes)
        for (int64_t k = 0; k < lanes; ++k)
          acc[k] = (largest ? v[j + k] > acc[k] : v[j + k] < acc[k]) | (v[j + k] != v[j + k])
                       ? v[j + k]
                       : acc[k];
      for (int64_t k = 0; k < lanes; ++k) best = beats<largest>(acc[k], best) ? acc[k] : best;
    }
    for (; j < m; ++j) best = beats<largest>(v[j], best) ? v[j] : best;
  }
  for (int64_t i = 0; i < n; i += span) {
    const int64_t m = min_of(span, n - i);
    const C* v = in.span(from + i, m, buffer);
    for (int64_t j = 0; j < m; j += lanes) {
      const int64_t end = min_of(j + lanes, m);
      int found = 0;
      for (int64_t k = j; k < end; ++k) found |= (v[k] == best) | (v[k] != v[k]);
      if (!found) continue;
      for (int64_t k = j; k < end; ++k)
        if ((v[k] == best) | (v[k] != v[k])) return i + k;
    }
  }
  return 0;
}

// Results at, at + 1, ...: element from(k) of the input, index[k] along the dimension.
template <class From>
GS_INLINE void store_extremes(const ArgExtreme& p, int64_t at, int64_t count, const int64_t* index,
                              From from) {
  const int64_t size = size_of(p.dtype);
  if (p.indices) __builtin_memcpy(p.indices + at, index, count * sizeof(int64_t));
  for (int64_t k = 0; p.values && k < count; ++k)
    copy_element(p.values, at + k, p.in, from(k), size);
}

template <bool largest, class C>
void extreme_rows(const ArgExtreme& p, const Source<C>& in) {
  const int64_t chunks = p.n > 2 * kChunk ? (p.n + kChunk - 1) / kChunk : 1;
  const int64_t length = chunks > 1 ? kChunk : p.n;
  Scratch<int64_t> partial(chunks > 1 ? p.outer * chunks : 0);
  parallel_for(0, p.outer * chunks, grain_for(length), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t o = task / chunks, from = task % chunks * length, row = o * p.n;
      const int64_t at = from + first_extreme<largest>(in, row + from, min_of(length, p.n - from));
      if (chunks > 1)
        partial.get()[task] = at;
      else
        store_extremes(p, o, 1, &at, [&](int64_t) { return row + at; });
    }
  });
  for (int64_t o = 0; chunks > 1 && o < p.outer; ++o) {
    const int64_t row = o * p.n;
    const int64_t* candidates = partial.get() + o * chunks;
    int64_t at = candidates[0];
    for (int64_t c = 1; c < chunks; ++c)
      if (beats<largest>(in[row + candidates[c]], in[row + at])) at = candidates[c];
    store_extremes(p, o, 1, &at, [&](int64_t) { return row + at; });
  }
}

// Rows [i, end) of `width` columns, `stride` elements apart, join best[j] and index[j]; row 0
// starts them.
template <bool largest, class C>
GS_INLINE void join_extremes(const C* v, int64_t stride, int64_t i, int64_t end, int64_t width,
                             C* best, int64_t* index) {
  if (i == 0) {
    for (int64_t j = 0; j < width; ++j) {
      best[j] = v[j];
      index[j] = 0;
    }
    v += stride;
    ++i;
  }
  for (; i < end; ++i, v += stride)
    for (int64_t j = 0; j < width; ++j) {
      const bool take = beats<largest>(v[j], best[j]);
      best[j] = take ? v[j] : best[j];
      index[j] = take ? i : index[j];
    }
}

template <bool largest, class C>
void extreme_columns(const ArgExtreme& p, const Source<C>& in) {
  const int64_t blocks = (p.inner + kBlock - 1) / kBlock;
  parallel_for(0, p.outer * blocks, grain_for(p.n * min_of(p.inner, kBlock)),
               [&](int64_t begin, int64_t end) {
                 alignas(64) C best[kBlock], buffer[kBlock];
                 alignas(64) int64_t index[kBlock];
                 for (int64_t task = begin; task < end; ++task) {
                   const int64_t o = task / blocks, j0 = task % blocks * kBlock;
                   const int64_t width = min_of(kBlock, p.inner - j0);
                   const int64_t from = o * p.n * p.inner + j0;
                   if (!in.converts())
                     join_extremes<largest>(in.span(from, 0, buffer), p.inner, 0, p.n, width, best,
                                            index);
                   for (int64_t i = 0; in.converts() && i < p.n; ++i)
                     join_extremes<largest>(in.span(from + i * p.inner, width, buffer), 0, i, i + 1,
                                            width, best, index);
                   store_extremes(p, o * p.inner + j0, width, index,
                                  [&](int64_t j) { return from + index[j] * p.inner + j; });
                 }
               });
}

// f(first, count, columns, stride) for blocks of rows of n, transposed.
template <class C, class F>
void each_short_block(const Source<C>& in, int64_t rows, int64_t n, F f) {
  const int64_t block = short_rows_of(n), blocks = (rows + block - 1) / block;
  parallel_for(0, blocks, grain_for(block * n), [&](int64_t begin, int64_t end) {
    alignas(64) C wide[kShortElements + kLanes<float>];
    alignas(64) C columns[kShortElements];
    for (int64_t b = begin; b < end; ++b) {
      const int64_t first = b * block, count = min_of(block, rows - first);
      const C* from = in.span(first * n, count * n, wide);
      const C* past =
          from == wide ? wide + kShortElements + kLanes<float> : from + (rows - first) * n;
      transpose_rows(from, past, count, n, columns, block);
      f(first, count, columns, block);
    }
  });
}

template <bool largest, class C>
void extreme_short_rows(const ArgExtreme& p, const Source<C>& in) {
  each_short_block(in, p.outer, p.n,
                   [&](int64_t first, int64_t count, const C* columns, int64_t stride) {
                     alignas(64) C best[kBlock];
                     alignas(64) int64_t index[kBlock];
                     join_extremes<largest>(columns, stride, 0, p.n, count, best, index);
                     store_extremes(p, first, count, index,
                                    [&](int64_t r) { return (first + r) * p.n + index[r]; });
                   });
}

template <bool largest, class C>
void extreme_as(const ArgExtreme& p) {
  const Source<C> in(p.in, p.dtype);
  if (p.inner == 1 && is_short_row(p.outer, p.n))
    extreme_short_rows<largest>(p, in);
  else if (p.inner == 1)
    extreme_rows<largest>(p, in);
  else
    extreme_columns<largest>(p, in);
}

// ---------------------------------------------------------------- moments

// n results from `at` on.
inline void store_moments(const Moments& p, int64_t at, const double* mean, const double* m2,
                          int64_t n) {
  visit_floating(p.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T *means = static_cast<T*>(p.mean) + at, *m2s = static_cast<T*>(p.m2) + at;
    for (int64_t i = 0; i < n; ++i) {
      means[i] = static_cast<T>(mean[i]);
      m2s[i] = static_cast<T>(m2[i]);
    }
  });
}
GS_INLINE void store_moment(const Moments& p, int64_t at, double mean, double m2) {
  store_moments(p, at, &mean, &m2, 1);
}

template <class C>
void moment_rows(const Moments& p, const Source<C>& in) {
  const int64_t chunks = p.n > 2 * kChunk ? (p.n + kChunk - 1) / kChunk : 1;
  const int64_t length = chunks > 1 ? kChunk : p.n;
  Scratch<Moment> partial(chunks > 1 ? p.outer * chunks : 0);
  parallel_for(0, p.outer * chunks, grain_for(length), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t o = task / chunks, from = task % chunks * length;
      const Moment m = dense_moment(in, o * p.n + from, min_of(length, p.n - from));
      if (chunks > 1)
        partial.get()[task] = m;
      else
        store_moment(p, o, m.mean, m.m2);
    }
  });
  for (int64_t o = 0; chunks > 1 && o < p.outer; ++o) {
    Moment total;
    for (int64_t c = 0; c < chunks; ++c) total.join(partial.get()[o * chunks + c]);
    store_moment(p, o, total.mean, total.m2);
  }
}

template <class C>
void moment_short_rows(const Moments& p, const Source<C>& in) {
  each_short_block(in, p.outer, p.n,
                   [&](int64_t first, int64_t count, const C* columns, int64_t stride) {
                     double mean[kMomentColumns], m2[kMomentColumns];
                     const Source<C> block(columns);
                     column_moments(block, 0, stride, p.n, count, mean, m2);
                     store_moments(p, first, mean, m2, count);
                   });
}

// Tasks: outer x blocks of columns x chunks of rows; partial results lie (outer, chunk, inner).
template <class C>
void moment_columns(const Moments& p, const Source<C>& in) {
  const int64_t blocks = (p.inner + kMomentColumns - 1) / kMomentColumns;
  const int64_t chunks = (p.n + kMomentRows - 1) / kMomentRows;
  Scratch<double> mean(p.outer * chunks * p.inner), m2(p.outer * chunks * p.inner);
  const int64_t work = min_of(p.n, kMomentRows) * min_of(p.inner, kMomentColumns);
  parallel_for(0, p.outer * chunks * blocks, grain_for(work), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t oc = task / blocks, j = task % blocks * kMomentColumns;
      const int64_t o = oc / chunks, row = oc % chunks * kMomentRows;
      column_moments(in, (o * p.n + row) * p.inner + j, p.inner, min_of(kMomentRows, p.n - row),
                     min_of(kMomentColumns, p.inner - j), mean.get() + oc * p.inner + j,
                     m2.get() + oc * p.inner + j);
    }
  });
  parallel_for(0, p.outer * p.inner, grain_for(chunks), [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; ++at) {
      const int64_t o = at / p.inner, j = at % p.inner;
      Moment total;
      for (int64_t c = 0; c < chunks; ++c) {
        const int64_t k = (o * chunks + c) * p.inner + j;
        total.join({mean.get()[k], m2.get()[k], min_of(kMomentRows, p.n - c * kMomentRows)});
      }
      store_moment(p, at, total.mean, total.m2);
    }
  });
}

template <class C>
void moments_as(const Moments& p) {
  const Source<C> in(p.in, p.dtype);
  if (p.inner == 1 && is_short_row(p.outer, p.n))
    moment_short_rows(p, in);
  else if (p.inner == 1)
    moment_rows(p, in);
  else
    moment_columns(p, in);
}

// ---------------------------------------------------------------- running sums and products

template <bool sum, class T>
void scan_as(const Scan& p) {
  using State = std::conditional_t<std::is_integral_v<T>, int64_t, double>;
  const int64_t blocks = (p.inner + kBlock - 1) / kBlock;
  const T* in = static_cast<const T*>(p.in);
  T* out = static_cast<T*>(p.out);
  if (p.inner == 1) return RowScan<sum, T>::run(in, out, p.outer, p.n, p.reverse);
  parallel_for(0, p.outer * blocks, grain_for(p.n * min_of(p.inner, kBlock)),
               [&](int64_t begin, int64_t end) {
                 alignas(64) State total[kBlock];
                 for (int64_t task = begin; task < end; ++task) {
                   const int64_t o = task / blocks, j0 = task % blocks * kBlock;
                   const int64_t width = min_of(kBlock, p.inner - j0),
                                 start = o * p.n * p.inner + j0;
                   for (int64_t j = 0; j < width; ++j) total[j] = sum ? 0 : 1;
                   for (int64_t i = 0; i < p.n; ++i) {
                     const int64_t at = start + (p.reverse ? p.n - 1 - i : i) * p.inner;
#pragma GCC ivdep
                     for (int64_t j = 0; j < width; ++j) {
                       total[j] = scan_step<sum>(total[j], static_cast<State>(in[at + j]));
                       out[at + j] = static_cast<T>(total[j]);
                     }
                   }
                 }
               });
}

}  // namespace

namespace GS_ISA {

void arg_extreme(const ArgExtreme& p) {
  if (p.outer * p.n * p.inner == 0) return;
  visit_wide(p.dtype, [&](auto tag) {
    using C = typename decltype(tag)::type;
    p.largest ? extreme_as<true, C>(p) : extreme_as<false, C>(p);
  });
}

void moments(const Moments& p) {
  if (p.n == 0) {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    for (int64_t at = 0; at < p.outer * p.inner; ++at) store_moment(p, at, nan, nan);
  } else if (p.dtype == DType::Float64) {
    moments_as<double>(p);
  } else {
    moments_as<float>(p);
  }
}

// Integers come as int64.
void scan(const Scan& p) {
  const auto scan_type = [&](auto tag) {
    using T = typename decltype(tag)::type;
    p.op == ScanOp::Sum ? scan_as<true, T>(p) : scan_as<false, T>(p);
  };
  if (p.dtype == DType::Int64)
    scan_type(Type<int64_t>{});
  else
    visit_floating(p.dtype, scan_type);
}

}  // namespace GS_ISA
}  // namespace gs::cpu
