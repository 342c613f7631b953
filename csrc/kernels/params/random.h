// Parameters of random numbers; kernels.h says what holds for all.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace gs {

enum class RandomOp : uint8_t {
  Uniform /*[a, b)*/,
  Normal /*mean a, std b*/,
  Bernoulli /*p = a*/,
  Integers /*[low, high)*/
};
// Element i uses Philox block i/4 word i%4 (float types; Normal takes words in pairs by
// Box-Muller), block i/2 words in pairs (float64, Integers). Bernoulli takes one word an element
// for every dtype. Uniform is fma(b - a, u, a) with u of 24 bits (float16: 11, bfloat16: 8,
// float64: 53); what rounds up to b becomes a.
struct Random {
  RandomOp op;
  void* y;
  int64_t n;
  DType dtype;
  uint64_t seed, offset;
  double a, b;
  int64_t low, high;
};
struct RandomPermutation {
  int64_t* y;
  int64_t n;
  uint64_t seed, offset;
};
// y = x * keep / (1 - p) where keep_i = word i of the stream >= p. The same call with dy gives dx.
struct Dropout {
  const void* x;
  void* y;
  int64_t n;
  DType dtype;
  double p;
  uint64_t seed, offset;
};

}  // namespace gs
