#include "runtime/tensor_map.h"

#if !defined(GRADSTONE_CUDA_EMU)
#include <cuda.h>
#endif

namespace gs::cuda {
namespace {

constexpr unsigned kLine = 128;  // bytes

#if defined(GRADSTONE_CUDA_EMU)

bool encode(const void* base, const uint64_t (&size)[4], const uint64_t (&stride)[4],
            unsigned lines, unsigned element, ptx::TensorMap& map) {
  cuda_host::TensorMap m{static_cast<const char*>(base), {}, {}, {kLine / element, lines}, element};
  for (int i = 0; i < 4; ++i) m.size[i] = size[i], m.stride[i] = stride[i];
  map = {m};
  return cuda_host::is_valid(m);
}

#else

// The driver's function, found at run time: nothing is linked with the driver.
using Encode = decltype(&cuTensorMapEncodeTiled);
Encode find_encode() {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult answer;
  const cudaError_t error = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found,
                                                             12000, cudaEnableDefault, &answer);
  if (error == cudaSuccess && answer == cudaDriverEntryPointSuccess)
    return reinterpret_cast<Encode>(found);
  cudaGetLastError();
  return nullptr;
}

bool encode(const void* base, const uint64_t (&size)[4], const uint64_t (&stride)[4],
            unsigned lines, unsigned element, ptx::TensorMap& map) {
  static_assert(sizeof(CUtensorMap) == sizeof map &&
                alignof(CUtensorMap) <= alignof(ptx::TensorMap));
  static const Encode encode_tiled = find_encode();
  if (!encode_tiled) return false;
  const cuuint64_t sizes[4] = {size[0], size[1], size[2], size[3]};
  const cuuint64_t strides[3] = {stride[1], stride[2], stride[3]};
  const cuuint32_t box[4] = {kLine / element, lines, 1, 1}, every[4] = {1, 1, 1, 1};
  return encode_tiled(
             reinterpret_cast<CUtensorMap*>(&map),
             element == 2 ? CU_TENSOR_MAP_DATA_TYPE_UINT16 : CU_TENSOR_MAP_DATA_TYPE_UINT32, 4,
             const_cast<void*>(base), sizes, strides, box, every, CU_TENSOR_MAP_INTERLEAVE_NONE,
             CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
             CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

#endif

}  // namespace

bool map_tensor(const BoxedTensor& tensor, ptx::TensorMap& map) {
  constexpr int64_t kMost = INT32_MAX;  // coordinates are 32 bits, with a sign
  uint64_t size[4], stride[4];
  for (int i = 0; i < 4; ++i) {
    const int64_t count = tensor.size[i], step = tensor.stride[i];
    if (count < 1 || count > kMost || step < 0 || (step == 0 && count > 1)) return false;
    size[i] = static_cast<uint64_t>(count);
    stride[i] = static_cast<uint64_t>(step * tensor.element_bytes);
    // A dimension of one element is given a stride that suits any engine.
    if (i > 0 && count == 1)
      stride[i] = i == 1 ? (size[0] * static_cast<uint64_t>(tensor.element_bytes) + 15) / 16 * 16
                         : stride[i - 1] * size[i - 1];
  }
  return encode(tensor.base, size, stride, static_cast<unsigned>(tensor.lines),
                static_cast<unsigned>(tensor.element_bytes), map);
}

}  // namespace gs::cuda
