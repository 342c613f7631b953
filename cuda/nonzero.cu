// Positions of the true elements: each block counts its part of the mask, the counts are summed up,
// and each block, which then knows where its positions go, writes them.
#include "block_scan.cuh"
#include "kernels/kernels.h"
#include "kernels/params/index.h"
#include "runtime/graph.h"
#include "runtime/scratch.h"
#include "runtime/stream.h"
#include "scan_counts.h"
#include "vec.cuh"

namespace gs::cuda {
namespace {

constexpr int kThreads = 256, kEach = 16, kPart = kThreads * kEach;

// The 16 elements of a thread as bits.
GS_DEVICE unsigned load_bits(const uint8_t* mask, int64_t first, int64_t n) {
  unsigned bits = 0;
  if (first + kEach <= n && reinterpret_cast<uintptr_t>(mask) % kEach == 0) {
    const Pack<uint8_t, kEach> pack = load_pack<uint8_t, kEach>(mask + first);
    GS_UNROLL for (int k = 0; k < kEach; ++k) bits |= unsigned(pack.v[k] != 0) << k;
  } else {
    for (int k = 0; k < kEach; ++k)
      if (first + k < n) bits |= unsigned(mask[first + k] != 0) << k;
  }
  return bits;
}

__global__ void __launch_bounds__(kThreads)
    count_kernel(const uint8_t* mask, int64_t n, int64_t* counts) {
  const int64_t first = int64_t(blockIdx.x) * kPart + int64_t(threadIdx.x) * kEach;
  const int count = block_reduce<kThreads>(__popc(load_bits(mask, first, n)), Plus(), 0);
  if (threadIdx.x == 0) counts[blockIdx.x] = count;
}

// Through shared memory, so that the positions leave side by side.
__global__ void __launch_bounds__(kThreads)
    write_kernel(const uint8_t* mask, int64_t n, const int64_t* starts, int64_t* positions) {
  GS_SHARED(found, uint16_t[kPart]);
  const int64_t part = int64_t(blockIdx.x) * kPart;
  const int own = static_cast<int>(threadIdx.x) * kEach;
  const unsigned bits = load_bits(mask, part + own, n);
  int total;
  int at = exclusive_scan<kThreads>(__popc(bits), Plus(), 0, &total);
  for (int k = 0; k < kEach; ++k)
    if (bits >> k & 1) found[at++] = static_cast<uint16_t>(own + k);
  __syncthreads();
  int64_t* const to = positions + starts[blockIdx.x];
  for (int i = static_cast<int>(threadIdx.x); i < total; i += kThreads) to[i] = part + found[i];
}

}  // namespace

void nonzero(const Nonzero& p) {
  *p.count = 0;
  if (p.n == 0) return;
  refuse_recording(
      "nonzero",
      "how many elements it finds is the shape of its result. Use where() or a product "
      "with the mask.");
  const int64_t blocks = ceil_div(p.n, kPart);
  const Config config{dim3(static_cast<unsigned>(blocks)), dim3(kThreads), 0, current_stream()};
  const Scratch<int64_t> counts(blocks + 1);
  int64_t* const total = counts.data() + blocks;
  launch(config, count_kernel, reinterpret_cast<const uint8_t*>(p.mask), p.n, counts.data());
  scan_counts(counts.data(), 1, blocks, total);
  if (p.positions)
    launch(config, write_kernel, reinterpret_cast<const uint8_t*>(p.mask), p.n, counts.data(),
           p.positions);
  check(cudaMemcpyAsync(p.count, total, sizeof(int64_t), cudaMemcpyDeviceToHost, current_stream()),
        "nonzero");
  synchronize(current_stream());
}

}  // namespace gs::cuda
