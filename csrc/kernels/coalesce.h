// Dimensions of a strided array, merged where neighbours lie one after the other in memory.
#pragma once

#include <cstdint>

namespace gs {

// Leaves out sizes of 1 and merges what can be merged. `any_order`: the largest stride goes first.
// Axes is what a device keeps of them: ndim, shape and strides (elements), and the count of all.
template <class Axes>
inline Axes coalesced(int ndim, const int64_t* shape, const int64_t* strides, bool any_order) {
  Axes sorted;
  for (int d = 0; d < ndim; ++d) {
    sorted.count *= shape[d];
    if (shape[d] == 1) continue;
    auto at = sorted.ndim++;
    for (; any_order && at > 0 && sorted.strides[at - 1] < strides[d]; --at) {
      sorted.shape[at] = sorted.shape[at - 1];
      sorted.strides[at] = sorted.strides[at - 1];
    }
    sorted.shape[at] = shape[d];
    sorted.strides[at] = strides[d];
  }
  Axes merged;
  merged.count = sorted.count;
  for (int d = 0; d < sorted.ndim; ++d) {
    const auto last = merged.ndim - 1;
    if (last >= 0 && merged.strides[last] == sorted.strides[d] * sorted.shape[d]) {
      merged.shape[last] *= sorted.shape[d];
      merged.strides[last] = sorted.strides[d];
    } else {
      merged.shape[merged.ndim] = sorted.shape[d];
      merged.strides[merged.ndim++] = sorted.strides[d];
    }
  }
  return merged;
}

}  // namespace gs
