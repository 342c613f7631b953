// What pooling and adaptive pooling share: the larger of two values with their places, and the
// windows of adaptive pooling.
#pragma once

#include <initializer_list>

#include "divisor.cuh"

namespace gs::cuda {

template <class C>
struct Placed {
  C value;
  int32_t place;
};

// Of values in the order of their places: the first of the largest, the first NaN before any.
template <class C>
GS_DEVICE Placed<C> larger(Placed<C> best, Placed<C> next) {
  return !(next.value <= best.value) && best.value == best.value ? next : best;
}

// One axis of adaptive pooling: window i of `count` over `size` places covers [begin, end). The
// windows [low, high) cover a place: the same with places and windows exchanged.
struct AdaptiveAxis {
  int64_t size = 0, count = 0;
  WideDivisor by_size = {}, by_count = {};

  AdaptiveAxis() = default;
  AdaptiveAxis(int64_t size_, int64_t count_) : size(size_), count(count_) {
    if (size) by_size = WideDivisor(size);
    if (count) by_count = WideDivisor(count);
  }
  GS_DEVICE int32_t begin(int32_t i) const { return narrow(by_count.divide(i * size)); }
  GS_DEVICE int32_t end(int32_t i) const {
    return narrow(by_count.divide((i + int64_t(1)) * size + count - 1));
  }
  GS_DEVICE int32_t low(int32_t at) const { return narrow(by_size.divide(at * count)); }
  GS_DEVICE int32_t high(int32_t at) const {
    return narrow(by_size.divide((at + int64_t(1)) * count + size - 1));
  }

 private:
  static GS_DEVICE int32_t narrow(int64_t n) { return static_cast<int32_t>(n); }
};

// Raises unless sides are below 2^31: places and windows are counted in 32 bits.
inline void check_sides(const char* name, std::initializer_list<int64_t> sides) {
  for (const int64_t side : sides)
    GS_CHECK(side <= INT32_MAX, NotImplemented, name,
             "expected padded sides and windows below 2^31 on CUDA.");
}

}  // namespace gs::cuda
