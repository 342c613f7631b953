// Patches of images: the K x pixels matrix that turns a convolution into a matrix product, made a
// piece at a time in cache and never written in full.
//
// One description serves the forward pass and the input gradient. At grid point (gh, gw) the value
// of tap t of channel c is src[c][gh * step_h + row(t)][gw * step_w + col(t)], zero outside the
// plane.
#pragma once

#include "cpu/gemm_blocks.h"
#include "cpu/gemm_write.h"
#include "cpu/part_vec.h"
#include "cpu/scratch.h"

namespace gs::cpu {
namespace {

// Row and column of each tap, relative to the grid point; they can be negative.
class Taps {
 public:
  explicit Taps(int64_t most) : memory_(2 * max_of(most, 1)), most_(max_of(most, 1)) {}
  void add(int64_t row, int64_t col) {
    memory_.get()[count_] = row;
    memory_.get()[most_ + count_++] = col;
    if (count_ == 1) row_min = row_max = row, col_min = col_max = col;
    row_min = min_of(row_min, row), row_max = max_of(row_max, row);
    col_min = min_of(col_min, col), col_max = max_of(col_max, col);
  }
  int64_t count() const { return count_; }
  int64_t row(int64_t t) const { return memory_.get()[t]; }
  int64_t col(int64_t t) const { return memory_.get()[most_ + t]; }

  int64_t row_min = 0, row_max = 0, col_min = 0, col_max = 0;

 private:
  Scratch<int64_t> memory_;
  int64_t most_, count_ = 0;
};

struct PatchSource {
  int64_t channels;      // of one group
  int64_t h, w;          // a plane
  int64_t image_stride;  // elements from one image to the next
  int64_t images, grid_h, grid_w;
  int64_t step_h, step_w;
};

// What one task covers: images x grid rows x grid columns, as one row of `columns()` points.
struct Part {
  int64_t n0, n1, h0, h1, w0, w1;
  int64_t per_image() const { return (h1 - h0) * (w1 - w0); }
  int64_t columns() const { return (n1 - n0) * per_image(); }
};

// Cuts images x grid into parts of about `target` points: whole images, whole rows, or pieces of a
// row.
struct Partition {
  int64_t images, rows, cols;  // of one part
  int64_t image_parts, row_parts, col_parts;
  PatchSource s;

  Partition(const PatchSource& source, int64_t target) : s(source) {
    const int64_t grid = max_of(s.grid_h * s.grid_w, 1);
    images = even_part(s.images, max_of(1, target / grid));
    rows = even_part(s.grid_h, max_of(1, target / max_of(s.grid_w, 1)));
    cols = even_part(s.grid_w, target);
    if (images > 1) rows = max_of(s.grid_h, 1), cols = max_of(s.grid_w, 1);
    if (rows > 1) cols = max_of(s.grid_w, 1);
    image_parts = ceil_div(s.images, images);
    row_parts = ceil_div(s.grid_h, rows);
    col_parts = ceil_div(s.grid_w, cols);
  }
  int64_t count() const { return image_parts * row_parts * col_parts; }
  Part operator[](int64_t i) const {
    const int64_t w0 = i % col_parts * cols, h0 = i / col_parts % row_parts * rows;
    const int64_t n0 = i / col_parts / row_parts * images;
    return {n0, min_of(n0 + images, s.images), h0, min_of(h0 + rows, s.grid_h),
            w0, min_of(w0 + cols, s.grid_w)};
  }
  int64_t most_columns() const { return images * rows * cols; }
};

// Lanes p[0], p[step], p[2 * step] ... as far as two vectors reach; what follows is anything.
template <class C>
GS_INLINE Vec<C> every(const C* p, int64_t step) {
  using I = std::conditional_t<sizeof(C) == 4, int32_t, int64_t>;
  Vec<I> index;
#pragma GCC unroll 16
  for (int i = 0; i < kLanes<C>; ++i) index[i] = i;
  return __builtin_shuffle(load(p), load(p + kLanes<C>), index * static_cast<I>(step));
}

// out[phase][i] = row[left + i * step + phase] where that is inside [0, w), of the first `phases`
// phases; the padding around it is zero already, and up to two vectors of it, or of what follows,
// are written with zeros again.
template <class T>
void copy_row(const T* row, const T* end, int64_t w, int64_t left, int64_t step, int64_t phases,
              int64_t phase_size, compute_t<T>* out) {
  using C = compute_t<T>;
  constexpr int64_t n = kLanes<C>;
  const int64_t from = max_of(-left, 0), to = min_of(w - left, phase_size * step);
  row += left;
  if (step == 1) {
    int64_t i = from;
    for (; i + n <= to; i += n) store(out + i, load(row + i));
    if (i < to) {
      const bool readable = row + i + n <= end;
      store(out + i, readable ? load_masked(row + i, to - i) : load_tail(row + i, to - i));
    }
    return;
  }
  for (int64_t phase = 0; phase < phases; ++phase, out += phase_size) {
    int64_t i = max_of(ceil_div(from - phase, step), 0);
    const int64_t stop = ceil_div(to - phase, step);
    if constexpr (std::is_same_v<T, C>) {
      if (step == 2) {
        for (; i < stop && row + 2 * (i + n) + phase <= end; i += n) {
          Vec<C> even, odd;
          load_pairs(row + 2 * i + phase, &even, &odd);
          store(out + i, stop - i < n ? first_lanes<C>(even, stop - i) : even);
        }
      }
    }
    if constexpr (std::is_same_v<T, C> && n >= 8) {
      // The values that two vectors of the row hold, by one shuffle.
      const int64_t each = 2 * n / step;
      for (; each > 1 && i < stop && row + i * step + phase + 2 * n <= end; i += each)
        store(out + i,
              first_lanes<C>(every<C>(row + i * step + phase, step), min_of(each, stop - i)));
    }
    for (; i < stop; ++i) out[i] = static_cast<C>(row[i * step + phase]);
  }
}

// The planes that a part needs, padded with zeros, in compute type. With step_w > 1 every row is
// stored as step_w phases one after another, so that neighbours on the grid are neighbours in
// memory. A source that needs none of this is read where it is.
template <class T>
class Region {
 public:
  using C = compute_t<T>;

  static int64_t padded_rows(const PatchSource& s, const Taps& taps, int64_t rows) {
    return (rows - 1) * s.step_h + taps.row_max - taps.row_min + 1;
  }
  static int64_t phase_length(const PatchSource& s, const Taps& taps, int64_t cols) {
    return ceil_div((cols - 1) * s.step_w + taps.col_max - taps.col_min + 1, s.step_w);
  }
  static bool in_place(const PatchSource& s, const Taps& taps) {
    if constexpr (!std::is_same_v<T, C>) return false;
    return s.step_w == 1 && taps.row_min >= 0 && taps.col_min >= 0 &&
           (s.grid_h - 1) * s.step_h + taps.row_max < s.h && s.grid_w - 1 + taps.col_max < s.w;
  }
  // Values to allocate for the largest part of a partition; a vector may be read past the last.
  static int64_t size(const PatchSource& s, const Taps& taps, const Partition& cut) {
    if (in_place(s, taps)) return 0;
    return cut.images * s.channels * padded_rows(s, taps, cut.rows) * s.step_w *
               phase_length(s, taps, cut.cols) +
           2 * kLanes<C>;
  }

  // `group` is the first plane of the group, `end` the end of the whole source.
  Region(const PatchSource& s, const Taps& taps, const T* group, const T* end, const Part& part,
         C* memory)
      : s_(s), taps_(taps), end_(end) {
    if constexpr (std::is_same_v<T, C>) {
      if (in_place(s, taps)) {
        row_ = s.w, plane_ = s.h * s.w, image_ = s.image_stride, phase_ = s.w;
        row_base_ = 0, col_base_ = 0;
        base_ = group + part.n0 * image_ + part.h0 * s.step_h * row_ + part.w0;
        // From here to the end of the last plane of this group in the last image.
        readable_ = (s.images - 1 - part.n0) * image_ + s.channels * plane_ -
                    part.h0 * s.step_h * row_ - part.w0;
        return;
      }
    }
    row_base_ = taps.row_min, col_base_ = taps.col_min;
    phase_ = phase_length(s, taps, part.w1 - part.w0);
    row_ = s.step_w * phase_;
    const int64_t rows = padded_rows(s, taps, part.h1 - part.h0);
    plane_ = rows * row_;
    image_ = s.channels * plane_;
    base_ = memory;
    readable_ = (part.n1 - part.n0) * image_ + 2 * kLanes<C>;
    const int64_t top = part.h0 * s.step_h + taps.row_min, left = part.w0 * s.step_w + taps.col_min;
    const bool skips = taps.row_max - taps.row_min + 1 < s.step_h;
    for (int64_t n = part.n0; n < part.n1; ++n)
      for (int64_t c = 0; c < s.channels; ++c) {
        const T* from = group + n * s.image_stride + c * s.h * s.w;
        for (int64_t r = 0; r < rows; ++r, memory += row_) {
          if (skips && r % s.step_h > taps.row_max - taps.row_min) continue;  // no tap sees it
          const int64_t h = top + r;
          fill_row(h < 0 || h >= s.h ? nullptr : from + h * s.w, left, memory);
        }
      }
    for (int64_t i = 0; i < 2 * kLanes<C>; ++i) memory[i] = 0;
  }

  const C* base() const { return base_; }
  int64_t image() const { return image_; }
  int64_t readable() const { return readable_; }
  // Where the value of (channel, tap) of the first grid point stands, of these or of some of the
  // region's taps.
  int64_t offset(const Taps& taps, int64_t channel, int64_t tap) const {
    const int64_t col = taps.col(tap) - col_base_;
    return channel * plane_ + (taps.row(tap) - row_base_) * row_ + col % s_.step_w * phase_ +
           col / s_.step_w;
  }
  // From one grid row to the next.
  int64_t grid_row() const { return s_.step_h * row_; }

 private:
  // One padded row: out[phase][i] = row[left + i * step_w + phase].
  void fill_row(const T* row, int64_t left, C* out) const {
    if (!row) {
      for (int64_t i = 0; i < row_; i += kLanes<C>) store(out + i, Vec<C>{});
      return;
    }
    if (s_.step_w == 1) {
      // Whole vectors: what they write past the row is the next row's to overwrite.
      constexpr int64_t n = kLanes<C>;
      const int64_t from = min_of(max_of(-left, 0), row_);
      const int64_t to = max_of(from, min_of(s_.w - left, row_));
      for (int64_t i = 0; i < from; i += n) store(out + i, Vec<C>{});
      int64_t i = from;
      for (row += left; i + n <= to; i += n) store(out + i, load(row + i));
      if (i < to) {
        const bool readable = row + i + n <= end_;
        store(out + i, readable ? load_masked(row + i, to - i) : load_tail(row + i, to - i));
        i += n;
      }
      for (; i < row_; i += n) store(out + i, Vec<C>{});
      return;
    }
    const int64_t phases = min_of(s_.step_w, taps_.col_max - taps_.col_min + 1);
    for (int64_t i = 0; i < phases * phase_; i += kLanes<C>) store(out + i, Vec<C>{});
    copy_row(row, end_, s_.w, left, s_.step_w, phases, phase_, out);
  }

  const PatchSource& s_;
  const Taps& taps_;
  const T* end_;
  const C* base_;
  int64_t row_, plane_, image_, phase_, row_base_, col_base_, readable_;
};

// A run of grid points as copies of one vector each. Copies go from left to right and may write
// past their points: the next copy, or the next row of the panel, overwrites that.
struct Move {
  int64_t lane, from, count;
};

// The moves for columns [begin, end) of a part. `moves` has room for end - begin.
template <class T>
int64_t make_moves(const Region<T>& region, const Part& part, int64_t begin, int64_t end,
                   Move* moves) {
  constexpr int64_t n = kLanes<compute_t<T>>;
  const int64_t width = part.w1 - part.w0, per_image = part.per_image();
  int64_t count = 0, run_from = 0, run_lane = 0, run = 0;
  auto flush = [&] {
    for (int64_t i = 0; i < run; i += n)
      moves[count++] = {run_lane + i, run_from + i, min_of(n, run - i)};
  };
  int64_t image = begin / per_image, row = begin % per_image / width, col = begin % width;
  for (int64_t j = begin; j < end;) {
    const int64_t length = min_of(width - col, end - j);
    const int64_t from = image * region.image() + row * region.grid_row() + col;
    if (run && from == run_from + run) {
      run += length;
    } else {
      flush();
      run_from = from, run_lane = j - begin, run = length;
    }
    j += length;
    col = 0;
    if (++row == part.h1 - part.h0) row = 0, ++image;
  }
  flush();
  return count;
}

template <int K, class C>
GS_INLINE void copy_moves(const C* base, const int64_t* offsets, int64_t depth, const Move* moves,
                          int64_t count, C* out, int64_t width) {
  for (int64_t k = 0; k < depth; ++k, out += width) {
    const C* from = base + offsets[k];
    if constexpr (K > 0) {
#pragma GCC unroll 4
      for (int i = 0; i < K; ++i) store(out + moves[i].lane, load(from + moves[i].from));
    } else {
      for (int64_t i = 0; i < count; ++i) store(out + moves[i].lane, load(from + moves[i].from));
    }
  }
}

// out[k * width + lane] for `depth` values of k at base + offsets[k]. Up to a vector past the end
// of `out` is written. Lanes past the last point hold anything.
template <class C>
void pack_patches(const C* base, int64_t readable, const int64_t* offsets, int64_t depth,
                  const Move* moves, int64_t count, C* out, int64_t width) {
  int64_t last = 0;
  for (int64_t k = 0; k < depth; ++k) last = max_of(last, offsets[k]);
  for (int64_t i = 0; i < count; ++i)
    if (last + moves[i].from + kLanes<C> > readable) {
      // The end of a source that is read in place: vectors would reach past it.
      for (int64_t k = 0; k < depth; ++k)
        for (int64_t j = 0; j < count; ++j) {
          const Vec<C> v = load_tail(base + offsets[k] + moves[j].from, moves[j].count);
          store(out + k * width + moves[j].lane, v);
        }
      return;
    }
  switch (count) {
    case 1:
      return copy_moves<1>(base, offsets, depth, moves, count, out, width);
    case 2:
      return copy_moves<2>(base, offsets, depth, moves, count, out, width);
    case 3:
      return copy_moves<3>(base, offsets, depth, moves, count, out, width);
    case 4:
      return copy_moves<4>(base, offsets, depth, moves, count, out, width);
    default:
      return copy_moves<0>(base, offsets, depth, moves, count, out, width);
  }
}

}  // namespace
}  // namespace gs::cpu
