// The register tile: C (R x V vectors) = or += A (R x k) B (k x V vectors).
//
// A is read one scalar at a time with any strides and B by vectors with any row stride, so the same
// kernel serves packed panels and operands left where they are. The kernels are compiled once, in
// kernels/gemm_kernel.cpp, for all that multiply.
#pragma once

#include <type_traits>

#include "cpu/gemm_blocks.h"

namespace gs::cpu {
namespace GS_ISA {

// The end of a product in registers: a bias for each row, and no value below `lowest` (0 is relu).
// NaN stays.
template <class T>
struct Finish {
  const T* bias;
  T lowest;
};

template <class T>
using MicroKernel = void (*)(int64_t k, const T* a, int64_t a_row, int64_t a_col, const T* b,
                             int64_t b_row, T* c, int64_t c_row, bool accumulate,
                             const Finish<T>* finish);

template <class T>
struct MicroKernels {
  MicroKernel<T> of[2][kTileRows + 1];  // [vectors - 1][rows]
};
extern const MicroKernels<float> kFloatKernels;
extern const MicroKernels<double> kDoubleKernels;

}  // namespace GS_ISA

namespace {

using GS_ISA::Finish;
using GS_ISA::MicroKernel;

// For rows <= kTileRows and as many vectors as hold `columns` <= kTileCols.
template <class T>
GS_INLINE MicroKernel<T> micro_kernel(int64_t rows, int64_t columns) {
  if constexpr (std::is_same_v<T, float>)
    return GS_ISA::kFloatKernels.of[columns > kLanes<T>][rows];
  else
    return GS_ISA::kDoubleKernels.of[columns > kLanes<T>][rows];
}

}  // namespace
}  // namespace gs::cpu
