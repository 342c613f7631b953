// Parameters of matrix products; kernels.h says what holds for all.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace gs {

enum class Activation : uint8_t { None, Relu, Tanh, Sigmoid, Gelu };

// C[b] = act(alpha * A[b] B[b] + beta * C[b] + bias). A is M x K, B is K x N, C is M x N with unit
// column stride. Strides are in elements; any strides are allowed for A and B (transposes are
// strides). Batches: b counts over batch_shape with strides per operand (0: shared). beta 0 never
// reads C.
struct Gemm {
  DType dtype;
  int64_t m, n, k;
  const void* a;
  int64_t a_row, a_col;
  const void* b;
  int64_t b_row, b_col;
  void* c;
  int64_t c_row;
  double alpha = 1, beta = 0;
  const void* bias = nullptr;  // n values added to each row, or m values when bias_per_row
  bool bias_per_row = false;
  Activation activation = Activation::None;
  int64_t batch = 1;  // flat batch; a_batch[i] etc. give the offset of batch i when not null
  int64_t a_batch_stride = 0, b_batch_stride = 0, c_batch_stride = 0;
  const int64_t* a_batch_offsets =
      nullptr;  // element offsets, `batch` of them, used instead of strides
  const int64_t* b_batch_offsets = nullptr;
};

}  // namespace gs
