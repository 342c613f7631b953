// Parameters of indexing; kernels.h says what holds for all.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace gs {

// All index arrays have been checked and made non-negative by the operation (check_index_range).

// out[o, i, j] = in[o, index[i], j]: rows of `inner` elements; any dtype.
struct IndexSelect {
  const void* in;
  const int64_t* index;
  void* out;
  int64_t element_size;
  int64_t outer, n_in, n_index, inner;
};
// out[o, index[i], j] += in[o, i, j] in the order of i: deterministic, no atomics. out holds values
// already. Embedding backward is outer = 1.
struct IndexAdd {
  const void* in;
  const int64_t* index;
  void* out;
  DType dtype;
  int64_t outer, n_out, n_index, inner;
  double alpha;
};
// torch.gather along the middle of (outer, n, inner): out[o, i, j] = in[o, index[o, i, j], j],
// where index and out are dense (outer, m, inner) (the operation has narrowed `in` to the index's
// outer and inner).
struct Gather {
  const void* in;
  int64_t in_outer_stride, in_n_stride;  // elements; the inner stride is 1
  const int64_t* index;
  void* out;
  int64_t element_size;
  int64_t outer, n, m, inner;
};
// out[o, index[o, i, j], j] += (or =) src[o, i, j].
struct Scatter {
  const void* src;
  const int64_t* index;
  void* out;
  int64_t out_outer_stride, out_n_stride;
  DType dtype;
  bool add;
  int64_t outer, n, m, inner;
};
// Advanced indexing on leading dimensions: offsets[i] (elements, computed by the operation) -> rows
// of `inner` dense elements. take: out[i, :] = in[offsets[i], :]; put: in order of i.
struct Take {
  const void* in;
  const int64_t* offsets;
  void* out;
  int64_t element_size, n, inner;
};
struct Put {
  const void* src;
  int64_t src_stride;  // 0 to broadcast one row
  const int64_t* offsets;
  void* out;
  DType dtype;
  bool add;
  int64_t n, inner;
  int64_t extent = 0;  // elements of `out`: every offset + inner is at most that (CUDA alone asks)
};
// Writes min and max of an int64 array (n > 0).
struct IndexRange {
  const int64_t* index;
  int64_t n;
  int64_t* low;
  int64_t* high;
};
// Flat positions of the true elements of a dense bool array; *count receives how many. positions
// has room for as many, or is null: then they are counted and no more.
struct Nonzero {
  const bool* mask;
  int64_t n;
  int64_t* positions;
  int64_t* count;
};
// y (rows, n) with zero above (upper = false) or below diagonal + k; any dtype, in may be y.
struct Triangle {
  const void* in;
  void* out;
  int64_t element_size;
  int64_t batch, rows, cols, diagonal;
  bool upper;
};

}  // namespace gs
