// Products of 16-bit floats on tensor cores, sums in float: mma m16n8k16 from fragments that
// ldmatrix reads, the pipeline of gemm_pipeline.cuh around it.
#include "gemm_pipeline.cuh"

namespace gs::cuda {
namespace {

// The warp's products of one tile. P::A and P::B say how the operands lie in shared memory.
template <class P>
struct HalfMath {
  using T = typename P::T;

  // A (16 x 16) at (row, k): quarters in the order (0, 0), (8, 0), (0, 8), (8, 8) of (row, k).
  static GS_DEVICE void load_a(uint32_t (&r)[4], const T* tile, int row, int k, int lane) {
    const int of_8 = lane % 8, low = lane / 8 % 2 * 8, high = lane / 16 * 8;
    if constexpr (P::kAAlongK)
      ptx::load_matrices<false>(r, tile + P::A::at(row + low + of_8, k + high));
    else
      ptx::load_matrices<true>(r, tile + P::A::at(row + low, k + high + of_8));
  }
  // B (16 x 16), two fragments side by side: quarters (0, 0), (0, 8), (8, 0), (8, 8) of (col, k).
  static GS_DEVICE void load_b(uint32_t (&r)[4], const T* tile, int col, int k, int lane) {
    const int of_8 = lane % 8, low = lane / 8 % 2 * 8, high = lane / 16 * 8;
    if constexpr (P::kBAlongK)
      ptx::load_matrices<false>(r, tile + P::B::at(col + high + of_8, k + low));
    else
      ptx::load_matrices<true>(r, tile + P::B::at(col + high, k + low + of_8));
  }

  static GS_DEVICE void step(const T* a, const T* b, int row, int col, int lane,
                             typename P::Sums& sums) {
    GS_UNROLL for (int k = 0; k < P::kDepth; k += 16) {
      uint32_t x[P::kDown][4], y[P::kAcross][2];
      GS_UNROLL for (int i = 0; i < P::kDown; ++i) load_a(x[i], a, row + i * 16, k, lane);
      GS_UNROLL for (int j = 0; j < P::kAcross; j += 2) {
        uint32_t pair[4];
        load_b(pair, b, col + j * 8, k, lane);
        y[j][0] = pair[0], y[j][1] = pair[1], y[j + 1][0] = pair[2], y[j + 1][1] = pair[3];
      }
      GS_UNROLL for (int i = 0; i < P::kDown; ++i) {
        GS_UNROLL for (int j = 0; j < P::kAcross; ++j)
            ptx::multiply_16x8x16<T>(sums[i][j], x[i], y[j]);
      }
    }
  }
};

}  // namespace

template <class T>
void tensor_product(const Product<T>& p, bool large) {
  visit_orders(p, [&](auto a, auto b) {
    using Large = Pipeline<T, a.value, b.value, 128, 128, 32, 64, 32, 4>;
    using Small = Pipeline<T, a.value, b.value, 64, 64, 32, 32, 32, 4>;
    if (large)
      run_pipeline<Large, HalfMath<Large>, 2>(p);
    else
      run_pipeline<Small, HalfMath<Small>, 4>(p);
  });
}

template <class T>
bool tensor_takes(const Product<T>& p) {
  return p.a_packs && p.b_packs;
}

template void tensor_product(const Product<Half>& p, bool large);
template void tensor_product(const Product<BFloat16>& p, bool large);
template bool tensor_takes(const Product<Half>& p);
template bool tensor_takes(const Product<BFloat16>& p);

}  // namespace gs::cuda
