// Max and average pooling over planes (H, W) -> (P, Q), and their gradients: one thread an element
// of what is written. A gradient gathers from the windows that cover its element, in order, so that
// nothing is added up by several threads at once.
#include <limits>

#include "divisor.cuh"
#include "kernels/kernels.h"
#include "kernels/params/pool.h"
#include "pool_value.cuh"
#include "runtime/stream.h"

namespace gs::cuda {
namespace {

constexpr int kThreads = 256;

// One axis of the windows: output i covers start(i) + t * dilation, 0 <= t < kernel.
struct PoolAxis {
  int32_t size = 0, outputs = 0, kernel = 0, stride = 1, pad = 0, dilation = 1;
  Divisor by_stride = {}, by_dilation = {};

  GS_DEVICE int32_t start(int32_t i) const { return i * stride - pad; }
  // Taps of window i before place `end`.
  GS_DEVICE int32_t taps_before(int32_t i, int32_t end) const {
    const int32_t distance = end - start(i);
    if (distance <= 0) return 0;
    const int32_t taps = static_cast<int32_t>(by_dilation.divide(distance - 1)) + 1;
    return taps < kernel ? taps : kernel;
  }
  // The taps [first, last) of window i lie in the plane.
  GS_DEVICE int32_t first(int32_t i) const { return taps_before(i, 0); }
  GS_DEVICE int32_t last(int32_t i) const { return taps_before(i, size); }
  // The taps that an average counts: without padding, or also those in the padding behind the end.
  GS_DEVICE int32_t counted(int32_t i, bool with_pad) const {
    const int32_t n = with_pad ? taps_before(i, size + pad) : last(i) - first(i);
    return n ? n : 1;
  }
  // The windows [low, high) may cover place `at`: those whose span does.
  GS_DEVICE int32_t low(int32_t at) const {
    const int32_t behind = at + pad - dilation * (kernel - 1);
    return behind <= 0 ? 0 : static_cast<int32_t>(by_stride.divide(behind - 1)) + 1;
  }
  GS_DEVICE int32_t high(int32_t at) const {
    const int32_t most = static_cast<int32_t>(by_stride.divide(at + pad)) + 1;
    return most < outputs ? most : outputs;
  }
  GS_DEVICE bool covers(int32_t i, int32_t at) const {
    const uint32_t distance = static_cast<uint32_t>(at - start(i));
    return dilation == 1 ||
           by_dilation.divide(distance) * static_cast<uint32_t>(dilation) == distance;
  }
};

struct PoolPlanes {
  PoolAxis rows = {}, columns = {};
  PlaneGrid grid = {};  // of what is written
};

PoolAxis axis_of(int64_t size, int64_t outputs, int64_t kernel, int64_t stride, int64_t pad,
                 int64_t dilation) {
  check_sides("pool2d", {size, outputs, size + 2 * pad + dilation * (kernel - 1)});
  PoolAxis a;
  a.size = static_cast<int32_t>(size), a.outputs = static_cast<int32_t>(outputs);
  a.kernel = static_cast<int32_t>(kernel), a.stride = static_cast<int32_t>(stride);
  a.pad = static_cast<int32_t>(pad), a.dilation = static_cast<int32_t>(dilation);
  a.by_stride = Divisor(static_cast<uint32_t>(stride));
  a.by_dilation = Divisor(static_cast<uint32_t>(dilation));
  return a;
}

PoolPlanes planes_of(const PoolShape& s, bool gradient) {
  PoolPlanes p;
  p.rows = axis_of(s.h, s.p, s.kernel_h, s.stride_h, s.pad_h, s.dilation_h);
  p.columns = axis_of(s.w, s.q, s.kernel_w, s.stride_w, s.pad_w, s.dilation_w);
  p.grid = gradient ? PlaneGrid(s.planes, s.h, s.w) : PlaneGrid(s.planes, s.p, s.q);
  return p;
}

// The windows [low, high) that may have met a place.
struct Covering {
  int32_t low, high;
};
GS_DEVICE Covering covering(const PoolAxis& a, int32_t at) { return {a.low(at), a.high(at)}; }
GS_DEVICE Covering covering(const AdaptiveAxis& a, int32_t at) { return {a.low(at), a.high(at)}; }

// A thread for each element, going round again past 2^30 of them.
GS_DEVICE int64_t first_element() { return int64_t(blockIdx.x) * kThreads + threadIdx.x; }
GS_DEVICE int64_t element_step() { return int64_t(gridDim.x) * kThreads; }

Config config_of(const PoolPlanes& p) {
  const int64_t blocks = ceil_div(p.grid.count(), kThreads), most = 1 << 22;
  const dim3 grid(static_cast<unsigned>(blocks < most ? blocks : most));
  return {grid, dim3(kThreads), 0, current_stream()};
}

// ---------------------------------------------------------------- maximum

template <class T>
__global__ void __launch_bounds__(kThreads)
    max_kernel(const __grid_constant__ PoolPlanes p, const T* x, T* y, int32_t* indices) {
  using C = compute_t<T>;
  const PoolAxis &rows = p.rows, &columns = p.columns;
  for (int64_t i = first_element(); i < p.grid.count(); i += element_step()) {
    const PlanePoint at = p.grid[i];
    const T* plane = x + at.plane * rows.size * columns.size;
    const int32_t top = rows.start(at.row), left = columns.start(at.column);
    const int32_t first_row = rows.first(at.row), last_row = rows.last(at.row);
    const int32_t first_column = columns.first(at.column), last_column = columns.last(at.column);
    // The first place of the window counts even when all values are -infinity.
    Placed<C> best{-std::numeric_limits<C>::infinity(), -1};
    if (first_row < last_row && first_column < last_column)
      best.place =
          (top + first_row * rows.dilation) * columns.size + left + first_column * columns.dilation;
    for (int32_t r = first_row; r < last_row; ++r) {
      const int32_t line = (top + r * rows.dilation) * columns.size + left;
      for (int32_t t = first_column; t < last_column; ++t) {
        const int32_t place = line + t * columns.dilation;
        best = larger(best, {widen(plane[place]), place});
      }
    }
    y[i] = T(best.value);
    if (indices) indices[i] = best.place;
  }
}

// Windows of 2 x 2 side by side, in a plane whose rows can be read two elements at a time.
template <class T>
__global__ void __launch_bounds__(kThreads)
    max_2x2_kernel(const __grid_constant__ PoolPlanes p, const T* x, T* y, int32_t* indices) {
  using C = compute_t<T>;
  const int32_t width = p.columns.size;
  for (int64_t i = first_element(); i < p.grid.count(); i += element_step()) {
    const PlanePoint at = p.grid[i];
    const int32_t place = 2 * at.row * width + 2 * at.column;
    const T* window = x + at.plane * p.rows.size * int64_t(width) + place;
    const Pack<T, 2> above = load_pack<T, 2>(window), below = load_pack<T, 2>(window + width);
    const int32_t under = place + width;
    Placed<C> best{widen(above.v[0]), place};
    best = larger(best, {widen(above.v[1]), place + 1});
    best = larger(best, {widen(below.v[0]), under});
    best = larger(best, {widen(below.v[1]), under + 1});
    y[i] = T(best.value);
    if (indices) indices[i] = best.place;
  }
}

// dx at a place is the sum of dy over the windows that chose it.
template <class T, class Axis>
__global__ void __launch_bounds__(kThreads, 4)
    max_grad_kernel(const __grid_constant__ PlaneGrid grid, const __grid_constant__ Axis rows,
                    const __grid_constant__ Axis columns, int64_t outputs, int32_t outputs_across,
                    const T* dy, const int32_t* indices, T* dx) {
  using C = compute_t<T>;
  for (int64_t i = first_element(); i < grid.count(); i += element_step()) {
    const PlanePoint at = grid[i];
    const int32_t place = at.row * grid.columns() + at.column;
    const Covering down = covering(rows, at.row), across = covering(columns, at.column);
    C sum = 0;
    for (int32_t p = down.low; p < down.high; ++p) {
      const int64_t line = at.plane * outputs + int64_t(p) * outputs_across;
      for (int32_t q = across.low; q < across.high; ++q)
        if (indices[line + q] == place) sum += widen(dy[line + q]);
    }
    dx[i] = T(sum);
  }
}

// ---------------------------------------------------------------- average

struct Averaging {
  int64_t divisor = 0, with_pad = 0;
};

template <class C>
GS_DEVICE C divisor_of(const PoolPlanes& p, const Averaging& a, int32_t row, int32_t column) {
  if (a.divisor) return static_cast<C>(a.divisor);
  return static_cast<C>(p.columns.counted(column, a.with_pad)) *
         static_cast<C>(p.rows.counted(row, a.with_pad));
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    average_kernel(const __grid_constant__ PoolPlanes p, const __grid_constant__ Averaging a,
                   const T* x, T* y) {
  using C = compute_t<T>;
  for (int64_t i = first_element(); i < p.grid.count(); i += element_step()) {
    const PlanePoint at = p.grid[i];
    const T* plane = x + at.plane * p.rows.size * p.columns.size;
    const int32_t top = p.rows.start(at.row), left = p.columns.start(at.column);
    const int32_t last_row = p.rows.last(at.row), last_column = p.columns.last(at.column);
    const int32_t first_column = p.columns.first(at.column);
    C sum = 0;
    for (int32_t r = p.rows.first(at.row); r < last_row; ++r) {
      const T* line = plane + int64_t(top + r * p.rows.dilation) * p.columns.size + left;
      for (int32_t t = first_column; t < last_column; ++t)
        sum += widen(line[t * p.columns.dilation]);
    }
    y[i] = T(sum / divisor_of<C>(p, a, at.row, at.column));
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    average_grad_kernel(const __grid_constant__ PoolPlanes p, const __grid_constant__ Averaging a,
                        const T* dy, T* dx) {
  using C = compute_t<T>;
  for (int64_t i = first_element(); i < p.grid.count(); i += element_step()) {
    const PlanePoint at = p.grid[i];
    const T* plane = dy + at.plane * p.rows.outputs * p.columns.outputs;
    const Covering down = covering(p.rows, at.row), across = covering(p.columns, at.column);
    C sum = 0;
    for (int32_t row = down.low; row < down.high; ++row) {
      if (!p.rows.covers(row, at.row)) continue;
      for (int32_t column = across.low; column < across.high; ++column)
        if (p.columns.covers(column, at.column))
          sum += widen(plane[int64_t(row) * p.columns.outputs + column]) /
                 divisor_of<C>(p, a, row, column);
    }
    dx[i] = T(sum);
  }
}

// ---------------------------------------------------------------- on the host

bool is_2x2(const PoolShape& s, const void* x) {
  return s.kernel_h == 2 && s.kernel_w == 2 && s.stride_h == 2 && s.stride_w == 2 && s.pad_h == 0 &&
         s.pad_w == 0 && s.dilation_h == 1 && s.dilation_w == 1 && 2 * s.p <= s.h &&
         2 * s.q <= s.w && s.w % 2 == 0 && is_aligned(x, 2 * size_of(s.dtype));
}

// The gradient of adaptive pooling comes with one window over the whole plane in steps of one,
// which as a real window has a single output.
bool is_adaptive(const PoolShape& s) {
  return s.kernel_h == s.h && s.kernel_w == s.w && s.stride_h == 1 && s.stride_w == 1 &&
         s.pad_h == 0 && s.pad_w == 0;
}

}  // namespace

void max_pool2d(const MaxPool2d& params) {
  const PoolPlanes p = planes_of(params.shape, false);
  if (p.grid.count() == 0) return;
  visit_floating(params.shape.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto kernel = is_2x2(params.shape, params.x) ? max_2x2_kernel<T> : max_kernel<T>;
    launch(config_of(p), kernel, p, static_cast<const T*>(params.x), static_cast<T*>(params.y),
           params.indices);
  });
}

void max_pool2d_grad(const MaxPool2dGrad& params) {
  const PoolPlanes p = planes_of(params.shape, true);
  if (p.grid.count() == 0) return;
  visit_floating(params.shape.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const PoolShape& s = params.shape;
    const auto run = [&](auto rows, auto columns) {
      launch(config_of(p), max_grad_kernel<T, decltype(rows)>, p.grid, rows, columns, s.p * s.q,
             s.q, static_cast<const T*>(params.dy), params.indices, static_cast<T*>(params.dx));
    };
    if (is_adaptive(s)) return run(AdaptiveAxis(s.h, s.p), AdaptiveAxis(s.w, s.q));
    run(p.rows, p.columns);
  });
}

void avg_pool2d(const AvgPool2d& params) {
  const PoolPlanes p = planes_of(params.shape, false);
  if (p.grid.count() == 0) return;
  const Averaging a{params.divisor, params.count_include_pad};
  visit_floating(params.shape.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch(config_of(p), average_kernel<T>, p, a, static_cast<const T*>(params.x),
           static_cast<T*>(params.y));
  });
}

void avg_pool2d_grad(const AvgPool2dGrad& params) {
  const PoolPlanes p = planes_of(params.shape, true);
  if (p.grid.count() == 0) return;
  const Averaging a{params.divisor, params.count_include_pad};
  visit_floating(params.shape.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch(config_of(p), average_grad_kernel<T>, p, a, static_cast<const T*>(params.dy),
           static_cast<T*>(params.dx));
  });
}

}  // namespace gs::cuda
