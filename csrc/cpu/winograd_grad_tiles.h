// The transforms of the weight gradient of Winograd's F(2x2, 3x3): the forward pass is y = A^T [(G
// w G^T) . (B^T d B)] A for each tile, so dw = G^T [sum over tiles of (B^T d B) . (A dy A^T)] G.
//
// Lanes are channels: planes are turned over first, so that images of a few tiles fill all lanes.
#pragma once

#include "cpu/gemm_pack.h"
#include "cpu/winograd_tiles.h"

namespace gs::cpu {
namespace {

// Some rows and columns of kLanes planes, a vector of channels at each point. What lies outside is
// zero.
class TurnedPlanes {
 public:
  explicit TurnedPlanes(int64_t most) : points_(max_of(most, 1) * n) {}

  // Rows and columns of planes of h x w values, cut to what is inside.
  __attribute__((noinline)) void fill(const float* planes, int64_t lanes, int64_t h, int64_t w,
                                      int64_t top, int64_t rows, int64_t left, int64_t cols) {
    top_ = max_of(top, 0), left_ = max_of(left, 0);
    rows_ = min_of(top + rows, h) - top_, cols_ = min_of(left + cols, w) - left_;
    if (rows_ <= 0 || cols_ <= 0) return;
    const float* from = planes + top_ * w + left_;
    const int64_t run = cols_ == w ? rows_ * w : cols_;  // whole rows follow one another
    for (int64_t i = 0; i < rows_ * cols_; i += run, from += w)
      pack_transposed(from, h * w, lanes, run, points_.get() + i * n, n);
  }
  // kRows values below one another.
  template <int kRows>
  struct Column {
    const float* at[kRows];
    int64_t step[kRows];
  };
  template <int kRows>
  Column<kRows> column(int64_t row) const {
    Column<kRows> c;
    for (int i = 0; i < kRows; ++i) {
      const int64_t r = row + i - top_;
      const bool inside = r >= 0 && r < rows_;
      c.at[i] = inside ? points_.get() + r * cols_ * n : kZeros, c.step[i] = inside ? n : 0;
    }
    return c;
  }
  template <int kRows>
  GS_INLINE void read(const Column<kRows>& c, int64_t col, Vec<float>* out) const {
    const int64_t i = col - left_;
    if (i < 0 || i >= cols_) {
      for (int r = 0; r < kRows; ++r) out[r] = Vec<float>{};
      return;
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) out[r] = load(c.at[r] + i * c.step[r]);
  }
  // Sum over the points.
  Vec<float> sum() const {
    Vec<float> sums[4] = {};
    const int64_t count = max_of(rows_, 0) * max_of(cols_, 0);
    int64_t i = 0;
    for (; i + 4 <= count; i += 4)
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) sums[k] += load(points_.get() + (i + k) * n);
    for (; i < count; ++i) sums[0] += load(points_.get() + i * n);
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
  }

 private:
  static constexpr int64_t n = kLanes<float>;
  alignas(64) static constexpr float kZeros[n] = {};

  int64_t top_ = 0, left_ = 0, rows_ = 0, cols_ = 0;
  Scratch<float> points_;
};

// One row of `count` tiles of inputs from (row, col) on: B^T d B to out[product * step + tile *
// next].
GS_INLINE void transform_input_row(const TurnedPlanes& planes, int64_t row, int64_t col,
                                   int64_t count, float* out, int64_t step, int64_t next) {
  const auto column = planes.column<4>(row);
  const auto read = [&](int64_t at, Vec<float>* v) __attribute__((always_inline)) {
    Vec<float> d[4];
    planes.read<4>(column, at, d);
    v[0] = d[0] - d[2], v[1] = d[1] + d[2], v[2] = d[2] - d[1], v[3] = d[1] - d[3];
  };
  Vec<float> v[4][4];
  read(col, v[0]), read(col + 1, v[1]);
  for (int64_t t = 0; t < count; ++t, out += next) {
    read(col + 2 * t + 2, v[2]), read(col + 2 * t + 3, v[3]);
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
      float* to = out + 4 * r * step;
      store(to, v[0][r] - v[2][r]);
      store(to + step, v[1][r] + v[2][r]);
      store(to + 2 * step, v[2][r] - v[1][r]);
      store(to + 3 * step, v[1][r] - v[3][r]);
      v[0][r] = v[2][r], v[1][r] = v[3][r];
    }
  }
}

// The same of tiles of 2 x 2 gradients, A dy A^T; the last row and column have the other sign.
GS_INLINE void transform_gradient_row(const TurnedPlanes& planes, int64_t row, int64_t col,
                                      int64_t count, float* out, int64_t step, int64_t next) {
  const auto column = planes.column<2>(row);
  for (int64_t t = 0; t < count; ++t, out += next) {
    Vec<float> d[2][2], v[2][4];
#pragma GCC unroll 2
    for (int c = 0; c < 2; ++c) {
      planes.read<2>(column, col + 2 * t + c, d[c]);
      v[c][0] = d[c][0], v[c][1] = d[c][0] + d[c][1], v[c][2] = d[c][0] - d[c][1],
      v[c][3] = d[c][1];
    }
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
      float* to = out + 4 * r * step;
      store(to, v[0][r]);
      store(to + step, v[0][r] + v[1][r]);
      store(to + 2 * step, v[0][r] - v[1][r]);
      store(to + 3 * step, v[1][r]);
    }
  }
}

// The sums of the 16 products to the gradients of the 3 x 3 weights, G^T m G.
GS_INLINE void transform_sums(const Vec<float>* m, Vec<float>* dw) {
  Vec<float> rows[3][4];
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    const Vec<float> half = (m[4 + c] + m[8 + c]) * 0.5f;
    rows[0][c] = m[c] + half, rows[1][c] = (m[4 + c] - m[8 + c]) * 0.5f;
    rows[2][c] = half - m[12 + c];
  }
#pragma GCC unroll 3
  for (int r = 0; r < 3; ++r) {
    const Vec<float> half = (rows[r][1] + rows[r][2]) * 0.5f;
    dw[3 * r] = rows[r][0] + half, dw[3 * r + 1] = (rows[r][1] - rows[r][2]) * 0.5f;
    dw[3 * r + 2] = half - rows[r][3];
  }
}

}  // namespace
}  // namespace gs::cpu
