// Vectors of the width of the instruction set being compiled, from GCC's vector extensions: the
// operators + - * / & | ^ < == and ?: work on them, and a * b + c contracts to an FMA where there
// is one. Included by files in csrc/cpu/kernels alone.
#pragma once

#include <cstdint>

#include "core/dtype.h"

#ifndef GS_ISA
#error "cpu/vec.h is for files that are compiled per instruction set"
#endif

namespace gs::cpu {
namespace {

#if GS_ISA_LEVEL == 2
inline constexpr int kVectorBytes = 64;
#elif GS_ISA_LEVEL == 1
inline constexpr int kVectorBytes = 32;
#else
inline constexpr int kVectorBytes = 16;
#endif

template <class T>
struct VectorOf {
  typedef T type __attribute__((vector_size(kVectorBytes)));
};
template <>
struct VectorOf<Half> {};  // no arithmetic: load() and store() convert
template <>
struct VectorOf<BFloat16> {};
template <class T>
using Vec = typename VectorOf<T>::type;
template <class T>
inline constexpr int kLanes = kVectorBytes / sizeof(T);

template <class T>
GS_INLINE Vec<T> splat(T value) {
  return value - Vec<T>{};
}

// Unaligned load and store; 16-bit floats convert to and from a vector of float.
template <class T>
GS_INLINE Vec<T> load(const T* p) {
  Vec<T> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
template <class T>
GS_INLINE void store(T* p, Vec<T> v) {
  __builtin_memcpy(p, &v, sizeof v);
}

GS_INLINE Vec<float> load(const Half* p) {
  Vec<float> v{};
  for (int i = 0; i < kLanes<float>; ++i) v[i] = static_cast<float>(p[i]);
  return v;
}
GS_INLINE void store(Half* p, Vec<float> v) {
  for (int i = 0; i < kLanes<float>; ++i) p[i] = Half(v[i]);
}
GS_INLINE Vec<float> load(const BFloat16* p) {
  Vec<float> v{};
  for (int i = 0; i < kLanes<float>; ++i) v[i] = static_cast<float>(p[i]);
  return v;
}
GS_INLINE void store(BFloat16* p, Vec<float> v) {
  for (int i = 0; i < kLanes<float>; ++i) p[i] = BFloat16(v[i]);
}

// The first n < kLanes elements; the rest of a loaded vector is 0.
template <class T>
GS_INLINE auto load_some(const T* p, int n) {
  Vec<compute_t<T>> v{};
  for (int i = 0; i < n; ++i) v[i] = static_cast<compute_t<T>>(p[i]);
  return v;
}
template <class T>
GS_INLINE void store_some(T* p, Vec<compute_t<T>> v, int n) {
  for (int i = 0; i < n; ++i) p[i] = static_cast<T>(v[i]);
}

// Sum of the lanes in a fixed tree order.
template <class V>
GS_INLINE auto horizontal_sum(V v) {
  constexpr int n = sizeof(V) / sizeof(v[0]);
  auto tree = v;
  for (int width = n / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) tree[i] += tree[i + width];
  return tree[0];
}

}  // namespace
}  // namespace gs::cpu
