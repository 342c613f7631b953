// Max and average pooling over planes (H, W) -> (P, Q), and their gradients.
//
// For general windows a plane's rows are first taken apart by the stride, with their padding, so
// that a vector of outputs reads each of its taps with one load and no bounds. Windows of 2x2 have
// their own path (cpu/pool_2x2.h).
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "cpu/isa.h"
#include "cpu/planes.h"
#include "cpu/pool_2x2.h"
#include "kernels/params/pool.h"

namespace gs::cpu {
namespace {

// An integer as wide as C, so that comparisons of C select it lane by lane.
template <class C>
using IndexOf = std::conditional_t<sizeof(C) == 4, int32_t, int64_t>;

GS_INLINE bool is_2x2(const PoolShape& s) {
  return s.kernel_h == 2 && s.kernel_w == 2 && s.stride_h == 2 && s.stride_w == 2 && s.pad_h == 0 &&
         s.pad_w == 0 && s.dilation_h == 1 && s.dilation_w == 1 && 2 * s.p <= s.h && 2 * s.q <= s.w;
}

// First tap of a window at `start` that lies in [0, size), or -1.
GS_INLINE int64_t first_inside(int64_t start, int64_t kernel, int64_t dilation, int64_t size) {
  for (int64_t t = 0; t < kernel; ++t) {
    const int64_t at = start + t * dilation;
    if (at >= 0 && at < size) return at;
  }
  return -1;
}

// Calls f(row) for the rows of the windows of output row p that lie in the plane.
template <class F>
GS_INLINE void for_rows(const PoolShape& s, int64_t p, F&& f) {
  for (int64_t r = 0; r < s.kernel_h; ++r) {
    const int64_t row = p * s.stride_h - s.pad_h + r * s.dilation_h;
    if (row >= 0 && row < s.h) f(row);
  }
}

template <class To, class V>
GS_INLINE void store_as(To* p, V v) {
  constexpr int kCount = sizeof(V) / sizeof(v[0]);
  typedef To Wide __attribute__((vector_size(kCount * sizeof(To))));
  const Wide wide = __builtin_convertvector(v, Wide);
  std::memcpy(p, &wide, sizeof wide);
}

// Writes a vector of row p of y at q. Lanes past the end of the row fall on the next row, which is
// written later; at the end of the plane they are left out.
template <class To, class V>
GS_INLINE void store_in_order(To* y, const PoolShape& s, int64_t p, int64_t q, V v) {
  constexpr int kCount = sizeof(V) / sizeof(v[0]);
  const int64_t at = p * s.q + q, room = s.p * s.q - at;
  if (room >= kCount) {
    store_as(y + at, v);
  } else {
    for (int i = 0; i < room; ++i) y[at + i] = v[i];
  }
}

// ---------------------------------------------------------------- maximum

// `wins` for vectors, each selection straight from its comparison: the compiler then keeps masks in
// mask registers.
template <class C>
GS_INLINE void take_larger(Vec<C> value, Vec<IndexOf<C>> place, Vec<C>* best,
                           Vec<IndexOf<C>>* index) {
  const Vec<C> old = *best;
  *best = value <= old ? old : (old == old ? value : old);
  *index = value <= old ? *index : (old == old ? place : *index);
}

// What max pooling with general windows needs besides the plane itself.
template <class C>
struct MaxState {
  PhasePlane<C> plane;
  Scratch<IndexOf<C>> first_columns;  // of each output: its first column inside the plane, or -1
  GS_INLINE explicit MaxState(const PoolShape& s)
      : plane(s, -std::numeric_limits<C>::infinity()), first_columns(plane.outputs()) {
    for (int64_t q = 0; q < plane.outputs(); ++q)
      first_columns.get()[q] = static_cast<IndexOf<C>>(
          first_inside(q * s.stride_w - s.pad_w, s.kernel_w, s.dilation_w, s.w));
  }
};

// Row p of the outputs. An index starts at the window's first place inside, where -inf stands for a
// value that any other beats; -1 where the window meets padding alone. Without kSticky, NaN never
// wins but is left in *nan.
template <bool kSticky, class C>
GS_INLINE void max_row(const PoolShape& s, const MaxState<C>& state, int64_t p, C* y,
                       int32_t* indices, Vec<C>* nan) {
  using Index = IndexOf<C>;
  const Index first_row =
      static_cast<Index>(first_inside(p * s.stride_h - s.pad_h, s.kernel_h, s.dilation_h, s.h));
  Vec<Index> lane;
  for (int i = 0; i < kLanes<C>; ++i) lane[i] = static_cast<Index>(i * s.stride_w);
  for (int64_t q = 0; q < s.q; q += kLanes<C>) {
    const Vec<Index> column = load(state.first_columns.get() + q);
    Vec<Index> index = column < 0 ? column : column + first_row * static_cast<Index>(s.w);
    if (first_row < 0) index = Vec<Index>{} - 1;
    Vec<C> best = splat(-std::numeric_limits<C>::infinity()), met = *nan;
    for_rows(s, p, [&](int64_t row) {
      const C* x = state.plane.row(row) + q;
      const int64_t place = row * s.w + q * s.stride_w - s.pad_w;
      for (int64_t t = 0; t < s.kernel_w; ++t) {
        const Vec<C> value = load(x + state.plane.tap(t));
        const Vec<Index> at = lane + static_cast<Index>(place + t * s.dilation_w);
        if constexpr (kSticky) {
          take_larger<C>(value, at, &best, &index);
        } else {
          index = value > best ? at : index;
          best = value > best ? value : best;
          met = value == value ? met : value;
        }
      }
    });
    *nan = met;
    store_in_order(y, s, p, q, best);
    if (indices) store_in_order(indices, s, p, q, index);
  }
}

// NaN is rare and doubles the chain of comparisons: a plane that has one is done again.
template <class C>
GS_INLINE void max_plane(const PoolShape& s, const MaxState<C>& state, const C* x, C* y,
                         int32_t* indices) {
  Vec<C> nan{};
  state.plane.split(x);
  for (int64_t p = 0; p < s.p; ++p) max_row<false>(s, state, p, y, indices, &nan);
  const C sum = horizontal_sum(nan);
  if (sum == sum) return;
  for (int64_t p = 0; p < s.p; ++p) max_row<true>(s, state, p, y, indices, &nan);
}

// ---------------------------------------------------------------- average

// How many taps of the window at `start` count: those inside the input, or inside input and
// padding.
GS_INLINE int64_t counted_taps(int64_t start, int64_t kernel, int64_t dilation, int64_t size,
                               int64_t pad, bool with_pad) {
  int64_t count = 0;
  for (int64_t t = 0; t < kernel; ++t) {
    const int64_t at = start + t * dilation;
    count += with_pad ? at < size + pad : at >= 0 && at < size;
  }
  return count;
}

// Divisors of a window are products of what its rows and its columns count.
template <class C, class Params>
struct AverageState {
  PhasePlane<C> plane;
  Scratch<C> columns;  // counted columns of each output
  Scratch<C> row;      // a row of gradients, 0 past its end
  GS_INLINE explicit AverageState(const Params& params)
      : plane(params.shape, C(0)), columns(plane.outputs()), row(plane.outputs()) {
    const PoolShape& s = params.shape;
    for (int64_t q = 0; q < plane.outputs(); ++q) {
      row.get()[q] = C(0);
      const int64_t count = counted_taps(q * s.stride_w - s.pad_w, s.kernel_w, s.dilation_w, s.w,
                                         s.pad_w, params.count_include_pad);
      columns.get()[q] = static_cast<C>(q < s.q && count ? count : 1);
    }
  }
  // The divisors of outputs [q, q + kLanes) of a row whose windows count `rows` rows.
  GS_INLINE Vec<C> divisors(const Params& params, C rows, int64_t q) const {
    if (params.divisor) return splat(static_cast<C>(params.divisor));
    return load(columns.get() + q) * rows;
  }
  static GS_INLINE C rows_of(const Params& params, int64_t p) {
    const PoolShape& s = params.shape;
    const int64_t count = counted_taps(p * s.stride_h - s.pad_h, s.kernel_h, s.dilation_h, s.h,
                                       s.pad_h, params.count_include_pad);
    return static_cast<C>(count ? count : 1);
  }
};

template <class C, class State>
GS_INLINE void average_plane(const AvgPool2d& params, const State& state, const C* x, C* y) {
  const PoolShape& s = params.shape;
  state.plane.split(x);
  for (int64_t p = 0; p < s.p; ++p) {
    const C rows = State::rows_of(params, p);
    for (int64_t q = 0; q < s.q; q += kLanes<C>) {
      Vec<C> sum{};
      for_rows(s, p, [&](int64_t row) {
        const C* from = state.plane.row(row) + q;
        for (int64_t t = 0; t < s.kernel_w; ++t) sum += load(from + state.plane.tap(t));
      });
      const Vec<C> mean = sum / state.divisors(params, rows, q);
      store_in_order(y, s, p, q, mean);
    }
  }
}

template <class C, class State>
GS_INLINE void average_grad_plane(const AvgPool2dGrad& params, const State& state, const C* dy,
                                  C* dx) {
  const PoolShape& s = params.shape;
  state.plane.fill(C(0));
  for (int64_t p = 0; p < s.p; ++p) {
    const C rows = State::rows_of(params, p);
    std::memcpy(state.row.get(), dy + p * s.q, s.q * sizeof(C));
    for (int64_t q = 0; q < s.q; q += kLanes<C>) {
      const Vec<C> g = load(state.row.get() + q) / state.divisors(params, rows, q);
      for_rows(s, p, [&](int64_t row) {
        C* to = state.plane.row(row) + q;
        for (int64_t t = 0; t < s.kernel_w; ++t) {
          C* at = to + state.plane.tap(t);
          store<C>(at, load(at) + g);
        }
      });
    }
  }
  state.plane.join(dx);
}

// Fills what 2x2 windows leave over when the plane has odd sizes.
template <class C>
GS_INLINE void zero_odd_edges(const PoolShape& s, C* dx) {
  for (int64_t p = 0; p < s.p; ++p)
    for (int64_t i = 2 * s.q; i < s.w; ++i) dx[2 * p * s.w + i] = dx[(2 * p + 1) * s.w + i] = C(0);
  for (int64_t i = 2 * s.p * s.w; i < s.h * s.w; ++i) dx[i] = C(0);
}

}  // namespace

namespace GS_ISA {

void max_pool2d(const MaxPool2d& params) {
  const PoolShape& s = params.shape;
  const auto indices_of = [&](int64_t plane) {
    return params.indices ? params.indices + plane * s.p * s.q : nullptr;
  };
  visit_compute(s.dtype, [&](auto tag) {
    using C = typename decltype(tag)::type;
    if (is_2x2(s)) {
      for_planes<C>(s.dtype, params.x, s.h * s.w, params.y, s.p * s.q, s.planes, no_state,
                    [&](Nothing, const C* x, C* y, const Plane& plane) {
                      max_plane_2x2<C, IndexOf<C>>(plane, s.w, s.p, s.q, x, y, indices_of(plane),
                                                   take_larger<C>);
                    });
      return;
    }
    for_planes<C>(
        s.dtype, params.x, s.h * s.w, params.y, s.p * s.q, s.planes, [&] { return MaxState<C>(s); },
        [&](const MaxState<C>& state, const C* x, C* y, int64_t plane) {
          max_plane(s, state, x, y, indices_of(plane));
        });
  });
}

void max_pool2d_grad(const MaxPool2dGrad& params) {
  const PoolShape& s = params.shape;
  const bool small = is_2x2(s);
  visit_compute(s.dtype, [&](auto tag) {
    using C = typename decltype(tag)::type;
    for_planes<C>(s.dtype, params.dy, s.p * s.q, params.dx, s.h * s.w, s.planes, no_state,
                  [&](Nothing, const C* dy, C* dx, const Plane& plane) {
                    const int32_t* indices = params.indices + plane * s.p * s.q;
                    if (small) {
                      max_grad_plane_2x2<C, IndexOf<C>>(plane, s.w, s.p, s.q, dy, indices, dx);
                      zero_odd_edges(s, dx);
                      return;
                    }
                    std::memset(dx, 0, s.h * s.w * sizeof(C));
                    for (int64_t i = 0; i < s.p * s.q; ++i)
                      if (indices[i] >= 0)
                        dx[indices[i]] += dy[i];  // -1: a window that met padding alone
                  });
  });
}

void avg_pool2d(const AvgPool2d& params) {
  const PoolShape& s = params.shape;
  visit_compute(s.dtype, [&](auto tag) {
    using C = typename decltype(tag)::type;
    using State = AverageState<C, AvgPool2d>;
    if (is_2x2(s)) {
      const C divisor = static_cast<C>(params.divisor ? params.divisor : 4);
      for_planes<C>(s.dtype, params.x, s.h * s.w, params.y, s.p * s.q, s.planes, no_state,
                    [&](Nothing, const C* x, C* y, const Plane& plane) {
                      average_plane_2x2(plane, s.w, s.p, s.q, C(1) / divisor, x, y);
                    });
      return;
    }
    for_planes<C>(
        s.dtype, params.x, s.h * s.w, params.y, s.p * s.q, s.planes, [&] { return State(params); },
        [&](const State& state, const C* x, C* y, int64_t)
            __attribute__((always_inline)) { average_plane(params, state, x, y); });
  });
}

void avg_pool2d_grad(const AvgPool2dGrad& params) {
  const PoolShape& s = params.shape;
  visit_compute(s.dtype, [&](auto tag) {
    using C = typename decltype(tag)::type;
    using State = AverageState<C, AvgPool2dGrad>;
    if (is_2x2(s)) {
      const C divisor = static_cast<C>(params.divisor ? params.divisor : 4);
      for_planes<C>(s.dtype, params.dy, s.p * s.q, params.dx, s.h * s.w, s.planes, no_state,
                    [&](Nothing, const C* dy, C* dx, const Plane& plane) {
                      average_grad_plane_2x2(plane, s.w, s.p, s.q, C(1) / divisor, dy, dx);
                      zero_odd_edges(s, dx);
                    });
      return;
    }
    for_planes<C>(
        s.dtype, params.dy, s.p * s.q, params.dx, s.h * s.w, s.planes,
        [&] { return State(params); },
        [&](const State& state, const C* dy, C* dx, int64_t) {
          average_grad_plane(params, state, dy, dx);
        });
  });
}

}  // namespace GS_ISA
}  // namespace gs::cpu
