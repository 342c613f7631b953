// Conversions and functions of one instruction.
#pragma once

#include "conformance/cases.cuh"
#include "ptx/math.cuh"

namespace gs::conformance {

// Which NaN a conversion gives is not looked at.
template <class T>
GS_DEVICE uint32_t one_nan(uint32_t half) {
  constexpr uint32_t infinity = std::is_same_v<T, Half> ? 0x7c00 : 0x7f80;
  return (half & 0x7fff) > infinity ? 0x7fff : half;
}

template <class T>
struct PackPair : Case {
  static constexpr const char* name =
      std::is_same_v<T, Half> ? "pack_pair_half" : "pack_pair_bfloat16";
  static constexpr int in = 8, out = 4, trials = 16;
  static uint32_t draw(Draw& d, Kind kind, int i) {
    // Ties, and for float16 what is too large or too small for it.
    const uint32_t x = draw_float(d, kind);
    const uint32_t gone = std::is_same_v<T, Half> ? 0x1fffu : 0xffffu;
    return i < 2 ? (x & ~gone) | (gone / 2 + 1) : x;
  }
  GS_DEVICE static void run(const uint32_t* in, uint32_t* out) {
    for (int i = 0; i < 4; ++i) {
      const uint32_t word = cuda::ptx::pack_pair<T>(number(in[2 * i]), number(in[2 * i + 1]));
      out[i] = one_nan<T>(word & 0xffff) | one_nan<T>(word >> 16) << 16;
    }
  }
};

struct FloatOfHalf : Case {
  static constexpr const char* name = "float_of_half";
  static constexpr int in = 8, out = 8;
  static uint32_t draw(Draw& d, Kind kind, int) { return draw_number(d, kind, kHalf); }
  GS_DEVICE static void run(const uint32_t* in, uint32_t* out) {
    for (int i = 0; i < 8; ++i) {
      const float y = cuda::ptx::float_of_half(static_cast<uint16_t>(in[i]));
      out[i] = y != y ? 0x7fffffffu : bits(y);
    }
  }
};

// One number at a time, to both 16-bit floats.
struct Narrow : Case {
  static constexpr const char* name = "narrow";
  static constexpr int in = 8, out = 8, trials = 16;
  static uint32_t draw(Draw& d, Kind kind, int i) {
    return i % 2 ? PackPair<Half>::draw(d, kind, i / 4) : PackPair<BFloat16>::draw(d, kind, i / 4);
  }
  GS_DEVICE static void run(const uint32_t* in, uint32_t* out) {
    for (int i = 0; i < 8; ++i)
      out[i] = one_nan<Half>(cuda::ptx::half_of(number(in[i]))) |
               one_nan<BFloat16>(cuda::ptx::bfloat16_of(number(in[i]))) << 16;
  }
};

// Within four units in the last place of the host's; results below the normal numbers are 0 on
// hardware, which the comparison's smallest difference allows.
struct Exp2 : Case {
  static constexpr const char* name = "exp2";
  static constexpr int in = 4, out = 8, trials = 12;
  static constexpr double bound = 4.0 / 8388608;
  static uint32_t draw(Draw& d, Kind kind, int i) {
    // Exponents from -160 to 160 as well.
    if (i == 0 && kind == Kind::Normal) return bits_of_host(static_cast<float>(d.below(320)) - 160);
    return draw_float(d, kind);
  }
  GS_DEVICE static void run(const uint32_t* in, uint32_t* out) {
    for (int i = 0; i < 4; ++i) out[i] = out[4 + i] = bits(cuda::ptx::exp2(number(in[i])));
  }
  static uint32_t bits_of_host(float x) {
    uint32_t word;
    std::memcpy(&word, &x, 4);
    return word;
  }
};

using ConvertCases = Cases<PackPair<Half>, PackPair<BFloat16>, FloatOfHalf, Narrow, Exp2>;

}  // namespace gs::conformance
