// Kernels along the middle of (outer, n, inner): first extreme, moments, running sums and products.
#include <limits>

#include "core/parallel.h"
#include "cpu/convert.h"
#include "cpu/isa.h"
#include "cpu/moments.h"
#include "cpu/scan_rows.h"
#include "cpu/scratch.h"
#include "cpu/short_rows.h"
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

// Position of the first extreme of x[0..n), n > 0: the value first, in independent lanes, then
// where it is.
template <bool largest, class T>
int64_t first_extreme(const T* x, int64_t n) {
  using C = compute_t<T>;
  constexpr int64_t lanes = 64, span = 512;
  alignas(64) C buffer[std::is_same_v<T, C> ? 1 : span];
  C best = static_cast<C>(x[0]);
  for (int64_t i = 0; i < n; i += span) {
    const int64_t m = min_of(span, n - i);
    const C* v = as_compute(x + i, buffer, m);
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
    const C* v = as_compute(x + i, buffer, m);
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

template <class T>
GS_INLINE void store_extreme(const ArgExtreme& p, int64_t at, int64_t index, T value) {
  if (p.values) static_cast<T*>(p.values)[at] = value;
  if (p.indices) p.indices[at] = index;
}

template <bool largest, class T>
void extreme_rows(const ArgExtreme& p) {
  using C = compute_t<T>;
  const T* in = static_cast<const T*>(p.in);
  const int64_t chunks = p.n > 2 * kChunk ? (p.n + kChunk - 1) / kChunk : 1;
  const int64_t length = chunks > 1 ? kChunk : p.n;
  Scratch<int64_t> partial(chunks > 1 ? p.outer * chunks : 0);
  parallel_for(0, p.outer * chunks, grain_for(length), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t o = task / chunks, from = task % chunks * length;
      const T* x = in + o * p.n;
      const int64_t at = from + first_extreme<largest>(x + from, min_of(length, p.n - from));
      if (chunks > 1)
        partial.get()[task] = at;
      else
        store_extreme(p, o, at, x[at]);
    }
  });
  for (int64_t o = 0; chunks > 1 && o < p.outer; ++o) {
    const T* x = in + o * p.n;
    const int64_t* candidates = partial.get() + o * chunks;
    int64_t at = candidates[0];
    for (int64_t c = 1; c < chunks; ++c)
      if (beats<largest>(static_cast<C>(x[candidates[c]]), static_cast<C>(x[at])))
        at = candidates[c];
    store_extreme(p, o, at, x[at]);
  }
}

// best[j] and index[j] of `width` <= kBlock columns of n rows, `stride` elements apart.
template <bool largest, class T>
GS_INLINE void extreme_block(const T* x, int64_t stride, int64_t n, int64_t width,
                             compute_t<T>* best, int64_t* index) {
  using C = compute_t<T>;
  alignas(64) C buffer[kBlock];
  for (int64_t j = 0; j < width; ++j) {
    best[j] = static_cast<C>(x[j]);
    index[j] = 0;
  }
  for (int64_t i = 1; i < n; ++i) {
    const C* v = as_compute(x + i * stride, buffer, width);
    for (int64_t j = 0; j < width; ++j) {
      const bool take = beats<largest>(v[j], best[j]);
      best[j] = take ? v[j] : best[j];
      index[j] = take ? i : index[j];
    }
  }
}

template <bool largest, class T>
void extreme_columns(const ArgExtreme& p) {
  const T* in = static_cast<const T*>(p.in);
  const int64_t blocks = (p.inner + kBlock - 1) / kBlock;
  parallel_for(0, p.outer * blocks, grain_for(p.n * min_of(p.inner, kBlock)),
               [&](int64_t begin, int64_t end) {
                 alignas(64) compute_t<T> best[kBlock];
                 alignas(64) int64_t index[kBlock];
                 for (int64_t task = begin; task < end; ++task) {
                   const int64_t o = task / blocks, j0 = task % blocks * kBlock;
                   const int64_t width = min_of(kBlock, p.inner - j0);
                   const T* x = in + o * p.n * p.inner + j0;
                   extreme_block<largest>(x, p.inner, p.n, width, best, index);
                   for (int64_t j = 0; j < width; ++j)
                     store_extreme(p, o * p.inner + j0 + j, index[j], x[index[j] * p.inner + j]);
                 }
               });
}

// f(first, count, columns, stride) for blocks of rows of n, transposed.
template <class T, class F>
void each_short_block(const void* in, int64_t rows, int64_t n, F f) {
  using C = compute_t<T>;
  const T* x = static_cast<const T*>(in);
  const int64_t block = short_rows_of(n), blocks = (rows + block - 1) / block;
  parallel_for(0, blocks, grain_for(block * n), [&](int64_t begin, int64_t end) {
    alignas(64) C wide[std::is_same_v<T, C> ? 1 : kShortElements + kLanes<float>];
    alignas(64) C columns[kShortElements];
    for (int64_t b = begin; b < end; ++b) {
      const int64_t first = b * block, count = min_of(block, rows - first);
      const C* from = as_compute(x + first * n, wide, count * n);
      const C* past;
      if constexpr (std::is_same_v<T, C>)
        past = x + rows * n;
      else
        past = wide + kShortElements + kLanes<float>;
      transpose_rows(from, past, count, n, columns, block);
      f(first, count, columns, block);
    }
  });
}

template <bool largest, class T>
void extreme_short_rows(const ArgExtreme& p) {
  using C = compute_t<T>;
  const T* x = static_cast<const T*>(p.in);
  each_short_block<T>(p.in, p.outer, p.n,
                      [&](int64_t first, int64_t count, const C* columns, int64_t stride) {
                        alignas(64) C best[kBlock];
                        alignas(64) int64_t index[kBlock];
                        extreme_block<largest>(columns, stride, p.n, count, best, index);
                        for (int64_t r = 0; r < count; ++r)
                          store_extreme(p, first + r, index[r], x[(first + r) * p.n + index[r]]);
                      });
}

// ---------------------------------------------------------------- moments

template <class T>
GS_INLINE void store_moment(const Moments& p, int64_t at, double mean, double m2) {
  static_cast<T*>(p.mean)[at] = static_cast<T>(mean);
  static_cast<T*>(p.m2)[at] = static_cast<T>(m2);
}

template <class T>
void moment_rows(const Moments& p) {
  const T* in = static_cast<const T*>(p.in);
  const int64_t chunks = p.n > 2 * kChunk ? (p.n + kChunk - 1) / kChunk : 1;
  const int64_t length = chunks > 1 ? kChunk : p.n;
  Scratch<Moment> partial(chunks > 1 ? p.outer * chunks : 0);
  parallel_for(0, p.outer * chunks, grain_for(length), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t o = task / chunks, from = task % chunks * length;
      const Moment m = dense_moment(in + o * p.n + from, min_of(length, p.n - from));
      if (chunks > 1)
        partial.get()[task] = m;
      else
        store_moment<T>(p, o, m.mean, m.m2);
    }
  });
  for (int64_t o = 0; chunks > 1 && o < p.outer; ++o) {
    Moment total;
    for (int64_t c = 0; c < chunks; ++c) total.join(partial.get()[o * chunks + c]);
    store_moment<T>(p, o, total.mean, total.m2);
  }
}

template <class T>
void moment_short_rows(const Moments& p) {
  using C = compute_t<T>;
  each_short_block<T>(p.in, p.outer, p.n,
                      [&](int64_t first, int64_t count, const C* columns, int64_t stride) {
                        double mean[kMomentColumns], m2[kMomentColumns];
                        column_moments(columns, stride, p.n, count, mean, m2);
                        for (int64_t r = 0; r < count; ++r)
                          store_moment<T>(p, first + r, mean[r], m2[r]);
                      });
}

// Tasks: outer x blocks of columns x chunks of rows; partial results lie (outer, chunk, inner).
template <class T>
void moment_columns(const Moments& p) {
  const T* in = static_cast<const T*>(p.in);
  const int64_t blocks = (p.inner + kMomentColumns - 1) / kMomentColumns;
  const int64_t chunks = (p.n + kMomentRows - 1) / kMomentRows;
  Scratch<double> mean(p.outer * chunks * p.inner), m2(p.outer * chunks * p.inner);
  const int64_t work = min_of(p.n, kMomentRows) * min_of(p.inner, kMomentColumns);
  parallel_for(0, p.outer * chunks * blocks, grain_for(work), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t oc = task / blocks, j = task % blocks * kMomentColumns;
      const int64_t o = oc / chunks, row = oc % chunks * kMomentRows;
      column_moments(in + (o * p.n + row) * p.inner + j, p.inner, min_of(kMomentRows, p.n - row),
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
      store_moment<T>(p, at, total.mean, total.m2);
    }
  });
}

// ---------------------------------------------------------------- running sums and products

template <bool sum, class T>
void scan_as(const Scan& p) {
  using State = std::conditional_t<std::is_integral_v<T>, int64_t, double>;
  const int64_t blocks = (p.inner + kBlock - 1) / kBlock;
  const T* in = static_cast<const T*>(p.in);
  T* out = static_cast<T*>(p.out);
  if constexpr (!std::is_integral_v<T> || std::is_same_v<T, int64_t>) {  // others are not summed
    if (p.inner == 1) return RowScan<sum, T>::run(in, out, p.outer, p.n, p.reverse);
  }
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
  visit(p.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using Word = std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>;
    if (p.inner == 1 && is_short_row(p.outer, p.n))
      p.largest ? extreme_short_rows<true, Word>(p) : extreme_short_rows<false, Word>(p);
    else if (p.inner == 1)
      p.largest ? extreme_rows<true, Word>(p) : extreme_rows<false, Word>(p);
    else
      p.largest ? extreme_columns<true, Word>(p) : extreme_columns<false, Word>(p);
  });
}

void moments(const Moments& p) {
  visit_floating(p.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (p.n == 0) {
      constexpr double nan = std::numeric_limits<double>::quiet_NaN();
      for (int64_t at = 0; at < p.outer * p.inner; ++at) store_moment<T>(p, at, nan, nan);
    } else if (p.inner == 1 && is_short_row(p.outer, p.n)) {
      moment_short_rows<T>(p);
    } else if (p.inner == 1) {
      moment_rows<T>(p);
    } else {
      moment_columns<T>(p);
    }
  });
}

void scan(const Scan& p) {
  visit(p.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    p.op == ScanOp::Sum ? scan_as<true, T>(p) : scan_as<false, T>(p);
  });
}

}  // namespace GS_ISA
}  // namespace gs::cpu
