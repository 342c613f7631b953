#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "core/parallel.h"
#include "kernel_test.h"
#include "kernels/params/image.h"

namespace gs {
namespace {

struct Case {
  int64_t n, c, in_h, in_w, out_h, out_w;
  bool interleaved, cut, flip;
};

// Everything one pixel at a time.
std::vector<float> expected(const ImageBatch& p) {
  std::vector<float> out;
  for (int64_t i = 0; i < p.n; ++i)
    for (int64_t c = 0; c < p.c; ++c)
      for (int64_t y = 0; y < p.out_h; ++y)
        for (int64_t x = 0; x < p.out_w; ++x) {
          const int64_t column = p.flip && p.flip[i] ? p.out_w - 1 - x : x;
          const int64_t v = y + (p.corners ? p.corners[2 * i] : 0);
          const int64_t u = column + (p.corners ? p.corners[2 * i + 1] : 0);
          const bool inside = v >= 0 && v < p.in_h && u >= 0 && u < p.in_w;
          const uint8_t byte = inside ? p.in[p.index[i] * p.image_stride + c * p.channel_stride +
                                             v * p.row_stride + u * p.column_stride]
                                      : p.fill;
          out.push_back(p.table[256 * c + byte]);
        }
  return out;
}

void check(const Case& s) {
  std::mt19937 engine(3);
  const int64_t images = 5, area = s.in_h * s.in_w;
  std::vector<uint8_t> in(static_cast<size_t>(images * s.c * area + 1));
  for (auto& b : in) b = static_cast<uint8_t>(engine());
  std::vector<float> table;
  for (int64_t i = 0; i < 256 * s.c; ++i) table.push_back(static_cast<float>(i) * 0.5f);
  std::vector<int64_t> index, corners;
  std::vector<char> flip;
  for (int64_t i = 0; i < s.n; ++i) {
    index.push_back(static_cast<int64_t>(engine() % images));
    // Windows beside the image and far from it too.
    corners.push_back(static_cast<int64_t>(engine() % 13) - 6);
    corners.push_back(i % 7 == 6 ? (i % 2 ? 1000 : -1000)
                                 : static_cast<int64_t>(engine() % 13) - 6);
    flip.push_back(static_cast<char>(engine() % 2));
  }
  std::vector<float> out(static_cast<size_t>(s.n * s.c * s.out_h * s.out_w));
  const int64_t pixel = s.interleaved ? s.c : 1;
  const ImageBatch p{in.data() + 1,
                     index.data(),
                     table.data(),
                     s.cut ? corners.data() : nullptr,
                     s.flip ? reinterpret_cast<const bool*>(flip.data()) : nullptr,
                     out.data(),
                     s.n,
                     s.c,
                     s.in_h,
                     s.in_w,
                     s.out_h,
                     s.out_w,
                     s.c * area,
                     s.interleaved ? 1 : area,
                     s.in_w * pixel,
                     pixel,
                     77};
  const std::vector<float> want = expected(p);
  for (Isa isa : isas()) {
    for (int threads : {1, 2, 3}) {
      set_num_threads(threads);
      std::fill(out.begin(), out.end(), -1.0f);
      cpu::table(isa).image_batch(p);
      EXPECT_EQ(out, want) << cpu::name_of(isa) << ' ' << s.n << ' ' << s.c << ' ' << s.out_w;
    }
  }
}

TEST(Image, BatchesEqualPixelByPixel) {
  for (int64_t n : {0, 1, 7, 40})
    for (int64_t c : {1, 2, 3})
      for (bool interleaved : {false, true})
        for (int how = 0; how < 4; ++how) {
          const bool cut = how & 1, flip = how & 2;
          check({n, c, 28, 28, 28, 28, interleaved, cut, flip});
          check({n, c, 9, 17, 5, 31, interleaved, cut, flip});
          check({n, c, 9, 17, 33, 3, interleaved, cut, flip});
          check({n, c, 4, 65, 3, 65, interleaved, cut, flip});
          check({n, c, 1, 1, 1, 1, interleaved, cut, flip});
          check({n, c, 3, 3, 0, 2, interleaved, cut, flip});
        }
}

}  // namespace
}  // namespace gs
