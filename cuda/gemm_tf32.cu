// Products of float32 on tensor cores, where float32_products() allows it: operands rounded to the
// 11 bits of tf32, or each number in two such parts, of whose four products three are added: as
// accurate as float32, but an infinity may become NaN, since infinity times a part of 0 is NaN.
#include "gemm_pipeline.cuh"

namespace gs::cuda {
namespace {

// A fragment of tf32: the upper parts, and for ThreeTf32 what they leave.
template <int N, bool Three>
struct Fragment {
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

template <class P, bool Three>
struct FloatMath {
  static GS_DEVICE void step(const float* a, const float* b, int row, int col, int lane,
                             typename P::Sums& sums) {
    const int g = lane / 4, t = lane % 4;
    GS_UNROLL for (int k = 0; k < P::kDepth; k += 8) {
      Fragment<4, Three> x[P::kDown];
      GS_UNROLL for (int i = 0; i < P::kDown; ++i) {
        GS_UNROLL for (int q = 0; q < 4; ++q) x[i].set(
            q, a[P::A::at(row + i * 16 + g + q % 2 * 8, k + t + q / 2 * 4)]);
      }
      GS_UNROLL for (int j = 0; j < P::kAcross; ++j) {
        Fragment<2, Three> y;
        GS_UNROLL for (int q = 0; q < 2; ++q) y.set(q, b[P::B::at(col + j * 8 + g, k + t + q * 4)]);
        GS_UNROLL for (int i = 0; i < P::kDown; ++i) multiply(sums[i][j], x[i], y);
      }
    }
  }

  // The tensor cores cut sums off instead of rounding them: three products begin at zero each time,
  // and the long sum is an addition of float.
  static GS_DEVICE void multiply(float (&sum)[4], const Fragment<4, Three>& x,
                                 const Fragment<2, Three>& y) {
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
};

template <bool Three>
void run(const Product<float>& p, bool large) {
  visit_orders(p, [&](auto a, auto b) {
    using Large = Pipeline<float, a.value, b.value, 128, 128, 16, 64, 32, 4>;
    using Small = Pipeline<float, a.value, b.value, 64, 64, 16, 32, 32, 4>;
    if (large)
      run_pipeline<Large, FloatMath<Large, Three>, Three ? 1 : 2>(p);
    else
      run_pipeline<Small, FloatMath<Small, Three>, 3>(p);
  });
}

}  // namespace

template <>
void tensor_product(const Product<float>& p, bool large) {
  float32_products() == Float32Products::ThreeTf32 ? run<true>(p, large) : run<false>(p, large);
}
template <>
bool tensor_takes(const Product<float>& p) {
  return float32_products() != Float32Products::Exact && p.a_packs && p.b_packs;
}

// float64 stays with the tiles of gemm_tile.cu.
template <>
void tensor_product(const Product<double>& p, bool) {
  tile_product(p, Path::Tile);
}
template <>
bool tensor_takes(const Product<double>&) {
  return false;
}

}  // namespace gs::cuda
