// Memory of the host that the device reads and writes by itself, so that a copy needs nobody to
// wait. Freed blocks are kept, and handed out again when the copies begun with them are done.
#pragma once

#include <cstdint>

#include "portable.cuh"

namespace gs::cuda {

void* allocate_pinned(int64_t bytes);  // MemoryError says what was asked for
void deallocate_pinned(void* data);
// A copy with `address`, which may lie within a block, has been put into the stream. False: that is
// no pinned memory.
bool record_pinned(const void* address, cudaStream_t stream);
bool is_pinned(const void* address);
void empty_pinned();  // gives back what is kept

}  // namespace gs::cuda
