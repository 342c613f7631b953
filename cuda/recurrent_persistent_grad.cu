// The gradient through all steps of an LSTM or GRU layer in one kernel, from the last step to the
// first. A block keeps its units' columns of W_hh in shared memory; what goes from one to all after
// each step are the gradients of the gates.
#include "kernels/params/recurrent.h"
#include "recurrent_slice.cuh"

namespace gs::cuda {
namespace {

template <class T>
struct Layer {
  using C = compute_t<T>;
  const T* w_hh = nullptr;
  const T* h0 = nullptr;
  const T* c0 = nullptr;
  const T* out = nullptr;
  const T* saved = nullptr;
  const T* cells = nullptr;
  const T* dout = nullptr;  // may be null, as dh_n and dc_n
  const T* dh_n = nullptr;
  const T* dc_n = nullptr;
  T* gates = nullptr;    // (2, B, padded): the gradients of the gates, zeros behind them
  C* carried = nullptr;  // (B, H): dc of the LSTM, z dh of the GRU
  T* dgates = nullptr;
  T* dgates_hh = nullptr;
  T* dh0 = nullptr;
  T* dc0 = nullptr;
  unsigned* arrived = nullptr;  // a counter a group
  int64_t steps = 0, batch = 0, hidden = 0, padded = 0, out_row = 0, dout_row = 0, reverse = 0;
};

// The cell of a thread.
template <CellKind kKind, class S>
class Cell : SliceUnit<S> {
  using T = typename S::T;
  using C = typename S::C;
  static constexpr int kGates = gate_count(kKind);
  static constexpr bool kLstm = kKind == CellKind::Lstm;
  using SliceUnit<S>::sequence_, SliceUnit<S>::unit_, SliceUnit<S>::b_, SliceUnit<S>::j_;
  using SliceUnit<S>::there_;

 public:
  GS_DEVICE Cell(const Layer<T>& p, int64_t first) : SliceUnit<S>(first, p.batch, p.hidden) {}

  // What does not depend on the other blocks' work in this step.
  GS_DEVICE void read(const Layer<T>& p, int64_t step) {
    if (!there_) return;
    const int64_t i = b_ * p.hidden + j_, row = row_of(step, p);
    const bool last = step + 1 == p.steps;
    GS_UNROLL for (int slot = 0; slot < 4; ++slot) kept_[slot] =
        widen(p.saved[(row * 4 + slot) * p.hidden + j_]);
    dh_ = p.dout ? widen(p.dout[row * p.dout_row + j_]) : 0;
    if (last && p.dh_n) dh_ += widen(p.dh_n[i]);
    if constexpr (kLstm) {
      c_ = widen(p.cells[row * p.hidden + j_]);
      before_ = widen(step > 0 ? p.cells[row_of(step - 1, p) * p.hidden + j_] : p.c0[i]);
      dc_ = !last ? p.carried[i] : p.dc_n ? widen(p.dc_n[i]) : 0;
    } else {
      before_ = widen(step > 0 ? p.out[row_of(step - 1, p) * p.out_row + j_] : p.h0[i]);
      if (!last) dh_ += p.carried[i];
    }
  }
  GS_DEVICE void run(const Layer<T>& p, int64_t step, const Slice<S>& slice) const {
    if (!there_) return;
    const C dh = step + 1 < p.steps ? dh_ + slice.sum(sequence_, unit_) : dh_;
    const CellGrad<C> d = run_cell_grad<kKind>(dh, dc_, kept_, c_, before_, C(0));
    const int64_t row = row_of(step, p);
    T* const to_all = p.gates + (step % 2 * p.batch + b_) * p.padded;
    GS_UNROLL for (int g = 0; g < kGates; ++g) {
      const int64_t column = g * p.hidden + j_, at = row * kGates * p.hidden + column;
      p.dgates[at] = T(d.gates[g]);
      if constexpr (!kLstm) p.dgates_hh[at] = T(d.gates_hh[g]);
      to_all[column] = T(kLstm ? d.gates[g] : d.gates_hh[g]);
    }
    p.carried[b_ * p.hidden + j_] = d.carried;
  }
  // What is left after the first step in time: the gradient of the state before it.
  GS_DEVICE void finish(const Layer<T>& p, const Slice<S>& slice) const {
    if (!there_) return;
    const int64_t i = b_ * p.hidden + j_;
    const C dh = slice.sum(sequence_, unit_), carried = p.carried[i];
    p.dh0[i] = T(kLstm ? dh : dh + carried);
    if (kLstm) p.dc0[i] = T(carried);
  }

 private:
  GS_DEVICE int64_t row_of(int64_t step, const Layer<T>& p) const {
    return (p.reverse ? p.steps - 1 - step : step) * p.batch + b_;
  }
  C kept_[4] = {}, dh_ = 0, dc_ = 0, c_ = 0, before_ = 0;
};

template <CellKind kKind, class S>
__global__ void __launch_bounds__(kSliceThreads, S::kBlocks)
    persistent_grad_kernel(const __grid_constant__ Layer<typename S::T> p) {
  using T = typename S::T;
  GS_DYNAMIC_SHARED(T, memory);
  GridBarrier barrier(p.arrived + blockIdx.y * kCountersApart, gridDim.x);
  const int64_t depth = gate_count(kKind) * p.hidden;
  const int64_t first = int64_t(blockIdx.y) * S::kBatch, stride = int64_t(gridDim.y) * S::kBatch;
  Slice<S> slice(memory, p.padded);
  slice.load(false, [&](int row, int k) {
    const int64_t unit = int64_t(blockIdx.x) * S::kUnits + row;
    const bool there = row < S::kUnits && unit < p.hidden && k < depth;
    return there ? p.w_hh[k * p.hidden + unit] : T(0.0f);
  });
  for (int64_t step = p.steps - 1; step >= 0; --step) {
    const T* const gates = p.gates + (step + 1) % 2 * p.batch * p.padded;
    Cell<kKind, S> cell(p, first);
    cell.read(p, step);
    if (step + 1 < p.steps) barrier.wait();
    for (int64_t b = first; b < p.batch; b += stride) {
      if (b != first) cell = Cell<kKind, S>(p, b), cell.read(p, step);
      if (step + 1 < p.steps) slice.multiply(gates, b, p.batch);
      cell.run(p, step, slice);
    }
    barrier.arrive();
  }
  barrier.wait();
  for (int64_t b = first; b < p.batch; b += stride) {
    slice.multiply(p.gates, b, p.batch);
    Cell<kKind, S>(p, b).finish(p, slice);
  }
}

template <CellKind kKind, class S>
bool run(const RecurrentGrad& p) {
  using T = typename S::T;
  const int64_t depth = gate_count(kKind) * p.hidden;
  const auto kernel = persistent_grad_kernel<kKind, S>;
  const SliceGrid grid = plan_slices<S>(kernel, p.batch, p.hidden, depth);
  if (grid.groups == 0) return false;
  Layer<T> layer;
  layer.steps = p.steps, layer.batch = p.batch, layer.hidden = p.hidden;
  layer.padded = whole_chunks(depth), layer.reverse = p.reverse;
  layer.out_row = p.out_stride, layer.dout_row = p.dout_stride;
  const Scratch<typename S::C> carried(p.batch * p.hidden);
  const auto in = [](const void* from) { return static_cast<const T*>(from); };
  const auto to = [](void* at) { return static_cast<T*>(at); };
  layer.w_hh = in(p.w_hh), layer.h0 = in(p.h0), layer.c0 = in(p.c0), layer.out = in(p.out);
  layer.saved = in(p.saved), layer.cells = in(p.cells), layer.dout = in(p.dout);
  layer.dh_n = in(p.dh_n), layer.dc_n = in(p.dc_n), layer.carried = carried.data();
  layer.dgates = to(p.dgates), layer.dgates_hh = to(p.dgates_hh);
  layer.dh0 = to(p.dh0), layer.dc0 = to(p.dc0);
  launch_slices<S>("recurrent_grad", grid, kernel, layer, layer.gates);
  return true;
}

}  // namespace

template <CellKind kKind, class T>
bool persistent_layer_grad(const RecurrentGrad& p) {
  constexpr int kFew = sizeof(T) == 2 ? 16 : 8;
  using Narrow = SliceShape<T, 1, 4, kFew>;
  using Wide = SliceShape<T, 1, 8, 16>;
  if (p.steps < 2) return false;
  return (p.batch <= kFew && run<kKind, Narrow>(p)) || run<kKind, Wide>(p);
}

#define GS_INSTANTIATE(kind, T) \
  template bool persistent_layer_grad<CellKind::kind, T>(const RecurrentGrad& p);
GS_SLICE_LAYERS(GS_INSTANTIATE)
#undef GS_INSTANTIATE

}  // namespace gs::cuda
