// Parameters of recurrent layers; kernels.h says what holds for all.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace gs {

enum class CellKind : uint8_t { Lstm, Gru, RnnTanh, RnnRelu };

// One layer, one direction: x (T, B, I), w_ih (G*H, I), w_hh (G*H, H), b_ih and b_hh (G*H) or null;
// gate order is torch's: i f g o (LSTM), r z n (GRU). h0, c0 (B, H). out (T, B, H) with row stride
// out_stride elements between (t, b) rows, so that the two directions of a layer write side by
// side. Step t runs from T-1 down when reverse. saved (T, B, S*H), S = 4 for LSTM (activated i f g
// o), 4 for GRU (r, z, n, and h-part of n before r), 0 (null) for plain RNN; cells (T, B, H) for
// LSTM: c after each step. h_n, c_n (B, H) are written.
struct Recurrent {
  CellKind kind;
  DType dtype;
  bool reverse;
  int64_t steps, batch, inputs, hidden;
  const void* x;
  const void* w_ih;
  const void* b_ih;
  const void* w_hh;
  const void* b_hh;
  const void* h0;
  const void* c0;
  void* out;
  int64_t out_stride;
  void* saved;  // may be null when no gradient will be asked for
  void* cells;  // likewise (LSTM)
  void* h_n;
  void* c_n;
};
// Gradients through time. dgates (T, B, G*H): gradient of x W_ih^T + b_ih (from it the
// operation gets dx, dW_ih, db_ih by GEMM). dgates_hh: the gradient of h W_hh^T + b_hh, the same as
// dgates except for GRU, where it is a second buffer (T, B, 3H). dh_n, dc_n may be null. dh0, dc0
// (B, H) are written. dw_hh and db_hh are written when not null.
struct RecurrentGrad {
  CellKind kind;
  DType dtype;
  bool reverse;
  int64_t steps, batch, hidden;
  const void* w_hh;
  const void* h0;
  const void* c0;
  const void* out;
  int64_t out_stride;
  const void* saved;
  const void* cells;
  const void* dout;  // (T, B, H) with dout_stride, or null
  int64_t dout_stride;
  const void* dh_n;
  const void* dc_n;
  void* dgates;
  void* dgates_hh;  // GRU alone, otherwise null
  void* dw_hh;
  void* db_hh;
  void* dh0;
  void* dc0;
};

}  // namespace gs
