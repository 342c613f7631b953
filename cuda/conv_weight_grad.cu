// The weight gradient as a product of matrices: dy (outputs x pixels) times patches of x (pixels x
// channels and taps), summed over the pixels of all images in shares.
#include "conv_taps.cuh"
#include "conv_tf32_tile.cuh"
#include "conv_weight_sums.cuh"
#include "kernels/kernels.h"
#include "kernels/params/conv.h"
#include "runtime/stream.h"

namespace gs::cuda {
namespace {

struct WeightSums {
  ConvAxis vertical = {}, horizontal = {};
  int64_t images = 0, groups = 0, channels = 0, outputs = 0;  // of one group
  int64_t pixels = 0, share = 0;  // of all images, and of one share: a multiple of the tile's K
  int64_t columns = 0, size = 0;  // channels x taps, and values of one share's sums
  int32_t tiles_m = 1, tiles_n = 1;
  const void* x = nullptr;
  const void* dy = nullptr;
};

// A column of the tile: a channel and a tap, as places of the source from a window's corner.
struct alignas(16) ColumnEntry {
  int64_t source;
  int32_t row, column;
};
constexpr int32_t kNowhere = INT32_MIN;  // plus any column: outside, as unsigned

// What a block does: one tile of one group over one share of the pixels. It lies in shared memory:
// registers are scarce while sums are added up.
struct Task {
  int64_t first_output, first_column, group, share;
  int64_t first_pixel;
  int32_t pixels, steps;  // of the share
  GS_DEVICE void prepare(const WeightSums& p, int m, int n, int k) {
    uint32_t block = blockIdx.x;
    first_output = int64_t(block % p.tiles_m) * m, block /= p.tiles_m;
    first_column = int64_t(block % p.tiles_n) * n, block /= p.tiles_n;
    group = block % static_cast<uint32_t>(p.groups);
    share = block / static_cast<uint32_t>(p.groups);
    first_pixel = share * p.share;
    const int64_t left = p.pixels - first_pixel;
    pixels = static_cast<int32_t>(left < p.share ? left : p.share);
    steps = (pixels - 1) / k + 1;
  }
};

// A thread always loads the same pixel of those in a step, for several rows.
template <class T, class Tile>
class PixelLoader {
 public:
  using C = typename Tile::C;

  GS_DEVICE PixelLoader(const WeightSums& p, const Task& t, ColumnEntry* table)
      : p_(p), t_(t), table_(table) {
    for (int i = static_cast<int>(threadIdx.x); i < Tile::kN; i += Tile::kThreads)
      table[i] = entry(t.first_column + i);
    __syncthreads();
    left_ = t.pixels - static_cast<int32_t>(threadIdx.x % Tile::kK);
    const int64_t pixel = t.first_pixel + threadIdx.x % Tile::kK;
    const int64_t of_all = pixel / p.horizontal.result;
    q_ = static_cast<int32_t>(pixel % p.horizontal.result);
    image_ = of_all / p.vertical.result;
    p_row_ = static_cast<int32_t>(of_all % p.vertical.result);
    // A step further, in images, rows and columns.
    const int64_t rows = Tile::kK / p.horizontal.result;
    step_q_ = Tile::kK % p.horizontal.result;
    step_row_ = static_cast<int32_t>(rows % p.vertical.result);
    step_image_ = static_cast<int32_t>(rows / p.vertical.result);
  }

  // Steps are loaded one after another.
  GS_DEVICE void load(int32_t) {
    const T* dy = static_cast<const T*>(p_.dy);
    const T* x = static_cast<const T*>(p_.x);
    const bool live = left_ > 0;
    const int64_t plane = int64_t(p_.vertical.result) * p_.horizontal.result;
    const int64_t image_group = image_ * p_.groups + t_.group;
    const int64_t of_dy =
        image_group * p_.outputs * plane + int64_t(p_row_) * p_.horizontal.result + q_;
    GS_UNROLL for (int i = 0; i < kOfA; ++i) {
      const int64_t output = t_.first_output + row_of(i);
      a_[i] = live && output < p_.outputs ? dy[of_dy + output * plane] : T(0);
    }
    const int32_t top = p_row_ * p_.vertical.stride - p_.vertical.pad;
    const int32_t left = q_ * p_.horizontal.stride - p_.horizontal.pad;
    const uint32_t rows = p_.vertical.source, columns = p_.horizontal.source;
    const int64_t of_x =
        image_group * p_.channels * rows * columns + int64_t(top) * p_.horizontal.source + left;
    GS_UNROLL for (int i = 0; i < kOfB; ++i) {
      const ColumnEntry& e = table_[row_of(i)];
      const bool inside = live && static_cast<uint32_t>(top + e.row) < rows &&
                          static_cast<uint32_t>(left) + static_cast<uint32_t>(e.column) < columns;
      b_[i] = inside ? x[of_x + e.source] : T(0);
    }
    advance();
  }

  GS_DEVICE void store(typename Tile::Operands& to) {
    GS_UNROLL for (int i = 0; i < kOfA; ++i) {
      const C value = widen(a_[i]);
      to.a_at(row_of(i), threadIdx.x % Tile::kK) = typename Tile::Element(a_[i]);
      of_bias_[i] += value;
    }
    GS_UNROLL for (int i = 0; i < kOfB; ++i) to.b_at(row_of(i), threadIdx.x % Tile::kK) =
        typename Tile::Element(b_[i]);
  }

  // Sums of dy over this block's pixels, for the bias: kK neighbouring lanes hold a row's.
  GS_DEVICE void write_bias(C* to) {
    GS_UNROLL for (int i = 0; i < kOfA; ++i) {
      C sum = of_bias_[i];
      GS_UNROLL for (int lanes = Tile::kK / 2; lanes > 0; lanes /= 2) sum +=
          __shfl_xor_sync(0xffffffffu, sum, lanes);
      const int64_t output = t_.first_output + row_of(i);
      if (threadIdx.x % Tile::kK == 0 && output < p_.outputs)
        to[t_.group * p_.outputs + output] = sum;
    }
  }

 private:
  static constexpr int kOfA = Tile::kM * Tile::kK / Tile::kThreads;
  static constexpr int kOfB = Tile::kN * Tile::kK / Tile::kThreads;

  // Row of A or of B that this thread loads: an output, or a channel and tap.
  static GS_DEVICE int row_of(int i) {
    return static_cast<int>(threadIdx.x) / Tile::kK + i * (Tile::kThreads / Tile::kK);
  }

  GS_DEVICE ColumnEntry entry(int64_t at) const {
    if (at >= p_.columns) return {0, 0, kNowhere};
    const uint32_t across = p_.horizontal.window, all = p_.vertical.window * across;
    const uint32_t n = static_cast<uint32_t>(at), channel = n / all, tap = n - channel * all;
    const int32_t row = static_cast<int32_t>(tap / across) * p_.vertical.dilation;
    const int32_t column = static_cast<int32_t>(tap % across) * p_.horizontal.dilation;
    const int64_t plane = int64_t(p_.vertical.source) * p_.horizontal.source;
    return {channel * plane + int64_t(row) * p_.horizontal.source + column, row, column};
  }

  GS_DEVICE void advance() {
    left_ -= Tile::kK;
    q_ += step_q_, p_row_ += step_row_, image_ += step_image_;
    if (q_ >= p_.horizontal.result) q_ -= p_.horizontal.result, ++p_row_;
    if (p_row_ >= p_.vertical.result) p_row_ -= p_.vertical.result, ++image_;
  }

  const WeightSums& p_;
  const Task& t_;
  const ColumnEntry* table_;
  int64_t image_;
  int32_t left_;  // pixels from this one to the end of the share
  int32_t p_row_, q_, step_image_, step_row_, step_q_;
  T a_[kOfA], b_[kOfB];
  C of_bias_[kOfA] = {};
};

template <class T, class Tile>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    weight_grad_kernel(const __grid_constant__ WeightSums p, typename Tile::C* sums_of_shares) {
  GS_SHARED(table, ColumnEntry[Tile::kN]);
  GS_SHARED(task, Task);
  if (threadIdx.x == 0) task.prepare(p, Tile::kM, Tile::kN, Tile::kK);
  __syncthreads();
  PixelLoader<T, Tile> loader(p, task, table);
  const Tile tile;
  typename Tile::Sums sums = {};
  sum_tiles(tile, loader, task.steps, sums);

  typename Tile::C* to = sums_of_shares + task.share * p.size;
  if (task.first_column == 0) loader.write_bias(to + p.groups * p.outputs * p.columns);
  GS_UNROLL for (int i = 0; i < Tile::kRows; ++i) {
    const int64_t output = task.first_output + tile.row_of(i);
    if (output >= p.outputs) continue;
    typename Tile::C* row = to + (task.group * p.outputs + output) * p.columns;
    GS_UNROLL for (int j = 0; j < Tile::kColumns; ++j) {
      const int64_t column = task.first_column + tile.column_of(j);
      if (column < p.columns) row[column] = sums[i][j];
    }
  }
}

// ---------------------------------------------------------------- the sums of the shares

constexpr int kAcross = 32, kDown = 16;  // values of a block, and threads for each

// Thread `down` adds shares down, down + kDown, ...; these sums are then added up in order.
template <class T>
__global__ void __launch_bounds__(kAcross* kDown)
    add_shares_kernel(const compute_t<T>* sums, int64_t shares, int64_t size, int64_t weights,
                      T* dweight, T* dbias) {
  using C = compute_t<T>;
  GS_SHARED(partial, C[kDown][kAcross]);
  const int across = static_cast<int>(threadIdx.x), down = static_cast<int>(threadIdx.y);
  const int64_t at = int64_t(blockIdx.x) * kAcross + across;
  C sum = 0;
  if (at < size)
    for (int64_t share = down; share < shares; share += kDown) sum += sums[share * size + at];
  partial[down][across] = sum;
  __syncthreads();
  if (down != 0 || at >= size) return;
  GS_UNROLL for (int i = 1; i < kDown; ++i) sum += partial[i][across];
  if (at < weights)
    dweight[at] = T(sum);
  else if (dbias)
    dbias[at - weights] = T(sum);
}

// ---------------------------------------------------------------- on the host

template <class T, class Tile>
void run(const Conv2dWeightGrad& p, WeightSums sums) {
  const ConvShape& s = p.shape;
  sums.tiles_m = static_cast<int32_t>(ceil_div(sums.outputs, Tile::kM));
  sums.tiles_n = static_cast<int32_t>(ceil_div(sums.columns, Tile::kN));
  const int64_t blocks = int64_t(sums.tiles_m) * sums.tiles_n * sums.groups;
  constexpr int64_t kShortest = 256;  // pixels: shorter shares are mostly second stage
  static_assert(kShortest % Tile::kK == 0);
  const PixelShares shares(s, ceil_div(kEnoughBlocks, blocks), kShortest);
  sums.share = shares.pixels;
  const Scratch<typename Tile::C> memory(shares.count * sums.size);
  launch({conv_grid(blocks * shares.count), dim3(Tile::kThreads), 0, current_stream()},
         weight_grad_kernel<T, Tile>, sums, memory.data());
  add_weight_shares(p, memory.data(), shares.count);
}

template <class T, class Values>
void run_best(const Conv2dWeightGrad& p) {
  const ConvShape& s = p.shape;
  WeightSums sums;
  sums.vertical = forward_axis(s.h, s.p, s.r, s.stride_h, s.pad_h, s.dilation_h);
  sums.horizontal = forward_axis(s.w, s.q, s.s, s.stride_w, s.pad_w, s.dilation_w);
  sums.images = s.n, sums.groups = s.groups;
  sums.channels = s.c / s.groups, sums.outputs = s.o / s.groups;
  sums.pixels = s.n * s.p * s.q;
  sums.columns = sums.channels * s.r * s.s, sums.size = weight_count(s) + s.o;
  sums.x = p.x, sums.dy = p.dy;
  using Tiles = ConvTiles<Values, true>;
  if constexpr (!std::is_same_v<typename Tiles::Large, typename Tiles::Middle>)
    if (sums.outputs > 64 && sums.columns > 64) return run<T, typename Tiles::Large>(p, sums);
  if (sums.outputs > 32 && sums.columns > 64) return run<T, typename Tiles::Middle>(p, sums);
  run<T, typename Tiles::Small>(p, sums);
}

}  // namespace

template <class C>
void add_weight_shares(const Conv2dWeightGrad& p, const C* sums, int64_t shares) {
  const int64_t weights = weight_count(p.shape), size = weights + p.shape.o;
  visit_floating(p.shape.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_same_v<compute_t<T>, C>)
      launch({conv_grid(ceil_div(size, kAcross)), dim3(kAcross, kDown), 0, current_stream()},
             add_shares_kernel<T>, sums, shares, size, weights, static_cast<T*>(p.dweight),
             static_cast<T*>(p.dbias));
  });
}
template void add_weight_shares(const Conv2dWeightGrad&, const float*, int64_t);
template void add_weight_shares(const Conv2dWeightGrad&, const double*, int64_t);

// dweight (O C/G R S) and dbias (O) from x (N C H W) and dy (N O P Q).
void conv2d_weight_grad(const Conv2dWeightGrad& p) {
  const ConvShape& s = p.shape;
  if (weight_count(s) == 0) return;
  if (s.n * s.p * s.q == 0) {  // nothing to sum; all bits 0 are the number 0
    const size_t size = static_cast<size_t>(size_of(s.dtype));
    check(cudaMemsetAsync(p.dweight, 0, weight_count(s) * size, current_stream()), "conv2d");
    if (p.dbias) check(cudaMemsetAsync(p.dbias, 0, s.o * size, current_stream()), "conv2d");
    return;
  }
  check_conv("conv2d_weight_grad", s);
  if (fits_conv_depthwise_grad(s)) return conv_depthwise_grad(p);
  visit_conv_values(s.dtype, [&](auto tag, auto values) {
    run_best<typename decltype(tag)::type, typename decltype(values)::type>(p);
  });
}

}  // namespace gs::cuda
