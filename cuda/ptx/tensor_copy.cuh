// The engine that copies boxes of a tensor to shared memory by itself (cp.async.bulk.tensor), with
// a map of the tensor that the driver encodes: runtime/tensor_map.h.
#pragma once

#include "barrier.cuh"
#include "tensor_map.cuh"

namespace gs::cuda::ptx {

// Where a box begins, in elements: along the dense dimension, the lines, and two counts of
// matrices.
struct BoxPlace {
  int32_t x, y, z, w;
};

// A box of a map with four dimensions, by one thread. It comes to `shared`, a multiple of 1024,
// line by line of 128 bytes, with their eighths exchanged: eighth e of line l is at e ^ l % 8. Then
// its bytes, those beyond the tensor's edges (zeros) among them, are counted at the barrier.
GS_DEVICE void copy_box(void* shared, const TensorMap& map, const BoxPlace& at, uint64_t* barrier) {
#if defined(GRADSTONE_CUDA_EMU)
  cuda_host::copy_tensor(shared, map, {at.x, at.y, at.z, at.w}, barrier);
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(shared_address(shared)),
      "l"(&map), "r"(shared_address(barrier)), "r"(at.x), "r"(at.y), "r"(at.z), "r"(at.w)
      : "memory");
#else
  trap();
#endif
}

// Brings the map itself near.
GS_DEVICE void prefetch_map([[maybe_unused]] const TensorMap& map) {
#if defined(GRADSTONE_CUDA_EMU)
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
#else
  trap();
#endif
}

}  // namespace gs::cuda::ptx
