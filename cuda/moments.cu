// Mean and sum of squared deviations along the middle of (outer, n, inner), in one pass. Each
// thread sums deviations from its first element (no cancellation: that lies among the values), and
// threads are joined by Chan's formula in a fixed order, in double.
#include <limits>

#include "kernels/kernels.h"
#include "kernels/params/reduce.h"
#include "runtime/scratch.h"
#include "runtime/stream.h"
#include "tile.cuh"

namespace gs::cuda {
namespace {

// The call, as a kernel takes it: no gaps.
struct Middle {
  const void* in;
  void* mean;
  void* m2;
  int64_t outer, n, inner;
};

struct Moment {
  double mean, m2, count;
};
struct JoinMoments {
  GS_DEVICE Moment operator()(const Moment& a, const Moment& b) const {
    if (b.count == 0) return a;
    if (a.count == 0) return b;
    const double total = a.count + b.count, part = b.count / total, delta = b.mean - a.mean;
    return {a.mean + delta * part, a.m2 + b.m2 + delta * delta * part * a.count, total};
  }
};

template <class T>
GS_DEVICE void store_moment(const Middle& p, int64_t at, const Moment& m) {
  static_cast<T*>(p.mean)[at] = T(static_cast<compute_t<T>>(m.mean));
  static_cast<T*>(p.m2)[at] = T(static_cast<compute_t<T>>(m.m2));
}

template <class T>
GS_DEVICE Moment moment_of(const T* in, int64_t stride, int64_t from, int64_t to, int step) {
  constexpr int kInFlight = 4;
  using C = compute_t<T>;
  if (from >= to) return {0, 0, 0};
  const C centre = widen(in[from * stride]);
  double sum = 0, squares = 0;
  int64_t i = from;
  for (; i + (kInFlight - 1) * step < to; i += kInFlight * step) {
    C d[kInFlight];
    GS_UNROLL for (int k = 0; k < kInFlight; ++k) d[k] =
        widen(in[(i + k * step) * stride]) - centre;
    sum += static_cast<double>((d[0] + d[1]) + (d[2] + d[3]));
    squares += static_cast<double>((d[0] * d[0] + d[1] * d[1]) + (d[2] * d[2] + d[3] * d[3]));
  }
  for (; i < to; i += step) {
    const double d = static_cast<double>(widen(in[i * stride]) - centre);
    sum += d;
    squares += d * d;
  }
  const double count = static_cast<double>((to - from + step - 1) / step);
  const double m2 = squares - sum * sum / count;
  return {static_cast<double>(centre) + sum / count, m2 > 0 || m2 != m2 ? m2 : 0, count};
}

// partial: (outer * inner, chunks), or null.
template <class T>
__global__ void __launch_bounds__(kTileThreads)
    moments_kernel(const Middle p, const MiddlePlan plan, Moment* partial) {
  const int thread = static_cast<int>(threadIdx.x);
  const unsigned chunks = static_cast<unsigned>(plan.chunks), place = blockIdx.x / chunks;
  const unsigned x_blocks = static_cast<unsigned>(plan.x_blocks);
  const int64_t chunk = blockIdx.x % chunks;
  const int64_t o = int64_t(place / x_blocks) * plan.tile.z() + plan.tile.z_of(thread);
  const int64_t j = int64_t(place % x_blocks) * plan.tile.x() + plan.tile.x_of(thread);
  const int y = plan.tile.y_of(thread);
  const bool active = o < p.outer && j < p.inner;
  Moment m[1] = {{0, 0, 0}};
  if (active) {
    const int64_t from = chunk * plan.length;
    const int64_t to = from + plan.length < p.n ? from + plan.length : p.n;
    m[0] = moment_of(static_cast<const T*>(p.in) + o * p.n * p.inner + j, p.inner, from + y, to,
                     plan.tile.y());
  }
  join_over_y(m, plan.tile, JoinMoments());
  if (!active || y != 0) return;
  if (partial)
    partial[(o * p.inner + j) * plan.chunks + chunk] = m[0];
  else
    store_moment<T>(p, o * p.inner + j, m[0]);
}

// A warp for each result.
template <class T>
__global__ void __launch_bounds__(kTileThreads)
    join_kernel(const Middle p, int64_t chunks, const Moment* partial) {
  Tile tile;
  tile.y_bits = 5;
  const int thread = static_cast<int>(threadIdx.x), y = tile.y_of(thread);
  const int64_t at = int64_t(blockIdx.x) * tile.z() + tile.z_of(thread);
  const bool active = at < p.outer * p.inner;
  Moment m[1] = {{0, 0, 0}};
  for (int64_t c = y; active && c < chunks; c += tile.y())
    m[0] = JoinMoments()(m[0], partial[at * chunks + c]);
  join_over_y(m, tile, JoinMoments());
  if (active && y == 0) store_moment<T>(p, at, m[0]);
}

template <class T>
__global__ void __launch_bounds__(kTileThreads) no_moments_kernel(const Middle p, int64_t results) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const int64_t step = int64_t(gridDim.x) * kTileThreads;
  for (int64_t at = int64_t(blockIdx.x) * kTileThreads + threadIdx.x; at < results; at += step)
    store_moment<T>(p, at, {nan, nan, 0});
}

template <class T>
void run(const Middle& p) {
  const int64_t results = p.outer * p.inner;
  const auto config = [](int64_t blocks) {
    return Config{dim3(static_cast<unsigned>(blocks)), dim3(kTileThreads), 0, current_stream()};
  };
  if (p.n == 0)
    return launch(config(ceil_div(results, kTileThreads)), no_moments_kernel<T>, p, results);
  const MiddlePlan plan = plan_middle(p.outer, p.n, p.inner);
  const Scratch<Moment> partial(plan.chunks > 1 ? results * plan.chunks : 0);
  launch(config(plan.blocks(p.outer)), moments_kernel<T>, p, plan,
         plan.chunks > 1 ? partial.data() : nullptr);
  if (plan.chunks > 1)
    launch(config(ceil_div(results, kTileThreads / 32)), join_kernel<T>, p, plan.chunks,
           partial.data());
}

}  // namespace

void moments(const Moments& p) {
  if (p.outer * p.inner == 0) return;
  const Middle m{p.in, p.mean, p.m2, p.outer, p.n, p.inner};
  visit_floating(p.dtype, [&](auto tag) { run<typename decltype(tag)::type>(m); });
}

}  // namespace gs::cuda
