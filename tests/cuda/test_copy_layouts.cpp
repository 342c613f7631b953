// Copies that turn axes, repeat or convert, fill and ranges: what lies beside a view stays.
#include "kernels/kernels.h"
#include "kernels/params/copy.h"
#include "twin.h"

namespace gs {
namespace {

using twin::expect_same;
using twin::kCuda;
using twin::values;

constexpr DType kAll[] = {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16,
                          DType::Int64,   DType::Int32,   DType::Int16,   DType::Int8,
                          DType::UInt8,   DType::Bool};

// Words of 1, 2, 4 and 8 bytes; sizes below a tile, of a tile, and several tiles with a rest.
TEST(CopyLayouts, TurnedAxes) {
  const auto dense = [](const Tensors& x) { return Tensors{ops::contiguous(x[0])}; };
  for (const DType dtype : {DType::Int8, DType::Float16, DType::Float32, DType::Float64}) {
    for (const Shape& shape : {Shape{8, 9}, Shape{32, 32}, Shape{33, 70}, Shape{7, 40}})
      expect_same(dense, {ops::transpose(values(shape, -99, 99, dtype), 0, 1)});
    const Tensor x = values({3, 9, 2, 35}, -99, 99, dtype);
    for (const Dims& turn :
         {Dims{0, 3, 2, 1}, Dims{3, 0, 2, 1}, Dims{2, 3, 0, 1}, Dims{3, 2, 1, 0}})
      expect_same(dense, {ops::permute(x, turn)});
  }
}

// A turned copy into the middle of a larger tensor.
TEST(CopyLayouts, TurnedIntoAView) {
  for (const DType dtype : {DType::Int8, DType::Float32}) {
    const Tensor x = values({40, 37}, -99, 99, dtype, 2), whole = values({50, 60}, -99, 99, dtype);
    const Tensor here = ops::clone(whole), there = ops::to_device(whole, kCuda);
    ops::copy_(alias(here, {37, 40}, {60, 1}, 65), ops::transpose(x, 0, 1));
    ops::copy_(alias(there, {37, 40}, {60, 1}, 65), ops::transpose(ops::to_device(x, kCuda), 0, 1));
    twin::expect_close(there, here, 0);
  }
}

TEST(CopyLayouts, StridedAndRepeated) {
  const Tensor x = values({6, 10, 8});
  const auto dense = [](const Tensors& in) { return Tensors{ops::contiguous(in[0])}; };
  for (const Tensor& view : {alias(x, {3, 5, 4}, {160, 16, 2}, 1), alias(x, {7, 50}, {0, 3}, 2),
                             alias(x, {100}, {1}, 3), alias(x, {1030}, {0}, 5)})
    expect_same(dense, {ops::detach(view)});
}

TEST(CopyLayouts, EveryPairOfDtypes) {
  for (const DType from : kAll) {
    const bool is_unsigned = from == DType::UInt8 || from == DType::Bool;
    Tensor x = values({1030}, is_unsigned ? 0 : -100, is_unsigned ? 255 : 100, from);
    if (from == DType::Bool) x = ops::gt(values({1030}), 0);
    if (from == DType::Float32) x.data<float>()[0] = 0.25f, x.data<float>()[1] = -0.0f;
    for (const DType to : kAll)
      if (to != DType::UInt8 || !is_floating(from))  // below 0 a cast to unsigned has no meaning
        expect_same([&](const Tensors& in) { return Tensors{ops::cast(in[0], to)}; }, {x});
  }
  const Tensor even =
      ops::mul(values({64}, 1, 9, DType::Int32), 2);  // not 0 though its last bit is
  for (const DType from : {DType::Int32, DType::Float64})
    expect_same([](const Tensors& in) { return Tensors{ops::cast(in[0], DType::Bool)}; },
                {ops::cast(even, from)});
}

// More digits than a float holds.
TEST(CopyLayouts, LargeNumbers) {
  const Tensor few = values({99}, -9, 9, DType::Int64);
  const Tensor large = ops::add(few, (int64_t(1) << 40) + 1, Scalar(1));
  expect_same([](const Tensors& in) { return Tensors{ops::cast(in[0], DType::Float64)}; }, {large});
  expect_same([](const Tensors& in) { return Tensors{ops::cast(in[0], DType::Int64)}; },
              {ops::cast(large, DType::Float64)});
}

TEST(CopyLayouts, RoundingOf16Bits) {
  const Tensor x = values({4000}, -3, 3);
  for (const DType to : {DType::Float16, DType::BFloat16})
    expect_same([&](const Tensors& in) { return Tensors{ops::cast(in[0], to)}; }, {x}, 1e-4);
}

TEST(CopyLayouts, FillWithinALargerTensor) {
  for (const DType dtype : kAll) {
    const Tensor whole = values({700}, 0, 9, dtype);
    for (const int64_t step : {1, 2}) {
      const Tensor here = ops::clone(whole), there = ops::to_device(whole, kCuda);
      ops::fill_(alias(here, {301}, {step}, 3), Scalar(int64_t(2)));
      ops::fill_(alias(there, {301}, {step}, 3), Scalar(int64_t(2)));
      twin::expect_close(there, here, 0);
    }
  }
}

TEST(CopyLayouts, Arange) {
  for (const DType dtype : kAll) {
    if (dtype == DType::Bool) continue;
    for (const int64_t n : {0, 1, 7, 100}) {
      const Scalar start(int64_t(3)), step(int64_t(1));
      const Scalar end(int64_t(3) + n);
      twin::expect_close(ops::arange(start, end, step, dtype, kCuda),
                         ops::arange(start, end, step, dtype, Device{}), 0);
    }
  }
  for (const DType dtype : {DType::Float32, DType::Float64})
    twin::expect_close(ops::arange(Scalar(0.1), Scalar(90.0), Scalar(0.1), dtype, kCuda),
                       ops::arange(Scalar(0.1), Scalar(90.0), Scalar(0.1), dtype, Device{}),
                       twin::tolerance_of(dtype));
}

TEST(CopyLayouts, Axpy) {
  for (const DType dtype : {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16}) {
    const Tensor y = values({700}, -2, 2, dtype, 1), x = values({700}, -2, 2, dtype, 2);
    const Tensor here = ops::clone(y), there = ops::to_device(y, kCuda);
    const Tensor x_there = ops::to_device(x, kCuda);
    const int64_t n = 601;
    kernels::axpy(Device{}, {here.raw(), x.raw(), n, dtype, 0.3});
    kernels::axpy(kCuda, {there.raw(), x_there.raw(), n, dtype, 0.3});
    twin::expect_close(there, here, twin::tolerance_of(dtype));
  }
}

}  // namespace
}  // namespace gs
