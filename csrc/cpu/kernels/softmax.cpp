// Softmax over the middle of (outer, n, inner). A row stays in the cache between its passes:
// maximum, sum of exponentials, result. With inner > 1 the same passes run over blocks of columns.
#include "kernels/params/softmax.h"
#include "cpu/isa.h"
#include "cpu/softmax_sums.h"

namespace gs::cpu {
namespace {

// ---------------------------------------------------------------- rows: inner is 1

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

template <class T>
void softmax_columns(const Columns<T>& columns, const Source<T>& x, const Sink<T>& y, int64_t n,
                     bool log) {
  using C = value_t<T>;
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
void softmax_grad_columns(const Columns<T>& columns, const Source<T>& dy, const Source<T>& y,
                          const Sink<T>& dx, int64_t n, bool log) {
  using C = value_t<T>;
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

// ---------------------------------------------------------------- softmax

template <class T>
void softmax_as(const Softmax& p) {
  using C = value_t<T>;
  const Source<T> x(p.x, p.dtype);
  const Sink<T> y(p.y, p.dtype);
  if (p.inner != 1) {
    each_block(p.outer, p.n, p.inner, [&](int64_t o, int64_t j0, int64_t width) {
      const int64_t at = o * p.n * p.inner + j0;
      softmax_columns(Columns<T>(width, p.inner), x + at, y + at, p.n, p.log);
    });
    return;
  }
  parallel_for(0, p.outer, grain_for(p.n), [&](int64_t begin, int64_t end) {
    const RowsIn<T> in(x, p.n);
    const RowsOut<T> out(y, p.n);
    for (int64_t at = begin * p.n; at < end * p.n; at += p.n) {
      const auto row = p.log ? log_softmax_row<C> : softmax_row<C>;
      row(in.at(at, p.n), out.at(at), p.n);
      out.flush(at, p.n);
    }
  });
}

template <class T>
void softmax_grad_as(const SoftmaxGrad& p) {
  const Source<T> dy(p.dy, p.dtype), y(p.y, p.dtype);
  const Sink<T> dx(p.dx, p.dtype);
  if (p.inner != 1) {
    each_block(p.outer, p.n, p.inner, [&](int64_t o, int64_t j0, int64_t width) {
      const int64_t at = o * p.n * p.inner + j0;
      softmax_grad_columns(Columns<T>(width, p.inner), dy + at, y + at, dx + at, p.n, p.log);
    });
    return;
  }
  parallel_for(0, p.outer, grain_for(p.n), [&](int64_t begin, int64_t end) {
    const RowsIn<T> in(dy, p.n), saved(y, p.n);
    const RowsOut<T> out(dx, p.n);
    for (int64_t at = begin * p.n; at < end * p.n; at += p.n) {
      softmax_grad_row(in.at(at, p.n), saved.at(at, p.n), out.at(at), p.n, p.log);
      out.flush(at, p.n);
    }
  });
}

}  // namespace

namespace GS_ISA {

void softmax(const Softmax& p) {
  if (p.outer * p.n * p.inner == 0) return;
  visit_plain(p.dtype, [&](auto tag) { softmax_as<typename decltype(tag)::type>(p); });
}

void softmax_grad(const SoftmaxGrad& p) {
  if (p.outer * p.n * p.inner == 0) return;
  visit_plain(p.dtype, [&](auto tag) { softmax_grad_as<typename decltype(tag)::type>(p); });
}

}  // namespace GS_ISA
}  // namespace gs::cpu
