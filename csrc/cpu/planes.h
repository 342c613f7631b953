// Pooling's view of memory: planes of float or double, with 16-bit planes converted on the way, and
// rows taken apart by the stride of the windows so that every tap reads neighbours.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "core/parallel.h"
#include "cpu/scratch.h"
#include "cpu/shuffle.h"
#include "cpu/source.h"
#include "kernels/params/pool.h"

namespace gs::cpu {
namespace {

// A plane's number, and how far its vectors may run: the elements from its start on that may be
// read from x, and written to y. Planes lie one behind the other, and those behind it in the run of
// one thread are written later, so that vectors need be cut at the end of the run alone.
struct Plane {
  int64_t index, x_limit, y_limit;
  GS_INLINE operator int64_t() const { return index; }
};

// Calls f(state, x_plane, y_plane, plane) for each plane with x and y in compute type; y is
// written. A plane belongs to one thread; make_state() is called once for a run of planes.
template <class C, class Make, class F>
GS_INLINE void for_planes(DType dtype, const void* x, int64_t x_size, void* y, int64_t y_size,
                          int64_t planes, Make&& make_state, F&& f) {
  const Source<C> source(x, dtype);
  const Sink<C> sink(y, dtype);
  const bool narrow = source.converts();
  constexpr int64_t kSpill = 2 * kLanes<C>;  // what vectors may write behind a plane
  const int64_t grain = 1 + 32768 / (x_size + y_size + 1);
  const auto least = [](int64_t a, int64_t b) { return a < b ? a : b; };
  parallel_for(0, planes, grain, [&](int64_t begin, int64_t end) {
    auto state = make_state();
    const auto plane_at = [&](int64_t plane) {
      return Plane{plane, (planes - plane) * x_size, (end - plane) * y_size};
    };
    if (!narrow) {
      const C* in = source.span(0, 0, nullptr);
      C* out = sink.target(0, nullptr);
      for (int64_t plane = begin; plane < end; ++plane)
        f(state, in + plane * x_size, out + plane * y_size, plane_at(plane));
      return;
    }
    const Scratch<C> wide_x(x_size + kSpill), wide_y(y_size + kSpill);
    for (int64_t i = 0; i < kSpill; ++i) wide_x.get()[x_size + i] = C(0);
    for (int64_t plane = begin; plane < end; ++plane) {
      Plane at = plane_at(plane);
      at.x_limit = least(at.x_limit, x_size + kSpill);
      at.y_limit = least(at.y_limit, y_size + kSpill);
      f(state, source.span(plane * x_size, x_size, wide_x.get()), wide_y.get(), at);
      sink.finish(plane * y_size, wide_y.get(), y_size);
    }
  });
}

// For kernels that need no state.
struct Nothing {};
GS_INLINE Nothing no_state() { return {}; }

// The later value wins when it is larger, or is the first NaN.
template <class C>
GS_INLINE bool wins(C value, C best) {
  return !(value <= best) && best == best;
}

// A plane with padding on both sides of its rows, each row taken apart into `stride` phases: column
// c of the padded row is element c / stride of phase c % stride. Tap t of output q is then element
// tap(t) + q.
template <class C>
class PhasePlane {
 public:
  GS_INLINE PhasePlane(const PoolShape& s, C padding)
      : h_(s.h),
        w_(s.w),
        pad_(s.pad_w),
        stride_(s.stride_w),
        outputs_((s.q + kLanes<C> - 1) / kLanes<C> * kLanes<C>),
        length_(outputs_ + (s.kernel_w - 1) * s.dilation_w / stride_),
        data_(h_ * stride_ * length_),
        taps_(s.kernel_w) {
    fill(padding);
    for (int64_t t = 0; t < s.kernel_w; ++t) {
      const int64_t at = t * s.dilation_w;
      taps_.get()[t] = at % stride_ * length_ + at / stride_;
    }
  }
  GS_INLINE C* row(int64_t i) const { return data_.get() + i * stride_ * length_; }
  GS_INLINE int64_t tap(int64_t t) const { return taps_.get()[t]; }
  GS_INLINE int64_t outputs() const { return outputs_; }  // Q, rounded up to whole vectors
  GS_INLINE void fill(C value) const {
    for (int64_t i = 0; i < h_ * stride_ * length_; ++i) data_.get()[i] = value;
  }

  // Padding is written by fill() alone: from plane to plane only the inside changes.
  GS_INLINE void split(const C* x) const {
    for (int64_t i = 0; i < h_; ++i) split_row(x + i * w_, row(i));
  }
  GS_INLINE void join(C* x) const {
    for (int64_t i = 0; i < h_; ++i) join_row(row(i), x + i * w_);
  }

 private:
  // Even and odd columns when the stride is 2: where each kind starts, and how many lie in reach of
  // a window.
  struct Halves {
    int64_t even, odd, even_count, odd_count, both;
  };
  GS_INLINE Halves halves() const {
    Halves h{pad_ % 2 * length_ + pad_ / 2, (1 - pad_ % 2) * length_ + (pad_ + 1) / 2,
             least((w_ + 1) / 2, length_ - pad_ / 2), least(w_ / 2, length_ - (pad_ + 1) / 2), 0};
    h.both = least(h.even_count, h.odd_count) / kLanes<C> * kLanes<C>;
    return h;
  }
  static GS_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

  GS_INLINE void split_row(const C* x, C* to) const {
    if (stride_ == 1) {
      std::memcpy(to + pad_, x, least(w_, length_ - pad_) * sizeof(C));
    } else if (stride_ == 2) {
      const Halves h = halves();
      for (int64_t i = 0; i < h.both; i += kLanes<C>) {
        Vec<C> even, odd;
        load_pairs(x + 2 * i, &even, &odd);
        store(to + h.even + i, even);
        store(to + h.odd + i, odd);
      }
      for (int64_t i = h.both; i < h.even_count; ++i) to[h.even + i] = x[2 * i];
      for (int64_t i = h.both; i < h.odd_count; ++i) to[h.odd + i] = x[2 * i + 1];
    } else {
      for_columns([&](int64_t column, int64_t at) { to[at] = x[column]; });
    }
  }

  GS_INLINE void join_row(const C* from, C* x) const {
    if (stride_ == 1) {
      std::memcpy(x, from + pad_, least(w_, length_ - pad_) * sizeof(C));
      for (int64_t i = length_ - pad_; i < w_; ++i) x[i] = C(0);  // beyond the last window
    } else if (stride_ == 2) {
      const Halves h = halves();
      for (int64_t i = 0; i < h.both; i += kLanes<C>)
        store_pairs<C>(x + 2 * i, load(from + h.even + i), load(from + h.odd + i));
      for (int64_t i = 2 * h.both; i < w_; ++i) x[i] = C(0);
      for (int64_t i = h.both; i < h.even_count; ++i) x[2 * i] = from[h.even + i];
      for (int64_t i = h.both; i < h.odd_count; ++i) x[2 * i + 1] = from[h.odd + i];
    } else {
      for (int64_t i = 0; i < w_; ++i) x[i] = C(0);
      for_columns([&](int64_t column, int64_t at) { x[column] = from[at]; });
    }
  }

  // Calls f(column, place) for the columns that have one.
  template <class F>
  GS_INLINE void for_columns(F f) const {
    for (int64_t phase = 0; phase < stride_; ++phase) {
      int64_t i = phase < pad_ ? (pad_ - phase + stride_ - 1) / stride_ : 0;
      for (; i < length_ && i * stride_ + phase - pad_ < w_; ++i)
        f(i * stride_ + phase - pad_, phase * length_ + i);
    }
  }

  int64_t h_, w_, pad_, stride_, outputs_, length_;
  Scratch<C> data_;
  Scratch<int64_t> taps_;
};

}  // namespace
}  // namespace gs::cpu
