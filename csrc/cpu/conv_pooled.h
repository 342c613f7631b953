// Convolution with stride 1 and the maxima of its 2x2 windows in one pass: the four outputs of a
// window are sums over one patch, which is packed once and read from L1, and only their maximum is
// written. For filters that see few values, where packing and writing take as long as the sums.
#pragma once

#include <limits>

#include "core/parallel.h"
#include "cpu/conv_patches.h"
#include "kernels/params/conv.h"

namespace gs::cpu {
namespace {

// Rows of a register tile of four vectors.
#if GS_ISA_LEVEL == 2
inline constexpr int kPooledRows = 6;
#elif GS_ISA_LEVEL == 1
inline constexpr int kPooledRows = 3;
#else
inline constexpr int kPooledRows = 2;
#endif

// NaN wins.
GS_INLINE Vec<float> maximum(Vec<float> a, Vec<float> b) {
  const Vec<float> larger = a > b ? a : b;
  return a != a ? a : larger;
}

// c (R x a vector of windows) = the maxima of the four sums + bias, none below `lowest`. Value k of
// the first output is at patches + offsets[k], those of the others a vector and `below` further.
template <int R>
void pooled_tile(int64_t k, const float* a, const float* patches, const int64_t* offsets,
                 int64_t below, const float* bias, float lowest, float* c, int64_t c_row) {
  constexpr int n = kLanes<float>;
  Vec<float> sum[R][4] = {};
#pragma GCC unroll 1
  for (int64_t i = 0; i < k; ++i, a += R) {
    const float* at = patches + offsets[i];
    const Vec<float> x[4] = {load(at), load(at + n), load(at + below), load(at + below + n)};
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      Vec<float> w = splat(a[r]);
      __asm__("" : "+v"(w));  // in a register: folded into the products it would be loaded thrice
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) sum[r][j] += w * x[j];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const Vec<float> y =
        maximum(maximum(sum[r][0], sum[r][1]), maximum(sum[r][2], sum[r][3])) + bias[r];
    const Vec<float> least = splat(lowest);
    store(c + r * c_row, y < least ? least : y);
  }
}
using PooledTile = void (*)(int64_t k, const float* a, const float* patches, const int64_t* offsets,
                            int64_t below, const float* bias, float lowest, float* c,
                            int64_t c_row);
struct PooledTiles {
  PooledTile of[kPooledRows + 1];
};
template <int R>
constexpr void fill_pooled(PooledTiles& all) {
  all.of[R] = &pooled_tile<R>;
  if constexpr (R > 1) fill_pooled<R - 1>(all);
}
constexpr PooledTiles make_pooled() {
  PooledTiles all{};
  fill_pooled<kPooledRows>(all);
  return all;
}
inline constexpr PooledTiles kPooledTiles = make_pooled();

class PooledProduct {
 public:
  // Patches of so many values stay in L1.
  static bool fits(const Conv2d& p) {
    const ConvShape& s = p.shape;
    return s.groups == 1 && s.stride_h == 1 && s.stride_w == 1 && s.dilation_h == 1 &&
           s.dilation_w == 1 && s.c * (s.r + 1) * (s.s + 1) <= 512;
  }

  explicit PooledProduct(const Conv2d& p)
      : s_(p.shape),
        p_(p),
        source_{s_.c, s_.h, s_.w, s_.c * s_.h * s_.w, s_.n, s_.p / 2, s_.q / 2, 2, 2},
        taps_((s_.r + 1) * (s_.s + 1)),
        k_(s_.c * s_.r * s_.s),
        panel_rows_(even_part(s_.o, kPooledRows)),
        cut_(source_, 512),
        weights_(s_.o * k_),
        bias_(s_.o),
        offsets_(k_) {
    for (int64_t r = 0; r <= s_.r; ++r)
      for (int64_t c = 0; c <= s_.s; ++c) taps_.add(r - s_.pad_h, c - s_.pad_w);
    const float *weight = static_cast<const float*>(p.weight),
                *bias = static_cast<const float*>(p.bias);
    for (int64_t o = 0; o < s_.o; ++o) {
      const int64_t first = o / panel_rows_ * panel_rows_, rows = rows_from(first);
      float* to = weights_.get() + first * k_ + (o - first);
      for (int64_t k = 0; k < k_; ++k) to[k * rows] = weight[o * k_ + k];
      bias_.get()[o] = bias ? bias[o] : 0.0f;
    }
    const int64_t window = s_.r * s_.s;
    for (int64_t k = 0; k < k_; ++k) {
      const int64_t row = k / window * (s_.r + 1) + k % window / s_.s;
      offsets_.get()[k] = (row * (s_.s + 1) + k % s_.s) * n;
    }
  }

  void run() const {
    const int64_t work = cut_.most_columns() * 4 * k_ * s_.o;
    parallel_for(0, cut_.count(), max_of(1, 250000 / max_of(work, 1)),
                 [&](int64_t begin, int64_t end) {
                   const Scratch<float> planes(Region<float>::size(source_, taps_, cut_));
                   const Scratch<float> patches((depth() + 1) * n), tile((panel_rows_ + 1) * n);
                   const Scratch<int64_t> places(depth());
                   for (int64_t i = begin; i < end; ++i)
                     run_part(cut_[i], planes.get(), places.get(), patches.get(), tile.get());
                 });
  }

 private:
  static constexpr int64_t n = kLanes<float>;

  int64_t rows_from(int64_t o) const { return min_of(panel_rows_, s_.o - o); }
  int64_t depth() const { return s_.c * taps_.count(); }

  void run_part(const Part& part, float* planes, int64_t* places, float* patches,
                float* tile) const {
    const float* x = static_cast<const float*>(p_.x);
    const Region<float> region(source_, taps_, x, x + s_.n * source_.image_stride, part, planes);
    for (int64_t i = 0; i < depth(); ++i)
      places[i] = region.offset(taps_, i / taps_.count(), i % taps_.count());
    Move moves[n];
    const int64_t columns = part.columns();
    for (int64_t col = 0; col < columns; col += n) {
      const int64_t stop = min_of(col + n, columns);
      const int64_t count = make_moves(region, part, col, stop, moves);
      pack_patches(region.base(), region.readable(), places, depth(), moves, count, patches, n);
      multiply(part, col, stop, patches, tile);
    }
  }

  // Windows [col, ...) of a part that lie side by side in a plane of y.
  struct Run {
    int64_t at, count;
  };
  Run run_of(const Part& part, int64_t col, int64_t stop) const {
    const int64_t width = part.w1 - part.w0, point = col % part.per_image();
    const int64_t image = part.n0 + col / part.per_image(), row = part.h0 + point / width;
    const int64_t left = width == source_.grid_w ? part.per_image() - point : width - point % width;
    return {(image * s_.o * source_.grid_h + row) * source_.grid_w + part.w0 + point % width,
            min_of(left, stop - col)};
  }

  // All outputs of the windows [col, stop) of a part.
  void multiply(const Part& part, int64_t col, int64_t stop, const float* patches,
                float* tile) const {
    const int64_t plane = source_.grid_h * source_.grid_w, below = (s_.s + 1) * n;
    const float lowest =
        p_.activation == Activation::Relu ? 0.0f : -std::numeric_limits<float>::infinity();
    const Run whole = run_of(part, col, stop);
    for (int64_t o = 0; o < s_.o; o += panel_rows_) {
      const int64_t rows = rows_from(o);
      float* out = static_cast<float*>(p_.y) + o * plane;
      const bool in_place = whole.count == n;
      kPooledTiles.of[rows](k_, weights_.get() + o * k_, patches, offsets_.get(), below,
                            bias_.get() + o, lowest, in_place ? out + whole.at : tile,
                            in_place ? plane : n);
      for (int64_t at = col; at < stop && !in_place;) {
        const Run run = run_of(part, at, stop);
        for (int64_t r = 0; r < rows; ++r)
          store_tail(out + run.at + r * plane, load(tile + r * n + at - col), run.count);
        at += run.count;
      }
    }
  }

  const ConvShape& s_;
  const Conv2d& p_;
  PatchSource source_;
  Taps taps_;
  int64_t k_, panel_rows_;
  Partition cut_;
  Scratch<float> weights_, bias_;
  Scratch<int64_t> offsets_;
};

}  // namespace
}  // namespace gs::cpu
