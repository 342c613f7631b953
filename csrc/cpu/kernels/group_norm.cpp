// Group normalisation, forward and gradient: rows of the channels of one group of one sample, with
// weight and bias per channel.
#include "cpu/norm_common.h"
#include "kernels/params/norm.h"

namespace gs::cpu {
namespace {

// One value a channel, or, where a plane is shorter than a vector, one an element: a row is then
// one loop. Longer planes take the value of their channel as it is; an array that one thread has
// spread over the elements would be slow for another to read.
template <class C>
struct Spread {
  Parameter<C> channels;
  Scratch<C> elements;
  const C* values;  // null stays null
  Spread(const void* p, DType dtype, int64_t c, int64_t inner)
      : channels(p, dtype, c),
        elements(p && is_short(inner) ? c * inner : 0),
        values(channels.values) {
    C* to = elements.get();
    if (!to) return;
    for (int64_t i = 0; i < c; ++i)
      for (int64_t j = 0; j < inner; ++j) *to++ = channels.values[i];
    values = elements.get();
  }
  static bool is_short(int64_t inner) { return inner < kLanes<C>; }
  // From the element of a row on, or from a channel on.
  const C* from(int64_t channel, int64_t inner) const {
    return values ? values + channel * (is_short(inner) ? inner : 1) : nullptr;
  }
};

// Row r holds group r % groups of sample r / groups.
struct Rows {
  int64_t n, per_group, inner, groups;
  int64_t size() const { return per_group * inner; }
  int64_t first_channel(int64_t row) const { return row % groups * per_group; }
};

// f(i) for the vectors that cover n >= kLanes values. The last may begin within the one before it:
// those values come out the same twice.
template <class C, class F>
GS_INLINE void cover(int64_t n, F f) {
  for (int64_t i = 0; i + kLanes<C> < n; i += kLanes<C>) f(i);
  f(n - kLanes<C>);
}

// Planes of n >= kLanes, one a channel.
template <class C>
[[gnu::noinline]] void norm_planes(const C* x, const C* weight, const C* bias, C* y,
                                   int64_t channels, int64_t n, C mean, C rstd) {
  for (int64_t c = 0; c < channels; ++c, x += n, y += n) {
    const C scale = weight ? rstd * weight[c] : rstd, shift = bias ? bias[c] : C(0);
    cover<C>(n, [=](int64_t i) { store(y + i, (load(x + i) - mean) * scale + shift); });
  }
}

template <class C>
void group_norm_as(const GroupNorm& p) {
  const Rows rows{p.n * p.groups, p.c / p.groups, p.inner, p.groups};
  const int64_t size = rows.size();
  const Spread<C> weight(p.weight, p.dtype, p.c, p.inner), bias(p.bias, p.dtype, p.c, p.inner);
  parallel_for(0, rows.n, grain_for(size), [&](int64_t begin, int64_t end) {
    const RowsIn<C> in(Source<C>(p.x, p.dtype), size);
    const RowsOut<C> out(Sink<C>(p.y, p.dtype), size);
    for (int64_t r = begin; r < end; ++r) {
      const C* x = in.at(r * size, size);
      C* y = out.at(r * size);
      const Moment m = dense_moment(x, size);
      const double variance = m.m2 / static_cast<double>(size);
      const C mean = static_cast<C>(m.mean),
              rstd = static_cast<C>(1.0 / std::sqrt(variance + p.eps));
      static_cast<C*>(p.mean)[r] = mean;
      static_cast<C*>(p.rstd)[r] = rstd;
      const int64_t channel = rows.first_channel(r);
      const C *w = weight.from(channel, p.inner), *b = bias.from(channel, p.inner);
      if (weight.is_short(p.inner))
        norm_row(x, w, b, y, size, mean, rstd);
      else
        norm_planes(x, w, b, y, rows.per_group, p.inner, mean, rstd);
      out.flush(r * size, size);
    }
  });
}

// ---------------------------------------------------------------- gradient

// Sums of dy and of dy (x - mean) over one plane.
template <class C>
[[gnu::noinline]] SumPair plane_sums(const C* dy, const C* x, int64_t n, C mean) {
  SumPair sums;
  if (n <= 4) {  // nothing for vectors
    for (int64_t i = 0; i < n; ++i) {
      sums.first += static_cast<double>(dy[i]);
      sums.second += static_cast<double>(dy[i] * (x[i] - mean));
    }
    return sums;
  }
  for (int64_t from = 0; from < n; from += kPiece) {
    const SumPair part =
        sum_pairs<C>(min_of(kPiece, n - from), [=](int64_t j, int count, Vec<C>& a, Vec<C>& b) {
          const int64_t i = from + j;
          prefetch_ahead<kLanes<C>>(dy + i);
          prefetch_ahead<kLanes<C>>(x + i);
          a = load_part(dy + i, count);
          b = a * (load_part(x + i, count) - mean);
        });
    sums.first += part.first;
    sums.second += part.second;
  }
  return sums;
}

// dx = (dy weight) rstd + (x - mean) b + c, with a weight an element, a channel, or none.
template <class C>
struct RowGrad {
  C mean, rstd, b, c;
};
template <class C>
[[gnu::noinline]] void grad_short(const C* dy, const C* x, const C* weight, C* dx, int64_t n,
                                  RowGrad<C> g) {
  each_vector<C>(n, [=](int64_t i, int count) {
    Vec<C> v = load_part(dy + i, count) * g.rstd;
    if (weight) v *= load_part(weight + i, count);
    store_part(dx + i, v + ((load_part(x + i, count) - g.mean) * g.b + g.c), count);
  });
}
template <class C>
[[gnu::noinline]] void grad_planes(const C* dy, const C* x, const C* weight, C* dx,
                                   int64_t channels, int64_t n, RowGrad<C> g) {
  for (int64_t c = 0; c < channels; ++c, dy += n, x += n, dx += n) {
    const C scale = weight ? weight[c] * g.rstd : g.rstd;
    cover<C>(n, [=](int64_t i) {
      store(dx + i, load(dy + i) * scale + ((load(x + i) - g.mean) * g.b + g.c));
    });
  }
}

// sums (blocks, c) -> out (c), in the order of the blocks.
template <class C>
void join_blocks(const double* sums, int64_t blocks, int64_t c, const Sink<C>& out) {
  if (!out) return;
  parallel_for(0, c, grain_for(blocks), [&](int64_t begin, int64_t end) {
    constexpr int64_t width = 64;
    for (int64_t from = begin; from < end; from += width) {
      double total[width] = {};
      const int64_t m = min_of(width, end - from);
      for (int64_t i = 0; i < blocks; ++i)
        for (int64_t j = 0; j < m; ++j) total[j] += sums[i * c + from + j];
      C buffer[width], *to = out.target(from, buffer);
      for (int64_t j = 0; j < m; ++j) to[j] = static_cast<C>(total[j]);
      out.finish(from, to, m);
    }
  });
}

// Enough samples for a task, as long as that leaves tasks for several threads.
GS_INLINE int64_t samples_of_block(int64_t samples, int64_t work_of_sample) {
  constexpr int64_t tasks = 8;
  const int64_t wanted = min_of(4 * kGrain / (work_of_sample + 1), samples / tasks);
  return wanted > 1 ? wanted : 1;
}

template <class C>
void group_norm_grad_as(const GroupNormGrad& p) {
  const Rows rows{p.n * p.groups, p.c / p.groups, p.inner, p.groups};
  const int64_t size = rows.size();
  const Spread<C> weight(p.weight, p.dtype, p.c, p.inner);
  const C* w = weight.channels.values;
  // Samples whose sums are added before they are stored: what is stored, another thread reads.
  const int64_t block = samples_of_block(p.n, 2 * size * p.groups);
  const int64_t blocks = (p.n + block - 1) / block;
  const int64_t grain = block > 1 ? block * p.groups : grain_for(2 * size);
  const Scratch<double> dweight(blocks * p.c), dbias(blocks * p.c);
  parallel_for(0, rows.n, grain, [&](int64_t begin, int64_t end) {
    const RowsIn<C> dy_in(Source<C>(p.dy, p.dtype), size), x_in(Source<C>(p.x, p.dtype), size);
    const RowsOut<C> out(Sink<C>(p.dx, p.dtype), size);
    for (int64_t r = begin; r < end; ++r) {
      const C *dy = dy_in.at(r * size, size), *x = x_in.at(r * size, size);
      const C mean = static_cast<const C*>(p.mean)[r], rstd = static_cast<const C*>(p.rstd)[r];
      const int64_t channel = rows.first_channel(r), sample = r / p.groups;
      double *db = dbias.get() + sample / block * p.c + channel,
             *dw = dweight.get() + sample / block * p.c + channel;
      const bool first = sample % block == 0;
      double sum_g = 0, sum_gx = 0;
      for (int64_t c = 0; c < rows.per_group; ++c) {
        const SumPair sums = plane_sums(dy + c * p.inner, x + c * p.inner, p.inner, mean);
        const double factor = w ? static_cast<double>(w[channel + c]) : 1.0;
        sum_g += factor * sums.first;
        sum_gx += factor * sums.second;
        db[c] = (first ? 0.0 : db[c]) + sums.first;
        dw[c] = (first ? 0.0 : dw[c]) + sums.second * static_cast<double>(rstd);
      }
      if (!p.dx) continue;
      C* dx = out.at(r * size);
      const double d = static_cast<double>(rstd), count = static_cast<double>(size);
      const RowGrad<C> g{mean, rstd, static_cast<C>(-d * d * d * sum_gx / count),
                         static_cast<C>(-d * sum_g / count)};
      const C* from = weight.from(channel, p.inner);
      if (weight.is_short(p.inner))
        grad_short(dy, x, from, dx, size, g);
      else
        grad_planes(dy, x, from, dx, rows.per_group, p.inner, g);
      out.flush(r * size, size);
    }
  });
  join_blocks(dweight.get(), blocks, p.c, Sink<C>(p.dweight, p.dtype));
  join_blocks(dbias.get(), blocks, p.c, Sink<C>(p.dbias, p.dtype));
}

}  // namespace

namespace GS_ISA {

void group_norm(const GroupNorm& p) {
  visit_compute(p.dtype, [&](auto tag) { group_norm_as<typename decltype(tag)::type>(p); });
}

void group_norm_grad(const GroupNormGrad& p) {
  visit_compute(p.dtype, [&](auto tag) { group_norm_grad_as<typename decltype(tag)::type>(p); });
}

}  // namespace GS_ISA
}  // namespace gs::cpu
