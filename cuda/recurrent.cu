// LSTM, GRU and plain RNN through time. The input's part of all gates is one product beforehand; a
// step is one product h W_hh^T and one kernel for all cells, which adds the parts of both products,
// the biases, and writes the new state where the next product reads it. Where a layer fits, all
// steps are one kernel instead (recurrent_persistent.cu). Gates and c stay in the type of the sums;
// h is rounded to the layer's type at each step.
#include "cell.cuh"
#include "kernels/params/recurrent.h"
#include "runtime/scratch.h"

namespace gs::cuda {
namespace {

template <class T>
struct Step {
  using C = compute_t<T>;
  Parts<C> x_gates, h_gates;  // (B, G*H) each
  const T* b_ih = nullptr;
  const T* b_hh = nullptr;
  const T* h_before = nullptr;  // (B, H), rows h_row apart
  const T* c_first = nullptr;   // c0 at the first step, then null: c holds it
  C* c = nullptr;               // (B, H)
  T* out = nullptr;             // (B, H), rows out_row apart
  T* saved = nullptr;           // (B, 4*H) or null
  T* cells = nullptr;           // (B, H) or null
  T* h_n = nullptr;             // at the last step, otherwise null
  T* c_n = nullptr;
  int64_t batch = 0, hidden = 0, h_row = 0, out_row = 0;
};

template <CellKind kKind, class T>
__global__ void __launch_bounds__(kCellThreads, 4) cell_kernel(const __grid_constant__ Step<T> p) {
  using C = compute_t<T>;
  constexpr int kGates = gate_count(kKind);
  const int64_t i = int64_t(blockIdx.x) * kCellThreads + threadIdx.x, hidden = p.hidden;
  if (i >= p.batch * hidden) return;
  const int64_t b = i / hidden, j = i % hidden;
  C x[kGates], h[kGates], before = 0;
  GS_UNROLL for (int g = 0; g < kGates; ++g) {
    const int64_t at = (b * kGates + g) * hidden + j;
    x[g] = p.x_gates(at), h[g] = p.h_gates(at);
    if (p.b_ih) x[g] += widen(p.b_ih[g * hidden + j]);
    if (p.b_hh) h[g] += widen(p.b_hh[g * hidden + j]);
  }
  if constexpr (kKind == CellKind::Lstm) before = p.c_first ? widen(p.c_first[i]) : p.c[i];
  if constexpr (kKind == CellKind::Gru) before = widen(p.h_before[b * p.h_row + j]);
  const CellStep<C> step = run_cell<kKind>(x, h, before);
  if constexpr (kKind == CellKind::Lstm) {
    p.c[i] = step.c;
    if (p.cells) p.cells[i] = T(step.c);
    if (p.c_n) p.c_n[i] = T(step.c);
  }
  if (kGates > 1 && p.saved) {
    GS_UNROLL for (int slot = 0; slot < 4; ++slot) p.saved[(b * 4 + slot) * hidden + j] =
        T(step.kept[slot]);
  }
  p.out[b * p.out_row + j] = T(step.h);
  if (p.h_n) p.h_n[i] = T(step.h);
}

// rows of A times the rows of a weight (G*H x depth), transposed.
template <class T>
Product<T> gates_product(const Recurrent& p, const void* a, int64_t a_row, int64_t rows,
                         const void* weight, int64_t depth) {
  Product<T> product;
  product.a = static_cast<const T*>(a), product.a_row = a_row, product.a_k = 1;
  product.b = static_cast<const T*>(weight), product.b_row = depth, product.b_k = 1;
  product.m = rows, product.n = gate_count(p.kind) * p.hidden, product.k = depth;
  product.a_packs = product.b_packs = 1;
  return product;
}

template <CellKind kKind, class T>
void run_layer(const Recurrent& p) {
  using C = compute_t<T>;
  const int64_t hidden = p.hidden, rows = p.batch, gates = gate_count(kKind) * hidden;
  auto inputs = gates_product<T>(p, p.x, p.inputs, p.steps * rows, p.w_ih, p.inputs);
  const Path inputs_path = plan(inputs);
  auto first = gates_product<T>(p, p.h0, hidden, rows, p.w_hh, hidden);
  plan(first);  // its cut is that of every step
  const int64_t all = p.steps * rows * gates, each = rows * gates;
  const Scratch<C> x_gates(inputs.splits * all), h_gates(first.splits * each),
      c(kKind == CellKind::Lstm ? rows * hidden : 0);
  inputs.sums = x_gates.data();
  run_product(inputs, inputs_path);
  if constexpr (may_persist(kKind, sizeof(T))) {
    if (persistent_layer<kKind, T>(p, {x_gates.data(), inputs.splits, all})) return;
  }

  Step<T> step;
  step.b_ih = static_cast<const T*>(p.b_ih), step.b_hh = static_cast<const T*>(p.b_hh);
  step.c_first = static_cast<const T*>(p.c0), step.c = c.data();
  step.batch = rows, step.hidden = hidden, step.out_row = p.out_stride;
  step.h_before = static_cast<const T*>(p.h0), step.h_row = hidden;
  step.h_gates = {h_gates.data(), first.splits, each};
  for (int64_t s = 0; s < p.steps; ++s) {
    const int64_t t = time_of(s, p.steps, p.reverse);
    auto product = gates_product<T>(p, step.h_before, step.h_row, rows, p.w_hh, hidden);
    const Path path = plan(product);
    product.sums = h_gates.data();
    run_product(product, path);
    step.x_gates = {x_gates.data() + t * each, inputs.splits, all};
    step.out = static_cast<T*>(p.out) + t * rows * p.out_stride;
    if (p.saved) step.saved = static_cast<T*>(p.saved) + t * rows * 4 * hidden;
    if (p.cells) step.cells = static_cast<T*>(p.cells) + t * rows * hidden;
    if (s + 1 == p.steps) step.h_n = static_cast<T*>(p.h_n), step.c_n = static_cast<T*>(p.c_n);
    launch({cell_grid(rows, hidden), dim3(kCellThreads), 0, current_stream()},
           cell_kernel<kKind, T>, step);
    step.h_before = step.out, step.h_row = p.out_stride, step.c_first = nullptr;
  }
}

void copy_state(const Recurrent& p, void* to, const void* from) {
  const size_t bytes = static_cast<size_t>(p.batch * p.hidden * size_of(p.dtype));
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, current_stream()), "recurrent");
}

}  // namespace

void recurrent(const Recurrent& p) {
  if (p.batch == 0 || p.hidden == 0) return;
  if (p.steps == 0) {
    copy_state(p, p.h_n, p.h0);
    if (p.kind == CellKind::Lstm) copy_state(p, p.c_n, p.c0);
    return;
  }
  visit_floating(p.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    visit_cell(p.kind, [&](auto kind) { run_layer<kind.value, T>(p); });
  });
}

}  // namespace gs::cuda
