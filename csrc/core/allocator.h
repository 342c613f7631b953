// CPU memory. Freed blocks are kept and handed out again: the first touch of fresh pages costs ten
// times the arithmetic done on them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gs {

struct MemoryStats {
  int64_t in_use;       // bytes handed out now
  int64_t peak;         // highest in_use since the start or reset_peak_memory()
  int64_t cached;       // bytes kept for reuse
  int64_t allocations;  // calls since the start
};

// 64-byte aligned, room for `bytes` (0 gives a valid pointer). MemoryError says what was asked for
// and what is held.
void* allocate(size_t bytes);
void deallocate(void* pointer, size_t bytes);  // the same `bytes` as in allocate
MemoryStats memory_stats();
void reset_peak_memory();
void empty_cache();                    // gives cached blocks back to the system
void set_memory_limit(int64_t bytes);  // 0: none

}  // namespace gs
