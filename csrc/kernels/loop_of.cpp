#include "kernels/loop_of.h"

#include <utility>

namespace gs {

Loop make_loop(std::initializer_list<const Tensor*> operands) {
  Loop loop;
  const Tensor& out = **operands.begin();
  loop.count = static_cast<int>(operands.size());
  loop.numel = out.numel();
  bool flat = true;
  int k = 0;
  for (const Tensor* t : operands) {
    LoopOperand& operand = loop.operands[k++];
    const TensorBody& body = *t->body();
    const int64_t size = size_of(body.dtype);
    operand.data = static_cast<char*>(body.storage->data()) + body.offset * size;
    operand.dtype = body.dtype;
    operand.on_host = body.storage->device().is_cpu();
    operand.strides[0] = size;
    flat = flat && body.contiguous && body.numel == loop.numel;
  }
  if (flat) {
    loop.ndim = 1;
    loop.shape[0] = loop.numel;
    if (loop.numel == 1) {
      loop.ndim = 0;
      for (int i = 0; i < k; ++i) loop.operands[i].strides[0] = 0;
    }
    return loop;
  }

  // Byte strides per dimension of the output; 0 where an input is broadcast.
  const int ndim = static_cast<int>(out.dim());
  int64_t strides[4][kMaxDims];
  k = 0;
  for (const Tensor* t : operands) {
    const int lead = ndim - static_cast<int>(t->dim());
    for (int d = 0; d < ndim; ++d) {
      const bool broadcast = d < lead || t->shape()[d - lead] == 1;
      strides[k][d] = broadcast ? 0 : t->strides()[d - lead] * size_of(t->dtype());
    }
    ++k;
  }
  int order[kMaxDims], kept = 0;
  for (int d = 0; d < ndim; ++d)
    if (out.shape()[d] != 1) order[kept++] = d;
  // Largest output stride first, ties by the first input: an insertion sort, stable.
  const auto before = [&](int a, int b) {
    for (int i = 0; i < k; ++i)
      if (strides[i][a] != strides[i][b] && strides[i][a] != 0 && strides[i][b] != 0)
        return strides[i][a] > strides[i][b];
    return false;
  };
  for (int i = 1; i < kept; ++i)
    for (int j = i; j > 0 && before(order[j], order[j - 1]); --j) std::swap(order[j], order[j - 1]);

  for (int i = 0; i < kept; ++i) {
    const int d = order[i];
    bool merge = loop.ndim > 0;
    for (int o = 0; o < k && merge; ++o)
      merge = loop.operands[o].strides[loop.ndim - 1] == strides[o][d] * out.shape()[d];
    if (!merge) ++loop.ndim;
    loop.shape[loop.ndim - 1] = (merge ? loop.shape[loop.ndim - 1] : 1) * out.shape()[d];
    for (int o = 0; o < k; ++o) loop.operands[o].strides[loop.ndim - 1] = strides[o][d];
  }
  if (loop.ndim == 0) {
    loop.shape[0] = 1;
    for (int o = 0; o < k; ++o) loop.operands[o].strides[0] = 0;
  }
  return loop;
}

}  // namespace gs
