// What all wrappers of instructions need: where a call stands, for the emulator's messages, and
// which architecture the code is compiled for.
#pragma once

#include "portable.cuh"

#if defined(GRADSTONE_CUDA_EMU)
#define GS_PTX_SITE , GS_CALL_SITE
#define GS_PTX_ONLY_SITE GS_CALL_SITE
#else
#define GS_PTX_SITE
#define GS_PTX_ONLY_SITE
#endif

namespace gs::cuda::ptx {

// Instructions of sm_90a exist in code for it alone. Elsewhere they trap: a kernel that was chosen
// for the wrong card must not go on with what it has not computed. Kernels ask kHopper as well, so
// that the other architectures do not compile all that is around the traps.
#if defined(__CUDA_ARCH__) && !defined(__CUDA_ARCH_FEAT_SM90_ALL)
inline constexpr bool kHopper = false;
#else
inline constexpr bool kHopper = true;
#endif

GS_DEVICE void trap() {
#if defined(GRADSTONE_CUDA_EMU)
  cuda_host::fail("a trap");
#elif defined(__CUDA_ARCH__)
  __trap();
#endif
}

GS_DEVICE unsigned shared_address(const void* p) {
#if defined(GRADSTONE_CUDA_EMU)
  return cuda_host::shared_offset(p);
#elif defined(__CUDA_ARCH__)
  return static_cast<unsigned>(__cvta_generic_to_shared(p));
#else
  return 0;
#endif
}

}  // namespace gs::cuda::ptx
