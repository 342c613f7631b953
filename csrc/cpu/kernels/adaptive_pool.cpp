// Adaptive pooling: window i of P covers [floor(i H / P), ceil((i + 1) H / P)), and the same in the
// width.
#include <cstdint>
#include <cstring>

#include "cpu/isa.h"
#include "cpu/planes.h"

namespace gs::cpu {
namespace {

GS_INLINE int64_t window_begin(int64_t i, int64_t size, int64_t count) { return i * size / count; }
GS_INLINE int64_t window_end(int64_t i, int64_t size, int64_t count) {
  return ((i + 1) * size + count - 1) / count;
}

template <class C>
GS_INLINE C row_sum(const C* x, int64_t n) {
  Vec<C> sum{};
  int64_t i = 0;
  for (; i + kLanes<C> <= n; i += kLanes<C>) sum += load(x + i);
  C total = horizontal_sum(sum);
  for (; i < n; ++i) total += x[i];
  return total;
}

template <class C>
void adaptive_average_plane(const AdaptivePool2d& s, const C* x, C* y) {
  for (int64_t p = 0; p < s.p; ++p) {
    const int64_t top = window_begin(p, s.h, s.p), bottom = window_end(p, s.h, s.p);
    for (int64_t q = 0; q < s.q; ++q) {
      const int64_t left = window_begin(q, s.w, s.q), right = window_end(q, s.w, s.q);
      C sum = 0;
      if (left == 0 && right == s.w) {  // whole rows lie side by side
        sum = row_sum(x + top * s.w, (bottom - top) * s.w);
      } else {
        for (int64_t row = top; row < bottom; ++row)
          sum += row_sum(x + row * s.w + left, right - left);
      }
      y[p * s.q + q] = sum / static_cast<C>((bottom - top) * (right - left));
    }
  }
}

template <class C>
void adaptive_max_plane(const AdaptivePool2d& s, const C* x, C* y, int32_t* indices) {
  for (int64_t p = 0; p < s.p; ++p) {
    const int64_t top = window_begin(p, s.h, s.p), bottom = window_end(p, s.h, s.p);
    for (int64_t q = 0; q < s.q; ++q) {
      const int64_t left = window_begin(q, s.w, s.q), right = window_end(q, s.w, s.q);
      int64_t at = top * s.w + left;
      C best = x[at];
      for (int64_t row = top; row < bottom; ++row)
        for (int64_t column = left; column < right; ++column)
          if (wins(x[row * s.w + column], best)) best = x[at = row * s.w + column];
      y[p * s.q + q] = best;
      indices[p * s.q + q] = static_cast<int32_t>(at);
    }
  }
}

template <class C>
void adaptive_average_grad_plane(const AdaptiveAvgPool2dGrad& s, const C* dy, C* dx) {
  std::memset(dx, 0, s.h * s.w * sizeof(C));
  for (int64_t p = 0; p < s.p; ++p) {
    const int64_t top = window_begin(p, s.h, s.p), bottom = window_end(p, s.h, s.p);
    for (int64_t q = 0; q < s.q; ++q) {
      const int64_t left = window_begin(q, s.w, s.q), right = window_end(q, s.w, s.q);
      const C g = dy[p * s.q + q] / static_cast<C>((bottom - top) * (right - left));
      for (int64_t row = top; row < bottom; ++row)
        for (int64_t column = left; column < right; ++column) dx[row * s.w + column] += g;
    }
  }
}

}  // namespace

namespace GS_ISA {

void adaptive_pool2d(const AdaptivePool2d& s) {
  visit_floating(s.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = compute_t<T>;
    for_planes<T>(s.x, s.h * s.w, s.y, s.p * s.q, s.planes, no_state,
                  [&](Nothing, const C* x, C* y, int64_t plane) {
                    if (s.indices) {
                      adaptive_max_plane(s, x, y, s.indices + plane * s.p * s.q);
                    } else {
                      adaptive_average_plane(s, x, y);
                    }
                  });
  });
}

void adaptive_avg_pool2d_grad(const AdaptiveAvgPool2dGrad& s) {
  visit_floating(s.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = compute_t<T>;
    for_planes<T>(
        s.dy, s.p * s.q, s.dx, s.h * s.w, s.planes, no_state,
        [&](Nothing, const C* dy, C* dx, int64_t) { adaptive_average_grad_plane(s, dy, dx); });
  });
}

}  // namespace GS_ISA
}  // namespace gs::cpu
