// Dimensions of a strided array, merged where neighbours lie one after the other in memory, and
// walked in order.
#pragma once

#include <cstdint>

#include "core/macros.h"
#include "core/shape.h"

#ifndef GS_ISA
#error "cpu/axes.h is for files that are compiled per instruction set"
#endif

namespace gs::cpu {
namespace {

struct Axes {
  int ndim = 0;
  int64_t count = 1;
  int64_t shape[kMaxDims], strides[kMaxDims];  // strides in elements
};

// Leaves out sizes of 1 and merges what can be merged. `any_order`: the largest stride goes first.
inline Axes coalesce(int ndim, const int64_t* shape, const int64_t* strides, bool any_order) {
  Axes sorted;
  for (int d = 0; d < ndim; ++d) {
    sorted.count *= shape[d];
    if (shape[d] == 1) continue;
    int at = sorted.ndim++;
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
    const int last = merged.ndim - 1;
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

// The offset (in elements) of position `at` of the first `ndim` axes, and of those that follow.
class Odometer {
 public:
  Odometer(const Axes& axes, int ndim, int64_t at) : axes_(axes), ndim_(ndim) {
    for (int d = ndim - 1; d >= 0; --d) {
      index_[d] = at % axes.shape[d];
      at /= axes.shape[d];
      offset_ += index_[d] * axes.strides[d];
    }
  }
  int64_t offset() const { return offset_; }
  void step() {
    for (int d = ndim_ - 1; d >= 0; --d) {
      offset_ += axes_.strides[d];
      if (++index_[d] < axes_.shape[d]) return;
      offset_ -= index_[d] * axes_.strides[d];
      index_[d] = 0;
    }
  }

 private:
  const Axes& axes_;
  int ndim_;
  int64_t offset_ = 0;
  int64_t index_[kMaxDims];
};

}  // namespace
}  // namespace gs::cpu
