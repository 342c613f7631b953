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

}  // namespace gs::cuda
