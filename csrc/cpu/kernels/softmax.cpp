// Softmax and cross entropy over the middle of (outer, n, inner). A row stays in the cache between
// its passes: maximum, sum of exponentials, result. With inner > 1 the same passes run over blocks
// of columns.
#include "core/parallel.h"
#include "cpu/isa.h"
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

// ---------------------------------------------------------------- rows: inner is 1

template <class C>
GS_INLINE double sum_exp(const C* x, int64_t n, C max) {
  return sum_vectors<C>(n, [x, max](int64_t i, int count) {
    return VecMath<C>::exp(load_part(x + i, count, kLowest<C>) - max);
  });
}

template <class C>
[[gnu::noinline]] void softmax_row(const C* x, C* y, int64_t n) {
  const C max = row_max(x, n);
  const double sum = sum_vectors<C>(n, [x, y, max](int64_t i, int count) {
    const Vec<C> e = VecMath<C>::exp(load_part(x + i, count, kLowest<C>) - max);
    store_part(y + i, e, count);
    return e;
  });
  const C scale = static_cast<C>(1.0 / sum);
  each_vector<C>(n, [y, scale](int64_t i, int count) {
    store_part(y + i, load_part(y + i, count) * scale, count);
  });
}

template <class C>
[[gnu::noinline]] void log_softmax_row(const C* x, C* y, int64_t n) {
  const C max = row_max(x, n);
  const C log_sum = static_cast<C>(std::log(sum_exp(x, n, max)));
  each_vector<C>(n, [=](int64_t i, int count) {
    store_part(y + i, (load_part(x + i, count) - max) - log_sum, count);
  });
}

template <class C>
[[gnu::noinline]] void softmax_grad_row(const C* dy, const C* y, C* dx, int64_t n, bool log) {
  if (log) {
    const C sum = static_cast<C>(
        sum_vectors<C>(n, [=](int64_t i, int count) { return load_part(dy + i, count); }));
    each_vector<C>(n, [=](int64_t i, int count) {
      const Vec<C> p = VecMath<C>::exp(load_part(y + i, count));
      store_part(dx + i, load_part(dy + i, count) - p * sum, count);
    });
    return;
  }
  const C dot = static_cast<C>(sum_vectors<C>(n, [=](int64_t i, int count) {
    prefetch_ahead<kLanes<C>>(dy + i);
    prefetch_ahead<kLanes<C>>(y + i);
    return load_part(dy + i, count) * load_part(y + i, count);
  }));
  each_vector<C>(n, [=](int64_t i, int count) {
    store_part(dx + i, load_part(y + i, count) * (load_part(dy + i, count) - dot), count);
  });
}

// ---------------------------------------------------------------- columns: inner above 1

// Columns [j0, j0 + width) of one outer index, read and written in the compute type. Rows are
// padded to whole vectors, so that the loops below need no tails.
template <class T>
struct Columns {
  using C = compute_t<T>;
  int64_t width, padded, stride;
  bool direct;
  alignas(64) mutable C buffer[kMaxBlock];

  Columns(int64_t w, int64_t inner)
      : width(w),
        padded((w + kLanes<C> - 1) / kLanes<C> * kLanes<C>),
        stride(inner),
        direct(std::is_same_v<T, C> && padded == w) {
    for (int64_t j = 0; j < padded; ++j) buffer[j] = 0;
  }
  GS_INLINE const C* in(const T* x, int64_t row, C* into) const {
    if constexpr (std::is_same_v<T, C>) {
      if (direct) return x + row * stride;
      for (int64_t j = 0; j < width; ++j) into[j] = x[row * stride + j];
    } else {
      to_float(into, x + row * stride, width);
    }
    return into;
  }
  GS_INLINE const C* in(const T* x, int64_t row) const { return in(x, row, buffer); }
  GS_INLINE C* out(T* y, int64_t row) const {
    if constexpr (std::is_same_v<T, C>) {
      if (direct) return y + row * stride;
    }
    (void)y, (void)row;
    return buffer;
  }
  GS_INLINE void flush(T* y, int64_t row) const {
    if (direct) return;
    if constexpr (std::is_same_v<T, C>)
      for (int64_t j = 0; j < width; ++j) y[row * stride + j] = buffer[j];
    else
      from_float(y + row * stride, buffer, width);
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
void column_sums(const Columns<T>& columns, const T* x, int64_t n, compute_t<T>* max,
                 compute_t<T>* sum) {
  using C = compute_t<T>;
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

template <class T>
void softmax_columns(const Columns<T>& columns, const T* x, T* y, int64_t n, bool log) {
  using C = compute_t<T>;
  alignas(64) C max[kMaxBlock], sum[kMaxBlock];
  column_sums(columns, x, n, max, sum);
  vectors<C>(columns.padded, [&](int64_t j) {
    const Vec<C> s = load(sum + j);
    store(sum + j, log ? VecMath<C>::log(s) : C(1) / s);
  });
  for (int64_t i = 0; i < n; ++i) {
    const C* row = columns.in(x, i);
    C* to = columns.out(y, i);
    vectors<C>(columns.padded, [=, &max, &sum](int64_t j) {
      const Vec<C> v = load(row + j) - load(max + j), s = load(sum + j);
      store(to + j, log ? v - s : VecMath<C>::exp(v) * s);
    });
    columns.flush(y, i);
  }
}

template <class T>
void softmax_grad_columns(const Columns<T>& columns, const T* dy, const T* y, T* dx, int64_t n,
                          bool log) {
  using C = compute_t<T>;
  alignas(64) C sum[kMaxBlock] = {}, second[kMaxBlock] = {};
  in_groups(n, [&](int64_t from, int64_t to) {
    alignas(64) C part[kMaxBlock] = {};
    for (int64_t i = from; i < to; ++i) {
      const C *g = columns.in(dy, i), *p = columns.in(y, i, second);
      vectors<C>(columns.padded, [&](int64_t j) {
        store(part + j, load(part + j) + (log ? load(g + j) : load(g + j) * load(p + j)));
      });
    }
    vectors<C>(columns.padded, [&](int64_t j) { store(sum + j, load(sum + j) + load(part + j)); });
  });
  for (int64_t i = 0; i < n; ++i) {
    const C *g = columns.in(dy, i), *p = columns.in(y, i, second);
    C* to = columns.out(dx, i);
    vectors<C>(columns.padded, [=, &sum](int64_t j) {
      const Vec<C> dyv = load(g + j), yv = load(p + j), s = load(sum + j);
      store(to + j, log ? dyv - VecMath<C>::exp(yv) * s : yv * (dyv - s));
    });
    columns.flush(dx, i);
  }
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

// ---------------------------------------------------------------- softmax

template <class T>
void softmax_as(const Softmax& p) {
  const T* x = static_cast<const T*>(p.x);
  T* y = static_cast<T*>(p.y);
  if (p.inner != 1) {
    each_block(p.outer, p.n, p.inner, [&](int64_t o, int64_t j0, int64_t width) {
      const int64_t at = o * p.n * p.inner + j0;
      softmax_columns(Columns<T>(width, p.inner), x + at, y + at, p.n, p.log);
    });
    return;
  }
  parallel_for(0, p.outer, grain_for(p.n), [&](int64_t begin, int64_t end) {
    const RowBuffer<T> in(p.n), out(p.n);
    for (int64_t r = begin; r < end; ++r) {
      const auto* row = in.in(x + r * p.n, p.n);
      T* to = y + r * p.n;
      p.log ? log_softmax_row(row, out.out(to), p.n) : softmax_row(row, out.out(to), p.n);
      out.flush(to, p.n);
    }
  });
}

template <class T>
void softmax_grad_as(const SoftmaxGrad& p) {
  const T *dy = static_cast<const T*>(p.dy), *y = static_cast<const T*>(p.y);
  T* dx = static_cast<T*>(p.dx);
  if (p.inner != 1) {
    each_block(p.outer, p.n, p.inner, [&](int64_t o, int64_t j0, int64_t width) {
      const int64_t at = o * p.n * p.inner + j0;
      softmax_grad_columns(Columns<T>(width, p.inner), dy + at, y + at, dx + at, p.n, p.log);
    });
    return;
  }
  parallel_for(0, p.outer, grain_for(p.n), [&](int64_t begin, int64_t end) {
    const RowBuffer<T> in(p.n), saved(p.n), out(p.n);
    for (int64_t r = begin; r < end; ++r) {
      const int64_t at = r * p.n;
      softmax_grad_row(in.in(dy + at, p.n), saved.in(y + at, p.n), out.out(dx + at), p.n, p.log);
      out.flush(dx + at, p.n);
    }
  });
}

// ---------------------------------------------------------------- cross entropy

// Class weights in the compute type (null: all 1), and what label smoothing spreads over them.
template <class T>
struct ClassWeights {
  using C = compute_t<T>;
  const C* values;
  double total;
  RowBuffer<T> buffer;

  ClassWeights(const void* weight, int64_t n)
      : values(nullptr), total(static_cast<double>(n)), buffer(weight ? n : 0) {
    if (!weight) return;
    values = buffer.in(static_cast<const T*>(weight), n);
    total = 0;
    for (int64_t j = 0; j < n; ++j) total += static_cast<double>(values[j]);
  }
  double of(int64_t t) const { return values ? static_cast<double>(values[t]) : 1.0; }
};

// sum_j weight_j (max - x_j)
template <class C>
double weighted_gap(const C* x, const C* weight, int64_t n, C max) {
  return sum_vectors<C>(n, [=](int64_t i, int count) {
    const Vec<C> gap = max - load_part(x + i, count, max);
    return weight ? gap * load_part(weight + i, count) : gap;
  });
}

template <class T>
void cross_entropy_rows(const CrossEntropy& p, const ClassWeights<T>& weights) {
  using C = compute_t<T>;
  const T* x = static_cast<const T*>(p.x);
  T *loss = static_cast<T*>(p.loss), *lse = static_cast<T*>(p.lse);
  const double spread = p.smoothing / static_cast<double>(p.n);
  parallel_for(0, p.outer, grain_for(p.n), [&](int64_t begin, int64_t end) {
    const RowBuffer<T> buffer(p.n);
    for (int64_t r = begin; r < end; ++r) {
      const int64_t t = p.target[r];
      if (t == p.ignore_index) {
        loss[r] = lse[r] = static_cast<T>(C(0));
        continue;
      }
      const C* row = buffer.in(x + r * p.n, p.n);
      const C max = row_max(row, p.n);
      const double log_sum = std::log(sum_exp(row, p.n, max));
      // lse - x_t without the rounding of lse, which is large beside a small loss.
      double value =
          weights.of(t) * (1 - p.smoothing) * (log_sum + static_cast<double>(max - row[t]));
      if (p.smoothing != 0)
        value += spread * (weights.total * log_sum + weighted_gap(row, weights.values, p.n, max));
      loss[r] = static_cast<T>(static_cast<C>(value));
      lse[r] = static_cast<T>(static_cast<C>(static_cast<double>(max) + log_sum));
    }
  });
}

template <class T>
void cross_entropy_columns(const CrossEntropy& p, const ClassWeights<T>& weights) {
  using C = compute_t<T>;
  const double spread = p.smoothing / static_cast<double>(p.n);
  each_block(p.outer, p.n, p.inner, [&](int64_t o, int64_t j0, int64_t width) {
    const T* x = static_cast<const T*>(p.x) + o * p.n * p.inner + j0;
    const int64_t at = o * p.inner + j0;
    T *loss = static_cast<T*>(p.loss) + at, *lse = static_cast<T*>(p.lse) + at;
    const int64_t* target = p.target + at;
    const Columns<T> columns(width, p.inner);
    alignas(64) C max[kMaxBlock], sum[kMaxBlock], gap[kMaxBlock] = {};
    column_sums(columns, x, p.n, max, sum);
    if (p.smoothing != 0)
      in_groups(p.n, [&](int64_t from, int64_t to) {
        alignas(64) C part[kMaxBlock] = {};
        for (int64_t i = from; i < to; ++i) {
          const C* row = columns.in(x, i);
          const C weight = static_cast<C>(weights.of(i));
          vectors<C>(columns.padded, [&](int64_t j) {
            store(part + j, load(part + j) + (load(max + j) - load(row + j)) * weight);
          });
        }
        vectors<C>(columns.padded,
                   [&](int64_t j) { store(gap + j, load(gap + j) + load(part + j)); });
      });
    for (int64_t j = 0; j < width; ++j) {
      const int64_t t = target[j];
      if (t == p.ignore_index) {
        loss[j] = lse[j] = static_cast<T>(C(0));
        continue;
      }
      const double log_sum = std::log(static_cast<double>(sum[j]));
      const C own = static_cast<C>(x[t * p.inner + j]);
      double value =
          weights.of(t) * (1 - p.smoothing) * (log_sum + static_cast<double>(max[j] - own));
      if (p.smoothing != 0)
        value += spread * (weights.total * log_sum + static_cast<double>(gap[j]));
      loss[j] = static_cast<T>(static_cast<C>(value));
      lse[j] = static_cast<T>(static_cast<C>(static_cast<double>(max[j]) + log_sum));
    }
  });
}

// dx_j = dloss (p_j (w_t (1 - eps) + eps / n sum w) - [j = t] w_t (1 - eps) - eps / n w_j)
struct PositionGrad {
  double all, own, spread;  // factors of p_j, of [j = t], and of w_j
};
template <class T>
GS_INLINE PositionGrad position_grad(const CrossEntropyGrad& p, const ClassWeights<T>& weights,
                                     int64_t at) {
  const int64_t t = p.target[at];
  if (t == p.ignore_index) return {0, 0, 0};
  const double g = static_cast<double>(static_cast<const T*>(p.dloss)[at * p.dloss_stride]);
  const double own = g * weights.of(t) * (1 - p.smoothing),
               spread = g * p.smoothing / static_cast<double>(p.n);
  return {own + spread * weights.total, own, spread};
}

template <class T>
void cross_entropy_grad_rows(const CrossEntropyGrad& p, const ClassWeights<T>& weights) {
  using C = compute_t<T>;
  const T *x = static_cast<const T*>(p.x), *lse = static_cast<const T*>(p.lse);
  parallel_for(0, p.outer, grain_for(p.n), [&](int64_t begin, int64_t end) {
    const RowBuffer<T> in(p.n), out(p.n);
    for (int64_t r = begin; r < end; ++r) {
      T* to = static_cast<T*>(p.dx) + r * p.n;
      C* dx = out.out(to);
      const int64_t t = p.target[r];
      if (t == p.ignore_index) {
        for (int64_t j = 0; j < p.n; ++j) dx[j] = 0;
      } else {
        const PositionGrad grad = position_grad<T>(p, weights, r);
        const C shift = static_cast<C>(lse[r]), all = static_cast<C>(grad.all),
                spread = static_cast<C>(grad.spread);
        const C* row = in.in(x + r * p.n, p.n);
        const C* weight = weights.values;
        if (spread == 0) {
          each_vector<C>(p.n, [=](int64_t i, int count) {
            store_part(dx + i, VecMath<C>::exp(load_part(row + i, count) - shift) * all, count);
          });
        } else {
          each_vector<C>(p.n, [=](int64_t i, int count) {
            const Vec<C> w = weight ? load_part(weight + i, count) : splat(C(1));
            const Vec<C> e = VecMath<C>::exp(load_part(row + i, count) - shift);
            store_part(dx + i, e * all - w * spread, count);
          });
        }
        dx[t] -= static_cast<C>(grad.own);
      }
      out.flush(to, p.n);
    }
  });
}

template <class T>
void cross_entropy_grad_columns(const CrossEntropyGrad& p, const ClassWeights<T>& weights) {
  using C = compute_t<T>;
  each_block(p.outer, p.n, p.inner, [&](int64_t o, int64_t j0, int64_t width) {
    const int64_t start = o * p.n * p.inner + j0, at = o * p.inner + j0;
    const T *x = static_cast<const T*>(p.x) + start, *lse = static_cast<const T*>(p.lse) + at;
    T* to = static_cast<T*>(p.dx) + start;
    const Columns<T> columns(width, p.inner);
    alignas(64) C shift[kMaxBlock] = {}, all[kMaxBlock] = {}, own[kMaxBlock] = {},
                  spread[kMaxBlock] = {};
    alignas(64) C used[kMaxBlock] = {};
    for (int64_t j = 0; j < width; ++j) {
      const PositionGrad grad = position_grad<T>(p, weights, at + j);
      shift[j] = static_cast<C>(lse[j]);
      all[j] = static_cast<C>(grad.all);
      own[j] = static_cast<C>(grad.own);
      spread[j] = static_cast<C>(grad.spread);
      used[j] = p.target[at + j] == p.ignore_index ? C(0) : C(1);
    }
    for (int64_t i = 0; i < p.n; ++i) {
      const C* row = columns.in(x, i);
      C* dx = columns.out(to, i);
      const C weight = static_cast<C>(weights.of(i));
      vectors<C>(columns.padded, [&](int64_t j) {
        const Vec<C> e = VecMath<C>::exp(load(row + j) - load(shift + j));
        const Vec<C> value = e * load(all + j) - load(spread + j) * weight;
        store(dx + j, load(used + j) != C(0) ? value : splat(C(0)));
      });
      for (int64_t j = 0; j < width; ++j)
        dx[j] = p.target[at + j] == i && used[j] != 0 ? dx[j] - own[j] : dx[j];
      columns.flush(to, i);
    }
  });
}

}  // namespace

namespace GS_ISA {

void softmax(const Softmax& p) {
  if (p.outer * p.n * p.inner == 0) return;
  visit_floating(p.dtype, [&](auto tag) { softmax_as<typename decltype(tag)::type>(p); });
}

void softmax_grad(const SoftmaxGrad& p) {
  if (p.outer * p.n * p.inner == 0) return;
  visit_floating(p.dtype, [&](auto tag) { softmax_grad_as<typename decltype(tag)::type>(p); });
}

void cross_entropy(const CrossEntropy& p) {
  if (p.outer * p.n * p.inner == 0) return;
  visit_floating(p.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const ClassWeights<T> weights(p.weight, p.n);
    p.inner == 1 ? cross_entropy_rows<T>(p, weights) : cross_entropy_columns<T>(p, weights);
  });
}

void cross_entropy_grad(const CrossEntropyGrad& p) {
  if (p.outer * p.n * p.inner == 0) return;
  visit_floating(p.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const ClassWeights<T> weights(p.weight, p.n);
    p.inner == 1 ? cross_entropy_grad_rows<T>(p, weights)
                 : cross_entropy_grad_columns<T>(p, weights);
  });
}

}  // namespace GS_ISA
}  // namespace gs::cpu
