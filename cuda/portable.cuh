// The one header of CUDA, real or emulated, that kernels include. One source, two compilers: nvcc,
// and a host C++ compiler that takes tests/cuda_host/cuda_host.h for <cuda_runtime.h>. What differs
// is here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#if defined(GRADSTONE_CUDA_EMU)
#include "cuda_host.h"
#else
#include <cuda_runtime.h>
#endif

// Shared memory of a block: GS_SHARED(tile, float[16][17]); a reference to it is `tile`.
// GS_DYNAMIC_SHARED(float, tile) is the memory asked for at the launch, a pointer.
#if defined(GRADSTONE_CUDA_EMU)
#define GS_SHARED_ALIGNED(alignment, name, ...)                    \
  static const char name##_tag_ = 0;                               \
  auto& name = *static_cast<::std::type_identity_t<__VA_ARGS__>*>( \
      ::cuda_host::shared_variable(&name##_tag_, sizeof(__VA_ARGS__), alignment, #name))
#define GS_DYNAMIC_SHARED(T, name) T* name = static_cast<T*>(::cuda_host::dynamic_shared(1024))
#define GS_UNROLL
#else
#define GS_SHARED_ALIGNED(alignment, name, ...) \
  __shared__ __align__(alignment)::std::type_identity_t<__VA_ARGS__> name
#define GS_DYNAMIC_SHARED(T, name)                                      \
  extern __shared__ __align__(1024) unsigned char gs_dynamic_shared_[]; \
  T* name = reinterpret_cast<T*>(gs_dynamic_shared_)
#define GS_UNROLL _Pragma("unroll")
#endif
#define GS_SHARED(name, ...) GS_SHARED_ALIGNED(16, name, __VA_ARGS__)
#define GS_DEVICE __device__ __forceinline__

#include "ptx/convert.cuh"

namespace gs::cuda {

// Raises what a runtime call answered; does nothing on success.
void check(cudaError_t error, const char* what);

struct Config {
  dim3 grid, block;
  size_t shared_bytes = 0;
  cudaStream_t stream = nullptr;
};

#if defined(GRADSTONE_CUDA_EMU) || defined(__CUDACC__)
// launch({grid, block, shared_bytes, stream}, kernel<64, 64>, arguments...): the arguments are
// converted to the kernel's parameters, more than 48 KB of shared memory are asked for, and errors
// are raised. The same text for both compilers, so no <<<>>>.
template <class... Parameters, class... Arguments>
void launch(const Config& c, void (*kernel)(Parameters...), Arguments&&... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments), "wrong number of arguments");
  if (c.shared_bytes > 48 * 1024)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(c.shared_bytes)),
          "launch");
#if defined(GRADSTONE_CUDA_EMU)
  const cuda_host::Launch how{c.grid, c.block, c.shared_bytes,
                              reinterpret_cast<const void*>(kernel), false};
  const std::tuple<Parameters...> packed(static_cast<Parameters>(arguments)...);
  std::apply([](const auto&... p) { (cuda_host::refuse_host_addresses_in(p), ...); }, packed);
  cuda_host::enqueue(c.stream, [how, kernel, packed] {
    cuda_host::run(how, [&] { std::apply(kernel, packed); });
  });
#else
  kernel<<<c.grid, c.block, c.shared_bytes, c.stream>>>(static_cast<Parameters>(arguments)...);
  check(cudaGetLastError(), "launch");
#endif
}
#endif  // the host's compiler alone knows no <<<>>>

}  // namespace gs::cuda
