// Adaptive pooling: window i of P covers [floor(i H / P), ceil((i + 1) H / P)), and the same in the
// width.
#include <cstdint>
#include <cstring>

#include "cpu/isa.h"
#include "cpu/planes.h"
#include "cpu/rows.h"
#include "kernels/params/pool.h"

namespace gs::cpu {
namespace {

GS_INLINE int64_t window_begin(int64_t i, int64_t size, int64_t count) { return i * size / count; }
GS_INLINE int64_t window_end(int64_t i, int64_t size, int64_t count) {
  return ((i + 1) * size + count - 1) / count;
}

template <class C>
GS_INLINE C row_sum(const C* x, int64_t n) {
  Vec<C> sum{};
  each_vector<C>(n, [&](int64_t i, int count) { sum += load_part(x + i, count); });
  return tree_sum<kLanes<C>>(sum);
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

// ---------------------------------------------------------------- windows of a whole plane

inline constexpr int64_t kGrain = 32768;      // elements worth a task
inline constexpr int64_t kSmallPlane = 1024;  // from here on a plane's own sum is cheap beside it

// The sums of neighbours in a, then those in b.
template <class V, size_t... I>
GS_INLINE V add_neighbours(V a, V b, std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b, (2 * I)...) + __builtin_shufflevector(a, b, (2 * I + 1)...);
}

// Lane i is the sum of the lanes of sums[i]: pairs of vectors become one until one is left.
template <class C>
GS_INLINE Vec<C> sums_of_each(Vec<C>* sums) {
  for (int count = kLanes<C>; count > 1; count /= 2)
    for (int k = 0; k < count / 2; ++k)
      sums[k] = add_neighbours(sums[2 * k], sums[2 * k + 1], std::make_index_sequence<kLanes<C>>{});
  return sums[0];
}

// Means of `count` <= kLanes planes of n.
template <class C>
[[gnu::noinline]] void small_means(const C* x, int64_t n, int count, C* y) {
  Vec<C> sums[kLanes<C>] = {};
  for (int k = 0; k < count; ++k) {
    Vec<C> sum{};
    each_vector<C>(n, [&](int64_t i, int lanes) { sum += load_part(x + k * n + i, lanes); });
    sums[k] = sum;
  }
  store_part(y, sums_of_each<C>(sums) / static_cast<C>(n), count);
}

template <class C>
void global_average(const AdaptivePool2d& s) {
  constexpr int64_t lanes = kLanes<C>;
  const int64_t n = s.h * s.w, together = n < kSmallPlane ? lanes : 1;
  const int64_t grain = (kGrain / (n * together) + 1) * together;
  parallel_for(0, s.planes, grain, [&](int64_t begin, int64_t end) {
    const RowsIn<C> in(Source<C>(s.x, s.dtype), together * n);
    const Sink<C> out(s.y, s.dtype);
    for (int64_t plane = begin; plane < end; plane += together) {
      const int64_t count = end - plane < together ? end - plane : together;
      const C* x = in.at(plane * n, count * n);
      C y[lanes];
      if (together == 1) {
        const double sum = sum_vectors<C>(n, [x](int64_t i, int k) {
          prefetch_ahead<kLanes<C>>(x + i);
          return load_part(x + i, k);
        });
        y[0] = static_cast<C>(sum / static_cast<double>(n));
      } else {
        small_means(x, n, static_cast<int>(count), y);
      }
      for (int64_t k = 0; k < count; ++k) out.set(plane + k, y[k]);
    }
  });
}

template <class C>
void global_average_grad(const AdaptiveAvgPool2dGrad& s) {
  const int64_t n = s.h * s.w;
  parallel_for(0, s.planes, kGrain / n + 1, [&](int64_t begin, int64_t end) {
    const Source<C> dy(s.dy, s.dtype);
    const RowsOut<C> out(Sink<C>(s.dx, s.dtype), n);
    for (int64_t plane = begin; plane < end; ++plane) {
      const C g = dy[plane] / static_cast<C>(n);
      C* dx = out.at(plane * n);
      each_vector<C>(n, [=](int64_t i, int k) { store_part(dx + i, splat(g), k); });
      out.flush(plane * n, n);
    }
  });
}

}  // namespace

namespace GS_ISA {

void adaptive_pool2d(const AdaptivePool2d& s) {
  visit_compute(s.dtype, [&](auto tag) {
    using C = typename decltype(tag)::type;
    if (s.p == 1 && s.q == 1 && !s.indices) return global_average<C>(s);
    for_planes<C>(s.dtype, s.x, s.h * s.w, s.y, s.p * s.q, s.planes, no_state,
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
  visit_compute(s.dtype, [&](auto tag) {
    using C = typename decltype(tag)::type;
    if (s.p == 1 && s.q == 1) return global_average_grad<C>(s);
    for_planes<C>(
        s.dtype, s.dy, s.p * s.q, s.dx, s.h * s.w, s.planes, no_state,
        [&](Nothing, const C* dy, C* dx, int64_t) { adaptive_average_grad_plane(s, dy, dx); });
  });
}

}  // namespace GS_ISA
}  // namespace gs::cpu
