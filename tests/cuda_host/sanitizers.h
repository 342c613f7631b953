// What the scheduler tells the sanitizers, and nothing in builds without them.
//
// AddressSanitizer must know which stack runs, and that shared memory outside its variables is not
// to be touched. ThreadSanitizer sees every CUDA thread as a thread of its own ("fiber"), and only
// what orders threads in CUDA (barriers, __syncwarp, mbarriers, fence and atomic) as ordering them
// here. The scheduler itself is compiled without -fsanitize=thread (GS_CUDA_HOST_TSAN says that the
// kernels are compiled with it): its own order of things must not hide a race.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if defined(GS_CUDA_HOST_TSAN)
extern "C" {
void* __tsan_get_current_fiber();
void* __tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void* fiber);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void __tsan_acquire(void* address);
void __tsan_release(void* address);
void __tsan_read_range(void* address, unsigned long bytes);
void __tsan_write_range(void* address, unsigned long bytes);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
}
#endif

namespace cuda_host {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAsan = true;
inline void poison(const void* p, size_t n) { __asan_poison_memory_region(p, n); }
inline void unpoison(const void* p, size_t n) { __asan_unpoison_memory_region(p, n); }
#else
inline constexpr bool kAsan = false;
inline void poison(const void*, size_t) {}
inline void unpoison(const void*, size_t) {}
#endif

#if defined(GS_CUDA_HOST_TSAN)
inline constexpr bool kTsan = true;
inline void acquire(void* token) { __tsan_acquire(token); }
inline void release(void* token) { __tsan_release(token); }
// An access made by the scheduler on behalf of the running CUDA thread.
inline void count_access(const void* p, size_t n, bool write) {
  if (n == 0) return;
  void* at = const_cast<void*>(p);
  write ? __tsan_write_range(at, n) : __tsan_read_range(at, n);
}
// While one lives, the scheduler's own accesses (through malloc, memcpy...) are not looked at.
struct Unseen {
  Unseen() { AnnotateIgnoreReadsBegin("", 0); }
  ~Unseen() { AnnotateIgnoreReadsEnd("", 0); }
  Unseen(const Unseen&) = delete;
};
#else
inline constexpr bool kTsan = false;
inline void acquire(void*) {}
inline void release(void*) {}
inline void count_access(const void*, size_t, bool) {}
struct Unseen {
  Unseen() {}
};
#endif

}  // namespace cuda_host
