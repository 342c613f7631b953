// Memory instructions that the compiler is not to take apart. Each stands beside what it means on
// the emulator.
#pragma once

#include <cstring>

#include "portable.cuh"

namespace gs::cuda::ptx {

// Writes 16 bytes to global memory, at a multiple of 16, as one store. Written as an assignment it
// is at times four stores, or sixteen bytes wide only in some copies of the code.
GS_DEVICE void store_16(void* global, const void* from) {
#if defined(GRADSTONE_CUDA_EMU)
  std::memcpy(__builtin_assume_aligned(global, 16), from, 16);
#elif defined(__CUDA_ARCH__)
  unsigned words[4];
  memcpy(words, from, sizeof words);
  asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(global)),
               "r"(words[0]), "r"(words[1]), "r"(words[2]), "r"(words[3])
               : "memory");
#endif
}

// Waits until other blocks have counted up to `target`; counts may wrap.
GS_DEVICE void wait_for_count(unsigned* at, unsigned target) {
#if defined(GRADSTONE_CUDA_EMU)
  while (static_cast<int>(cuda_host::atomic_read(at) - target) < 0) cuda_host::yield();
#elif defined(__CUDA_ARCH__)
  unsigned count;
  do {
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];"
                 : "=r"(count)
                 : "l"(__cvta_generic_to_global(at))
                 : "memory");
  } while (static_cast<int>(count - target) < 0);
#endif
}

}  // namespace gs::cuda::ptx
