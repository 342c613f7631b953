// What a reduction does to values: one joined to another, contiguous spans and groups of rows in
// vectors whose lanes are joined in a fixed order, columns joined element by element.
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include "cpu/doubles.h"
#include "cpu/prefetch.h"
#include "cpu/rows.h"
#include "cpu/shuffle.h"
#include "cpu/vec.h"
#include "cpu/vmath.h"
#include "kernels/params/reduce.h"

namespace gs::cpu {
namespace {

constexpr bool is_order(ReduceOp op) { return op == ReduceOp::Max || op == ReduceOp::Min; }
constexpr bool is_logic(ReduceOp op) {
  return op == ReduceOp::All || op == ReduceOp::Any || op == ReduceOp::CountNonzero;
}

// C is the type values are read as: int64, float or double. Sums of floats are kept in double: as
// exact as a pairwise sum in float and simpler, and still faster than memory.
template <ReduceOp op, class C>
struct Reducer {
  using State = std::conditional_t<std::is_integral_v<C> || is_logic(op), int64_t,
                                   std::conditional_t<is_order(op), C, double>>;
  static constexpr State identity() {
    using Limits = std::numeric_limits<State>;
    if (op == ReduceOp::Max) return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
    if (op == ReduceOp::Min) return Limits::has_infinity ? Limits::infinity() : Limits::max();
    return op == ReduceOp::Prod || op == ReduceOp::All;
  }
  static GS_INLINE State lift(C x) {
    if constexpr (is_logic(op))
      return x != C(0);
    else if constexpr (op == ReduceOp::SumSquares)
      return product(static_cast<State>(x), static_cast<State>(x));
    else if constexpr (op == ReduceOp::SumAbs)
      return x < C(0) ? sum(State(0), static_cast<State>(-x)) : State(x);
    else
      return static_cast<State>(x);
  }
  static GS_INLINE State join(State a, State b) {
    if constexpr (op == ReduceOp::Max)
      return (b > a) | (b != b) ? b : a;
    else if constexpr (op == ReduceOp::Min)
      return (b < a) | (b != b) ? b : a;
    else if constexpr (op == ReduceOp::Prod)
      return product(a, b);
    else if constexpr (op == ReduceOp::All)
      return a & b;
    else if constexpr (op == ReduceOp::Any)
      return a | b;
    else
      return sum(a, b);
  }

 private:  // integers wrap
  static GS_INLINE State sum(State a, State b) {
    if constexpr (std::is_integral_v<State>)
      return static_cast<State>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
    else
      return a + b;
  }
  static GS_INLINE State product(State a, State b) {
    if constexpr (std::is_integral_v<State>)
      return static_cast<State>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
    else
      return a * b;
  }
};

// The first `count` values, and `fill` behind them. `over`: a whole vector may be read.
template <class W, class C>
GS_INLINE Vec<W> load_first(const C* p, int count, bool over, C fill) {
#if GS_ISA_LEVEL == 2
  (void)over;
  if constexpr (std::is_same_v<W, C>) {
    return load_part(p, count, fill);
  } else {
    const Vec<float> v = load_part(p, count, fill);
    return to_doubles(__builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7));
  }
#else
  using Int = std::conditional_t<sizeof(W) == 4, int32_t, int64_t>;
  Vec<W> v = splat(static_cast<W>(fill));
  if (over) {
    Vec<Int> place;
    for (int i = 0; i < kLanes<W>; ++i) place[i] = i;
    if constexpr (std::is_same_v<W, C>)
      v = place < splat(static_cast<Int>(count)) ? load(p) : v;
    else
      v = place < splat(static_cast<Int>(count)) ? load_doubles(p) : v;
  } else {
    for (int i = 0; i < kLanes<W>; ++i)
      if (i < count) v[i] = static_cast<W>(p[i]);
  }
  return v;
#endif
}

template <ReduceOp op, class V>
GS_INLINE V join_vectors(V a, V b) {
  if constexpr (op == ReduceOp::Max)
    return ((b > a) | (b != b)) ? b : a;
  else if constexpr (op == ReduceOp::Min)
    return ((b < a) | (b != b)) ? b : a;
  else if constexpr (op == ReduceOp::Prod)
    return a * b;
  else
    return a + b;
}
template <ReduceOp op, class V, size_t... I>
GS_INLINE auto join_halves(V v, std::index_sequence<I...>) {
  return join_vectors<op>(__builtin_shufflevector(v, v, I...),
                          __builtin_shufflevector(v, v, (I + sizeof...(I))...));
}
// All lanes joined in a fixed tree order.
template <ReduceOp op, int kCount, class V>
GS_INLINE auto join_lanes(V v) {
  if constexpr (kCount == 1)
    return v[0];
  else if constexpr (kCount == 2)
    return join_vectors<op>(v, __builtin_shufflevector(v, v, 1, 0))[0];
  else
    return join_lanes<op, kCount / 2>(join_halves<op>(v, std::make_index_sequence<kCount / 2>{}));
}

// Lane i of the result is rows[i] with its lanes joined, in the order of join_lanes.
template <ReduceOp op, class W>
GS_INLINE Vec<W> join_rows(Vec<W>* rows) {
  constexpr int n = kLanes<W>;
#pragma GCC unroll 4
  for (int half = n / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i)
      rows[i] = join_vectors<op>(alternate<0>(rows[i], rows[i + half], LaneSequence<W>{}),
                                 alternate<n / 2>(rows[i], rows[i + half], LaneSequence<W>{}));
  }
  return rows[0];
}

// What float and double are summed, multiplied or compared in, with vectors; void where they are
// not.
template <ReduceOp op, class C>
using vector_of = std::conditional_t<std::is_integral_v<C> || is_logic(op), void,
                                     std::conditional_t<is_order(op), C, double>>;

// A contiguous span as one vector, whose lanes remain to be joined. `over`: kLanes values behind it
// may be read. `ahead`: the bytes to what is read next, 0 where the caller has asked for it.
template <ReduceOp op, int ways, class C>
GS_INLINE auto reduce_lanes(const C* x, int64_t n, bool over, int64_t ahead) {
  using W = vector_of<op, C>;
  constexpr int lanes = kLanes<W>;
  constexpr W identity = Reducer<op, C>::identity();
  const auto terms = [](Vec<W> v) {
    if constexpr (op == ReduceOp::SumSquares)
      return v * v;
    else if constexpr (op == ReduceOp::SumAbs)
      return vabs<W>(v);
    else
      return v;
  };
  const auto whole = [&](const C* p) {
    if constexpr (std::is_same_v<W, C>)
      return terms(load(p));
    else
      return terms(load_doubles(p));
  };
  int64_t i = 0;
  Vec<W> a = splat(identity), b = a;
  if (n >= lanes * ways) {
    Vec<W> acc[ways];
    for (auto& v : acc) v = a;
    for (; i + lanes * ways <= n; i += lanes * ways) {
      if (ahead) prefetch_ahead<lanes * ways>(x + i, ahead);
      for (int k = 0; k < ways; ++k) acc[k] = join_vectors<op>(acc[k], whole(x + i + k * lanes));
    }
    for (int width = ways / 2; width > 0; width /= 2)
      for (int k = 0; k < width; ++k) acc[k] = join_vectors<op>(acc[k], acc[k + width]);
    a = acc[0];
  }
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    a = join_vectors<op>(a, whole(x + i));
    b = join_vectors<op>(b, whole(x + i + lanes));
  }
  if (i + lanes <= n) {
    a = join_vectors<op>(a, whole(x + i));
    i += lanes;
  }
  if (i < n)
    b = join_vectors<op>(
        b, terms(load_first<W>(x + i, static_cast<int>(n - i), over, static_cast<C>(identity))));
  return join_vectors<op>(a, b);
}

// `total` joined by one contiguous span.
template <ReduceOp op, class C>
[[gnu::noinline]] typename Reducer<op, C>::State reduce_span(typename Reducer<op, C>::State total,
                                                             const C* x, int64_t n, int64_t ahead) {
  using R = Reducer<op, C>;
  using W = vector_of<op, C>;
  if constexpr (std::is_void_v<W>) {
    typename R::State sum = R::identity();
    for (int64_t i = 0; i < n; ++i) sum = R::join(sum, R::lift(x[i]));
    return R::join(total, sum);
  } else {
    return R::join(total, join_lanes<op, kLanes<W>>(
                              reduce_lanes<op, is_order(op) ? 4 : 8>(x, n, false, ahead)));
  }
}

// Rows of n one after the other, as many as a vector has lanes. `over`: kLanes values behind the
// last one may be read.
template <ReduceOp op, class C>
[[gnu::noinline]] void reduce_row_group(const C* x, int64_t n, bool over, vector_of<op, C>* to) {
  using W = vector_of<op, C>;
  constexpr int lanes = kLanes<W>;
  const int64_t bytes = n * static_cast<int64_t>(sizeof(C));
  Vec<W> rows[lanes];
  for (int k = 0; k < lanes; ++k) {
    for (int64_t at = 0; at < bytes; at += 64)
      __builtin_prefetch(reinterpret_cast<const char*>(x + k * n) + kAhead + at);
    // Additions of one row hide behind those of the next.
    rows[k] = reduce_lanes<op, 4>(x + k * n, n, over || (lanes - 1 - k) * n >= lanes, 0);
  }
  store(to, join_rows<op, W>(rows));
}

// acc[j] joins column j of `count` rows, four at a time. `rough`: the sum of four floats may round
// in float.
template <ReduceOp op, bool rough, class C>
[[gnu::noinline]] void reduce_rows(typename Reducer<op, C>::State* acc, const C* const* rows,
                                   int count, int64_t columns) {
  using R = Reducer<op, C>;
  if (count == 4) {
    const C *r0 = rows[0], *r1 = rows[1], *r2 = rows[2], *r3 = rows[3];
#pragma GCC ivdep
    for (int64_t j = 0; j < columns; ++j) {
      if constexpr (rough)
        // Four terms in float round no more than the result will, and cost one conversion.
        acc[j] += static_cast<double>((r0[j] + r1[j]) + (r2[j] + r3[j]));
      else
        acc[j] = R::join(acc[j], R::join(R::join(R::lift(r0[j]), R::lift(r1[j])),
                                         R::join(R::lift(r2[j]), R::lift(r3[j]))));
    }
    return;
  }
  for (int r = 0; r < count; ++r) {
    const C* row = rows[r];
#pragma GCC ivdep
    for (int64_t j = 0; j < columns; ++j) acc[j] = R::join(acc[j], R::lift(row[j]));
  }
}

// total[j] joined by more[j].
template <ReduceOp op, class C>
[[gnu::noinline]] void join_states(typename Reducer<op, C>::State* total,
                                   const typename Reducer<op, C>::State* more, int64_t n) {
#pragma GCC ivdep
  for (int64_t j = 0; j < n; ++j) total[j] = Reducer<op, C>::join(total[j], more[j]);
}

// All of the above for one operation, so that what walks over a tensor is compiled once for all
// operations that keep the same state. A vector's lanes are of the state's type.
template <class C, class State>
struct ReduceSteps {
  State identity;
  State (*span)(State total, const C* x, int64_t n, int64_t ahead);
  void (*row_group)(const C* x, int64_t n, bool over,
                    State* to);  // null where there are no vectors
  void (*rows)(State* acc, const C* const* rows, int count, int64_t columns);
  void (*rough_rows)(State* acc, const C* const* rows, int count, int64_t columns);
  void (*join)(State* total, const State* more, int64_t n);
};

template <ReduceOp op, class C>
constexpr auto steps_of() {
  using State = typename Reducer<op, C>::State;
  ReduceSteps<C, State> steps{};
  steps.identity = Reducer<op, C>::identity();
  steps.span = &reduce_span<op, C>;
  if constexpr (!std::is_void_v<vector_of<op, C>>) {
    static_assert(std::is_same_v<State, vector_of<op, C>>);
    steps.row_group = &reduce_row_group<op, C>;
  }
  steps.rows = &reduce_rows<op, false, C>;
  steps.rough_rows = &reduce_rows < op, op == ReduceOp::Sum && std::is_same_v<C, float>, C > ;
  steps.join = &join_states<op, C>;
  return steps;
}

}  // namespace
}  // namespace gs::cpu
