// A layer of LSTM, GRU or plain RNN: one node per direction, one kernel that runs through time.
#include "ops/recurrent_layer.h"

#include <vector>

#include "autograd/recompute.h"
#include "kernels/params/gemm.h"

namespace gs::ops {
namespace {

using Cell = RecurrentCell;

// ---- by differentiable operations, for second derivatives

struct State {
  Tensor h, c;
};

// x_gates (B, G*H): the input's part of the gates.
State composed_step(const Cell& cell, const Tensor& x_gates, const State& before,
                    const Tensors& in) {
  const Tensor h_gates = linear(before.h, in[kWhh], in[kBhh]);
  if (cell.kind == CellKind::Lstm) {
    const Tensors g = chunk(add(x_gates, h_gates, 1), 4, 1);
    const Tensor c = add(mul(sigmoid(g[1]), before.c), mul(sigmoid(g[0]), tanh(g[2])), 1);
    return {mul(sigmoid(g[3]), tanh(c)), c};
  }
  if (cell.kind == CellKind::Gru) {
    const Tensors x = chunk(x_gates, 3, 1), h = chunk(h_gates, 3, 1);
    const Tensor r = sigmoid(add(x[0], h[0], 1)), z = sigmoid(add(x[1], h[1], 1));
    const Tensor n = tanh(add(x[2], mul(r, h[2]), 1));
    return {add(n, mul(z, sub(before.h, n, 1)), 1), {}};
  }
  const Tensor sum = add(x_gates, h_gates, 1);
  return {cell.kind == CellKind::RnnTanh ? tanh(sum) : relu(sum), {}};
}

// Gives (out, h_n) or (out, h_n, c_n), as the node does.
Tensors composed_layer(const Cell& cell, bool reverse, const Tensors& in) {
  const int64_t steps = in[kX].size(0);
  const Tensor x_gates = linear(in[kX], in[kWih], in[kBih]);
  State state{in[kH0], in[kC0]};
  Tensors out(steps);
  for (int64_t i = 0; i < steps; ++i) {
    const int64_t t = reverse ? steps - 1 - i : i;
    state = composed_step(cell, select(x_gates, 0, t), state, in);
    out[t] = state.h;
  }
  Tensors result{stack(out, 0), state.h};
  if (cell.has_c()) result.push_back(state.c);
  return result;
}

// ---- by the kernel

struct LayerSizes {
  DType dtype;
  Device device;
  int64_t steps, batch, inputs, hidden, gate_rows;
  int64_t rows() const { return steps * batch; }
};

LayerSizes sizes_of(const Cell& cell, const Tensors& in) {
  const int64_t hidden = in[kH0].size(1);
  return {in[kX].dtype(), in[kX].device(), in[kX].size(0),     in[kX].size(1),
          in[kX].size(2), hidden,          cell.gates * hidden};
}

// dx = dgates W_ih
Tensor input_gradient(const LayerSizes& s, const Tensor& dgates, const Tensor& w_ih) {
  Tensor dx = empty({s.steps, s.batch, s.inputs}, s.dtype, s.device);
  Gemm p{};
  p.dtype = s.dtype;
  p.m = s.rows(), p.n = s.inputs, p.k = s.gate_rows;
  p.a = dgates.raw(), p.a_row = s.gate_rows, p.a_col = 1;
  p.b = w_ih.raw(), p.b_row = s.inputs, p.b_col = 1;
  p.c = dx.raw(), p.c_row = s.inputs;
  kernels::gemm(s.device, p);
  return dx;
}

// dW_ih = dgates^T x
Tensor input_weight_gradient(const LayerSizes& s, const Tensor& dgates, const Tensor& x) {
  Tensor dw = empty({s.gate_rows, s.inputs}, s.dtype, s.device);
  Gemm p{};
  p.dtype = s.dtype;
  p.m = s.gate_rows, p.n = s.inputs, p.k = s.rows();
  p.a = dgates.raw(), p.a_row = 1, p.a_col = s.gate_rows;
  p.b = x.raw(), p.b_row = s.inputs, p.b_col = 1;
  p.c = dw.raw(), p.c_row = s.inputs;
  kernels::gemm(s.device, p);
  return dw;
}

// The gradient of (T, B, H) outputs as the kernel reads it: one stride between (t, b) rows. One
// direction of two comes as a window of the joined gradient and is read where it lies.
Tensor row_strided(const Tensor& t, int64_t* stride) {
  *stride = t.size(2);
  if (t.is_contiguous()) return t;
  const bool dense_rows = t.stride(2) == 1 && t.size(1) > 1 && t.stride(1) >= t.size(2) &&
                          t.stride(0) == t.size(1) * t.stride(1);
  if (!dense_rows) return contiguous(t);
  *stride = t.stride(1);
  return t;
}

// What the forward keeps for the gradient.
struct Kept {
  Tensor saved, cells;
  int64_t out_stride;
};

Tensors layer_gradient(Backward& b, const Cell& cell, bool reverse, const Tensors& in,
                       const Tensor& out, const Kept& kept) {
  if (b.create_graph()) {
    return autograd::recompute_gradient(
        b, in, [&](const Tensors& inputs) { return composed_layer(cell, reverse, inputs); });
  }
  const LayerSizes s = sizes_of(cell, in);
  int64_t dout_stride = s.hidden;
  const Tensor dout = b.has_grad(0) ? row_strided(b.grad(0), &dout_stride) : Tensor();
  const Tensor dh_n = b.has_grad(1) ? contiguous(b.grad(1)) : Tensor();
  const Tensor dc_n = cell.has_c() && b.has_grad(2) ? contiguous(b.grad(2)) : Tensor();
  const Tensor dgates = empty({s.steps, s.batch, s.gate_rows}, s.dtype, s.device);
  const Tensor dgates_hh = cell.kind == CellKind::Gru ? empty_like(dgates) : Tensor();
  Tensors d(kInputs);
  d[kH0] = empty_like(in[kH0]);
  if (cell.has_c()) d[kC0] = empty_like(in[kC0]);
  if (b.needs(kWhh)) d[kWhh] = empty_like(in[kWhh]);
  if (b.needs(kBhh)) d[kBhh] = empty_like(in[kBhh]);
  kernels::recurrent_grad(s.device, {cell.kind,
                                     s.dtype,
                                     reverse,
                                     s.steps,
                                     s.batch,
                                     s.hidden,
                                     in[kWhh].raw(),
                                     in[kH0].raw(),
                                     raw_or_null(in[kC0]),
                                     out.raw(),
                                     kept.out_stride,
                                     raw_or_null(kept.saved),
                                     raw_or_null(kept.cells),
                                     raw_or_null(dout),
                                     dout_stride,
                                     raw_or_null(dh_n),
                                     raw_or_null(dc_n),
                                     dgates.raw(),
                                     raw_or_null(dgates_hh),
                                     raw_or_null(d[kWhh]),
                                     raw_or_null(d[kBhh]),
                                     d[kH0].raw(),
                                     raw_or_null(d[kC0])});
  if (b.needs(kX)) d[kX] = input_gradient(s, dgates, in[kWih]);
  if (b.needs(kWih)) d[kWih] = input_weight_gradient(s, dgates, in[kX]);
  if (b.needs(kBih)) {
    // But for the GRU both biases enter the same sum.
    d[kBih] = d[kBhh].defined() && cell.kind != CellKind::Gru
                  ? clone(d[kBhh])
                  : sum(dgates, Dims{0, 1}, false, std::nullopt);
  }
  return d;
}

// One layer in one direction: x (T, B, I), h0 and c0 (B, H); all inputs dense. `out` (T, B, H) is
// allocated, its rows `out_stride` apart. Gives (out, h_n) or (out, h_n, c_n).
Tensors run_layer(const Cell& cell, bool reverse, const Tensors& in, const Tensor& out,
                  int64_t out_stride) {
  const LayerSizes s = sizes_of(cell, in);
  const bool differentiate = autograd::any_needs_grad(in);
  Kept kept{{}, {}, out_stride};
  if (differentiate && cell.gates > 1)
    kept.saved = empty({s.steps, s.batch, 4 * s.hidden}, s.dtype, s.device);
  if (differentiate && cell.has_c())
    kept.cells = empty({s.steps, s.batch, s.hidden}, s.dtype, s.device);
  Tensors result{out, empty_like(in[kH0])};
  if (cell.has_c()) result.push_back(empty_like(in[kH0]));
  kernels::recurrent(s.device, {cell.kind,
                                s.dtype,
                                reverse,
                                s.steps,
                                s.batch,
                                s.inputs,
                                s.hidden,
                                in[kX].raw(),
                                in[kWih].raw(),
                                raw_or_null(in[kBih]),
                                in[kWhh].raw(),
                                raw_or_null(in[kBhh]),
                                in[kH0].raw(),
                                raw_or_null(in[kC0]),
                                out.raw(),
                                out_stride,
                                raw_or_null(kept.saved),
                                raw_or_null(kept.cells),
                                result[1].raw(),
                                cell.has_c() ? result[2].raw() : nullptr});
  if (differentiate) {
    std::vector<Saved> saved;
    autograd::InputList list;
    for (const Tensor& t : in) {
      saved.emplace_back(t);
      list.push_back(&t);
    }
    record(cell.name, result, list,
           [cell, reverse, saved, out = Saved::output(out), kept](Backward& b) -> Tensors {
             Tensors in;
             for (const Saved& t : saved) in.push_back(t.get(b));
             return layer_gradient(b, cell, reverse, in, out.get(b), kept);
           });
  }
  return result;
}

bool is_empty(const Tensors& in) { return in[kX].numel() == 0 || in[kH0].numel() == 0; }

}  // namespace

Tensor run_directions(const Cell& cell, const std::vector<Tensors>& directions, Tensors* h_n,
                      Tensors* c_n) {
  const int64_t n = static_cast<int64_t>(directions.size());
  const Tensor& x = directions[0][kX];
  const int64_t steps = x.size(0), batch = x.size(1), hidden = directions[0][kH0].size(1);
  const bool composed = is_empty(directions[0]);
  Tensor joined;
  if (!composed) joined = empty({steps, batch, n * hidden}, x.dtype(), x.device());
  Tensors parts;
  for (int64_t i = 0; i < n; ++i) {
    Tensors result;
    if (composed) {
      result = composed_layer(cell, i == 1, directions[i]);
    } else {
      const Strides strides{batch * n * hidden, n * hidden, 1};
      const Tensor window =
          alias(joined, {steps, batch, hidden}, strides, joined.offset() + i * hidden);
      result = run_layer(cell, i == 1, directions[i], window, n * hidden);
    }
    parts.push_back(result[0]);
    h_n->push_back(result[1]);
    if (cell.has_c()) c_n->push_back(result[2]);
  }
  if (n == 1) return parts[0];
  if (composed) return cat(parts, 2);
  if (needs_grad(parts[0], parts[1])) {
    record("join_directions", joined, inputs(parts[0], parts[1]), [hidden](Backward& b) -> Tensors {
      const Tensor g = b.grad();
      return {b.needs(0) ? narrow(g, 2, 0, hidden) : Tensor(),
              b.needs(1) ? narrow(g, 2, hidden, hidden) : Tensor()};
    });
  }
  return joined;
}

}  // namespace gs::ops
