// Division by numbers that are known at the launch: multiplications and shifts.
#pragma once

#include "vec.cuh"

namespace gs::cuda {

// n / d for 0 <= n < 2^31, 1 <= d < 2^31: (n * m / 2^32 + n) >> s with s = ceil(log2 d) and
// m = 2^32 (2^s - d) / d + 1. The sum stays below 2^32.
class Divisor {
 public:
  Divisor() = default;
  explicit Divisor(uint32_t d) : divisor_(d) {
    while ((uint64_t(1) << shift_) < d) ++shift_;
    multiplier_ =
        static_cast<uint32_t>((uint64_t(1) << 32) * ((uint64_t(1) << shift_) - d) / d + 1);
  }
  GS_DEVICE uint32_t divide(uint32_t n) const { return (__umulhi(n, multiplier_) + n) >> shift_; }
  GS_DEVICE uint32_t divisor() const { return divisor_; }

 private:
  uint32_t divisor_ = 1, multiplier_ = 1, shift_ = 0;
};

// n / d for 0 <= n, 1 <= d below 2^62. With m = 2^64 / d rounded down, n m / 2^64 is the quotient
// or up to two less.
class WideDivisor {
 public:
  WideDivisor() = default;
  explicit WideDivisor(int64_t d)
      : divisor_(static_cast<uint64_t>(d)), multiplier_(~uint64_t(0) / divisor_) {}
  GS_DEVICE int64_t divide(int64_t n) const {
    const uint64_t m = static_cast<uint64_t>(n);
    uint64_t q = static_cast<uint64_t>((static_cast<unsigned __int128>(m) * multiplier_) >> 64);
    uint64_t rest = m - q * divisor_;
    GS_UNROLL for (int i = 0; i < 2; ++i) if (rest >= divisor_) rest -= divisor_, ++q;
    return static_cast<int64_t>(q);
  }
  GS_DEVICE int64_t divisor() const { return static_cast<int64_t>(divisor_); }

 private:
  uint64_t divisor_ = 1, multiplier_ = ~uint64_t(0);
};

// Elements of planes (rows, columns), counted through. A row and a column are below 2^31.
struct PlanePoint {
  int64_t plane;
  int32_t row, column;
};
class PlaneGrid {
 public:
  PlaneGrid() = default;
  PlaneGrid(int64_t planes, int64_t rows, int64_t columns)
      : count_(planes * rows * columns), columns_(columns) {
    if (count_ == 0) return;
    narrow_ = count_ < (int64_t(1) << 31);
    by_row_wide_ = WideDivisor(columns), by_plane_wide_ = WideDivisor(rows);
    if (!narrow_) return;
    by_row_ = Divisor(static_cast<uint32_t>(columns));
    by_plane_ = Divisor(static_cast<uint32_t>(rows));
  }
  GS_HOST_DEVICE int64_t count() const { return count_; }
  GS_DEVICE int32_t columns() const { return static_cast<int32_t>(columns_); }
  GS_DEVICE PlanePoint operator[](int64_t i) const {
    if (narrow_) {  // nearly always
      const uint32_t n = static_cast<uint32_t>(i), row = by_row_.divide(n);
      const uint32_t plane = by_plane_.divide(row);
      return {plane, static_cast<int32_t>(row - plane * by_plane_.divisor()),
              static_cast<int32_t>(n - row * by_row_.divisor())};
    }
    const int64_t row = by_row_wide_.divide(i), plane = by_plane_wide_.divide(row);
    return {plane, static_cast<int32_t>(row - plane * by_plane_wide_.divisor()),
            static_cast<int32_t>(i - row * by_row_wide_.divisor())};
  }

 private:
  int64_t count_ = 0, columns_ = 1;
  Divisor by_row_, by_plane_;
  WideDivisor by_row_wide_, by_plane_wide_;
  int64_t narrow_ = 1;  // as wide as the rest: kernel parameters have no holes
};

}  // namespace gs::cuda
