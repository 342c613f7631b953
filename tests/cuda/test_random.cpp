#include "core/random.h"
#include "twin.h"

namespace gs {
namespace {

using twin::expect_close;
using twin::kCuda;
using twin::values;

constexpr DType kFloating[] = {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16};

// The same draw on both devices, into the middle of a larger tensor: the numbers agree, and what
// lies before and behind is not touched.
void expect_same_draw(const std::function<void(const Tensor&)>& draw, DType dtype,
                      double tolerance) {
  for (const int64_t n : {1, 2, 3, 5, 1021, 2300}) {
    const Tensor whole = values({n + 32}, 0, 9, dtype);
    const Tensor here = ops::clone(whole), there = ops::to_device(whole, kCuda);
    draw(alias(here, {n}, {1}, 16));
    draw(alias(there, {n}, {1}, 16));
    expect_close(there, here, tolerance);
  }
}

TEST(Random, Uniform) {
  for (const DType dtype : kFloating) {
    expect_same_draw([](const Tensor& x) { ops::uniform_(x, 0, 1, 5, 0); }, dtype, 0);
    // Among these some round up to the end, which is not in the range.
    expect_same_draw([](const Tensor& x) { ops::uniform_(x, 1, 2, 5, 3); }, dtype, 0);
    expect_same_draw([](const Tensor& x) { ops::uniform_(x, -3, 0.7, 12345678901, 7); }, dtype, 0);
  }
}

TEST(Random, Normal) {
  for (const DType dtype : kFloating)
    expect_same_draw([](const Tensor& x) { ops::normal_(x, 0.5, 3, 5, 2); }, dtype,
                     twin::tolerance_of(dtype));
}

TEST(Random, Bernoulli) {
  for (const DType dtype : {DType::Float32, DType::Float16, DType::Int64, DType::Bool})
    for (const double p : {0.0, 0.3, 1.0})
      expect_same_draw([&](const Tensor& x) { ops::bernoulli_(x, p, 5, 1); }, dtype, 0);
}

TEST(Random, Integers) {
  for (const DType dtype : {DType::Int64, DType::Int32, DType::UInt8, DType::Float32})
    expect_same_draw([](const Tensor& x) { ops::random_integers_(x, 3, 250, 5, 1); }, dtype, 0);
  // Ranges of more than 32 bits: the product has four parts and a carry.
  const int64_t big = int64_t(1) << 62;
  expect_same_draw([&](const Tensor& x) { ops::random_integers_(x, -big, big - 5, 5, 1); },
                   DType::Int64, 0);
  expect_same_draw([](const Tensor& x) { ops::random_integers_(x, 7, 0x2ffffffff, 9, 1); },
                   DType::Int64, 0);
}

TEST(Random, Dropout) {
  for (const DType dtype : kFloating)
    for (const double p : {0.0, 0.25, 1.0})
      for (const int64_t n : {1, 3, 1021}) {
        const Tensor x = values({n}, 1, 2, dtype), there = ops::to_device(x, kCuda);
        default_generator().manual_seed(11);
        const Tensor y = ops::dropout(x, p, true);
        default_generator().manual_seed(11);
        expect_close(ops::dropout(there, p, true), y, 0);
      }
}

TEST(Random, RowsOfTheirOwn) {
  for (const DType dtype : {DType::Float32, DType::Int64}) {
    const Tensor here = values({37}, 0, 1, dtype), there = ops::to_device(here, kCuda);
    ops::random_each_(here, 0, 1000, 3, 5, 9);
    ops::random_each_(there, 0, 1000, 3, 5, 9);
    expect_close(there, here, 0);
  }
}

}  // namespace
}  // namespace gs
