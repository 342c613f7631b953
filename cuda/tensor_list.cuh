// All tensors of an optimizer in one launch. Their table travels by value with the launch; each
// block takes a piece of one tensor.
#pragma once

#include "kernels/params/optimizer.h"
#include "runtime/stream.h"
#include "vec.cuh"

namespace gs::cuda {

inline constexpr int kListThreads = 256;
inline constexpr int64_t kPiece = 4096;    // elements of a block
inline constexpr int kTableTensors = 256;  // a table of 20 KB; kernels take up to 32 KB

struct ListEntry {
  void* parameter;
  const void* grad;
  void* state1;
  void* state2;
  void* state3;
  int64_t n;
  double a, b;     // what follows from the tensor's own step count
  float* counter;  // where that count is; null: on the host, which has given a and b
  DType dtype;
  int first_block;
};
struct TensorTable {
  ListEntry entries[kTableTensors] = {};
  int count = 0, blocks = 0;
};

// The tensor and the elements [begin, end) of this block.
struct Piece {
  const ListEntry* entry;
  int index;  // of the entry
  int64_t begin, end;
};
GS_DEVICE Piece piece_of(const TensorTable& table, int block) {
  int low = 0, past = table.count;  // the last tensor that starts at or before this block
  while (past - low > 1) {
    const int middle = (low + past) / 2;
    (table.entries[middle].first_block <= block ? low : past) = middle;
  }
  const ListEntry& entry = table.entries[low];
  const int64_t begin = int64_t(block - entry.first_block) * kPiece;
  return {&entry, low, begin, begin + kPiece < entry.n ? begin + kPiece : entry.n};
}

template <class F>
GS_DEVICE void in_dtype(DType t, const F& f) {
  switch (t) {
    case DType::Float32:
      return f(Type<float>{});
    case DType::Float64:
      return f(Type<double>{});
    case DType::Float16:
      return f(Type<Half>{});
    default:
      return f(Type<BFloat16>{});
  }
}

// f(element) for this thread's elements of the piece.
template <class F>
GS_DEVICE void each_element_of(const Piece& piece, const F& f) {
  for (int64_t i = piece.begin + threadIdx.x; i < piece.end; i += kListThreads) f(i);
}

// Calls run(table) for all tensors that have elements or a counter, a table at a time.
template <class Fill, class Run>
void in_tables(const OptimizerTensor* tensors, int64_t count, Fill fill, Run run) {
  TensorTable table;
  for (int64_t t = 0; t < count; ++t) {
    const OptimizerTensor& from = tensors[t];
    if (from.n > 0 || from.counter) {  // without elements a step is counted all the same
      ListEntry& entry = table.entries[table.count++];
      entry = {from.parameter, from.grad,  from.state1, from.state2, from.state3, from.n, 0, 0,
               from.counter,   from.dtype, table.blocks};
      fill(from, entry);
      table.blocks += static_cast<int>(ceil_div(from.n, kPiece));
    }
    if (table.count == kTableTensors || (t + 1 == count && table.count > 0)) {
      run(table);
      table = {};
    }
  }
}

template <class T>
GS_DEVICE compute_t<T> get(const void* p, int64_t i) {
  return widen(static_cast<const T*>(p)[i]);
}
template <class T>
GS_DEVICE void put(void* p, int64_t i, compute_t<T> v) {
  static_cast<T*>(p)[i] = T(v);
}

}  // namespace gs::cuda
