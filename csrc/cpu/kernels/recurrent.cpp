// LSTM, GRU and plain RNN through time. The input's part of the gates is given; a step is one
// product h W_hh^T with the cell run on each tile of it while the tile is still in the first cache.
#include <cstdint>
#include <cstring>

#include "core/parallel.h"
#include "cpu/cell.h"
#include "cpu/isa.h"
#include "cpu/scratch.h"
#include "cpu/shuffle.h"
#include "cpu/vmath.h"
#include "cpu/widen.h"

namespace gs::cpu {
namespace {

template <class C>
struct Layer {
  bool reverse;
  int64_t steps, batch, hidden, out_stride;
  const C *x_gates, *bias;
  C *out, *saved, *cells;
  const C* panels;  // W_hh^T: [chunk of kTileColumns hidden units][gate][H][kTileColumns]
  C* h[2];          // (B, H): the states before and after a step, by turns
  C* c;             // (B, H)
};

template <class C>
void pack_weights(const C* w, int64_t gates, int64_t hidden, C* panels) {
  constexpr int64_t kColumns = kTileColumns<C>;
  const int64_t chunks = (hidden + kColumns - 1) / kColumns;
  parallel_for(0, chunks * gates, 1 + 32768 / (hidden * kColumns), [=](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; ++panel) {
      const int64_t first = panel / gates * kColumns, gate = panel % gates;
      const int64_t width = hidden - first < kColumns ? hidden - first : kColumns;
      const C* from = w + (gate * hidden + first) * hidden;
      C* to = panels + panel * hidden * kColumns;
      transpose(from, hidden, width, hidden, to, kColumns);
      for (int64_t k = 0; width < kColumns && k < hidden; ++k)
        for (int64_t j = width; j < kColumns; ++j) to[k * kColumns + j] = C(0);
    }
  });
}

// One vector of the cell at batch row b, hidden unit j: n <= kLanes units. product(g) is gate g's
// part of h W_hh^T + b_hh there.
template <CellKind kKind, class C, class Product>
GS_INLINE void run_cell(const Layer<C>& a, int64_t t, int64_t b, int64_t j, int64_t n,
                        const C* h_before, C* h_after, Product product) {
  constexpr int kGates = gate_count(kKind);
  const int64_t hidden = a.hidden, row = t * a.batch + b, at = b * hidden + j;
  const C* x = a.x_gates + row * kGates * hidden + j;
  C* saved = a.saved ? a.saved + row * 4 * hidden + j : nullptr;
  const auto input = [&](int g) { return load_first(x + g * hidden, n); };
  const auto save = [&](int slot, Vec<C> v) {
    if (saved) store_first(saved + slot * hidden, v, n);
  };
  Vec<C> h;
  if constexpr (kKind == CellKind::Lstm) {
    const Vec<C> i = VecMath<C>::sigmoid(input(0) + product(0)),
                 f = VecMath<C>::sigmoid(input(1) + product(1));
    const Vec<C> g = VecMath<C>::tanh(input(2) + product(2)),
                 o = VecMath<C>::sigmoid(input(3) + product(3));
    const Vec<C> c = f * load_first(a.c + at, n) + i * g;
    h = o * VecMath<C>::tanh(c);
    save(0, i);
    save(1, f);
    save(2, g);
    save(3, o);
    store_first(a.c + at, c, n);
    if (a.cells) store_first(a.cells + row * hidden + j, c, n);
  } else if constexpr (kKind == CellKind::Gru) {
    const Vec<C> r = VecMath<C>::sigmoid(input(0) + product(0)),
                 z = VecMath<C>::sigmoid(input(1) + product(1));
    const Vec<C> hn = product(2), new_h = VecMath<C>::tanh(input(2) + r * hn);
    h = new_h + z * (load_first(h_before + at, n) - new_h);
    save(0, r);
    save(1, z);
    save(2, new_h);
    save(3, hn);
  } else {
    const Vec<C> sum = input(0) + product(0);
    h = kKind == CellKind::RnnTanh ? VecMath<C>::tanh(sum) : (sum < Vec<C>{} ? Vec<C>{} : sum);
  }
  store_first(h_after + at, h, n);
  store_first(a.out + row * a.out_stride + j, h, n);
}

// Step s for batch rows [b0, b0 + rows) and chunks [chunk0, chunk1) of hidden units; rows <=
// kBlockRows.
template <CellKind kKind, class C>
void run_step(const Layer<C>& a, int64_t s, int64_t b0, int64_t rows, int64_t chunk0,
              int64_t chunk1) {
  constexpr int kGates = gate_count(kKind);
  constexpr int64_t kColumns = kTileColumns<C>;
  const int64_t t = time_of(s, a.steps, a.reverse), hidden = a.hidden;
  const C* h_before = a.h[s % 2];
  C* h_after = a.h[1 - s % 2];
  alignas(64) C tile[kGates][kBlockRows * kColumns];
  for (int64_t chunk = chunk0; chunk < chunk1; ++chunk) {
    for (int g = 0; g < kGates; ++g)
      product(LeftMatrix<C, false>{h_before + b0 * hidden, hidden}, rows, kColumns, hidden,
              a.panels + (chunk * kGates + g) * hidden * kColumns, kColumns, tile[g], kColumns,
              false);
    const int64_t first = chunk * kColumns;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t j = 0; j < kColumns && first + j < hidden; j += kLanes<C>) {
        const int64_t n = hidden - first - j;
        run_cell<kKind>(a, t, b0 + r, first + j, n, h_before, h_after, [&](int g) {
          const Vec<C> part = load(tile[g] + r * kColumns + j);
          return a.bias ? part + load_first(a.bias + g * hidden + first + j, n) : part;
        });
      }
    }
  }
}

template <CellKind kKind, class C>
void run_layer(const Layer<C>& a) {
  constexpr int64_t kColumns = kTileColumns<C>;
  const int64_t chunks = (a.hidden + kColumns - 1) / kColumns;
  const int64_t blocks = (a.batch + kBlockRows - 1) / kBlockRows;
  const int64_t chunk_work = gate_count(kKind) * a.hidden * kColumns;  // multiply-adds per row
  if (blocks > 1) {
    const int64_t work = a.steps * kBlockRows * chunks * chunk_work;
    parallel_for(0, blocks, 1 + 131072 / (work + 1), [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) {
        const int64_t b0 = block * kBlockRows;
        const int64_t rows = a.batch - b0 < kBlockRows ? a.batch - b0 : kBlockRows;
        for (int64_t s = 0; s < a.steps; ++s) run_step<kKind>(a, s, b0, rows, 0, chunks);
      }
    });
    return;
  }
  const int64_t grain = 1 + kStepGrain / (a.batch * chunk_work + 1);
  for (int64_t s = 0; s < a.steps; ++s)
    parallel_for(0, chunks, grain, [&](int64_t begin, int64_t end) {
      run_step<kKind>(a, s, 0, a.batch, begin, end);
    });
}

template <class C>
void run(const Recurrent& p) {
  const int64_t gates = gate_count(p.kind), state = p.batch * p.hidden;
  if (state == 0) return;
  constexpr int64_t kColumns = kTileColumns<C>;
  const int64_t chunks = (p.hidden + kColumns - 1) / kColumns;
  Scratch<C> panels(p.steps ? chunks * gates * p.hidden * kColumns : 0), states(3 * state);
  if (p.steps) pack_weights(static_cast<const C*>(p.w_hh), gates, p.hidden, panels.get());
  C* h = states.get();
  const Layer<C> layer{p.reverse,
                       p.steps,
                       p.batch,
                       p.hidden,
                       p.out_stride,
                       static_cast<const C*>(p.x_gates),
                       static_cast<const C*>(p.b_hh),
                       static_cast<C*>(p.out),
                       static_cast<C*>(p.saved),
                       static_cast<C*>(p.cells),
                       panels.get(),
                       {h, h + state},
                       h + 2 * state};
  std::memcpy(h, p.h0, state * sizeof(C));
  if (p.kind == CellKind::Lstm) std::memcpy(layer.c, p.c0, state * sizeof(C));
  visit_cell(p.kind, [&](auto kind) { run_layer<kind.value>(layer); });
  std::memcpy(p.h_n, layer.h[p.steps % 2], state * sizeof(C));
  if (p.kind == CellKind::Lstm) std::memcpy(p.c_n, layer.c, state * sizeof(C));
}

// 16-bit layers run on float copies: their states are rounded where they are written, not in
// between.
template <class T>
void run_wide(const Recurrent& p) {
  const int64_t gates = gate_count(p.kind), h = p.hidden, rows = p.steps * p.batch;
  const WideInput<T> x_gates(p.x_gates, rows * gates * h), w_hh(p.w_hh, gates * h * h),
      b_hh(p.b_hh, gates * h), h0(p.h0, p.batch * h), c0(p.c0, p.batch * h);
  const WideOutput<T> out(p.out, rows, h, p.out_stride), saved(p.saved, rows * 4 * h),
      cells(p.cells, rows * h), h_n(p.h_n, p.batch * h), c_n(p.c_n, p.batch * h);
  Recurrent wide = p;
  wide.dtype = DType::Float32;
  wide.x_gates = x_gates.get();
  wide.w_hh = w_hh.get();
  wide.b_hh = b_hh.get();
  wide.h0 = h0.get();
  wide.c0 = c0.get();
  wide.out = out.get();
  wide.out_stride = h;
  wide.saved = saved.get();
  wide.cells = cells.get();
  wide.h_n = h_n.get();
  wide.c_n = c_n.get();
  run<float>(wide);
  out.store();
  saved.store();
  cells.store();
  h_n.store();
  c_n.store();
}

}  // namespace

namespace GS_ISA {

void recurrent(const Recurrent& p) {
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
