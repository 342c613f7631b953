// Gradients of LSTM, GRU and plain RNN through time. A step is one kernel for all cells, which
// turns the gradient of h and c into that of the gates, and one product with W_hh, whose parts the
// next step's kernel adds up. The gradient of W_hh is one product over all steps at the end.
#include "cell.cuh"
#include "kernels/params/recurrent.h"
#include "runtime/scratch.h"

namespace gs::cuda {
namespace {

template <class T>
struct GradStep {
  using C = compute_t<T>;
  Parts<C> dh;                  // (B, H): what came through W_hh; no parts before the first product
  const T* dh_last = nullptr;   // dh_n at the last step, otherwise null
  const T* dc_last = nullptr;   // dc_n, likewise
  const T* dout = nullptr;      // (B, H) or null
  const T* out = nullptr;       // (B, H), RNN
  const T* h_before = nullptr;  // (B, H), GRU
  const T* saved = nullptr;     // (B, 4*H)
  const T* cells = nullptr;     // (B, H), LSTM
  const T* c_before = nullptr;  // (B, H)
  C* carried = nullptr;         // (B, H): dc of the LSTM, z dh of the GRU
  T* dgates = nullptr;          // (B, G*H)
  T* dgates_hh = nullptr;       // GRU
  int64_t batch = 0, hidden = 0, dout_row = 0, out_row = 0, h_row = 0;
  int32_t is_last = 1, unused = 0;  // in time: `carried` holds nothing yet
};

// What comes from the steps after this one.
template <CellKind kKind, class T>
GS_DEVICE compute_t<T> gradient_of_h(const GradStep<T>& p, int64_t i) {
  if (p.is_last) return p.dh_last ? widen(p.dh_last[i]) : 0;
  return kKind == CellKind::Gru ? p.dh(i) + p.carried[i] : p.dh(i);
}
template <class T>
GS_DEVICE compute_t<T> gradient_of_c(const GradStep<T>& p, int64_t i) {
  if (p.is_last) return p.dc_last ? widen(p.dc_last[i]) : 0;
  return p.carried[i];
}

template <CellKind kKind, class T>
__global__ void __launch_bounds__(kCellThreads)
    cell_grad_kernel(const __grid_constant__ GradStep<T> p) {
  using C = compute_t<T>;
  constexpr int kGates = gate_count(kKind);
  const int64_t i = int64_t(blockIdx.x) * kCellThreads + threadIdx.x, hidden = p.hidden;
  if (i >= p.batch * hidden) return;
  const int64_t b = i / hidden, j = i % hidden;
  C dh = gradient_of_h<kKind>(p, i), dc = 0, kept[4] = {}, c = 0, before = 0, h = 0;
  if (p.dout) dh += widen(p.dout[b * p.dout_row + j]);
  if constexpr (kGates > 1) {
    GS_UNROLL for (int slot = 0; slot < 4; ++slot) kept[slot] =
        widen(p.saved[(b * 4 + slot) * hidden + j]);
  }
  if constexpr (kKind == CellKind::Lstm)
    dc = gradient_of_c(p, i), c = widen(p.cells[i]), before = widen(p.c_before[i]);
  else if constexpr (kKind == CellKind::Gru)
    before = widen(p.h_before[b * p.h_row + j]);
  else
    h = widen(p.out[b * p.out_row + j]);
  const CellGrad<C> d = run_cell_grad<kKind>(dh, dc, kept, c, before, h);
  GS_UNROLL for (int g = 0; g < kGates; ++g) {
    const int64_t at = (b * kGates + g) * hidden + j;
    p.dgates[at] = T(d.gates[g]);
    if constexpr (kKind == CellKind::Gru) p.dgates_hh[at] = T(d.gates_hh[g]);
  }
  if constexpr (kGates > 1) p.carried[i] = d.carried;
}

// What is left after the first step in time is the gradient of the state before it.
template <CellKind kKind, class T>
__global__ void __launch_bounds__(kCellThreads)
    first_state_kernel(const __grid_constant__ GradStep<T> p, T* dh0, T* dc0) {
  const int64_t i = int64_t(blockIdx.x) * kCellThreads + threadIdx.x;
  if (i >= p.batch * p.hidden) return;
  dh0[i] = T(gradient_of_h<kKind>(p, i));
  if (kKind == CellKind::Lstm) dc0[i] = T(gradient_of_c(p, i));
}

// ---------------------------------------------------------------- through time

template <class T>
const T* at_row(const void* p, int64_t offset) {
  return p ? static_cast<const T*>(p) + offset : nullptr;
}

// The operands of step s; carried and the sums stay.
template <CellKind kKind, class T>
void set_step(const RecurrentGrad& p, int64_t s, GradStep<T>& step) {
  const int64_t hidden = p.hidden, rows = p.batch, gates = gate_count(kKind) * hidden;
  const int64_t row = time_of(s, p.steps, p.reverse) * rows;
  const int64_t before = s ? time_of(s - 1, p.steps, p.reverse) * rows : 0;
  step.dout = at_row<T>(p.dout, row * p.dout_stride), step.dout_row = p.dout_stride;
  step.out = at_row<T>(p.out, row * p.out_stride), step.out_row = p.out_stride;
  step.h_before = s ? at_row<T>(p.out, before * p.out_stride) : static_cast<const T*>(p.h0);
  step.h_row = s ? p.out_stride : hidden;
  step.saved = at_row<T>(p.saved, row * 4 * hidden);
  step.cells = at_row<T>(p.cells, row * hidden);
  step.c_before = s ? at_row<T>(p.cells, before * hidden) : static_cast<const T*>(p.c0);
  step.dgates = static_cast<T*>(p.dgates) + row * gates;
  step.dgates_hh =
      kKind == CellKind::Gru ? static_cast<T*>(p.dgates_hh) + row * gates : step.dgates;
}

// dgates_hh (B x G*H) W_hh (G*H x H)
template <class T>
Product<T> state_product(const RecurrentGrad& p, const T* dgates_hh) {
  Product<T> product;
  const int64_t gates = gate_count(p.kind) * p.hidden;
  product.m = p.batch, product.n = p.hidden, product.k = gates;
  product.a = dgates_hh, product.a_row = gates, product.a_k = 1;
  product.b = static_cast<const T*>(p.w_hh), product.b_row = 1, product.b_k = p.hidden;
  product.a_packs = product.b_packs = 1;
  return product;
}

template <CellKind kKind, class T>
void run_layer(const RecurrentGrad& p) {
  using C = compute_t<T>;
  if constexpr (may_persist(kKind, sizeof(T))) {
    if (persistent_layer_grad<kKind, T>(p)) return;
  }
  const int64_t state = p.batch * p.hidden;
  auto any = state_product<T>(p, static_cast<const T*>(p.dgates));
  plan(any);  // its cut is that of every step
  const Scratch<C> sums(any.splits * state), carried(state);
  const Config config{cell_grid(p.batch, p.hidden), dim3(kCellThreads), 0, current_stream()};
  GradStep<T> step;
  step.batch = p.batch, step.hidden = p.hidden, step.carried = carried.data();
  step.dh_last = static_cast<const T*>(p.dh_n), step.dc_last = static_cast<const T*>(p.dc_n);
  for (int64_t s = p.steps - 1; s >= 0; --s) {
    set_step<kKind>(p, s, step);
    launch(config, cell_grad_kernel<kKind, T>, step);
    auto product = state_product<T>(p, step.dgates_hh);
    const Path path = plan(product);
    product.sums = sums.data();
    run_product(product, path);
    step.dh = {sums.data(), product.splits, state};
    step.is_last = 0;
  }
  launch(config, first_state_kernel<kKind, T>, step, static_cast<T*>(p.dh0),
         static_cast<T*>(p.dc0));
}

// ---------------------------------------------------------------- the weights

// dgates_hh^T h over `steps` steps, from the given rows on: (G*H x K) by (K x H).
template <class T>
Product<T> weight_product(const RecurrentGrad& p, const T* dgates_hh, const T* h, int64_t h_row,
                          int64_t steps) {
  Product<T> product;
  const int64_t gates = gate_count(p.kind) * p.hidden;
  product.m = gates, product.n = p.hidden, product.k = steps * p.batch;
  product.a = dgates_hh, product.a_row = 1, product.a_k = gates;
  product.b = h, product.b_row = 1, product.b_k = h_row;
  product.c = static_cast<T*>(p.dw_hh), product.c_row = p.hidden;
  product.a_packs = product.b_packs = 1;
  return product;
}

// dW_hh: h before a step is `out` one step away, or h0: two products over all steps, whose parts
// are added up together.
template <class T>
void weight_grad(const RecurrentGrad& p, const T* dgates_hh) {
  const int64_t one_step = p.batch * gate_count(p.kind) * p.hidden, last = p.steps - 1;
  const T* out = static_cast<const T*>(p.out);
  auto later = weight_product(p, p.reverse ? dgates_hh : dgates_hh + one_step,
                              p.reverse ? out + p.batch * p.out_stride : out, p.out_stride, last);
  auto first = weight_product(p, p.reverse ? dgates_hh + last * one_step : dgates_hh,
                              static_cast<const T*>(p.h0), p.hidden, 1);
  const Path later_path = plan(later), first_path = plan(first);
  if (last == 0) later.splits = 0;
  const int64_t numel = first.m * first.n;
  const Scratch<compute_t<T>> sums((first.splits + later.splits) * numel);
  first.sums = sums.data();
  run_product(first, first_path);
  if (last > 0) {
    later.sums = sums.data() + first.splits * numel;
    run_product(later, later_path);
  }
  first.splits += later.splits;
  add_splits(first);
}

// Sums of columns: 32 of them a block, its warps by turns down the rows, which are cut like k.
template <class T>
__global__ void __launch_bounds__(kCellThreads)
    column_sums_kernel(const T* x, const __grid_constant__ Product<T> p) {
  using C = compute_t<T>;
  constexpr int kWarps = kCellThreads / 32;
  GS_SHARED(of_warp, C[kWarps][32]);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int64_t col = int64_t(blockIdx.x) * 32 + lane, begin = blockIdx.y * p.split_k;
  const int64_t end = begin + p.split_k < p.k ? begin + p.split_k : p.k;
  C sum = 0;
  if (col < p.n) {
    for (int64_t row = begin + warp; row < end; row += kWarps) sum += widen(x[row * p.n + col]);
  }
  of_warp[warp][lane] = sum;
  __syncthreads();
  if (warp == 0 && col < p.n) {
    GS_UNROLL for (int w = 1; w < kWarps; ++w) sum += of_warp[w][lane];
    *sums_of(p, blockIdx.y, 0, 0, col) = sum;
  }
}

template <class T>
void bias_grad(const RecurrentGrad& p, const T* dgates_hh) {
  Product<T> sum;
  sum.m = 1, sum.n = gate_count(p.kind) * p.hidden, sum.k = p.steps * p.batch;
  sum.c = static_cast<T*>(p.db_hh);
  const int64_t blocks = ceil_div(sum.n, 32);
  split_k(sum, blocks, 64, 8);
  const Scratch<compute_t<T>> sums(sum.splits * sum.n);
  sum.sums = sums.data();
  launch({dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(sum.splits)),
          dim3(kCellThreads), 0, current_stream()},
         column_sums_kernel<T>, dgates_hh, sum);
  add_splits(sum);
}

template <class T>
void run(const RecurrentGrad& p) {
  visit_cell(p.kind, [&](auto kind) { run_layer<kind.value, T>(p); });
  if (p.steps == 0) return;
  const T* dgates_hh = static_cast<const T*>(p.kind == CellKind::Gru ? p.dgates_hh : p.dgates);
  if (p.dw_hh) weight_grad(p, dgates_hh);
  if (p.db_hh) bias_grad(p, dgates_hh);
}

void clear(void* p, int64_t bytes) {
  if (p && bytes)
    check(cudaMemsetAsync(p, 0, static_cast<size_t>(bytes), current_stream()), "recurrent_grad");
}

}  // namespace

void recurrent_grad(const RecurrentGrad& p) {
  const bool empty = p.batch == 0 || p.hidden == 0;
  if (empty || p.steps == 0) {
    const int64_t gates = gate_count(p.kind) * p.hidden, size = size_of(p.dtype);
    clear(p.dw_hh, gates * p.hidden * size);
    clear(p.db_hh, gates * size);
  }
  if (empty) return;
  visit_floating(p.dtype, [&](auto type) { run<typename decltype(type)::type>(p); });
}

}  // namespace gs::cuda
