// Maps of tensors for the copy engine of Hopper (ptx/tensor_copy.cuh).
#pragma once

#include "ptx/tensor_map.cuh"

namespace gs::cuda {

// Elements of 2 or 4 bytes in device memory: a dense dimension, lines, and two counts of matrices.
// A stride of 0 needs a size of 1.
struct BoxedTensor {
  const void* base = nullptr;
  int64_t size[4] = {1, 1, 1, 1};
  int64_t stride[4] = {1, 0, 0, 0};  // in elements
  int element_bytes = 2;
  int lines = 1;  // of a box, 128 bytes each
};

// False where the engine does not take such a tensor: sizes over 2^31, strides that are no
// multiples of 16 bytes, and whatever else the driver refuses.
bool map_tensor(const BoxedTensor& tensor, ptx::TensorMap& map);

}  // namespace gs::cuda
