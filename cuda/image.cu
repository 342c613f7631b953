// Batches of images: bytes picked by index, cut to a window, mirrored, and looked up. A block makes
// up to kPixels pixels of one channel of one image, whose table of 256 numbers it keeps at hand.
#include "divisor.cuh"
#include "kernels/kernels.h"
#include "kernels/params/image.h"
#include "runtime/stream.h"

namespace gs::cuda {
namespace {

constexpr int kThreads = 256, kPixels = 8 * kThreads;

// ImageBatch without holes; `fill` is one number like the others.
struct Images {
  const uint8_t* in = nullptr;
  const int64_t* index = nullptr;
  const float* table = nullptr;
  const int64_t* corners = nullptr;
  const bool* flip = nullptr;
  float* out = nullptr;
  int64_t c = 0, in_h = 0, in_w = 0;
  int64_t image_stride = 0, channel_stride = 0, row_stride = 0, column_stride = 0;
  int64_t fill = 0, parts = 1;  // blocks of one plane
  PlaneGrid plane = {};         // one, of the output
};

__global__ void __launch_bounds__(kThreads) image_kernel(const __grid_constant__ Images p) {
  GS_SHARED(values, float[256]);
  const int64_t out_plane = blockIdx.x / p.parts, part = blockIdx.x % p.parts;
  const int64_t image = out_plane / p.c, channel = out_plane % p.c;
  values[threadIdx.x] = p.table[256 * channel + threadIdx.x];
  __syncthreads();

  const uint8_t* in = p.in + p.index[image] * p.image_stride + channel * p.channel_stride;
  const int64_t top = p.corners ? p.corners[2 * image] : 0;
  const int64_t left = p.corners ? p.corners[2 * image + 1] : 0;
  const bool flip = p.flip && p.flip[image];
  float* out = p.out + out_plane * p.plane.count();
  GS_UNROLL for (int i = 0; i < kPixels; i += kThreads) {
    const int64_t pixel = part * kPixels + i + threadIdx.x;
    if (pixel >= p.plane.count()) break;
    const PlanePoint at = p.plane[pixel];
    const int64_t row = top + at.row;
    const int64_t column = left + (flip ? p.plane.columns() - 1 - at.column : at.column);
    const bool inside = row >= 0 && row < p.in_h && column >= 0 && column < p.in_w;
    out[pixel] = values[inside ? in[row * p.row_stride + column * p.column_stride] : p.fill];
  }
}

}  // namespace

void image_batch(const ImageBatch& p) {
  Images images;
  images.plane = PlaneGrid(1, p.out_h, p.out_w);
  if (p.n == 0 || p.c == 0 || images.plane.count() == 0) return;
  images.in = p.in, images.index = p.index, images.table = p.table;
  images.corners = p.corners, images.flip = p.flip, images.out = p.out;
  images.c = p.c, images.in_h = p.in_h, images.in_w = p.in_w;
  images.image_stride = p.image_stride, images.channel_stride = p.channel_stride;
  images.row_stride = p.row_stride, images.column_stride = p.column_stride;
  images.fill = p.fill;
  images.parts = ceil_div(images.plane.count(), kPixels);
  const int64_t blocks = p.n * p.c * images.parts;
  GS_CHECK(blocks <= INT32_MAX, NotImplemented, "image_batch",
           "the batch is too large for one launch.");
  launch({dim3(static_cast<unsigned>(blocks)), dim3(kThreads), 0, current_stream()}, image_kernel,
         images);
}

}  // namespace gs::cuda
