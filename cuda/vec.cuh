// Memory in pieces of 16 bytes, and the two 16-bit types in registers.
#pragma once

#include "core/dtype.h"
#include "portable.cuh"

namespace gs::cuda {

inline constexpr int kPackBytes = 16;

template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T v[N];
};

template <class T, int N>
GS_DEVICE Pack<T, N> load_pack(const T* p) {
  return *reinterpret_cast<const Pack<T, N>*>(p);
}
template <class T, int N>
GS_DEVICE void store_pack(T* p, const Pack<T, N>& pack) {
  *reinterpret_cast<Pack<T, N>*>(p) = pack;
}

// float for 16-bit floats, itself for the others.
template <class T>
GS_DEVICE compute_t<T> widen(T x) {
  return static_cast<compute_t<T>>(x);
}

inline bool is_aligned(const void* p, size_t bytes) {
  return reinterpret_cast<uintptr_t>(p) % bytes == 0;
}
GS_HOST_DEVICE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace gs::cuda
