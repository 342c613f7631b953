// Batches of images from data sets that keep bytes: gathered, cropped, mirrored and normalised at
// once, so that a training loop never sees single images.
#include "kernels/params/image.h"
#include "ops/common.h"
#include "ops/fill.h"

namespace gs::ops {
namespace {

constexpr const char* kOp = "image_batch";
constexpr int64_t kFar = int64_t{1} << 31;  // window corners stay within this of 0

void check_images(const Tensor& images, const Tensor& table) {
  check_defined(kOp, images, "images");
  check_defined(kOp, table, "table");
  GS_CHECK(images.dtype() == DType::UInt8, Type, kOp, "expected images of dtype uint8, got ",
           images.dtype(), ".");
  GS_CHECK(images.dim() == 4, Value, kOp, "expected images of shape (N, C, H, W), got ",
           images.shape(), ".");
  GS_CHECK(table.dtype() == DType::Float32, Type, kOp, "expected a table of dtype float32, got ",
           table.dtype(), ".");
  GS_CHECK(table.shape() == Shape({images.size(1), 256}), Value, kOp, "expected a table of shape (",
           images.size(1), ", 256), got ", table.shape(), ".");
}

// int64, contiguous, (n, 2); undefined stays undefined.
Tensor checked_corners(const Tensor& corners, int64_t n) {
  if (!corners.defined()) return corners;
  check_integral(kOp, corners, "corners");
  GS_CHECK(corners.shape() == Shape({n, 2}), Value, kOp, "expected corners of shape (", n,
           ", 2), got ", corners.shape(), ".");
  Tensor dense = as_index(corners);
  // On CUDA nobody waits for an answer: what is far away lies outside the image, where nothing is
  // read.
  if (dense.device().is_cpu()) check_index_range(kOp, dense, kFar, "corner", true);
  return dense;
}

Tensor checked_flip(const Tensor& flip, int64_t n) {
  if (!flip.defined()) return flip;
  GS_CHECK(flip.dtype() == DType::Bool, Type, kOp, "expected flip of dtype bool, got ",
           flip.dtype(), ".");
  GS_CHECK(flip.shape() == Shape({n}), Value, kOp, "expected flip of shape (", n, "), got ",
           flip.shape(), ".");
  return contiguous(flip);
}

}  // namespace

Rows rows_of_images(const Tensor& images, const Tensor& index, const Tensor& table,
                    const Dims& size, const Tensor& corners, const Tensor& flip, int64_t fill,
                    bool pinned) {
  check_images(images, table);
  check_integral(kOp, index);
  check_same_device(kOp, {&images, &index, &table, &corners, &flip});
  GS_CHECK(index.dim() == 1, Value, kOp, "expected a vector of indices, got shape ", index.shape(),
           ".");
  GS_CHECK(size.size() == 2 && size[0] >= 0 && size[1] >= 0, Value, kOp,
           "expected a size of two numbers of 0 or more, got ", Shape(size), ".");
  GS_CHECK(fill >= 0 && fill <= 255, Value, kOp, "expected fill in [0, 255], got ", fill, ".");
  Tensor at = as_index(index);
  check_index_range(kOp, at, images.size(0), "index");
  const int64_t n = at.numel(), c = images.size(1);
  const Tensor where = checked_corners(corners, n), mirrored = checked_flip(flip, n);
  const Tensor values = contiguous(detached(table)), from = detached(images);
  const Shape shape{n, c, size[0], size[1]};
  const Tensor y = pinned && images.device().is_cpu()
                       ? empty_pinned(shape, DType::Float32)
                       : empty(shape, DType::Float32, images.device());
  const auto write = [=, h = size[0], w = size[1]](int64_t begin, int64_t end) {
    kernels::image_batch(
        y.device(),
        {static_cast<const uint8_t*>(from.raw()), at.data<int64_t>() + begin, values.data<float>(),
         where.defined() ? where.data<int64_t>() + 2 * begin : nullptr,
         mirrored.defined() ? mirrored.data<bool>() + begin : nullptr,
         y.data<float>() + begin * c * h * w, end - begin, c, from.size(2), from.size(3), h, w,
         from.stride(0), from.stride(1), from.stride(2), from.stride(3),
         static_cast<uint8_t>(fill)});
  };
  return {y, write};
}

Tensor image_batch(const Tensor& images, const Tensor& index, const Tensor& table, const Dims& size,
                   const Tensor& corners, const Tensor& flip, int64_t fill) {
  const Rows rows = rows_of_images(images, index, table, size, corners, flip, fill);
  rows.write(0, index.numel());
  return rows.out;
}

}  // namespace gs::ops
