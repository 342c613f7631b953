// Small planes of neighbouring channels turned over: every point becomes a vector of channels, so
// that planes narrower than a vector fill all its lanes.
#pragma once

#include "cpu/conv_patches.h"
#include "cpu/shuffle.h"

namespace gs::cpu {
namespace {

// Channels in blocks of a vector. The last block ends with the last channel and repeats some of the
// block before it, the first `repeated` lanes.
template <class C>
struct ChannelBlock {
  int64_t first, repeated;
  ChannelBlock(int64_t block, int64_t channels)
      : first(min_of(block * kLanes<C>, channels - kLanes<C>)),
        repeated(block * kLanes<C> - first) {}
};

// Where the points of a plane start that are copied one by one: few behind the last whole vector.
template <class C>
GS_INLINE int64_t single_points(int64_t points) {
  const int64_t left = points % kLanes<C>;
  return left <= 2 ? points - left : points;
}

// What the taps see of the planes of one block, zeros around them.
template <class T>
class ChannelPlanes {
 public:
  using C = compute_t<T>;
  static constexpr int64_t n = kLanes<C>;

  ChannelPlanes(const PatchSource& s, const Taps& taps)
      : top_(taps.row_min),
        left_(taps.col_min),
        pitch_((s.grid_w - 1) * s.step_w + taps.col_max - left_ + 1),
        points_(s.h * s.w),
        places_(points_),
        data_(size(s, taps)) {
    const int64_t rows = (s.grid_h - 1) * s.step_h + taps.row_max - top_ + 1;
    for (int64_t i = 0; i < size(s, taps); i += n) store(data_.get() + i, Vec<C>{});
    for (int64_t i = 0; i < points_; ++i) {
      const int64_t row = i / s.w - top_, col = i % s.w - left_;
      const bool seen = row >= 0 && row < rows && col >= 0 && col < pitch_;
      places_.get()[i] = (seen ? row * pitch_ + col : rows * pitch_) * n;  // the last: not read
    }
  }
  static int64_t size(const PatchSource& s, const Taps& taps) {
    return (((s.grid_h - 1) * s.step_h + taps.row_max - taps.row_min + 1) *
                ((s.grid_w - 1) * s.step_w + taps.col_max - taps.col_min + 1) +
            1) *
           n;
  }

  // The planes from `from` on. A plane has kLanes points at least: the last vectors overlap others.
  void fill(const T* from) const {
    const int64_t last = single_points<C>(points_);
    for (int64_t i = last; i < points_; ++i) {
      Vec<C> v{};
#pragma GCC unroll 16
      for (int j = 0; j < n; ++j) v[j] = static_cast<C>(from[j * points_ + i]);
      store(data_.get() + places_.get()[i], v);
    }
    for (int64_t i = 0; i < last; i += n) {
      const int64_t at = min_of(i, last - n);
      Vec<C> v[n];
#pragma GCC unroll 16
      for (int j = 0; j < n; ++j) v[j] = load(from + j * points_ + at);
      transpose_vectors<C>(v);
      const int64_t* to = places_.get() + at;
#pragma GCC unroll 16
      for (int j = 0; j < n; ++j) store(data_.get() + to[j], v[j]);
    }
  }

  const C* data() const { return data_.get(); }
  int64_t pitch() const { return pitch_ * n; }
  // Where the value of a tap of the first grid point stands.
  int64_t offset(int64_t /*channel*/, int64_t row, int64_t col) const {
    return ((row - top_) * pitch_ + col - left_) * n;
  }

 private:
  int64_t top_, left_, pitch_, points_;
  Scratch<int64_t> places_;
  Scratch<C> data_;
};

// The way back: `points` vectors of channels to the planes of lanes [repeated, kLanes).
template <class T>
void write_planes(const compute_t<T>* from, int64_t points, int64_t repeated, T* to) {
  using C = compute_t<T>;
  constexpr int64_t n = kLanes<C>;
  const int64_t last = single_points<C>(points);
  for (int64_t i = last; i < points; ++i)
    for (int64_t j = repeated; j < n; ++j) to[j * points + i] = static_cast<T>(from[i * n + j]);
  for (int64_t i = 0; i < last; i += n) {
    const int64_t at = min_of(i, last - n);
    Vec<C> v[n];
#pragma GCC unroll 16
    for (int j = 0; j < n; ++j) v[j] = load(from + (at + j) * n);
    transpose_vectors<C>(v);
#pragma GCC unroll 16
    for (int j = 0; j < n; ++j)
      if (j >= repeated) store(to + j * points + at, v[j]);
  }
}

// Whether depthwise convolution of these planes is done so: rows shorter than a vector, and
// channels that fill the last block, or rows so short that lanes would be empty otherwise too.
template <class C>
bool has_small_planes(const PatchSource& s, const Taps& taps, int64_t groups) {
  const int64_t n = kLanes<C>;
  const bool filled = 4 * groups >= 3 * round_up(groups, n) || 2 * s.grid_w <= n;
  return n >= 4 && s.channels == 1 && groups >= n && filled && taps.count() > 1 &&
         taps.count() <= 64 && s.h * s.w >= n && s.grid_h * s.grid_w >= n && s.grid_w < n &&
         s.step_w <= 2;
}

}  // namespace
}  // namespace gs::cpu
