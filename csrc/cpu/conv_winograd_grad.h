// The weight gradient of 3 x 3 convolution with stride 1 by Winograd's F(2x2, 3x3): 16
// multiplications for what 4 outputs add to the 9 weights instead of 36; float32.
//
// Weights are cut into blocks of channels x outputs and tiles into groups; each pair is one task,
// which transforms a chunk of tiles at a time and adds its 16 products to 16 sums, all in L2. The
// sums of the groups are added up in order and transformed back.
//
// Error: as in conv_winograd.h, with the tiles in place of the channels; their products are added
// in passes of a chunk.
#pragma once

#include "core/parallel.h"
#include "cpu/gemm_kernel.h"
#include "cpu/part_vec.h"
#include "cpu/scratch.h"
#include "cpu/winograd_grad_tiles.h"
#include "cpu/winograd_phases.h"
#include "kernels/params/conv.h"

namespace gs::cpu {
namespace {

struct WinogradGradShape {
  int64_t images, channels, h, w;   // x
  int64_t outputs, grid_h, grid_w;  // dy
  int64_t pad_h, pad_w;
};

class WinogradGrad {
 public:
  explicit WinogradGrad(const WinogradGradShape& shape)
      : s_(shape),
        tile_rows_(ceil_div(s_.grid_h, 2)),
        tile_cols_(ceil_div(s_.grid_w, 2)),
        piece_(even_part(tile_cols_, kMostTiles)),
        pieces_(ceil_div(tile_cols_, piece_)),
        units_(s_.images * tile_rows_ * pieces_),
        chunk_units_(max_of(min_of(kMostTiles / piece_, units_), 1)),
        tiles_(chunk_units_ * piece_),
        block_channels_(round_up(even_part(s_.channels, kBlock), n)),
        block_outputs_(round_up(even_part(s_.outputs, kBlock), n)),
        channel_blocks_(ceil_div(s_.channels, block_channels_)),
        output_blocks_(ceil_div(s_.outputs, block_outputs_)),
        blocks_(channel_blocks_ * output_blocks_) {
    // Groups of chunks: enough to share the work, not so many that adding them up costs more.
    const int64_t chunks = ceil_div(units_, chunk_units_);
    const int64_t groups = max_of(min_of(ceil_div(16, blocks_), chunks / 4), 1);
    chunks_per_sum_ = ceil_div(chunks, groups);
    sums_ = ceil_div(chunks, chunks_per_sum_);
  }

  // Where it is faster than the direct path (measured).
  bool pays() const { return s_.channels >= 16 && s_.outputs >= 16 && units_ * piece_ >= 64; }

  // False where a gradient is not finite, as Winograd::run.
  bool run(const float* x, const float* dy, float* dweight, float* dbias) const {
    const Scratch<float> sums(sums_ * blocks_ * block_size());
    const Scratch<float> biases(sums_ * output_blocks_ * block_outputs_);
    parallel_for(0, sums_ * blocks_, 1, [&](int64_t begin, int64_t end) {
      const Scratch<float> inputs(kWinogradProducts * step(block_channels_));
      const Scratch<float> gradients(kWinogradProducts * step(block_outputs_));
      TurnedPlanes planes((2 * piece_ + 2) * (2 * kMostRun + 2));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t block = i % blocks_, sum = i / blocks_;
        const int64_t channel = block / output_blocks_, output = block % output_blocks_;
        float* bias = biases.get() + (sum * output_blocks_ + output) * block_outputs_;
        sum_tiles(x, dy, sum, channel, output, inputs.get(), gradients.get(), planes,
                  sums.get() + i * block_size(), channel == 0 ? bias : nullptr);
      }
    });
    int failed = 0;
    const int64_t vectors = block_outputs_ / n;
    const int64_t work = block_channels_ * n * sums_ * kWinogradProducts;
    parallel_for(0, blocks_ * vectors, max_of(1, 32768 / work), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        if (!write(sums.get(), i / vectors, i % vectors * n, dweight))
          __atomic_store_n(&failed, 1, __ATOMIC_RELAXED);
    });
    if (dbias) {
      for (int64_t o = 0; o < s_.outputs; ++o) {
        dbias[o] = biases.get()[o];
        for (int64_t i = 1; i < sums_; ++i)
          dbias[o] += biases.get()[i * output_blocks_ * block_outputs_ + o];
      }
    }
    return !failed;
  }

 private:
  static constexpr int64_t n = kLanes<float>;
  static constexpr int64_t kMostTiles = 64;  // of a chunk
  static constexpr int64_t kBlock = 64;      // channels, outputs
  static constexpr int64_t kMostRun = 6;     // rows of tiles turned over at a time

  // Two of the 16 matrices do not start at the same place of the cache.
  int64_t step(int64_t lanes) const { return tiles_ * lanes + n; }
  int64_t sum_step() const { return block_channels_ * block_outputs_ + n; }
  int64_t block_size() const { return kWinogradProducts * sum_step(); }

  // One group of chunks of tiles for one block of weights.
  void sum_tiles(const float* x, const float* dy, int64_t sum, int64_t channel_block,
                 int64_t output_block, float* inputs, float* gradients, TurnedPlanes& planes,
                 float* sums, float* bias) const {
    const int64_t channel = channel_block * block_channels_, output = output_block * block_outputs_;
    const int64_t channels = min_of(block_channels_, s_.channels - channel);
    const int64_t outputs = min_of(block_outputs_, s_.outputs - output);
    const int64_t width = round_up(outputs, n);
    for (int64_t i = 0; bias && i < width; ++i) bias[i] = 0;
    const int64_t end = min_of((sum + 1) * chunks_per_sum_ * chunk_units_, units_);
    for (int64_t first = sum * chunks_per_sum_ * chunk_units_; first < end; first += chunk_units_) {
      const int64_t last = min_of(first + chunk_units_, end);
      for (int64_t c = 0; c < channels; c += n)
        transform_inputs(x, channel + c, first, last, planes, inputs + c);
      int64_t tiles = 0;
      for (int64_t o = 0; o < width; o += n) {
        const int64_t panel = o / (2 * n) * 2 * n, columns = min_of(2 * n, width - panel);
        tiles = transform_gradients(dy, output + o, first, last, planes,
                                    gradients + panel * tiles_ + o % (2 * n), columns,
                                    bias ? bias + o : nullptr);
      }
      multiply(inputs, gradients, channels, width, tiles, sums,
               first > sum * chunks_per_sum_ * chunk_units_);
    }
  }

  // Units [first, last) in runs of rows of tiles of one image: f(image, row, col, rows, cols).
  template <class F>
  void for_each_run(int64_t first, int64_t last, const F& f) const {
    for (int64_t i = first, run; i < last; i += run) {
      const int64_t col = i % pieces_ * piece_, row = i / pieces_;
      run = pieces_ > 1 ? 1 : min_of(min_of(tile_rows_ - row % tile_rows_, last - i), kMostRun);
      f(row / tile_rows_, row % tile_rows_, col, run, min_of(piece_, tile_cols_ - col));
    }
  }

  // inputs[product][tile][channel], a vector of channels.
  void transform_inputs(const float* x, int64_t channel, int64_t first, int64_t last,
                        TurnedPlanes& planes, float* to) const {
    const int64_t lanes = min_of(n, s_.channels - channel);
    for_each_run(first, last,
                 [&](int64_t image, int64_t row, int64_t col, int64_t rows, int64_t cols) {
                   const int64_t top = 2 * row - s_.pad_h, left = 2 * col - s_.pad_w;
                   planes.fill(x + (image * s_.channels + channel) * s_.h * s_.w, lanes, s_.h, s_.w,
                               top, 2 * rows + 2, left, 2 * cols + 2);
                   for (int64_t r = 0; r < rows; ++r, to += cols * block_channels_)
                     transform_input_row(planes, top + 2 * r, left, cols, to, step(block_channels_),
                                         block_channels_);
                 });
  }
  // gradients[product][panel][tile][output], a vector of outputs; the number of tiles.
  int64_t transform_gradients(const float* dy, int64_t output, int64_t first, int64_t last,
                              TurnedPlanes& planes, float* to, int64_t columns, float* bias) const {
    const int64_t lanes = min_of(n, s_.outputs - output);
    Vec<float> sum{};
    int64_t tiles = 0;
    for_each_run(first, last,
                 [&](int64_t image, int64_t row, int64_t col, int64_t rows, int64_t cols) {
                   planes.fill(dy + (image * s_.outputs + output) * s_.grid_h * s_.grid_w, lanes,
                               s_.grid_h, s_.grid_w, 2 * row, 2 * rows, 2 * col, 2 * cols);
                   if (bias) sum += planes.sum();
                   for (int64_t r = 0; r < rows; ++r, to += cols * columns)
                     transform_gradient_row(planes, 2 * (row + r), 2 * col, cols, to,
                                            step(block_outputs_), columns);
                   tiles += rows * cols;
                 });
    if (bias) store(bias, load(bias) + sum);
    return tiles;
  }

  // sums[product][channel][output] = or += inputs^T * gradients.
  void multiply(const float* inputs, const float* gradients, int64_t channels, int64_t width,
                int64_t tiles, float* sums, bool accumulate) const {
    const int64_t panel_rows = even_part(channels, kTileRows);
    for (int64_t k = 0; k < kWinogradProducts; ++k)
      for (int64_t o = 0; o < width; o += 2 * n) {
        const int64_t columns = min_of(2 * n, width - o);
        for (int64_t c = 0; c < channels; c += panel_rows)
          micro_kernel<float>(min_of(panel_rows, channels - c), columns)(
              tiles, inputs + k * step(block_channels_) + c, 1, block_channels_,
              gradients + k * step(block_outputs_) + o * tiles_, columns,
              sums + k * sum_step() + c * block_outputs_ + o, block_outputs_, accumulate, nullptr);
      }
  }

  // Weights of one vector of outputs of one block. False where one is not finite.
  bool write(const float* sums, int64_t block, int64_t from, float* dweight) const {
    const int64_t channel = block / output_blocks_ * block_channels_;
    const int64_t output = block % output_blocks_ * block_outputs_ + from;
    const int64_t channels = min_of(block_channels_, s_.channels - channel);
    const int64_t lanes = min_of(n, s_.outputs - output);
    Vec<float> check{};  // stays zero while all are finite
    for (int64_t c = 0; c < channels && lanes > 0; c += n) {
      const int64_t some = min_of(n, channels - c), count = 9 * some;
      Vec<float> dw[9 * n + n];
      for (int64_t i = 0; i < some; ++i) {
        const float* at = sums + block * block_size() + (c + i) * block_outputs_ + from;
        Vec<float> m[kWinogradProducts];
#pragma GCC unroll 16
        for (int k = 0; k < kWinogradProducts; ++k) m[k] = load(at + k * sum_step());
        for (int64_t g = 1; g < sums_; ++g)
#pragma GCC unroll 16
          for (int k = 0; k < kWinogradProducts; ++k)
            m[k] += load(at + g * blocks_ * block_size() + k * sum_step());
        transform_sums(m, dw + 9 * i);
        for (int t = 0; t < 9; ++t) check += first_lanes<float>(dw[9 * i + t], lanes) * 0.0f;
      }
      for (int64_t i = count; i < round_up(count, n); ++i) dw[i] = Vec<float>{};
      float* to = dweight + (output * s_.channels + channel + c) * 9;
      for (int64_t k = 0; k < count; k += n) {
        transpose<float>(dw + k);
        for (int64_t i = 0; i < lanes; ++i)
          store_tail(to + i * s_.channels * 9 + k, dw[k + i], min_of(n, count - k));
      }
    }
    return horizontal_sum(check) == 0.0f;
  }

  WinogradGradShape s_;
  int64_t tile_rows_, tile_cols_, piece_, pieces_, units_, chunk_units_, tiles_;
  int64_t block_channels_, block_outputs_, channel_blocks_, output_blocks_, blocks_;
  int64_t chunks_per_sum_, sums_;
};

// False where the direct path must do it.
inline bool winograd_weight_grad(const Conv2dWeightGrad& p) {
  const ConvShape& s = p.shape;
  if (!is_winograd(s)) return false;
  const float *x = static_cast<const float*>(p.x), *dy = static_cast<const float*>(p.dy);
  float *dweight = static_cast<float*>(p.dweight), *dbias = static_cast<float*>(p.dbias);
  if (s.dilation_h == 1 && s.dilation_w == 1) {
    const WinogradGrad grad({s.n, s.c, s.h, s.w, s.o, s.p, s.q, s.pad_h, s.pad_w});
    return grad.pays() && grad.run(x, dy, dweight, dbias);
  }
  const WinogradPhases phases(s.p, s.q, s.dilation_h, s.dilation_w);
  const int64_t images = s.n * phases.count(), rows = phases.rows(), cols = phases.cols();
  const WinogradGrad grad({images, s.c, rows + 2, cols + 2, s.o, rows, cols, 0, 0});
  if (!phases.pays(s.c, s.o) || !grad.pays()) return false;
  const Scratch<float> inputs(images * s.c * (rows + 2) * (cols + 2));
  const Scratch<float> gradients(images * s.o * rows * cols);
  phases.split(x, s.n, s.c, s.h, s.w, s.pad_h, s.pad_w, 2, inputs.get());
  phases.split(dy, s.n, s.o, s.p, s.q, 0, 0, 0, gradients.get());
  return grad.run(inputs.get(), gradients.get(), dweight, dbias);
}

}  // namespace
}  // namespace gs::cpu
