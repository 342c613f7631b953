// What Hopper has beside its threads: the engine that copies boxes of tensors to shared memory, and
// the products of a warpgroup (wgmma), written from the layouts of the PTX manual. The wrappers in
// cuda/ptx/ call these in place of the instructions.
#pragma once

#include <cstdint>

#include "language.h"

namespace cuda_host {

// A tensor as the copy engine knows it: up to four dimensions, the first with stride 1, from which
// it copies boxes of box[0] x box[1] elements. Lines of a box are 128 bytes long in shared memory,
// their pieces of 16 bytes exchanged by the swizzle of 128 bytes.
struct TensorMap {
  const char* base;
  uint64_t size[4], stride[4];  // strides in bytes
  uint32_t box[2], element_bytes;
};
// False for what the driver refuses.
bool is_valid(const TensorMap& map);

// The box at `at` comes to `shared`, a multiple of 1024, at a moment of the scheduler's choice;
// then its bytes are taken off the barrier's count. Zeros beyond the tensor's edges.
void copy_tensor(void* shared, const TensorMap& map, const int32_t (&at)[4], uint64_t* barrier);

enum class Element : uint8_t { Half, BFloat16, Tf32 };

// D (64 x n) = A (64 x k) B (k x n) + D, or without D where `keep` is false; k is 32 bytes of the
// elements. `d` are the n / 2 sums that this thread has of D.
struct GroupProduct {
  uint64_t a, b;  // descriptors of the operands in shared memory
  int n;
  Element element;
  bool a_along_k, b_along_k, keep;
};
void issue_product(float* d, const GroupProduct& product, const char* file, int line);
void fence_products();
void commit_products();
void wait_products(int pending, const char* file, int line);

}  // namespace cuda_host
