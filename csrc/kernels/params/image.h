// Parameters of batches of images; kernels.h says what holds for all.
#pragma once

#include <cstdint>

namespace gs {

// Image i of out (n, c, out_h, out_w) is image index[i] of `in` (bytes, strides in elements), seen
// through the window whose corner is at row corners[2 i], column corners[2 i + 1] of the image and
// mirrored left to right where flip[i]. Byte b of channel c becomes table[256 c + b]; what lies
// outside the image counts as the byte `fill`. Corners have been checked to be far from overflow.
struct ImageBatch {
  const uint8_t* in;
  const int64_t* index;
  const float* table;      // (c, 256)
  const int64_t* corners;  // (n, 2) or null: (0, 0)
  const bool* flip;        // n or null
  float* out;
  int64_t n, c, in_h, in_w, out_h, out_w;
  int64_t image_stride, channel_stride, row_stride, column_stride;
  uint8_t fill;
};

}  // namespace gs
