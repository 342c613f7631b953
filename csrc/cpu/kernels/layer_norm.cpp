// Layer normalisation, forward and gradient.
#include "cpu/norm_common.h"
#include "kernels/params/norm.h"

namespace gs::cpu {
namespace {

// Rows summed in the compute type before they go to double.
inline constexpr int64_t kRowsPerBlock = 128;

template <class T>
void layer_norm_as(const LayerNorm& p) {
  using C = value_t<T>;
  const Parameter<T> weight(p.weight, p.dtype, p.n), bias(p.bias, p.dtype, p.n);
  parallel_for(0, p.rows, grain_for(p.n), [&](int64_t begin, int64_t end) {
    const RowsIn<T> in(Source<T>(p.x, p.dtype), p.n);
    const RowsOut<T> out(Sink<T>(p.y, p.dtype), p.n);
    for (int64_t r = begin; r < end; ++r) {
      const C* row = in.at(r * p.n, p.n);
      const Moment m = dense_moment(row, p.n);
      const double variance = m.m2 / static_cast<double>(p.n);
      const C mean = static_cast<C>(m.mean),
              rstd = static_cast<C>(1.0 / std::sqrt(variance + p.eps));
      static_cast<C*>(p.mean)[r] = mean;
      static_cast<C*>(p.rstd)[r] = rstd;
      norm_row(row, weight.values, bias.values, out.at(r * p.n), p.n, mean, rstd);
      out.flush(r * p.n, p.n);
    }
  });
}

// With h = (x - mean) rstd and g = dy weight:
//   dx = rstd (g - mean(g) - h mean(g h)),  dweight += dy h,  dbias += dy.
template <class C>
struct RowMeans {
  C g = 0, gh = 0;
};
template <class C>
[[gnu::noinline]] RowMeans<C> layer_norm_grad_means(const C* dy, const C* x, const C* weight,
                                                    C mean, C rstd, int64_t n) {
  SumPair sums;
  for (int64_t from = 0; from < n; from += kPiece) {
    const SumPair part =
        sum_pairs<C>(min_of(kPiece, n - from), [=](int64_t j, int count, Vec<C>& a, Vec<C>& b) {
          const int64_t i = from + j;
          prefetch_ahead<kLanes<C>>(dy + i);
          prefetch_ahead<kLanes<C>>(x + i);
          a = load_part(dy + i, count);
          if (weight) a *= load_part(weight + i, count);
          b = a * (load_part(x + i, count) - mean);
        });
    sums.first += part.first;
    sums.second += part.second;
  }
  const double size = static_cast<double>(n);
  return {static_cast<C>(sums.first / size),
          static_cast<C>(sums.second * static_cast<double>(rstd) / size)};
}

// kRows rows of n at once, so that dweight and dbias are read and written once for all of them.
template <int kRows, class C>
[[gnu::noinline]] void layer_norm_grad_rows(const C* dy, const C* x, const C* weight,
                                            const C* means, const C* rstds, int64_t n, C* dx,
                                            C* dweight, C* dbias) {
  RowMeans<C> row[kRows];
  C mean[kRows], rstd[kRows];
  for (int r = 0; r < kRows; ++r) {
    mean[r] = means[r];
    rstd[r] = rstds[r];
    if (dx) row[r] = layer_norm_grad_means(dy + r * n, x + r * n, weight, mean[r], rstd[r], n);
  }
  each_vector<C>(n, [=, &row, &mean, &rstd](int64_t i, int count) __attribute__((always_inline)) {
    const Vec<C> w = weight ? load_part(weight + i, count) : splat(C(1));
    Vec<C> dw{}, db{};
    for (int r = 0; r < kRows; ++r) {
      const int64_t at = r * n + i;
      const Vec<C> d = load_part(dy + at, count),
                   h = (load_part(x + at, count) - mean[r]) * rstd[r];
      if (dx) store_part(dx + at, (d * w - row[r].g - h * row[r].gh) * rstd[r], count);
      dw += d * h;
      db += d;
    }
    if (dweight) store_part(dweight + i, load_part(dweight + i, count) + dw, count);
    if (dbias) store_part(dbias + i, load_part(dbias + i, count) + db, count);
  });
}

// partial (blocks, n) -> out (n), in the order of the blocks.
template <class T>
void join_blocks(const value_t<T>* partial, int64_t blocks, int64_t n, const Sink<T>& out) {
  using C = value_t<T>;
  if (!out) return;
  parallel_for(0, n, grain_for(blocks), [&](int64_t begin, int64_t end) {
    constexpr int64_t width = 64;
    for (int64_t j0 = begin; j0 < end; j0 += width) {
      double sum[width] = {};
      const int64_t m = min_of(width, end - j0);
      for (int64_t b = 0; b < blocks; ++b)
        for (int64_t j = 0; j < m; ++j) sum[j] += static_cast<double>(partial[b * n + j0 + j]);
      C buffer[width], *to = out.target(j0, buffer);
      for (int64_t j = 0; j < m; ++j) to[j] = static_cast<C>(sum[j]);
      out.finish(j0, to, m);
    }
  });
}

template <class T>
void layer_norm_grad_as(const LayerNormGrad& p) {
  using C = value_t<T>;
  const Parameter<T> weight(p.weight, p.dtype, p.n);
  const C *mean = static_cast<const C*>(p.mean), *rstd = static_cast<const C*>(p.rstd);
  const int64_t fitting = p.n > 0 ? kGrain / p.n : kRowsPerBlock;
  const int64_t per_block = fitting < 16 ? 16 : min_of(fitting, kRowsPerBlock);
  const int64_t blocks = (p.rows + per_block - 1) / per_block;
  const Scratch<C> dweight(p.dweight ? blocks * p.n : 0), dbias(p.dbias ? blocks * p.n : 0);
  parallel_for(0, blocks, grain_for(per_block * p.n), [&](int64_t begin, int64_t end) {
    constexpr int kTogether = 4;
    const int64_t room = kTogether * p.n;
    const RowsIn<T> dy(Source<T>(p.dy, p.dtype), room), x(Source<T>(p.x, p.dtype), room);
    const RowsOut<T> dx(Sink<T>(p.dx, p.dtype), room);
    for (int64_t b = begin; b < end; ++b) {
      C* dw = p.dweight ? dweight.get() + b * p.n : nullptr;
      C* db = p.dbias ? dbias.get() + b * p.n : nullptr;
      for (int64_t j = 0; j < p.n; ++j) {
        if (dw) dw[j] = 0;
        if (db) db[j] = 0;
      }
      const int64_t last = min_of((b + 1) * per_block, p.rows);
      for (int64_t r = b * per_block, count; r < last; r += count) {
        count = last - r >= kTogether ? kTogether : 1;
        const int64_t at = r * p.n, size = count * p.n;
        const auto rows =
            count > 1 ? layer_norm_grad_rows<kTogether, C> : layer_norm_grad_rows<1, C>;
        rows(dy.at(at, size), x.at(at, size), weight.values, mean + r, rstd + r, p.n,
             p.dx ? dx.at(at) : nullptr, dw, db);
        if (p.dx) dx.flush(at, size);
      }
    }
  });
  join_blocks(dweight.get(), blocks, p.n, Sink<T>(p.dweight, p.dtype));
  join_blocks(dbias.get(), blocks, p.n, Sink<T>(p.dbias, p.dtype));
}

}  // namespace

namespace GS_ISA {

void layer_norm(const LayerNorm& p) {
  if (p.rows == 0) return;
  visit_plain(p.dtype, [&](auto tag) { layer_norm_as<typename decltype(tag)::type>(p); });
}

void layer_norm_grad(const LayerNormGrad& p) {
  visit_plain(p.dtype, [&](auto tag) { layer_norm_grad_as<typename decltype(tag)::type>(p); });
}

}  // namespace GS_ISA
}  // namespace gs::cpu
