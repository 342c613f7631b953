// Group normalisation, forward and gradient: rows of the channels of one group of one sample, with
// weight and bias per channel.
#include "cpu/norm_common.h"

namespace gs::cpu {
namespace {

// Planes shorter than this are not worth loops of their own: the parameters are spread over their
// elements instead, and a row is one loop.
inline constexpr int64_t kShortPlane = 256;

// One value a channel, or, where planes are short, one an element.
template <class T>
struct Spread {
  using C = compute_t<T>;
  Parameter<T> channels;
  Scratch<C> elements;
  const C* values;  // null stays null
  Spread(const void* p, int64_t c, int64_t inner)
      : channels(p, c),
        elements(p && inner < kShortPlane ? c * inner : 0),
        values(channels.values) {
    C* to = elements.get();
    if (!to) return;
    for (int64_t i = 0; i < c; ++i)
      for (int64_t j = 0; j < inner; ++j) *to++ = channels.values[i];
    values = elements.get();
  }
};

// Row r holds group r % groups of sample r / groups.
struct Rows {
  int64_t n, per_group, inner, groups;
  int64_t size() const { return per_group * inner; }
  int64_t first_channel(int64_t row) const { return row % groups * per_group; }
};

template <class C>
[[gnu::noinline]] void norm_short(const C* x, const C* weight, const C* bias, C* y, int64_t n,
                                  C mean, C rstd) {
  each_vector<C>(n, [=](int64_t i, int count) {
    Vec<C> v = (load_part(x + i, count) - mean) * rstd;
    if (weight) v *= load_part(weight + i, count);
    if (bias) v += load_part(bias + i, count);
    store_part(y + i, v, count);
  });
}

template <class C>
[[gnu::noinline]] void norm_plane(const C* x, C* y, int64_t n, C mean, C scale, C shift) {
  each_vector<C>(n, [=](int64_t i, int count) {
    store_part(y + i, (load_part(x + i, count) - mean) * scale + shift, count);
  });
}

template <class T>
void group_norm_as(const GroupNorm& p) {
  using C = compute_t<T>;
  const Rows rows{p.n * p.groups, p.c / p.groups, p.inner, p.groups};
  const int64_t size = rows.size();
  const Spread<T> weight(p.weight, p.c, p.inner), bias(p.bias, p.c, p.inner);
  parallel_for(0, rows.n, grain_for(size), [&](int64_t begin, int64_t end) {
    const RowBuffer<T> in(size), out(size);
    for (int64_t r = begin; r < end; ++r) {
      const C* x = in.in(static_cast<const T*>(p.x) + r * size, size);
      T* to = static_cast<T*>(p.y) + r * size;
      C* y = out.out(to);
      const Moment m = dense_moment(x, size);
      const double variance = m.m2 / static_cast<double>(size);
      const C mean = static_cast<C>(m.mean),
              rstd = static_cast<C>(1.0 / std::sqrt(variance + p.eps));
      static_cast<C*>(p.mean)[r] = mean;
      static_cast<C*>(p.rstd)[r] = rstd;
      const int64_t channel = rows.first_channel(r);
      if (p.inner < kShortPlane) {
        const int64_t at = channel * p.inner;
        norm_short(x, weight.values ? weight.values + at : nullptr,
                   bias.values ? bias.values + at : nullptr, y, size, mean, rstd);
      } else {
        for (int64_t c = 0; c < rows.per_group; ++c) {
          const C scale = weight.values ? rstd * weight.values[channel + c] : rstd;
          const C shift = bias.values ? bias.values[channel + c] : C(0);
          norm_plane(x + c * p.inner, y + c * p.inner, p.inner, mean, scale, shift);
        }
      }
      out.flush(to, size);
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

// dx = (dy weight) rstd + (x - mean) b + c, with a weight an element (or none) or one in all.
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
[[gnu::noinline]] void grad_plane(const C* dy, const C* x, C weight, C* dx, int64_t n,
                                  RowGrad<C> g) {
  const C scale = weight * g.rstd;
  each_vector<C>(n, [=](int64_t i, int count) {
    store_part(dx + i,
               load_part(dy + i, count) * scale + ((load_part(x + i, count) - g.mean) * g.b + g.c),
               count);
  });
}

// sums (n, c) -> out (c), in the order of the samples.
template <class T>
void join_samples(const double* sums, int64_t n, int64_t c, void* out) {
  if (!out) return;
  parallel_for(0, c, grain_for(n), [&](int64_t begin, int64_t end) {
    constexpr int64_t width = 64;
    for (int64_t from = begin; from < end; from += width) {
      double total[width] = {};
      const int64_t m = min_of(width, end - from);
      for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j < m; ++j) total[j] += sums[i * c + from + j];
      for (int64_t j = 0; j < m; ++j)
        static_cast<T*>(out)[from + j] = static_cast<T>(static_cast<compute_t<T>>(total[j]));
    }
  });
}

template <class T>
void group_norm_grad_as(const GroupNormGrad& p) {
  using C = compute_t<T>;
  const Rows rows{p.n * p.groups, p.c / p.groups, p.inner, p.groups};
  const int64_t size = rows.size();
  const Spread<T> weight(p.weight, p.c, p.inner);
  const C* w = weight.channels.values;
  const Scratch<double> dweight(p.n * p.c), dbias(p.n * p.c);
  parallel_for(0, rows.n, grain_for(2 * size), [&](int64_t begin, int64_t end) {
    const RowBuffer<T> dy_in(size), x_in(size), out(p.dx ? size : 0);
    for (int64_t r = begin; r < end; ++r) {
      const C *dy = dy_in.in(static_cast<const T*>(p.dy) + r * size, size),
              *x = x_in.in(static_cast<const T*>(p.x) + r * size, size);
      const C mean = static_cast<const C*>(p.mean)[r], rstd = static_cast<const C*>(p.rstd)[r];
      const int64_t channel = rows.first_channel(r);
      double sum_g = 0, sum_gx = 0;
      for (int64_t c = 0; c < rows.per_group; ++c) {
        const SumPair sums = plane_sums(dy + c * p.inner, x + c * p.inner, p.inner, mean);
        const double factor = w ? static_cast<double>(w[channel + c]) : 1.0;
        sum_g += factor * sums.first;
        sum_gx += factor * sums.second;
        const int64_t plane = r * rows.per_group + c;
        dbias.get()[plane] = sums.first;
        dweight.get()[plane] = sums.second * static_cast<double>(rstd);
      }
      if (!p.dx) continue;
      T* to = static_cast<T*>(p.dx) + r * size;
      C* dx = out.out(to);
      const double d = static_cast<double>(rstd), count = static_cast<double>(size);
      const RowGrad<C> g{mean, rstd, static_cast<C>(-d * d * d * sum_gx / count),
                         static_cast<C>(-d * sum_g / count)};
      if (p.inner < kShortPlane) {
        grad_short(dy, x, w ? weight.values + channel * p.inner : nullptr, dx, size, g);
      } else {
        for (int64_t c = 0; c < rows.per_group; ++c)
          grad_plane(dy + c * p.inner, x + c * p.inner, w ? w[channel + c] : C(1), dx + c * p.inner,
                     p.inner, g);
      }
      out.flush(to, size);
    }
  });
  join_samples<T>(dweight.get(), p.n, p.c, p.dweight);
  join_samples<T>(dbias.get(), p.n, p.c, p.dbias);
}

}  // namespace

namespace GS_ISA {

void group_norm(const GroupNorm& p) {
  visit_floating(p.dtype, [&](auto tag) { group_norm_as<typename decltype(tag)::type>(p); });
}

void group_norm_grad(const GroupNormGrad& p) {
  visit_floating(p.dtype, [&](auto tag) { group_norm_grad_as<typename decltype(tag)::type>(p); });
}

}  // namespace GS_ISA
}  // namespace gs::cpu
