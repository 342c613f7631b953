// The parameters of convolution and pooling windows, checked.
#pragma once

#include <tuple>

#include "ops/common.h"

namespace gs::ops {

// The largest stride, padding, dilation or kernel size: products of two stay in 62 bits.
inline constexpr int64_t kLargestWindow = (int64_t{1} << 31) - 1;

// One value, or one for each of two spatial dimensions. In 1 dimension only *w is set.
inline void parse_window(const char* op, int spatial, const Dims& values, const char* what,
                         int64_t lowest, int64_t* h, int64_t* w) {
  if (spatial == 1) {
    GS_CHECK(values.size() == 1, Value, op, "expected ", what, " to be one int, got ", values, ".");
    *w = values[0];
  } else {
    std::tie(*h, *w) = pair_of(op, values, what);
  }
  for (int64_t v : values)
    GS_CHECK(v >= lowest && v <= kLargestWindow, Value, op, "expected ", what, " of ", lowest,
             " or more and below 2^31, got ", values, ".");
}

}  // namespace gs::ops
