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
  const C* panels;  // W_hh^T: [chunk of kTileCols hidden units][gate][H][kTileCols]
  C* h[2];          // (B, H): the states before and after a step, by turns
  C* c;             // (B, H)
};

template <class C>
void pack_weights(const C* w, int64_t gates, int64_t hidden, C* panels) {
  constexpr int64_t kColumns = kTileCols<C>;
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

// The tile of a step: for batch rows [b0, b0 + rows) and kTileCols hidden units from `first` on,
// each gate's part of h W_hh^T. kWhole: the units exist to the last.
template <class C>
struct Tile {
  int64_t t, b0, rows, first;
  C* gates[4];  // rows x kTileCols each
};

// f(at, n) for every vector of the tile: where it stands, its place in (B, H), and its units.
template <bool kWhole, class C, class F>
GS_INLINE void each_vector(const Layer<C>& a, const Tile<C>& tile, F f) {
  constexpr int64_t kColumns = kTileCols<C>;
  for (int64_t r = 0; r < tile.rows; ++r) {
    for (int64_t j = 0; j < kColumns; j += kLanes<C>) {
      const int64_t n = kWhole ? kLanes<C> : a.hidden - tile.first - j;
      if (!kWhole && n <= 0) break;
      f(r * kColumns + j, tile.b0 + r, tile.first + j, n);
    }
  }
}

// Gate g before its activation: the product, its bias, and the input's part.
template <int kGates, class C>
GS_INLINE Vec<C> gate_sum(const Layer<C>& a, const Tile<C>& tile, int g, int64_t at, int64_t b,
                          int64_t j, int64_t n) {
  const C* x = a.x_gates + ((tile.t * a.batch + b) * kGates + g) * a.hidden + j;
  Vec<C> part = load(tile.gates[g] + at);
  if (a.bias) part = part + load_first(a.bias + g * a.hidden + j, n);
  return load_first(x, n) + part;
}

template <class C>
GS_INLINE void save(const Layer<C>& a, const Tile<C>& tile, int slot, int64_t b, int64_t j,
                    int64_t n, Vec<C> v) {
  if (a.saved) store_first(a.saved + ((tile.t * a.batch + b) * 4 + slot) * a.hidden + j, v, n);
}

// One gate of the tile through its activation, in place. A gate at a time: the loop's constants fit
// the registers and its iterations overlap, where a whole cell is one long chain.
template <int kGates, bool kWhole, class C, class F>
__attribute__((noinline)) void activate(const Layer<C>& a, const Tile<C>& tile, int g, F function) {
  each_vector<kWhole>(
      a, tile, [&](int64_t at, int64_t b, int64_t j, int64_t n) __attribute__((always_inline)) {
        const Vec<C> v = function(gate_sum<kGates>(a, tile, g, at, b, j, n));
        store(tile.gates[g] + at, v);
        save(a, tile, g, b, j, n, v);
      });
}

template <CellKind kKind, bool kWhole, class C>
void run_cells(const Layer<C>& a, const Tile<C>& tile, const C* h_before, C* h_after) {
  constexpr int kGates = gate_count(kKind);
  const auto sigmoid = [](Vec<C> v)
                           __attribute__((always_inline)) { return VecMath<C>::sigmoid(v); };
  const auto tanh = [](Vec<C> v) __attribute__((always_inline)) { return VecMath<C>::tanh(v); };
  if constexpr (kGates > 1) {
    activate<kGates, kWhole>(a, tile, 0, sigmoid);
    activate<kGates, kWhole>(a, tile, 1, sigmoid);
  }
  if constexpr (kKind == CellKind::Lstm) {
    activate<kGates, kWhole>(a, tile, 2, tanh);
    activate<kGates, kWhole>(a, tile, 3, sigmoid);
  }
  each_vector<kWhole>(
      a, tile, [&](int64_t at, int64_t b, int64_t j, int64_t n) __attribute__((always_inline)) {
        const int64_t row = tile.t * a.batch + b, state = b * a.hidden + j;
        const auto gate = [&](int g)
                              __attribute__((always_inline)) { return load(tile.gates[g] + at); };
        Vec<C> h;
        if constexpr (kKind == CellKind::Lstm) {
          const Vec<C> c = gate(1) * load_first(a.c + state, n) + gate(0) * gate(2);
          h = gate(3) * VecMath<C>::tanh(c);
          store_first(a.c + state, c, n);
          if (a.cells) store_first(a.cells + row * a.hidden + j, c, n);
        } else if constexpr (kKind == CellKind::Gru) {
          Vec<C> hn = gate(2);
          if (a.bias) hn = hn + load_first(a.bias + 2 * a.hidden + j, n);
          const Vec<C> x = load_first(a.x_gates + (row * kGates + 2) * a.hidden + j, n);
          const Vec<C> new_h = VecMath<C>::tanh(x + gate(0) * hn);
          h = new_h + gate(1) * (load_first(h_before + state, n) - new_h);
          save(a, tile, 2, b, j, n, new_h);
          save(a, tile, 3, b, j, n, hn);
        } else {
          const Vec<C> sum = gate_sum<kGates>(a, tile, 0, at, b, j, n);
          h = kKind == CellKind::RnnTanh ? VecMath<C>::tanh(sum)
                                         : (sum < Vec<C>{} ? Vec<C>{} : sum);
        }
        store_first(h_after + state, h, n);
        store_first(a.out + row * a.out_stride + j, h, n);
      });
}

// What step s reads and writes from far away, for the given batch rows and chunks of hidden units.
template <int kGates, class C>
void fetch_step(const Layer<C>& a, int64_t s, int64_t b0, int64_t rows, int64_t chunk0,
                int64_t chunk1, int64_t piece, int64_t pieces) {
  if (s >= a.steps || a.steps * a.batch * a.hidden * kGates < kFarValues) return;
  const int64_t row = time_of(s, a.steps, a.reverse) * a.batch + b0;
  const int64_t first = chunk0 * kTileCols<C>;
  const int64_t width = min_of(a.hidden, chunk1 * kTileCols<C>) - first;
  fetch_rows(a.x_gates + row * kGates * a.hidden + first, a.hidden, rows * kGates, width, piece,
             pieces);
  fetch_rows(a.out + row * a.out_stride + first, a.out_stride, rows, width, piece, pieces);
  if (a.cells) fetch_rows(a.cells + row * a.hidden + first, a.hidden, rows, width, piece, pieces);
}

// Step s for batch rows [b0, b0 + rows) and chunks [chunk0, chunk1) of hidden units; rows <=
// kBlockRows.
template <CellKind kKind, class C>
void run_step(const Layer<C>& a, int64_t s, int64_t b0, int64_t rows, int64_t chunk0,
              int64_t chunk1) {
  constexpr int kGates = gate_count(kKind);
  constexpr int64_t kColumns = kTileCols<C>;
  const int64_t t = time_of(s, a.steps, a.reverse), hidden = a.hidden;
  const C* h_before = a.h[s % 2];
  C* h_after = a.h[1 - s % 2];
  alignas(64) C products[kGates][kBlockRows * kColumns];
  for (int64_t chunk = chunk0; chunk < chunk1; ++chunk) {
    Tile<C> tile{t, b0, rows, chunk * kColumns, {}};
    for (int g = 0; g < kGates; ++g) {
      tile.gates[g] = products[g];
      fetch_step<kGates>(a, s + 1, b0, rows, chunk0, chunk1, (chunk - chunk0) * kGates + g,
                         (chunk1 - chunk0) * kGates);
      product(LeftMatrix<C, false>{h_before + b0 * hidden, hidden}, rows, kColumns, hidden,
              a.panels + (chunk * kGates + g) * hidden * kColumns, kColumns, products[g], kColumns,
              false);
    }
    if (tile.first + kColumns <= hidden) {
      run_cells<kKind, true>(a, tile, h_before, h_after);
    } else {
      run_cells<kKind, false>(a, tile, h_before, h_after);
    }
  }
}

template <CellKind kKind, class C>
void run_layer(const Layer<C>& a) {
  constexpr int64_t kColumns = kTileCols<C>;
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
  constexpr int64_t kColumns = kTileCols<C>;
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
