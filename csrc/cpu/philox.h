// The Philox stream many blocks at a time. The same words as gs::philox, in the same order.
#pragma once

#include <cstdint>

#include "core/random.h"
#include "cpu/vec.h"

#if GS_ISA_LEVEL > 0
#include <immintrin.h>
#endif

namespace gs::cpu {
namespace {

#if GS_ISA_LEVEL > 0

using Words = Vec<uint32_t>;
using WideWords = Vec<uint64_t>;

// The one thing vector extensions cannot say: 32 x 32 -> 64 bits, on the even lanes.
GS_INLINE WideWords multiply_even(Words a, Words b) {
#if GS_ISA_LEVEL == 2
  return (WideWords)_mm512_maskz_mul_epu32(0xff, (__m512i)a, (__m512i)b);
#else
  return (WideWords)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#endif
}

struct Product {
  Words high, low;
};
GS_INLINE Product multiply(Words a, uint32_t b) {
  const Words factor = splat(b);
  const WideWords even = multiply_even(a, factor);
  const WideWords odd = multiply_even((Words)((WideWords)a >> 32), factor);
  constexpr uint64_t low_half = 0xffffffffu;
  return {(Words)((even >> 32) | (odd & ~low_half)), (Words)((even & low_half) | (odd << 32))};
}

inline constexpr int kPhiloxVectors =
    2;  // in flight together: one alone waits for its multiplications
inline constexpr int kPhiloxBlocks = kPhiloxVectors * kLanes<uint32_t>;

// Words of blocks first ... first + kPhiloxBlocks - 1.
[[gnu::noinline]] void philox_blocks(uint64_t seed, uint64_t offset, uint64_t first,
                                     uint32_t* words) {
  constexpr int lanes = kLanes<uint32_t>;
  Words c[kPhiloxVectors][4];
  for (int g = 0; g < kPhiloxVectors; ++g) {
    uint32_t low[lanes], high[lanes];
    for (int l = 0; l < lanes; ++l) {
      const uint64_t counter = first + static_cast<uint64_t>(g * lanes + l);
      low[l] = static_cast<uint32_t>(counter);
      high[l] = static_cast<uint32_t>(counter >> 32);
    }
    c[g][0] = load(low);
    c[g][1] = load(high);
    c[g][2] = splat(static_cast<uint32_t>(offset));
    c[g][3] = splat(static_cast<uint32_t>(offset >> 32));
  }
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
#pragma GCC unroll 4
    for (int g = 0; g < kPhiloxVectors; ++g) {
      const Product p0 = multiply(c[g][0], 0xD2511F53u), p1 = multiply(c[g][2], 0xCD9E8D57u);
      c[g][0] = p1.high ^ c[g][1] ^ k0;
      c[g][2] = p0.high ^ c[g][3] ^ k1;
      c[g][1] = p1.low;
      c[g][3] = p0.low;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  for (int g = 0; g < kPhiloxVectors; ++g) {
    uint32_t columns[4][lanes];
    for (int k = 0; k < 4; ++k) store(columns[k], c[g][k]);
    for (int l = 0; l < lanes; ++l)
      for (int k = 0; k < 4; ++k) words[4 * (g * lanes + l) + k] = columns[k][l];
  }
}

#else

inline constexpr int kPhiloxBlocks = 8;

[[gnu::noinline]] void philox_blocks(uint64_t seed, uint64_t offset, uint64_t first,
                                     uint32_t* words) {
  for (int b = 0; b < kPhiloxBlocks; ++b) {
    const Philox4 block = philox(seed, offset, first + static_cast<uint64_t>(b));
    for (int k = 0; k < 4; ++k) words[4 * b + k] = block.v[k];
  }
}

#endif

inline constexpr int kPhiloxWords = 4 * kPhiloxBlocks;

}  // namespace
}  // namespace gs::cpu
