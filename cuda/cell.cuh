// What the forward and the backward of the recurrent layers share.
#pragma once

#include "gemm.cuh"

namespace gs::cuda {

GS_HOST_DEVICE constexpr int gate_count(CellKind kind) {
  return kind == CellKind::Lstm ? 4 : kind == CellKind::Gru ? 3 : 1;
}

// The place in time of the step that is run as number `s`.
inline int64_t time_of(int64_t s, int64_t steps, bool reverse) {
  return reverse ? steps - 1 - s : s;
}

inline constexpr int kCellThreads = 256;

// The sums of a product as its kernels leave them: the parts of k one behind the other, each `size`
// values. Whoever reads them adds the parts, in order, and spares a kernel for it.
template <class C>
struct Parts {
  const C* sums = nullptr;
  int64_t count = 0, size = 0;
  GS_DEVICE C operator()(int64_t at) const {
    C sum = 0;
    for (int64_t i = 0; i < count; ++i) sum += sums[i * size + at];
    return sum;
  }
};

// One thread a hidden unit of a sequence: a step's cells are a grid of these.
inline dim3 cell_grid(int64_t batch, int64_t hidden) {
  return dim3(static_cast<unsigned>(ceil_div(batch * hidden, kCellThreads)));
}

// Calls f with the kind as a constant.
template <class F>
void visit_cell(CellKind kind, F&& f) {
  switch (kind) {
    case CellKind::Lstm:
      return f(std::integral_constant<CellKind, CellKind::Lstm>{});
    case CellKind::Gru:
      return f(std::integral_constant<CellKind, CellKind::Gru>{});
    case CellKind::RnnTanh:
      return f(std::integral_constant<CellKind, CellKind::RnnTanh>{});
    default:
      return f(std::integral_constant<CellKind, CellKind::RnnRelu>{});
  }
}

}  // namespace gs::cuda
