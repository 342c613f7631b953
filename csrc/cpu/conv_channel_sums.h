// Depthwise convolution of small planes: lanes are channels, and a column of outputs stays in
// registers while the taps pass by.
#pragma once

#include "core/parallel.h"
#include "cpu/channel_planes.h"
#include "cpu/conv_row_sums.h"

namespace gs::cpu {
namespace {

template <class T>
class ChannelSums {
 public:
  using C = compute_t<T>;

  static bool fits(const PatchSource& s, const Taps& taps, int64_t groups, int64_t m,
                   const PatchOutput<T>& out) {
    return m == 1 && has_small_planes<C>(s, taps, groups) && out.step_h == 1 && out.step_w == 1;
  }
  ChannelSums(const PatchSource& source, const Taps& taps, const T* src, int64_t groups,
              const PatchOutput<T>& out)
      : s_(source),
        taps_(taps),
        src_(src),
        groups_(groups),
        out_(out),
        columns_(taps, source),
        blocks_(ceil_div(groups, n)),
        block_size_((taps.count() + 1) * n),
        weights_(blocks_ * block_size_) {}

  template <class W>
  void run(const W& weight) {
    parallel_for(0, blocks_, max_of(1, 16384 / block_size_), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) pack_block(i, weight);
    });
    const int64_t points = s_.grid_h * s_.grid_w, work = points * n * taps_.count();
    parallel_for(0, s_.images * blocks_, max_of(1, 500000 / work), [&](int64_t begin, int64_t end) {
      const ChannelPlanes<T> planes(s_, taps_);
      const Scratch<C> sums(points * n);
      const Scratch<int64_t> offsets(columns_.count());
      columns_.make_offsets(planes, 1, offsets.get());
      for (int64_t i = begin; i < end; ++i) {
        const int64_t image = i / blocks_;
        const ChannelBlock<C> block(i % blocks_, groups_);
        planes.fill(src_ + image * s_.image_stride + block.first * s_.h * s_.w);
        sum_planes(planes, offsets.get(), weights_.get() + i % blocks_ * block_size_, sums.get());
        write_planes(sums.get(), points, block.repeated,
                     out_.data + image * out_.image_stride + block.first * out_.plane);
      }
    });
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

  void sum_planes(const ChannelPlanes<T>& planes, const int64_t* offsets, const C* weights,
                  C* sums) const {
    const Vec<C> bias = load(weights + taps_.count() * n);
    const int64_t height = columns_.height(), row = s_.grid_w * n;
    // A kernel of height 1 finds the rows it needs by the pitch alone.
    const int64_t down = height == 1 ? planes.pitch() * s_.step_h : planes.pitch();
    for (int64_t h = 0, count; h < s_.grid_h; h += count) {
      const int64_t left = s_.grid_h - h, top = h * s_.step_h + taps_.row_min;
      count = left >= kRowBlock ? kRowBlock : left >= 4 ? 4 : 1;
      const auto kernel = row_sums_kernel<C, SumLanes::Channels>(height, s_.step_h, count);
      RowTaps<C> taps{planes.data() + h * s_.step_h * planes.pitch(),
                      0,
                      down,
                      offsets,
                      columns_.count(),
                      weights,
                      height == 1 ? 0 : -top,
                      height == 1 ? count : s_.h - top};
      for (int64_t w = 0; w < s_.grid_w; ++w, taps.a += s_.step_w * n) {
        Vec<C> out[kRowBlock];
        kernel(taps, bias, out);
        for (int64_t p = 0; p < count; ++p) store(sums + (h + p) * row + w * n, out[p]);
      }
    }
    if (out_.activation == Activation::None) return;
    for (int64_t i = 0; i < s_.grid_h * s_.grid_w * n; i += n)
      store(sums + i, activate<C>(out_.activation, load(sums + i)));
  }

  const PatchSource& s_;
  const Taps& taps_;
  const T* src_;
  int64_t groups_;
  PatchOutput<T> out_;
  TapColumns columns_;
  int64_t blocks_, block_size_;
  Scratch<C> weights_;
};

}  // namespace
}  // namespace gs::cpu
