// An array of any dtype, read and written in spans of the type it is worked on in: small integers
// as int32, 16-bit floats as float, the others as they are. What is done with a span is then
// compiled for two types of floats, and four types of all, and not for ten.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "cpu/convert.h"

namespace gs::cpu {
namespace {

template <class C, class T>
[[gnu::noinline]] void widen_span(C* y, const void* from, int64_t n) {
  const T* x = static_cast<const T*>(from);
  if constexpr (std::is_same_v<C, float> && !std::is_same_v<T, float>)
    to_float(y, x, n);
  else
    for (int64_t i = 0; i < n; ++i) y[i] = static_cast<C>(x[i]);
}

template <class T>
[[gnu::noinline]] void narrow_span(void* to, const float* x, int64_t n) {
  from_float(static_cast<T*>(to), x, n);
}

// C, known to need no conversion: nothing of one is compiled for it. Where the loops over a span
// are short it costs too much to look.
template <class C>
struct Plain {};

template <class T>
struct ValueOf {
  using type = T;
};
template <class C>
struct ValueOf<Plain<C>> {
  using type = C;
};
template <class T>
using value_t = typename ValueOf<T>::type;

template <class T>
class Source {
  using C = value_t<T>;
  static constexpr bool kPlain = !std::is_same_v<T, C> || sizeof(C) == 8;

 public:
  GS_INLINE explicit Source(const C* data)
      : data_(reinterpret_cast<const char*>(data)), size_(sizeof(C)), widen_(nullptr) {}
  GS_INLINE Source(const void* data, DType dtype)
      : data_(static_cast<const char*>(data)), size_(size_of(dtype)), widen_(widen_from(dtype)) {}

  // Elements [at, at + n): the memory itself, or `buffer`, which has room for n.
  GS_INLINE const C* span(int64_t at, int64_t n, C* buffer) const {
    if (kPlain || !widen_) return reinterpret_cast<const C*>(data_) + at;
    widen_(buffer, data_ + at * size_, n);
    return buffer;
  }
  // n elements from `at` on, `step` apart, in `buffer`.
  GS_INLINE const C* gather(int64_t at, int64_t step, int64_t n, C* buffer) const {
    for (int64_t i = 0; (kPlain || !widen_) && i < n; ++i)
      buffer[i] = reinterpret_cast<const C*>(data_)[at + i * step];
    for (int64_t i = 0; !kPlain && widen_ && i < n; ++i)
      widen_(buffer + i, data_ + (at + i * step) * size_, 1);
    return buffer;
  }
  GS_INLINE C operator[](int64_t i) const {
    if (kPlain || !widen_) return reinterpret_cast<const C*>(data_)[i];
    C value;
    widen_(&value, data_ + i * size_, 1);
    return value;
  }
  GS_INLINE Source operator+(int64_t n) const {
    Source moved = *this;
    if (data_) moved.data_ += n * size_;
    return moved;
  }
  GS_INLINE explicit operator bool() const { return data_; }
  GS_INLINE bool converts() const { return !kPlain && widen_; }

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

// The same for a result: spans of C are written to where target() says, and finish() must follow.
template <class T>
class Sink {
  using C = value_t<T>;
  static constexpr bool kPlain = !std::is_same_v<T, C> || sizeof(C) == 8;

 public:
  GS_INLINE Sink(void* data, DType dtype)
      : data_(static_cast<char*>(data)), size_(size_of(dtype)), narrow_(narrow_to(dtype)) {}

  // Elements from `at` on: the memory itself, or `buffer`.
  GS_INLINE C* target(int64_t at, C* buffer) const {
    return converts() ? buffer : reinterpret_cast<C*>(data_) + at;
  }
  GS_INLINE void finish(int64_t at, const C* written, int64_t n) const {
    if (converts()) narrow_(data_ + at * size_, written, n);
  }
  GS_INLINE void set(int64_t i, C value) const {
    if (!converts())
      reinterpret_cast<C*>(data_)[i] = value;
    else
      narrow_(data_ + i * size_, &value, 1);
  }
  GS_INLINE Sink operator+(int64_t n) const {
    Sink moved = *this;
    if (data_) moved.data_ += n * size_;
    return moved;
  }
  GS_INLINE explicit operator bool() const { return data_; }
  GS_INLINE bool converts() const { return !kPlain && narrow_; }

 private:
  using Narrow = void (*)(void* to, const C* x, int64_t n);

  static GS_INLINE Narrow narrow_to(DType dtype) {
    if constexpr (std::is_same_v<C, float>) {
      if (dtype == DType::Float16) return narrow_span<Half>;
      if (dtype == DType::BFloat16) return narrow_span<BFloat16>;
    }
    return nullptr;
  }

  char* data_;
  int64_t size_;
  Narrow narrow_;  // null: no conversion
};

// Calls f with the Type that a floating dtype is worked on in.
template <class F>
GS_INLINE decltype(auto) visit_compute(DType dtype, F&& f) {
  return dtype == DType::Float64 ? f(Type<double>{}) : f(Type<float>{});
}

// The same with float32 apart, as Plain<float>.
template <class F>
GS_INLINE decltype(auto) visit_plain(DType dtype, F&& f) {
  return dtype == DType::Float32 ? f(Type<Plain<float>>{}) : visit_compute(dtype, f);
}

// to[to_at] = from[from_at], of elements of `size` bytes.
GS_INLINE void copy_element(void* to, int64_t to_at, const void* from, int64_t from_at,
                            int64_t size) {
  char* y = static_cast<char*>(to) + to_at * size;
  const char* x = static_cast<const char*>(from) + from_at * size;
  switch (size) {
    case 1:
      *y = *x;
      break;
    case 2:
      __builtin_memcpy(y, x, 2);
      break;
    case 4:
      __builtin_memcpy(y, x, 4);
      break;
    default:
      __builtin_memcpy(y, x, 8);
  }
}

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
