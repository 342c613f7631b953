// Dimensions of a strided array for the device, merged, and the offset of a flat position in them.
#pragma once

#include "core/macros.h"
#include "core/shape.h"
#include "kernels/coalesce.h"
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

inline StridedAxes coalesce(int ndim, const int64_t* shape, const int64_t* strides,
                            bool any_order) {
  return coalesced<StridedAxes>(ndim, shape, strides, any_order);
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
