// Scaled dot-product attention in tiles with an online softmax (Milakov and Gimelshein 2018; Dao et
// al. 2022): a query tile passes over the keys once and keeps a running maximum, sum and weighted
// values.
#include <cmath>
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

// The running softmax of a query tile, lanes are queries.
template <class C>
struct RunningSoftmax {
  C* highest;  // (kTile)
  C* sum;      // (kTile)
  C* values;   // (V, kTile): sum of exp(score - highest) value
};

// Turns scores (keys x lanes) into exp(score - highest) and brings sum and values to the new
// maximum.
template <class C>
GS_INLINE void absorb_scores(C* scores, const KeyBlock& block, int64_t queries, int64_t v,
                             const RunningSoftmax<C>& run) {
  constexpr C kLowest = -std::numeric_limits<C>::infinity();
  for (int64_t i = block.lane0; i < queries; i += kLanes<C>) {
    const Vec<C> before = load(run.highest + i);
    Vec<C> highest = before;
    for (int64_t j = 0; j < block.keys; ++j) {
      const Vec<C> s = load(scores + j * kTile + i);
      highest = s > highest ? s : highest;
    }
    const Vec<C> base = highest == kLowest ? Vec<C>{} : highest;  // -inf - -inf would be NaN
    const Vec<C> shrink = VecMath<C>::exp(before - base);
    Vec<C> sum = load(run.sum + i) * shrink;
    for (int64_t j = 0; j < block.keys; ++j) {
      const Vec<C> e = VecMath<C>::exp(load(scores + j * kTile + i) - base);
      sum += e;
      store(scores + j * kTile + i, e);
    }
    store(run.highest + i, highest);
    store(run.sum + i, sum);
    if (block.key0 == 0) continue;
    for (int64_t c = 0; c < v; ++c) {
      C* value = run.values + c * kTile + i;
      store<C>(value, load(value) * shrink);
    }
  }
}

// out (queries x V) and lse from the finished sums.
template <class C>
GS_INLINE void finish_tile(const RunningSoftmax<C>& run, int64_t queries, int64_t v, C* out,
                           C* lse) {
  for (int64_t i = 0; i < queries; i += kLanes<C>) {
    const Vec<C> sum = load(run.sum + i), factor = sum == 0 ? Vec<C>{} : 1 / sum;
    for (int64_t c = 0; c < v; ++c) {
      C* value = run.values + c * kTile + i;
      store<C>(value, load(value) * factor);
    }
  }
  transpose(run.values, kTile, v, queries, out, v);
  for (int64_t i = 0; lse && i < queries; ++i)
    lse[i] = run.sum[i] == C(0) ? -std::numeric_limits<C>::infinity()
                                : run.highest[i] + std::log(run.sum[i]);
}

template <class C>
GS_INLINE void attend_tile(const Attention& p, int64_t head, int64_t tile, C* scratch) {
  const int64_t query0 = tile * kTile, queries = tile_size(tile, p.t), d = p.d, v = p.v;
  const C* k = static_cast<const C*>(p.k) + head * p.u * d;
  const C* value = static_cast<const C*>(p.value) + head * p.u * v;
  const C* mask = mask_of<C>(p, head);
  C* scores = scratch;
  C* mask_room = scores + kTile * kTile;
  C* q_transposed = mask_room + kTile * kTile;
  const RunningSoftmax<C> run{q_transposed + d * kTile, q_transposed + (d + 1) * kTile,
                              q_transposed + (d + 2) * kTile};
  transpose_rows(static_cast<const C*>(p.q) + (head * p.t + query0) * d, queries, d, q_transposed);
  for (int64_t i = 0; i < d * kTile; i += kLanes<C>)
    store<C>(q_transposed + i, load(q_transposed + i) * static_cast<C>(p.scale));
  for (int64_t i = 0; i < kTile; ++i) {
    run.highest[i] = -std::numeric_limits<C>::infinity();
    run.sum[i] = C(0);
  }
  std::memset(run.values, 0, v * kTile * sizeof(C));
  const int64_t end = visible_keys(p, query0, queries);
  for (int64_t key0 = 0; key0 < end;) {
    const KeyBlock block = key_block(p, query0, key0, end);
    score_tile(k + key0 * d, block, q_transposed, query0, queries, d,
               mask ? mask + query0 * p.u : nullptr, p.u, mask_room, scores);
    absorb_scores(scores, block, queries, v, run);
    product(LeftMatrix<C, true>{value + key0 * v, v}, v,
            round_up_to_lanes<C>(queries) - block.lane0, block.keys, scores + block.lane0, kTile,
            run.values + block.lane0, kTile, true);
    key0 += block.keys;
  }
  finish_tile(run, queries, v, static_cast<C*>(p.out) + (head * p.t + query0) * v,
              p.lse ? static_cast<C*>(p.lse) + head * p.t + query0 : nullptr);
}

template <class C>
void run(const Attention& p) {
  const int64_t tiles = tiles_of(p.t), work = kTile * (p.u + 1) * (p.d + p.v + 1);
  parallel_for(0, p.batch * p.heads * tiles, 1 + 131072 / work, [&](int64_t begin, int64_t end) {
    Scratch<C> scratch(kTile * (2 * kTile + p.d + 2 + p.v));
    for (int64_t unit = begin; unit < end; ++unit)
      attend_tile(p, unit / tiles, unit % tiles, scratch.get());
  });
}

template <class T>
void run_wide(const Attention& p) {
  const int64_t heads = p.batch * p.heads;
  if (heads == 0) return;
  const int64_t masks =
      (p.batch - 1) * p.mask_batch_stride + (p.heads - 1) * p.mask_head_stride + p.t * p.u;
  const WideInput<T> q(p.q, heads * p.t, p.d, p.d), k(p.k, heads * p.u, p.d, p.d),
      value(p.value, heads * p.u, p.v, p.v), mask(p.mask, masks);
  const WideOutput<T> out(p.out, heads * p.t, p.v, p.v);
  Attention wide = p;
  wide.dtype = DType::Float32;
  wide.q = q.get();
  wide.k = k.get();
  wide.value = value.get();
  wide.mask = mask.get();
  wide.out = out.get();
  run<float>(wide);
  out.store();
}

}  // namespace

namespace GS_ISA {

void attention(const Attention& p) {
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
