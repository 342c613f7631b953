// Convolution sums of groups with few outputs, depthwise ones above all: a tile of a matrix product
// would be mostly empty. A thread makes a few results of one column; what it reads is read by its
// neighbours too, from the cache.
#include "conv_taps.cuh"
#include "divisor.cuh"
#include "runtime/stream.h"

namespace gs::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kStrip = 4;  // results of a thread, one below the other

// What the results of one plane read.
template <class T>
struct PlaneSources {
  const T* source;  // the group's first channel
  const T* weight;  // of that channel and this output
  int64_t output;   // among all groups

  GS_DEVICE PlaneSources(const ConvSums& p, const PlaneGrid& planes, int64_t plane) {
    const PlanePoint at = planes[plane];  // an image, a group, an output of it
    output = at.row * p.outputs + at.column;
    source = static_cast<const T*>(p.source) +
             (at.plane * p.groups + at.row) * p.channels * p.source_plane();
    weight = static_cast<const T*>(p.weight) + at.row * p.outputs * p.channels * p.window() +
             at.column * p.weight_output;
  }
};

// Windows of kWindow x kWindow without dilation. The gradient of stride 1 is the forward sum with
// the window turned round. Each row of the source is read once for all results of the strip. The
// weights are held in registers: of 7 x 7 doubles one block then fills a multiprocessor.
template <class T, int kWindow, int kStride>
__global__ void __launch_bounds__(kThreads, kWindow * sizeof(compute_t<T>) > 40 ? 1 : 2)
    square_kernel(const __grid_constant__ ConvSums p, const __grid_constant__ PlaneGrid grid,
                  const __grid_constant__ PlaneGrid planes) {
  using C = compute_t<T>;
  constexpr int kTaps = kWindow * kWindow, kRows = (kStrip - 1) * kStride + kWindow;
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= grid.count()) return;
  const PlanePoint at = grid[i];
  const PlaneSources<T> from(p, planes, at.plane);
  const bool turned = p.vertical.gradient;
  const int32_t row0 = at.row * kStrip;
  const int32_t top = row0 * kStride + (turned ? p.vertical.pad - (kWindow - 1) : -p.vertical.pad);
  const int32_t left =
      at.column * kStride + (turned ? p.horizontal.pad - (kWindow - 1) : -p.horizontal.pad);

  C sums[kStrip] = {};
  for (int64_t channel = 0; channel < p.channels; ++channel) {
    const T* source = from.source + channel * p.source_plane();
    const T* weight = from.weight + channel * p.weight_channel;
    C w[kTaps];
    GS_UNROLL for (int t = 0; t < kTaps; ++t) w[t] = widen(weight[turned ? kTaps - 1 - t : t]);
    GS_UNROLL for (int r = 0; r < kRows; ++r) {
      const int32_t row = top + r;
      if (static_cast<uint32_t>(row) >= static_cast<uint32_t>(p.vertical.source)) continue;
      const T* line = source + int64_t(row) * p.horizontal.source;
      GS_UNROLL for (int s = 0; s < kWindow; ++s) {
        const int32_t column = left + s;
        const bool inside =
            static_cast<uint32_t>(column) < static_cast<uint32_t>(p.horizontal.source);
        const C value = inside ? widen(line[column]) : C(0);
        GS_UNROLL for (int t = 0; t < kStrip; ++t) {
          const int tap = r - t * kStride;
          if (tap >= 0 && tap < kWindow) sums[t] += value * w[tap * kWindow + s];
        }
      }
    }
  }
  T* to = static_cast<T*>(p.result) + at.plane * p.result_plane() + at.column;
  GS_UNROLL for (int t = 0; t < kStrip; ++t) if (row0 + t < p.vertical.result)
      to[int64_t(row0 + t) * p.horizontal.result] = T(finish_sum<T>(p, sums[t], from.output));
}

// Any window, one result a thread.
template <class T>
__global__ void __launch_bounds__(kThreads, 2)
    window_kernel(const __grid_constant__ ConvSums p, const __grid_constant__ PlaneGrid grid,
                  const __grid_constant__ PlaneGrid planes) {
  using C = compute_t<T>;
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= grid.count()) return;
  const PlanePoint at = grid[i];
  const PlaneSources<T> from(p, planes, at.plane);
  const TapLine down = taps_at(p.vertical, at.row);
  const TapLine across = taps_at(p.horizontal, at.column);

  C sum = 0;
  for (int64_t channel = 0; channel < p.channels; ++channel) {
    const T* source = from.source + channel * p.source_plane();
    const T* weight = from.weight + channel * p.weight_channel + across.first;
    for (int32_t r = 0; r < down.count; ++r) {
      const int32_t row = down.source + r * p.vertical.source_step;
      if (static_cast<uint32_t>(row) >= static_cast<uint32_t>(p.vertical.source)) continue;
      const T* line = source + int64_t(row) * p.horizontal.source;
      const T* w = weight + int64_t(down.first + r * p.vertical.tap_step) * p.horizontal.window;
      for (int32_t s = 0; s < across.count; ++s) {
        const int32_t column = across.source + s * p.horizontal.source_step;
        if (static_cast<uint32_t>(column) < static_cast<uint32_t>(p.horizontal.source))
          sum += widen(line[column]) * widen(w[int64_t(s) * p.horizontal.tap_step]);
      }
    }
  }
  static_cast<T*>(p.result)[i] = T(finish_sum<T>(p, sum, from.output));
}

// The side of a window that has a kernel of its own, or 0.
int square_window(const ConvSums& p) {
  const ConvAxis &v = p.vertical, &h = p.horizontal;
  const int32_t stride = v.stride, window = v.window;
  const bool square =
      h.window == window && h.stride == stride && v.dilation == 1 && h.dilation == 1;
  if (!square || (v.gradient ? stride != 1 : stride > 2)) return 0;
  if (window == 3 || window == 5) return window;
  return window == 7 && stride == 1 ? window : 0;
}

template <class T>
void run(const ConvSums& p, void (*kernel)(ConvSums, PlaneGrid, PlaneGrid), int strip) {
  const PlaneGrid planes(p.images, p.groups, p.outputs);
  const PlaneGrid grid(planes.count(), ceil_div(p.vertical.result, strip), p.horizontal.result);
  launch({conv_grid(ceil_div(grid.count(), kThreads)), dim3(kThreads), 0, current_stream()}, kernel,
         p, grid, planes);
}

template <class T>
void run_window(const ConvSums& p) {
  const int window = square_window(p);
  const bool single = p.vertical.stride == 1;
  if (window == 3 && single) return run<T>(p, square_kernel<T, 3, 1>, kStrip);
  if (window == 3) return run<T>(p, square_kernel<T, 3, 2>, kStrip);
  if (window == 5 && single) return run<T>(p, square_kernel<T, 5, 1>, kStrip);
  if (window == 5) return run<T>(p, square_kernel<T, 5, 2>, kStrip);
  if (window == 7) return run<T>(p, square_kernel<T, 7, 1>, kStrip);
  run<T>(p, window_kernel<T>, 1);
}

}  // namespace

// A source value is read once for each output of its group: with more of them, or without the reuse
// within a strip, tiles win though they are not full.
bool fits_conv_depthwise(const ConvSums& p) {
  if (p.channels == 1 && p.outputs <= 8) return true;
  return p.outputs <= (square_window(p) ? (p.groups > 1 ? 8 : 4) : 2);
}

void conv_depthwise(DType dtype, const ConvSums& p) {
  visit_floating(dtype, [&](auto tag) { run_window<typename decltype(tag)::type>(p); });
}

}  // namespace gs::cuda
