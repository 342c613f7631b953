// Blocks that wait for each other: a launch of which all blocks run at one time, how many those can
// be, and the barrier at which they meet.
#pragma once

#include "portable.cuh"
#include "ptx/memory.cuh"

namespace gs::cuda {

// Shared memory that a block may ask for.
inline int64_t most_shared_bytes() {
  int device = 0, bytes = 0;
  check(cudaGetDevice(&device), "launch");
  check(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), "launch");
  return bytes;
}

// How many blocks of a kernel the device holds at one time.
template <class... Parameters>
int64_t resident_blocks(void (*kernel)(Parameters...), int threads, size_t shared_bytes) {
  if (static_cast<int64_t>(shared_bytes) > most_shared_bytes()) return 0;
  int device = 0, processors = 0, each = 0;
  check(cudaGetDevice(&device), "launch");
  check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device), "launch");
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(shared_bytes)),
        "launch");
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, kernel, threads, shared_bytes),
        "launch");
  return int64_t(processors) * each;
}

// launch() for such a grid; it must not be larger than resident_blocks says.
template <class... Parameters, class... Arguments>
void launch_together(const Config& c, void (*kernel)(Parameters...), Arguments&&... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments), "wrong number of arguments");
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(c.shared_bytes)),
        "launch");
  std::tuple<Parameters...> packed(static_cast<Parameters>(arguments)...);
#if defined(GRADSTONE_CUDA_EMU)
  const cuda_host::Launch how{c.grid, c.block, c.shared_bytes,
                              reinterpret_cast<const void*>(kernel), true};
  std::apply([](const auto&... p) { (cuda_host::refuse_host_addresses_in(p), ...); }, packed);
  cuda_host::enqueue(c.stream, [how, kernel, packed] {
    cuda_host::run(how, [&] { std::apply(kernel, packed); });
  });
#else
  std::apply(
      [&](auto&... p) {
        void* addresses[] = {&p...};
        check(cudaLaunchCooperativeKernel(reinterpret_cast<const void*>(kernel), c.grid, c.block,
                                          addresses, c.shared_bytes, c.stream),
              "launch");
      },
      packed);
#endif
}

// Where `blocks` blocks of such a grid wait for each other. `arrived` is 0 when the kernel starts.
class GridBarrier {
 public:
  GS_DEVICE GridBarrier(unsigned* arrived, unsigned blocks) : arrived_(arrived), blocks_(blocks) {}

  // All threads call arrive, then wait: what any of these blocks wrote before its arrive can be
  // read behind the wait, past the first cache (copy_async_16 and the like).
  GS_DEVICE void arrive() {
    __syncthreads();
    target_ += blocks_;
    if (threadIdx.x == 0) {
      __threadfence();
      atomicAdd(arrived_, 1u);
    }
  }
  GS_DEVICE void wait() {
    if (threadIdx.x == 0) {
      ptx::wait_for_count(arrived_, target_);
      __threadfence();
    }
    __syncthreads();
  }

 private:
  unsigned* arrived_;
  unsigned blocks_, target_ = 0;
};

}  // namespace gs::cuda
