// Adaptive pooling: window i of P covers [floor(i H / P), ceil((i + 1) H / P)), and the same in the
// width. Small windows go to a thread each, larger ones to a warp, whole large planes to a block.
#include <limits>

#include "divisor.cuh"
#include "kernels/kernels.h"
#include "kernels/params/pool.h"
#include "pool_value.cuh"
#include "reduce.cuh"
#include "runtime/stream.h"

namespace gs::cuda {
namespace {

constexpr int kThreads = 256;

struct AdaptivePlanes {
  AdaptiveAxis rows = {}, columns = {};
  PlaneGrid grid = {};  // of what is written
};

struct Window {
  int32_t top, bottom, left, right;
  GS_DEVICE Window(const AdaptivePlanes& s, int32_t row, int32_t column)
      : top(s.rows.begin(row)),
        bottom(s.rows.end(row)),
        left(s.columns.begin(column)),
        right(s.columns.end(column)) {}
  GS_DEVICE int32_t width() const { return right - left; }
  GS_DEVICE int64_t area() const { return int64_t(bottom - top) * width(); }
};

// The larger, and of equals the one that comes first: the order in which lanes meet is not that of
// their places. A place below 0 holds no value.
template <class C>
struct LargerFirst {
  GS_DEVICE Placed<C> operator()(Placed<C> a, Placed<C> b) const {
    if (a.place < 0 || b.place < 0) return a.place < 0 ? b : a;
    return a.place < b.place ? larger(a, b) : larger(b, a);
  }
};

// kLanes threads reduce a window; each result is in the first of them.
template <int kLanes, class C>
GS_DEVICE C sum_of_lanes(C sum) {
  GS_UNROLL for (int lanes = kLanes / 2; lanes > 0; lanes /= 2) sum +=
      __shfl_xor_sync(kFullWarp, sum, lanes);
  return sum;
}
template <int kLanes, class C>
GS_DEVICE Placed<C> largest_of_lanes(Placed<C> best) {
  GS_UNROLL for (int lanes = kLanes / 2; lanes > 0; lanes /= 2) {
    const Placed<C> other{__shfl_xor_sync(kFullWarp, best.value, lanes),
                          __shfl_xor_sync(kFullWarp, best.place, lanes)};
    best = LargerFirst<C>{}(best, other);
  }
  return best;
}

// Every lane of a warp takes part in the reductions, whether it has a window or not.
template <class T, int kLanes>
__global__ void __launch_bounds__(kThreads)
    average_kernel(const __grid_constant__ AdaptivePlanes s, const T* x, T* y) {
  using C = compute_t<T>;
  const int64_t i = (int64_t(blockIdx.x) * kThreads + threadIdx.x) / kLanes;
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const bool live = i < s.grid.count();
  const PlanePoint at = s.grid[live ? i : 0];
  const Window window(s, at.row, at.column);
  const int64_t width = s.columns.size;
  const T* plane = x + at.plane * s.rows.size * width;
  C sum = 0;
  if (live && window.width() == width) {  // whole rows lie side by side
    const T* rows = plane + window.top * width;
    for (int64_t k = lane; k < window.area(); k += kLanes) sum += widen(rows[k]);
  } else if (live) {
    for (int32_t row = window.top; row < window.bottom; ++row)
      for (int32_t column = window.left + lane; column < window.right; column += kLanes)
        sum += widen(plane[row * width + column]);
  }
  sum = sum_of_lanes<kLanes>(sum);
  if (live && lane == 0) y[i] = T(sum / static_cast<C>(window.area()));
}

template <class T, int kLanes>
__global__ void __launch_bounds__(kThreads)
    max_kernel(const __grid_constant__ AdaptivePlanes s, const T* x, T* y, int32_t* indices) {
  using C = compute_t<T>;
  const int64_t i = (int64_t(blockIdx.x) * kThreads + threadIdx.x) / kLanes;
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const bool live = i < s.grid.count();
  const PlanePoint at = s.grid[live ? i : 0];
  const Window window(s, at.row, at.column);
  const int64_t width = s.columns.size;
  const T* plane = x + at.plane * s.rows.size * width;
  Placed<C> best{0, -1};
  if (live) {
    for (int32_t row = window.top; row < window.bottom; ++row)
      for (int32_t column = window.left + lane; column < window.right; column += kLanes) {
        const int64_t place = row * width + column;
        const Placed<C> next{widen(plane[place]), static_cast<int32_t>(place)};
        best = best.place < 0 ? next : larger(best, next);
      }
  }
  best = largest_of_lanes<kLanes>(best);
  if (!live || lane != 0) return;
  y[i] = T(best.value);
  indices[i] = best.place;
}

// The mean of a whole plane by a block. Four sums a thread: loads in flight, and short chains of
// additions.
template <class T>
__global__ void __launch_bounds__(kThreads) plane_mean_kernel(const T* x, T* y, int64_t n) {
  using C = compute_t<T>;
  const T* plane = x + int64_t(blockIdx.x) * n;
  C sums[4] = {};
  int64_t i = threadIdx.x;
  for (; i + 3 * kThreads < n; i += 4 * kThreads)
    GS_UNROLL for (int u = 0; u < 4; ++u) sums[u] += widen(plane[i + u * kThreads]);
  for (; i < n; i += kThreads) sums[0] += widen(plane[i]);
  const C sum = block_reduce<kThreads>((sums[0] + sums[1]) + (sums[2] + sums[3]), Plus{}, C(0));
  if (threadIdx.x == 0) y[blockIdx.x] = T(sum / static_cast<C>(n));
}

// A thread gathers from the windows that cover its element.
template <class T>
__global__ void __launch_bounds__(kThreads)
    average_grad_kernel(const __grid_constant__ AdaptivePlanes s, const T* dy, T* dx) {
  using C = compute_t<T>;
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= s.grid.count()) return;
  const PlanePoint at = s.grid[i];
  const T* plane = dy + at.plane * s.rows.count * s.columns.count;
  const int32_t bottom = s.rows.high(at.row), right = s.columns.high(at.column);
  const int32_t left = s.columns.low(at.column);
  C sum = 0;
  for (int32_t p = s.rows.low(at.row); p < bottom; ++p)
    for (int32_t q = left; q < right; ++q)
      sum += widen(plane[p * s.columns.count + q]) / static_cast<C>(Window(s, p, q).area());
  dx[i] = T(sum);
}

// ---------------------------------------------------------------- on the host

Config config_of(int64_t threads) {
  const int64_t blocks = ceil_div(threads, kThreads);
  GS_CHECK(blocks <= INT32_MAX, NotImplemented, "adaptive_pool2d",
           "the input is too large for one launch.");
  return {dim3(static_cast<unsigned>(blocks)), dim3(kThreads), 0, current_stream()};
}

template <class T, int kLanes>
void pool(const AdaptivePool2d& params, const AdaptivePlanes& s) {
  const Config config = config_of(s.grid.count() * kLanes);
  const T* x = static_cast<const T*>(params.x);
  T* y = static_cast<T*>(params.y);
  if (params.indices) return launch(config, max_kernel<T, kLanes>, s, x, y, params.indices);
  launch(config, average_kernel<T, kLanes>, s, x, y);
}

}  // namespace

void adaptive_pool2d(const AdaptivePool2d& params) {
  const AdaptivePlanes s{AdaptiveAxis(params.h, params.p), AdaptiveAxis(params.w, params.q),
                         PlaneGrid(params.planes, params.p, params.q)};
  if (s.grid.count() == 0) return;
  check_sides("adaptive_pool2d", {params.h, params.w, params.p, params.q});
  constexpr int64_t kLargePlane = 2048;  // elements, a block's work
  const int64_t area = ceil_div(params.h, params.p) * ceil_div(params.w, params.q);
  const bool whole = params.p == 1 && params.q == 1;
  visit_floating(params.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (whole && !params.indices && area >= kLargePlane && params.planes <= INT32_MAX) {
      launch({dim3(static_cast<unsigned>(params.planes)), dim3(kThreads), 0, current_stream()},
             plane_mean_kernel<T>, static_cast<const T*>(params.x), static_cast<T*>(params.y),
             params.h * params.w);
    } else if (area >= 32) {
      pool<T, 32>(params, s);
    } else {
      pool<T, 1>(params, s);
    }
  });
}

void adaptive_avg_pool2d_grad(const AdaptiveAvgPool2dGrad& params) {
  const AdaptivePlanes s{AdaptiveAxis(params.h, params.p), AdaptiveAxis(params.w, params.q),
                         PlaneGrid(params.planes, params.h, params.w)};
  if (s.grid.count() == 0) return;
  check_sides("adaptive_avg_pool2d_grad", {params.h, params.w, params.p, params.q});
  visit_floating(params.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch(config_of(s.grid.count()), average_grad_kernel<T>, s, static_cast<const T*>(params.dy),
           static_cast<T*>(params.dx));
  });
}

}  // namespace gs::cuda
