// Atomic operations, fences and waiting. The fibers of a launch share one OS thread, so nothing
// here has to be atomic for the result's sake; it is for ThreadSanitizer to see.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "language.h"

namespace cuda_host {

void fence();                // __threadfence: with an atomic before or after it, orders threads
void atomic_done(void* at);  // the running thread has done an atomic operation there
void atomic_changed();       // it may be what another waits for
// Lets the others run: what a thread does that waits for another's atomic in a loop. It goes on
// when nobody else can; when a round of all who wait so changes nothing, again and again, that is a
// deadlock.
void yield(GS_CALL_SITE);

template <class T, class F>
T atomic_update(T* at, F change) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  using Bits = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
  Bits* bits = reinterpret_cast<Bits*>(at);
  Bits seen = __atomic_load_n(bits, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(bits, &seen,
                                      std::bit_cast<Bits>(T(change(std::bit_cast<T>(seen)))), false,
                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  atomic_done(at);
  atomic_changed();
  return std::bit_cast<T>(seen);
}

inline unsigned atomic_read(unsigned* at) {
  const unsigned seen = __atomic_load_n(at, __ATOMIC_RELAXED);
  atomic_done(at);
  return seen;
}

template <class T>
using Same = std::type_identity_t<T>;

}  // namespace cuda_host

template <class T>
T atomicAdd(T* at, cuda_host::Same<T> v) {
  return cuda_host::atomic_update(at, [=](T old) { return old + v; });
}
template <class T>
T atomicMax(T* at, cuda_host::Same<T> v) {
  return cuda_host::atomic_update(at, [=](T old) { return old > v ? old : v; });
}
template <class T>
T atomicMin(T* at, cuda_host::Same<T> v) {
  return cuda_host::atomic_update(at, [=](T old) { return old < v ? old : v; });
}
template <class T>
T atomicOr(T* at, cuda_host::Same<T> v) {
  return cuda_host::atomic_update(at, [=](T old) { return old | v; });
}
template <class T>
T atomicExch(T* at, cuda_host::Same<T> v) {
  return cuda_host::atomic_update(at, [=](T) { return v; });
}
template <class T>
T atomicCAS(T* at, cuda_host::Same<T> expected, cuda_host::Same<T> v) {
  return cuda_host::atomic_update(at, [=](T old) { return old == expected ? v : old; });
}
inline void __threadfence() { cuda_host::fence(); }
inline void __threadfence_block() { cuda_host::fence(); }
inline void __nanosleep(unsigned) { cuda_host::yield(); }
