#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "core/dtype.h"

namespace gs {
namespace {

constexpr DType b = DType::Bool, u8 = DType::UInt8, i8 = DType::Int8, i16 = DType::Int16,
                i32 = DType::Int32, i64 = DType::Int64, f16 = DType::Float16, bf = DType::BFloat16,
                f32 = DType::Float32, f64 = DType::Float64;

TEST(DType, PromotionTable) {
  const DType all[kNumDTypes] = {b, u8, i8, i16, i32, i64, f16, bf, f32, f64};
  const DType expected[kNumDTypes][kNumDTypes] = {
      {b, u8, i8, i16, i32, i64, f16, bf, f32, f64},
      {u8, u8, i16, i16, i32, i64, f16, bf, f32, f64},
      {i8, i16, i8, i16, i32, i64, f16, bf, f32, f64},
      {i16, i16, i16, i16, i32, i64, f16, bf, f32, f64},
      {i32, i32, i32, i32, i32, i64, f16, bf, f32, f64},
      {i64, i64, i64, i64, i64, i64, f16, bf, f32, f64},
      {f16, f16, f16, f16, f16, f16, f16, f32, f32, f64},
      {bf, bf, bf, bf, bf, bf, f32, bf, f32, f64},
      {f32, f32, f32, f32, f32, f32, f32, f32, f32, f64},
      {f64, f64, f64, f64, f64, f64, f64, f64, f64, f64},
  };
  for (int i = 0; i < kNumDTypes; ++i)
    for (int j = 0; j < kNumDTypes; ++j)
      EXPECT_EQ(promote(all[i], all[j]), expected[i][j]) << all[i] << " with " << all[j];
}

TEST(DType, CastsKeepTheKind) {
  EXPECT_TRUE(can_cast(i64, i8));
  EXPECT_TRUE(can_cast(i8, u8));
  EXPECT_TRUE(can_cast(b, i8));
  EXPECT_TRUE(can_cast(b, b));
  EXPECT_TRUE(can_cast(i64, f16));
  EXPECT_TRUE(can_cast(f64, f16));
  EXPECT_FALSE(can_cast(f16, i64));
  EXPECT_FALSE(can_cast(f32, b));
  EXPECT_FALSE(can_cast(u8, b));
}

TEST(DType, NamesAndSizes) {
  std::ostringstream text;
  text << bf << ' ' << i64;
  EXPECT_EQ(text.str(), "bfloat16 int64");
  EXPECT_STREQ(name_of(b), "bool");
  visit(f64, [](auto tag) {
    using T = typename decltype(tag)::type;
    EXPECT_EQ(dtype_of<T>::value, f64);
    EXPECT_EQ(size_of(f64), int64_t(sizeof(T)));
  });
}

TEST(DType, DefaultIsFloating) {
  EXPECT_EQ(default_dtype(), f32);
  set_default_dtype(f64);
  EXPECT_EQ(default_dtype(), f64);
  set_default_dtype(f32);
  try {
    set_default_dtype(i32);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::Type);
    EXPECT_STREQ(e.what(), "[set_default_dtype] expected a floating dtype, got int32.");
  }
}

// The value of a binary16 from its definition.
double half_value(uint16_t h) {
  const int exponent = (h >> 10) & 31, mantissa = h & 1023;
  const double sign = h & 0x8000 ? -1 : 1;
  if (exponent == 31) return mantissa ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

TEST(Half, EveryValueThereAndBack) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    Half h;
    h.bits = static_cast<uint16_t>(bits);
    const float f = h;
    const double expected = half_value(h.bits);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(f)) << bits;
      EXPECT_TRUE(std::isnan(float(Half(f)))) << bits;
      continue;
    }
    ASSERT_EQ(f, expected) << bits;
    ASSERT_EQ(std::signbit(f), bits >= 0x8000) << bits;
    ASSERT_EQ(Half(f).bits, bits);
  }
}

TEST(Half, RoundsToNearestEvenBetweenNeighbours) {
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const float low = static_cast<float>(half_value(static_cast<uint16_t>(bits)));
    const float high = static_cast<float>(half_value(static_cast<uint16_t>(bits + 1)));
    const float middle = (low + high) / 2;  // exact: float has 13 more bits
    ASSERT_EQ(Half(middle).bits, bits + (bits & 1));
    ASSERT_EQ(Half(std::nextafter(middle, low)).bits, bits);
    ASSERT_EQ(Half(std::nextafter(middle, high)).bits, bits + 1);
    ASSERT_EQ(Half(-middle).bits, 0x8000u + bits + (bits & 1));
  }
  EXPECT_EQ(Half(65519.996f).bits, 0x7bff);
  EXPECT_EQ(Half(65520.0f).bits, 0x7c00);  // half way to the next, which is infinity
  EXPECT_EQ(Half(1e30f).bits, 0x7c00);
  EXPECT_EQ(Half(-INFINITY).bits, 0xfc00);
  EXPECT_EQ(Half(1e-30f).bits, 0);
}

TEST(BFloat16, EveryValueThereAndBack) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    BFloat16 x;
    x.bits = static_cast<uint16_t>(bits);
    const float f = x;
    if (std::isnan(f)) {
      EXPECT_TRUE(std::isnan(float(BFloat16(f))));
    } else {
      ASSERT_EQ(BFloat16(f).bits, bits);
    }
  }
  EXPECT_EQ(BFloat16(1.00390625f).bits, 0x3f80);  // half way: to even
  EXPECT_EQ(BFloat16(1.01171875f).bits, 0x3f82);
  EXPECT_EQ(BFloat16(3.4e38f).bits, 0x7f80);
}

}  // namespace
}  // namespace gs
