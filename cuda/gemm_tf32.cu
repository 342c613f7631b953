// Products of float32 on tensor cores, where float32_products() allows it.
#include "gemm_pipeline.cuh"
#include "tf32.cuh"

namespace gs::cuda {
namespace {

template <class P, bool Three>
struct FloatMath {
  static GS_DEVICE void step(const float* a, const float* b, int row, int col, int lane,
                             typename P::Sums& sums) {
    const int g = lane / 4, t = lane % 4;
    GS_UNROLL for (int k = 0; k < P::kDepth; k += 8) {
      Tf32Fragment<4, Three> x[P::kDown];
      GS_UNROLL for (int i = 0; i < P::kDown; ++i) {
        GS_UNROLL for (int q = 0; q < 4; ++q) x[i].set(
            q, a[P::A::at(row + i * 16 + g + q % 2 * 8, k + t + q / 2 * 4)]);
      }
      GS_UNROLL for (int j = 0; j < P::kAcross; ++j) {
        Tf32Fragment<2, Three> y;
        GS_UNROLL for (int q = 0; q < 2; ++q) y.set(q, b[P::B::at(col + j * 8 + g, k + t + q * 4)]);
        GS_UNROLL for (int i = 0; i < P::kDown; ++i) multiply_tf32<Three>(sums[i][j], x[i], y);
      }
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
