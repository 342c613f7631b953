// Optimizer steps: all parameters in one pass. The order of operations is that of PyTorch's
// single-tensor code, so that float32 losses agree.
#include <cmath>

#include "cpu/isa.h"
#include "cpu/tensor_list.h"
#include "cpu/vmath.h"
#include "kernels/params/optimizer.h"

namespace gs::cpu {
namespace {

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

}  // namespace GS_ISA
}  // namespace gs::cpu
