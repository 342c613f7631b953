// Batch normalisation, forward and gradient.
#include "cpu/norm_common.h"
#include "kernels/params/norm.h"

namespace gs::cpu {
namespace {

// ---------------------------------------------------------------- walking x (N, C,
// inner)

// A channel is N planes of `inner`; its elements are numbered through them. Calls f(offset in x,
// length) for the pieces of elements [from, to) of channel c.
template <class F>
GS_INLINE void channel_pieces(int64_t channels, int64_t inner, int64_t c, int64_t from, int64_t to,
                              F f) {
  for (int64_t i = from % inner, sample = from / inner; from < to; ++sample, i = 0) {
    const int64_t length = min_of(inner - i, to - from);
    f((sample * channels + c) * inner + i, length);
    from += length;
  }
}

// The same pieces joined into runs of up to kPiece elements in the compute type, so that small
// planes cost no more than large ones: f(x0, x1, length). `second` may be null.
template <class T, class F>
GS_INLINE void channel_runs(const Source<T>& first, const Source<T>& second, int64_t channels,
                            int64_t inner, int64_t c, int64_t from, int64_t to, F f) {
  using C = value_t<T>;
  constexpr int64_t long_plane = 512;
  alignas(64) C buffer[2][kPiece];
  if (!first.converts() && inner >= long_plane) {
    channel_pieces(channels, inner, c, from, to, [&](int64_t at, int64_t length) {
      for (int64_t i = 0; i < length; i += kPiece)
        f(first.span(at + i, 0, buffer[0]), second ? second.span(at + i, 0, buffer[1]) : nullptr,
          min_of(kPiece, length - i));
    });
    return;
  }
  const auto copy = [](C* to_, const Source<T>& x, int64_t at, int64_t n) {
    const C* from_ = x.span(at, n, to_);
    for (int64_t i = 0; from_ != to_ && i < n; ++i) to_[i] = from_[i];
  };
  int64_t filled = 0;
  channel_pieces(channels, inner, c, from, to, [&](int64_t at, int64_t length) {
    while (length > 0) {
      const int64_t n = min_of(length, kPiece - filled);
      copy(buffer[0] + filled, first, at, n);
      if (second) copy(buffer[1] + filled, second, at, n);
      at += n;
      length -= n;
      filled += n;
      if (filled == kPiece) {
        f(buffer[0], second ? buffer[1] : nullptr, filled);
        filled = 0;
      }
    }
  });
  if (filled) f(buffer[0], second ? buffer[1] : nullptr, filled);
}

// How the statistics are cut: by chunks of a channel's elements, or, where inner is 1, by chunks of
// rows.
struct ChannelCut {
  int64_t elements, length, chunks;
  ChannelCut(int64_t n, int64_t inner)
      : elements(n * inner),
        length(inner == 1 ? kMomentRows : kGrain),
        chunks((elements + length - 1) / length) {}
  int64_t begin(int64_t chunk) const { return chunk * length; }
  int64_t end(int64_t chunk) const { return min_of((chunk + 1) * length, elements); }
};

// Runs f over (chunk, channel), or for inner 1 over (chunk, block of kMomentColumns channels).
template <class F>
void each_chunk(const ChannelCut& cut, int64_t channels, int64_t inner, F f) {
  const int64_t per_task = inner == 1 ? kMomentColumns : 1;
  const int64_t parts = (channels + per_task - 1) / per_task;
  const int64_t work = min_of(cut.length, cut.elements) * min_of(per_task, channels);
  parallel_for(0, cut.chunks * parts, grain_for(work), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) f(task / parts, task % parts * per_task);
  });
}

// y = f(x): `vector_of(c)` gives the function of channel c for planes; for inner 1, channels are
// lanes. in1 may be null. out, in0, in1: (N, C, inner).
template <class T, class ByPlane, class ByRow>
void each_output(const Source<T>& in0, const Source<T>& in1, const Sink<T>& out, int64_t n,
                 int64_t channels, int64_t inner, ByPlane by_plane, ByRow by_row) {
  using C = value_t<T>;
  if (inner == 1) {
    parallel_for(0, n, grain_for(channels), [=](int64_t begin, int64_t end) {
      const RowsIn<T> a(in0, channels), b(in1, channels);
      const RowsOut<T> y(out, channels);
      for (int64_t at = begin * channels; at < end * channels; at += channels) {
        by_row(a.at(at, channels), in1 ? b.at(at, channels) : nullptr, y.at(at));
        y.flush(at, channels);
      }
    });
    return;
  }
  parallel_for(0, n * channels * inner, kGrain, [&](int64_t begin, int64_t end) {
    alignas(64) C a[kPiece], b[kPiece], y[kPiece];
    for (int64_t at = begin; at < end;) {
      const int64_t plane = at / inner, left = min_of((plane + 1) * inner, end) - at,
                    length = min_of(left, kPiece);
      by_plane(plane % channels, in0.span(at, length, a), in1 ? in1.span(at, length, b) : nullptr,
               out.target(at, y), length);
      out.finish(at, y, length);
      at += length;
    }
  });
}

// ---------------------------------------------------------------- forward

// mean and variance (biased) of each channel, in double.
template <class T>
void batch_moments(const BatchNorm& p, double* mean, double* variance) {
  const Source<T> x(p.x, p.dtype), none(nullptr, p.dtype);
  const ChannelCut cut(p.n, p.inner);
  const Scratch<double> means(cut.chunks * p.c), m2s(cut.chunks * p.c);
  each_chunk(cut, p.c, p.inner, [&](int64_t chunk, int64_t c) {
    double *to_mean = means.get() + chunk * p.c + c, *to_m2 = m2s.get() + chunk * p.c + c;
    const int64_t from = cut.begin(chunk), to = cut.end(chunk);
    if (p.inner == 1)
      return column_moments(x, from * p.c + c, p.c, to - from, min_of(kMomentColumns, p.c - c),
                            to_mean, to_m2);
    Moment total;
    channel_runs(x, none, p.c, p.inner, c, from, to,
                 [&](const auto* run, const auto*, int64_t length) {
                   total.join(span_moment(run, length));
                 });
    *to_mean = total.mean;
    *to_m2 = total.m2;
  });
  parallel_for(0, p.c, grain_for(8 * cut.chunks), [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      Moment total;
      for (int64_t chunk = 0; chunk < cut.chunks; ++chunk)
        total.join({means.get()[chunk * p.c + c], m2s.get()[chunk * p.c + c],
                    cut.end(chunk) - cut.begin(chunk)});
      mean[c] = total.mean;
      variance[c] = total.m2 / static_cast<double>(cut.elements);
    }
  });
}

template <class T>
void batch_norm_as(const BatchNorm& p) {
  using C = value_t<T>;
  const Scratch<double> means(p.c), variances(p.c);
  const Source<T> running_mean(p.running_mean, p.dtype), running_var(p.running_var, p.dtype);
  if (p.training) batch_moments<T>(p, means.get(), variances.get());
  const Parameter<T> weight(p.weight, p.dtype, p.c), bias(p.bias, p.dtype, p.c);
  const Scratch<C> centres(p.c), scales(p.c), shifts(p.c);
  const double count = static_cast<double>(p.n * p.inner);
  for (int64_t c = 0; c < p.c; ++c) {
    const double mean = p.training ? means.get()[c] : static_cast<double>(running_mean[c]);
    const double variance = p.training ? variances.get()[c] : static_cast<double>(running_var[c]);
    const double rstd = 1.0 / std::sqrt(variance + p.eps);
    static_cast<C*>(p.mean)[c] = centres.get()[c] = static_cast<C>(mean);
    static_cast<C*>(p.rstd)[c] = static_cast<C>(rstd);
    scales.get()[c] =
        static_cast<C>(rstd * (weight.values ? static_cast<double>(weight.values[c]) : 1.0));
    shifts.get()[c] = bias.values ? bias.values[c] : C(0);
    const auto update = [&](const Source<T>& running, void* to, double value) {
      const double old = static_cast<double>(running[c]);
      Sink<T>(to, p.dtype).set(c, static_cast<C>(old + p.momentum * (value - old)));
    };
    if (p.training && running_mean) update(running_mean, p.running_mean, mean);
    if (p.training && running_var)
      update(running_var, p.running_var, variance * count / (count - 1));
  }
  const C *centre = centres.get(), *scale = scales.get(), *shift = shifts.get();
  each_output<T>(
      {p.x, p.dtype}, {nullptr, p.dtype}, {p.y, p.dtype}, p.n, p.c, p.inner,
      [=](int64_t c, const C* x, const C*, C* y, int64_t length) {
        const C m = centre[c], s = scale[c], b = shift[c];
        each_vector<C>(length, [=](int64_t i, int k) {
          store_part(y + i, (load_part(x + i, k) - m) * s + b, k);
        });
      },
      [=, channels = p.c](const C* x, const C*, C* y) {
        each_vector<C>(channels, [=](int64_t i, int k) {
          const Vec<C> v =
              (load_part(x + i, k) - load_part(centre + i, k)) * load_part(scale + i, k);
          store_part(y + i, v + load_part(shift + i, k), k);
        });
      });
}

// ---------------------------------------------------------------- gradient

// sums[c] = sum dy, sums[channels + c] = sum dy (x - mean).
template <class T>
void batch_norm_sums(const BatchNormGrad& p, double* sums) {
  using C = value_t<T>;
  const Source<T> dy(p.dy, p.dtype), x(p.x, p.dtype);
  const C* mean = static_cast<const C*>(p.mean);
  const ChannelCut cut(p.n, p.inner);
  const Scratch<double> partial(2 * cut.chunks * p.c);
  each_chunk(cut, p.c, p.inner, [&](int64_t chunk, int64_t c) {
    double *first = partial.get() + 2 * chunk * p.c + c, *second = first + p.c;
    const int64_t from = cut.begin(chunk), to = cut.end(chunk);
    if (p.inner == 1) {
      const int64_t width = min_of(kMomentColumns, p.c - c);
      alignas(64) C a[kMomentColumns] = {}, b[kMomentColumns] = {};
      const RowsIn<T> dy_in(dy, width), x_in(x, width);
      const C* centre = mean + c;
      for (int64_t r = from, at = from * p.c + c; r < to; ++r, at += p.c) {
        const C *d = dy_in.at(at, width), *v = x_in.at(at, width);
        for (int64_t j = 0; j < width; ++j) {
          a[j] += d[j];
          b[j] += d[j] * (v[j] - centre[j]);
        }
      }
      for (int64_t j = 0; j < width; ++j) {
        first[j] = static_cast<double>(a[j]);
        second[j] = static_cast<double>(b[j]);
      }
      return;
    }
    *first = *second = 0;
    const C centre = mean[c];
    channel_runs(dy, x, p.c, p.inner, c, from, to, [&](const C* d, const C* v, int64_t length) {
      const SumPair part = sum_pairs<C>(length, [=](int64_t i, int count, Vec<C>& s, Vec<C>& t) {
        s = load_part(d + i, count);
        t = s * (load_part(v + i, count) - centre);
      });
      *first += part.first;
      *second += part.second;
    });
  });
  for (int64_t c = 0; c < 2 * p.c; ++c) sums[c] = 0;
  for (int64_t chunk = 0; chunk < cut.chunks; ++chunk)
    for (int64_t c = 0; c < 2 * p.c; ++c) sums[c] += partial.get()[2 * chunk * p.c + c];
}

// dx = a dy + b (x - mean) + c, with one a, b, c a channel:
//   a = weight rstd,  b = -a rstd^2 mean(dy (x - mean)),  c = -a mean(dy); in evaluation b = c = 0.
template <class T>
void batch_norm_grad_as(const BatchNormGrad& p) {
  using C = value_t<T>;
  const C *mean = static_cast<const C*>(p.mean), *rstd = static_cast<const C*>(p.rstd);
  const Scratch<double> sums(2 * p.c);
  const bool need_sums = p.dweight || p.dbias || (p.dx && p.training);
  if (need_sums) batch_norm_sums<T>(p, sums.get());
  const Parameter<T> weight(p.weight, p.dtype, p.c);
  const Scratch<C> as(p.c), bs(p.c), cs(p.c);
  const double count = static_cast<double>(p.n * p.inner);
  for (int64_t c = 0; c < p.c; ++c) {
    const double r = static_cast<double>(rstd[c]),
                 a = r * (weight.values ? static_cast<double>(weight.values[c]) : 1.0);
    const double sum_dy = need_sums ? sums.get()[c] : 0,
                 sum_dyx = need_sums ? sums.get()[p.c + c] : 0;
    as.get()[c] = static_cast<C>(a);
    bs.get()[c] = static_cast<C>(p.training ? -a * r * r * sum_dyx / count : 0);
    cs.get()[c] = static_cast<C>(p.training ? -a * sum_dy / count : 0);
    if (p.dweight) Sink<T>(p.dweight, p.dtype).set(c, static_cast<C>(sum_dyx * r));
    if (p.dbias) Sink<T>(p.dbias, p.dtype).set(c, static_cast<C>(sum_dy));
  }
  if (!p.dx) return;
  const C *a = as.get(), *b = bs.get(), *c0 = cs.get();
  each_output<T>(
      {p.dy, p.dtype}, {p.training ? p.x : nullptr, p.dtype}, {p.dx, p.dtype}, p.n, p.c, p.inner,
      [=](int64_t c, const C* dy, const C* x, C* dx, int64_t length) {
        const C m = mean[c], ac = a[c], bc = b[c], cc = c0[c];
        each_vector<C>(length, [=](int64_t i, int k) {
          Vec<C> v = load_part(dy + i, k) * ac;
          if (x) v += (load_part(x + i, k) - m) * bc + cc;
          store_part(dx + i, v, k);
        });
      },
      [=, channels = p.c](const C* dy, const C* x, C* dx) {
        each_vector<C>(channels, [=](int64_t i, int k) {
          Vec<C> v = load_part(dy + i, k) * load_part(a + i, k);
          if (x)
            v += (load_part(x + i, k) - load_part(mean + i, k)) * load_part(b + i, k) +
                 load_part(c0 + i, k);
          store_part(dx + i, v, k);
        });
      });
}

}  // namespace

namespace GS_ISA {

void batch_norm(const BatchNorm& p) {
  if (p.c == 0) return;
  visit_plain(p.dtype, [&](auto tag) { batch_norm_as<typename decltype(tag)::type>(p); });
}

void batch_norm_grad(const BatchNormGrad& p) {
  if (p.c == 0) return;
  visit_plain(p.dtype, [&](auto tag) { batch_norm_grad_as<typename decltype(tag)::type>(p); });
}

}  // namespace GS_ISA
}  // namespace gs::cpu
