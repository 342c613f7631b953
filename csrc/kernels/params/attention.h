// Parameters of attention; kernels.h says what holds for all.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace gs {

// q (batch, heads, T, D), k (batch, heads, U, D), v (batch, heads, U, V): dense; out (batch, heads,
// T, V). mask: null, or T x U additive values with strides for batch and head (0: shared); -inf
// masks. causal: query t sees keys u <= t. lse (batch, heads, T), compute type, for the gradient.
// A row in which everything is masked gives 0.
struct Attention {
  DType dtype;
  int64_t batch, heads, t, u, d, v;
  const void* q;
  const void* k;
  const void* value;
  const void* mask;
  int64_t mask_batch_stride, mask_head_stride;
  bool causal;
  double scale;
  void* out;
  void* lse;
};
struct AttentionGrad {
  DType dtype;
  int64_t batch, heads, t, u, d, v;
  const void* q;
  const void* k;
  const void* value;
  const void* mask;
  int64_t mask_batch_stride, mask_head_stride;
  bool causal;
  double scale;
  const void* out;
  const void* lse;
  const void* dout;
  void* dq;
  void* dk;
  void* dvalue;
};

}  // namespace gs
