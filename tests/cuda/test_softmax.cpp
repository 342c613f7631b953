#include <limits>

#include "twin.h"

namespace gs {
namespace {

using twin::expect_same;
using twin::values;

constexpr DType kFloating[] = {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16};

void softmax_along(const Tensor& x, int64_t dim, double tolerance = -1) {
  expect_same(
      [dim](const Tensors& in) {
        return Tensors{ops::softmax(in[0], dim, std::nullopt),
                       ops::log_softmax(in[0], dim, std::nullopt)};
      },
      {x}, tolerance);
}

// Rows for every team, of even and odd lengths, and one beyond the registers of a block.
TEST(Softmax, Rows) {
  for (const DType dtype : kFloating)
    for (const int64_t n : {1, 3, 10, 15, 16, 31, 61, 63, 64, 127, 200, 1001, 2048})
      softmax_along(values({5, n}, -3, 3, dtype), -1);
  for (const DType dtype : kFloating) softmax_along(values({130, 9}, -3, 3, dtype), 1);
}
TEST(Softmax, LongRows) {
  for (const int64_t n : {5000, 16385, 32767}) softmax_along(values({2, n}), -1);
  softmax_along(values({2, 34003}), 1);
  softmax_along(values({1, 66003}, -3, 3, DType::BFloat16), 1);
  softmax_along(values({1, 70000}, -3, 3, DType::Float16), 1);
}

TEST(Softmax, Columns) {
  for (const DType dtype : kFloating)
    for (const Shape& shape :
         {Shape{3, 5, 7}, Shape{2, 21, 33}, Shape{2, 300, 3}, Shape{1, 70, 65}})
      softmax_along(values(shape, -3, 3, dtype), 1);
}

TEST(Softmax, StridedScalarEmpty) {
  softmax_along(ops::transpose(values({6, 40}), 0, 1), 1);
  softmax_along(values({}), 0);
  softmax_along(values({0, 4}), 1);
  softmax_along(values({4, 0}), 1);
  // A row that starts in the middle of 16 bytes.
  const Tensor x = values({7 * 40});
  softmax_along(alias(x, {6, 37}, {37, 1}, 1), 1);
  softmax_along(alias(x, {6, 40}, {40, 1}, 3), 1);
}

TEST(Softmax, InfinityAndNaN) {
  const float inf = std::numeric_limits<float>::infinity(), nan = NAN;
  for (const int64_t n : {8, 300, 35000})
    for (const bool columns : {false, true}) {
      if (columns && n > 300) continue;
      Tensor x = values({6, n}, -1, 1);
      float* p = x.data<float>();
      p[0] = -inf, p[n - 1] = -inf;
      p[n + 2] = inf;
      for (int64_t i = 0; i < n; ++i) p[2 * n + i] = -inf;
      p[3 * n + 5] = nan;
      p[4 * n + 1] = 1e30f, p[4 * n + 2] = -1e30f;
      // A masked row: most threads see nothing, and the row has a sum all the same.
      for (int64_t i = 0; i < n - n / 8; ++i) p[5 * n + i] = -inf;
      for (const bool log : {false, true}) {
        const Tensor view = columns ? ops::transpose(x, 0, 1) : x;
        const Tensor here = log ? ops::log_softmax(view, columns ? 0 : 1, std::nullopt)
                                : ops::softmax(view, columns ? 0 : 1, std::nullopt);
        const Tensor moved = ops::to_device(ops::contiguous(view), twin::kCuda);
        const Tensor there = log ? ops::log_softmax(moved, columns ? 0 : 1, std::nullopt)
                                 : ops::softmax(moved, columns ? 0 : 1, std::nullopt);
        twin::expect_close(there, here, 3e-6);
      }
    }
}

}  // namespace
}  // namespace gs
