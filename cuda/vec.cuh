// Memory in pieces of 16 bytes, and the two 16-bit types in registers.
#pragma once

#include <cstring>

#include "core/dtype.h"
#include "portable.cuh"

namespace gs::cuda {

inline constexpr int kPackBytes = 16;

template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T v[N];
};

// What the bytes of a pack travel as: one access, where elements of 8 and 16 bits one by one might
// become several.
template <size_t Bytes>
struct WordsOf {
  using type = uint4;
};
template <>
struct WordsOf<8> {
  using type = uint2;
};
template <>
struct WordsOf<4> {
  using type = uint32_t;
};
template <>
struct WordsOf<2> {
  using type = uint16_t;
};
template <>
struct WordsOf<1> {
  using type = uint8_t;
};

template <class T, int N>
GS_DEVICE Pack<T, N> load_pack(const T* p) {
  using Words = typename WordsOf<sizeof(Pack<T, N>)>::type;
  constexpr int kWords = sizeof(Pack<T, N>) / sizeof(Words);
  Words words[kWords];
  GS_UNROLL for (int i = 0; i < kWords; ++i) words[i] = reinterpret_cast<const Words*>(p)[i];
  Pack<T, N> pack;
  memcpy(&pack, words, sizeof pack);
  return pack;
}
template <class T, int N>
GS_DEVICE void store_pack(T* p, const Pack<T, N>& pack) {
  using Words = typename WordsOf<sizeof(Pack<T, N>)>::type;
  constexpr int kWords = sizeof(Pack<T, N>) / sizeof(Words);
  Words words[kWords];
  memcpy(words, &pack, sizeof pack);
  GS_UNROLL for (int i = 0; i < kWords; ++i) reinterpret_cast<Words*>(p)[i] = words[i];
}

// float for 16-bit floats, itself for the others.
template <class T>
GS_DEVICE compute_t<T> widen(T x) {
  return static_cast<compute_t<T>>(x);
}

// The nearest T to each value; two of 16 bits with one instruction.
template <class T, int N>
GS_DEVICE Pack<T, N> narrow(const compute_t<T> (&values)[N]) {
  Pack<T, N> pack;
  if constexpr ((std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) && N % 2 == 0) {
    uint32_t pairs[N / 2];
    GS_UNROLL for (int i = 0; i < N / 2; ++i) {
      if constexpr (std::is_same_v<T, Half>)
        pairs[i] = ptx::halves_of(values[2 * i], values[2 * i + 1]);
      else
        pairs[i] = ptx::bfloat16s_of(values[2 * i], values[2 * i + 1]);
    }
    memcpy(&pack, pairs, sizeof pack);
  } else {
    GS_UNROLL for (int i = 0; i < N; ++i) pack.v[i] = T(values[i]);
  }
  return pack;
}

inline bool is_aligned(const void* p, size_t bytes) {
  return reinterpret_cast<uintptr_t>(p) % bytes == 0;
}
GS_HOST_DEVICE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace gs::cuda
