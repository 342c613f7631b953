#include <limits>

#include "kernels/kernels.h"
#include "kernels/params/cross_entropy.h"
#include "twin.h"

namespace gs {
namespace {

using twin::expect_close;
using twin::kCuda;
using twin::tolerance_of;
using twin::values;

constexpr DType kFloating[] = {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16};
constexpr int64_t kIgnored = -100;

struct Case {
  int64_t outer, n, inner;
  bool weighted = false, ignoring = false, scalar_dloss = false;
  double smoothing = 0;
};

Tensor targets_of(const Case& c) {
  Tensor t = empty({c.outer, c.inner}, DType::Int64);
  for (int64_t i = 0; i < t.numel(); ++i)
    t.data<int64_t>()[i] = c.ignoring && i % 3 == 1 ? kIgnored : (i * 7 + 3) % c.n;
  return t;
}

struct Results {
  Tensor loss, lse, dx;
};

// Both kernels, as the operation calls them.
Results run(const Case& c, const Tensor& x, const Tensor& target, const Tensor& weight,
            const Tensor& dloss) {
  const Device device = x.device();
  const Shape positions{c.outer, c.inner};
  Results r{empty(positions, x.dtype(), device), empty(positions, x.dtype(), device),
            empty(x.shape(), x.dtype(), device)};
  const void* w = c.weighted ? weight.raw() : nullptr;
  kernels::cross_entropy(device, {x.raw(), target.data<int64_t>(), w, r.loss.raw(), r.lse.raw(),
                                  x.dtype(), c.outer, c.n, c.inner, kIgnored, c.smoothing});
  kernels::cross_entropy_grad(
      device, {x.raw(), target.data<int64_t>(), w, r.lse.raw(), dloss.raw(), c.scalar_dloss ? 0 : 1,
               r.dx.raw(), x.dtype(), c.outer, c.n, c.inner, kIgnored, c.smoothing});
  return r;
}

void compare(const Case& c, const Tensor& x, double tolerance) {
  const Tensor target = targets_of(c), weight = values({c.n}, 0.2, 1, x.dtype(), 3),
               dloss = values({c.outer, c.inner}, -1, 1, x.dtype(), 5);
  const auto move = [](const Tensor& t) { return ops::to_device(t, kCuda); };
  const Results here = run(c, x, target, weight, dloss),
                there = run(c, move(x), move(target), move(weight), move(dloss));
  expect_close(there.loss, here.loss, tolerance);
  expect_close(there.lse, here.lse, tolerance);
  expect_close(there.dx, here.dx, tolerance);
}

void on_dtypes(const Case& c) {
  for (const DType dtype : kFloating)
    compare(c, values({c.outer, c.n, c.inner}, -4, 4, dtype), 2 * tolerance_of(dtype));
}

TEST(CrossEntropy, Rows) {
  for (const int64_t n : {1, 2, 10, 13, 61, 64, 200, 1000}) {
    on_dtypes({37, n, 1});
    on_dtypes({5, n, 1, true, true, false, 0.1});
    on_dtypes({5, n, 1, true, false, true});
    on_dtypes({5, n, 1, false, true, false, 0.3});
  }
}
TEST(CrossEntropy, LongRows) {
  for (const int64_t n : {4099, 20003}) {
    compare({3, n, 1}, values({3, n, 1}, -4, 4), 3e-6);
    compare({3, n, 1, true, true, false, 0.1}, values({3, n, 1}, -4, 4), 6e-6);
    compare({3, n, 1}, values({3, n, 1}, -4, 4, DType::BFloat16), 1.6e-2);
  }
}
TEST(CrossEntropy, Columns) {
  for (const Case& c : {Case{3, 5, 7}, Case{2, 21, 33}, Case{1, 300, 9}, Case{2, 70, 65}}) {
    on_dtypes(c);
    Case full = c;
    full.weighted = full.ignoring = true, full.smoothing = 0.1;
    on_dtypes(full);
  }
}

TEST(CrossEntropy, Empty) {
  compare({0, 5, 1}, values({0, 5, 1}), 0);
  compare({3, 5, 0}, values({3, 5, 0}), 0);
}

// Masked classes, rows without a finite logit, and logits that overflow a plain exponential.
TEST(CrossEntropy, InfinityAndNaN) {
  const float inf = std::numeric_limits<float>::infinity();
  for (const double smoothing : {0.0, 0.1})
    for (const bool columns : {false, true}) {
      const Case c{columns ? 1 : 6, 40, columns ? 6 : 1, false, false, false, smoothing};
      Tensor x = values({c.outer, c.n, c.inner});
      const auto at = [&](int64_t row, int64_t j) -> float& {
        return x.data<float>()[columns ? j * 6 + row : row * 40 + j];
      };
      at(0, 9) = at(0, 39) = -inf;
      at(1, 10) = -inf;  // the target
      at(2, 4) = inf;
      at(3, 8) = NAN;
      for (int64_t j = 0; j < 40; ++j) at(4, j) = -inf;
      at(5, 0) = 3e4f, at(5, 1) = -3e4f;
      compare(c, x, 3e-6);
    }
}

// The losses of confident rows keep their digits beside large logits.
TEST(CrossEntropy, LargeLogits) {
  const Case c{8, 100, 1};
  compare(c, ops::add(values({8, 100, 1}, -8, 8), 1000.0, 1), 3e-6);
}

}  // namespace
}  // namespace gs
