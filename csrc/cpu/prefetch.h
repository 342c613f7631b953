// Loops that only read wait for memory: the hardware prefetcher stays too close before them. Such a
// loop asks for lines this far ahead; rows that lie behind the one being read are what it gets.
// Loops that also write gain nothing.
#pragma once

#include <cstdint>

#include "core/macros.h"

namespace gs::cpu {
namespace {

inline constexpr int64_t kAhead = 16384;  // bytes

// The lines of kCount values from x + `ahead` bytes on, which may lie outside of any array.
template <int kCount, class C>
GS_INLINE void prefetch_ahead(const C* x, int64_t ahead = kAhead) {
  constexpr int64_t bytes = kCount * static_cast<int64_t>(sizeof(C));
  for (int64_t at = 0; at < bytes; at += 64)
    __builtin_prefetch(reinterpret_cast<const char*>(x) + ahead + at);
}

}  // namespace
}  // namespace gs::cpu
