// Optimizer steps: all parameters in one launch.
//
// What a step depends on may lie on the device, so that nobody waits for it: whether a gradient
// was infinite, and the count of steps.
#include <cmath>

#include "kernels/kernels.h"
#include "kernels/params/optimizer.h"
#include "runtime/graph.h"
#include "runtime/scratch.h"
#include "tensor_list.cuh"

namespace gs::cuda {
namespace {

GS_DEVICE bool is_skipped(const float* found_inf) { return found_inf && *found_inf != 0; }

// What follows from a tensor's step count.
struct Factors {
  double a, b;
};

// What changes from replay to replay of a captured graph; in device memory there, null elsewhere.
template <class Step>
struct Changing {
  Step step;
  Factors factors[kTableTensors];
};

// For tensors whose count is on the device, a thread each: counts the step, and says what follows.
template <class Step>
__global__ void __launch_bounds__(kListThreads)
    count_kernel(const Step fixed, const Changing<Step>* changing,
                 const __grid_constant__ TensorTable table, const float* found_inf,
                 Factors* factors) {
  const Step step = changing ? changing->step : fixed;
  const int i = static_cast<int>(threadIdx.x);
  if (i >= table.count || !table.entries[i].counter || is_skipped(found_inf)) return;
  const double now = static_cast<double>(*table.entries[i].counter) + 1;
  *table.entries[i].counter = static_cast<float>(now);
  factors[i] = step.factors(now);
}
static_assert(kTableTensors <= kListThreads);

// factors: null where every count is on the host.
template <class Step>
__global__ void __launch_bounds__(kListThreads)
    step_kernel(const Step fixed, const Changing<Step>* changing,
                const __grid_constant__ TensorTable table, const float* found_inf,
                const Factors* factors) {
  if (is_skipped(found_inf)) return;
  const Step step = changing ? changing->step : fixed;
  const Piece piece = piece_of(table, static_cast<int>(blockIdx.x));
  const ListEntry& e = *piece.entry;
  const Factors f = factors && e.counter ? factors[piece.index]
                    : changing           ? changing->factors[piece.index]
                                         : Factors{e.a, e.b};
  in_dtype(e.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    each_element_of(piece, [&](int64_t i) { step.template update<T>(e, f, i); });
  });
}

// Where a recorded step finds what changes. Recording and before each replay, it is written here.
template <class Step>
const Changing<Step>* write_changing(const Step& step, const TensorTable& table) {
  if (capture() == Capture::Off) return nullptr;
  const auto count = static_cast<size_t>(table.count);
  const Scalars cell =
      current_graph()->scalars(offsetof(Changing<Step>, factors) + count * sizeof(Factors));
  Changing<Step>& to = *static_cast<Changing<Step>*>(cell.host);
  to.step = step;
  for (size_t i = 0; i < count; ++i) to.factors[i] = {table.entries[i].a, table.entries[i].b};
  return static_cast<const Changing<Step>*>(cell.device);
}

template <class Step, class Fill>
void run_step(const OptimizerTensor* tensors, int64_t count, const float* found_inf,
              const Step& step, Fill fill) {
  in_tables(tensors, count, fill, [&](const TensorTable& table) {
    const Changing<Step>* const changing = write_changing(step, table);
    if (capture() == Capture::Patching) return;
    bool counted = false;
    for (int i = 0; i < table.count; ++i) counted = counted || table.entries[i].counter;
    const Scratch<Factors> factors(counted ? kTableTensors : 0);
    if (counted)
      launch({dim3(1), dim3(kListThreads), 0, current_stream()}, count_kernel<Step>, step, changing,
             table, found_inf, factors.data());
    if (table.blocks == 0) return;
    launch({dim3(static_cast<unsigned>(table.blocks)), dim3(kListThreads), 0, current_stream()},
           step_kernel<Step>, step, changing, table, found_inf, counted ? factors.data() : nullptr);
  });
}

// a + w (b - a), from the nearer end.
template <class C>
GS_DEVICE C lerp(C a, C b, C w) {
  return w < C(0.5) ? a + w * (b - a) : b - (b - a) * (C(1) - w);
}

// ---------------------------------------------------------------- the rules

struct Sgd {  // factors.a: 1 on the first step of a momentum buffer
  double lr, momentum, fresh, decay, sign;
  bool nesterov;

  GS_HOST_DEVICE Factors factors(double) const { return {}; }

  template <class T>
  GS_DEVICE void update(const ListEntry& e, const Factors& f, int64_t i) const {
    using C = compute_t<T>;
    const C w = get<T>(e.parameter, i);
    C g = get<T>(e.grad, i) * C(sign);
    if (decay != 0) g = g + C(decay) * w;
    if (momentum != 0) {
      const C b = f.a == 1 ? g : get<T>(e.state1, i) * C(momentum) + C(fresh) * g;
      put<T>(e.state1, i, b);
      g = nesterov ? g + C(momentum) * b : b;
    }
    put<T>(e.parameter, i, w - C(lr) * g);
  }
};

struct Adam {
  double lr, beta1, w1, beta2, w2, eps, sign, shrink, decay;
  bool amsgrad;

  GS_HOST_DEVICE Factors factors(double t) const {
    return {lr / (1 - std::pow(beta1, t)), std::sqrt(1 - std::pow(beta2, t))};
  }

  template <class T>
  GS_DEVICE void update(const ListEntry& e, const Factors& f, int64_t i) const {
    using C = compute_t<T>;
    C w = get<T>(e.parameter, i) * C(shrink);
    C g = get<T>(e.grad, i) * C(sign);
    if (decay != 0) g = g + C(decay) * w;
    const C m = lerp(get<T>(e.state1, i), g, C(w1));
    C v = get<T>(e.state2, i) * C(beta2) + (C(w2) * g) * g;
    put<T>(e.state1, i, m);
    put<T>(e.state2, i, v);
    if (amsgrad) {
      const C before = get<T>(e.state3, i);
      v = before > v ? before : v;
      put<T>(e.state3, i, v);
    }
    put<T>(e.parameter, i, w - (C(f.a) * m) / (std::sqrt(v) / C(f.b) + C(eps)));
  }
};

struct Rmsprop {
  double lr, alpha, fresh, eps, decay, momentum, sign;
  bool centered;

  GS_HOST_DEVICE Factors factors(double) const { return {}; }

  template <class T>
  GS_DEVICE void update(const ListEntry& e, const Factors&, int64_t i) const {
    using C = compute_t<T>;
    const C w = get<T>(e.parameter, i);
    C g = get<T>(e.grad, i) * C(sign);
    if (decay != 0) g = g + C(decay) * w;
    const C square = get<T>(e.state1, i) * C(alpha) + (C(fresh) * g) * g;
    put<T>(e.state1, i, square);
    C variance = square;
    if (centered) {
      const C mean = lerp(get<T>(e.state3, i), g, C(fresh));
      put<T>(e.state3, i, mean);
      variance = square - mean * mean;
    }
    const C root = std::sqrt(variance) + C(eps);
    if (momentum > 0) {
      const C b = get<T>(e.state2, i) * C(momentum) + g / root;
      put<T>(e.state2, i, b);
      put<T>(e.parameter, i, w - C(lr) * b);
    } else {
      put<T>(e.parameter, i, w - (C(lr) * g) / root);
    }
  }
};

}  // namespace

void sgd_step(const SgdStep& p) {
  const Sgd rule{p.lr,      p.momentum, 1 - p.dampening, p.weight_decay, p.maximize ? -1.0 : 1.0,
                 p.nesterov};
  run_step(p.tensors, p.count, p.found_inf, rule,
           [](const OptimizerTensor& from, ListEntry& to) { to.a = from.step; });
}

void adam_step(const AdamStep& p) {
  const Adam rule{p.lr,
                  p.beta1,
                  1 - p.beta1,
                  p.beta2,
                  1 - p.beta2,
                  p.eps,
                  p.maximize ? -1.0 : 1.0,
                  p.decoupled ? 1 - p.lr * p.weight_decay : 1.0,
                  p.decoupled ? 0.0 : p.weight_decay,
                  p.amsgrad};
  run_step(p.tensors, p.count, p.found_inf, rule, [&](const OptimizerTensor& from, ListEntry& to) {
    if (from.counter) return;
    const Factors f = rule.factors(from.step);
    to.a = f.a, to.b = f.b;
  });
}

void rmsprop_step(const RmspropStep& p) {
  const Rmsprop rule{
      p.lr,      p.alpha, 1 - p.alpha, p.eps, p.weight_decay, p.momentum, p.maximize ? -1.0 : 1.0,
      p.centered};
  run_step(p.tensors, p.count, p.found_inf, rule, [](const OptimizerTensor&, ListEntry&) {});
}

}  // namespace gs::cuda
