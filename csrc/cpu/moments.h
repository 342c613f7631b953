// Mean and sum of squared deviations. Each piece that fits the first-level cache is read twice
// (mean first, then deviations from it, so that nothing cancels); pieces are joined in order by
// Chan's formula, in double.
#pragma once

#include "cpu/rows.h"
#include "cpu/source.h"

namespace gs::cpu {
namespace {

inline constexpr int64_t kPiece = 4096;         // elements read twice from the first-level cache
inline constexpr int64_t kMomentColumns = 256;  // columns, and rows of them, read twice
inline constexpr int64_t kMomentRows = 128;

struct Moment {
  double mean = 0, m2 = 0;
  int64_t count = 0;

  void join(const Moment& other) {
    if (other.count == 0) return;
    const double total = static_cast<double>(count + other.count), part = other.count / total;
    const double delta = other.mean - mean;
    mean += delta * part;
    m2 += other.m2 + delta * delta * part * static_cast<double>(count);
    count += other.count;
  }
};

// 0 < n <= kPiece. What the rounded mean misses shows in the sum of the deviations, and is put
// right.
template <class C>
[[gnu::noinline]] Moment span_moment(const C* x, int64_t n) {
  const double count = static_cast<double>(n);
  const C centre = static_cast<C>(sum_vectors<C>(n,
                                                 [x](int64_t i, int k) {
                                                   prefetch_ahead<kLanes<C>>(x + i);
                                                   return load_part(x + i, k);
                                                 }) /
                                  count);
  const SumPair sums = sum_pairs<C>(n, [x, centre](int64_t i, int k, Vec<C>& d, Vec<C>& square) {
    d = load_part(x + i, k, centre) - centre;
    square = d * d;
  });
  const double m2 = sums.second - sums.first * sums.first / count;
  return {static_cast<double>(centre) + sums.first / count, m2 > 0 || m2 != m2 ? m2 : 0, n};
}

// A dense run of any length.
template <class C>
Moment dense_moment(const C* x, int64_t n) {
  Moment total;
  for (int64_t i = 0; i < n; i += kPiece)
    total.join(span_moment(x + i, n - i < kPiece ? n - i : kPiece));
  return total;
}
template <class C>
Moment dense_moment(const Source<C>& in, int64_t from, int64_t n) {
  if (!in.converts()) return dense_moment(in.span(from, n, nullptr), n);
  alignas(64) C buffer[kPiece];
  Moment total;
  for (int64_t i = 0; i < n; i += kPiece) {
    const int64_t piece = n - i < kPiece ? n - i : kPiece;
    total.join(span_moment(in.span(from + i, piece, buffer), piece));
  }
  return total;
}

// Columns of `rows` <= kMomentRows rows from `from` on, `stride` elements apart; columns <=
// kMomentColumns.
template <class T>
[[gnu::noinline]] void column_moments(const Source<T>& in, int64_t from, int64_t stride,
                                      int64_t rows, int64_t columns, double* mean, double* m2) {
  using C = value_t<T>;
  alignas(64) C buffer[kMomentColumns];
  alignas(64) C centre[kMomentColumns], sum[kMomentColumns];
  const C* direct = in.converts() ? nullptr : in.span(from, 0, buffer);
  const auto row_at = [&](int64_t r) {
    return direct ? direct + r * stride : in.span(from + r * stride, columns, buffer);
  };
  for (int64_t j = 0; j < columns; ++j) mean[j] = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const C* row = row_at(r);
    for (int64_t j = 0; j < columns; ++j) mean[j] += static_cast<double>(row[j]);
  }
  const double scale = 1.0 / static_cast<double>(rows);
  for (int64_t j = 0; j < columns; ++j) {
    mean[j] *= scale;
    centre[j] = static_cast<C>(mean[j]);
    sum[j] = 0;
  }
  for (int64_t r = 0; r < rows; ++r) {
    const C* row = row_at(r);
    for (int64_t j = 0; j < columns; ++j) {
      const C d = row[j] - centre[j];
      sum[j] += d * d;
    }
  }
  for (int64_t j = 0; j < columns; ++j) {
    const double off = mean[j] - static_cast<double>(centre[j]);
    const double v = static_cast<double>(sum[j]) - static_cast<double>(rows) * off * off;
    m2[j] = v < 0 ? 0 : v;  // NaN stays
  }
}

}  // namespace
}  // namespace gs::cpu
