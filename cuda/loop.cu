// Host loops made ready for the device.
#include <cstring>

#include "loop.cuh"

namespace gs::cuda {
namespace {

bool is_dense(const Loop& loop) {
  if (loop.ndim > 1) return false;
  for (int k = 0; k < loop.count; ++k) {
    const LoopOperand& operand = loop.operands[k];
    const int64_t stride = loop.ndim == 0 ? 0 : operand.strides[0];
    if (operand.on_host || stride == 0) {
      if (k == 0 && loop.numel > 1) return false;
      continue;
    }
    if (stride != size_of(operand.dtype) || !is_aligned(operand.data, kPackBytes)) return false;
  }
  return true;
}

}  // namespace

DeviceLoop device_loop(const Loop& loop) {
  DeviceLoop out;
  out.numel = loop.numel;
  out.ndim = loop.ndim;
  out.dense = is_dense(loop);
  for (int d = 0; d < loop.ndim; ++d) out.shape[d] = loop.shape[d];
  for (int k = 0; k < loop.count; ++k) {
    const LoopOperand& operand = loop.operands[k];
    if (operand.on_host) {
      std::memcpy(&out.scalar[k], operand.data, static_cast<size_t>(size_of(operand.dtype)));
      continue;
    }
    out.data[k] = operand.data;
    for (int d = 0; d < loop.ndim; ++d) out.strides[k][d] = operand.strides[d];
  }
  return out;
}

}  // namespace gs::cuda
