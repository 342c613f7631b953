// Running sums and products along contiguous rows. One row alone would wait for each addition; as
// many rows as a vector has lanes run side by side, transposed in registers a square block at a
// time, so that every row still adds up its elements one after the other.
#pragma once

#include "core/parallel.h"
#include "cpu/doubles.h"
#include "cpu/rows.h"
#include "cpu/shuffle.h"

namespace gs::cpu {
namespace {

// Integers wrap.
template <bool sum, class State>
GS_INLINE State scan_step(State total, State v) {
  if constexpr (std::is_integral_v<State>) {
    const uint64_t a = static_cast<uint64_t>(total), b = static_cast<uint64_t>(v);
    return static_cast<State>(sum ? a + b : a * b);
  } else {
    return sum ? total + v : total * v;
  }
}

// The totals of kLanes<Word> rows. next() joins one element of each row; int64 travels as the bits
// of a double.
template <bool sum, class Word, bool integer>
struct RowTotals;

template <bool sum>
struct RowTotals<sum, float, false> {
  static constexpr int half = kLanes<float> / 2;
  Vec<double> low, high;
  GS_INLINE void start(const double* from) {
    low = load(from);
    high = load(from + half);
  }
  template <size_t... I>
  GS_INLINE Vec<float> join(Vec<float> v, std::index_sequence<I...>) {
    const Vec<double> a = to_doubles(__builtin_shufflevector(v, v, I...));
    const Vec<double> b = to_doubles(__builtin_shufflevector(v, v, (I + half)...));
    low = sum ? low + a : low * a;
    high = sum ? high + b : high * b;
    const HalfVec y = to_floats(low), z = to_floats(high);
    return __builtin_shufflevector(y, z, I..., (I + half)...);
  }
  GS_INLINE Vec<float> next(Vec<float> v) { return join(v, std::make_index_sequence<half>{}); }
};

template <bool sum>
struct RowTotals<sum, double, false> {
  Vec<double> total;
  GS_INLINE void start(const double* from) { total = load(from); }
  GS_INLINE Vec<double> next(Vec<double> v) { return total = sum ? total + v : total * v; }
};

template <bool sum>
struct RowTotals<sum, double, true> {
  Vec<uint64_t> total;
  GS_INLINE void start(const int64_t* from) { __builtin_memcpy(&total, from, sizeof total); }
  GS_INLINE Vec<double> next(Vec<double> v) {
    const auto bits = (Vec<uint64_t>)v;
    total = sum ? total + bits : total * bits;
    return (Vec<double>)total;
  }
};

template <bool sum, class T>
class RowScan {
 public:
  static constexpr bool integer = std::is_same_v<T, int64_t>;
  using Word = std::conditional_t<integer, double, compute_t<T>>;
  using State = std::conditional_t<integer, int64_t, double>;
  static constexpr int lanes = kLanes<Word>;

  // outer rows of n.
  static void run(const T* in, T* out, int64_t outer, int64_t n, bool reverse) {
    // A few long sums are cut into pieces that start from the totals before them. Products and
    // doubles are not: the total of a piece may overflow where the running one does not.
    const bool exact = sum && !std::is_same_v<T, double>;
    const int64_t pieces =
        exact && outer < kManyRows && n >= 4 * kLength ? (n - 1) / kLength + 1 : 1;
    const int64_t length = pieces > 1 ? kLength : n;
    const int64_t rows = outer * pieces, groups = (rows + lanes - 1) / lanes;
    const Scratch<State> starts(rows + lanes);
    for (int64_t r = 0; r < rows + lanes; ++r) starts.get()[r] = sum ? 0 : 1;
    if (pieces > 1) make_starts(in, outer, n, pieces, reverse, starts.get());
    const int64_t grain = 1 + kWork / (length * lanes + 1);
    parallel_for(0, groups, grain, [&](int64_t begin, int64_t end) {
      for (int64_t g = begin; g < end; ++g) {
        Group group;
        group.count = rows - g * lanes < lanes ? static_cast<int>(rows - g * lanes) : lanes;
        bool equal = true;
        for (int k = 0; k < lanes; ++k) {
          const int64_t r = g * lanes + (k < group.count ? k : group.count - 1);
          const int64_t from = r % pieces * length;
          group.at[k] = r / pieces * n + from;
          group.length[k] = n - from < length ? n - from : length;
          equal &= group.length[k] == length;
        }
        group.run(in, out, starts.get() + g * lanes, length, reverse, equal);
      }
    });
  }

 private:
  static constexpr int64_t kLength = 1024;  // of a piece
  static constexpr int64_t kManyRows = 64;  // rows that need not be cut
  static constexpr int64_t kWork = 32768;   // elements worth a task

  static GS_INLINE State piece_total(const T* x, int64_t n) {
    constexpr int ways = 16;
    State acc[ways] = {}, total = 0;
    int64_t i = 0;
    for (; i + ways <= n; i += ways)
      for (int k = 0; k < ways; ++k)
        acc[k] = scan_step<true, State>(acc[k], static_cast<State>(x[i + k]));
    for (; i < n; ++i) total = scan_step<true, State>(total, static_cast<State>(x[i]));
    for (int k = 0; k < ways; ++k) total = scan_step<true, State>(total, acc[k]);
    return total;
  }

  static void make_starts(const T* in, int64_t outer, int64_t n, int64_t pieces, bool reverse,
                          State* starts) {
    parallel_for(0, outer * pieces, kWork / kLength, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const int64_t from = r % pieces * kLength;
        const int64_t length = n - from < kLength ? n - from : kLength;
        starts[r] = piece_total(in + r / pieces * n + from, length);
      }
    });
    for (int64_t o = 0; o < outer; ++o) {
      State total = 0;
      for (int64_t c = 0; c < pieces; ++c) {
        State& here = starts[o * pieces + (reverse ? pieces - 1 - c : c)];
        const State before = total;
        total = scan_step<true, State>(total, here);
        here = before;
      }
    }
  }

  // Rows are read and written in registers, all unrolled, but for those that are converted.
  static constexpr bool converts = !std::is_same_v<T, Word> && !integer;

  static GS_INLINE Vec<Word> read(const T* p, int count) {
    if constexpr (converts) {
      alignas(64) Word buffer[lanes] = {};
      to_float(buffer, p, count);
      return load(buffer);
    } else {
      return load_part(reinterpret_cast<const Word*>(p), count);
    }
  }
  static GS_INLINE void write(T* p, Vec<Word> v, int count) {
    if constexpr (converts) {
      alignas(64) Word buffer[lanes];
      store(buffer, v);
      from_float(p, buffer, count);
    } else {
      store_part(reinterpret_cast<Word*>(p), v, count);
    }
  }

  // Rows that run side by side; where there are fewer than lanes, the last one fills up.
  struct Group {
    int count;
    int64_t at[lanes], length[lanes];

    // Columns [j, j + width) of every row. Padding joins the totals of rows that end before it,
    // and nothing comes after.
    GS_INLINE void block(const T* in, T* out, int64_t j, int width, bool reverse, bool equal,
                         RowTotals<sum, Word, integer>& totals) const {
      Vec<Word> x[lanes];
      const bool whole = equal && width == lanes;
      if constexpr (converts) {
#pragma GCC unroll 1
        for (int k = 0; k < lanes; ++k)
          x[k] = whole ? read(in + at[k] + j, lanes) : read(in + at[k] + j, used(k, j, width));
      } else if (whole) {
#pragma GCC unroll 16
        for (int k = 0; k < lanes; ++k) x[k] = read(in + at[k] + j, lanes);
      } else {
        for (int k = 0; k < lanes; ++k) x[k] = read(in + at[k] + j, used(k, j, width));
      }
      transpose_vectors<Word>(x);
      if (reverse) {
#pragma GCC unroll 16
        for (int i = lanes - 1; i >= 0; --i)
          if (i < width) x[i] = totals.next(x[i]);
      } else {
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i) x[i] = totals.next(x[i]);
      }
      transpose_vectors<Word>(x);
      if constexpr (converts) {
#pragma GCC unroll 1
        for (int k = 0; k < count; ++k)
          whole ? write(out + at[k] + j, x[k], lanes)
                : write(out + at[k] + j, x[k], used(k, j, width));
      } else if (whole && count == lanes) {
#pragma GCC unroll 16
        for (int k = 0; k < lanes; ++k) write(out + at[k] + j, x[k], lanes);
      } else {
        for (int k = 0; k < count; ++k) write(out + at[k] + j, x[k], used(k, j, width));
      }
    }
    // With conversions around it, one copy of it is enough.
    [[gnu::noinline]] void converted_block(const T* in, T* out, int64_t j, int width, bool reverse,
                                           bool equal,
                                           RowTotals<sum, Word, integer>& totals) const {
      block(in, out, j, width, reverse, equal, totals);
    }
    GS_INLINE void step(const T* in, T* out, int64_t j, int width, bool reverse, bool equal,
                        RowTotals<sum, Word, integer>& totals) const {
      if constexpr (converts)
        converted_block(in, out, j, width, reverse, equal, totals);
      else
        block(in, out, j, width, reverse, equal, totals);
    }
    GS_INLINE int used(int k, int64_t j, int width) const {
      const int64_t left = length[k] - j;
      return left <= 0 ? 0 : left < width ? static_cast<int>(left) : width;
    }

    [[gnu::noinline]] void run(const T* in, T* out, const State* starts, int64_t n, bool reverse,
                               bool equal) const {
      RowTotals<sum, Word, integer> totals;
      totals.start(starts);
      const int64_t whole = n / lanes * lanes;
      const int rest = static_cast<int>(n - whole);
      if (reverse) {
        if (rest) step(in, out, whole, rest, true, equal, totals);
        for (int64_t j = whole - lanes; j >= 0; j -= lanes)
          step(in, out, j, lanes, true, equal, totals);
      } else {
        for (int64_t j = 0; j < whole; j += lanes) step(in, out, j, lanes, false, equal, totals);
        if (rest) step(in, out, whole, rest, false, equal, totals);
      }
    }
  };
};

}  // namespace
}  // namespace gs::cpu
