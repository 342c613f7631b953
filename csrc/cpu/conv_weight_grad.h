// The weight gradient: dW^T (K x O) = sum over all points of patches (K x points) * dy^T (points x
// O), for each group. Points are summed in groups of parts that depend on the shape alone; the
// partial sums of the groups are added in order.
#pragma once

#include "core/parallel.h"
#include "cpu/conv_patches.h"
#include "cpu/gemm_kernel.h"
#include "cpu/gemm_pack.h"

namespace gs::cpu {
namespace {

template <class T>
class WeightGrad {
 public:
  using C = compute_t<T>;

  WeightGrad(const PatchSource& source, const Taps& taps, const T* x, const T* dy, int64_t groups,
             int64_t outputs, T* dweight, T* dbias)
      : s_(source),
        taps_(taps),
        x_(x),
        dy_(dy),
        groups_(groups),
        outputs_(outputs),
        out_row_(round_up(outputs, kLanes<C>)),
        k_(source.channels * taps.count()),
        dweight_(dweight),
        dbias_(dbias),
        cut_(source, 256) {
    // Channels in blocks, so that the patches of a part stay in L2 and a deep layer has tasks
    // enough.
    block_channels_ = even_part(s_.channels, max_of(1, 320 / max_of(taps.count(), 1)));
    blocks_ = ceil_div(s_.channels, block_channels_);
    // Sums of the points: enough groups to share the work, not so many that adding them up costs
    // more.
    const int64_t sum_size = (k_ + 1) * out_row_, parts = max_of(cut_.count(), 1);
    const int64_t wanted = ceil_div(16, blocks_ * groups_);
    const int64_t affordable = max_of(1, (int64_t{4} << 20) / max_of(sum_size * groups_, 1));
    parts_per_sum_ = max_of(ceil_div(parts, min_of(wanted, affordable)), 1);
    sums_ = ceil_div(parts, parts_per_sum_);
  }

  void run() {
    const int64_t sum_size = (k_ + 1) * out_row_;  // the last row: dbias
    const Scratch<C> sums(groups_ * sums_ * sum_size);
    const int64_t work = parts_per_sum_ * cut_.most_columns() * outputs_ * k_ / blocks_;
    parallel_for(0, groups_ * sums_ * blocks_, max_of(1, 250000 / max_of(work, 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t block = i % blocks_, sum = i / blocks_;
                     sum_points(sum / sums_, sum % sums_, block, sums.get() + sum * sum_size);
                   }
                 });
    const int64_t vectors = out_row_ / kLanes<C>;
    parallel_for(0, groups_ * vectors, max_of(1, 32768 / max_of(k_ * sums_ * kLanes<C>, 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i)
                     add_up(sums.get(), i / vectors, i % vectors * kLanes<C>);
                 });
  }

 private:
  // One group of parts and one block of channels into `out` (K x O).
  void sum_points(int64_t group, int64_t sum, int64_t block, C* out) const {
    constexpr int64_t nr = kTileCols<C>;
    const int64_t taps = taps_.count(), channel = block * block_channels_;
    const int64_t rows = min_of(block_channels_, s_.channels - channel) * taps;
    const int64_t most = cut_.most_columns(), row = round_up(most, kLanes<C>) + kLanes<C>;
    const int64_t panel_rows = even_part(rows, kTileRows);
    PatchSource own = s_;  // only this block's channels are padded
    own.channels = rows / max_of(taps, 1);
    const Scratch<C> memory(Region<T>::size(own, taps_, cut_));
    const Scratch<C> patches(rows * row + kLanes<C>), packed(most * out_row_);
    const Scratch<Move> moves(most);
    const Scratch<int64_t> offsets(rows);

    C* to = out + channel * taps * out_row_;
    for (int64_t i = 0; i < rows * out_row_; ++i) to[i] = 0;
    C* bias = block == 0 ? out + k_ * out_row_ : nullptr;
    for (int64_t i = 0; bias && i < out_row_; ++i) bias[i] = 0;

    const int64_t last = min_of((sum + 1) * parts_per_sum_, cut_.count());
    for (int64_t p = sum * parts_per_sum_; p < last; ++p) {
      const Part part = cut_[p];
      const int64_t columns = part.columns();
      const Region<T> region(own, taps_, x_ + (group * s_.channels + channel) * s_.h * s_.w,
                             x_ + s_.images * s_.image_stride, part, memory.get());
      for (int64_t k = 0; k < rows; ++k)
        offsets.get()[k] = region.offset(taps_, k / taps, k % taps);
      const int64_t count = make_moves(region, part, 0, columns, moves.get());
      pack_patches(region.base(), region.readable(), offsets.get(), rows, moves.get(), count,
                   patches.get(), row);
      pack_dy(part, group, packed.get());
      if (bias) add_bias(packed.get(), columns, bias);
      // A panel of dy stays in L1 while the patches pass by from L2.
      for (int64_t j = 0; j < out_row_; j += nr)
        for (int64_t i = 0; i < rows; i += panel_rows) {
          const int64_t width = min_of(nr, out_row_ - j);
          micro_kernel<C>(min_of(panel_rows, rows - i), width)(
              columns, patches.get() + i * row, row, 1, packed.get() + j * columns, width,
              to + i * out_row_ + j, out_row_, true, nullptr);
        }
    }
  }

  // dy of a part as panels (points x outputs).
  void pack_dy(const Part& part, int64_t group, C* out) const {
    constexpr int64_t nr = kTileCols<C>;
    const int64_t plane = s_.grid_h * s_.grid_w, points = part.per_image();
    for (int64_t j = 0; j < out_row_; j += nr) {
      const int64_t width = min_of(nr, out_row_ - j), lanes = min_of(nr, outputs_ - j);
      for (int64_t n = part.n0; n < part.n1; ++n, out += points * width) {
        const T* from =
            dy_ + ((n * groups_ + group) * outputs_ + j) * plane + part.h0 * s_.grid_w + part.w0;
        pack_panel(from, plane, 1, lanes, outputs_ - j, points, out, width);
      }
    }
  }

  // bias[o] += sum over the points of the packed dy.
  void add_bias(const C* packed, int64_t columns, C* bias) const {
    constexpr int64_t nr = kTileCols<C>, n = kLanes<C>;
    for (int64_t j = 0; j < out_row_; j += nr) {
      const int64_t width = min_of(nr, out_row_ - j);
      for (int64_t v = 0; v < width; v += n) {
        Vec<C> sum[4] = {};
        int64_t i = 0;
        for (; i + 4 <= columns; i += 4)
#pragma GCC unroll 4
          for (int u = 0; u < 4; ++u) sum[u] += load(packed + (i + u) * width + v);
        for (; i < columns; ++i) sum[0] += load(packed + i * width + v);
        store(bias + j + v, load(bias + j + v) + ((sum[0] + sum[1]) + (sum[2] + sum[3])));
      }
      packed += columns * width;
    }
  }

  // Adds the partial sums of one vector of outputs and turns them into rows of dW.
  void add_up(const C* sums, int64_t group, int64_t o) const {
    constexpr int64_t n = kLanes<C>;
    const int64_t sum_size = (k_ + 1) * out_row_, lanes = min_of(n, outputs_ - o);
    const C* first = sums + group * sums_ * sum_size + o;
    auto total = [&](int64_t k) {
      Vec<C> v = load(first + k * out_row_);
      for (int64_t i = 1; i < sums_; ++i) v += load(first + i * sum_size + k * out_row_);
      return v;
    };
    T* to = dweight_ + (group * outputs_ + o) * k_;
    for (int64_t k = 0; k < k_; k += n) {
      const int64_t count = min_of(n, k_ - k);
      Vec<C> v[n] = {};
      for (int64_t i = 0; i < count; ++i) v[i] = total(k + i);
      transpose<C>(v);
      for (int64_t i = 0; i < lanes; ++i) store_tail(to + i * k_ + k, v[i], count);
    }
    if (dbias_) store_tail(dbias_ + group * outputs_ + o, total(k_), lanes);
  }

  const PatchSource& s_;
  const Taps& taps_;
  const T* x_;
  const T* dy_;
  int64_t groups_, outputs_, out_row_, k_;
  T* dweight_;
  T* dbias_;
  Partition cut_;
  int64_t block_channels_, blocks_, parts_per_sum_, sums_;
};

}  // namespace
}  // namespace gs::cpu
