// Compiler attributes used across the core.
#pragma once

// Functions in headers that CPU kernels include must not leave a shared copy behind: a copy
// compiled with AVX-512 could be picked by the linker for code that runs on an older machine.
#define GS_INLINE inline __attribute__((always_inline))

#if defined(__CUDACC__)
#define GS_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define GS_HOST_DEVICE GS_INLINE
#endif
