// Device memory. Freed blocks are kept and handed out again in the stream in which they were used:
// there the order of the work makes it safe without waiting.
#pragma once

#include <cstdint>

#include "core/allocator.h"
#include "portable.cuh"

namespace gs::cuda {

// 512-byte aligned, for use in the calling thread's current stream. MemoryError says what was asked
// for and what is held.
void* allocate(int64_t bytes, int device);
void deallocate(void* data, int device);
// The block is used in `stream` as well: after deallocate it waits for the work put there so far.
void record_stream(void* data, int device, cudaStream_t stream);

MemoryStats memory_stats(int device);
void reset_peak_memory(int device);
void empty_cache();
void set_memory_limit(int64_t bytes, int device);  // 0: none

// The private pool of captured graphs. From open_pool to close_pool the calling thread gets its
// blocks from it, and what it frees goes there: recorded kernels keep the addresses. Each open_pool
// is answered by one release_pool, when the graph is dropped and its last replay is done. The last
// one gives the memory to everybody.
uint64_t new_graph_pool();
void open_pool(uint64_t id);
void close_pool();
void release_pool(uint64_t id);
// Fresh memory, never from that pool: recorded work does not write there before it is read.
void* allocate_apart(int64_t bytes);

// What is handed out for `bytes`: sizes that differ a little meet in one class.
int64_t rounded_bytes(int64_t bytes);

// Asking the system for memory is allowed for its length, though this thread records a graph.
class RelaxedCapture {
 public:
  RelaxedCapture() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  ~RelaxedCapture() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  RelaxedCapture(const RelaxedCapture&) = delete;

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

}  // namespace gs::cuda
