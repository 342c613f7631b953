// A dilated convolution is several plain ones: outputs that lie a dilation apart see inputs that
// lie a dilation apart, and nothing between. Each such phase becomes an image of its own.
#pragma once

#include "core/parallel.h"
#include "cpu/conv_patches.h"

namespace gs::cpu {
namespace {

class WinogradPhases {
 public:
  // Of a grid of outputs; source row of output p and tap r: p - pad + r * dilation.
  WinogradPhases(int64_t grid_h, int64_t grid_w, int64_t dilation_h, int64_t dilation_w)
      : grid_h_(grid_h),
        grid_w_(grid_w),
        down_(dilation_h),
        across_(dilation_w),
        rows_(ceil_div(grid_h, dilation_h)),
        cols_(ceil_div(grid_w, dilation_w)) {}

  int64_t count() const { return down_ * across_; }
  int64_t rows() const { return rows_; }  // outputs of one phase
  int64_t cols() const { return cols_; }
  // Phases of one size for all, in tiles of 2 x 2, may compute far more than the outputs, and they
  // are copied twice: channels must pay for it.
  bool pays(int64_t channels, int64_t outputs) const {
    const int64_t computed = count() * round_up(rows_, 2) * round_up(cols_, 2);
    const int64_t least = min_of(channels, outputs);
    if (least >= 256) return 2 * computed <= 3 * grid_h_ * grid_w_;
    return least >= 64 && across_ <= 2 && 4 * computed <= 5 * grid_h_ * grid_w_;
  }
  // out (images, phases, channels, rows + border, cols + border) from planes (images, channels, h,
  // w): what 3 x 3 taps see has a border of 2.
  void split(const float* src, int64_t images, int64_t channels, int64_t h, int64_t w,
             int64_t pad_h, int64_t pad_w, int64_t border, float* out) const {
    const float* end = src + images * channels * h * w;
    const int64_t width = cols_ + border, line = across_ * width, size = kRun * line + 3 * n;
    const int64_t rows = (rows_ + border) * down_, plane_size = (rows_ + border) * width;
    const int64_t next = channels * plane_size;  // from one phase to the next
    const int64_t grain = max_of(1, 32768 / (count() * plane_size));
    parallel_for(0, images * channels, grain, [&](int64_t begin, int64_t stop) {
      const Scratch<float> lines(size);
      for (int64_t i = 0; i < size; ++i) lines.get()[i] = 0;
      for (int64_t i = begin; i < stop; ++i) {
        float* first = out + first_plane(i, channels) * plane_size;
        for (int64_t row = 0; row < rows; row += kRun) {
          const int64_t last = min_of(row + kRun, rows);
          // A run of rows at a time: a row that was read back at once would wait for its stores.
          for (int64_t r = max_of(row, pad_h); r < min_of(last, h + pad_h); ++r)
            copy_row(src + (i * h + r - pad_h) * w, end, w, -pad_w, across_, across_, width,
                     lines.get() + (r - row) * line);
          for (int64_t r = row; r < last; ++r) {
            const bool inside = r >= pad_h && r < h + pad_h;
            float* plane = first + r % down_ * across_ * next;
            const int64_t at = r / down_ * width;
            for (int64_t k = 0; k < across_; ++k, plane += next)
              copy(inside ? lines.get() + (r - row) * line + k * width : nullptr, width, plane + at,
                   plane + plane_size);
          }
        }
      }
    });
  }

  // The outputs (images, phases, channels, rows, cols) back to planes of the grid. Up to a vector
  // past the end of `from` is read.
  void join(const float* from, int64_t images, int64_t channels, float* out) const {
    const int64_t plane = rows_ * cols_;
    const int64_t grain = max_of(1, 32768 / (count() * plane));
    parallel_for(0, images * channels, grain, [&](int64_t begin, int64_t stop) {
      const Scratch<float> line(across_ * (cols_ + n));
      for (int64_t i = begin; i < stop; ++i) {
        const float* first = from + first_plane(i, channels) * plane;
        for (int64_t row = 0; row < grid_h_; ++row) {
          interleave(first + row % down_ * across_ * channels * plane + row / down_ * cols_,
                     channels * plane, line.get());
          float* to = out + (i * grid_h_ + row) * grid_w_;
          copy(line.get(), grid_w_, to, out + (i + 1) * grid_h_ * grid_w_);
        }
      }
    });
  }

 private:
  static constexpr int64_t n = kLanes<float>;
  static constexpr int64_t kRun = 16;

  // Where plane i of (images, channels) is in phase 0, counted in planes.
  int64_t first_plane(int64_t i, int64_t channels) const {
    return i / channels * count() * channels + i % channels;
  }

  // Rows of a plane are written from top to bottom: a vector may spill up to its end.
  static void copy(const float* from, int64_t count, float* to, const float* end) {
    for (int64_t i = 0; i < count; i += n) {
      const Vec<float> v = from ? load(from + i) : Vec<float>{};
      store_tail(to + i, v, to + i + n <= end ? n : min_of(n, count - i));
    }
  }
  // One row of each phase, `apart` from one to the next.
  void interleave(const float* from, int64_t apart, float* line) const {
    if (across_ == 2) {
      for (int64_t i = 0; i < cols_; i += n)
        store_pairs(line + 2 * i, load(from + i), load(from + apart + i));
      return;
    }
    if (across_ == 4) {
      const LaneSequence<float> lanes{};
      for (int64_t i = 0; i < cols_; i += n) {
        Vec<float> v[4];
        for (int k = 0; k < 4; ++k) v[k] = load(from + k * apart + i);
        store_pairs(line + 4 * i, alternate<0>(v[0], v[2], lanes), alternate<0>(v[1], v[3], lanes));
        store_pairs(line + 4 * i + 2 * n, alternate<n / 2>(v[0], v[2], lanes),
                    alternate<n / 2>(v[1], v[3], lanes));
      }
      return;
    }
    for (int64_t k = 0; k < across_; ++k)
      for (int64_t i = 0; i < cols_; ++i) line[i * across_ + k] = from[k * apart + i];
  }

  int64_t grid_h_, grid_w_, down_, across_, rows_, cols_;
};

}  // namespace
}  // namespace gs::cpu
