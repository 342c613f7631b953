// What is done to all gradients together: their norm, clipping, and taking the scale of mixed
// precision off them.
#include <cmath>
#include <cstdint>

#include "cpu/isa.h"
#include "cpu/tensor_list.h"
#include "kernels/params/optimizer.h"

namespace gs::cpu {
namespace {

// ---------------------------------------------------------------- norms

struct SumOfSquares {
  GS_INLINE static double add(double sum, double x) { return sum + x * x; }
  GS_INLINE static double join(double a, double b) { return a + b; }
};
struct SumOfSizes {
  GS_INLINE static double add(double sum, double x) { return sum + __builtin_fabs(x); }
  GS_INLINE static double join(double a, double b) { return a + b; }
};
struct Largest {  // NaN wins, and stays
  GS_INLINE static double join(double a, double b) { return b > a || b != b ? b : a; }
  GS_INLINE static double add(double most, double x) { return join(most, __builtin_fabs(x)); }
};

// Sixteen running results whatever the instruction set, joined as a tree.
template <class Norm, class T>
GS_INLINE double norm_of(const T* x, int64_t n) {
  constexpr int width = 16;
  double running[width] = {};
  int64_t i = 0;
  for (; i + width <= n; i += width)
    for (int k = 0; k < width; ++k)
      running[k] = Norm::add(running[k], static_cast<double>(static_cast<compute_t<T>>(x[i + k])));
  for (int k = 0; i < n; ++i, ++k)
    running[k] = Norm::add(running[k], static_cast<double>(static_cast<compute_t<T>>(x[i])));
  for (int half = width / 2; half > 0; half /= 2)
    for (int k = 0; k < half; ++k) running[k] = Norm::join(running[k], running[k + half]);
  return running[0];
}

template <class Norm>
void norm_of_all(const GradNorm& p) {
  int64_t total = 0;
  for (int64_t t = 0; t < p.count; ++t) total += p.tensors[t].n;
  const int64_t chunks = (total + kGrain - 1) / kGrain;
  const Scratch<double> partial(chunks);
  for (int64_t c = 0; c < chunks; ++c) partial.get()[c] = 0;
  for_each_part(
      p.tensors, p.count, [&](int64_t chunk, const OptimizerTensor& t, int64_t begin, int64_t end) {
        visit_floating(t.dtype, [&](auto tag) {
          using T = typename decltype(tag)::type;
          double& mine = partial.get()[chunk];
          mine =
              Norm::join(mine, norm_of<Norm>(static_cast<const T*>(t.grad) + begin, end - begin));
        });
      });
  double result = 0;
  for (int64_t c = 0; c < chunks; ++c) result = Norm::join(result, partial.get()[c]);
  if (p.p == 2) result = __builtin_sqrt(result);
  visit_floating(p.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    *static_cast<T*>(p.norm) = T(static_cast<compute_t<T>>(result));
  });
}

double factor_of(const ScaleAll& p) {
  if (!p.norm) return p.factor;
  return visit_floating(p.norm_dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto norm = static_cast<compute_t<T>>(*static_cast<const T*>(p.norm));
    return p.factor / (static_cast<double>(norm) + 1e-6);
  });
}

// Whether an element is infinite or NaN; the elements times `factor`.
template <class T>
GS_INLINE bool unscale(T* x, int64_t begin, int64_t end, compute_t<T> factor) {
  Lanes<T> zeros = {};  // 0 times what is not finite is NaN
  walk<T>(begin, end, [&](int64_t i, int n) {
    const auto v = get_lanes(x + i, n);
    zeros += v * compute_t<T>(0);
    put_lanes(x + i, v * factor, n);
  });
  bool found = false;
  for (int k = 0; k < kStep<T>; ++k) found = found || zeros[k] != 0;
  return found;
}

}  // namespace

namespace GS_ISA {

void grad_norm(const GradNorm& p) {
  if (p.p == 2) return norm_of_all<SumOfSquares>(p);
  if (p.p == 1) return norm_of_all<SumOfSizes>(p);
  norm_of_all<Largest>(p);
}

void scale_all(const ScaleAll& p) {
  const double scale = factor_of(p);
  if (p.norm && scale >= 1) return;
  for_each_part(
      p.tensors, p.count, [&](int64_t, const OptimizerTensor& t, int64_t begin, int64_t end) {
        visit_floating(t.dtype, [&](auto tag) {
          using T = typename decltype(tag)::type;
          T* const x = static_cast<T*>(t.parameter);
          const auto factor = static_cast<compute_t<T>>(scale);
          walk<T>(begin, end,
                  [&](int64_t i, int n) { put_lanes(x + i, get_lanes(x + i, n) * factor, n); });
        });
      });
}

void unscale_all(const UnscaleAll& p) {
  const auto factor = static_cast<float>(1 / static_cast<double>(*p.scale));
  for_each_part(p.tensors, p.count,
                [&](int64_t, const OptimizerTensor& t, int64_t begin, int64_t end) {
                  visit_floating(t.dtype, [&](auto tag) {
                    using T = typename decltype(tag)::type;
                    const float one = 1;
                    if (unscale(static_cast<T*>(t.parameter), begin, end, compute_t<T>(factor)))
                      __atomic_store(p.found_inf, &one, __ATOMIC_RELAXED);
                  });
                });
}

void update_scale(const UpdateScale& p) {
  if (*p.found_inf != 0) {
    *p.scale = static_cast<float>(*p.scale * p.backoff);
    *p.streak = 0;
  } else if (++*p.streak >= p.interval) {
    const auto grown = static_cast<float>(*p.scale * p.growth);
    if (grown - grown == 0) *p.scale = grown;
    *p.streak = 0;
  }
}

}  // namespace GS_ISA
}  // namespace gs::cpu
