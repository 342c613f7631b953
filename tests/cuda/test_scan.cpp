#include "kernels/kernels.h"
#include "kernels/params/reduce.h"
#include "twin.h"

namespace gs {
namespace {

using twin::expect_same;
using twin::values;

// (outer, n, inner) over the middle: rows of a thread, a warp, a block and cut ones; columns too.
const Shape kShapes[] = {{1, 1, 1},    {5, 3, 1},   {7, 40, 1},  {3, 517, 1},
                         {2, 9001, 1}, {300, 2, 1}, {3, 5, 2},   {2, 37, 33},
                         {1, 700, 5},  {2, 4, 300}, {1, 5000, 3}};
const DType kAll[] = {DType::Bool,    DType::UInt8,  DType::Int8,    DType::Int16,
                      DType::Int32,   DType::Int64,  DType::Float16, DType::BFloat16,
                      DType::Float32, DType::Float64};

Tensor there(const Tensor& t) { return ops::to_device(t, twin::kCuda); }

Tensor some(const Shape& shape, DType dtype, int range, int seed = 1) {
  return values(shape, dtype == DType::Bool || dtype == DType::UInt8 ? 0 : -range, range + 1, dtype,
                seed);
}

// ---------------------------------------------------------------- first extremes

void check_extreme(const Tensor& x, bool largest, bool with_values = true) {
  const int64_t outer = x.size(0), n = x.size(1), inner = x.size(2);
  const Tensor far = there(x);
  const Tensor v = empty({outer, inner}, x.dtype()), i = empty({outer, inner}, DType::Int64);
  const Tensor w = empty({outer, inner}, x.dtype(), twin::kCuda);
  const Tensor j = empty({outer, inner}, DType::Int64, twin::kCuda);
  kernels::arg_extreme(Device{},
                       {largest, x.raw(), v.raw(), i.data<int64_t>(), x.dtype(), outer, n, inner});
  kernels::arg_extreme(twin::kCuda, {largest, far.raw(), with_values ? w.raw() : nullptr,
                                     j.data<int64_t>(), x.dtype(), outer, n, inner});
  if (with_values) twin::expect_close(w, v, 0);
  twin::expect_close(j, i, 0);
}

TEST(ArgExtreme, FirstOfEqualOnes) {
  for (const DType dtype : kAll)
    for (const Shape& shape : kShapes) {
      SCOPED_TRACE(::testing::Message() << dtype << " " << shape);
      const Tensor x = some(shape, dtype, 9);  // many ties
      check_extreme(x, true);
      check_extreme(x, false, false);
    }
}

TEST(ArgExtreme, NanInfinityAndSignedZero) {
  for (const DType dtype : {DType::Float16, DType::BFloat16, DType::Float32, DType::Float64})
    for (const Shape& shape : {Shape{3, 600, 1}, Shape{1, 70, 3}}) {
      Tensor x = values(shape, -2, 2);
      float* p = x.data<float>();
      p[40] = NAN, p[55] = -NAN, p[90] = INFINITY, p[100] = -INFINITY;
      check_extreme(ops::cast(x, dtype), true);
      check_extreme(ops::cast(x, dtype), false);
      for (int64_t i = 0; i < x.numel(); ++i) p[i] = i % 3 ? 0.0f : -0.0f;
      check_extreme(ops::cast(x, dtype), true);
      check_extreme(ops::cast(x, dtype), false);
    }
}

// Nothing but the worst value there is: no worse than that of a lane which has none at all.
TEST(ArgExtreme, OnlyTheWorstValue) {
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(::testing::Message() << shape);
    check_extreme(ops::full(shape, Scalar(int64_t(0)), DType::UInt8, Device{}), true);
    check_extreme(ops::full(shape, Scalar(int64_t(255)), DType::UInt8, Device{}), false);
    check_extreme(ops::full(shape, Scalar(false), DType::Bool, Device{}), true);
    check_extreme(ops::full(shape, Scalar(INT64_MIN), DType::Int64, Device{}), true);
    check_extreme(ops::full(shape, Scalar(-INFINITY), DType::Float32, Device{}), true);
  }
}

TEST(ArgExtreme, Operations) {
  for (const int64_t d : {0, 1, 2})
    expect_same(
        [d](const Tensors& in) {
          const Tensor x = ops::detach(in[0]);
          const auto y = ops::max_dim(x, d, false);
          return Tensors{y.values, y.indices, ops::argmin(x, d, true),
                         ops::argmax(x, std::nullopt, false)};
        },
        {values({4, 37, 5})});
}

// ---------------------------------------------------------------- moments

void check_moments(const Tensor& x, double tolerance) {
  const int64_t outer = x.size(0), n = x.size(1), inner = x.size(2);
  const Tensor far = there(x);
  Tensor y[2], z[2];
  for (int k = 0; k < 2; ++k) {
    y[k] = empty({outer, inner}, x.dtype());
    z[k] = empty({outer, inner}, x.dtype(), twin::kCuda);
  }
  kernels::moments(Device{}, {x.raw(), y[0].raw(), y[1].raw(), x.dtype(), outer, n, inner});
  kernels::moments(twin::kCuda, {far.raw(), z[0].raw(), z[1].raw(), x.dtype(), outer, n, inner});
  for (int k = 0; k < 2; ++k) twin::expect_close(z[k], y[k], tolerance);
}

TEST(Moments, EveryForm) {
  for (const DType dtype : {DType::Float16, DType::BFloat16, DType::Float32, DType::Float64})
    for (const Shape& shape : kShapes) {
      SCOPED_TRACE(::testing::Message() << dtype << " " << shape);
      check_moments(values(shape, -1, 3, dtype), twin::tolerance_of(dtype));
    }
}

// The last of 125 parts has five rows: fewer than there are threads along it.
const Shape kShortLastPart = {1, 16001, 32};

TEST(Moments, ThreadsWithNothingToAdd) { check_moments(values(kShortLastPart, 5, 6), 3e-6); }
TEST(ArgExtreme, ThreadsWithNothingToLookAt) {
  check_extreme(ops::full(kShortLastPart, Scalar(int64_t(0)), DType::UInt8, Device{}), true);
}

TEST(Moments, NothingCancels) {
  // A mean ten thousand times the deviations, and a first element far from the rest.
  for (const DType dtype : {DType::Float32, DType::Float64}) {
    const double limit = dtype == DType::Float32 ? 1e-5 : 1e-11;
    for (const Shape& shape : {Shape{2, 9001, 1}, Shape{1, 3000, 5}}) {
      Tensor x = values(shape, 9999, 10001, DType::Float64);
      check_moments(ops::cast(x, dtype), limit);
      x.data<double>()[0] = -1e6;
      check_moments(ops::cast(x, dtype), limit);
    }
  }
}

TEST(Moments, EmptyAndNan) {
  check_moments(values({3, 0, 2}), 0);
  Tensor x = values({3, 40, 1});
  x.data<float>()[50] = NAN;
  check_moments(x, 3e-6);
}

TEST(Moments, Variance) {
  for (const DType dtype : {DType::Float32, DType::Float64, DType::BFloat16})
    expect_same(
        [](const Tensors& in) {
          return Tensors{ops::var(in[0], ops::OptionalDims(Dims{0, 2}), 1, true),
                         ops::std(in[0], std::nullopt, 0, false)};
        },
        {values({4, 6, 7}, -2, 2, dtype)});
}

// ---------------------------------------------------------------- running sums and products

void check_scan(ScanOp op, const Tensor& x, bool reverse, double tolerance) {
  const int64_t outer = x.size(0), n = x.size(1), inner = x.size(2);
  const Tensor far = there(x), y = empty(x.shape(), x.dtype());
  const Tensor z = empty(x.shape(), x.dtype(), twin::kCuda);
  kernels::scan(Device{}, {op, x.raw(), y.raw(), x.dtype(), outer, n, inner, reverse});
  kernels::scan(twin::kCuda, {op, far.raw(), z.raw(), x.dtype(), outer, n, inner, reverse});
  twin::expect_close(z, y, tolerance);
}

TEST(Scan, Sums) {
  for (const DType dtype :
       {DType::Int64, DType::Float32, DType::Float64, DType::Float16, DType::BFloat16})
    for (const Shape& shape : kShapes)
      for (const bool reverse : {false, true}) {
        SCOPED_TRACE(::testing::Message() << dtype << " " << shape << " " << reverse);
        check_scan(ScanOp::Sum, some(shape, dtype, 1), reverse, twin::tolerance_of(dtype));
      }
}

TEST(Scan, Products) {
  for (const DType dtype : {DType::Int64, DType::Float32, DType::Float64, DType::BFloat16})
    for (const Shape& shape : kShapes)
      for (const bool reverse : {false, true}) {
        SCOPED_TRACE(::testing::Message() << dtype << " " << shape << " " << reverse);
        const Tensor x =
            dtype == DType::Int64 ? some(shape, dtype, 5) : values(shape, 0.97, 1.03, dtype);
        check_scan(ScanOp::Prod, x, reverse, 4 * twin::tolerance_of(dtype));
      }
}

TEST(Scan, NanStaysFromItsPlaceOn) {
  for (const Shape& shape : {Shape{2, 3001, 1}, Shape{1, 300, 7}}) {
    Tensor x = values(shape);
    x.data<float>()[shape[1] / 2 * shape[2]] = NAN;
    check_scan(ScanOp::Sum, x, false, 3e-6);
    check_scan(ScanOp::Sum, x, true, 3e-6);
  }
}

TEST(Scan, Operations) {
  for (const int64_t d : {0, 1})
    expect_same([d](const Tensors& in) { return Tensors{ops::cumsum(in[0], d)}; },
                {values({6, 70})}, 1e-5);
}

}  // namespace
}  // namespace gs
