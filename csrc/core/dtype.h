// Element types: sizes, names, 16-bit floats, promotion, and visitors that turn a DType into a C++
// type.
#pragma once

#include <cstdint>
#include <cstring>
#include <ostream>
#include <type_traits>

#include "core/error.h"
#include "core/macros.h"

namespace gs {

enum class DType : uint8_t {
  Bool,
  UInt8,
  Int8,
  Int16,
  Int32,
  Int64,
  Float16,
  BFloat16,
  Float32,
  Float64
};
inline constexpr int kNumDTypes = 10;

#if defined(__CUDACC__)
namespace cuda::ptx {  // the device's own conversions, in cuda/ptx/convert.cuh
__device__ float float_of_half(uint16_t half);
__device__ uint16_t half_of(float x);
__device__ uint16_t bfloat16_of(float x);
}  // namespace cuda::ptx
#endif

// IEEE binary16. Arithmetic is done in float: kernels load, compute in float, store.
struct Half {
  uint16_t bits;
  Half() = default;
  GS_HOST_DEVICE Half(float value) : bits(encode(value)) {}
  GS_HOST_DEVICE operator float() const { return decode(bits); }

  static GS_HOST_DEVICE uint16_t encode(float value) {
#if defined(__CUDA_ARCH__)
    return cuda::ptx::half_of(value);
#elif defined(__F16C__) && !defined(__CUDACC__)
    _Float16 h = static_cast<_Float16>(value);
    uint16_t out;
    __builtin_memcpy(&out, &h, 2);
    return out;
#else
    uint32_t f;
    __builtin_memcpy(&f, &value, 4);
    const uint32_t sign = (f >> 16) & 0x8000u;
    f &= 0x7fffffffu;
    if (f >= 0x47800000u) {  // overflow, infinity or NaN
      return static_cast<uint16_t>(sign | (f > 0x7f800000u ? 0x7e00u : 0x7c00u));
    }
    if (f < 0x38800000u) {  // subnormal or zero: add a magic number so that the hardware rounds
      float magic = 0.5f, magnitude;
      __builtin_memcpy(&magnitude, &f, 4);
      magnitude += magic;
      uint32_t rounded, magic_bits;
      __builtin_memcpy(&rounded, &magnitude, 4);
      __builtin_memcpy(&magic_bits, &magic, 4);
      return static_cast<uint16_t>(sign | (rounded - magic_bits));
    }
    const uint32_t round_to_even = 0xfffu + ((f >> 13) & 1u);
    return static_cast<uint16_t>(sign | ((f - 0x38000000u + round_to_even) >> 13));
#endif
  }

  static GS_HOST_DEVICE float decode(uint16_t h) {
#if defined(__CUDA_ARCH__)
    return cuda::ptx::float_of_half(h);
#else
    const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16;
    uint32_t exponent = (h >> 10) & 0x1fu, mantissa = h & 0x3ffu, out;
    if (exponent == 0x1f) {
      out = sign | 0x7f800000u | (mantissa << 13);
    } else if (exponent != 0) {
      out = sign | ((exponent + 112u) << 23) | (mantissa << 13);
    } else {
      const float magnitude = static_cast<float>(mantissa) * 5.9604644775390625e-08f;  // 2^-24
      __builtin_memcpy(&out, &magnitude, 4);
      out |= sign;
    }
    float value;
    __builtin_memcpy(&value, &out, 4);
    return value;
#endif
  }
};

// The upper half of a float32.
struct BFloat16 {
  uint16_t bits;
  BFloat16() = default;
  GS_HOST_DEVICE BFloat16(float value) {
#if defined(__CUDA_ARCH__)
    bits = cuda::ptx::bfloat16_of(value);
#else
    uint32_t f;
    __builtin_memcpy(&f, &value, 4);
    if ((f & 0x7fffffffu) > 0x7f800000u) {
      bits = static_cast<uint16_t>((f >> 16) | 0x40u);  // keep NaN a NaN
    } else {
      bits = static_cast<uint16_t>((f + 0x7fffu + ((f >> 16) & 1u)) >> 16);
    }
#endif
  }
  GS_HOST_DEVICE operator float() const {
    const uint32_t f = static_cast<uint32_t>(bits) << 16;
    float value;
    __builtin_memcpy(&value, &f, 4);
    return value;
  }
};

// Four bits for each dtype, the first one lowest: an array would lie in a GPU thread's slow memory.
GS_INLINE constexpr int64_t size_of(DType t) {
  return static_cast<int64_t>((0x8422842111u >> (4 * static_cast<int>(t))) & 15);
}
static_assert(size_of(DType::Bool) == 1 && size_of(DType::Int64) == 8 &&
              size_of(DType::BFloat16) == 2 && size_of(DType::Float64) == 8);
GS_INLINE constexpr bool is_floating(DType t) { return t >= DType::Float16; }
GS_INLINE constexpr bool is_integral(DType t) { return t >= DType::UInt8 && t <= DType::Int64; }

const char* name_of(DType t);  // "float32"
std::ostream& operator<<(std::ostream& out, DType t);
DType promote(DType a, DType b);      // PyTorch's promotion table
bool can_cast(DType from, DType to);  // false for float -> int, int -> bool
DType default_dtype();                // float32 unless set
void set_default_dtype(DType t);      // floating types alone

template <class T>
struct dtype_of;
template <>
struct dtype_of<bool> {
  static constexpr DType value = DType::Bool;
};
template <>
struct dtype_of<uint8_t> {
  static constexpr DType value = DType::UInt8;
};
template <>
struct dtype_of<int8_t> {
  static constexpr DType value = DType::Int8;
};
template <>
struct dtype_of<int16_t> {
  static constexpr DType value = DType::Int16;
};
template <>
struct dtype_of<int32_t> {
  static constexpr DType value = DType::Int32;
};
template <>
struct dtype_of<int64_t> {
  static constexpr DType value = DType::Int64;
};
template <>
struct dtype_of<Half> {
  static constexpr DType value = DType::Float16;
};
template <>
struct dtype_of<BFloat16> {
  static constexpr DType value = DType::BFloat16;
};
template <>
struct dtype_of<float> {
  static constexpr DType value = DType::Float32;
};
template <>
struct dtype_of<double> {
  static constexpr DType value = DType::Float64;
};

// The type in which a T is summed or computed: float for 16-bit floats, itself for float and
// double.
template <class T>
struct compute_type {
  using type = T;
};
template <>
struct compute_type<Half> {
  using type = float;
};
template <>
struct compute_type<BFloat16> {
  using type = float;
};
template <class T>
using compute_t = typename compute_type<T>::type;

template <class T>
struct Type {
  using type = T;
};

// visit(dtype, [&](auto tag) { using T = typename decltype(tag)::type; ... }) for every dtype.
template <class F>
GS_INLINE decltype(auto) visit(DType t, F&& f) {
  switch (t) {
    case DType::Bool:
      return f(Type<bool>{});
    case DType::UInt8:
      return f(Type<uint8_t>{});
    case DType::Int8:
      return f(Type<int8_t>{});
    case DType::Int16:
      return f(Type<int16_t>{});
    case DType::Int32:
      return f(Type<int32_t>{});
    case DType::Int64:
      return f(Type<int64_t>{});
    case DType::Float16:
      return f(Type<Half>{});
    case DType::BFloat16:
      return f(Type<BFloat16>{});
    case DType::Float32:
      return f(Type<float>{});
    default:
      return f(Type<double>{});
  }
}

// The four floating types. The caller has checked is_floating(t).
template <class F>
GS_INLINE decltype(auto) visit_floating(DType t, F&& f) {
  switch (t) {
    case DType::Float16:
      return f(Type<Half>{});
    case DType::BFloat16:
      return f(Type<BFloat16>{});
    case DType::Float32:
      return f(Type<float>{});
    default:
      return f(Type<double>{});
  }
}

}  // namespace gs
