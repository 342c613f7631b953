// One layer of LSTM, GRU or plain RNN, one direction, forward and backward, on CUDA beside the CPU.
#pragma once

#include <string>

#include "kernels/kernels.h"
#include "kernels/params/recurrent.h"
#include "twin.h"

namespace gs::twin {

inline const DType kFloating[] = {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16};
inline const CellKind kKinds[] = {CellKind::Lstm, CellKind::Gru, CellKind::RnnTanh,
                                  CellKind::RnnRelu};

inline int64_t gates_of(CellKind kind) {
  return kind == CellKind::Lstm ? 4 : kind == CellKind::Gru ? 3 : 1;
}

struct Sizes {
  int64_t steps, batch, inputs, hidden;
};
struct Layer {
  CellKind kind = CellKind::Lstm;
  Sizes s{4, 3, 5, 7};
  DType dtype = DType::Float32;
  bool reverse = false, biases = true, keep = true;
  bool dout = true, d_n = true, weights = true;  // what of the gradient is there
  int64_t more = 0;                              // further elements of the rows of out and dout
};

// Everything the two kernels write, in one list. `from`, where given, holds what the forward gave:
// the backward then starts from the same numbers on both devices.
inline Tensors forward(const Layer& l, Device device) {
  const auto [steps, batch, inputs, hidden] = l.s;
  const int64_t gates = gates_of(l.kind) * hidden;
  const double w = 1 / std::sqrt(static_cast<double>(hidden));
  const auto given = [&](const Shape& shape, double high, int seed) {
    return ops::to_device(values(shape, -high, high, l.dtype, seed), device);
  };
  const Tensor x = given({steps, batch, inputs}, 1, 1), w_ih = given({gates, inputs}, w, 2),
               w_hh = given({gates, hidden}, w, 3), b_ih = given({gates}, w, 4),
               b_hh = given({gates}, w, 5), h0 = given({batch, hidden}, 1, 6),
               c0 = given({batch, hidden}, 1, 7);
  const int64_t row = hidden + l.more;
  const Tensor out = given({steps, batch, row}, 1, 8), h_n = given({batch, hidden}, 1, 9),
               c_n = given({batch, hidden}, 1, 10), cells = given({steps, batch, hidden}, 1, 11),
               saved = given({steps, batch, 4 * hidden}, 1, 12);
  const bool lstm = l.kind == CellKind::Lstm, gated = gates_of(l.kind) > 1;
  kernels::recurrent(device, {l.kind,
                              l.dtype,
                              l.reverse,
                              steps,
                              batch,
                              inputs,
                              hidden,
                              x.raw(),
                              w_ih.raw(),
                              l.biases ? b_ih.raw() : nullptr,
                              w_hh.raw(),
                              l.biases ? b_hh.raw() : nullptr,
                              h0.raw(),
                              lstm ? c0.raw() : nullptr,
                              out.raw(),
                              row,
                              gated && l.keep ? saved.raw() : nullptr,
                              lstm && l.keep ? cells.raw() : nullptr,
                              h_n.raw(),
                              lstm ? c_n.raw() : nullptr});
  return {out, h_n, c_n, cells, saved};
}

inline Tensors backward(const Layer& l, Device device, const Tensors& kept) {
  const auto [steps, batch, inputs, hidden] = l.s;
  const int64_t gates = gates_of(l.kind) * hidden, row = hidden + l.more;
  const double w = 1 / std::sqrt(static_cast<double>(hidden));
  const auto given = [&](const Shape& shape, double high, int seed) {
    return ops::to_device(values(shape, -high, high, l.dtype, seed), device);
  };
  const Tensor out = ops::to_device(kept[0], device), cells = ops::to_device(kept[3], device),
               saved = ops::to_device(kept[4], device);
  const Tensor w_hh = given({gates, hidden}, w, 3), h0 = given({batch, hidden}, 1, 6),
               c0 = given({batch, hidden}, 1, 7), dout = given({steps, batch, row}, 1, 13),
               dh_n = given({batch, hidden}, 1, 14), dc_n = given({batch, hidden}, 1, 15);
  const Tensor dgates = given({steps, batch, gates}, 1, 16),
               dgates_hh = given({steps, batch, gates}, 1, 17), dw = given({gates, hidden}, 1, 18),
               db = given({gates}, 1, 19), dh0 = given({batch, hidden}, 1, 20),
               dc0 = given({batch, hidden}, 1, 21);
  const bool lstm = l.kind == CellKind::Lstm, gru = l.kind == CellKind::Gru;
  kernels::recurrent_grad(device, {l.kind,
                                   l.dtype,
                                   l.reverse,
                                   steps,
                                   batch,
                                   hidden,
                                   w_hh.raw(),
                                   h0.raw(),
                                   lstm ? c0.raw() : nullptr,
                                   out.raw(),
                                   row,
                                   lstm || gru ? saved.raw() : nullptr,
                                   lstm ? cells.raw() : nullptr,
                                   l.dout ? dout.raw() : nullptr,
                                   row,
                                   l.d_n ? dh_n.raw() : nullptr,
                                   lstm && l.d_n ? dc_n.raw() : nullptr,
                                   dgates.raw(),
                                   gru ? dgates_hh.raw() : nullptr,
                                   l.weights ? dw.raw() : nullptr,
                                   l.weights ? db.raw() : nullptr,
                                   dh0.raw(),
                                   lstm ? dc0.raw() : nullptr});
  return {dgates, dgates_hh, dw, db, dh0, dc0};
}

inline void expect_layer(const Layer& l) {
  SCOPED_TRACE(::testing::Message()
               << "kind " << static_cast<int>(l.kind) << " " << l.dtype << " steps " << l.s.steps
               << " batch " << l.s.batch << " inputs " << l.s.inputs << " hidden " << l.s.hidden);
  // h is rounded at each step here and at the end there.
  const double limit =
      (l.dtype == DType::Float32 || l.dtype == DType::Float64 ? 4 : 2) * tolerance_of(l.dtype);
  const Tensors here = forward(l, Device{}), there = forward(l, kCuda);
  for (size_t i = 0; i < here.size(); ++i) {
    SCOPED_TRACE("output " + std::to_string(i));
    expect_close(there[i], here[i], limit);
  }
  if (!l.keep) return;
  const Tensors d_here = backward(l, Device{}, here), d_there = backward(l, kCuda, here);
  for (size_t i = 0; i < d_here.size(); ++i) {
    SCOPED_TRACE("gradient " + std::to_string(i));
    expect_close(d_there[i], d_here[i], 2 * limit * std::sqrt(static_cast<double>(l.s.steps)));
  }
}

}  // namespace gs::twin
