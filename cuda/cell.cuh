// What the forward and the backward of the recurrent layers share.
#pragma once

#include "gemm.cuh"
#include "kernels/params/recurrent.h"

namespace gs::cuda {

GS_HOST_DEVICE constexpr int gate_count(CellKind kind) {
  return kind == CellKind::Lstm ? 4 : kind == CellKind::Gru ? 3 : 1;
}

// The place in time of the step that is run as number `s`.
inline int64_t time_of(int64_t s, int64_t steps, bool reverse) {
  return reverse ? steps - 1 - s : s;
}

inline constexpr int kCellThreads = 256;

// The sums of a product as its kernels leave them: the parts of k one behind the other, each `size`
// values. Whoever reads them adds the parts, in order, and spares a kernel for it.
template <class C>
struct Parts {
  const C* sums = nullptr;
  int64_t count = 0, size = 0;
  GS_DEVICE C operator()(int64_t at) const {
    C sum = 0;
    for (int64_t i = 0; i < count; ++i) sum += sums[i * size + at];
    return sum;
  }
};

// One thread a hidden unit of a sequence: a step's cells are a grid of these.
inline dim3 cell_grid(int64_t batch, int64_t hidden) {
  return dim3(static_cast<unsigned>(ceil_div(batch * hidden, kCellThreads)));
}

// ---------------------------------------------------------------- one cell

// Three gates and one have room for four values, so that nothing depends on the kind.
template <class C>
struct CellStep {
  C h, c;     // c: LSTM
  C kept[4];  // what the gradient needs, as `saved` has it
};

// x and h: what the input and the state before give to each gate, with the biases. before: c of the
// LSTM, h of the GRU.
template <CellKind kKind, class C>
GS_DEVICE CellStep<C> run_cell(const C (&x)[gate_count(kKind)], const C (&h)[gate_count(kKind)],
                               C before) {
  using M = ScalarMath<C>;
  CellStep<C> step = {};
  if constexpr (kKind == CellKind::Lstm) {
    const C in = M::sigmoid(x[0] + h[0]), forget = M::sigmoid(x[1] + h[1]);
    const C g = M::tanh(x[2] + h[2]), o = M::sigmoid(x[3] + h[3]);
    step.c = forget * before + in * g;
    step.h = o * M::tanh(step.c);
    step.kept[0] = in, step.kept[1] = forget, step.kept[2] = g, step.kept[3] = o;
  } else if constexpr (kKind == CellKind::Gru) {
    const C r = M::sigmoid(x[0] + h[0]), z = M::sigmoid(x[1] + h[1]);
    const C n = M::tanh(x[2] + r * h[2]);
    step.h = n + z * (before - n);
    step.kept[0] = r, step.kept[1] = z, step.kept[2] = n, step.kept[3] = h[2];
  } else {
    const C sum = x[0] + h[0];
    step.h = kKind == CellKind::RnnTanh ? M::tanh(sum) : sum < 0 ? C(0) : sum;  // NaN stays
  }
  return step;
}

template <class C>
struct CellGrad {
  C gates[4], gates_hh[4];  // the latter of the GRU
  C carried;                // dc of the LSTM, z dh of the GRU
};

// dc: what came from the step after (LSTM). kept: as in CellStep. c: after the step (LSTM). before:
// as in run_cell. h: after the step (RNN).
template <CellKind kKind, class C>
GS_DEVICE CellGrad<C> run_cell_grad(C dh, C dc, const C (&kept)[4], C c, C before, C h) {
  CellGrad<C> d = {};
  if constexpr (kKind == CellKind::Lstm) {
    const C in = kept[0], forget = kept[1], g = kept[2], o = kept[3];
    const C tanh_c = ScalarMath<C>::tanh(c);
    dc += dh * o * (1 - tanh_c * tanh_c);
    d.gates[0] = dc * g * in * (1 - in);
    d.gates[1] = dc * before * forget * (1 - forget);
    d.gates[2] = dc * in * (1 - g * g);
    d.gates[3] = dh * tanh_c * o * (1 - o);
    d.carried = dc * forget;
  } else if constexpr (kKind == CellKind::Gru) {
    const C r = kept[0], z = kept[1], n = kept[2], hn = kept[3];
    const C dn = dh * (1 - z) * (1 - n * n), dr = dn * hn * r * (1 - r);
    const C dz = dh * (before - n) * z * (1 - z);
    d.gates[0] = dr, d.gates[1] = dz, d.gates[2] = dn;
    d.gates_hh[0] = dr, d.gates_hh[1] = dz, d.gates_hh[2] = dn * r;
    d.carried = dh * z;
  } else {
    d.gates[0] = kKind == CellKind::RnnTanh ? dh * (1 - h * h) : h > 0 ? dh : C(0);
  }
  return d;
}

// Calls f with the kind as a constant.
template <class F>
void visit_cell(CellKind kind, F&& f) {
  switch (kind) {
    case CellKind::Lstm:
      return f(std::integral_constant<CellKind, CellKind::Lstm>{});
    case CellKind::Gru:
      return f(std::integral_constant<CellKind, CellKind::Gru>{});
    case CellKind::RnnTanh:
      return f(std::integral_constant<CellKind, CellKind::RnnTanh>{});
    default:
      return f(std::integral_constant<CellKind, CellKind::RnnRelu>{});
  }
}

// ---------------------------------------------------------------- all steps in one kernel

// recurrent_persistent.cu, where a layer fits: false, and nothing done, where it does not. x_gates
// (T, B, G*H).
template <CellKind kKind, class T>
bool persistent_layer(const Recurrent& p, const Parts<compute_t<T>>& x_gates);
// recurrent_persistent_grad.cu: everything but dw_hh and db_hh.
template <CellKind kKind, class T>
bool persistent_layer_grad(const RecurrentGrad& p);
GS_HOST_DEVICE constexpr bool may_persist(CellKind kind, size_t size) {
  return (kind == CellKind::Lstm || kind == CellKind::Gru) && size <= 4;
}

}  // namespace gs::cuda
