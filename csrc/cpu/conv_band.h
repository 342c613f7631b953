// A band of rows of padded planes for kernels that read every tap as a vector of its neighbours'
// values (few outputs a group, depthwise).
#pragma once

#include "cpu/conv_patches.h"

namespace gs::cpu {
namespace {

// What a convolution reads of some planes of one image for `rows` rows of the grid. Padding of the
// sides is written once, when the band is made; fill() replaces the rows.
template <class T>
class Band {
 public:
  using C = compute_t<T>;

  Band(const PatchSource& s, const Taps& taps, int64_t rows)
      : s_(s),
        top_(taps.row_min),
        left_(taps.col_min),
        reach_(taps.row_max - taps.row_min),
        phase_(ceil_div((s.grid_w - 1) * s.step_w + taps.col_max - taps.col_min + 1, s.step_w)),
        pitch_(phase_ * s.step_w),
        plane_(((rows - 1) * s.step_h + reach_ + 1) * pitch_),
        size_(s.channels * plane_ + 3 * kLanes<C>),
        phases_{phase_of(0), phase_of(1)},
        data_(size_) {
    for (int64_t i = 0; i < size_; ++i) data_.get()[i] = C(0);
  }
  // Rows of the grid of one band: in L1 for a single plane, in L2 for the planes of many channels.
  // A multiple of `block` where there are so many.
  static int64_t rows_of(const PatchSource& s, int64_t block) {
    const int64_t row = max_of(s.channels * s.w * s.step_h, 1);
    const int64_t fit = (s.channels > 1 ? 65536 : 6144) / row;
    if (fit >= s.grid_h) return max_of(s.grid_h, 1);
    return fit >= block ? fit / block * block : min_of(block, s.grid_h);
  }

  // Rows [h0, h0 + rows) of the grid; `from` is the first plane, `end` the end of the source.
  // Vectors go from left to right and from top to bottom: what they spill, zeros, stays in padding
  // or is overwritten.
  void fill(const T* from, const T* end, int64_t h0, int64_t rows) const {
    const int64_t top = h0 * s_.step_h + top_, count = (rows - 1) * s_.step_h + reach_ + 1;
    const int64_t above = min_of(max_of(-top, 0), count);
    const int64_t inside = max_of(min_of(count, s_.h - top) - above, 0);
    C* to = data_.get();
    for (int64_t c = 0; c < s_.channels; ++c, from += s_.h * s_.w, to += plane_) {
      if (rows < s_.grid_h) {  // another band had other rows here
        clear(to, above * pitch_);
        clear(to + (above + inside) * pitch_, (count - above - inside) * pitch_);
      }
      copy_rows(from + (top + above) * s_.w, end, inside, to + above * pitch_);
    }
  }

  const C* data() const { return data_.get(); }
  int64_t pitch() const { return pitch_; }
  // Where the value of a tap of the first grid point stands.
  int64_t offset(int64_t channel, int64_t row, int64_t col) const {
    const int64_t at = col - left_;
    return channel * plane_ + (row - top_) * pitch_ + at % s_.step_w * phase_ + at / s_.step_w;
  }

 private:
  static void clear(C* to, int64_t count) {
    for (int64_t i = 0; i < count; i += kLanes<C>) store(to + i, Vec<C>{});
  }

  // One phase of the rows: values first, first + 1, ... of it, `count` of them, come from the
  // columns column, column + step, ... of the source.
  struct Phase {
    int64_t first, count, column, vectors;
    decltype(Vec<C>{} < Vec<C>{}) mask;  // of the last vector
  };
  Phase phase_of(int64_t number) const {
    const int64_t step = s_.step_w, from = max_of(ceil_div(max_of(-left_, 0) - number, step), 0);
    const int64_t to = ceil_div(min_of(s_.w - left_, pitch_) - number, step);
    Phase p{from, max_of(to - from, 0), left_ + from * step + number, 0, {}};
    p.vectors = ceil_div(p.count, kLanes<C>);
    p.mask = lane_mask<C>(p.count - (p.vectors - 1) * kLanes<C>);
    return p;
  }

  void copy_rows(const T* row, const T* end, int64_t rows, C* to) const {
    if (s_.step_w == 1) {
      copy_phases<1>(row, end, rows, to);
    } else if (s_.step_w == 2 && std::is_same_v<T, C>) {
      copy_phases<2>(row, end, rows, to);
    } else {
      for (; rows > 0; --rows, row += s_.w, to += pitch_)
        copy_row(row, end, s_.w, left_, s_.step_w, s_.step_w, phase_, to);
    }
  }
  template <int kStep>
  void copy_phases(const T* row, const T* end, int64_t rows, C* to) const {
    constexpr int64_t n = kLanes<C>;
    int64_t reach = 0;
    for (int k = 0; k < kStep; ++k)
      reach = max_of(reach, phases_[k].column + phases_[k].vectors * n * kStep);
    // Whole vectors as long as they end within the source.
    int64_t safe = rows;
    while (safe > 0 && row + (safe - 1) * s_.w + reach > end) --safe;
    rows -= safe;
    if (phases_[0].vectors == 1 && phases_[kStep - 1].vectors == 1) {
      for (; safe > 0; --safe, row += s_.w, to += pitch_)
#pragma GCC unroll 2
        for (int k = 0; k < kStep; ++k)
          store(to + k * phase_ + phases_[k].first,
                phases_[k].mask ? load_each<kStep>(row + phases_[k].column) : Vec<C>{});
    }
    for (; safe > 0; --safe, row += s_.w, to += pitch_)
      for (int k = 0; k < kStep; ++k) {
        const Phase& p = phases_[k];
        const T* x = row + p.column;
        C* out = to + k * phase_ + p.first;
        for (int64_t i = 1; i < p.vectors; ++i, x += n * kStep, out += n)
          store(out, load_each<kStep>(x));
        if (p.vectors > 0) store(out, p.mask ? load_each<kStep>(x) : Vec<C>{});
      }
    for (; rows > 0; --rows, row += s_.w, to += pitch_)
      copy_row(row, end, s_.w, left_, kStep, kStep, phase_, to);
  }
  template <int kStep>
  static GS_INLINE Vec<C> load_each(const T* x) {
    if constexpr (kStep == 1 || !std::is_same_v<T, C>) {
      return load(x);
    } else {
      return even_lanes(load(x), load(x + kLanes<C>), LaneSequence<C>{});
    }
  }

  const PatchSource& s_;
  int64_t top_, left_, reach_, phase_, pitch_, plane_, size_;
  Phase phases_[2];
  Scratch<C> data_;
};

// The taps as columns of `height` taps below one another, so that a value once loaded serves all
// rows of outputs that see it. Where they are no such grid, or of a height for which there is no
// kernel (`odd`: none of even height), every tap is a column of height 1.
class TapColumns {
 public:
  TapColumns(const Taps& taps, const PatchSource& s, bool odd = false)
      : taps_(taps), columns_(taps.count()) {
    int64_t width = 1;
    while (width < taps.count() && taps.row(width) == taps.row(0)) ++width;
    const int64_t height = taps.count() / width;
    const int64_t down = height > 1 ? taps.row(width) - taps.row(0) : 1;
    const bool has_kernel = (height <= 5 && (!odd || height % 2)) || height == 7;
    if (s.step_h > 2 || (down != 1 && down != -1) || !has_kernel) return;
    if (s.step_h == 2 && height % 2 == 0) return;
    height_ = max_of(height, 1), columns_ = taps.count() / height_, up_ = down < 0;
  }
  int64_t height() const { return height_; }
  int64_t count() const { return columns_; }
  // The number of the tap in row r, counted from above, of a column.
  int64_t tap(int64_t column, int64_t r) const {
    return (up_ ? height_ - 1 - r : r) * columns_ + column;
  }
  template <class Place>
  void make_offsets(const Place& band, int64_t channels, int64_t* offsets) const {
    for (int64_t channel = 0; channel < channels; ++channel)
      for (int64_t c = 0; c < columns_; ++c, ++offsets)
        *offsets = band.offset(channel, taps_.row(tap(c, 0)), taps_.col(tap(c, 0)));
  }

 private:
  const Taps& taps_;
  int64_t height_ = 1, columns_;
  bool up_ = false;
};

// One vector, or half a vector each of two images side by side where rows are that short.
template <class C, bool kPair>
GS_INLINE Vec<C> load_points(const C* p, int64_t second) {
  if constexpr (!kPair) {
    return load(p);
  } else {
    typedef C Half __attribute__((vector_size(kVectorBytes / 2)));
    Half low, high;
    __builtin_memcpy(&low, p, sizeof low);
    __builtin_memcpy(&high, p + second, sizeof high);
    return join_halves<C>(low, high, LaneSequence<C>{});
  }
}

}  // namespace
}  // namespace gs::cpu
