// Barriers in shared memory (mbarrier). A phase ends when the expected arrivals have come and, if
// bytes were announced, these too; phases have the parities 0, 1, 0... Threads wait for the end of
// the phase of a parity: on a new barrier, waiting for parity 1 passes at once.
#pragma once

#include "architecture.cuh"

namespace gs::cuda::ptx {

// By one thread; then publish_barriers() by the same and a barrier of the block.
GS_DEVICE void init_barrier(uint64_t* barrier, unsigned arrivals) {
#if defined(GRADSTONE_CUDA_EMU)
  cuda_host::mbarrier_init(barrier, arrivals);
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)),
               "r"(arrivals)
               : "memory");
#else
  trap();
#endif
}

// What init_barrier wrote, to the copy engine as well.
GS_DEVICE void publish_barriers() {
#if defined(GRADSTONE_CUDA_EMU)
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#else
  trap();
#endif
}

// What this thread wrote to shared memory becomes visible to the copy engine and to wgmma, once a
// barrier has been passed.
GS_DEVICE void fence_async() {
#if defined(GRADSTONE_CUDA_EMU)
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#else
  trap();
#endif
}

GS_DEVICE void arrive(uint64_t* barrier GS_PTX_SITE) {
#if defined(GRADSTONE_CUDA_EMU)
  cuda_host::mbarrier_arrive(barrier, 1, 0, file, line);
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier))
               : "memory");
#else
  trap();
#endif
}

// Announces bytes of bulk copies to this phase, and arrives.
GS_DEVICE void arrive_expecting(uint64_t* barrier, unsigned bytes GS_PTX_SITE) {
#if defined(GRADSTONE_CUDA_EMU)
  cuda_host::mbarrier_arrive(barrier, 1, bytes, file, line);
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
      "r"(bytes)
      : "memory");
#else
  trap();
#endif
}

GS_DEVICE void wait_phase(uint64_t* barrier, unsigned parity GS_PTX_SITE) {
#if defined(GRADSTONE_CUDA_EMU)
  cuda_host::mbarrier_wait(barrier, parity, file, line);
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  // try_wait sleeps for a time that the hardware chooses, so the loop turns seldom.
  asm volatile(
      "{\n"
      ".reg .pred ended;\n"
      "again_%=:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 ended, [%0], %1;\n"
      "@!ended bra again_%=;\n"
      "}\n" ::"r"(shared_address(barrier)),
      "r"(parity)
      : "memory");
#else
  trap();
#endif
}

}  // namespace gs::cuda::ptx
