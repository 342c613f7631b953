// Convolution with few outputs a group (depthwise above all), where packed patches would be used
// too seldom to pay: sums of shifted rows of a padded band, a block of rows of outputs in
// registers.
#pragma once

#include "core/parallel.h"
#include "cpu/conv_band.h"
#include "cpu/conv_product.h"
#include "kernels/params/gemm.h"

namespace gs::cpu {
namespace {

inline constexpr int kRowBlock = 7;  // planes of 7, 14, 28, 56 rows leave no remainder

// What the lanes of a vector are: points of a row, points of rows of two images, or channels at one
// point, each with its own weight.
enum class SumLanes { Points, Pairs, Channels };

// What a block of rows of outputs adds up.
template <class C>
struct RowTaps {
  const C* a;      // where the first output stands in the band
  int64_t second;  // the other image of a pair
  int64_t pitch;
  const int64_t* offsets;  // of the columns of taps
  int64_t columns;
  const C* weights;
  int64_t begin, end;  // channels: the rows from `a` on that lie in the plane, the others are zero
};

// out[p] = bias + sum over columns of kHeight taps. Values are added in passes of 64 columns, whose
// sums are added up.
template <class C>
using RowSumsKernel = void (*)(const RowTaps<C>& taps, Vec<C> bias, Vec<C>* out);

template <class C, int kHeight, int kStep, int kRows, SumLanes kWhat>
void row_sums(const RowTaps<C>& taps, Vec<C> bias, Vec<C>* out) {
  constexpr bool kChannels = kWhat == SumLanes::Channels;
  const int64_t columns = taps.columns, pitch = taps.pitch;
  const C* weights = taps.weights;
  for (int p = 0; p < kRows; ++p) out[p] = bias;
  for (int64_t begin = 0; begin < columns; begin += 64) {
    Vec<C> acc[kRows] = {};
    const int64_t end = min_of(begin + 64, columns);
    for (int64_t c = begin; c < end; ++c, weights += kHeight * (kChannels ? kLanes<C> : 1)) {
      const C* from = taps.a + taps.offsets[c];
      Vec<C> w[kHeight];
#pragma GCC unroll 7
      for (int r = 0; r < kHeight; ++r)
        w[r] = kChannels ? load(weights + r * kLanes<C>) : splat(weights[r]);
#pragma GCC unroll 19
      for (int i = 0; i < (kRows - 1) * kStep + kHeight; ++i, from += pitch) {
        if (kChannels && (i < taps.begin || i >= taps.end)) continue;
        Vec<C> v = load_points<C, kWhat == SumLanes::Pairs>(from, taps.second);
        // Keeps the value in a register: folded into each multiply-add it would be loaded each
        // time.
        if constexpr (kHeight > 1) __asm__("" : "+v"(v));
#pragma GCC unroll 7
        for (int p = 0; p < kRows; ++p) {
          const int r = i - p * kStep;
          if (r >= 0 && r < kHeight) acc[p] += v * w[r];
        }
      }
    }
#pragma GCC unroll 7
    for (int p = 0; p < kRows; ++p) out[p] += acc[p];
  }
}

template <class C, SumLanes kWhat>
RowSumsKernel<C> row_sums_kernel(int64_t height, int64_t step, int64_t rows) {
  const auto of = [rows]<int kHeight, int kStep>() -> RowSumsKernel<C> {
    return rows == kRowBlock ? &row_sums<C, kHeight, kStep, kRowBlock, kWhat>
           : rows == 4       ? &row_sums<C, kHeight, kStep, 4, kWhat>
                             : &row_sums<C, kHeight, kStep, 1, kWhat>;
  };
  if (step == 2) {
    if (height == 3) return of.template operator()<3, 2>();
    if (height == 5) return of.template operator()<5, 2>();
    if (height == 7) return of.template operator()<7, 2>();
  }
  switch (height) {
    case 2:
      return of.template operator()<2, 1>();
    case 3:
      return of.template operator()<3, 1>();
    case 4:
      return of.template operator()<4, 1>();
    case 5:
      return of.template operator()<5, 1>();
    case 7:
      return of.template operator()<7, 1>();
    default:
      return of.template operator()<1, 1>();  // the step is in the pitch
  }
}

template <class T>
class RowSums {
 public:
  using C = compute_t<T>;

  // As PatchProduct.
  RowSums(const PatchSource& source, const Taps& taps, const T* src, int64_t groups, int64_t m,
          const PatchOutput<T>& out)
      : s_(source),
        taps_(taps),
        src_(src),
        groups_(groups),
        m_(m),
        out_(out),
        columns_(taps, source),
        depth_(source.channels * columns_.count()),
        band_rows_(Band<T>::rows_of(source, kRowBlock)),
        bands_(ceil_div(source.grid_h, band_rows_)),
        pair_(kLanes<C> >= 4 && 2 * source.grid_w <= kLanes<C> && source.images > 1),
        weights_(groups * m * max_of(depth_ * columns_.height(), 1)) {}

  template <class W>
  void run(const W& weight) {
    pack_weights(weight);
    const int64_t step = pair_ ? 2 : 1, images = ceil_div(s_.images, step);
    const int64_t work = band_rows_ * s_.grid_w * step * max_of(depth_ * columns_.height() * m_, 8);
    parallel_for(0, images * groups_ * bands_, max_of(1, 500000 / max_of(work, 1)),
                 [&](int64_t begin, int64_t end) {
                   const Band<T> first(s_, taps_, band_rows_);
                   const Band<T> second(s_, taps_, pair_ ? band_rows_ : 1);
                   const Scratch<int64_t> offsets(max_of(depth_, 1));
                   columns_.make_offsets(first, s_.channels, offsets.get());
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t group = i / bands_ % groups_;
                     // Groups behind this one in the image that this thread will write later.
                     const int64_t later = bands_ == 1 ? min_of(end - i, groups_ - group) - 1 : 0;
                     sum_band(first, second, offsets.get(), i / bands_ / groups_ * step, group,
                              i % bands_ * band_rows_, later * m_);
                   }
                 });
  }

 private:
  template <class W>
  void pack_weights(const W& weight) const {
    const int64_t height = columns_.height();
    C* to = weights_.get();
    for (int64_t row = 0; row < groups_ * m_; ++row)
      for (int64_t channel = 0; channel < s_.channels; ++channel)
        for (int64_t c = 0; c < columns_.count(); ++c)
          for (int64_t r = 0; r < height; ++r)
            *to++ = static_cast<C>(weight(row / m_, row % m_, channel, columns_.tap(c, r)));
  }

  // Rows from h0 on of all outputs of one group, in one image or in two side by side.
  void sum_band(const Band<T>& first, const Band<T>& second, const int64_t* offsets, int64_t n,
                int64_t group, int64_t h0, int64_t later) const {
    const int64_t rows = min_of(band_rows_, s_.grid_h - h0);
    const bool two = pair_ && n + 1 < s_.images;
    const T* from = src_ + n * s_.image_stride + group * s_.channels * s_.h * s_.w;
    const T* end = src_ + s_.images * s_.image_stride;
    first.fill(from, end, h0, rows);
    if (two) second.fill(from + s_.image_stride, end, h0, rows);
    const C* a = first.data();
    const int64_t apart = two ? second.data() - a : 0;
    for (int64_t m = group * m_; m < (group + 1) * m_; ++m) {
      const int64_t planes = bands_ == 1 ? later + (group + 1) * m_ - 1 - m : 0;
      for (int64_t h = 0, count; h < rows; h += count) {
        const int64_t left = rows - h;
        count = left >= kRowBlock ? kRowBlock : left >= 4 ? 4 : 1;
        sum_rows(a, apart, first.pitch(), offsets, count, n, m, h0, h, rows, planes);
      }
    }
  }

  // From right to left: what the last vector of a row spills into the next row is overwritten, and
  // so is what the last row spills into the `later` planes.
  void sum_rows(const C* a, int64_t apart, int64_t pitch, const int64_t* offsets, int64_t count,
                int64_t n, int64_t m, int64_t h0, int64_t h, int64_t rows, int64_t later) const {
    constexpr int64_t lanes = kLanes<C>;
    const int64_t height = columns_.height();
    // A kernel of height 1 finds the rows it needs by the pitch alone.
    const int64_t down = height == 1 ? pitch * s_.step_h : pitch;
    constexpr SumLanes kPairs = lanes >= 4 ? SumLanes::Pairs : SumLanes::Points;
    const auto kernel = pair_ ? row_sums_kernel<C, kPairs>(height, s_.step_h, count)
                              : row_sums_kernel<C, SumLanes::Points>(height, s_.step_h, count);
    const C* weights = weights_.get() + m * depth_ * height;
    const Vec<C> bias = splat(out_.bias ? static_cast<C>(out_.bias[m]) : C(0));
    T* plane = out_.data + n * out_.image_stride + m * out_.plane;
    T* end = plane + (out_.origin_h + (h0 + rows - 1) * out_.step_h + 1) * out_.width +
             later * out_.plane;
    // The rows that the next block will write.
    const int64_t width = out_.step_h * out_.width;
    const char* next = reinterpret_cast<const char*>(plane + out_.origin_h * out_.width +
                                                     (h0 + h + count) * width);
    for (int64_t i = 0; i < count * width * int64_t{sizeof(T)}; i += 64)
      __builtin_prefetch(next + i, 1);
    Vec<C> sums[kRowBlock];
    for (int64_t w = (s_.grid_w - 1) / lanes * lanes; w >= 0; w -= lanes) {
      const int64_t points = min_of(lanes, s_.grid_w - w);
      kernel({a + h * s_.step_h * pitch + w, apart, down, offsets, depth_, weights, 0, 0}, bias,
             sums);
      if (out_.activation != Activation::None)
        for (int64_t p = 0; p < count; ++p) sums[p] = activate<C>(out_.activation, sums[p]);
      T* to = plane + (out_.origin_h + (h0 + h) * out_.step_h) * out_.width + out_.origin_w +
              w * out_.step_w;
      write_rows(sums, count, points, to, end);
      if (!apart) continue;
      for (int64_t p = 0; p < count; ++p) sums[p] = upper_half(sums[p], LaneSequence<C>{});
      write_rows(sums, count, points, to + out_.image_stride, end + out_.image_stride);
    }
  }

  // Rows of one image are written from above, so a vector may spill up to `end`.
  void write_rows(const Vec<C>* rows, int64_t count, int64_t points, T* to, T* end) const {
    const int64_t down = out_.step_h * out_.width;
    if (out_.step_w != 1) {
      for (int64_t p = 0; p < count; ++p, to += down)
        store_spread(to, rows[p], points, out_.step_w, end);
      return;
    }
    const bool spills = points == kLanes<C> || (std::is_same_v<T, C> && out_.step_h == 1);
    int64_t p = 0;
    for (; p < count && spills && to + kLanes<C> <= end; ++p, to += down) store(to, rows[p]);
    for (; p < count; ++p, to += down) store_tail(to, rows[p], points);
  }

  const PatchSource& s_;
  const Taps& taps_;
  const T* src_;
  int64_t groups_, m_;
  PatchOutput<T> out_;
  TapColumns columns_;
  int64_t depth_, band_rows_, bands_;
  bool pair_;
  Scratch<C> weights_;
};

}  // namespace
}  // namespace gs::cpu
