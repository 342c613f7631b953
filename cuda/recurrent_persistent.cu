// All steps of an LSTM or GRU layer in one kernel. A block keeps its units' rows of W_hh in shared
// memory; after each step the blocks wait for each other, and the new states go from one to all
// through the second cache: two buffers, since nobody writes one that another may still read.
#include "kernels/params/recurrent.h"
#include "recurrent_slice.cuh"

namespace gs::cuda {
namespace {

template <class T>
struct Layer {
  using C = compute_t<T>;
  Parts<C> x_gates;  // (T, B, G*H)
  const T* b_ih = nullptr;
  const T* b_hh = nullptr;
  const T* w_hh = nullptr;
  const T* h0 = nullptr;
  const T* c0 = nullptr;
  T* states = nullptr;  // (2, B, padded): h, zeros behind it
  C* c = nullptr;       // (B, H), LSTM
  T* out = nullptr;
  T* saved = nullptr;
  T* cells = nullptr;
  T* h_n = nullptr;
  T* c_n = nullptr;
  unsigned* arrived = nullptr;  // a counter a group
  int64_t steps = 0, batch = 0, hidden = 0, padded = 0, out_row = 0, reverse = 0;
};

// The cell of a thread.
template <CellKind kKind, class S>
class Cell : SliceUnit<S> {
  using T = typename S::T;
  using C = typename S::C;
  static constexpr int kGates = gate_count(kKind);
  using SliceUnit<S>::sequence_, SliceUnit<S>::unit_, SliceUnit<S>::b_, SliceUnit<S>::j_;
  using SliceUnit<S>::there_;

 public:
  GS_DEVICE Cell(const Layer<T>& p, int64_t first) : SliceUnit<S>(first, p.batch, p.hidden) {}

  GS_DEVICE void begin(const Layer<T>& p) const {
    if (!there_) return;
    const int64_t i = b_ * p.hidden + j_;
    p.states[b_ * p.padded + j_] = p.h0[i];
    if (kKind == CellKind::Lstm) p.c[i] = widen(p.c0[i]);
  }
  // What does not depend on the other blocks' work in this step.
  GS_DEVICE void read(const Layer<T>& p, int64_t step) {
    if (!there_) return;
    const int64_t row = time_of(step, p) * p.batch + b_;
    GS_UNROLL for (int g = 0; g < kGates; ++g) {
      x_[g] = p.x_gates((row * kGates + g) * p.hidden + j_);
      if (p.b_ih) x_[g] += widen(p.b_ih[g * p.hidden + j_]);
    }
    if (kKind == CellKind::Lstm)
      before_ = p.c[b_ * p.hidden + j_];
    else
      before_ = widen(p.states[(step % 2 * p.batch + b_) * p.padded + j_]);
  }
  GS_DEVICE void run(const Layer<T>& p, int64_t step, const Slice<S>& slice) const {
    if (!there_) return;
    C h[kGates];
    GS_UNROLL for (int g = 0; g < kGates; ++g) {
      h[g] = slice.sum(sequence_, g * S::kUnits + unit_);
      if (p.b_hh) h[g] += widen(p.b_hh[g * p.hidden + j_]);
    }
    const CellStep<C> cell = run_cell<kKind>(x_, h, before_);
    const int64_t row = time_of(step, p) * p.batch + b_, i = b_ * p.hidden + j_;
    const bool last = step + 1 == p.steps;
    p.states[((step + 1) % 2 * p.batch + b_) * p.padded + j_] = T(cell.h);
    p.out[row * p.out_row + j_] = T(cell.h);
    if (last) p.h_n[i] = T(cell.h);
    if constexpr (kKind == CellKind::Lstm) {
      p.c[i] = cell.c;
      if (p.cells) p.cells[row * p.hidden + j_] = T(cell.c);
      if (last) p.c_n[i] = T(cell.c);
    }
    if (p.saved) {
      GS_UNROLL for (int slot = 0; slot < 4; ++slot) p.saved[(row * 4 + slot) * p.hidden + j_] =
          T(cell.kept[slot]);
    }
  }

 private:
  static GS_DEVICE int64_t time_of(int64_t step, const Layer<T>& p) {
    return p.reverse ? p.steps - 1 - step : step;
  }
  C x_[kGates] = {}, before_ = 0;
};

template <CellKind kKind, class S>
__global__ void __launch_bounds__(kSliceThreads, S::kBlocks)
    persistent_kernel(const __grid_constant__ Layer<typename S::T> p) {
  using T = typename S::T;
  GS_DYNAMIC_SHARED(T, memory);
  GridBarrier barrier(p.arrived + blockIdx.y * kCountersApart, gridDim.x);
  const int64_t first = int64_t(blockIdx.y) * S::kBatch, stride = int64_t(gridDim.y) * S::kBatch;
  for (int64_t b = first; b < p.batch; b += stride) Cell<kKind, S>(p, b).begin(p);
  barrier.arrive();
  Slice<S> slice(memory, p.padded);
  slice.load(true, [&](int row, int k) {
    const int gate = row / S::kUnits;
    const int64_t unit = int64_t(blockIdx.x) * S::kUnits + row % S::kUnits;
    const bool there = gate < S::kGates && unit < p.hidden && k < p.hidden;
    return there ? p.w_hh[(gate * p.hidden + unit) * p.hidden + k] : T(0.0f);
  });
  for (int64_t step = 0; step < p.steps; ++step) {
    const T* const states = p.states + step % 2 * p.batch * p.padded;
    Cell<kKind, S> cell(p, first);
    cell.read(p, step);
    barrier.wait();
    for (int64_t b = first; b < p.batch; b += stride) {
      if (b != first) cell = Cell<kKind, S>(p, b), cell.read(p, step);
      slice.multiply(states, b, p.batch);
      cell.run(p, step, slice);
    }
    barrier.arrive();
  }
}

template <CellKind kKind, class S>
bool run(const Recurrent& p, const Parts<typename S::C>& x_gates) {
  using T = typename S::T;
  const auto kernel = persistent_kernel<kKind, S>;
  const SliceGrid grid = plan_slices<S>(kernel, p.batch, p.hidden, p.hidden);
  if (grid.groups == 0) return false;
  Layer<T> layer;
  layer.steps = p.steps, layer.batch = p.batch, layer.hidden = p.hidden;
  layer.padded = whole_chunks(p.hidden), layer.out_row = p.out_stride, layer.reverse = p.reverse;
  const Scratch<typename S::C> c(kKind == CellKind::Lstm ? p.batch * p.hidden : 0);
  const auto in = [](const void* from) { return static_cast<const T*>(from); };
  const auto to = [](void* at) { return static_cast<T*>(at); };
  layer.x_gates = x_gates, layer.b_ih = in(p.b_ih), layer.b_hh = in(p.b_hh);
  layer.w_hh = in(p.w_hh), layer.h0 = in(p.h0), layer.c0 = in(p.c0), layer.c = c.data();
  layer.out = to(p.out), layer.saved = to(p.saved), layer.cells = to(p.cells);
  layer.h_n = to(p.h_n), layer.c_n = to(p.c_n);
  launch_slices<S>("recurrent", grid, kernel, layer, layer.states);
  return true;
}

}  // namespace

// Few sequences: narrow slices on more blocks. One step alone has nothing to keep.
template <CellKind kKind, class T>
bool persistent_layer(const Recurrent& p, const Parts<compute_t<T>>& x_gates) {
  constexpr int kGates = gate_count(kKind), kFew = sizeof(T) == 2 ? 16 : 8;
  using Narrow = SliceShape<T, kGates, 4, kFew>;
  using Wide = SliceShape<T, kGates, 8, 16>;
  if (p.steps < 2) return false;
  return (p.batch <= kFew && run<kKind, Narrow>(p, x_gates)) || run<kKind, Wide>(p, x_gates);
}

#define GS_INSTANTIATE(kind, T)                                         \
  template bool persistent_layer<CellKind::kind, T>(const Recurrent& p, \
                                                    const Parts<compute_t<T>>& x_gates);
GS_SLICE_LAYERS(GS_INSTANTIATE)
#undef GS_INSTANTIATE

}  // namespace gs::cuda
