#include "kernels/kernels.h"
#include "twin.h"

namespace gs {
namespace {

using twin::expect_same;
using twin::kCuda;
using twin::values;

constexpr DType kFloating[] = {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16};
constexpr DType kIntegers[] = {DType::Int64, DType::Int32, DType::Int16, DType::Int8, DType::UInt8};

using Function = Tensor (*)(const ops::Operand&, const ops::Operand&);

// One element, several blocks, tails of every length of a pack.
const Shape kShapes[] = {{}, {1}, {7}, {1030}, {3, 5, 7}, {0}};

TEST(Binary, Floating) {
  const Function functions[] = {ops::mul,  ops::maximum,   ops::minimum, ops::floor_divide,
                                ops::fmod, ops::remainder, ops::atan2};
  for (const DType dtype : kFloating)
    for (const Shape& shape : kShapes) {
      const Tensors in = {values(shape, 0.5, 2, dtype, 1), values(shape, 0.5, 2, dtype, 2)};
      for (const Function f : functions)
        expect_same([&](const Tensors& x) { return Tensors{f(x[0], x[1])}; }, in);
      expect_same([](const Tensors& x) { return Tensors{ops::pow(x[0], x[1])}; }, in);
      expect_same([](const Tensors& x) { return Tensors{ops::div(x[0], x[1], "")}; }, in);
      expect_same([](const Tensors& x) { return Tensors{ops::sub(x[0], x[1], Scalar(1.5))}; }, in);
    }
}

TEST(Binary, NaNWinsInMaximumAndMinimum) {
  Tensor a = values({9}, -1, 1), b = values({9}, -1, 1, DType::Float32, 2);
  a.data<float>()[2] = b.data<float>()[5] = std::nanf("");
  a.data<float>()[7] = INFINITY, b.data<float>()[8] = -INFINITY;
  expect_same([](const Tensors& x) { return Tensors{ops::detach(ops::maximum(x[0], x[1]))}; },
              {a, b});
  expect_same([](const Tensors& x) { return Tensors{ops::detach(ops::minimum(x[0], x[1]))}; },
              {a, b});
}

// Numbers of the host, numbers of the device, and rows and columns that are repeated.
TEST(Binary, Broadcast) {
  for (const DType dtype : kFloating) {
    const auto add = [](const Tensors& x) { return Tensors{ops::add(x[0], x[1], Scalar(1))}; };
    expect_same(add, {values({1030}, -2, 2, dtype), values({}, -2, 2, dtype, 2)});
    expect_same(add, {values({1}, -2, 2, dtype), values({1030}, -2, 2, dtype, 2)});
    expect_same(add, {values({5, 7}, -2, 2, dtype), values({7}, -2, 2, dtype, 2)});
    expect_same(add, {values({5, 1}, -2, 2, dtype), values({1, 300}, -2, 2, dtype, 2)});
    expect_same([](const Tensors& x) { return Tensors{ops::mul(x[0], 0.3)}; },
                {values({1030}, -2, 2, dtype)});
    expect_same([](const Tensors& x) { return Tensors{ops::sub(0.7, x[0], Scalar(1))}; },
                {values({3, 5}, -2, 2, dtype)});
  }
}

TEST(Binary, Strided) {
  const Tensor x = values({6, 10, 8}), y = values({6, 10, 8}, 1, 2, DType::Float32, 2);
  const auto div = [](const Tensors& in) { return Tensors{ops::div(in[0], in[1], "")}; };
  expect_same(div, {ops::transpose(x, 0, 2), ops::transpose(y, 0, 2)});
  expect_same(div, {ops::transpose(x, 0, 2), values({8, 10, 6}, 1, 2)});
  // Dense, but not from a multiple of 16 bytes.
  expect_same(div, {alias(x, {100}, {1}, 1), alias(y, {100}, {1}, 4)});
  expect_same(div, {alias(x, {100}, {1}, 4), alias(y, {100}, {1}, 3)});
}

// In place in the middle of a larger tensor: what lies before and behind is not touched.
void expect_same_within(const std::function<void(const Tensor&)>& change, const Tensor& whole,
                        int64_t from, int64_t size) {
  for (const int64_t step : {1, 2}) {
    const Tensor here = ops::clone(whole), there = ops::to_device(whole, kCuda);
    change(alias(here, {size}, {step}, from));
    change(alias(there, {size}, {step}, from));
    twin::expect_close(there, here, twin::tolerance_of(whole.dtype()));
  }
}

TEST(Binary, InPlaceWithinALargerTensor) {
  const auto add = [](const Tensor& x) {
    const Tensor more = values(x.shape(), 1, 9, x.dtype(), 2);
    ops::add_(x, ops::to_device(more, x.device()), Scalar(1));
  };
  for (const DType dtype : kFloating)
    for (const int64_t from : {8, 9})  // at a multiple of 16 bytes, and at none
      expect_same_within(add, values({2100}, -2, 2, dtype), from, 1021);
  for (const DType dtype : kIntegers)
    expect_same_within(add, values({620}, 0, 100, dtype), 16, 299);
}

TEST(Binary, Integers) {
  const Function functions[] = {ops::mul,         ops::maximum,    ops::minimum,
                                ops::bitwise_and, ops::bitwise_or, ops::bitwise_xor};
  const Function divisions[] = {ops::floor_divide, ops::remainder, ops::fmod};
  for (const DType dtype : kIntegers) {
    const double low = dtype == DType::UInt8 ? 0 : -120, high = dtype == DType::UInt8 ? 255 : 120;
    const Tensor a = values({301}, low, high, dtype, 1), b = values({301}, low, high, dtype, 2);
    const Tensor divisor = values({301}, 1, 9, dtype, 3), few = values({301}, 0, 7, dtype, 4);
    for (const Function f : functions)  // products wrap in the narrow types
      expect_same([&](const Tensors& x) { return Tensors{f(x[0], x[1])}; }, {a, b});
    for (const Function f : divisions)
      expect_same([&](const Tensors& x) { return Tensors{f(x[0], x[1])}; }, {a, divisor});
    for (const Function f : {ops::bitwise_left_shift, ops::bitwise_right_shift})
      expect_same([&](const Tensors& x) { return Tensors{f(x[0], x[1])}; }, {b, few});
    expect_same([](const Tensors& x) { return Tensors{ops::pow(x[0], x[1])}; }, {divisor, few});
    expect_same([](const Tensors& x) { return Tensors{ops::sub(x[0], x[1], Scalar(2))}; }, {a, b});
  }
}

TEST(Binary, IntegersOf64Bits) {
  const Tensor few = values({99}, -9, 9, DType::Int64, 1);
  const Tensor a = ops::mul(few, int64_t(1) << 40), b = ops::add(few, int64_t(1) << 35, Scalar(1));
  for (const Function f : {ops::mul, ops::maximum, ops::bitwise_xor})
    expect_same([&](const Tensors& x) { return Tensors{f(x[0], x[1])}; }, {few, a});
  expect_same([](const Tensors& x) { return Tensors{ops::sub(x[0], x[1], Scalar(1))}; }, {a, b});
  expect_same([](const Tensors& x) { return Tensors{ops::remainder(x[0], x[1])}; }, {a, b});
}

TEST(Binary, Bool) {
  const Tensor a = values({301}, -1, 1, DType::Float32, 1);
  const Tensor p = ops::gt(a, 0), q = ops::gt(values({301}, -1, 1, DType::Float32, 2), 0);
  const Function functions[] = {ops::mul,         ops::maximum,    ops::minimum,
                                ops::bitwise_and, ops::bitwise_or, ops::bitwise_xor};
  for (const Function f : functions)
    expect_same([&](const Tensors& x) { return Tensors{f(x[0], x[1])}; }, {p, q});
  expect_same([](const Tensors& x) { return Tensors{ops::add(x[0], x[1], Scalar(1))}; }, {p, q});
}

}  // namespace
}  // namespace gs
