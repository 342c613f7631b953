#include "kernels/kernels.h"
#include "kernels/params/image.h"
#include "twin.h"

namespace gs {
namespace {

using twin::kCuda;

struct Case {
  int64_t n, c, in_h, in_w, out_h, out_w;
  bool corners, flip, interleaved;
};

// The kernel on both devices, from the same bytes.
void check(const Case& k) {
  SCOPED_TRACE(testing::Message() << k.out_h << " x " << k.out_w << " of " << k.c);
  constexpr int64_t kImages = 6;
  const Tensor images = twin::values({kImages, k.c, k.in_h, k.in_w}, 0, 256, DType::UInt8, 1);
  const Tensor index = twin::values({k.n}, 0, kImages, DType::Int64, 2);
  const Tensor table = twin::values({k.c, 256}, -2, 2, DType::Float32, 3);
  const Tensor corners = twin::values({k.n, 2}, -6, 6, DType::Int64, 4);
  const Tensor flip = twin::values({k.n}, -1, 1, DType::Float32, 5);
  Tensor mirrored = empty({k.n}, DType::Bool);
  for (int64_t i = 0; i < k.n; ++i) mirrored.data<bool>()[i] = flip.data<float>()[i] > 0;

  const auto run = [&](Device device) {
    const auto there = [&](const Tensor& t) { return ops::to_device(t, device); };
    const Tensor in = there(images), at = there(index), values = there(table);
    const Tensor where = there(corners), turned = there(mirrored);
    const Tensor y = empty({k.n, k.c, k.out_h, k.out_w}, DType::Float32, device);
    ImageBatch p{};
    p.in = static_cast<const uint8_t*>(in.raw());
    p.index = at.data<int64_t>(), p.table = values.data<float>();
    p.corners = k.corners ? where.data<int64_t>() : nullptr;
    p.flip = k.flip ? turned.data<bool>() : nullptr;
    p.out = y.data<float>();
    p.n = k.n, p.c = k.c, p.in_h = k.in_h, p.in_w = k.in_w, p.out_h = k.out_h, p.out_w = k.out_w;
    p.image_stride = k.c * k.in_h * k.in_w;
    p.channel_stride = k.interleaved ? 1 : k.in_h * k.in_w;
    p.row_stride = k.interleaved ? k.in_w * k.c : k.in_w;
    p.column_stride = k.interleaved ? k.c : 1;
    p.fill = 200;
    kernels::image_batch(device, p);
    return y;
  };
  twin::expect_close(run(kCuda), run(Device{}), 0);
}

TEST(ImageBatch, WholeImages) {
  check({5, 1, 28, 28, 28, 28, false, false, false});
  check({4, 3, 33, 35, 33, 35, false, true, true});
}

TEST(ImageBatch, WindowsOverTheEdges) {
  check({9, 3, 12, 10, 9, 13, true, true, false});
  check({9, 3, 12, 10, 17, 8, true, true, true});
  check({7, 2, 5, 6, 3, 2, true, false, false});
}

TEST(ImageBatch, SeveralBlocksOfAPlane) { check({2, 2, 50, 47, 61, 59, true, true, false}); }

TEST(ImageBatch, Empty) {
  check({0, 3, 8, 8, 8, 8, true, true, false});
  check({2, 3, 8, 8, 0, 8, false, false, false});
}

}  // namespace
}  // namespace gs
