// Gradients of LSTM, GRU and plain RNN through time. A step turns the gradient of h and c into that
// of the gates, then one product with W_hh gives the gradient of the state before. The gradient of
// W_hh is one product over all steps at the end.
#include <cstdint>
#include <cstring>

#include "core/parallel.h"
#include "cpu/cell.h"
#include "cpu/isa.h"
#include "cpu/scratch.h"
#include "cpu/vmath.h"
#include "cpu/widen.h"
#include "kernels/params/gemm.h"
#include "kernels/params/recurrent.h"

namespace gs::cpu {
namespace {

template <class C>
struct LayerGrad {
  bool reverse;
  int64_t steps, batch, hidden, out_stride, dout_stride;
  const C *out, *dout, *saved, *cells, *h0, *c0;
  C *dgates, *dgates_hh;  // the same buffer except for GRU
  const C* panels;        // W_hh: [chunk of kTileCols columns][gate rows][kTileCols]
  C* dh;                  // (B, padded): gradient of h after the step, then of h before it
  int64_t padded;         // hidden, rounded up to whole vectors
  C* dc;                  // (B, H)
};

template <class C>
void pack_weights(const C* w, int64_t rows, int64_t hidden, C* panels) {
  constexpr int64_t kColumns = kTileCols<C>;
  const int64_t chunks = (hidden + kColumns - 1) / kColumns;
  parallel_for(0, chunks, 1 + 32768 / (rows * kColumns), [=](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t first = chunk * kColumns;
      const int64_t width = hidden - first < kColumns ? hidden - first : kColumns;
      C* to = panels + chunk * rows * kColumns;
      for (int64_t k = 0; k < rows; ++k, to += kColumns) {
        for (int64_t j = 0; j < width; ++j) to[j] = w[k * hidden + first + j];
        for (int64_t j = width; j < kColumns; ++j) to[j] = C(0);
      }
    }
  });
}

// The gates' gradients for one vector: batch row b, hidden units [j, j + n). dh keeps what reaches
// the state before without passing through W_hh (GRU: z dh), dc its gradient.
template <CellKind kKind, class C>
GS_INLINE void run_cell(const LayerGrad<C>& a, int64_t s, int64_t b, int64_t j, int64_t n) {
  constexpr int kGates = gate_count(kKind);
  const int64_t hidden = a.hidden;
  const int64_t t = time_of(s, a.steps, a.reverse), row = t * a.batch + b;
  const int64_t row_before = s ? time_of(s - 1, a.steps, a.reverse) * a.batch + b : 0;
  Vec<C> dh = load(a.dh + b * a.padded + j);
  if (a.dout) dh += load_first(a.dout + row * a.dout_stride + j, n);
  const auto saved = [&](int slot) {
    return load_first(a.saved + (row * 4 + slot) * hidden + j, n);
  };
  const auto give = [&](C* to, int gate, Vec<C> v) {
    store_first(to + (row * kGates + gate) * hidden + j, v, n);
  };
  if constexpr (kKind == CellKind::Lstm) {
    const Vec<C> i = saved(0), f = saved(1), g = saved(2), o = saved(3);
    const Vec<C> tanh_c = VecMath<C>::tanh(load_first(a.cells + row * hidden + j, n));
    const C* before = s ? a.cells + row_before * hidden + j : a.c0 + b * hidden + j;
    C* carried = a.dc + b * hidden + j;
    const Vec<C> dc = load_first(carried, n) + dh * o * (1 - tanh_c * tanh_c);
    give(a.dgates, 0, dc * g * i * (1 - i));
    give(a.dgates, 1, dc * load_first(before, n) * f * (1 - f));
    give(a.dgates, 2, dc * i * (1 - g * g));
    give(a.dgates, 3, dh * tanh_c * o * (1 - o));
    store_first(carried, dc * f, n);
  } else if constexpr (kKind == CellKind::Gru) {
    const Vec<C> r = saved(0), z = saved(1), new_h = saved(2), hn = saved(3);
    const C* before = s ? a.out + row_before * a.out_stride + j : a.h0 + b * hidden + j;
    const Vec<C> dn = dh * (1 - z) * (1 - new_h * new_h), dr = dn * hn * r * (1 - r);
    const Vec<C> dz = dh * (load_first(before, n) - new_h) * z * (1 - z);
    give(a.dgates, 0, dr);
    give(a.dgates, 1, dz);
    give(a.dgates, 2, dn);
    give(a.dgates_hh, 0, dr);
    give(a.dgates_hh, 1, dz);
    give(a.dgates_hh, 2, dn * r);
    store(a.dh + b * a.padded + j, dh * z);
  } else {
    const Vec<C> h = load_first(a.out + row * a.out_stride + j, n);
    give(a.dgates, 0,
         kKind == CellKind::RnnTanh ? dh * (1 - h * h) : (h > Vec<C>{} ? dh : Vec<C>{}));
  }
}

template <CellKind kKind, class C>
void run_cells(const LayerGrad<C>& a, int64_t s, int64_t b0, int64_t rows) {
  for (int64_t b = b0; b < b0 + rows; ++b)
    for (int64_t j = 0; j < a.hidden; j += kLanes<C>) run_cell<kKind>(a, s, b, j, a.hidden - j);
}

// What the cells of step s read and write from far away.
template <CellKind kKind, class C>
void fetch_step(const LayerGrad<C>& a, int64_t s, int64_t b0, int64_t rows, int64_t piece,
                int64_t pieces) {
  constexpr int kGates = gate_count(kKind);
  if (s < 0 || a.steps * a.batch * a.hidden * kGates < kFarValues) return;
  const int64_t hidden = a.hidden, row = time_of(s, a.steps, a.reverse) * a.batch + b0;
  const auto fetch = [&](const C* p, int64_t row_stride, int64_t count, int64_t width) {
    fetch_rows(p, row_stride, count, width, piece, pieces);
  };
  if (kGates > 1) fetch(a.saved + row * 4 * hidden, 4 * hidden, rows, 4 * hidden);
  fetch(a.dgates + row * kGates * hidden, hidden, rows * kGates, hidden);
  if (a.dgates_hh != a.dgates)
    fetch(a.dgates_hh + row * kGates * hidden, hidden, rows * kGates, hidden);
  if (a.dout) fetch(a.dout + row * a.dout_stride, a.dout_stride, rows, hidden);
  if (kKind != CellKind::Lstm) fetch(a.out + row * a.out_stride, a.out_stride, rows, hidden);
  if (kKind == CellKind::Lstm && s > 0) {
    const int64_t before = time_of(s - 1, a.steps, a.reverse) * a.batch + b0;
    fetch(a.cells + before * hidden, hidden, rows, hidden);
  }
}

// dh = or += dgates_hh W_hh of step s, for rows [b0, b0 + rows) and chunks of hidden units.
template <CellKind kKind, class C>
void run_product(const LayerGrad<C>& a, int64_t s, int64_t b0, int64_t rows, int64_t chunk0,
                 int64_t chunk1) {
  constexpr int64_t kColumns = kTileCols<C>;
  const int64_t depth = gate_count(kKind) * a.hidden;
  const C* gates = a.dgates_hh + (time_of(s, a.steps, a.reverse) * a.batch + b0) * depth;
  for (int64_t chunk = chunk0; chunk < chunk1; ++chunk) {
    const int64_t left = a.padded - chunk * kColumns;
    fetch_step<kKind>(a, s - 1, b0, rows, chunk - chunk0, chunk1 - chunk0);
    product(LeftMatrix<C, false>{gates, depth}, rows, left < kColumns ? left : kColumns, depth,
            a.panels + chunk * depth * kColumns, kColumns, a.dh + b0 * a.padded + chunk * kColumns,
            a.padded, kKind == CellKind::Gru);
  }
}

template <CellKind kKind, class C>
void run_layer(const LayerGrad<C>& a) {
  constexpr int64_t kColumns = kTileCols<C>;
  const int64_t chunks = (a.hidden + kColumns - 1) / kColumns;
  const int64_t blocks = (a.batch + kBlockRows - 1) / kBlockRows;
  const int64_t chunk_work = gate_count(kKind) * a.hidden * kColumns;
  if (blocks > 1) {
    const int64_t work = a.steps * kBlockRows * chunks * chunk_work;
    parallel_for(0, blocks, 1 + 131072 / (work + 1), [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) {
        const int64_t b0 = block * kBlockRows;
        const int64_t rows = a.batch - b0 < kBlockRows ? a.batch - b0 : kBlockRows;
        for (int64_t s = a.steps - 1; s >= 0; --s) {
          run_cells<kKind>(a, s, b0, rows);
          run_product<kKind>(a, s, b0, rows, 0, chunks);
        }
      }
    });
    return;
  }
  const int64_t grain = 1 + kStepGrain / (a.batch * chunk_work + 1);
  for (int64_t s = a.steps - 1; s >= 0; --s) {
    run_cells<kKind>(a, s, 0, a.batch);
    parallel_for(0, chunks, grain, [&](int64_t begin, int64_t end) {
      run_product<kKind>(a, s, 0, a.batch, begin, end);
    });
  }
}

// dw_hh (GH x H) = sum over steps of dgates_hh^T h_before. h before a step is `out` one step away,
// or h0: two products over all steps.
template <class C>
void weight_grad(const RecurrentGrad& p, const LayerGrad<C>& a, int64_t gate_rows) {
  const int64_t rows = (a.steps - 1) * a.batch, one_step = a.batch * gate_rows;
  Gemm gemm{};
  gemm.dtype = dtype_of<C>::value;
  gemm.m = gate_rows;
  gemm.n = a.hidden;
  gemm.a_row = 1;
  gemm.a_col = gate_rows;
  gemm.b_col = 1;
  gemm.c = p.dw_hh;
  gemm.c_row = a.hidden;
  gemm.alpha = 1;
  gemm.batch = 1;
  if (rows > 0) {
    gemm.k = rows;
    gemm.a = a.reverse ? a.dgates_hh : a.dgates_hh + one_step;
    gemm.b = a.reverse ? a.out + a.batch * a.out_stride : a.out;
    gemm.b_row = a.out_stride;
    GS_ISA::gemm(gemm);
    gemm.beta = 1;
  }
  gemm.k = a.batch;
  gemm.a = a.reverse ? a.dgates_hh + (a.steps - 1) * one_step : a.dgates_hh;
  gemm.b = a.h0;
  gemm.b_row = a.hidden;
  GS_ISA::gemm(gemm);
}

// db_hh: each column is summed from the first step to the last by one thread.
template <class C>
void bias_grad(const C* dgates, int64_t rows, int64_t columns, C* db) {
  constexpr int64_t kWidth = 64;
  const int64_t grain = 1 + 32768 / (rows * kWidth);
  parallel_for(0, (columns + kWidth - 1) / kWidth, grain, [=](int64_t begin, int64_t end) {
    const int64_t last = end * kWidth < columns ? end * kWidth : columns;
    for (int64_t j = begin * kWidth; j < last; ++j) db[j] = C(0);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = begin * kWidth; j < last; ++j) db[j] += dgates[i * columns + j];
  });
}

template <class C>
void run(const RecurrentGrad& p) {
  const int64_t gate_rows = gate_count(p.kind) * p.hidden, state = p.batch * p.hidden;
  const bool lstm = p.kind == CellKind::Lstm;
  if (state == 0 || p.steps == 0) {
    if (p.dw_hh) std::memset(p.dw_hh, 0, gate_rows * p.hidden * sizeof(C));
    if (p.db_hh) std::memset(p.db_hh, 0, gate_rows * sizeof(C));
  }
  if (state == 0) return;
  constexpr int64_t kColumns = kTileCols<C>;
  const int64_t chunks = (p.hidden + kColumns - 1) / kColumns;
  const int64_t padded = round_up_to_lanes<C>(p.hidden);
  Scratch<C> panels(chunks * gate_rows * kColumns), dh(p.batch * padded), dc(lstm ? state : 0);
  pack_weights(static_cast<const C*>(p.w_hh), gate_rows, p.hidden, panels.get());
  void* dgates_hh = p.kind == CellKind::Gru ? p.dgates_hh : p.dgates;
  const LayerGrad<C> layer{p.reverse,
                           p.steps,
                           p.batch,
                           p.hidden,
                           p.out_stride,
                           p.dout_stride,
                           static_cast<const C*>(p.out),
                           static_cast<const C*>(p.dout),
                           static_cast<const C*>(p.saved),
                           static_cast<const C*>(p.cells),
                           static_cast<const C*>(p.h0),
                           static_cast<const C*>(p.c0),
                           static_cast<C*>(p.dgates),
                           static_cast<C*>(dgates_hh),
                           panels.get(),
                           dh.get(),
                           padded,
                           dc.get()};
  std::memset(dh.get(), 0, p.batch * padded * sizeof(C));
  if (p.dh_n)
    for (int64_t b = 0; b < p.batch; ++b)
      std::memcpy(dh.get() + b * padded, static_cast<const C*>(p.dh_n) + b * p.hidden,
                  p.hidden * sizeof(C));
  if (lstm && p.dc_n) std::memcpy(dc.get(), p.dc_n, state * sizeof(C));
  if (lstm && !p.dc_n) std::memset(dc.get(), 0, state * sizeof(C));
  visit_cell(p.kind, [&](auto kind) { run_layer<kind.value>(layer); });
  for (int64_t b = 0; b < p.batch; ++b)
    std::memcpy(static_cast<C*>(p.dh0) + b * p.hidden, dh.get() + b * padded, p.hidden * sizeof(C));
  if (lstm) std::memcpy(p.dc0, dc.get(), state * sizeof(C));
  if (p.steps == 0) return;
  if (p.dw_hh) weight_grad(p, layer, gate_rows);
  if (p.db_hh)
    bias_grad(static_cast<const C*>(dgates_hh), p.steps * p.batch, gate_rows,
              static_cast<C*>(p.db_hh));
}

template <class T>
void run_wide(const RecurrentGrad& p) {
  const int64_t gate_rows = gate_count(p.kind) * p.hidden, h = p.hidden, rows = p.steps * p.batch;
  const WideInput<T> w_hh(p.w_hh, gate_rows * h), h0(p.h0, p.batch * h), c0(p.c0, p.batch * h),
      out(p.out, rows, h, p.out_stride), saved(p.saved, rows * 4 * h), cells(p.cells, rows * h),
      dout(p.dout, rows, h, p.dout_stride), dh_n(p.dh_n, p.batch * h), dc_n(p.dc_n, p.batch * h);
  const WideOutput<T> dgates(p.dgates, rows * gate_rows), dgates_hh(p.dgates_hh, rows * gate_rows),
      dw_hh(p.dw_hh, gate_rows * h), db_hh(p.db_hh, gate_rows), dh0(p.dh0, p.batch * h),
      dc0(p.dc0, p.batch * h);
  RecurrentGrad wide = p;
  wide.dtype = DType::Float32;
  wide.w_hh = w_hh.get();
  wide.h0 = h0.get();
  wide.c0 = c0.get();
  wide.out = out.get();
  wide.saved = saved.get();
  wide.cells = cells.get();
  wide.dout = dout.get();
  wide.out_stride = wide.dout_stride = h;
  wide.dh_n = dh_n.get();
  wide.dc_n = dc_n.get();
  wide.dgates = dgates.get();
  wide.dgates_hh = dgates_hh.get();
  wide.dw_hh = dw_hh.get();
  wide.db_hh = db_hh.get();
  wide.dh0 = dh0.get();
  wide.dc0 = dc0.get();
  run<float>(wide);
  dgates.store();
  dgates_hh.store();
  dw_hh.store();
  db_hh.store();
  dh0.store();
  dc0.store();
}

}  // namespace

namespace GS_ISA {

void recurrent_grad(const RecurrentGrad& p) {
  switch (p.dtype) {
    case DType::Float16:
      return run_wide<Half>(p);
    case DType::BFloat16:
      return run_wide<BFloat16>(p);
    case DType::Float32:
      return run<float>(p);
    default:
      return run<double>(p);
  }
}

}  // namespace GS_ISA
}  // namespace gs::cpu
