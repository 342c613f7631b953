// Depthwise convolution of small planes: lanes are channels, and a column of outputs stays in
// registers while the taps pass by.
#pragma once

#include "core/parallel.h"
#include "cpu/channel_planes.h"
#include "cpu/conv_row_sums.h"

namespace gs::cpu {
namespace {

// The sums of one set of taps over all blocks of channels: a convolution, or a phase of the input
// gradient of a strided one, whose points lie apart in the output.
template <class T>
class ChannelSums {
 public:
  using C = compute_t<T>;

  static bool fits(const PatchSource& s, const Taps& taps, int64_t groups, int64_t m) {
    return m == 1 && has_small_planes<C>(s, taps, groups);
  }
  template <class W>
  ChannelSums(const PatchSource& source, const Taps& taps, int64_t groups,
              const PatchOutput<T>& out, const W& weight)
      : s_(source),
        taps_(taps),
        groups_(groups),
        out_(out),
        columns_(taps, source),
        blocks_(ceil_div(groups, n)),
        block_size_((taps.count() + 1) * n),
        weights_(blocks_ * block_size_),
        offsets_(max_of(columns_.count(), 1)) {
    parallel_for(0, blocks_, max_of(1, 16384 / block_size_), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) pack_block(i, weight);
    });
  }

  // Before sum(): `planes` are like those that will come.
  void place(const ChannelPlanes<T>& planes) const {
    columns_.make_offsets(planes, 1, offsets_.get());
  }
  // One block of channels of one image, to points of the turned output.
  void sum(const ChannelPlanes<T>& planes, int64_t block, C* to) const {
    sum_planes(planes, weights_.get() + block * block_size_,
               to + (out_.origin_h * out_.width + out_.origin_w) * n);
  }

 private:
  static constexpr int64_t n = kLanes<C>;

  // The weights of a block, column of taps by column, and its bias.
  template <class W>
  void pack_block(int64_t i, const W& weight) const {
    const ChannelBlock<C> block(i, groups_);
    C* to = weights_.get() + i * block_size_;
    for (int64_t lane = 0; lane < n; ++lane) {
      const int64_t group = block.first + lane;
      for (int64_t c = 0, t = 0; c < columns_.count(); ++c)
        for (int64_t r = 0; r < columns_.height(); ++r, ++t)
          to[t * n + lane] = static_cast<C>(weight(group, 0, 0, columns_.tap(c, r)));
      to[taps_.count() * n + lane] = out_.bias ? static_cast<C>(out_.bias[group]) : C(0);
    }
  }

  void sum_planes(const ChannelPlanes<T>& planes, const C* weights, C* sums) const {
    const Vec<C> bias = load(weights + taps_.count() * n);
    const int64_t height = columns_.height(), row = out_.step_h * out_.width * n;
    // A kernel of height 1 finds the rows it needs by the pitch alone.
    const int64_t down = height == 1 ? planes.pitch() * s_.step_h : planes.pitch();
    for (int64_t h = 0, count; h < s_.grid_h; h += count) {
      const int64_t left = s_.grid_h - h, top = h * s_.step_h + taps_.row_min;
      count = left >= kRowBlock ? kRowBlock : left >= 4 ? 4 : 1;
      const auto kernel = row_sums_kernel<C, SumLanes::Channels>(height, s_.step_h, count);
      RowTaps<C> taps{planes.data() + h * s_.step_h * planes.pitch(),
                      0,
                      down,
                      offsets_.get(),
                      columns_.count(),
                      weights,
                      height == 1 ? 0 : -top,
                      height == 1 ? count : s_.h - top};
      for (int64_t w = 0; w < s_.grid_w; ++w, taps.a += s_.step_w * n) {
        Vec<C> out[kRowBlock];
        kernel(taps, bias, out);
        for (int64_t p = 0; p < count; ++p)
          store(sums + (h + p) * row + w * out_.step_w * n, activate<C>(out_.activation, out[p]));
      }
    }
  }

  const PatchSource s_;
  const Taps& taps_;
  int64_t groups_;
  PatchOutput<T> out_;
  TapColumns columns_;
  int64_t blocks_, block_size_;
  Scratch<C> weights_;
  Scratch<int64_t> offsets_;
};

// All images and blocks of channels. Planes are turned over once for all `phases`, of which `taps`
// are the taps together.
template <class T>
void sum_channels(const ChannelSums<T>* const* phases, int64_t count, const PatchSource& s,
                  const Taps& taps, const T* src, int64_t groups, const PatchOutput<T>& out) {
  using C = compute_t<T>;
  constexpr int64_t n = kLanes<C>;
  const int64_t blocks = ceil_div(groups, n), work = out.plane * n * taps.count() / count;
  const ChannelPlanes<T> like(s, taps);
  for (int64_t i = 0; i < count; ++i) phases[i]->place(like);
  parallel_for(0, s.images * blocks, max_of(1, 500000 / max_of(work, 1)),
               [&](int64_t begin, int64_t end) {
                 const ChannelPlanes<T> planes(s, taps);
                 const Scratch<C> sums(out.plane * n);
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t image = i / blocks;
                   const ChannelBlock<C> block(i % blocks, groups);
                   planes.fill(src + image * s.image_stride + block.first * s.h * s.w);
                   for (int64_t k = 0; k < count; ++k)
                     phases[k]->sum(planes, i % blocks, sums.get());
                   write_planes(sums.get(), out.plane, block.repeated,
                                out.data + image * out.image_stride + block.first * out.plane);
                 }
               });
}

}  // namespace
}  // namespace gs::cpu
