// A tensor as the copy engine knows it. runtime/tensor_map.h makes such maps, tensor_copy.cuh uses
// them; this header is plain C++ for both.
#pragma once

#include "portable.cuh"

namespace gs::cuda::ptx {

// Opaque. A kernel takes it as `const __grid_constant__ TensorMap` and passes its address on.
#if defined(GRADSTONE_CUDA_EMU)
struct alignas(128) TensorMap : cuda_host::TensorMap {};
#else
struct alignas(128) TensorMap {
  unsigned char bytes[128];
};
#endif

}  // namespace gs::cuda::ptx
