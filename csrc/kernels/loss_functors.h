// Each pointwise loss with its derivatives beside it, written against a math policy as in
// functors.h. x is the input, t the target; p is the weight of positive targets (LogitsCrossEntropy
// alone), a the loss's parameter.
#pragma once

#include "kernels/functors.h"

namespace gs {

#define GS_LOSS(name)                                                                            \
  template <class M, class T = typename M::T>                                                    \
  static GS_HOST_DEVICE T name([[maybe_unused]] T x, [[maybe_unused]] T t, [[maybe_unused]] T p, \
                               [[maybe_unused]] T a)

namespace losses {

// NaN stays NaN.
template <class M, class T = typename M::T>
GS_HOST_DEVICE T sign(T d) {
  return functors::Sign::value<M>(d, d, d);
}
template <class M, class T = typename M::T>
GS_HOST_DEVICE T at_least(T x, double low) {
  return x < M::set(low) ? M::set(low) : x;
}

// Losses of the difference: the target's derivative is the input's with the other sign.
#define GS_OF_DIFFERENCE \
  GS_LOSS(by_target) { return -by_input<M>(x, t, p, a); }

struct Squared {
  GS_LOSS(value) {
    const T d = x - t;
    return d * d;
  }
  GS_LOSS(by_input) { return M::set(2) * (x - t); }
  GS_OF_DIFFERENCE
};
struct Absolute {
  GS_LOSS(value) { return M::abs(x - t); }
  GS_LOSS(by_input) { return sign<M>(x - t); }
  GS_OF_DIFFERENCE
};
struct SmoothAbsolute {  // a: where the parabola ends, above 0
  GS_LOSS(value) {
    const T size = M::abs(x - t);
    return size < a ? M::set(0.5) * size * size / a : size - M::set(0.5) * a;
  }
  GS_LOSS(by_input) {
    const T d = x - t;
    return M::abs(d) < a ? d / a : sign<M>(d);
  }
  GS_OF_DIFFERENCE
};
struct Huber {  // a: where the parabola ends
  GS_LOSS(value) {
    const T size = M::abs(x - t);
    return size < a ? M::set(0.5) * size * size : a * (size - M::set(0.5) * a);
  }
  GS_LOSS(by_input) {
    const T d = x - t;
    return M::abs(d) < a ? d : a * sign<M>(d);
  }
  GS_OF_DIFFERENCE
};

// -(t log x + (1 - t) log(1 - x)), logarithms no lower than -100. The chain rule would then make
// 0 * infinity at 0 and 1: the quotient is limited instead.
struct CrossEntropy {
  GS_LOSS(value) {
    const T log_x = at_least<M>(M::log(x), -100), log_rest = at_least<M>(M::log1p(-x), -100);
    return (t - M::set(1)) * log_rest - t * log_x;
  }
  GS_LOSS(by_input) { return (x - t) / at_least<M>(x * (M::set(1) - x), 1e-12); }
  GS_LOSS(by_target) { return at_least<M>(M::log1p(-x), -100) - at_least<M>(M::log(x), -100); }
};

// (1 - t) x + (1 + (p - 1) t) log(1 + exp(-x)). The two sides of 0 are written apart, so that
// terms as large as x cancel nowhere.
struct LogitsCrossEntropy {
  GS_LOSS(value) {
    const T positive = p * t, negative = M::set(1) - t;
    const T slope = x < M::set(0) ? -positive : negative;
    return slope * x + (positive + negative) * M::log1p(M::exp(-M::abs(x)));
  }
  GS_LOSS(by_input) {
    const T positive = p * t, negative = M::set(1) - t;
    const T z = M::exp(-M::abs(x));
    const T tail = (positive + negative) * (z / (M::set(1) + z));
    return x < M::set(0) ? tail - positive : negative - tail;
  }
  GS_LOSS(by_target) {
    const T softplus = at_least<M>(-x, 0) + M::log1p(M::exp(-M::abs(x)));
    return (p - M::set(1)) * softplus - x;
  }
};

// t (log t - x), where 0 log 0 is 0.
struct Divergence {
  template <class M, class T = typename M::T>
  static GS_HOST_DEVICE T log_of(T t) {
    return t == M::set(0) ? M::set(0) : M::log(t);
  }
  GS_LOSS(value) { return t * (log_of<M>(t) - x); }
  GS_LOSS(by_input) { return -t; }
  GS_LOSS(by_target) {
    const T difference = log_of<M>(t) - x;
    return t == M::set(0) ? difference : difference + M::set(1);
  }
};
struct LogDivergence {  // the same of a target that is a logarithm
  GS_LOSS(value) { return M::exp(t) * (t - x); }
  GS_LOSS(by_input) { return -M::exp(t); }
  GS_LOSS(by_target) { return M::exp(t) * (t - x + M::set(1)); }
};

// x where t is 1, what is missing to the margin a where it is -1.
struct Hinge {
  GS_LOSS(value) {
    const T gap = a - x, missing = gap < M::set(0) ? M::set(0) : gap;
    return (t == M::set(-1) ? M::set(0) : x) + (t == M::set(1) ? M::set(0) : missing);
  }
  GS_LOSS(by_input) {
    const T missing = a - x > M::set(0) ? M::set(-1) : M::set(0);
    return (t == M::set(-1) ? M::set(0) : M::set(1)) + (t == M::set(1) ? M::set(0) : missing);
  }
  GS_LOSS(by_target) { return M::set(0); }
};

#undef GS_OF_DIFFERENCE
}  // namespace losses

#undef GS_LOSS

// Every LossOp: K(name).
// clang-format off
#define GS_LOSSES(K) \
  K(Squared) K(Absolute) K(SmoothAbsolute) K(Huber) K(CrossEntropy) K(LogitsCrossEntropy) \
  K(Divergence) K(LogDivergence) K(Hinge)
// clang-format on

}  // namespace gs
