// 3 x 3 convolution with stride 1 by Winograd's F(2x2, 3x3): 16 multiplications for 4 outputs
// instead of 36. Serves the forward pass and, with flipped weights, the input gradient; float32.
// Dilated ones are cut into plain ones first (winograd_phases.h).
//
// The output is cut into tiles of 2 x 2. Each task takes a block of rows of tiles: it transforms
// their inputs into 16 matrices (channels x tiles), multiplies each by the transformed weights, and
// transforms the products back, all in L2.
//
// Error: |y - exact| <= c * (n + 16) * eps * sum over the n channels of |d| |g|, where |d| and |g|
// sum the absolute values of a window and of its weights, and eps = 2^-24. c = 4: in one direction
// the three products of an output are at most 2 |d| |g| together; the 16 are the additions of the
// three transforms. It has the form of the direct path's bound, but a large value times a zero
// weight does count. Channels are added in passes of 64 whose sums are added up, so that the error
// on positive data does not grow with their number as one long sum's does.
#pragma once

#include "core/parallel.h"
#include "cpu/gemm_kernel.h"
#include "cpu/part_vec.h"
#include "cpu/scratch.h"
#include "cpu/winograd_phases.h"
#include "cpu/winograd_tiles.h"
#include "kernels/params/conv.h"

namespace gs::cpu {
namespace {

struct WinogradShape {
  int64_t images, channels, h, w;   // source
  int64_t outputs, grid_h, grid_w;  // output planes
  int64_t pad_h, pad_w;
  int64_t output_stride, channel_stride;  // of the weights, from one 3 x 3 block to another
  bool flip;
  bool pool;  // the output is the maxima of the tiles: planes of half the grid, which is even
};

class Winograd {
 public:
  explicit Winograd(const WinogradShape& shape)
      : s_(shape),
        tile_rows_(ceil_div(s_.grid_h, 2)),
        tile_cols_(ceil_div(s_.grid_w, 2)),
        piece_(even_part(tile_cols_, kMostTiles)),
        pieces_(ceil_div(tile_cols_, piece_)),
        units_(s_.images * tile_rows_ * pieces_),
        block_units_(choose_block()),
        tiles_(round_up(block_units_ * piece_, n)),
        panel_rows_(even_part(s_.outputs, kTileRows)),
        panels_(ceil_div(s_.outputs, panel_rows_)),
        panel_size_(s_.channels * panel_rows_ + kLanes<float>),
        group_panels_(even_part(panels_, max_of(1, kProductValues / (tiles_ * panel_rows_)))) {}

  // Where it is faster than the direct path (measured).
  bool pays() const { return s_.channels >= 16 && s_.outputs >= 16 && units_ * piece_ >= 16; }

  // False where a sum is not finite: an infinity is not what IEEE arithmetic makes of the direct
  // sum (differences of inputs are NaN), and the caller must take the direct path. NaN alone would
  // be right, but it is not told apart.
  bool run(const float* src, const float* weight, const float* bias, Activation activation,
           float* out) const {
    const Scratch<float> weights(kWinogradProducts * panels_ * panel_size_);
    pack_weights(weight, weights.get());
    int failed = 0;
    // One small image with many outputs: several tasks transform the same inputs, each for some of
    // the outputs, as long as the transform is little beside the products.
    const int64_t blocks = ceil_div(units_, block_units_);
    const int64_t splits =
        blocks < 4 ? max_of(1, min_of(ceil_div(4, blocks), s_.outputs / 128)) : 1;
    const int64_t share = ceil_div(panels_, splits);
    const int64_t work =
        block_units_ * piece_ * s_.channels * share * panel_rows_ * kWinogradProducts;
    parallel_for(
        0, blocks * splits, max_of(1, 250000 / max_of(work, 1)), [&](int64_t begin, int64_t end) {
          const Scratch<float> inputs(kWinogradProducts * input_step());
          const Scratch<float> products(kWinogradProducts * product_step());
          const Scratch<float> lines(4 * tiles_ + n);
          for (int64_t i = begin; i < end; ++i) {
            const int64_t first = i / splits * block_units_;
            const int64_t last = min_of(first + block_units_, units_);
            const int64_t panel = i % splits * share;
            if (i == begin || i % splits == 0) transform_inputs(src, first, last, inputs.get());
            for (int64_t p = panel, stop; p < min_of(panel + share, panels_); p = stop) {
              stop = min_of(p + group_panels_, min_of(panel + share, panels_));
              multiply(weights.get(), inputs.get(), lanes_of(first, last), p, stop, products.get());
              const int64_t end_row = min_of(stop * panel_rows_, s_.outputs);
              if (!(s_.pool ? write<true>(products.get(), first, last, p * panel_rows_, end_row,
                                          bias, activation, out, lines.get())
                            : write<false>(products.get(), first, last, p * panel_rows_, end_row,
                                           bias, activation, out, lines.get())))
                __atomic_store_n(&failed, 1, __ATOMIC_RELAXED);
            }
          }
        });
    return !failed;
  }

 private:
  static constexpr int64_t n = kLanes<float>;
  // For rows of few tiles: shorter stores cross fewer lines, and two of them are made in a cycle.
  typedef float Half __attribute__((vector_size(kVectorBytes / 2)));
  static constexpr int64_t kMostTiles = 128;
  static constexpr int64_t kMostDepth = 64;  // channels of one pass
  // A block's inputs: half of L2. Its products, made for a few panels of A at a time: an eighth.
  static constexpr int64_t kInputValues = 131072 / kWinogradProducts;
  static constexpr int64_t kProductValues = 32768 / kWinogradProducts;

  // A unit is one row of tiles, or a piece of one where the image is very wide.
  struct Unit {
    int64_t image, row, col, count;  // in tiles
  };
  Unit unit(int64_t i) const {
    const int64_t col = i % pieces_ * piece_, row = i / pieces_;
    return {row / tile_rows_, row % tile_rows_, col, min_of(piece_, tile_cols_ - col)};
  }

  // The unit `run` further on; run is 1, or ends within or just after the image.
  Unit after(const Unit& u, int64_t run) const {
    Unit next = u;
    if ((next.col += piece_) >= tile_cols_) {
      next.col = 0;
      if ((next.row += run) == tile_rows_) next.row = 0, ++next.image;
    }
    next.count = min_of(piece_, tile_cols_ - next.col);
    return next;
  }

  // Units of a block: as many tiles as fit, but the number that leaves the fewest lanes of the last
  // vector empty.
  int64_t choose_block() const {
    const int64_t share = units_ * piece_ / 8;  // some blocks for several threads
    const int64_t fit =
        max_of(min_of(min_of(kInputValues / s_.channels, 2 * kMostTiles), share), 2 * n);
    const int64_t most = max_of(min_of(fit / piece_, units_), 1);
    int64_t best = most;
    auto waste = [&](int64_t units) {
      return static_cast<double>(round_up(units * piece_, n)) / static_cast<double>(units * piece_);
    };
    for (int64_t i = most - 1; 2 * i >= most; --i)
      if (waste(i) < waste(best)) best = i;
    return best;
  }

  // A matrix is a vector longer than it must be: room for what is written past its end, and the 16
  // matrices do not start at the same place of the cache.
  int64_t input_step() const { return s_.channels * tiles_ + n; }
  int64_t product_step() const { return group_panels_ * panel_rows_ * tiles_ + n; }
  int64_t lanes_of(int64_t first, int64_t last) const {
    int64_t sum = 0;
    for (int64_t i = first; i < last; ++i) sum += unit(i).count;
    return sum;
  }

  void pack_weights(const float* weight, float* packed) const {
    const int64_t work = panel_rows_ * s_.channels * kWinogradProducts;
    parallel_for(0, panels_, max_of(1, 32768 / max_of(work, 1)), [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        const int64_t rows = min_of(panel_rows_, s_.outputs - p * panel_rows_);
        for (int64_t c = 0; c < s_.channels; ++c)
          transform_weights(weight + p * panel_rows_ * s_.output_stride + c * s_.channel_stride,
                            s_.output_stride, rows, s_.flip, weight + s_.outputs * s_.channels * 9,
                            packed + p * panel_size_ + c * panel_rows_, panels_ * panel_size_);
      }
    });
  }

  // inputs[product][channel][tile] for the units [first, last). Vectors go from left to right and
  // spill over what is written later.
  void transform_inputs(const float* src, int64_t first, int64_t last, float* inputs) const {
    const int64_t plane = s_.h * s_.w;
    const float* end = src + s_.images * s_.channels * plane;
    for (int64_t c = 0; c < s_.channels; ++c) {
      float* to = inputs + c * tiles_;
      Unit u = unit(first);
      for (int64_t i = first, run; i < last; i += run) {
        // Rows of tiles below one another share two rows of the image.
        run = pieces_ > 1 ? 1 : min_of(tile_rows_ - u.row, last - i);
        const float* from = src + (u.image * s_.channels + c) * plane;
        if (n > 4 && u.count <= n / 2) {
          transform_run<Half>(from, src, end, u, 0, run, to);
        } else {
          for (int64_t t = 0; t < u.count; t += n)
            transform_run<Vec<float>>(from, src, end, u, min_of(t, max_of(u.count - n, 0)), run,
                                      to);
        }
        to += run * u.count;
        u = after(u, run);
      }
    }
  }
  // Tiles from t on, a vector of them, of `run` rows of tiles, one channel.
  template <class V>
  GS_INLINE void transform_run(const float* plane, const float* begin, const float* end,
                               const Unit& u, int64_t t, int64_t run, float* to) const {
    const TileRow<V> reader(2 * (u.col + t) - s_.pad_w, s_.w);
    const int64_t top = 2 * u.row - s_.pad_h;
    V rows[4][4];
    auto read = [&](int64_t h, V* row) {
      if (h >= 0 && h < s_.h) return reader.read(plane + h * s_.w, begin, end, row);
      for (int k = 0; k < 4; ++k) row[k] = V{};
    };
    read(top, rows[0]), read(top + 1, rows[1]);
    for (int64_t r = 0; r < run; ++r) {
      read(top + 2 * r + 2, rows[2]), read(top + 2 * r + 3, rows[3]);
      transform_rows(rows, to + r * u.count + t, input_step());
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) rows[0][k] = rows[2][k], rows[1][k] = rows[3][k];
    }
  }

  // products[product][output][tile] for panels [begin, end) of the weights. Channels are added in
  // passes of limited length and the sums of the passes added up: in one long sum of positive terms
  // every addition would round off a share of the whole.
  void multiply(const float* weights, const float* inputs, int64_t lanes, int64_t begin,
                int64_t end, float* products) const {
    const int64_t pass = even_part(s_.channels, kMostDepth);
    for (int64_t k = 0; k < kWinogradProducts; ++k)
      for (int64_t c = 0; c < s_.channels; c += pass)
        for (int64_t p = begin; p < end; ++p) {
          const float* a = weights + (k * panels_ + p) * panel_size_ + c * panel_rows_;
          const int64_t rows = min_of(panel_rows_, s_.outputs - p * panel_rows_);
          const float* b = inputs + k * input_step() + c * tiles_;
          float* to = products + k * product_step() + (p - begin) * panel_rows_ * tiles_;
          for (int64_t j = 0; j < lanes; j += 2 * n)
            micro_kernel<float>(rows, lanes - j)(min_of(pass, s_.channels - c), a, 1, panel_rows_,
                                                 b + j, tiles_, to + j, tiles_, c > 0, nullptr);
        }
  }

  // Outputs [begin, end) of the units [first, last). False where one is not finite. The maximum
  // of a tile is taken before bias and activation, which keep the order of values.
  template <bool kPool>
  bool write(const float* products, int64_t first, int64_t last, int64_t begin, int64_t end,
             const float* bias, Activation activation, float* out, float* lines) const {
    const int64_t lanes = lanes_of(first, last);
    float *upper = lines, *lower = lines + 2 * tiles_;
    Vec<float> check{};  // stays zero while all are finite
    for (int64_t o = begin; o < end; ++o) {
      const Vec<float> b = splat(bias ? bias[o] : 0.0f);
      const float* from = products + (o - begin) * tiles_;
      for (int64_t j = 0; j < lanes; j += n) {
        Vec<float> y[2][2];
        transform_products(from + j, product_step(), y);
        const Vec<float> sum = (y[0][0] + y[0][1]) + (y[1][0] + y[1][1]);
        check += (lanes - j < n ? first_lanes<float>(sum, lanes - j) : sum) * 0.0f;
        if constexpr (kPool) {
          const Vec<float> up = y[0][0] > y[0][1] ? y[0][0] : y[0][1];
          const Vec<float> low = y[1][0] > y[1][1] ? y[1][0] : y[1][1];
          store(upper + j, activate<float>(activation, (up > low ? up : low) + b));
          continue;
        }
        for (int r = 0; r < 2; ++r)
          for (int c = 0; c < 2; ++c) y[r][c] = activate<float>(activation, y[r][c] + b);
        store_pairs(upper + 2 * j, y[0][0], y[0][1]);
        store_pairs(lower + 2 * j, y[1][0], y[1][1]);
      }
      if constexpr (kPool)
        write_maxima(upper, first, last, o, out);
      else
        write_lines(upper, lower, first, last, o, out);
    }
    return horizontal_sum(check) == 0.0f;
  }

  // The finished rows of all units to one plane of the output, from top to bottom: a vector may
  // spill into a row that follows, as far as this block's rows of the image reach.
  void write_lines(const float* upper, const float* lower, int64_t first, int64_t last, int64_t o,
                   float* out) const {
    Unit u = unit(first);
    for (int64_t i = first, lane = 0; i < last; ++i, u = after(u, 1)) {
      float* plane = out + (u.image * s_.outputs + o) * s_.grid_h * s_.grid_w;
      const int64_t own = pieces_ > 1 ? 0 : min_of(u.row + (last - i), tile_rows_);
      const float* limit = plane + min_of(2 * own, s_.grid_h) * s_.grid_w;
      const int64_t count = min_of(2 * u.count, s_.grid_w - 2 * u.col);
      float* to = plane + 2 * u.row * s_.grid_w + 2 * u.col;
      copy_line(upper + 2 * lane, count, to, limit);
      if (2 * u.row + 1 < s_.grid_h) copy_line(lower + 2 * lane, count, to + s_.grid_w, limit);
      lane += u.count;
    }
  }
  // One value for each tile: rows of tiles that are whole lie behind one another in the plane.
  void write_maxima(const float* line, int64_t first, int64_t last, int64_t o, float* out) const {
    Unit u = unit(first);
    for (int64_t i = first, run; i < last; i += run, u = after(u, run)) {
      run = pieces_ > 1 ? 1 : min_of(tile_rows_ - u.row, last - i);
      const int64_t count = run * u.count;
      float* to = out + ((u.image * s_.outputs + o) * tile_rows_ + u.row) * tile_cols_ + u.col;
      copy_line(line, count, to, to + count);
      line += count;
    }
  }
  static void copy_line(const float* from, int64_t count, float* to, const float* limit) {
    for (int64_t i = 0; i < count; i += n)
      store_tail(to + i, load(from + i), to + i + n <= limit ? n : min_of(n, count - i));
  }

  WinogradShape s_;
  int64_t tile_rows_, tile_cols_, piece_, pieces_, units_, block_units_, tiles_;
  int64_t panel_rows_, panels_, panel_size_, group_panels_;
};

// The convolution of `shape`, dilated; false where the direct path must do it.
inline bool winograd(const WinogradShape& shape, int64_t dilation_h, int64_t dilation_w,
                     const float* src, const float* weight, const float* bias,
                     Activation activation, float* out) {
  if (dilation_h == 1 && dilation_w == 1) {
    const Winograd product(shape);
    return shape.pad_h >= 0 && shape.pad_w >= 0 && product.pays() &&
           product.run(src, weight, bias, activation, out);
  }
  if (shape.pool) return false;
  const WinogradPhases phases(shape.grid_h, shape.grid_w, dilation_h, dilation_w);
  WinogradShape s = shape;
  s.images *= phases.count();
  s.grid_h = phases.rows(), s.grid_w = phases.cols();
  s.h = s.grid_h + 2, s.w = s.grid_w + 2, s.pad_h = s.pad_w = 0;
  const Winograd product(s);
  if (!phases.pays(s.channels, s.outputs) || !product.pays()) return false;
  const Scratch<float> inputs(s.images * s.channels * s.h * s.w);
  const Scratch<float> outputs(s.images * s.outputs * s.grid_h * s.grid_w + kLanes<float>);
  phases.split(src, shape.images, s.channels, shape.h, shape.w, shape.pad_h, shape.pad_w, 2,
               inputs.get());
  if (!product.run(inputs.get(), weight, bias, activation, outputs.get())) return false;
  phases.join(outputs.get(), shape.images, s.outputs, out);
  return true;
}

// The two uses.
inline bool is_winograd(const ConvShape& s) {
  return s.r == 3 && s.s == 3 && s.groups == 1 && s.stride_h == 1 && s.stride_w == 1 && s.n > 0;
}
inline bool winograd_forward(const Conv2d& p) {
  const ConvShape& s = p.shape;
  if (!is_winograd(s)) return false;
  // No window sees the last row or column of an odd plane.
  const int64_t grid_h = p.pool ? s.p / 2 * 2 : s.p, grid_w = p.pool ? s.q / 2 * 2 : s.q;
  return winograd(
      {s.n, s.c, s.h, s.w, s.o, grid_h, grid_w, s.pad_h, s.pad_w, s.c * 9, 9, false, p.pool},
      s.dilation_h, s.dilation_w, static_cast<const float*>(p.x),
      static_cast<const float*>(p.weight), static_cast<const float*>(p.bias), p.activation,
      static_cast<float*>(p.y));
}
inline bool winograd_input_grad(const Conv2dInputGrad& p) {
  const ConvShape& s = p.shape;
  if (!is_winograd(s)) return false;
  const int64_t pad_h = 2 * s.dilation_h - s.pad_h, pad_w = 2 * s.dilation_w - s.pad_w;
  return winograd({s.n, s.o, s.p, s.q, s.c, s.h, s.w, pad_h, pad_w, 9, s.c * 9, true, false},
                  s.dilation_h, s.dilation_w, static_cast<const float*>(p.dy),
                  static_cast<const float*>(p.weight), nullptr, Activation::None,
                  static_cast<float*>(p.dx));
}

}  // namespace
}  // namespace gs::cpu
