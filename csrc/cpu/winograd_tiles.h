// The three transforms of Winograd's F(2x2, 3x3) (Lavin and Gray, 2016): 4 x 4 values of an image
// and 3 x 3 weights become 16 values each, their 16 products become 2 x 2 values of the output.
//
// Output 0 of a direction uses rows 0..2 alone and output 1 rows 1..3, also inside the transform:
// nothing leaks from a value into a window that does not see it.
#pragma once

#include "cpu/gemm_write.h"
#include "cpu/shuffle.h"

namespace gs::cpu {
namespace {

inline constexpr int kWinogradProducts = 16;

// Tap t of up to kLanes rows of A in lanes: the 9 taps of row i stand at from + i * lane_stride,
// and nothing is read at `end`. Where a vector is shorter than the taps the last one is gathered.
GS_INLINE void load_taps(const float* from, int64_t lane_stride, int64_t lanes, const float* end,
                         Vec<float>* taps) {
  constexpr int n = kLanes<float>;
#pragma GCC unroll 2
  for (int t = 0; t < 8; t += n) {
    Vec<float> rows[n];
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) {
      const float* at = from + i * lane_stride + t;
      rows[i] = i >= lanes ? Vec<float>{} : at + n <= end ? load(at) : load_tail(at, end - at);
    }
    transpose_vectors<float>(rows);
#pragma GCC unroll 16
    for (int i = 0; i < n && t + i < 9; ++i) taps[t + i] = rows[i];
  }
  if (n > 8) return;
  taps[8] = Vec<float>{};
  for (int i = 0; i < n && i < lanes; ++i) taps[8][i] = from[i * lane_stride + 8];
}

// Weights of `lanes` rows of A, tap t at from + t (or + 8 - t where flipped).
// out[product * step + lane]; writes whole vectors, lanes rounded up.
GS_INLINE void transform_weights(const float* from, int64_t lane_stride, int64_t lanes, bool flip,
                                 const float* end, float* out, int64_t step) {
  constexpr int64_t n = kLanes<float>;
  for (int64_t v = 0; v < lanes; v += n) {
    Vec<float> taps[9];
    load_taps(from + v * lane_stride, lane_stride, lanes - v, end, taps);
    if (flip)
      for (int t = 0; t < 4; ++t) {
        const Vec<float> other = taps[t];
        taps[t] = taps[8 - t], taps[8 - t] = other;
      }
    Vec<float> rows[4][3];
#pragma GCC unroll 3
    for (int c = 0; c < 3; ++c) {
      const Vec<float> a = taps[c], b = taps[3 + c], d = taps[6 + c];
      rows[0][c] = a, rows[1][c] = (a + b + d) * 0.5f;
      rows[2][c] = (a - b + d) * 0.5f, rows[3][c] = d;
    }
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
      const Vec<float> a = rows[r][0], b = rows[r][1], d = rows[r][2];
      float* to = out + 4 * r * step + v;
      store(to, a);
      store(to + step, (a + b + d) * 0.5f);
      store(to + 2 * step, (a - b + d) * 0.5f);
      store(to + 3 * step, d);
    }
  }
}

// One row of an image seen by tiles side by side, one for each lane of V, transformed along the
// row. Values outside [0, width) are zero.
template <class V>
class TileRow {
 public:
  // `col` is where the first tile starts; it can be negative.
  TileRow(int64_t col, int64_t width) : col_(col), width_(width) {
    Mask lane;
    for (int i = 0; i < n; ++i) lane[i] = i;
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const int32_t from = static_cast<int32_t>(col + offset(i));
      inside_[i] = (lane + from >= 0) & (lane + from < static_cast<int32_t>(width));
    }
  }
  // Whole vectors may be read between `begin` and `end`.
  GS_INLINE void read(const float* row, const float* begin, const float* end, V* out) const {
    const float* at = row + col_;
    float copy[2 * n + 2];
    if (at < begin || at + 2 * n + 2 > end) [[unlikely]] {
      for (int64_t i = 0; i < 2 * n + 2; ++i)
        copy[i] = col_ + i >= 0 && col_ + i < width_ ? row[col_ + i] : 0.0f;
      at = copy;
    }
    V v[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      V part;
      __builtin_memcpy(&part, at + offset(i), sizeof part);
      v[i] = inside_[i] ? part : V{};
    }
    const std::make_index_sequence<n> lanes{};
    const V d0 = even_lanes(v[0], v[1], lanes), d1 = odd_lanes(v[0], v[1], lanes);
    const V d2 = even_lanes(v[2], v[3], lanes), d3 = odd_lanes(v[2], v[3], lanes);
    out[0] = d0 - d2, out[1] = d1 + d2, out[2] = d2 - d1, out[3] = d1 - d3;
  }

 private:
  static constexpr int64_t n = sizeof(V) / sizeof(float);
  typedef decltype(V{} < V{}) Mask;
  static constexpr int64_t offset(int i) { return i % 2 * n + i / 2 * 2; }
  int64_t col_, width_;
  Mask inside_[4];
};

// The other direction: four transformed rows to the 16 values, out[product * step].
template <class V>
GS_INLINE void transform_rows(const V (&d)[4][4], float* out, int64_t step) {
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    const V y[4] = {d[0][c] - d[2][c], d[1][c] + d[2][c], d[2][c] - d[1][c], d[1][c] - d[3][c]};
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) __builtin_memcpy(out + (4 * r + c) * step, &y[r], sizeof y[r]);
  }
}

// 16 products of kLanes tiles to their 2 x 2 outputs.
GS_INLINE void transform_products(const float* from, int64_t step, Vec<float> (&y)[2][2]) {
  Vec<float> rows[2][4];
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    const Vec<float> a = load(from + c * step), b = load(from + (4 + c) * step),
                     d = load(from + (8 + c) * step), e = load(from + (12 + c) * step);
    rows[0][c] = a + b + d, rows[1][c] = b - d - e;
  }
#pragma GCC unroll 2
  for (int r = 0; r < 2; ++r) {
    y[r][0] = rows[r][0] + rows[r][1] + rows[r][2];
    y[r][1] = rows[r][1] - rows[r][2] - rows[r][3];
  }
}

}  // namespace
}  // namespace gs::cpu
