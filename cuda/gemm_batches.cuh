// Where the matrices of a batch lie. Offsets come in an array of the host's; nearly always they are
// one or two strides, which kernels compute. Other ones are written to device memory by a kernel
// that has them among its arguments: a copy from the host could not be part of a captured graph.
#pragma once

#include <algorithm>
#include <optional>

#include "gemm.cuh"
#include "runtime/scratch.h"

namespace gs::cuda {

inline constexpr int kTablePart = 256;
struct TablePart {
  int64_t offsets[kTablePart] = {};
};
template <int Threads>
__global__ void __launch_bounds__(Threads)
    write_table_kernel(const __grid_constant__ TablePart part, int64_t* to, int64_t count) {
  if (threadIdx.x < count) to[threadIdx.x] = part.offsets[threadIdx.x];
}

class Batches {
 public:
  Batches(const int64_t* offsets, int64_t stride, int64_t batch) {
    if (!offsets || batch == 0) {
      take({nullptr, std::max<int64_t>(batch, 1), 0, stride});
      return;
    }
    // offsets[i] = base + i / inner * outer + i % inner * step?
    base_ = offsets[0];
    const int64_t step = batch > 1 ? offsets[1] - base_ : 0;
    int64_t inner = 1;
    while (inner < batch && offsets[inner] - base_ == inner * step) ++inner;
    const int64_t outer = inner < batch ? offsets[inner] - base_ : 0;
    bool regular = true;
    for (int64_t i = inner; i < batch && regular; ++i)
      regular = offsets[i] - base_ == i / inner * outer + i % inner * step;
    if (regular) {
      take({nullptr, inner, outer, step});
      return;
    }
    base_ = 0;
    for (int64_t i = 0; i < batch; ++i) unit_ |= offsets[i];
    table_.emplace(batch);
    for (int64_t first = 0; first < batch; first += kTablePart) {
      TablePart part;
      const int64_t count = std::min<int64_t>(kTablePart, batch - first);
      std::copy_n(offsets + first, count, part.offsets);
      launch({dim3(1), dim3(kTablePart), 0, current_stream()}, write_table_kernel<kTablePart>, part,
             table_->data() + first, count);
    }
    on_device_.table = table_->data();
  }

  BatchOffsets on_device() const { return on_device_; }
  int64_t base() const { return base_; }  // to be added to the operand's address
  // All offsets are multiples of `elements`, a power of 2.
  bool multiples_of(int64_t elements) const { return (unit_ & (elements - 1)) == 0; }

 private:
  void take(const BatchOffsets& regular) {
    on_device_ = regular;
    unit_ = regular.outer_stride | regular.inner_stride;
  }

  BatchOffsets on_device_;
  int64_t base_ = 0, unit_ = 0;  // unit_: the bits that any offset has
  std::optional<Scratch<int64_t>> table_;
};

}  // namespace gs::cuda
