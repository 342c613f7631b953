// The way of a warp's sums from registers to C, or to the parts of sums of a product whose k is cut
// (gemm_wgmma.cuh).
#pragma once

#include "gemm.cuh"
#include "kernels/params/gemm.h"

namespace gs::cuda {

// Where in a warp's piece of shared memory sum (row, col) of 16 x 64 lies. Packs of four change
// places so that neither the lanes that write fragments nor those that read rows share banks.
GS_DEVICE int sum_place(int row, int col) {
  return row * 64 + (((col / 4) ^ (col / 32) ^ (row % 8 * 2)) * 4) + col % 4;
}

// Eight sums of a warp's piece, from (r, c) on, to C in packs of 16 bytes.
template <class T>
GS_DEVICE void write_eight(const Product<T>& p, int64_t batch, int64_t row, int64_t col,
                           float* piece, int r, int c) {
  float *first = piece + sum_place(r, c), *second = piece + sum_place(r, c + 4);
  if constexpr (sizeof(T) == 4) {
    write_four(p, batch, row, col, load_pack<float, 4>(first));
    write_four(p, batch, row, col + 4, load_pack<float, 4>(second));
    return;
  }
  Pack<float, 4> v[2] = {load_pack<float, 4>(first), load_pack<float, 4>(second)};
  T* to = p.c + batch * p.c_batch + row * p.c_row + col;
  const float alpha = static_cast<float>(p.alpha), beta = static_cast<float>(p.beta);
  GS_UNROLL for (int i = 0; i < 8; ++i) v[i / 4].v[i % 4] *= alpha;
  if (p.beta != 0) {
    const Pack<T, 8> before = load_pack<T, 8>(to);
    GS_UNROLL for (int i = 0; i < 8; ++i) v[i / 4].v[i % 4] += beta * widen(before.v[i]);
  }
  if (p.bias) {
    GS_UNROLL for (int i = 0; i < 8; ++i) v[i / 4].v[i % 4] +=
        widen(p.bias[p.bias_per_row ? row : col + i]);
  }
  const auto activation = static_cast<Activation>(p.activation);
  if (activation != Activation::None) {  // in a loop: an activation is long, and there are five
    store_pack<float, 4>(first, v[0]), store_pack<float, 4>(second, v[1]);
    _Pragma("unroll 1") for (int i = 0; i < 8; ++i) {
      float* at = piece + sum_place(r, c + i);
      *at = activate(activation, *at);
    }
    v[0] = load_pack<float, 4>(first), v[1] = load_pack<float, 4>(second);
  }
  Pack<T, 8> out;
  GS_UNROLL for (int i = 0; i < 8; ++i) out.v[i] = T(v[i / 4].v[i % 4]);
  store_pack<T, 8>(to, out);
}

// A warp's 16 x 64 sums, from its piece of shared memory: eight lanes to a row.
template <class T>
GS_DEVICE void give_piece(const Product<T>& p, bool wide, int64_t batch, int64_t split, int64_t row,
                          int64_t first_col, float* piece) {
  const int lane = static_cast<int>(threadIdx.x) % 32, col = lane % 8 * 8;
  const int64_t left = p.n - first_col - col;
  _Pragma("unroll 1") for (int r = lane / 8; r < 16; r += 4) {
    if (row + r >= p.m || left <= 0) continue;
    if (p.sums && left >= 8 && p.n % 4 == 0) {
      float* to = sums_of(p, split, batch, row + r, first_col + col);
      store_pack<float, 4>(to, load_pack<float, 4>(piece + sum_place(r, col)));
      store_pack<float, 4>(to + 4, load_pack<float, 4>(piece + sum_place(r, col + 4)));
    } else if (!p.sums && left >= 8 && wide) {
      write_eight(p, batch, row + r, first_col + col, piece, r, col);
    } else {
      _Pragma("unroll 1") for (int i = 0; i < 8 && i < left; ++i) {
        const float sum = piece[sum_place(r, col + i)];
        if (p.sums)
          *sums_of(p, split, batch, row + r, first_col + col + i) = sum;
        else
          write_one(p, batch, row + r, first_col + col + i, sum);
      }
    }
  }
}

// A warp's 16 rows of sums from its threads' registers, 64 columns at a time. The rounds are one
// piece of code; which registers a round takes is known when it is compiled.
template <int Cols, class T>
GS_DEVICE void give_sums(const Product<T>& p, bool wide, int64_t batch, int64_t split, int64_t row,
                         int64_t col, const float (&sums)[Cols / 2], float* piece) {
  const int lane = static_cast<int>(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
  _Pragma("unroll 1") for (int round = 0; round < Cols / 64; ++round) {
    GS_UNROLL for (int q = 0; q < Cols / 64; ++q) {
      if (q != round) continue;
      GS_UNROLL for (int j = 0; j < 8; ++j) {
        const float* of = sums + (q * 8 + j) * 4;
        store_pack<float, 2>(piece + sum_place(g, j * 8 + t * 2), {of[0], of[1]});
        store_pack<float, 2>(piece + sum_place(g + 8, j * 8 + t * 2), {of[2], of[3]});
      }
    }
    __syncwarp();
    give_piece(p, wide, batch, split, row, col + round * 64, piece);
    __syncwarp();  // the next round writes where this one's lanes have read
  }
}

}  // namespace gs::cuda
