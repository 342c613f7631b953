// The weight gradient of depthwise convolution, and of groups of few channels: each tap of each
// channel and output is the sum of dy times a shifted plane. Rows of dy stay in registers while the
// rows of x that meet them pass by, each loaded once for all of its taps.
#pragma once

#include "core/parallel.h"
#include "cpu/conv_band.h"

namespace gs::cpu {
namespace {

// Columns of taps and rows of dy whose sums and values fill the registers together.
constexpr int tap_columns(int height) {
  if (height == 1) return 4;
  if (height == 3) return 3;
  return GS_ISA_LEVEL < 2 ? 1 : height == 5 ? 5 : 4;
}
constexpr int dy_rows(int height, int columns) {
  if (GS_ISA_LEVEL < 2 || height * columns < 9) return 4;
  return height * columns == 9 ? 7 : height == 5 ? 4 : 2;
}

// One column of vectors of a plane.
template <class C>
struct TapPlane {
  const C* x;
  int64_t x_second, x_pitch;  // the other image of a pair; from row to row
  const C* dy;
  int64_t dy_second, dy_pitch;
  int64_t rows;
  decltype(Vec<C>{} < Vec<C>{}) mask;  // the lanes that hold points of both
};

template <class C, int kHeight, int kStep, int kColumns, int kRows, bool kPair>
GS_INLINE void add_rows(const TapPlane<C>& plane, const int64_t* offsets, int64_t h,
                        Vec<C> (&acc)[kColumns][kHeight]) {
  Vec<C> g[kRows];
  const C* dy = plane.dy + h * plane.dy_pitch;
#pragma GCC unroll 7
  for (int p = 0; p < kRows; ++p) {
    const Vec<C> v = load_points<C, kPair>(dy + p * plane.dy_pitch, plane.dy_second);
    g[p] = plane.mask ? v : Vec<C>{};
  }
#pragma GCC unroll 5
  for (int c = 0; c < kColumns; ++c) {
    const C* x = plane.x + h * kStep * plane.x_pitch + offsets[c];
#pragma GCC unroll 19
    for (int i = 0; i < (kRows - 1) * kStep + kHeight; ++i, x += plane.x_pitch) {
      Vec<C> v = load_points<C, kPair>(x, plane.x_second);
      v = plane.mask ? v : Vec<C>{};
#pragma GCC unroll 7
      for (int p = 0; p < kRows; ++p) {
        const int r = i - p * kStep;
        if (r >= 0 && r < kHeight) acc[c][r] += v * g[p];
      }
    }
  }
}

// sums[column][row of the tap] += over all rows of the plane.
template <class C, int kHeight, int kStep, int kColumns, bool kPair>
void add_taps(const TapPlane<C>& plane, const int64_t* offsets, Vec<C>* sums) {
  constexpr int kRows = dy_rows(kHeight, kColumns);
  Vec<C> acc[kColumns][kHeight];
#pragma GCC unroll 5
  for (int c = 0; c < kColumns; ++c)
#pragma GCC unroll 7
    for (int r = 0; r < kHeight; ++r) acc[c][r] = sums[c * kHeight + r];
  int64_t h = 0;
  for (; h + kRows <= plane.rows; h += kRows)
    add_rows<C, kHeight, kStep, kColumns, kRows, kPair>(plane, offsets, h, acc);
  for (; h < plane.rows; ++h)
    add_rows<C, kHeight, kStep, kColumns, 1, kPair>(plane, offsets, h, acc);
#pragma GCC unroll 5
  for (int c = 0; c < kColumns; ++c)
#pragma GCC unroll 7
    for (int r = 0; r < kHeight; ++r) sums[c * kHeight + r] = acc[c][r];
}

// All columns of taps.
template <class C, int kHeight, int kStep, bool kPair>
void add_columns(const TapPlane<C>& plane, const int64_t* offsets, int64_t columns, Vec<C>* sums) {
  constexpr int kColumns = tap_columns(kHeight);
  int64_t c = 0;
  for (; c + kColumns <= columns; c += kColumns)
    add_taps<C, kHeight, kStep, kColumns, kPair>(plane, offsets + c, sums + c * kHeight);
  for (; c < columns; ++c)
    add_taps<C, kHeight, kStep, 1, kPair>(plane, offsets + c, sums + c * kHeight);
}

template <class C, bool kPair>
void add_plane(int64_t height, int64_t step, const TapPlane<C>& plane, const int64_t* offsets,
               int64_t columns, Vec<C>* sums) {
  if (height == 3 && step == 1) return add_columns<C, 3, 1, kPair>(plane, offsets, columns, sums);
  if (height == 5 && step == 1) return add_columns<C, 5, 1, kPair>(plane, offsets, columns, sums);
  if (height == 7 && step == 1) return add_columns<C, 7, 1, kPair>(plane, offsets, columns, sums);
  if (height == 3) return add_columns<C, 3, 2, kPair>(plane, offsets, columns, sums);
  if (height == 5) return add_columns<C, 5, 2, kPair>(plane, offsets, columns, sums);
  if (height == 7) return add_columns<C, 7, 2, kPair>(plane, offsets, columns, sums);
  TapPlane<C> apart = plane;  // a kernel of height 1 finds its rows by the pitch alone
  apart.x_pitch *= step;
  add_columns<C, 1, 1, kPair>(apart, offsets, columns, sums);
}

template <class T>
class DepthwiseGrad {
 public:
  using C = compute_t<T>;

  DepthwiseGrad(const PatchSource& x, const Taps& taps, const T* x_data, const T* dy_data,
                int64_t groups, int64_t outputs, T* dweight, T* dbias)
      : s_(x),
        dy_{1,        x.grid_h, x.grid_w, groups * outputs * x.grid_h * x.grid_w,
            x.images, x.grid_h, x.grid_w, 1,
            1},
        taps_(taps),
        one_(1),
        x_data_(x_data),
        dy_data_(dy_data),
        groups_(groups),
        outputs_(outputs),
        dweight_(dweight),
        dbias_(dbias),
        columns_(taps, x, true),
        band_rows_(Band<T>::rows_of(x, 28)),
        pair_(kLanes<C> >= 4 && 2 * x.grid_w <= kLanes<C> && x.images > 1),
        // Planes of neighbouring groups share lines and pages.
        block_(min_of(max_of(2048 / max_of(x.channels * x.grid_h * x.grid_w, 1), 1), 8)) {
    one_.add(0, 0);
  }

  void run() const {
    const int64_t work = block_ * s_.images * s_.grid_h * s_.grid_w * depth() * outputs_;
    parallel_for(0, ceil_div(groups_, block_), max_of(1, 250000 / max_of(work, 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i)
                     sum_groups(i * block_, min_of((i + 1) * block_, groups_));
                 });
  }

 private:
  struct Bands {
    Band<T> x[2], dy[2];
    Bands(const DepthwiseGrad& g)
        : x{{g.s_, g.taps_, g.band_rows_}, {g.s_, g.taps_, g.pair_ ? g.band_rows_ : 1}},
          dy{{g.dy_, g.one_, g.band_rows_}, {g.dy_, g.one_, g.pair_ ? g.band_rows_ : 1}} {}
  };
  static constexpr int64_t kRun = 8;  // images whose sums are one sum, before they join the total

  int64_t depth() const { return s_.channels * taps_.count(); }  // weights of one output
  int64_t sums_of_row() const { return depth() + 1; }            // the last: dbias

  void sum_groups(int64_t first, int64_t last) const {
    const Bands bands(*this);
    const Scratch<int64_t> offsets(max_of(depth(), 1));
    columns_.make_offsets(bands.x[0], s_.channels, offsets.get());
    const int64_t count = (last - first) * outputs_ * sums_of_row(), step = pair_ ? 2 : 1;
    const Scratch<Vec<C>> part(count), total(count);
    for (int64_t i = 0; i < count; ++i) total.get()[i] = part.get()[i] = Vec<C>{};
    for (int64_t n = 0; n < s_.images; n += step) {
      for (int64_t group = first; group < last; ++group)
        for (int64_t h = 0; h < s_.grid_h; h += band_rows_)
          sum_band(bands, offsets.get(), n, group, h,
                   part.get() + (group - first) * outputs_ * sums_of_row());
      if (n % kRun != kRun - step && n + step < s_.images) continue;
      for (int64_t i = 0; i < count; ++i) total.get()[i] += part.get()[i], part.get()[i] = Vec<C>{};
    }
    const int64_t height = columns_.height(), taps = taps_.count();
    for (int64_t row = first * outputs_; row < last * outputs_; ++row) {
      const Vec<C>* sums = total.get() + (row - first * outputs_) * sums_of_row();
      for (int64_t c = 0; c < s_.channels; ++c)
        for (int64_t k = 0; k < taps; ++k)
          dweight_[row * depth() + c * taps + columns_.tap(k / height, k % height)] =
              static_cast<T>(horizontal_sum(sums[c * taps + k]));
      if (dbias_) dbias_[row] = static_cast<T>(horizontal_sum(sums[depth()]));
    }
  }

  void sum_band(const Bands& bands, const int64_t* offsets, int64_t n, int64_t group, int64_t h,
                Vec<C>* sums) const {
    constexpr int64_t lanes = kLanes<C>;
    const int64_t rows = min_of(band_rows_, s_.grid_h - h), plane_size = s_.grid_h * s_.grid_w;
    const int64_t images = pair_ && n + 1 < s_.images ? 2 : 1;
    for (int64_t i = 0; i < images; ++i)
      bands.x[i].fill(x_data_ + (n + i) * s_.image_stride + group * s_.channels * s_.h * s_.w,
                      x_data_ + s_.images * s_.image_stride, h, rows);
    for (int64_t o = 0; o < outputs_; ++o, sums += sums_of_row()) {
      for (int64_t i = 0; i < images; ++i)
        bands.dy[i].fill(
            dy_data_ + (n + i) * dy_.image_stride + (group * outputs_ + o) * plane_size,
            dy_data_ + dy_.images * dy_.image_stride, h, rows);
      const C *x = bands.x[0].data(), *dy = bands.dy[0].data();
      const int64_t columns = s_.channels * columns_.count();
      for (int64_t w = 0; w < s_.grid_w; w += lanes) {
        const int64_t points = s_.grid_w - w;
        auto mask = lane_mask<C>(points);
        if (pair_) {
          const auto upper = lane_mask<C>(lanes / 2 + (images > 1 ? points : 0));
          mask = mask | (upper & ~lane_mask<C>(lanes / 2));
        }
        TapPlane<C> plane{x + w,
                          pair_ ? bands.x[images - 1].data() - x : 0,
                          bands.x[0].pitch(),
                          dy + w,
                          pair_ ? bands.dy[images - 1].data() - dy : 0,
                          bands.dy[0].pitch(),
                          rows,
                          mask};
        add_bias(plane, sums + depth());
        if (pair_)
          add_plane<C, (lanes >= 4)>(columns_.height(), s_.step_h, plane, offsets, columns, sums);
        else
          add_plane<C, false>(columns_.height(), s_.step_h, plane, offsets, columns, sums);
      }
    }
  }

  void add_bias(const TapPlane<C>& plane, Vec<C>* sum) const {
    if (!dbias_) return;
    Vec<C> total{};
    for (int64_t h = 0; h < plane.rows; ++h) {
      const C* at = plane.dy + h * plane.dy_pitch;
      const Vec<C> v = pair_ ? load_points<C, (kLanes<C> >= 4)>(at, plane.dy_second) : load(at);
      total += plane.mask ? v : Vec<C>{};
    }
    *sum += total;
  }

  const PatchSource& s_;
  PatchSource dy_;
  const Taps& taps_;
  Taps one_;  // a single tap: dy as it is
  const T* x_data_;
  const T* dy_data_;
  int64_t groups_, outputs_;
  T* dweight_;
  T* dbias_;
  TapColumns columns_;
  int64_t band_rows_;
  bool pair_;
  int64_t block_;
};

}  // namespace
}  // namespace gs::cpu
