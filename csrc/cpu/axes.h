// Dimensions of a strided array, merged, and walked in order.
#pragma once

#include <cstdint>

#include "core/macros.h"
#include "core/shape.h"
#include "kernels/coalesce.h"

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

inline Axes coalesce(int ndim, const int64_t* shape, const int64_t* strides, bool any_order) {
  return coalesced<Axes>(ndim, shape, strides, any_order);
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
