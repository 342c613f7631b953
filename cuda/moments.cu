// Mean and sum of squared deviations along the middle of (outer, n, inner), in one pass. Each
// thread sums deviations from its first element (no cancellation: that lies among the values), and
// threads are joined by Chan's formula in a fixed order, in double.
#include <limits>

#include "kernels/kernels.h"
#include "kernels/params/reduce.h"
#include "middle.cuh"

namespace gs::cuda {
namespace {

struct Moment {
  double mean, m2, count;
};

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

// The call, as a kernel takes it: no gaps.
template <class T>
struct MomentsJob {
  using Element = T;
  using Part = Moment;

  const void* in;
  void* mean;
  void* m2;
  int64_t outer, n, inner;

  static GS_DEVICE Moment none() { return {0, 0, 0}; }
  GS_DEVICE Moment part_of(const T* first, int64_t from, int64_t to, int step) const {
    return moment_of(first, inner, from, to, step);
  }
  static GS_DEVICE Moment join(const Moment& a, const Moment& b) {
    if (b.count == 0) return a;
    if (a.count == 0) return b;
    const double total = a.count + b.count, part = b.count / total, delta = b.mean - a.mean;
    return {a.mean + delta * part, a.m2 + b.m2 + delta * delta * part * a.count, total};
  }
  GS_DEVICE void store(int64_t at, const Moment& m) const {
    static_cast<T*>(mean)[at] = T(static_cast<compute_t<T>>(m.mean));
    static_cast<T*>(m2)[at] = T(static_cast<compute_t<T>>(m.m2));
  }
  GS_DEVICE void store(int64_t o, int64_t j, const Moment& m) const { store(o * inner + j, m); }
};

template <class T>
__global__ void __launch_bounds__(kTileThreads)
    no_moments_kernel(const MomentsJob<T> job, int64_t results) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const int64_t step = int64_t(gridDim.x) * kTileThreads;
  for (int64_t at = int64_t(blockIdx.x) * kTileThreads + threadIdx.x; at < results; at += step)
    job.store(at, {nan, nan, 0});
}

template <class T>
void run(const Moments& p) {
  const MomentsJob<T> job{p.in, p.mean, p.m2, p.outer, p.n, p.inner};
  if (p.n > 0) return join_middle(job);
  const int64_t results = p.outer * p.inner;
  launch({dim3(static_cast<unsigned>(ceil_div(results, kTileThreads))), dim3(kTileThreads), 0,
          current_stream()},
         no_moments_kernel<T>, job, results);
}

}  // namespace

void moments(const Moments& p) {
  if (p.outer * p.inner == 0) return;
  visit_floating(p.dtype, [&](auto tag) { run<typename decltype(tag)::type>(p); });
}

}  // namespace gs::cuda
