// out[n][m][grid] = act(A (M x K) * patches (K x points) + bias): the forward pass, and the input
// gradient as a product of flipped weights with patches of dy. Every part of the output is one
// task.
#pragma once

#include "core/parallel.h"
#include "cpu/conv_patches.h"
#include "cpu/gemm_kernel.h"
#include "cpu/gemm_pack.h"
#include "kernels/params/gemm.h"

namespace gs::cpu {
namespace {

// Where the points of the grid stand in a plane of the output: (origin + step * g) in both
// directions.
template <class T>
struct PatchOutput {
  T* data;
  int64_t image_stride, plane, width;  // elements; width of a row
  int64_t origin_h, origin_w, step_h, step_w;
  const T* bias;  // one value per row of A over all groups, or null
  Activation activation;
};

// The first `count` values of a vector, `step` apart. With step 2 whole vectors are read and
// written up to `end`; what lies between the values stays.
template <class T>
GS_INLINE void store_spread(T* to, Vec<compute_t<T>> v, int64_t count, int64_t step, const T* end) {
  using C = compute_t<T>;
  if constexpr (std::is_same_v<T, C>) {
    if (step == 2 && count == kLanes<C> && to + 2 * kLanes<C> <= end) {
      Vec<C> even, odd;
      load_pairs(to, &even, &odd);
      return store_pairs(to, v, odd);
    }
  }
  for (int64_t i = 0; i < count; ++i) to[i * step] = static_cast<T>(v[i]);
}

template <class T>
class PatchProduct {
 public:
  using C = compute_t<T>;

  // weight(group, m, channel, tap) gives a value of A.
  PatchProduct(const PatchSource& source, const Taps& taps, const T* src, int64_t groups, int64_t m,
               const PatchOutput<T>& out)
      : s_(source),
        taps_(taps),
        src_(src),
        groups_(groups),
        m_(m),
        k_(source.channels * taps.count()),
        out_(out),
        panel_rows_(even_part(m, kTileRows)),
        panels_(ceil_div(m, panel_rows_)),
        depth_(k_ <= kDepth ? max_of(k_, 1) : even_part(k_, kPassDepth)),
        passes_(max_of(1, ceil_div(k_, depth_))),
        cut_(source, target_columns()),
        weights_(groups * passes_ * panels_ * panel_size()),
        bias_(groups * m) {
    for (int64_t i = 0; i < groups * m; ++i)
      bias_.get()[i] = out.bias ? static_cast<C>(out.bias[i]) : C(0);
  }

  template <class W>
  void run(const W& weight) {
    pack_weights(weight);
    const PatchProduct* self = this;
    run_all(&self, 1, taps_);
  }

  // Products of the same grid with patches of the same planes, their weights packed: what `seen`,
  // the taps of all, see of the planes is copied once.
  static void run_all(const PatchProduct* const* all, int64_t count, const Taps& seen) {
    const PatchProduct* deepest = all[0];
    for (int64_t i = 1; i < count; ++i)
      if (all[i]->k_ > deepest->k_) deepest = all[i];
    const PatchSource& s = deepest->s_;
    const Partition& cut = deepest->cut_;
    const int64_t groups = deepest->groups_, whole = cut.count() * groups;
    // One small image: several tasks pack the same patches, each for some of the rows of A.
    const int64_t splits =
        whole < 4 ? max_of(1, min_of(ceil_div(4, max_of(whole, 1)), deepest->panels_ / 4)) : 1;
    const int64_t tasks = whole * splits, panels = ceil_div(deepest->panels_, splits);
    const int64_t work = cut.most_columns() * max_of(deepest->k_, 1) * deepest->m_ / splits * count;
    parallel_for(0, tasks, max_of(1, 250000 / max_of(work, 1)), [&](int64_t begin, int64_t end) {
      const Scratch<C> memory(Region<T>::size(s, seen, cut));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t group = i / splits % groups, first = i % splits * panels;
        const Part part = cut[i / splits / groups];
        const T* from = deepest->src_ + group * s.channels * s.h * s.w;
        const Region<T> region(s, seen, from, deepest->src_ + s.images * s.image_stride, part,
                               memory.get());
        for (int64_t k = 0; k < count; ++k)
          all[k]->multiply_part(region, part, group, first,
                                min_of(first + panels, deepest->panels_));
      }
    });
  }

  template <class W>
  void pack_weights(const W& weight) {
    const int64_t taps = taps_.count();
    const int64_t work = panel_rows_ * max_of(k_, 1);
    parallel_for(0, groups_ * panels_, max_of(1, 32768 / work), [&](int64_t begin, int64_t end) {
      const Scratch<C*> places(max_of(taps, 1));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t group = i / panels_, panel = i % panels_;
        const int64_t rows = min_of(panel_rows_, m_ - panel * panel_rows_);
        C* to = panel_of(group, 0, panel);
        for (int64_t channel = 0, left = depth_, pass = 0; channel < s_.channels; ++channel) {
          for (int64_t tap = 0; tap < taps; ++tap, --left, to += panel_rows_) {
            if (left == 0) left = depth_, to = panel_of(group, ++pass, panel);
            places.get()[tap] = to;
          }
          // All taps of a row of A before the next: they share a line.
          for (int64_t r = 0; r < rows; ++r)
            for (int64_t tap = 0; tap < taps; ++tap)
              places.get()[tap][r] =
                  static_cast<C>(weight(group, panel * panel_rows_ + r, channel, tap));
        }
      }
    });
  }

 private:
  // Depth of one pass: a panel of patches and one of A stay in L1 together. A single pass may be
  // longer, for it writes straight to the output.
  static constexpr int64_t kDepth = 320, kPassDepth = 192;

  int64_t panel_size() const { return panel_rows_ * depth_ + kPanelSlack<C>; }

  // Points of one task: its patches stay in L2, and with several passes, which read the planes and
  // the sums again, those do; but no images that leave much of the last vector empty.
  int64_t target_columns() const {
    const int64_t fit = min_of(max_of(131072 / max_of(depth_, m_), 8 * kTileCols<C>), 1024);
    const int64_t grid = max_of(s_.grid_h * s_.grid_w, 1);
    const int64_t near = kPassValues / max_of(s_.channels * s_.step_h * s_.step_w + m_, 1);
    if (passes_ == 1 || near < grid || near > fit) return fit;
    const int64_t points = near / grid * grid;
    return 33 * points < 32 * round_up(points, kLanes<C>) ? min_of(2 * near, fit) : near;
  }
  static constexpr int64_t kPassValues = 139264;

  C* panel_of(int64_t group, int64_t pass, int64_t panel) const {
    return weights_.get() + ((group * passes_ + pass) * panels_ + panel) * panel_size();
  }

  void make_offsets(const Region<T>& region, int64_t k, int64_t count, int64_t* offsets) const {
    const int64_t taps = taps_.count();
    for (int64_t i = 0; i < count; ++i)
      offsets[i] = region.offset(taps_, (k + i) / taps, (k + i) % taps);
  }

  // Panels [begin, end) of A against one part: each panel of patches is made, and used while it is
  // in L1.
  void multiply_part(const Region<T>& region, const Part& part, int64_t group, int64_t begin,
                     int64_t end) const {
    constexpr int64_t nr = kTileCols<C>;
    const int64_t columns = part.columns(), panels = ceil_div(columns, nr), row = panels * nr;
    const Scratch<C> packed(nr * depth_ + kLanes<C>),
        sums(row * panel_rows_ * (end - begin) + kLanes<C>);
    const Scratch<Move> moves(row);
    const Scratch<int64_t> counts(panels), places(panels);
    int64_t offsets[kDepth];
    for (int64_t j = 0; j < panels; ++j) {
      const int64_t col = j * nr, cols = min_of(nr, columns - col);
      counts.get()[j] = make_moves(region, part, col, col + cols, moves.get() + col);
      places.get()[j] = direct_place(part, col, cols);
    }
    for (int64_t pass = 0; pass < passes_; ++pass) {
      const int64_t k = pass * depth_, depth = min_of(depth_, k_ - k);
      make_offsets(region, k, depth, offsets);
      for (int64_t j = 0; j < panels; ++j) {
        const int64_t col = j * nr, width = panel_width(columns - col);
        pack_patches(region.base(), region.readable(), offsets, depth, moves.get() + col,
                     counts.get()[j], packed.get(), width);
        for (int64_t i = begin; i < end; ++i) {
          const int64_t rows = min_of(panel_rows_, m_ - i * panel_rows_),
                        first = group * m_ + i * panel_rows_;
          const MicroKernel<C> kernel = micro_kernel<C>(rows, width);
          const C* a = panel_of(group, pass, i);
          if constexpr (std::is_same_v<T, C>) {
            if (places.get()[j] >= 0) {
              const Finish<C> finish{bias_.get() + first, lowest()};
              kernel(depth, a, 1, panel_rows_, packed.get(), width,
                     out_.data + places.get()[j] + first * out_.plane, out_.plane, false, &finish);
              continue;
            }
          }
          kernel(depth, a, 1, panel_rows_, packed.get(), width,
                 sums.get() + (i - begin) * panel_rows_ * row + col, row, pass > 0, nullptr);
        }
      }
    }
    // The columns that have not reached the output yet, in runs of panels.
    for (int64_t j = 0, stop; j < panels; j = stop + 1) {
      for (stop = j; stop < panels && places.get()[stop] < 0;) ++stop;
      for (int64_t i = begin; i < end && stop > j; ++i)
        write_rows(sums.get() + (i - begin) * panel_rows_ * row, row, part,
                   group * m_ + i * panel_rows_, min_of(panel_rows_, m_ - i * panel_rows_), j * nr,
                   min_of(stop * nr, columns));
    }
  }
  static int64_t panel_width(int64_t left) { return left <= kLanes<C> ? kLanes<C> : kTileCols<C>; }

  C lowest() const {
    return out_.activation == Activation::Relu ? C(0) : -static_cast<C>(__builtin_inf());
  }
  bool is_dense(const Part& part) const {
    return out_.step_w == 1 && out_.step_h == 1 && part.w1 - part.w0 == out_.width;
  }

  // Where in the output a whole tile can be written straight from registers: one pass over k, all
  // its columns in one image, side by side. Otherwise -1.
  int64_t direct_place(const Part& part, int64_t col, int64_t cols) const {
    if constexpr (!std::is_same_v<T, C>) return -1;
    const bool simple = out_.activation == Activation::None || out_.activation == Activation::Relu;
    if (passes_ > 1 || cols < panel_width(cols) || !simple || !is_dense(part)) return -1;
    const int64_t image = col / part.per_image(), point = col % part.per_image();
    if (point + cols > part.per_image()) return -1;
    return (part.n0 + image) * out_.image_stride + (out_.origin_h + part.h0) * out_.width + point;
  }

  // Finished sums, columns [begin, end) of a part, to their places in the output.
  void write_rows(const C* sums, int64_t stride, const Part& part, int64_t first, int64_t rows,
                  int64_t begin, int64_t end) const {
    const bool dense = is_dense(part);
    const int64_t width = dense ? part.per_image() : part.w1 - part.w0;  // of a run
    const int64_t runs = dense ? 1 : part.h1 - part.h0;                  // in an image
    for (int64_t j = begin; j < end;) {
      const int64_t run = j / width, at = j % width, count = min_of(width - at, end - j);
      T* to = out_.data + (part.n0 + run / runs) * out_.image_stride + first * out_.plane +
              (out_.origin_h + (part.h0 + run % runs) * out_.step_h) * out_.width + out_.origin_w +
              (part.w0 + at) * out_.step_w;
      // As far as this part's share of the row reaches.
      T* end = to + (count - 1) * out_.step_w + 1;
      for (int64_t r = 0; r < rows; ++r)
        write_run(sums + r * stride + j, count, splat(bias_.get()[first + r]), to + r * out_.plane,
                  end + r * out_.plane);
      j += count;
    }
  }
  void write_run(const C* sums, int64_t count, Vec<C> bias, T* to, T* end) const {
    constexpr int64_t n = kLanes<C>;
    for (int64_t i = 0; i < count; i += n)
      write_points(activate<C>(out_.activation, load(sums + i) + bias), min_of(n, count - i),
                   to + i * out_.step_w, end);
  }
  void write_points(Vec<C> v, int64_t count, T* to, T* end) const {
    if (out_.step_w == 1) return store_tail(to, v, count);
    store_spread(to, v, count, out_.step_w, end);
  }

  const PatchSource& s_;
  const Taps& taps_;
  const T* src_;
  int64_t groups_, m_, k_;
  PatchOutput<T> out_;
  int64_t panel_rows_, panels_, depth_, passes_;
  Partition cut_;
  Scratch<C> weights_, bias_;
};

}  // namespace
}  // namespace gs::cpu
