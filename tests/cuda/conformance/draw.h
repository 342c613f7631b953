// The inputs of the conformance cases: words drawn from a seed, the same on every machine.
#pragma once

#include <cstdint>
#include <cstring>

namespace gs::conformance {

// What the numbers of a trial are. The trials of a case take the kinds by turns.
enum class Kind { Whole, Normal, Special, Wide };
inline constexpr int kKinds = 4;

class Draw {
 public:
  explicit Draw(uint64_t seed) : state_(seed) {}

  uint64_t next() {  // splitmix64
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
  }
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(next() >> 32) % n; }
  uint32_t word() { return static_cast<uint32_t>(next() >> 32); }

 private:
  uint64_t state_;
};

// A number of a type with these bits, sign first. Sums of a few dozen products of such numbers stay
// within float32: what overflows may be infinite on one machine and not on another.
struct Format {
  int exponent_bits, mantissa_bits;
};
inline constexpr Format kFloat{8, 23}, kHalf{5, 10}, kBFloat16{8, 7};

inline uint32_t draw_number(Draw& draw, Kind kind, Format f) {
  const uint32_t mantissa = draw.word() & ((1u << f.mantissa_bits) - 1);
  const uint32_t bias = (1u << (f.exponent_bits - 1)) - 1, top = (1u << f.exponent_bits) - 1;
  const uint32_t sign = draw.below(2) << (f.exponent_bits + f.mantissa_bits);
  const auto number = [&](uint32_t exponent, uint32_t rest) {
    return sign | exponent << f.mantissa_bits | rest;
  };
  switch (kind) {
    case Kind::Whole: {  // 0, 1, 2, 3 and their negatives: sums of products are exact
      const uint32_t whole = draw.below(4), half = 1u << (f.mantissa_bits - 1);
      return whole == 0 ? sign : number(bias + (whole > 1), whole == 3 ? half : 0);
    }
    case Kind::Normal:
      return number(bias - 3 + draw.below(4), mantissa);
    case Kind::Special: {
      const uint32_t which = draw.below(16);
      if (which == 0) return number(top, mantissa | 1);  // NaN, quiet or not
      if (which == 1) return number(top, 0);             // infinity
      if (which < 5) return number(0, mantissa);         // denormal
      if (which == 5) return number(0, 0);
      if (which == 6) return number(1, 0);  // the smallest normal number
      return number(bias - 1 + draw.below(2), mantissa);
    }
    case Kind::Wide:
    default: {
      const uint32_t reach = f.exponent_bits == 5 ? 14 : 40;
      return number(bias - reach + draw.below(2 * reach), mantissa);
    }
  }
}

inline uint32_t draw_float(Draw& draw, Kind kind) { return draw_number(draw, kind, kFloat); }
inline uint32_t draw_pair(Draw& draw, Kind kind, Format f) {
  const uint32_t low = draw_number(draw, kind, f);
  return low | draw_number(draw, kind, f) << 16;
}

}  // namespace gs::conformance
