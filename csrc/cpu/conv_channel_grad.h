// The weight gradient of depthwise convolution of small planes: lanes are channels, for x and for
// dy.
#pragma once

#include "core/parallel.h"
#include "cpu/channel_planes.h"
#include "cpu/conv_depthwise_grad.h"

namespace gs::cpu {
namespace {

template <class T>
class ChannelGrad {
 public:
  using C = compute_t<T>;

  // Tasks are blocks of channels: there must be some of them.
  static bool fits(const PatchSource& x, const Taps& taps, int64_t groups, int64_t outputs) {
    return outputs == 1 && groups >= 4 * n && has_small_planes<C>(x, taps, groups);
  }
  ChannelGrad(const PatchSource& x, const Taps& taps, const T* x_data, const T* dy_data,
              int64_t groups, T* dweight, T* dbias)
      : s_(x),
        dy_{1,        x.grid_h, x.grid_w, groups * x.grid_h * x.grid_w, x.images, x.grid_h,
            x.grid_w, 1,        1},
        taps_(taps),
        one_(1),
        x_data_(x_data),
        dy_data_(dy_data),
        groups_(groups),
        dweight_(dweight),
        dbias_(dbias),
        columns_(taps, x, true) {
    one_.add(0, 0);
  }

  void run() const {
    const int64_t work = s_.images * s_.grid_h * s_.grid_w * n * taps_.count();
    parallel_for(0, ceil_div(groups_, n), max_of(1, 250000 / max_of(work, 1)),
                 [&](int64_t begin, int64_t end) {
                   const ChannelPlanes<T> x(s_, taps_), dy(dy_, one_);
                   const Scratch<int64_t> offsets(columns_.count());
                   columns_.make_offsets(x, 1, offsets.get());
                   for (int64_t i = begin; i < end; ++i)
                     sum_block(x, dy, offsets.get(), ChannelBlock<C>(i, groups_));
                 });
  }

 private:
  static constexpr int64_t n = kLanes<C>;
  static constexpr int64_t kRun = 8;  // images whose sums are one sum, before they join the total

  // An image's points are one sum, so that rounding errors do not grow with the batch.
  void sum_block(const ChannelPlanes<T>& x, const ChannelPlanes<T>& dy, const int64_t* offsets,
                 const ChannelBlock<C>& block) const {
    const int64_t count = taps_.count() + 1;  // the last: dbias
    const Scratch<Vec<C>> image(count), part(count), total(count);
    for (int64_t i = 0; i < count; ++i) total.get()[i] = part.get()[i] = Vec<C>{};
    for (int64_t k = 0; k < s_.images; ++k) {
      x.fill(x_data_ + k * s_.image_stride + block.first * s_.h * s_.w);
      dy.fill(dy_data_ + k * dy_.image_stride + block.first * s_.grid_h * s_.grid_w);
      for (int64_t i = 0; i < count; ++i) image.get()[i] = Vec<C>{};
      sum_image(x, dy, offsets, image.get());
      for (int64_t i = 0; i < count; ++i) part.get()[i] += image.get()[i];
      if (k % kRun != kRun - 1 && k + 1 < s_.images) continue;
      for (int64_t i = 0; i < count; ++i) total.get()[i] += part.get()[i], part.get()[i] = Vec<C>{};
    }
    const int64_t height = columns_.height(), taps = taps_.count();
    for (int64_t lane = block.repeated; lane < n; ++lane) {
      const int64_t channel = block.first + lane;
      for (int64_t k = 0; k < taps; ++k)
        dweight_[channel * taps + columns_.tap(k / height, k % height)] =
            static_cast<T>(total.get()[k][lane]);
      if (dbias_) dbias_[channel] = static_cast<T>(total.get()[taps][lane]);
    }
  }

  // A column of points at a time.
  void sum_image(const ChannelPlanes<T>& x, const ChannelPlanes<T>& dy, const int64_t* offsets,
                 Vec<C>* sums) const {
    TapPlane<C> plane{x.data(), 0, x.pitch(), dy.data(), 0, dy.pitch(), s_.grid_h, lane_mask<C>(n)};
    for (int64_t w = 0; w < s_.grid_w; ++w, plane.x += s_.step_w * n, plane.dy += n) {
      add_plane<C, false>(columns_.height(), s_.step_h, plane, offsets, columns_.count(), sums);
      if (!dbias_) continue;
      Vec<C> sum{};
      for (int64_t h = 0; h < s_.grid_h; ++h) sum += load(plane.dy + h * plane.dy_pitch);
      sums[taps_.count()] += sum;
    }
  }

  const PatchSource& s_;
  PatchSource dy_;
  const Taps& taps_;
  Taps one_;  // a single tap: dy as it is
  const T* x_data_;
  const T* dy_data_;
  int64_t groups_;
  T* dweight_;
  T* dbias_;
  TapColumns columns_;
};

}  // namespace
}  // namespace gs::cpu
