// Batch normalisation of x (N, C, inner). Partial moments (forward) or sums (gradient) are taken of
// planes, or of columns where inner is 1, joined for each channel in a fixed order, and the result
// is written by planes or columns.
#include "kernels/kernels.h"
#include "kernels/params/norm.h"
#include "norm_planes.cuh"
#include "runtime/scratch.h"

namespace gs::cuda {
namespace {

// ---------------------------------------------------------------- moments

// partial (parts, planes)
template <class T, class Team>
__global__ void __launch_bounds__(Team::kBlock)
    plane_moments(const T* x, const PlaneCut cut, Moment<compute_t<T>>* partial) {
  const PlanePart<T, Team> part(cut, x);
  const T* plane = x + part.plane * cut.inner;
  auto moment = Moment<compute_t<T>>::none();
  for (int64_t first = part.from; first < part.to; first += part.kStep)
    absorb<T>(moment, load_part(plane, first, part.inner, T(0.0f)), first, part.inner);
  moment = team_join<Team>(moment);
  if (part.inner && Team::lane() == 0) partial[blockIdx.y * cut.planes + part.plane] = moment;
}

// partial (chunks, columns) of a matrix
template <class T>
__global__ void __launch_bounds__(kTileColumns* kTileDepth)
    column_moments(const T* x, int64_t rows, int64_t columns, int64_t length,
                   Moment<compute_t<T>>* partial) {
  using C = compute_t<T>;
  constexpr int kGroup = 8;
  const int64_t column = int64_t(blockIdx.x) * kTileColumns + threadIdx.x;
  const int64_t from = int64_t(blockIdx.y) * length, to = column >= columns      ? from
                                                          : from + length < rows ? from + length
                                                                                 : rows;
  auto moment = Moment<C>::none();
  for (int64_t row = from + threadIdx.y; row < to; row += kGroup * kTileDepth) {
    C v[kGroup];
    GS_UNROLL for (int k = 0; k < kGroup; ++k) v[k] =
        row + k * kTileDepth < to ? widen(x[(row + k * kTileDepth) * columns + column]) : C(0);
    const int64_t left = ceil_div(to - row, kTileDepth);
    absorb(moment, v, 0, left < kGroup ? static_cast<int>(left) : kGroup);
  }
  moment = tile_join<kTileDepth>(moment);
  if (threadIdx.y == 0 && column < columns)
    partial[int64_t(blockIdx.y) * columns + column] = moment;
}

template <class T>
struct Statistics {
  using C = compute_t<T>;
  C* mean;
  C* rstd;
  T* running_mean;  // may be null in training
  T* running_var;
  double momentum, eps;
};

// In training from `count` partial moments a channel, otherwise from the running statistics.
template <class T>
__global__ void __launch_bounds__(kTileColumns* kTileDepth)
    channel_statistics(const Moment<compute_t<T>>* partial, int64_t count, int64_t channels,
                       const Statistics<T> to) {
  using C = compute_t<T>;
  const int64_t channel = int64_t(blockIdx.x) * kTileColumns + threadIdx.x;
  const bool training = count > 0;
  auto all = Moment<double>::none();
  if (channel < channels)
    for (int64_t k = threadIdx.y; k < count; k += kTileDepth) {
      const Moment<C> m = partial[k * channels + channel];
      all.join({m.mean, m.m2, m.count});
    }
  all = tile_join<kTileDepth>(all);
  if (threadIdx.y != 0 || channel >= channels) return;
  const double mean = training ? all.mean : widen(to.running_mean[channel]);
  const double variance = training ? all.m2 / all.count : widen(to.running_var[channel]);
  to.mean[channel] = static_cast<C>(mean);
  to.rstd[channel] = static_cast<C>(rstd_of(variance, to.eps));
  const auto update = [&](T* running, double value) {
    const double old = widen(running[channel]);
    running[channel] = T(static_cast<C>(old + to.momentum * (value - old)));
  };
  if (training && to.running_mean) update(to.running_mean, mean);
  if (training && to.running_var) update(to.running_var, all.m2 / (all.count - 1));
}

// ---------------------------------------------------------------- results by columns: inner is 1

// As write_planes, with the coefficients of column c from f.of_plane(c).
template <class T, class F>
__global__ void __launch_bounds__(kTileColumns* kTileDepth)
    write_columns_kernel(const F f, const T* a, const T* b, T* y, int64_t rows, int64_t columns,
                         int64_t length) {
  using C = compute_t<T>;
  const int64_t column = int64_t(blockIdx.x) * kTileColumns + threadIdx.x;
  if (column >= columns) return;  // nobody waits for anybody here
  const int64_t from = int64_t(blockIdx.y) * length,
                to = from + length < rows ? from + length : rows;
  const auto coefficients = f.of_plane(column);
  for (int64_t row = from + threadIdx.y; row < to; row += kTileDepth) {
    const int64_t at = row * columns + column;
    y[at] = T(coefficients(widen(a[at]), b ? widen(b[at]) : C(0)));
  }
}
template <class T, class F>
void write_results(const F& f, const void* a, const void* b, void* y, int64_t n, int64_t c,
                   int64_t inner) {
  const T *first = static_cast<const T*>(a), *second = static_cast<const T*>(b);
  if (inner != 1) return write_planes(f, first, second, static_cast<T*>(y), n * c, inner);
  const ColumnChunks cut(n, c);
  launch({cut.grid(), tile_block(), 0, current_stream()}, write_columns_kernel<T, F>, f, first,
         second, y, n, c, cut.length);
}

// ---------------------------------------------------------------- forward

template <class C>
struct Scaled {
  C mean, scale, shift;
  GS_DEVICE C operator()(C x, C) const { return (x - mean) * scale + shift; }
};
template <class T>
struct Normalise {
  using C = compute_t<T>;
  const C* mean;
  const C* rstd;
  const T* weight;  // may be null
  const T* bias;    // may be null
  int64_t channels;
  GS_DEVICE Scaled<C> of_plane(int64_t plane) const {
    const int64_t c = plane % channels;
    return {mean[c], weight ? rstd[c] * widen(weight[c]) : rstd[c], bias ? widen(bias[c]) : C(0)};
  }
};

dim3 channel_grid(int64_t channels) {
  return dim3(static_cast<unsigned>(ceil_div(channels, kTileColumns)));
}

template <class T>
void batch_norm_as(const BatchNorm& p) {
  using C = compute_t<T>;
  const cudaStream_t stream = current_stream();
  const T* x = static_cast<const T*>(p.x);
  const bool empty = p.n * p.inner == 0;
  const ColumnChunks chunks(p.n, p.c);
  int64_t count = 0;  // of partial moments a channel
  if (p.training && !empty)
    count = p.inner == 1 ? chunks.chunks : p.n * parts_of_planes<T>(x, p.inner);
  const Scratch<Moment<C>> partial(count * p.c);
  if (count > 0 && p.inner == 1)
    launch({chunks.grid(), tile_block(), 0, stream}, column_moments<T>, x, p.n, p.c, chunks.length,
           partial.data());
  else if (count > 0)
    with_plane_team<T>(x, p.n * p.c, p.inner, kSumPacks, [&](auto team, const PlaneCut& cut) {
      using Team = decltype(team);
      launch({plane_grid<Team>(cut), dim3(Team::kBlock), 0, stream}, plane_moments<T, Team>, x, cut,
             partial.data());
    });
  const Statistics<T> statistics{static_cast<C*>(p.mean),
                                 static_cast<C*>(p.rstd),
                                 static_cast<T*>(p.running_mean),
                                 static_cast<T*>(p.running_var),
                                 p.momentum,
                                 p.eps};
  launch({channel_grid(p.c), tile_block(), 0, stream}, channel_statistics<T>, partial.data(), count,
         p.c, statistics);
  if (empty) return;
  const Normalise<T> f{static_cast<const C*>(p.mean), static_cast<const C*>(p.rstd),
                       static_cast<const T*>(p.weight), static_cast<const T*>(p.bias), p.c};
  write_results<T>(f, p.x, nullptr, p.y, p.n, p.c, p.inner);
}

// ---------------------------------------------------------------- gradient

// dx = a dy + b (x - mean) + c, with one a, b, c a channel:
//   a = weight rstd,  b = -a rstd^2 mean(dy (x - mean)),  c = -a mean(dy); in evaluation b = c = 0.
template <class C>
struct ChannelGradient {
  C a, mean, b, c;
  bool training;
  GS_DEVICE C operator()(C dy, C x) const {
    return training ? dy * a + ((x - mean) * b + c) : dy * a;
  }
};
template <class T>
struct ChannelGradients {
  using C = compute_t<T>;
  const C* mean;
  const C* rstd;
  const T* weight;         // may be null
  const SumPair<C>* sums;  // of dy, and of dy (x - mean); null in evaluation
  int64_t channels;
  C count;
  GS_DEVICE ChannelGradient<C> of_plane(int64_t plane) const {
    const int64_t k = plane % channels;
    const C r = rstd[k], a = weight ? r * widen(weight[k]) : r;
    if (!sums) return {a, C(0), C(0), C(0), false};
    return {a, mean[k], -a * r * r * (sums[k].second / count), -a * (sums[k].first / count), true};
  }
};

template <class T>
struct CentredTerms {
  using C = compute_t<T>;
  const T* dy;
  const T* x;
  const C* mean;
  int64_t columns;
  GS_DEVICE SumPair<C> operator()(int64_t row, int64_t column) const {
    const int64_t at = row * columns + column;
    const C d = widen(dy[at]);
    return {d, d * (widen(x[at]) - mean[column])};
  }
};

template <class T>
struct ChannelSums {
  using C = compute_t<T>;
  const C* rstd;
  SumPair<C>* sums;
  T* dweight;  // may be null
  T* dbias;    // may be null
};
template <class T>
__global__ void __launch_bounds__(kTileColumns* kTileDepth)
    join_channels(const SumPair<compute_t<T>>* partial, int64_t count, int64_t channels,
                  const ChannelSums<T> to) {
  using C = compute_t<T>;
  const int64_t channel = int64_t(blockIdx.x) * kTileColumns + threadIdx.x;
  auto all = SumPair<C>::none();
  if (channel < channels)
    for (int64_t k = threadIdx.y; k < count; k += kTileDepth)
      all.join(partial[k * channels + channel]);
  all = tile_join<kTileDepth>(all);
  if (threadIdx.y != 0 || channel >= channels) return;
  to.sums[channel] = all;
  if (to.dweight) to.dweight[channel] = T(all.second * to.rstd[channel]);
  if (to.dbias) to.dbias[channel] = T(all.first);
}

template <class T>
void channel_sums(const BatchNormGrad& p, const ChannelSums<T>& to) {
  using C = compute_t<T>;
  const T *dy = static_cast<const T*>(p.dy), *x = static_cast<const T*>(p.x);
  const C* mean = static_cast<const C*>(p.mean);
  const cudaStream_t stream = current_stream();
  const ColumnChunks chunks(p.n, p.c);
  const bool empty = p.n * p.inner == 0;
  const int64_t count = empty          ? 0
                        : p.inner == 1 ? chunks.chunks
                                       : p.n * parts_of_planes<T>(dy, p.inner);
  const Scratch<SumPair<C>> partial(count * p.c);
  if (!empty && p.inner == 1)
    launch({chunks.grid(), tile_block(), 0, stream}, column_pairs<CentredTerms<T>, C>,
           CentredTerms<T>{dy, x, mean, p.c}, p.n, p.c, chunks.length, partial.data());
  else if (!empty)
    sum_planes(PlaneSums<T>{dy, x, mean, 1, p.c}, p.n * p.c, p.inner, partial.data());
  launch({channel_grid(p.c), tile_block(), 0, stream}, join_channels<T>, partial.data(), count, p.c,
         to);
}

template <class T>
void batch_norm_grad_as(const BatchNormGrad& p) {
  using C = compute_t<T>;
  const C* rstd = static_cast<const C*>(p.rstd);
  const bool by_batch = p.dx && p.training;
  const Scratch<SumPair<C>> sums(p.c);
  if (p.dweight || p.dbias || by_batch)
    channel_sums(
        p, ChannelSums<T>{rstd, sums.data(), static_cast<T*>(p.dweight), static_cast<T*>(p.dbias)});
  if (!p.dx || p.n * p.inner == 0) return;
  const ChannelGradients<T> f{
      static_cast<const C*>(p.mean),      rstd, static_cast<const T*>(p.weight),
      p.training ? sums.data() : nullptr, p.c,  static_cast<C>(p.n * p.inner)};
  write_results<T>(f, p.dy, p.training ? p.x : nullptr, p.dx, p.n, p.c, p.inner);
}

}  // namespace

void batch_norm(const BatchNorm& p) {
  if (p.c == 0) return;
  visit_floating(p.dtype, [&](auto tag) { batch_norm_as<typename decltype(tag)::type>(p); });
}

void batch_norm_grad(const BatchNormGrad& p) {
  if (p.c == 0) return;
  visit_floating(p.dtype, [&](auto tag) { batch_norm_grad_as<typename decltype(tag)::type>(p); });
}

}  // namespace gs::cuda
