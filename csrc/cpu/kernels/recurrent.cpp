// LSTM, GRU and plain RNN through time. A step is one product [x, h] [W_ih, W_hh]^T with the cell
// run on each tile of it while the tile is still in the first cache. With few sequences the input's
// part of all steps is one product beforehand: it reads W_ih once and not at every step.
#include <cstdint>
#include <cstring>

#include "core/parallel.h"
#include "cpu/cell.h"
#include "cpu/isa.h"
#include "cpu/scratch.h"
#include "cpu/shuffle.h"
#include "cpu/vmath.h"
#include "cpu/widen.h"
#include "kernels/params/gemm.h"
#include "kernels/params/recurrent.h"

namespace gs::cpu {
namespace {

// From so many sequences on a step multiplies its own input.
constexpr int64_t kOwnInputRows = 8;

template <class C>
struct Layer {
  bool reverse;
  int64_t steps, batch, hidden, out_stride;
  int64_t inputs;    // the width of x; 0 when x_gates is given
  const C* x;        // (T, B, inputs)
  const C* x_gates;  // (T, B, G*H), x W_ih^T, or null
  // (slots, whole tiles): the sum of both biases for each gate. The GRU's n keeps them apart, the
  // input's behind the others.
  const C* bias;
  int64_t bias_row;
  C *out, *saved, *cells;
  const C* panels;  // [chunk of kTileCols hidden units][gate][inputs + H][kTileCols]
  C* h[2];          // (B, H): the states before and after a step, by turns
  C* c;             // (B, H)
  int64_t depth() const { return inputs + hidden; }
};

// What a gate's tile holds: one for each gate, and for the GRU one for the input's part of n.
template <CellKind kKind>
inline constexpr int kSlots = gate_count(kKind) + (kKind == CellKind::Gru);

// Columns of W_ih or W_hh (G*H x depth) as rows [at, at + depth) of each panel.
template <class C>
void pack_weights(const C* w, int64_t gates, int64_t hidden, int64_t depth, C* panels, int64_t at,
                  int64_t panel_rows) {
  constexpr int64_t kColumns = kTileCols<C>;
  const int64_t chunks = ceil_div(hidden, kColumns);
  parallel_for(0, chunks * gates, 1 + 32768 / (depth * kColumns), [=](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; ++panel) {
      const int64_t first = panel / gates * kColumns, gate = panel % gates;
      const int64_t width = min_of(kColumns, hidden - first);
      C* to = panels + (panel * panel_rows + at) * kColumns;
      transpose(w + (gate * hidden + first) * depth, depth, width, depth, to, kColumns);
      for (int64_t k = 0; width < kColumns && k < depth; ++k)
        for (int64_t j = width; j < kColumns; ++j) to[k * kColumns + j] = C(0);
    }
  });
}

template <class C>
void pack_biases(const Recurrent& p, int64_t row, C* bias) {
  const bool gru = p.kind == CellKind::Gru;
  const int64_t gates = gate_count(p.kind);
  std::memset(bias, 0, (gates + gru) * row * sizeof(C));
  const C *b_ih = static_cast<const C*>(p.b_ih), *b_hh = static_cast<const C*>(p.b_hh);
  for (int64_t g = 0; g < gates; ++g) {
    C* input = bias + (gru && g == 2 ? 3 : g) * row;
    for (int64_t j = 0; b_ih && j < p.hidden; ++j) input[j] = b_ih[g * p.hidden + j];
    for (int64_t j = 0; b_hh && j < p.hidden; ++j) bias[g * row + j] += b_hh[g * p.hidden + j];
  }
}

// The tile of a step: for batch rows [b0, b0 + rows) and kTileCols hidden units from `first` on,
// each gate's part of h W_hh^T, and of x W_ih^T when the step multiplies its own input. kWhole: the
// units exist to the last.
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
  const Vec<C> part = load(tile.gates[g] + at) + load(a.bias + g * a.bias_row + j);
  if (!a.x_gates) return part;
  return load_first(a.x_gates + ((tile.t * a.batch + b) * kGates + g) * a.hidden + j, n) + part;
}

template <class C>
GS_INLINE void save(const Layer<C>& a, const Tile<C>& tile, int slot, int64_t b, int64_t j,
                    int64_t n, Vec<C> v) {
  if (a.saved) store_first(a.saved + ((tile.t * a.batch + b) * 4 + slot) * a.hidden + j, v, n);
}

// One gate of the tile through its activation, in place. A gate at a time: the loop's constants fit
// the registers and its iterations overlap, where a whole cell is one long chain.
template <int kGates, bool kWhole, class C, class F>
__attribute__((noinline)) void activate(const Layer<C>& layer, const Tile<C>& of, int g,
                                        F function) {
  const Layer<C> a = layer;  // copies: no store of the loop can change them
  const Tile<C> tile = of;
  each_vector<kWhole>(
      a, tile, [&](int64_t at, int64_t b, int64_t j, int64_t n) __attribute__((always_inline)) {
        const Vec<C> v = function(gate_sum<kGates>(a, tile, g, at, b, j, n));
        store(tile.gates[g] + at, v);
        save(a, tile, g, b, j, n, v);
      });
}

template <CellKind kKind, bool kWhole, class C>
__attribute__((noinline)) void run_cells(const Layer<C>& layer, const Tile<C>& of,
                                         const C* h_before, C* h_after) {
  const Layer<C> a = layer;
  const Tile<C> tile = of;
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
          const auto bias = [&](int slot) __attribute__((always_inline)) {
            return load(a.bias + slot * a.bias_row + j);
          };
          const Vec<C> hn = gate(2) + bias(2);
          const Vec<C> x =
              a.x_gates ? load_first(a.x_gates + (row * kGates + 2) * a.hidden + j, n) : gate(3);
          const Vec<C> new_h = VecMath<C>::tanh(x + bias(3) + gate(0) * hn);
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
// Of x and h alone the hardware brings enough.
template <int kGates, class C>
void fetch_step(const Layer<C>& a, int64_t s, int64_t b0, int64_t rows, int64_t chunk0,
                int64_t chunk1, int64_t piece, int64_t pieces) {
  if (!a.x_gates && !a.saved) return;
  if (s >= a.steps || a.steps * a.batch * a.hidden * kGates < kFarValues) return;
  const int64_t row = time_of(s, a.steps, a.reverse) * a.batch + b0;
  const int64_t first = chunk0 * kTileCols<C>;
  const int64_t width = min_of(a.hidden, chunk1 * kTileCols<C>) - first;
  const auto fetch = [&](const C* p, int64_t stride, int64_t count, int64_t columns) {
    fetch_rows(p, stride, count, columns, piece, pieces);
  };
  if (a.x_gates) {
    fetch(a.x_gates + row * kGates * a.hidden + first, a.hidden, rows * kGates, width);
  } else {
    fetch(a.x + row * a.inputs, a.inputs, rows, a.inputs);
    if (a.saved) fetch(a.saved + row * 4 * a.hidden + first, a.hidden, rows * 4, width);
  }
  fetch(a.out + row * a.out_stride + first, a.out_stride, rows, width);
  if (a.cells) fetch(a.cells + row * a.hidden + first, a.hidden, rows, width);
}

// c (rows x kTileCols) = or += left (rows x depth) panel. Rows that take several register tiles
// share a piece of the panel while it is in the first cache.
template <class C>
GS_INLINE void panel_product(LeftMatrix<C, false> left, int64_t rows, int64_t depth, const C* panel,
                             C* c, bool accumulate) {
  constexpr int64_t kColumns = kTileCols<C>, kPiece = 32768 / (kColumns * sizeof(C));
  const int64_t piece = rows <= kTileRows ? depth : even_part(depth, kPiece);
  for (int64_t k = 0; k < depth; k += piece) {
    product(LeftMatrix<C, false>{left.p + k, left.row}, rows, kColumns, min_of(piece, depth - k),
            panel + k * kColumns, kColumns, c, kColumns, accumulate || k > 0);
  }
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
  alignas(64) C products[kSlots<kKind>][kBlockRows * kColumns];
  for (int64_t chunk = chunk0; chunk < chunk1; ++chunk) {
    Tile<C> tile{t, b0, rows, chunk * kColumns, {}};
    for (int slot = 0; slot < kSlots<kKind>; ++slot) tile.gates[slot] = products[slot];
    for (int g = 0; g < kGates; ++g) {
      fetch_step<kGates>(a, s + 1, b0, rows, chunk0, chunk1, (chunk - chunk0) * kGates + g,
                         (chunk1 - chunk0) * kGates);
      const C* panel = a.panels + (chunk * kGates + g) * a.depth() * kColumns;
      const bool apart = kKind == CellKind::Gru && g == 2;
      panel_product(LeftMatrix<C, false>{a.x + (t * a.batch + b0) * a.inputs, a.inputs}, rows,
                    a.inputs, panel, products[apart ? kSlots<kKind> - 1 : g], false);
      panel_product(LeftMatrix<C, false>{h_before + b0 * hidden, hidden}, rows, hidden,
                    panel + a.inputs * kColumns, products[g], a.inputs > 0 && !apart);
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
  const int64_t chunks = ceil_div(a.hidden, kColumns);
  const int64_t chunk_work = gate_count(kKind) * a.depth() * kColumns;  // multiply-adds per row
  const int64_t block_rows = even_part(a.batch, kBlockRows);
  const int64_t blocks = ceil_div(a.batch, block_rows);
  if (blocks > 1) {
    const int64_t work = a.steps * block_rows * chunks * chunk_work;
    parallel_for(0, blocks, 1 + 131072 / (work + 1), [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) {
        const int64_t b0 = block * block_rows;
        const int64_t rows = min_of(block_rows, a.batch - b0);
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

// x W_ih^T for all steps.
template <class C>
void multiply_inputs(const Recurrent& p, C* x_gates) {
  Gemm gemm{};
  gemm.dtype = dtype_of<C>::value;
  gemm.m = p.steps * p.batch, gemm.n = gate_count(p.kind) * p.hidden, gemm.k = p.inputs;
  gemm.a = p.x, gemm.a_row = p.inputs, gemm.a_col = 1;
  gemm.b = p.w_ih, gemm.b_row = 1, gemm.b_col = p.inputs;
  gemm.c = x_gates, gemm.c_row = gemm.n;
  GS_ISA::gemm(gemm);
}

template <class C>
void run(const Recurrent& p) {
  const int64_t gates = gate_count(p.kind), state = p.batch * p.hidden;
  if (state == 0) return;
  const bool own_input = p.batch >= kOwnInputRows && p.inputs > 0;
  // The LSTM's four activations may take the place of the four sums they are computed from.
  const bool in_place = p.kind == CellKind::Lstm && p.saved;
  const int64_t padded = round_up(p.hidden, kTileCols<C>);
  const int64_t depth = p.hidden + (own_input ? p.inputs : 0);
  Scratch<C> panels(p.steps ? gates * padded * depth : 0), states(3 * state), bias(4 * padded),
      sums(own_input || in_place ? 0 : p.steps * p.batch * gates * p.hidden);
  C* x_gates = own_input ? nullptr : in_place ? static_cast<C*>(p.saved) : sums.get();
  if (p.steps) {
    if (own_input)
      pack_weights(static_cast<const C*>(p.w_ih), gates, p.hidden, p.inputs, panels.get(), 0,
                   depth);
    else
      multiply_inputs(p, x_gates);
    pack_weights(static_cast<const C*>(p.w_hh), gates, p.hidden, p.hidden, panels.get(),
                 depth - p.hidden, depth);
    pack_biases(p, padded, bias.get());
  }
  C* h = states.get();
  const Layer<C> layer{p.reverse,
                       p.steps,
                       p.batch,
                       p.hidden,
                       p.out_stride,
                       own_input ? p.inputs : 0,
                       static_cast<const C*>(p.x),
                       x_gates,
                       bias.get(),
                       padded,
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
  const WideInput<T> x(p.x, rows * p.inputs), w_ih(p.w_ih, gates * h * p.inputs),
      b_ih(p.b_ih, gates * h), w_hh(p.w_hh, gates * h * h), b_hh(p.b_hh, gates * h),
      h0(p.h0, p.batch * h), c0(p.c0, p.batch * h);
  const WideOutput<T> out(p.out, rows, h, p.out_stride), saved(p.saved, rows * 4 * h),
      cells(p.cells, rows * h), h_n(p.h_n, p.batch * h), c_n(p.c_n, p.batch * h);
  Recurrent wide = p;
  wide.dtype = DType::Float32;
  wide.x = x.get();
  wide.w_ih = w_ih.get();
  wide.b_ih = b_ih.get();
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
