// The tiles of conv_tile.cuh for float32 on tensor cores, where float32_products() allows it.
#pragma once

#include "conv_tile.cuh"
#include "tf32.cuh"

namespace gs::cuda {

template <int M, int N, int WarpM, int WarpN, bool kBAlongK, bool Three>
struct ConvTf32Tile : ConvWarpTile<M, N, WarpM, WarpN> {
  using Warps = ConvWarpTile<M, N, WarpM, WarpN>;
  using Warps::row, Warps::column, Warps::lane;
  using Element = float;
  static constexpr int kK = 16;
  static constexpr int kBlocks = (Three ? 384 : 512) / Warps::kThreads;
  static constexpr int kAlong = 4, kAcross = 8;  // pads: a fragment's values fall into all banks
  static_assert(WarpM % 16 == 0 && WarpN % 8 == 0);

  struct Operands {
    float a[M][kK + kAlong];
    float b[kBAlongK ? N : kK][kBAlongK ? kK + kAlong : N + kAcross];
    GS_DEVICE float& a_at(int m, int k) { return a[m][k]; }
    GS_DEVICE float& b_at(int n, int k) { return kBAlongK ? b[n][k] : b[k][n]; }
    GS_DEVICE float b_at(int n, int k) const { return kBAlongK ? b[n][k] : b[k][n]; }
  };

  GS_DEVICE void add_product(const Operands& from, typename Warps::Sums& sums) const {
    const int g = lane / 4, t = lane % 4;
    GS_UNROLL for (int k = 0; k < kK; k += 8) {
      Tf32Fragment<4, Three> a[WarpM / 16];
      GS_UNROLL for (int i = 0; i < WarpM / 16; ++i) {
        GS_UNROLL for (int q = 0; q < 4; ++q) a[i].set(
            q, from.a[row + i * 16 + g + q % 2 * 8][k + t + q / 2 * 4]);
      }
      GS_UNROLL for (int j = 0; j < WarpN / 8; ++j) {
        Tf32Fragment<2, Three> b;
        GS_UNROLL for (int q = 0; q < 2; ++q)
            b.set(q, from.b_at(column + j * 8 + g, k + t + q * 4));
        GS_UNROLL for (int i = 0; i < WarpM / 16; ++i)
            Warps::add_to(sums, i, j, [&](float (&d)[4]) { multiply_tf32<Three>(d, a[i], b); });
      }
    }
  }
};

// What ConvTiles takes for float32 on tensor cores.
template <bool Three>
struct Tf32Values {};
template <bool Three, bool kBAlongK>
struct ConvTiles<Tf32Values<Three>, kBAlongK> {
  using Large = ConvTf32Tile<64, 128, 32, 32, kBAlongK, Three>;
  using Middle = Large;
  using Small = ConvTf32Tile<32, 64, 16, 32, kBAlongK, Three>;
};

// f(T, what ConvTiles takes) as types in std::type_identity.
template <class F>
void visit_conv_values(DType dtype, F&& f) {
  visit_floating(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_same_v<T, float>) {
      const Float32Products how = float32_products();
      if (how == Float32Products::Tf32) return f(tag, std::type_identity<Tf32Values<false>>{});
      if (how == Float32Products::ThreeTf32) return f(tag, std::type_identity<Tf32Values<true>>{});
    }
    f(tag, std::type_identity<T>{});
  });
}

}  // namespace gs::cuda
