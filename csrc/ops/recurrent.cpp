// LSTM, GRU and plain RNN: the networks and their cells, one layer (recurrent_layer.h) after
// another. Gate order is torch's: i f g o (LSTM), r z n (GRU).
#include <string>
#include <vector>

#include "ops/recurrent_layer.h"

namespace gs::ops {
namespace {

using Cell = RecurrentCell;

Cell rnn_kind(const char* name, const std::string& nonlinearity) {
  GS_CHECK(nonlinearity == "tanh" || nonlinearity == "relu", Value, name,
           "expected nonlinearity 'tanh' or 'relu', got '", nonlinearity, "'.");
  return {nonlinearity == "tanh" ? CellKind::RnnTanh : CellKind::RnnRelu, name, 1};
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
