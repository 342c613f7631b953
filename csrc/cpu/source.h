// An input of any dtype, read in spans of the type it is worked on in: small integers as int32,
// 16-bit floats as float, the others as they are. What is done with a span is then compiled for
// four types and not for ten.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "cpu/convert.h"

namespace gs::cpu {
namespace {

template <class C, class T>
void widen_span(C* y, const void* from, int64_t n) {
  const T* x = static_cast<const T*>(from);
  if constexpr (std::is_same_v<C, float> && !std::is_same_v<T, float>)
    to_float(y, x, n);
  else
    for (int64_t i = 0; i < n; ++i) y[i] = static_cast<C>(x[i]);
}

template <class C>
class Source {
 public:
  template <class T>
  GS_INLINE explicit Source(const T* data) : Source(data, dtype_of<T>::value) {}
  GS_INLINE Source(const void* data, DType dtype)
      : data_(static_cast<const char*>(data)), size_(size_of(dtype)), widen_(widen_from(dtype)) {}

  // Elements [at, at + n): the memory itself, or `buffer`, which has room for n.
  GS_INLINE const C* span(int64_t at, int64_t n, C* buffer) const {
    const char* from = data_ + at * size_;
    if (!widen_) return reinterpret_cast<const C*>(from);
    widen_(buffer, from, n);
    return buffer;
  }
  GS_INLINE C at(int64_t i) const {
    C value;
    return *span(i, 1, &value);
  }

 private:
  using Widen = void (*)(C* y, const void* from, int64_t n);

  static GS_INLINE Widen widen_from(DType dtype) {
    if constexpr (std::is_same_v<C, int32_t>) {
      if (dtype == DType::Int16) return widen_span<C, int16_t>;
      if (dtype == DType::Int8) return widen_span<C, int8_t>;
      if (dtype != DType::Int32) return widen_span<C, uint8_t>;  // and bool
    } else if constexpr (std::is_same_v<C, float>) {
      if (dtype == DType::Float16) return widen_span<C, Half>;
      if (dtype == DType::BFloat16) return widen_span<C, BFloat16>;
    }
    return nullptr;
  }

  const char* data_;
  int64_t size_;
  Widen widen_;  // null: no conversion
};

template <class T>
Source(const T*) -> Source<compute_t<T>>;

// Calls f with the Type that a Source of this dtype is read in.
template <class F>
GS_INLINE decltype(auto) visit_wide(DType dtype, F&& f) {
  switch (dtype) {
    case DType::Float64:
      return f(Type<double>{});
    case DType::Float32:
    case DType::Float16:
    case DType::BFloat16:
      return f(Type<float>{});
    case DType::Int64:
      return f(Type<int64_t>{});
    default:
      return f(Type<int32_t>{});
  }
}

}  // namespace
}  // namespace gs::cpu
