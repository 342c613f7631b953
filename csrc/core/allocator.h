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
  int64_t graphs = 0;   // of in_use, what captured graphs hold
};

// 64-byte aligned, room for `bytes` (0 gives a valid pointer). MemoryError says what was asked for
// and what is held.
void* allocate(size_t bytes);
void deallocate(void* pointer, size_t bytes);  // the same `bytes` as in allocate
MemoryStats memory_stats();
void reset_peak_memory();
void empty_cache();                    // gives cached blocks back to the system
void set_memory_limit(int64_t bytes);  // 0: none

// For small objects that come and go with every operation: the cache answers several times faster
// than malloc.
struct Cached {
  static void* operator new(size_t bytes) { return allocate(bytes); }
  static void* operator new(size_t, void* at) { return at; }
  static void operator delete(void* p, size_t bytes) { deallocate(p, bytes); }
};

// The same for the elements of a standard container.
template <class T>
struct CachedElements {
  using value_type = T;
  CachedElements() = default;
  template <class U>
  CachedElements(const CachedElements<U>&) {}
  T* allocate(size_t n) { return static_cast<T*>(gs::allocate(n * sizeof(T))); }
  void deallocate(T* p, size_t n) { gs::deallocate(p, n * sizeof(T)); }
  bool operator==(const CachedElements&) const { return true; }
};

}  // namespace gs
