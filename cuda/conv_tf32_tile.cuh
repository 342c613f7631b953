// The tiles of conv_tile.cuh for float32 on tensor cores, where float32_products() allows it.
#pragma once

#include "conv_tile.cuh"
#include "tf32.cuh"

namespace gs::cuda {

template <int M, int N, int WarpM, int WarpN, bool kBAlongK, bool Three>
struct ConvTf32Tile {
  using C = float;
  using Element = float;
  static constexpr int kM = M, kN = N, kK = 16;
  static constexpr int kRows = WarpM / 8, kColumns = WarpN / 4;  // sums of a thread
  static constexpr int kLanes = 2;                               // neighbours among them
  static constexpr int kWarpsN = N / WarpN, kThreads = M / WarpM * kWarpsN * 32;
  static constexpr int kBlocks = (Three ? 384 : 512) / kThreads;
  static constexpr int kAlong = 4, kAcross = 8;  // pads: a fragment's values fall into all banks
  static_assert(WarpM % 16 == 0 && WarpN % 8 == 0);

  struct Operands {
    float a[kM][kK + kAlong];
    float b[kBAlongK ? kN : kK][kBAlongK ? kK + kAlong : kN + kAcross];
    GS_DEVICE float& a_at(int m, int k) { return a[m][k]; }
    GS_DEVICE float& b_at(int n, int k) { return kBAlongK ? b[n][k] : b[k][n]; }
    GS_DEVICE float b_at(int n, int k) const { return kBAlongK ? b[n][k] : b[k][n]; }
  };
  using Sums = float[kRows][kColumns];

  int row, column, lane;  // first of the warp

  GS_DEVICE ConvTf32Tile() {
    const int warp = static_cast<int>(threadIdx.x) / 32;
    lane = static_cast<int>(threadIdx.x) % 32;
    row = warp / kWarpsN * WarpM;
    column = warp % kWarpsN * WarpN;
  }
  // A product of a warp is 16 x 8: lane 4 g + t holds columns 2 t, 2 t + 1 of rows g and g + 8.
  GS_DEVICE int row_of(int i) const { return row + i * 8 + lane / 4; }
  GS_DEVICE int column_of(int j) const { return column + j / 2 * 8 + lane % 4 * 2 + j % 2; }

  GS_DEVICE void add_product(const Operands& from, Sums& sums) const {
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
        GS_UNROLL for (int i = 0; i < WarpM / 16; ++i) {
          float d[4] = {sums[2 * i][2 * j], sums[2 * i][2 * j + 1], sums[2 * i + 1][2 * j],
                        sums[2 * i + 1][2 * j + 1]};
          multiply_tf32<Three>(d, a[i], b);
          sums[2 * i][2 * j] = d[0], sums[2 * i][2 * j + 1] = d[1];
          sums[2 * i + 1][2 * j] = d[2], sums[2 * i + 1][2 * j + 1] = d[3];
        }
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
