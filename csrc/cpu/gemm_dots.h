// Products of few rows with a B whose columns lie along memory (a linear layer's weight on a small
// batch): dot products of vectors of k, nothing packed. Packing such a B means transposing it,
// which takes as long as the products of about eight rows.
#pragma once

#include "cpu/gemm_blocked.h"
#include "cpu/shuffle.h"

namespace gs::cpu {
namespace {

// A register tile: rows of A x columns of B.
#if GS_ISA_LEVEL == 2
inline constexpr int kDotRows = 4, kDotCols = 6;
#elif GS_ISA_LEVEL == 1
inline constexpr int kDotRows = 3, kDotCols = 4;
#else
inline constexpr int kDotRows = 2, kDotCols = 4;
#endif
inline constexpr int kDotUnit = 12;  // columns of C that are written together

// The sums over the lanes of four vectors.
typedef float Four __attribute__((vector_size(16)));
template <int kAt, class V, size_t... I>  // in groups of four lanes: a b a b from lane kAt on
GS_INLINE V weave(V a, V b, std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b, (I / 4 * 4 + kAt + I % 4 / 2 + I % 2 * sizeof...(I))...);
}
GS_INLINE Vec<float> weave_sum(Vec<float> a, Vec<float> b) {
  const LaneSequence<float> lanes{};
  return weave<0>(a, b, lanes) + weave<2>(a, b, lanes);
}
GS_INLINE Four fold(Vec<float> v) {
  constexpr int quarters = kLanes<float> / 4;
  Four part[quarters];
  __builtin_memcpy(part, &v, sizeof v);
  if constexpr (quarters == 4) return (part[0] + part[2]) + (part[1] + part[3]);
  if constexpr (quarters == 2) return part[0] + part[1];
  return part[0];
}
GS_INLINE Four lane_sums(Vec<float> a, Vec<float> b, Vec<float> c, Vec<float> d) {
  return fold(weave_sum(weave_sum(a, c), weave_sum(b, d)));
}

struct DotOperands {
  const float* a[kDotRows];
  const float* b[kDotCols];
};

// sums (kDotRows x kDotCols, rows `row` apart) = or += the dot products of k values and of one more
// vector, `last`, where the operands' ends stand with zeros behind them; null: there is none.
// Not inlined: it needs every register.
__attribute__((noinline)) void dot_tile(const DotOperands& x, int64_t k, const DotOperands* last,
                                        float* sums, int64_t row, bool accumulate) {
  Vec<float> sum[kDotRows][kDotCols] = {};
  const auto step = [&](const DotOperands& from, int64_t at) __attribute__((always_inline)) {
    Vec<float> left[kDotRows];
#pragma GCC unroll 8
    for (int i = 0; i < kDotRows; ++i) left[i] = load(from.a[i] + at);
#pragma GCC unroll 8
    for (int j = 0; j < kDotCols; ++j) {
      const Vec<float> right = load(from.b[j] + at);
#pragma GCC unroll 8
      for (int i = 0; i < kDotRows; ++i) sum[i][j] += left[i] * right;
    }
  };
  const DotOperands from = x;
#pragma GCC unroll 1
  for (int64_t at = 0; at < k; at += kLanes<float>) step(from, at);
  if (last) step(*last, 0);
  const auto add = [&](Four four, int i, int j, int count) __attribute__((always_inline)) {
    float* to = sums + i * row + j;
    Four before{};
    if (accumulate) __builtin_memcpy(&before, to, count * sizeof(float));
    four += before;
    __builtin_memcpy(to, &four, count * sizeof(float));
  };
#pragma GCC unroll 8
  for (int i = 0; i < kDotRows; ++i)
    add(lane_sums(sum[i][0], sum[i][1], sum[i][2], sum[i][3]), i, 0, 4);
  if constexpr (kDotCols == 6) {
#pragma GCC unroll 4
    for (int i = 0; i < kDotRows; i += 2) {
      const Four four = lane_sums(sum[i][4], sum[i][5], sum[i + 1][4], sum[i + 1][5]);
      add(four, i, 4, 2);
      add(__builtin_shufflevector(four, four, 2, 3, 0, 1), i + 1, 4, 2);
    }
  }
}

class DotProduct {
 public:
  // The sums over lanes at the end cost about as much for each row as packing eight values of k, or
  // four where the last vector of a packed B would be half empty.
  static bool serves(const Product<float>& p) {
    return p.m >= 2 && p.m <= kMostRows && p.a_col == 1 && p.b_row == 1 && p.k >= 64 &&
           p.k >= (p.n <= kDotUnit ? 4 : 8) * p.m;
  }

  explicit DotProduct(const Product<float>& p)
      : p_(p), whole_(p.k / n * n), depth_(round_up(even_part(whole_, kDepth), n)) {}

  void run() const {
    const int64_t units = ceil_div(p_.n, kDotUnit), work = kDotUnit * p_.m * p_.k;
    parallel_for(0, units, max_of(1, BlockedProduct<float>::kTaskWork / work),
                 [&](int64_t begin, int64_t end) {
                   const Scratch<float> ends(p_.k > whole_ ? (p_.m + kDotUnit) * n : 0);
                   if (ends.get()) copy_ends(p_.a, p_.a_row, p_.m, ends.get());
                   for (int64_t i = begin; i < end; ++i) run_unit(i * kDotUnit, ends.get());
                 });
  }

 private:
  static constexpr int64_t n = kLanes<float>;
  static constexpr int64_t kMostRows = 64;
  static constexpr int64_t kRow = 16;  // of the sums: room for what a tile writes past its columns
  static constexpr int64_t kDepth = 1024;  // the columns of a tile stay in L1

  // What is left of each row behind whole vectors.
  void copy_ends(const float* from, int64_t row, int64_t rows, float* ends) const {
    for (int64_t i = 0; i < rows; ++i)
      store(ends + i * n, load_tail(from + i * row + whole_, p_.k - whole_));
  }

  // Lines `at`, at + 1 ... of `lines`.
  template <int kCount>
  static GS_INLINE void set(const float* (&to)[kCount], const float* from, int64_t step, int64_t at,
                            int64_t lines) {
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) to[i] = from + min_of(at + i, lines - 1) * step;
  }

  void run_unit(int64_t col, float* ends) const {
    alignas(64) float sums[(kMostRows + kDotRows) * kRow];
    const int64_t cols = min_of(kDotUnit, p_.n - col);
    if (ends) copy_ends(p_.b + col * p_.b_col, p_.b_col, cols, ends + p_.m * n);
    for (int64_t k = 0; k < whole_; k += depth_) {
      const int64_t count = min_of(depth_, whole_ - k);
      const bool ends_here = ends && k + count == whole_;
      // Past the end the last row and column stand in; their products are not written.
      for (int64_t j = 0; j < cols; j += kDotCols) {
        DotOperands x, tail;
        set(x.b, p_.b + col * p_.b_col + k, p_.b_col, j, cols);
        if (ends_here) set(tail.b, ends + p_.m * n, n, j, cols);
        for (int64_t i = 0; i < p_.m; i += kDotRows) {
          set(x.a, p_.a + k, p_.a_row, i, p_.m);
          if (ends_here) set(tail.a, ends, n, i, p_.m);
          dot_tile(x, count, ends_here ? &tail : nullptr, sums + i * kRow + j, kRow, k > 0);
        }
      }
    }
    float* c = p_.c + col;
    write_tile<float>(p_.epilogue, sums, kRow, p_.m, cols, 0, col, c, p_.c_row, c, p_.c_row, true,
                      true);
  }

  const Product<float>& p_;
  int64_t whole_, depth_;
};

}  // namespace
}  // namespace gs::cpu
