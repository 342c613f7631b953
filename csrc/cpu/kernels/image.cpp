// Batches of images: bytes picked by index, cut to a window, mirrored, and looked up.
#include <cstdint>

#include "core/parallel.h"
#include "cpu/isa.h"
#include "kernels/params/image.h"

namespace gs::cpu {
namespace {

constexpr int64_t kGrain = 32 << 10;  // pixels worth a task

GS_INLINE void fill_pixels(float* out, int64_t begin, int64_t end, float value) {
  for (int64_t x = begin; x < end; ++x) out[x] = value;
}

// The two common strides are constants for the compiler: planes (1) and interleaved colours (3).
template <int64_t step, bool mirrored>
GS_INLINE void look_up(const uint8_t* in, int64_t stride, const float* values, float* out,
                       int64_t n) {
  const int64_t by = step ? step : stride;
  for (int64_t x = 0; x < n; ++x) out[mirrored ? n - 1 - x : x] = values[in[x * by]];
}

template <bool mirrored>
GS_INLINE void look_up(const uint8_t* in, int64_t stride, const float* values, float* out,
                       int64_t n) {
  if (stride == 1) return look_up<1, mirrored>(in, stride, values, out, n);
  if (stride == 3) return look_up<3, mirrored>(in, stride, values, out, n);
  return look_up<0, mirrored>(in, stride, values, out, n);
}

// One plane (out_h, out_w) of one image, from its byte at (0, 0). The columns [from, to) of the
// window are inside the image; a mirrored row is written from its other end.
void make_plane(const ImageBatch& p, const uint8_t* plane, const float* values, float* out,
                int64_t top, int64_t left, bool flip) {
  const float outside = values[p.fill];
  const int64_t first = left < 0 ? -left : 0, last = p.in_w - left;
  const int64_t from = first < p.out_w ? first : p.out_w;
  const int64_t to = last > from ? (last < p.out_w ? last : p.out_w) : from;
  const int64_t before = flip ? p.out_w - to : from, after = flip ? p.out_w - from : to;
  for (int64_t y = 0; y < p.out_h; ++y, out += p.out_w) {
    if (y + top < 0 || y + top >= p.in_h) {
      fill_pixels(out, 0, p.out_w, outside);
      continue;
    }
    const uint8_t* row = plane + (y + top) * p.row_stride + (left + from) * p.column_stride;
    fill_pixels(out, 0, before, outside);
    if (flip) {
      look_up<true>(row, p.column_stride, values, out + before, to - from);
    } else {
      look_up<false>(row, p.column_stride, values, out + before, to - from);
    }
    fill_pixels(out, after, p.out_w, outside);
  }
}

// Whole planes that lie dense in memory are one long row.
GS_INLINE bool is_dense(const ImageBatch& p) {
  return !p.corners && !p.flip && p.column_stride == 1 && p.row_stride == p.in_w &&
         p.out_w == p.in_w && p.out_h <= p.in_h;
}

}  // namespace

namespace GS_ISA {

void image_batch(const ImageBatch& p) {
  const int64_t pixels = p.out_h * p.out_w;
  if (p.n == 0 || p.c == 0 || pixels == 0) return;
  const bool dense = is_dense(p);
  parallel_for(0, p.n, kGrain / (p.c * pixels) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const uint8_t* image = p.in + p.index[i] * p.image_stride;
      const int64_t top = p.corners ? p.corners[2 * i] : 0;
      const int64_t left = p.corners ? p.corners[2 * i + 1] : 0;
      for (int64_t c = 0; c < p.c; ++c) {
        const uint8_t* plane = image + c * p.channel_stride;
        const float* values = p.table + 256 * c;
        float* out = p.out + (i * p.c + c) * pixels;
        if (dense) {
          look_up<1, false>(plane, 1, values, out, pixels);
        } else {
          make_plane(p, plane, values, out, top, left, p.flip && p.flip[i]);
        }
      }
    }
  });
}

}  // namespace GS_ISA
}  // namespace gs::cpu
