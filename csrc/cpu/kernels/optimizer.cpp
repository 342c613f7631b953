// Optimizer steps: all parameters in one pass. The tensors are thought of as one long list that is
// cut every kGrain elements, so a hundred small tensors cost one loop and a large one uses all
// threads. The order of operations is that of PyTorch's single-tensor code, so that float32 losses
// agree.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "core/parallel.h"
#include "cpu/isa.h"
#include "cpu/scratch.h"
#include "cpu/vec.h"
#include "cpu/vmath.h"

namespace gs::cpu {
namespace {

constexpr int64_t kGrain = 16 << 10;

// Calls f(chunk, tensor, begin, end) for the parts of each chunk.
template <class F>
GS_INLINE void for_each_part(const OptimizerTensor* tensors, int64_t count, F&& f) {
  if (count == 0) return;
  const Scratch<int64_t> starts(count + 1);
  int64_t total = 0;
  for (int64_t t = 0; t < count; ++t) {
    starts.get()[t] = total;
    total += tensors[t].n;
  }
  starts.get()[count] = total;
  parallel_for(0, total, kGrain, [&](int64_t begin, int64_t end) {
    int64_t t = 0, past = count;  // the last tensor that starts at or before begin
    while (past - t > 1) {
      const int64_t middle = (t + past) / 2;
      (starts.get()[middle] <= begin ? t : past) = middle;
    }
    for (int64_t at = begin; at < end; ++t) {
      const int64_t start = starts.get()[t], next = starts.get()[t + 1];
      const int64_t stop = next < end ? next : end;
      if (at < stop) f(begin / kGrain, tensors[t], at - start, stop - start);
      at = at < stop ? stop : at;
    }
  });
}

// Vectors of compute type at an element; `n` lanes take part. With n constant the branch is folded.
template <class T>
using Lanes = Vec<compute_t<T>>;
template <class T>
inline constexpr int kStep = kLanes<compute_t<T>>;

template <class T>
GS_INLINE Lanes<T> get_lanes(const T* p, int n) {
  if (n == kStep<T>) return load(p);
  T padded[kStep<T>];
  std::memset(static_cast<void*>(padded), 0, sizeof padded);
  std::memcpy(static_cast<void*>(padded), p, n * sizeof(T));
  return load(padded);
}
template <class T>
GS_INLINE void put_lanes(T* p, Lanes<T> v, int n) {
  if (n == kStep<T>) return store(p, v);
  T padded[kStep<T>];
  store(padded, v);
  std::memcpy(static_cast<void*>(p), padded, n * sizeof(T));
}

// step(i, n) over [begin, end) in whole vectors and one shorter one at the end.
template <class T, class Step>
GS_INLINE void walk(int64_t begin, int64_t end, Step step) {
  int64_t i = begin;
  for (; i + kStep<T> <= end; i += kStep<T>) step(i, kStep<T>);
  if (i < end) step(i, static_cast<int>(end - i));
}

// a + w (b - a), from the nearer end.
template <class V, class C>
GS_INLINE V lerp(V a, V b, C w) {
  return w < C(0.5) ? a + w * (b - a) : b - (b - a) * (C(1) - w);
}

template <class T>
GS_INLINE void sgd(const SgdStep& p, const OptimizerTensor& t, int64_t begin, int64_t end) {
  using C = compute_t<T>;
  T* const param = static_cast<T*>(t.parameter);
  const T* const grad = static_cast<const T*>(t.grad);
  T* const buffer = static_cast<T*>(t.state1);
  const C lr = C(p.lr), momentum = C(p.momentum), fresh = C(1 - p.dampening);
  const C decay = C(p.weight_decay), sign = p.maximize ? C(-1) : C(1);
  const bool with_momentum = p.momentum != 0, first = t.step == 1;
  walk<T>(begin, end, [&](int64_t i, int n) {
    const auto w = get_lanes(param + i, n);
    auto g = get_lanes(grad + i, n) * sign;
    if (decay != C(0)) g = g + decay * w;
    if (with_momentum) {
      const auto b = first ? g : get_lanes(buffer + i, n) * momentum + fresh * g;
      put_lanes(buffer + i, b, n);
      g = p.nesterov ? g + momentum * b : b;
    }
    put_lanes(param + i, w - lr * g, n);
  });
}

// What follows from the step count.
struct AdamFactors {
  double step = -1, step_size = 0, root2 = 1;
  GS_INLINE void update(const AdamStep& p, double now) {
    if (now == step) return;
    step = now;
    step_size = p.lr / (1 - std::pow(p.beta1, now));
    root2 = std::sqrt(1 - std::pow(p.beta2, now));
  }
};

template <class T>
GS_INLINE void adam(const AdamStep& p, const AdamFactors& factors, const OptimizerTensor& t,
                    int64_t begin, int64_t end) {
  using C = compute_t<T>;
  T* const param = static_cast<T*>(t.parameter);
  const T* const grad = static_cast<const T*>(t.grad);
  T* const first = static_cast<T*>(t.state1);
  T* const second = static_cast<T*>(t.state2);
  T* const highest = static_cast<T*>(t.state3);
  const C w1 = C(1 - p.beta1), beta2 = C(p.beta2), w2 = C(1 - p.beta2), eps = C(p.eps);
  const C step_size = C(factors.step_size), root2 = C(factors.root2);
  const C sign = p.maximize ? C(-1) : C(1);
  const C shrink = p.decoupled ? C(1 - p.lr * p.weight_decay) : C(1);
  const C decay = p.decoupled ? C(0) : C(p.weight_decay);
  walk<T>(begin, end, [&](int64_t i, int n) {
    auto w = get_lanes(param + i, n) * shrink;
    auto g = get_lanes(grad + i, n) * sign;
    if (decay != C(0)) g = g + decay * w;
    const auto m = lerp(get_lanes(first + i, n), g, w1);
    auto v = get_lanes(second + i, n) * beta2 + (w2 * g) * g;
    put_lanes(first + i, m, n);
    put_lanes(second + i, v, n);
    if (p.amsgrad) {
      const auto before = get_lanes(highest + i, n);
      v = before > v ? before : v;
      put_lanes(highest + i, v, n);
    }
    w = w - (step_size * m) / (vsqrt<C>(v) / root2 + eps);
    put_lanes(param + i, w, n);
  });
}

template <class T>
GS_INLINE void rmsprop(const RmspropStep& p, const OptimizerTensor& t, int64_t begin, int64_t end) {
  using C = compute_t<T>;
  T* const param = static_cast<T*>(t.parameter);
  const T* const grad = static_cast<const T*>(t.grad);
  T* const square = static_cast<T*>(t.state1);
  T* const buffer = static_cast<T*>(t.state2);
  T* const mean = static_cast<T*>(t.state3);
  const C lr = C(p.lr), alpha = C(p.alpha), fresh = C(1 - p.alpha), eps = C(p.eps);
  const C decay = C(p.weight_decay), momentum = C(p.momentum), sign = p.maximize ? C(-1) : C(1);
  walk<T>(begin, end, [&](int64_t i, int n) {
    const auto w = get_lanes(param + i, n);
    auto g = get_lanes(grad + i, n) * sign;
    if (decay != C(0)) g = g + decay * w;
    const auto s = get_lanes(square + i, n) * alpha + (fresh * g) * g;
    put_lanes(square + i, s, n);
    auto variance = s;
    if (p.centered) {
      const auto m = lerp(get_lanes(mean + i, n), g, fresh);
      put_lanes(mean + i, m, n);
      variance = s - m * m;
    }
    const auto root = vsqrt<C>(variance) + eps;
    if (momentum > C(0)) {
      const auto b = get_lanes(buffer + i, n) * momentum + g / root;
      put_lanes(buffer + i, b, n);
      put_lanes(param + i, w - lr * b, n);
    } else {
      put_lanes(param + i, w - (lr * g) / root, n);
    }
  });
}

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
  *p.result = result;
}

}  // namespace

namespace GS_ISA {

void sgd_step(const SgdStep& p) {
  for_each_part(
      p.tensors, p.count, [&](int64_t, const OptimizerTensor& t, int64_t begin, int64_t end) {
        visit_floating(t.dtype,
                       [&](auto tag) { sgd<typename decltype(tag)::type>(p, t, begin, end); });
      });
}

void adam_step(const AdamStep& p) {
  AdamFactors common;  // almost always right for all; a tensor at another step makes its own
  if (p.count > 0) common.update(p, p.tensors[0].step);
  for_each_part(
      p.tensors, p.count, [&](int64_t, const OptimizerTensor& t, int64_t begin, int64_t end) {
        AdamFactors mine = common;
        mine.update(p, t.step);
        visit_floating(
            t.dtype, [&](auto tag) { adam<typename decltype(tag)::type>(p, mine, t, begin, end); });
      });
}

void rmsprop_step(const RmspropStep& p) {
  for_each_part(
      p.tensors, p.count, [&](int64_t, const OptimizerTensor& t, int64_t begin, int64_t end) {
        visit_floating(t.dtype,
                       [&](auto tag) { rmsprop<typename decltype(tag)::type>(p, t, begin, end); });
      });
}

void grad_norm(const GradNorm& p) {
  if (p.p == 2) return norm_of_all<SumOfSquares>(p);
  if (p.p == 1) return norm_of_all<SumOfSizes>(p);
  norm_of_all<Largest>(p);
}

void scale_all(const ScaleAll& p) {
  for_each_part(
      p.tensors, p.count, [&](int64_t, const OptimizerTensor& t, int64_t begin, int64_t end) {
        visit_floating(t.dtype, [&](auto tag) {
          using T = typename decltype(tag)::type;
          T* const x = static_cast<T*>(t.parameter);
          const auto factor = static_cast<compute_t<T>>(p.factor);
          walk<T>(begin, end,
                  [&](int64_t i, int n) { put_lanes(x + i, get_lanes(x + i, n) * factor, n); });
        });
      });
}

}  // namespace GS_ISA
}  // namespace gs::cpu
