// Copies between dtypes and layouts, fill, y += alpha x, and the conversions of 16-bit floats.
#include "kernels/kernels.h"
#include "kernels/params/copy.h"
#include "ptx/convert.cuh"
#include "twin.h"

namespace gs {
namespace {

using twin::expect_same;
using twin::kCuda;
using twin::values;

constexpr DType kFloats[] = {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16};
constexpr DType kAll[] = {DType::Bool,    DType::UInt8,  DType::Int8,    DType::Int16,
                          DType::Int32,   DType::Int64,  DType::Float16, DType::BFloat16,
                          DType::Float32, DType::Float64};
constexpr int64_t kSizes[] = {0, 1, 3, 7, 16, 33, 257, 4100};

TEST(Copy, BetweenDtypes) {
  for (const DType from : kAll)
    for (const DType to : kAll)
      for (const int64_t n : {7, 4100})
        expect_same([&](const Tensors& in) { return Tensors{ops::cast(in[0], to)}; },
                    {values({n}, 0, 100, from)});
}

TEST(Copy, BetweenDtypesAndLayouts) {
  const Tensor x = values({5, 70, 9});
  for (const DType to : {DType::Float32, DType::BFloat16, DType::Float16})
    for (const Tensor& view : {ops::transpose(x, 0, 2), ops::transpose(x, 0, 1),
                               ops::narrow(x, 1, 3, 60), alias(x, {3, 7, 4}, {630, 45, 2}, 1)})
      expect_same([&](const Tensors& in) { return Tensors{ops::clone(ops::cast(in[0], to))}; },
                  {view});
}

TEST(Copy, Fill) {
  for (const DType dtype : kAll)
    for (const int64_t n : kSizes)
      expect_same(
          [&](const Tensors& in) {
            const Tensor all = ops::clone(in[0]), some = ops::clone(in[0]), odd = ops::clone(in[0]);
            ops::fill_(all, Scalar(is_floating(dtype) ? Scalar(1.2345) : Scalar(int64_t{77})));
            if (n > 2) ops::fill_(ops::narrow(some, 0, 1, n - 2), Scalar(int64_t{3}));
            ops::fill_(ops::slice(odd, 0, 0, n, 2), Scalar(int64_t{1}));
            return Tensors{all, some, odd};
          },
          {ops::detach(values({n}, 0, 9, is_floating(dtype) ? DType::Int32 : dtype, 3))});
}

TEST(Copy, FillKeepsBits) {
  for (const DType dtype : kFloats)
    for (const double value : {0.0, -0.0, 1e-7, 65504.0, 1e30, -HUGE_VAL}) {
      const Tensor here = empty({40}, dtype), there = empty({40}, dtype, kCuda);
      ops::fill_(here, Scalar(value)), ops::fill_(there, Scalar(value));
      const Tensor back = ops::to_device(there, {});
      EXPECT_EQ(std::memcmp(back.raw(), here.raw(), static_cast<size_t>(40 * size_of(dtype))), 0)
          << dtype << " " << value;
    }
}

TEST(Copy, AddTimes) {
  for (const DType dtype : kFloats)
    for (const int64_t n : kSizes)
      for (const int64_t at : {0, 1}) {  // 16 bytes apart, and not
        if (n < 1) continue;
        const Tensor y = values({n + 1}, -2, 2, dtype), x = values({n + 1}, -2, 2, dtype, 2);
        const Tensor z = ops::to_device(y, kCuda), w = ops::to_device(x, kCuda);
        const int64_t skip = at * size_of(dtype);
        kernels::axpy({}, {y.data<char>() + skip, x.data<char>() + skip, n, dtype, 0.75});
        kernels::axpy(kCuda, {z.data<char>() + skip, w.data<char>() + skip, n, dtype, 0.75});
        twin::expect_close(z, y, twin::tolerance_of(dtype));
      }
}

// The host versions of the device's instructions are dtype.h's conversions, but for NaN.
TEST(Convert, HostVersionsAgree) {
  for (uint32_t half = 0; half < 65536; ++half) {
    const float mine = cuda::ptx::float_of_half(static_cast<uint16_t>(half));
    const float other = Half::decode(static_cast<uint16_t>(half));
    ASSERT_TRUE(std::isnan(other) ? std::isnan(mine) : std::memcmp(&mine, &other, 4) == 0) << half;
  }
  uint32_t bits = 1;
  const auto check = [](uint32_t pattern) {
    float x;
    std::memcpy(&x, &pattern, 4);
    if (std::isnan(x)) {
      ASSERT_EQ(cuda::ptx::half_of(x), cuda::ptx::kNarrowNaN);
      ASSERT_EQ(cuda::ptx::bfloat16_of(x), cuda::ptx::kNarrowNaN);
      return;
    }
    ASSERT_EQ(cuda::ptx::half_of(x), Half(x).bits) << pattern;
    ASSERT_EQ(cuda::ptx::bfloat16_of(x), BFloat16(x).bits) << pattern;
    ASSERT_EQ(cuda::ptx::halves_of(x, 1), Half(x).bits | 0x3c000000u);
    ASSERT_EQ(cuda::ptx::bfloat16s_of(1, x), uint32_t(BFloat16(x).bits) << 16 | 0x3f80u);
  };
  for (int i = 0; i < 200000; ++i) check(bits = bits * 1664525u + 1013904223u);
  // Ties, the ends of the ranges and what lies beside them.
  for (uint32_t half = 0; half < 65536; half += 7) {
    const float x = Half::decode(static_cast<uint16_t>(half));
    uint32_t pattern;
    std::memcpy(&pattern, &x, 4);
    for (const int32_t step : {-0x1001, -0x1000, -1, 0, 1, 0xfff, 0x1000, 0x1001})
      check(pattern + static_cast<uint32_t>(step));
  }
}

}  // namespace
}  // namespace gs
