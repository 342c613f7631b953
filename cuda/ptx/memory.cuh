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

}  // namespace gs::cuda::ptx
