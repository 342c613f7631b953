// What a reduction does to values. A job says how an element is read (at, pack_at), how a few of
// them are joined in a type that is quick (Near), how those go into the running State, and which
// job joins the partial results of a reduction in two stages (Next).
#pragma once

#include <limits>

#include "any_dtype.cuh"
#include "kernels/params/reduce.h"
#include "wrapping.cuh"

namespace gs::cuda {

template <class T>
inline constexpr int kReducePack = sizeof(T) < 2 ? 8 : kPackBytes / static_cast<int>(sizeof(T));

// ---------------------------------------------------------------- sums, of squares too

// Floats are summed in double: a few neighbours meet in float first, which rounds no more than the
// result will and costs one conversion.
template <class T, bool squares>
struct Total {
  using In = T;
  using Near = std::conditional_t<std::is_integral_v<T>, int64_t, compute_t<T>>;
  using State = std::conditional_t<std::is_integral_v<T>, int64_t, double>;
  using Next = Total<State, false>;
  static constexpr int kPack = kReducePack<T>;

  Next next() const { return {}; }
  GS_DEVICE static Near lift(T x) {
    const Near v = static_cast<Near>(x);
    return squares ? wrapping_product(v, v) : v;
  }
  GS_DEVICE Near at(const void* in, int64_t i) const { return lift(static_cast<const T*>(in)[i]); }
  GS_DEVICE void pack_at(const void* in, int64_t i, Near (&to)[kPack]) const {
    const Pack<T, kPack> pack = load_pack<T, kPack>(static_cast<const T*>(in) + i);
    GS_UNROLL for (int k = 0; k < kPack; ++k) to[k] = lift(pack.v[k]);
  }
  GS_DEVICE Near near_identity() const { return 0; }
  GS_DEVICE Near join_near(Near a, Near b) const { return wrapping_sum(a, b); }
  GS_DEVICE State widen(Near v) const { return static_cast<State>(v); }
  GS_DEVICE State identity() const { return 0; }
  GS_DEVICE State join(State a, State b) const { return wrapping_sum(a, b); }
  GS_DEVICE State result(State v) const { return v; }
};

// ---------------------------------------------------------------- extremes

// The smallest is the largest of values turned round: -x, or ~x of integers. NaN wins.
template <class T>
struct Largest {
  using State =
      std::conditional_t<std::is_integral_v<T>, std::conditional_t<sizeof(T) < 8, int32_t, int64_t>,
                         compute_t<T>>;
  using In = T;
  using Near = State;
  using Next = Largest<State>;
  static constexpr int kPack = kReducePack<T>;
  bool turned;

  Next next() const { return {turned}; }
  GS_DEVICE State turn(State v) const {
    if constexpr (std::is_integral_v<State>)
      return turned ? ~v : v;
    else
      return turned ? -v : v;
  }
  GS_DEVICE Near at(const void* in, int64_t i) const {
    return turn(static_cast<State>(static_cast<const T*>(in)[i]));
  }
  GS_DEVICE void pack_at(const void* in, int64_t i, Near (&to)[kPack]) const {
    const Pack<T, kPack> pack = load_pack<T, kPack>(static_cast<const T*>(in) + i);
    GS_UNROLL for (int k = 0; k < kPack; ++k) to[k] = turn(static_cast<State>(pack.v[k]));
  }
  GS_DEVICE State identity() const {
    using Limits = std::numeric_limits<State>;
    return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
  }
  GS_DEVICE State join(State a, State b) const { return b > a || b != b ? b : a; }
  GS_DEVICE Near near_identity() const { return identity(); }
  GS_DEVICE Near join_near(Near a, Near b) const { return join(a, b); }
  GS_DEVICE State widen(Near v) const { return v; }
  GS_DEVICE State result(State v) const { return turn(v); }
};

// ---------------------------------------------------------------- how many are not zero

// `bits`: those of a word that count; the sign of a float does not.
template <class Word>
struct Nonzeros {
  using In = Word;
  using Near = int32_t;
  using State = int64_t;
  using Next = Total<int64_t, false>;
  static constexpr int kPack = kReducePack<Word>;
  Word bits;

  Next next() const { return {}; }
  GS_DEVICE Near at(const void* in, int64_t i) const {
    return (static_cast<const Word*>(in)[i] & bits) != 0;
  }
  GS_DEVICE void pack_at(const void* in, int64_t i, Near (&to)[kPack]) const {
    const Pack<Word, kPack> pack = load_pack<Word, kPack>(static_cast<const Word*>(in) + i);
    GS_UNROLL for (int k = 0; k < kPack; ++k) to[k] = (pack.v[k] & bits) != 0;
  }
  GS_DEVICE Near near_identity() const { return 0; }
  GS_DEVICE Near join_near(Near a, Near b) const { return a + b; }
  GS_DEVICE State widen(Near v) const { return v; }
  GS_DEVICE State identity() const { return 0; }
  GS_DEVICE State join(State a, State b) const { return a + b; }
  GS_DEVICE State result(State v) const { return v; }
};

// ---------------------------------------------------------------- all the rest

// Sums and products of any dtype, read as int64 or double: the function and the dtype are known
// when the kernel runs.
template <class Number>
struct AnyJob {
  using Near = Number;
  using State = Number;
  using Next = AnyJob;
  static constexpr int kPack = 1;
  int64_t element_size;
  ReduceOp op;
  DType dtype;
  uint8_t unused[6] = {};  // kernels take no gaps

  Next next() const {
    return {sizeof(Number), op == ReduceOp::Prod ? op : ReduceOp::Sum, dtype_of<Number>::value};
  }
  GS_DEVICE Near at(const void* in, int64_t i) const {
    const void* x = static_cast<const char*>(in) + i * element_size;
    const Number v = is_floating(dtype) ? static_cast<Number>(load_floating(x, dtype))
                                        : static_cast<Number>(load_integer(x, dtype));
    if (op == ReduceOp::SumSquares) return wrapping_product(v, v);
    if (op == ReduceOp::SumAbs && v < 0) return wrapping_sum(Number(0), static_cast<Number>(-v));
    return v;
  }
  GS_DEVICE void pack_at(const void* in, int64_t i, Near (&to)[1]) const { to[0] = at(in, i); }
  GS_DEVICE State identity() const { return op == ReduceOp::Prod; }
  GS_DEVICE State join(State a, State b) const {
    return op == ReduceOp::Prod ? wrapping_product(a, b) : wrapping_sum(a, b);
  }
  GS_DEVICE Near near_identity() const { return identity(); }
  GS_DEVICE Near join_near(Near a, Near b) const { return join(a, b); }
  GS_DEVICE State widen(Near v) const { return v; }
  GS_DEVICE State result(State v) const { return v; }
};

}  // namespace gs::cuda
