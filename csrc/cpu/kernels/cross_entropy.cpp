// Cross entropy over the middle of (outer, n, inner): of rows (inner is 1) or of blocks of columns.
#include "kernels/params/cross_entropy.h"
#include "cpu/isa.h"
#include "cpu/shuffle.h"
#include "cpu/softmax_sums.h"

namespace gs::cpu {
namespace {

// Class weights in the compute type (null: all 1), and what label smoothing spreads over them.
template <class T>
struct ClassWeights {
  using C = value_t<T>;
  const C* values;
  double total;
  RowsIn<T> rows;

  ClassWeights(const void* weight, DType dtype, int64_t n)
      : values(nullptr),
        total(static_cast<double>(n)),
        rows(Source<T>(weight, dtype), weight ? n : 0) {
    if (!weight) return;
    values = rows.at(0, n);
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

// What a block of positions comes to before the logarithm, which is taken of all of them at once.
template <class C>
struct Positions {
  alignas(64) C max[kMaxBlock];
  alignas(64) double sum[kMaxBlock];  // of exp(x - max)
  alignas(64) double gap[kMaxBlock];  // sum of weight * (max - x); used when labels are smoothed
};

// The losses of `width` positions from flat position `at` on; class c of position j is x[j * step +
// c * inner].
template <class T>
void write_losses(const CrossEntropy& p, const ClassWeights<T>& weights, const Source<T>& x,
                  int64_t step, int64_t at, int64_t width, Positions<value_t<T>>& s) {
  using C = value_t<T>;
  for (int64_t j = width; j % kLanes<double> != 0; ++j) s.sum[j] = 1;
  for (int64_t j = 0; j < width; j += kLanes<double>)
    store(s.sum + j, VecMath<double>::log(load(s.sum + j)));
  const double spread = p.smoothing / static_cast<double>(p.n);
  const Sink<T> losses(p.loss, p.dtype), lses(p.lse, p.dtype);
  C loss_buffer[kMaxBlock], lse_buffer[kMaxBlock], own[kMaxBlock];
  for (int64_t j = 0; j < width; ++j) {
    const int64_t t = p.target[at + j];
    own[j] = t == p.ignore_index ? C(0) : x[j * step + t * p.inner];
  }
  C *loss = losses.target(at, loss_buffer), *lse = lses.target(at, lse_buffer);
  for (int64_t j = 0; j < width; ++j) {
    const int64_t t = p.target[at + j];
    if (t == p.ignore_index) {
      loss[j] = lse[j] = C(0);
      continue;
    }
    const double log_sum = s.sum[j];
    // lse - x_t without the rounding of lse, which is large beside a small loss.
    double value =
        weights.of(t) * (1 - p.smoothing) * (log_sum + static_cast<double>(s.max[j] - own[j]));
    if (p.smoothing != 0) value += spread * (weights.total * log_sum + s.gap[j]);
    loss[j] = static_cast<C>(value);
    lse[j] = static_cast<C>(static_cast<double>(s.max[j]) + log_sum);
  }
  losses.finish(at, loss, width);
  lses.finish(at, lse, width);
}

// ---------------------------------------------------------------- rows

inline constexpr int64_t kRows = 32;    // rows whose logarithms are taken together
inline constexpr int64_t kNarrow = 96;  // classes

// Rows of up to kNarrow classes, turned so that each lane of a vector holds a row of its own:
// nothing is added across lanes. The largest terms, which are 1, are counted apart: beside them
// small ones would lose their digits.
template <class C>
[[gnu::noinline]] void narrow_sums(const C* x, int64_t rows, int64_t n, const C* weight,
                                   bool smoothed, Positions<C>& s) {
  alignas(64) C turned[kNarrow * kRows];  // n x kRows
  if (rows < kRows)
    for (int64_t i = 0; i < n * kRows; ++i) turned[i] = 0;
  transpose(x, n, rows, n, turned, kRows);
  for (int64_t j = 0; j < rows; j += kLanes<C>) {
    Vec<C> max = load(turned + j);
    for (int64_t i = 1; i < n; ++i) {
      const Vec<C> v = load(turned + i * kRows + j);
      max = v > max ? v : max;
    }
    Vec<C> sum{}, ones{}, gap{};
    in_groups(n, [&](int64_t from, int64_t to) {
      Vec<C> part{}, part_gap{};
      for (int64_t i = from; i < to; ++i) {
        const Vec<C> v = load(turned + i * kRows + j), e = VecMath<C>::exp(v - max);
        const auto largest = v == max;
        part += largest ? v - max : e;  // 0, or NaN of infinities
        ones += largest ? splat(C(1)) : Vec<C>{};
        if (smoothed) part_gap += (max - v) * (weight ? weight[i] : C(1));
      }
      sum += part;
      gap += part_gap;
    });
    store(s.max + j, max);
    for (int k = 0; k < kLanes<C>; ++k) {
      s.sum[j + k] = static_cast<double>(ones[k]) + static_cast<double>(sum[k]);
      s.gap[j + k] = static_cast<double>(gap[k]);
    }
  }
}

template <class T>
void cross_entropy_rows(const CrossEntropy& p, const ClassWeights<T>& weights) {
  using C = value_t<T>;
  const Source<T> x(p.x, p.dtype);
  const bool smoothed = p.smoothing != 0, narrow = p.n <= kNarrow;
  parallel_for(0, p.outer, grain_for(p.n), [&](int64_t begin, int64_t end) {
    const RowsIn<T> in(x, narrow ? kRows * p.n : p.n);
    Positions<C> s;
    for (int64_t r = begin; r < end; r += kRows) {
      const int64_t rows = min_of(kRows, end - r);
      if (narrow) narrow_sums(in.at(r * p.n, rows * p.n), rows, p.n, weights.values, smoothed, s);
      for (int64_t j = 0; j < rows && !narrow; ++j) {
        const C* row = in.at((r + j) * p.n, p.n);
        const C max = s.max[j] = row_max(row, p.n);
        s.sum[j] = sum_exp(row, p.n, max);
        if (smoothed) s.gap[j] = weighted_gap(row, weights.values, p.n, max);
      }
      write_losses(p, weights, x + r * p.n, p.n, r, rows, s);
    }
  });
}

// ---------------------------------------------------------------- columns

template <class T>
void column_gaps(const Columns<T>& columns, const Source<T>& x, int64_t n,
                 const ClassWeights<T>& weights, Positions<value_t<T>>& s) {
  using C = value_t<T>;
  alignas(64) C gap[kMaxBlock] = {};
  in_groups(n, [&](int64_t from, int64_t to) {
    alignas(64) C part[kMaxBlock] = {};
    for (int64_t i = from; i < to; ++i) {
      const C* row = columns.in(x, i);
      const C weight = static_cast<C>(weights.of(i));
      vectors<C>(columns.padded, [&](int64_t j) {
        store(part + j, load(part + j) + (load(s.max + j) - load(row + j)) * weight);
      });
    }
    vectors<C>(columns.padded, [&](int64_t j) { store(gap + j, load(gap + j) + load(part + j)); });
  });
  for (int64_t j = 0; j < columns.width; ++j) s.gap[j] = static_cast<double>(gap[j]);
}

template <class T>
void cross_entropy_columns(const CrossEntropy& p, const ClassWeights<T>& weights) {
  using C = value_t<T>;
  each_block(p.outer, p.n, p.inner, [&](int64_t o, int64_t j0, int64_t width) {
    const Source<T> x = Source<T>(p.x, p.dtype) + (o * p.n * p.inner + j0);
    const Columns<T> columns(width, p.inner);
    Positions<C> s;
    alignas(64) C sum[kMaxBlock];
    column_sums(columns, x, p.n, s.max, sum);
    for (int64_t j = 0; j < width; ++j) s.sum[j] = static_cast<double>(sum[j]);
    if (p.smoothing != 0) column_gaps(columns, x, p.n, weights, s);
    write_losses(p, weights, x, int64_t{1}, o * p.inner + j0, width, s);
  });
}

// ---------------------------------------------------------------- gradients

// dx_j = dloss (p_j (w_t (1 - eps) + eps / n sum w) - [j = t] w_t (1 - eps) - eps / n w_j)
struct PositionGrad {
  double all, own, spread;  // factors of p_j, of [j = t], and of w_j
};
template <class T>
GS_INLINE PositionGrad position_grad(const CrossEntropyGrad& p, const Source<T>& dloss,
                                     const ClassWeights<T>& weights, int64_t at) {
  const int64_t t = p.target[at];
  if (t == p.ignore_index) return {0, 0, 0};
  const double g = static_cast<double>(dloss[at * p.dloss_stride]);
  const double own = g * weights.of(t) * (1 - p.smoothing),
               spread = g * p.smoothing / static_cast<double>(p.n);
  return {own + spread * weights.total, own, spread};
}

template <class T>
void cross_entropy_grad_rows(const CrossEntropyGrad& p, const ClassWeights<T>& weights) {
  using C = value_t<T>;
  const Source<T> lse(p.lse, p.dtype), dloss(p.dloss, p.dtype);
  parallel_for(0, p.outer, grain_for(p.n), [&](int64_t begin, int64_t end) {
    const RowsIn<T> in(Source<T>(p.x, p.dtype), p.n);
    const RowsOut<T> out(Sink<T>(p.dx, p.dtype), p.n);
    for (int64_t r = begin; r < end; ++r) {
      C* dx = out.at(r * p.n);
      const int64_t t = p.target[r];
      if (t == p.ignore_index) {
        for (int64_t j = 0; j < p.n; ++j) dx[j] = 0;
      } else {
        const PositionGrad grad = position_grad<T>(p, dloss, weights, r);
        const C shift = lse[r], all = static_cast<C>(grad.all),
                spread = static_cast<C>(grad.spread);
        const C* row = in.at(r * p.n, p.n);
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
      out.flush(r * p.n, p.n);
    }
  });
}

template <class T>
void cross_entropy_grad_columns(const CrossEntropyGrad& p, const ClassWeights<T>& weights) {
  using C = value_t<T>;
  each_block(p.outer, p.n, p.inner, [&](int64_t o, int64_t j0, int64_t width) {
    const int64_t start = o * p.n * p.inner + j0, at = o * p.inner + j0;
    const Source<T> x = Source<T>(p.x, p.dtype) + start, lse(p.lse, p.dtype),
                    dloss(p.dloss, p.dtype);
    const Sink<T> to = Sink<T>(p.dx, p.dtype) + start;
    const Columns<T> columns(width, p.inner);
    alignas(64) C shift[kMaxBlock] = {}, all[kMaxBlock] = {}, own[kMaxBlock] = {},
                  spread[kMaxBlock] = {};
    alignas(64) C used[kMaxBlock] = {};
    for (int64_t j = 0; j < width; ++j) {
      const PositionGrad grad = position_grad<T>(p, dloss, weights, at + j);
      shift[j] = lse[at + j];
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

void cross_entropy(const CrossEntropy& p) {
  if (p.outer * p.n * p.inner == 0) return;
  visit_plain(p.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const ClassWeights<T> weights(p.weight, p.dtype, p.n);
    p.inner == 1 ? cross_entropy_rows<T>(p, weights) : cross_entropy_columns<T>(p, weights);
  });
}

void cross_entropy_grad(const CrossEntropyGrad& p) {
  if (p.outer * p.n * p.inner == 0) return;
  visit_plain(p.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const ClassWeights<T> weights(p.weight, p.dtype, p.n);
    p.inner == 1 ? cross_entropy_grad_rows<T>(p, weights)
                 : cross_entropy_grad_columns<T>(p, weights);
  });
}

}  // namespace GS_ISA
}  // namespace gs::cpu
