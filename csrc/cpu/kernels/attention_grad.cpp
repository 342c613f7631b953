// The gradient of attention, tile by tile (Dao 2023): probabilities are computed again from the
// kept log-sum-exp, so nothing of size T x U is stored. Every gradient has one writer, in a fixed
// order.
#include <cstdint>
#include <cstring>
#include <limits>

#include "core/parallel.h"
#include "cpu/attention_tile.h"
#include "cpu/isa.h"
#include "cpu/widen.h"
#include "kernels/params/attention.h"

namespace gs::cpu {
namespace {

// Rows that `product` can take on its right: `row` is a whole number of vectors.
template <class C>
struct Rows {
  const C* p;
  int64_t row;
};
template <class C>
GS_INLINE Rows<C> padded_rows(const C* from, int64_t rows, int64_t width, C* room) {
  const int64_t padded = round_up_to_lanes<C>(width);
  if (padded == width) return {from, width};
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < padded; ++j)
      room[i * padded + j] = j < width ? from[i * width + j] : C(0);
  return {room, padded};
}

// A query tile made ready for all key tiles.
template <class C>
struct QueryTile {
  int64_t query0, queries;
  Rows<C> q, dout;           // (queries, D), (queries, V)
  const C* q_transposed;     // (D, kTile), scaled
  const C* dout_transposed;  // (V, kTile)
  const C* lse;    // (kTile); +inf for a row that sees nothing, so that its probabilities are 0
  const C* delta;  // (kTile): sum over V of dout * out
};

template <class C>
GS_INLINE int64_t query_tile_room(const AttentionGrad& p) {
  return kTile * (p.d + p.v + 2 + round_up_to_lanes<C>(p.d) + round_up_to_lanes<C>(p.v));
}

template <class C>
GS_INLINE C dot(const C* a, const C* b, int64_t n) {
  Vec<C> sum{};
  int64_t i = 0;
  for (; i + kLanes<C> <= n; i += kLanes<C>) sum += load(a + i) * load(b + i);
  C total = horizontal_sum(sum);
  for (; i < n; ++i) total += a[i] * b[i];
  return total;
}

template <class C>
QueryTile<C> prepare_queries(const AttentionGrad& p, int64_t head, int64_t tile, C* room) {
  const int64_t query0 = tile * kTile, queries = tile_size(tile, p.t), row = head * p.t + query0;
  const C* q = static_cast<const C*>(p.q) + row * p.d;
  const C* dout = static_cast<const C*>(p.dout) + row * p.v;
  const C* out = static_cast<const C*>(p.out) + row * p.v;
  const C* lse_in = static_cast<const C*>(p.lse) + row;
  C* q_transposed = room;
  C* dout_transposed = q_transposed + kTile * p.d;
  C* lse = dout_transposed + kTile * p.v;
  C* delta = lse + kTile;
  C* q_room = delta + kTile;
  C* dout_room = q_room + kTile * round_up_to_lanes<C>(p.d);
  transpose_rows(q, queries, p.d, q_transposed);
  transpose_rows(dout, queries, p.v, dout_transposed);
  for (int64_t i = 0; i < p.d * kTile; i += kLanes<C>)
    store<C>(q_transposed + i, load(q_transposed + i) * static_cast<C>(p.scale));
  constexpr C kInfinity = std::numeric_limits<C>::infinity();
  for (int64_t i = 0; i < kTile; ++i) {
    lse[i] = i < queries && lse_in[i] != -kInfinity ? lse_in[i] : kInfinity;
    delta[i] = i < queries ? dot(dout + i * p.v, out + i * p.v, p.v) : C(0);
  }
  return {query0,
          queries,
          padded_rows(q, queries, p.d, q_room),
          padded_rows(dout, queries, p.v, dout_room),
          q_transposed,
          dout_transposed,
          lse,
          delta};
}

template <class C>
struct PairScratch {
  C* probabilities;  // (keys, queries)
  C* dscores;        // (keys, queries)
  C* k_room;         // (keys, D padded)
};
template <class C>
GS_INLINE int64_t pair_room(const AttentionGrad& p) {
  return kTile * (2 * kTile + round_up_to_lanes<C>(p.d));
}
template <class C>
GS_INLINE PairScratch<C> pair_scratch(C* room) {
  return {room, room + kTile * kTile, room + 2 * kTile * kTile};
}

// Adds what a query tile and a block of keys give to dq (queries x D), dk (keys x D) and dv (keys x
// V), whose rows are padded to whole vectors; dq alone, or dk and dv alone, when the others are
// null.
template <class C>
__attribute__((noinline)) void add_block(const AttentionGrad& p, int64_t head,
                                         const QueryTile<C>& tile, const KeyBlock& block, C* dq,
                                         C* dk, C* dv, const PairScratch<C>& scratch) {
  const int64_t d = p.d, v = p.v, keys = block.keys, lane0 = block.lane0;
  const int64_t queries = tile.queries - lane0, lanes = round_up_to_lanes<C>(tile.queries);
  const int64_t d_padded = round_up_to_lanes<C>(d), v_padded = round_up_to_lanes<C>(v);
  const C* k = static_cast<const C*>(p.k) + (head * p.u + block.key0) * d;
  const C* value = static_cast<const C*>(p.value) + (head * p.u + block.key0) * v;
  const C* mask = mask_of<C>(p, head);
  C* probabilities = scratch.probabilities;
  C* dscores = scratch.dscores;
  score_tile(k, block, tile.q_transposed, tile.query0, tile.queries, d,
             mask ? mask + tile.query0 * p.u : nullptr, p.u, dscores, probabilities);
  product(LeftMatrix<C, false>{value, v}, keys, lanes - lane0, v, tile.dout_transposed + lane0,
          kTile, dscores + lane0, kTile, false);
  const C scale = static_cast<C>(p.scale);
  for (int64_t i = lane0; i < lanes; i += kLanes<C>) {
    const Vec<C> lse = load(tile.lse + i), delta = load(tile.delta + i);
    for (int64_t j = 0; j < keys; ++j) {
      C* score = probabilities + j * kTile + i;
      C* dscore = dscores + j * kTile + i;
      const Vec<C> probability = VecMath<C>::exp(load(score) - lse);
      store(score, probability);
      store<C>(dscore, probability * (load(dscore) - delta) * scale);
    }
  }
  probabilities += lane0;
  dscores += lane0;
  if (dq) {
    const Rows<C> k_rows = padded_rows(k, keys, d, scratch.k_room);
    product(LeftMatrix<C, true>{dscores, kTile}, queries, d_padded, keys, k_rows.p, k_rows.row,
            dq + lane0 * d_padded, d_padded, true);
  }
  if (dk) {
    product(LeftMatrix<C, false>{probabilities, kTile}, keys, v_padded, queries,
            tile.dout.p + lane0 * tile.dout.row, tile.dout.row, dv, v_padded, true);
    product(LeftMatrix<C, false>{dscores, kTile}, keys, d_padded, queries,
            tile.q.p + lane0 * tile.q.row, tile.q.row, dk, d_padded, true);
  }
}

// All keys of [begin, end) against a query tile. dk and dv stand at key `begin`.
template <class C>
GS_INLINE void add_keys(const AttentionGrad& p, int64_t head, const QueryTile<C>& tile,
                        int64_t begin, int64_t end, C* dq, C* dk, C* dv,
                        const PairScratch<C>& scratch) {
  const int64_t d_padded = round_up_to_lanes<C>(p.d), v_padded = round_up_to_lanes<C>(p.v);
  const int64_t visible = visible_keys(p, tile.query0, tile.queries);
  if (end > visible) end = visible;
  for (int64_t key0 = begin; key0 < end;) {
    const KeyBlock block = key_block(p, tile.query0, key0, end);
    add_block(p, head, tile, block, dq, dk ? dk + (key0 - begin) * d_padded : nullptr,
              dv ? dv + (key0 - begin) * v_padded : nullptr, scratch);
    key0 += block.keys;
  }
}

template <class C>
GS_INLINE void zero(C* p, int64_t n) {
  std::memset(p, 0, n * sizeof(C));
}

// Rows [row, row + rows) of a dense (.., width) tensor from padded rows.
template <class C>
GS_INLINE void write_rows(const C* from, int64_t rows, int64_t width, void* to, int64_t row) {
  const int64_t padded = round_up_to_lanes<C>(width);
  for (int64_t i = 0; i < rows; ++i)
    std::memcpy(static_cast<C*>(to) + (row + i) * width, from + i * padded, width * sizeof(C));
}

// One head on one thread: five products for each pair of tiles.
template <class C>
void run_head(const AttentionGrad& p, int64_t head, C* room) {
  const int64_t d_padded = round_up_to_lanes<C>(p.d), v_padded = round_up_to_lanes<C>(p.v);
  C* dk = room;
  C* dv = dk + p.u * d_padded;
  C* dq = dv + p.u * v_padded;
  C* queries_room = dq + kTile * d_padded;
  const PairScratch<C> scratch = pair_scratch(queries_room + query_tile_room<C>(p));
  zero(dk, p.u * (d_padded + v_padded));
  for (int64_t i = 0; i < tiles_of(p.t); ++i) {
    const QueryTile<C> tile = prepare_queries(p, head, i, queries_room);
    zero(dq, kTile * d_padded);
    add_keys(p, head, tile, 0, p.u, dq, dk, dv, scratch);
    write_rows(dq, tile.queries, p.d, p.dq, head * p.t + tile.query0);
  }
  write_rows(dk, p.u, p.d, p.dk, head * p.u);
  write_rows(dv, p.u, p.v, p.dvalue, head * p.u);
}

template <class C>
void run_by_heads(const AttentionGrad& p) {
  const int64_t d_padded = round_up_to_lanes<C>(p.d), v_padded = round_up_to_lanes<C>(p.v);
  const int64_t work = (p.t + 1) * (p.u + 1) * (p.d + p.v + 1);
  parallel_for(0, p.batch * p.heads, 1 + 65536 / work, [&](int64_t begin, int64_t end) {
    Scratch<C> room(p.u * (d_padded + v_padded) + kTile * d_padded + query_tile_room<C>(p) +
                    pair_room<C>(p));
    for (int64_t head = begin; head < end; ++head) run_head(p, head, room.get());
  });
}

// Few heads: query tiles are made ready, then dq is run over query tiles and dk, dv over key tiles.
// Two of the products are done twice; in exchange there is work for many threads.
template <class C>
void run_by_tiles(const AttentionGrad& p) {
  const int64_t heads = p.batch * p.heads, query_tiles = tiles_of(p.t), key_tiles = tiles_of(p.u);
  const int64_t d_padded = round_up_to_lanes<C>(p.d), v_padded = round_up_to_lanes<C>(p.v);
  const int64_t room = query_tile_room<C>(p);
  Scratch<C> rooms(heads * query_tiles * room);
  Scratch<QueryTile<C>> tiles(heads * query_tiles);
  parallel_for(0, heads * query_tiles, 1 + 32768 / room, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n)
      tiles.get()[n] = prepare_queries(p, n / query_tiles, n % query_tiles, rooms.get() + n * room);
  });
  const int64_t query_work = kTile * (p.u + 1) * (p.d + p.v + 1);
  parallel_for(0, heads * query_tiles, 1 + 65536 / query_work, [&](int64_t begin, int64_t end) {
    Scratch<C> mine(kTile * d_padded + pair_room<C>(p));
    C* dq = mine.get();
    const PairScratch<C> scratch = pair_scratch(dq + kTile * d_padded);
    for (int64_t n = begin; n < end; ++n) {
      const int64_t head = n / query_tiles;
      const QueryTile<C>& tile = tiles.get()[n];
      zero(dq, kTile * d_padded);
      add_keys<C>(p, head, tile, 0, p.u, dq, nullptr, nullptr, scratch);
      write_rows(dq, tile.queries, p.d, p.dq, head * p.t + tile.query0);
    }
  });
  const int64_t key_work = kTile * (p.t + 1) * (p.d + p.v + 1);
  parallel_for(0, heads * key_tiles, 1 + 65536 / key_work, [&](int64_t begin, int64_t end) {
    Scratch<C> mine(kTile * (d_padded + v_padded) + pair_room<C>(p));
    C* dk = mine.get();
    C* dv = dk + kTile * d_padded;
    const PairScratch<C> scratch = pair_scratch(dv + kTile * v_padded);
    for (int64_t n = begin; n < end; ++n) {
      const int64_t head = n / key_tiles, key0 = n % key_tiles * kTile;
      const int64_t keys = tile_size(n % key_tiles, p.u);
      zero(dk, kTile * (d_padded + v_padded));
      for (int64_t i = p.causal ? key0 / kTile : 0; i < query_tiles; ++i)
        add_keys<C>(p, head, tiles.get()[head * query_tiles + i], key0, key0 + keys, nullptr, dk,
                    dv, scratch);
      write_rows(dk, keys, p.d, p.dk, head * p.u + key0);
      write_rows(dv, keys, p.v, p.dvalue, head * p.u + key0);
    }
  });
}

template <class C>
void run(const AttentionGrad& p) {
  constexpr int64_t kManyHeads = 8;
  p.batch* p.heads >= kManyHeads ? run_by_heads<C>(p) : run_by_tiles<C>(p);
}

template <class T>
void run_wide(const AttentionGrad& p) {
  const int64_t heads = p.batch * p.heads;
  if (heads == 0) return;
  const int64_t masks =
      (p.batch - 1) * p.mask_batch_stride + (p.heads - 1) * p.mask_head_stride + p.t * p.u;
  const WideInput<T> q(p.q, heads * p.t, p.d, p.d), k(p.k, heads * p.u, p.d, p.d),
      value(p.value, heads * p.u, p.v, p.v), mask(p.mask, masks), out(p.out, heads * p.t, p.v, p.v),
      dout(p.dout, heads * p.t, p.v, p.v);
  const WideOutput<T> dq(p.dq, heads * p.t, p.d, p.d), dk(p.dk, heads * p.u, p.d, p.d),
      dvalue(p.dvalue, heads * p.u, p.v, p.v);
  AttentionGrad wide = p;
  wide.dtype = DType::Float32;
  wide.q = q.get();
  wide.k = k.get();
  wide.value = value.get();
  wide.mask = mask.get();
  wide.out = out.get();
  wide.dout = dout.get();
  wide.dq = dq.get();
  wide.dk = dk.get();
  wide.dvalue = dvalue.get();
  run<float>(wide);
  dq.store();
  dk.store();
  dvalue.store();
}

}  // namespace

namespace GS_ISA {

void attention_grad(const AttentionGrad& p) {
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
