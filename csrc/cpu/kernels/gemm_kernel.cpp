// The register tiles of every height and width, for all that multiply.
#include "cpu/gemm_kernel.h"

namespace gs::cpu {
namespace {

inline constexpr int64_t kWorthFetching = 64;  // values of k

template <class T, int R, int V>
void multiply_tile(int64_t k, const T* a, int64_t a_row, int64_t a_col, const T* b, int64_t b_row,
                   T* c, int64_t c_row, bool accumulate, const Finish<T>* finish) {
  constexpr int kGroups = (R + 2) / 3;
  Vec<T> acc[R][V] = {};
  // One pointer for three rows: base, base + a_row and base + 2 * a_row are single addressing
  // modes.
  const T* rows[kGroups];
  const int64_t a_row2 = 2 * a_row;
#pragma GCC unroll 16
  for (int g = 0; g < kGroups; ++g) rows[g] = a + 3 * g * a_row;
  if constexpr (V > 1 && R > 4) {
    if (k >= kWorthFetching) {  // the tile of C is on its way while the products are made
#pragma GCC unroll 16
      for (int i = 0; i < R; ++i)
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) __builtin_prefetch(c + i * c_row + v * kLanes<T>, 1);
    }
  }
#pragma GCC unroll 1
  for (; k > 0; --k) {
    Vec<T> bv[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) bv[v] = load(b + v * kLanes<T>);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const T* at = rows[i / 3];
      Vec<T> x = splat(i % 3 == 0 ? at[0] : i % 3 == 1 ? at[a_row] : at[a_row2]);
      // Keeps the broadcast in a register: folded into each FMA it would be loaded V times.
      if constexpr (V > 1) __asm__("" : "+v"(x));
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) acc[i][v] += x * bv[v];
    }
#pragma GCC unroll 16
    for (int g = 0; g < kGroups; ++g) rows[g] += a_col;
    b += b_row;
  }
  if (finish) {
    const Vec<T> lowest = splat(finish->lowest);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) {
        const Vec<T> x = acc[i][v] + finish->bias[i];
        store(c + i * c_row + v * kLanes<T>, x < lowest ? lowest : x);
      }
    }
    return;
  }
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      T* to = c + i * c_row + v * kLanes<T>;
      store(to, accumulate ? load(to) + acc[i][v] : acc[i][v]);
    }
  }
}

template <class T, int R>
constexpr void fill_kernels(GS_ISA::MicroKernels<T>& all) {
  all.of[0][R] = &multiply_tile<T, R, 1>;
  all.of[1][R] = &multiply_tile<T, R, 2>;
  if constexpr (R > 1) fill_kernels<T, R - 1>(all);
}
template <class T>
constexpr GS_ISA::MicroKernels<T> make_kernels() {
  GS_ISA::MicroKernels<T> all{};
  fill_kernels<T, kTileRows>(all);
  return all;
}

}  // namespace

namespace GS_ISA {

constexpr MicroKernels<float> kFloatKernels = make_kernels<float>();
constexpr MicroKernels<double> kDoubleKernels = make_kernels<double>();

}  // namespace GS_ISA
}  // namespace gs::cpu
