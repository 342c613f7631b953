// LSTM, GRU and plain RNN. One node per layer and direction, one kernel that runs through time.
// Gate order is torch's: i f g o (LSTM), r z n (GRU).
#include <string>
#include <vector>

#include "autograd/recompute.h"
#include "kernels/params/gemm.h"
#include "kernels/params/recurrent.h"
#include "ops/common.h"

namespace gs::ops {
namespace {

struct Cell {
  CellKind kind;
  const char* name;
  int64_t gates;
  bool has_c() const { return kind == CellKind::Lstm; }
};

Cell rnn_kind(const char* name, const std::string& nonlinearity) {
  GS_CHECK(nonlinearity == "tanh" || nonlinearity == "relu", Value, name,
           "expected nonlinearity 'tanh' or 'relu', got '", nonlinearity, "'.");
  return {nonlinearity == "tanh" ? CellKind::RnnTanh : CellKind::RnnRelu, name, 1};
}

// The inputs of one layer and direction, in the order of its node.
enum Input { kX, kH0, kC0, kWih, kWhh, kBih, kBhh, kInputs };

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

void* raw_or_null(const Tensor& t) { return t.defined() ? t.raw() : nullptr; }

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

// One layer: one direction, or two whose outputs lie side by side in one (T, B, 2H) tensor.
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

// ---- checks

struct Network {
  int64_t layers, directions, hidden;
  bool has_biases;
  int64_t per_layer() const { return has_biases ? 4 : 2; }
};

void check_shape(const char* op, const Tensor& t, const std::string& what, const Shape& expected,
                 const Tensor& x) {
  check_defined(op, t, what.c_str());
  GS_CHECK(t.shape() == expected, Value, op, "expected ", what, " of shape ", expected, ", got ",
           t.shape(), ".");
  check_same_device(op, {&x, &t});
  check_same_dtype(op, {&x, &t});
}

Network check_network(const Cell& cell, const Tensor& x, const Tensors& weights, bool has_biases,
                      int64_t num_layers, double dropout, bool bidirectional) {
  const char* op = cell.name;
  check_floating(op, x);
  GS_CHECK(x.dim() == 2 || x.dim() == 3, Value, op,
           "expected input of 3 dimensions, or 2 without a batch, got shape ", x.shape(), ".");
  GS_CHECK(num_layers >= 1 && num_layers <= (1 << 20), Value, op,
           "expected num_layers of 1 or more, got ", num_layers, ".");
  GS_CHECK(dropout >= 0 && dropout <= 1, Value, op, "expected dropout in [0, 1], got ", dropout,
           ".");
  Network net{num_layers, bidirectional ? 2 : 1, 0, has_biases};
  const int64_t count = net.layers * net.directions * net.per_layer();
  GS_CHECK(static_cast<int64_t>(weights.size()) == count, Value, op, "expected ", count,
           " weights for ", num_layers, " layers in ", net.directions, " directions, got ",
           weights.size(), ".");
  check_defined(op, weights[1], "weight_hh_l0");
  GS_CHECK(weights[1].dim() == 2 && weights[1].size(1) >= 1, Value, op,
           "expected weight_hh_l0 of shape (", cell.gates, " * H, H), got ", weights[1].shape(),
           ".");
  net.hidden = weights[1].size(1);
  GS_CHECK(net.hidden <= (int64_t{1} << 40), Value, op, "the hidden size ", net.hidden,
           " is too large.");
  const int64_t gate_rows = cell.gates * net.hidden;
  for (int64_t i = 0; i < net.layers * net.directions; ++i) {
    const int64_t layer = i / net.directions;
    const std::string suffix =
        "_l" + std::to_string(layer) + (i % net.directions ? "_reverse" : "");
    const Tensor* w = &weights[i * net.per_layer()];
    const int64_t inputs = layer == 0 ? x.size(-1) : net.directions * net.hidden;
    check_shape(op, w[0], "weight_ih" + suffix, {gate_rows, inputs}, x);
    check_shape(op, w[1], "weight_hh" + suffix, {gate_rows, net.hidden}, x);
    if (!has_biases) continue;
    check_shape(op, w[2], "bias_ih" + suffix, {gate_rows}, x);
    check_shape(op, w[3], "bias_hh" + suffix, {gate_rows}, x);
  }
  return net;
}

// All layers. Gives (output, h_n) or (output, h_n, c_n).
Tensors run_network(const Cell& cell, const Tensor& input, const Tensor& h0_in, const Tensor& c0_in,
                    const Tensors& weights, bool has_biases, int64_t num_layers, double dropout_p,
                    bool training, bool bidirectional, bool batch_first) {
  const char* op = cell.name;
  const Network net =
      check_network(cell, input, weights, has_biases, num_layers, dropout_p, bidirectional);
  const bool batched = input.dim() == 3;
  Tensor x = !batched ? unsqueeze(input, 1) : batch_first ? transpose(input, 0, 1) : input;
  GS_CHECK(x.size(0) >= 1, Value, op, "expected a sequence of one step or more, got input ",
           input.shape(), ".");
  Shape state{net.layers * net.directions, x.size(1), net.hidden};
  if (!batched) state.erase(1);
  check_shape(op, h0_in, "h0", state, input);
  if (cell.has_c()) check_shape(op, c0_in, "c0", state, input);
  const auto with_batch = [&](const Tensor& t) {
    return t.defined() ? contiguous(batched ? t : unsqueeze(t, 1)) : t;
  };
  const Tensor h0 = with_batch(h0_in), c0 = cell.has_c() ? with_batch(c0_in) : Tensor();

  Tensors h_n, c_n;
  x = contiguous(x);
  for (int64_t layer = 0; layer < net.layers; ++layer) {
    if (layer > 0 && training && dropout_p > 0) x = dropout(x, dropout_p, true);
    std::vector<Tensors> directions;
    for (int64_t i = layer * net.directions; i < (layer + 1) * net.directions; ++i) {
      const Tensor* w = &weights[i * net.per_layer()];
      Tensors in(kInputs);
      in[kX] = x;
      in[kH0] = select(h0, 0, i);
      if (cell.has_c()) in[kC0] = select(c0, 0, i);
      for (int64_t j = 0; j < net.per_layer(); ++j) in[kWih + j] = contiguous(w[j]);
      directions.push_back(std::move(in));
    }
    x = run_directions(cell, directions, &h_n, &c_n);
  }

  Tensors result{!batched ? squeeze(x, Dims{1}) : batch_first ? transpose(x, 0, 1) : x};
  for (const Tensors* last : {&h_n, &c_n}) {
    if (last->empty()) continue;
    const Tensor all = stack(*last, 0);
    result.push_back(batched ? all : squeeze(all, Dims{1}));
  }
  return result;
}

// One step is a sequence of length 1. x (B, I) or (I). Gives (h) or (h, c).
Tensors run_cell(const Cell& cell, const Tensor& x, const Tensor& h, const Tensor& c,
                 const Tensor& w_ih, const Tensor& w_hh, const Tensor& b_ih, const Tensor& b_hh) {
  const char* op = cell.name;
  check_floating(op, x);
  check_defined(op, w_hh, "w_hh");
  GS_CHECK(x.dim() == 1 || x.dim() == 2, Value, op, "expected input of shape (B, I) or (I,), got ",
           x.shape(), ".");
  GS_CHECK(w_hh.dim() == 2 && w_hh.size(1) >= 1 && w_hh.size(1) <= (int64_t{1} << 40), Value, op,
           "expected w_hh of shape (", cell.gates, " * H, H), got ", w_hh.shape(), ".");
  const bool batched = x.dim() == 2;
  const int64_t hidden = w_hh.size(1), gate_rows = cell.gates * hidden;
  const Shape state = batched ? Shape{x.size(0), hidden} : Shape{hidden};
  check_shape(op, w_ih, "w_ih", {gate_rows, x.size(-1)}, x);
  check_shape(op, w_hh, "w_hh", {gate_rows, hidden}, x);
  if (b_ih.defined()) check_shape(op, b_ih, "b_ih", {gate_rows}, x);
  if (b_hh.defined()) check_shape(op, b_hh, "b_hh", {gate_rows}, x);
  check_shape(op, h, "h", state, x);
  if (cell.has_c()) check_shape(op, c, "c", state, x);

  const auto dense = [](const Tensor& t) { return t.defined() ? contiguous(t) : t; };
  const auto row = [&](const Tensor& t) { return dense(batched ? t : unsqueeze(t, 0)); };
  const Tensors in{unsqueeze(row(x), 0), row(h),      cell.has_c() ? row(c) : Tensor(),
                   dense(w_ih),          dense(w_hh), dense(b_ih),
                   dense(b_hh)};
  Tensors h_n, c_n;
  run_directions(cell, {in}, &h_n, &c_n);
  Tensors result{h_n[0]};
  if (cell.has_c()) result.push_back(c_n[0]);
  if (!batched)
    for (Tensor& t : result) t = squeeze(t, Dims{0});
  return result;
}

}  // namespace

Tensors lstm(const Tensor& x, const Tensor& h0, const Tensor& c0, const Tensors& weights,
             bool has_biases, int64_t num_layers, double dropout, bool training, bool bidirectional,
             bool batch_first) {
  return run_network({CellKind::Lstm, "lstm", 4}, x, h0, c0, weights, has_biases, num_layers,
                     dropout, training, bidirectional, batch_first);
}

Tensors gru(const Tensor& x, const Tensor& h0, const Tensors& weights, bool has_biases,
            int64_t num_layers, double dropout, bool training, bool bidirectional,
            bool batch_first) {
  return run_network({CellKind::Gru, "gru", 3}, x, h0, {}, weights, has_biases, num_layers, dropout,
                     training, bidirectional, batch_first);
}

Tensors rnn(const Tensor& x, const Tensor& h0, const Tensors& weights,
            const std::string& nonlinearity, bool has_biases, int64_t num_layers, double dropout,
            bool training, bool bidirectional, bool batch_first) {
  return run_network(rnn_kind("rnn", nonlinearity), x, h0, {}, weights, has_biases, num_layers,
                     dropout, training, bidirectional, batch_first);
}

Tensors lstm_cell(const Tensor& x, const Tensor& h, const Tensor& c, const Tensor& w_ih,
                  const Tensor& w_hh, const Tensor& b_ih, const Tensor& b_hh) {
  return run_cell({CellKind::Lstm, "lstm_cell", 4}, x, h, c, w_ih, w_hh, b_ih, b_hh);
}

Tensor gru_cell(const Tensor& x, const Tensor& h, const Tensor& w_ih, const Tensor& w_hh,
                const Tensor& b_ih, const Tensor& b_hh) {
  return run_cell({CellKind::Gru, "gru_cell", 3}, x, h, {}, w_ih, w_hh, b_ih, b_hh)[0];
}

Tensor rnn_cell(const Tensor& x, const Tensor& h, const Tensor& w_ih, const Tensor& w_hh,
                const Tensor& b_ih, const Tensor& b_hh, const std::string& nonlinearity) {
  return run_cell(rnn_kind("rnn_cell", nonlinearity), x, h, {}, w_ih, w_hh, b_ih, b_hh)[0];
}

}  // namespace gs::ops
