// Dimensions of a strided array for the device, merged where neighbours lie one after the other in
// memory, and the offset of a flat position in them.
#pragma once

#include "core/macros.h"
#include "core/shape.h"
#include "portable.cuh"

// A loop that is not worth copies of its body.
#if defined(__CUDACC__)
#define GS_KEEP_LOOP _Pragma("unroll 1")
#else
#define GS_KEEP_LOOP
#endif

namespace gs::cuda {

struct StridedAxes {
  int64_t ndim = 0;  // no gaps between the members: kernels take it by value
  int64_t count = 1;
  int64_t shape[kMaxDims] = {}, strides[kMaxDims] = {};  // elements

  int64_t last_stride() const { return ndim ? strides[ndim - 1] : 0; }
};

// Leaves out sizes of 1 and merges what can be merged. `any_order`: the largest stride goes first.
inline StridedAxes coalesce(int ndim, const int64_t* shape, const int64_t* strides,
                            bool any_order) {
  StridedAxes sorted, merged;
  for (int d = 0; d < ndim; ++d) {
    sorted.count *= shape[d];
    if (shape[d] == 1) continue;
    int64_t at = sorted.ndim++;
    for (; any_order && at > 0 && sorted.strides[at - 1] < strides[d]; --at) {
      sorted.shape[at] = sorted.shape[at - 1];
      sorted.strides[at] = sorted.strides[at - 1];
    }
    sorted.shape[at] = shape[d];
    sorted.strides[at] = strides[d];
  }
  merged.count = sorted.count;
  for (int64_t d = 0; d < sorted.ndim; ++d) {
    const int64_t last = merged.ndim - 1;
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

GS_DEVICE uint32_t quotient(uint32_t a, uint32_t b) { return a / b; }
// Bit by bit: rare, and a call of the compiler's division would cost registers everywhere.
GS_DEVICE uint64_t quotient(uint64_t a, uint64_t b) {
  uint64_t result = 0, rest = 0;
  GS_KEEP_LOOP for (int bit = 63; bit >= 0; --bit) {
    rest = rest << 1 | (a >> bit & 1);
    if (rest < b) continue;
    rest -= b;
    result |= uint64_t(1) << bit;
  }
  return result;
}
template <class Index>
GS_DEVICE int64_t offset_in(const StridedAxes& axes, Index i) {
  int64_t offset = 0;
  GS_KEEP_LOOP for (int64_t d = axes.ndim - 1; d > 0; --d) {
    const Index size = static_cast<Index>(axes.shape[d]), rest = quotient(i, size);
    offset += static_cast<int64_t>(i - rest * size) * axes.strides[d];
    i = rest;
  }
  return offset + static_cast<int64_t>(i) * axes.strides[0];
}
// Divisions of 64 bits are slow, and one axis needs none.
GS_DEVICE int64_t offset_of(const StridedAxes& axes, int64_t i) {
  if (axes.ndim <= 1) return i * axes.strides[0];
  if (axes.count < (int64_t(1) << 31)) return offset_in(axes, static_cast<uint32_t>(i));
  return offset_in(axes, static_cast<uint64_t>(i));
}

}  // namespace gs::cuda
