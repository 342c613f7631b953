// The weight gradient of groups of few channels and outputs, depthwise ones above all: a block sums
// up to nine taps of one channel and one output over a share of the pixels.
#include "conv_taps.cuh"
#include "conv_weight_sums.cuh"
#include "divisor.cuh"
#include "kernels/params/conv.h"
#include "reduce.cuh"
#include "runtime/stream.h"

namespace gs::cuda {
namespace {

constexpr int kThreads = 256, kTaps = 9;

struct PairSums {
  ConvAxis vertical = {}, horizontal = {};
  int64_t groups = 0, channels = 0, outputs = 0;  // of one group
  PlaneGrid pixels = {};                          // of dy, all images
  int64_t share = 0, size = 0;                    // pixels of one share, and values of its sums
  int64_t tap_parts = 1;                          // of up to kTaps taps
};

template <class T>
__global__ void __launch_bounds__(kThreads)
    pair_kernel(const __grid_constant__ PairSums p, const T* x, const T* dy,
                compute_t<T>* sums_of_shares) {
  using C = compute_t<T>;
  const ConvAxis &v = p.vertical, &h = p.horizontal;
  const int64_t all_outputs = p.groups * p.outputs, all_channels = p.groups * p.channels;
  int64_t block = blockIdx.x;
  const int32_t first_tap = static_cast<int32_t>(block % p.tap_parts) * kTaps;
  block /= p.tap_parts;
  const int64_t channel = block % p.channels, output = block / p.channels % all_outputs;
  const int64_t share = block / p.channels / all_outputs;
  const int64_t source = output / p.outputs * p.channels + channel;  // a plane of x

  const int32_t taps = v.window * h.window;
  int32_t row_of[kTaps], column_of[kTaps];
  GS_UNROLL for (int t = 0; t < kTaps; ++t) {
    const int32_t tap = first_tap + t < taps ? first_tap + t : first_tap;
    row_of[t] = tap / h.window * v.dilation;
    column_of[t] = tap % h.window * h.dilation;
  }

  C sums[kTaps + 1] = {};  // the last one is the bias's
  const int64_t first = share * p.share;
  const int64_t end = first + p.share < p.pixels.count() ? first + p.share : p.pixels.count();
  for (int64_t i = first + threadIdx.x; i < end; i += kThreads) {
    const PlanePoint at = p.pixels[i];
    const int64_t line = (at.plane * all_outputs + output) * v.result + at.row;
    const C g = widen(dy[line * h.result + at.column]);
    const T* plane = x + (at.plane * all_channels + source) * v.source * h.source;
    const int32_t top = at.row * v.stride - v.pad;
    const int32_t left = at.column * h.stride - h.pad;
    GS_UNROLL for (int t = 0; t < kTaps; ++t) {
      const int32_t row = top + row_of[t], column = left + column_of[t];
      const bool inside = static_cast<uint32_t>(row) < static_cast<uint32_t>(v.source) &&
                          static_cast<uint32_t>(column) < static_cast<uint32_t>(h.source);
      const C value = inside ? widen(plane[int64_t(row) * h.source + column]) : C(0);
      sums[t] += g * value;
    }
    sums[kTaps] += g;
  }

  GS_SHARED(of_warp, C[kThreads / 32][kTaps + 1]);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  GS_UNROLL for (int t = 0; t <= kTaps; ++t) {
    const C sum = warp_reduce(sums[t], Plus{});
    if (lane == 0) of_warp[warp][t] = sum;
  }
  __syncthreads();
  const int t = static_cast<int>(threadIdx.x);
  if (t > kTaps) return;
  C sum = of_warp[0][t];
  GS_UNROLL for (int w = 1; w < kThreads / 32; ++w) sum += of_warp[w][t];
  C* to = sums_of_shares + share * p.size;
  if (t < kTaps && first_tap + t < taps)
    to[(output * p.channels + channel) * taps + first_tap + t] = sum;
  if (t == kTaps && first_tap == 0 && channel == 0)
    to[all_outputs * p.channels * taps + output] = sum;
}

template <class T>
void run(const Conv2dWeightGrad& p) {
  const ConvShape& s = p.shape;
  PairSums sums;
  sums.vertical = forward_axis(s.h, s.p, s.r, s.stride_h, s.pad_h, s.dilation_h);
  sums.horizontal = forward_axis(s.w, s.q, s.s, s.stride_w, s.pad_w, s.dilation_w);
  sums.groups = s.groups, sums.channels = s.c / s.groups, sums.outputs = s.o / s.groups;
  sums.pixels = PlaneGrid(s.n, s.p, s.q);
  sums.size = weight_count(s) + s.o;
  sums.tap_parts = ceil_div(s.r * s.s, kTaps);
  const int64_t blocks = s.o * sums.channels * sums.tap_parts;
  const PixelShares shares(s, ceil_div(4 * kEnoughBlocks, blocks), 4 * kThreads);
  sums.share = shares.pixels;
  const Scratch<compute_t<T>> memory(shares.count * sums.size);
  launch({conv_grid(blocks * shares.count), dim3(kThreads), 0, current_stream()}, pair_kernel<T>,
         sums, static_cast<const T*>(p.x), static_cast<const T*>(p.dy), memory.data());
  add_weight_shares(p, static_cast<const compute_t<T>*>(memory.data()), shares.count);
}

}  // namespace

// Each pair of a channel and an output reads its planes anew.
bool fits_conv_depthwise_grad(const ConvShape& s) {
  return (s.c / s.groups) * (s.o / s.groups) <= 16;
}

void conv_depthwise_grad(const Conv2dWeightGrad& p) {
  visit_floating(p.shape.dtype, [&](auto tag) { run<typename decltype(tag)::type>(p); });
}

}  // namespace gs::cuda
