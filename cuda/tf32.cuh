// Products of float32 on tensor cores: operands rounded to the 11 bits of tf32, or each number in
// two such parts, of whose four products three are added: as accurate as float32, but an infinity
// may become NaN, since infinity times a part of 0 is NaN.
#pragma once

#include "float32_products.h"
#include "ptx/mma.cuh"

namespace gs::cuda {

// A fragment of tf32: the upper parts, and for Three products what they leave.
template <int N, bool Three>
struct Tf32Fragment {
  uint32_t high[N], low[Three ? N : 1];
  GS_DEVICE void set(int i, float x) {
    high[i] = ptx::to_tf32(x);
    if constexpr (Three) {
      float above;
      memcpy(&above, &high[i], 4);
      low[i] = ptx::to_tf32(x - above);
    }
  }
};

// The tensor cores cut sums off instead of rounding them: three products begin at zero each time,
// and the long sum is an addition of float.
template <bool Three>
GS_DEVICE void multiply_tf32(float (&sum)[4], const Tf32Fragment<4, Three>& x,
                             const Tf32Fragment<2, Three>& y) {
  if constexpr (Three) {
    float part[4] = {};
    ptx::multiply_16x8x8(part, x.low, y.high);
    ptx::multiply_16x8x8(part, x.high, y.low);
    ptx::multiply_16x8x8(part, x.high, y.high);
    GS_UNROLL for (int q = 0; q < 4; ++q) sum[q] += part[q];
  } else {
    ptx::multiply_16x8x8(sum, x.high, y.high);
  }
}

}  // namespace gs::cuda
