#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "core/parallel.h"
#include "kernel_test.h"
#include "kernels/params/sort.h"

namespace gs {
namespace {

std::mt19937_64 engine(2);

// NaN is the largest value.
template <class T>
bool less(T a, T b) {
  const auto x = static_cast<compute_t<T>>(a), y = static_cast<compute_t<T>>(b);
  if (x != x) return false;
  return y != y || x < y;
}

template <class T>
std::vector<T> random_values(int64_t n, bool few) {
  std::vector<T> out(static_cast<size_t>(n));
  for (auto& v : out) {
    if constexpr (std::is_integral_v<T>) {
      v = static_cast<T>(few ? engine() % 3 : engine());
    } else {
      const float specials[] = {NAN, -NAN, 0.0f, -0.0f, INFINITY, -INFINITY, 1e-40f};
      const uint64_t r = engine();
      if (few) {
        v = static_cast<T>(specials[r % 7]);
      } else {
        v = static_cast<T>(static_cast<float>(int64_t(r)) * 1e-15f);
        if (r % 11 == 0) v = static_cast<T>(specials[r / 11 % 7]);
      }
    }
  }
  return out;
}

template <class T>
void check(Isa isa, int64_t outer, int64_t n, int64_t k, int64_t inner, bool descending, bool few) {
  std::vector<T> in = random_values<T>(outer * n * inner, few);
  const size_t size = static_cast<size_t>(outer * k * inner);
  std::vector<T> values(size), expected_values(size);
  std::vector<int64_t> found(size), expected(size);
  cpu::table(isa).sort(
      {in.data(), values.data(), found.data(), dtype_of<T>::value, outer, n, k, inner, descending});
  std::vector<int64_t> order(static_cast<size_t>(n));
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t j = 0; j < inner; ++j) {
      const auto at = [&](int64_t i) { return in[(o * n + i) * inner + j]; };
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
        return descending ? less(at(b), at(a)) : less(at(a), at(b));
      });
      for (int64_t i = 0; i < k; ++i) {
        expected[(o * k + i) * inner + j] = order[i];
        expected_values[(o * k + i) * inner + j] = at(order[i]);
      }
    }
  ASSERT_EQ(found, expected) << name_of(dtype_of<T>::value) << " n " << n << " k " << k;
  if (size) {
    ASSERT_EQ(std::memcmp(values.data(), expected_values.data(), size * sizeof(T)), 0);
  }
}

template <class T>
void check_type() {
  for (Isa isa : isas())
    for (bool descending : {false, true})
      for (bool few : {false, true}) {
        for (int64_t n : {0, 1, 3, 7, 15, 17, 31, 33, 48, 49, 65, 300, 5000})
          check<T>(isa, 1, n, n, 1, descending, few);
        check<T>(isa, 3, 65, 65, 5, descending, few);
        check<T>(isa, 4, 70, 13, 2, descending, few);   // part of a full sort
        check<T>(isa, 2, 1000, 1, 3, descending, few);  // the heap
        check<T>(isa, 2, 1000, 10, 1, descending, few);
        check<T>(isa, 1, 1000, 125, 1, descending, few);
        check<T>(isa, 0, 5, 5, 2, descending, few);
        check<T>(isa, 2, 5, 0, 2, descending, few);
      }
}

TEST(Sort, Float32) { check_type<float>(); }
TEST(Sort, Float64) { check_type<double>(); }
TEST(Sort, Float16) { check_type<Half>(); }
TEST(Sort, BFloat16) { check_type<BFloat16>(); }
TEST(Sort, Int8) { check_type<int8_t>(); }
TEST(Sort, UInt8) { check_type<uint8_t>(); }
TEST(Sort, Int16) { check_type<int16_t>(); }
TEST(Sort, Int32) { check_type<int32_t>(); }
TEST(Sort, Int64) { check_type<int64_t>(); }

TEST(Sort, Bool) {
  const bool in[] = {true, false, true, false, false};
  bool values[5];
  int64_t indices[5];
  for (Isa isa : isas()) {
    cpu::table(isa).sort({in, values, indices, DType::Bool, 1, 5, 5, 1, true});
    EXPECT_EQ(std::vector<int64_t>(indices, indices + 5), (std::vector<int64_t>{0, 2, 1, 3, 4}));
    EXPECT_TRUE(values[0] && values[1] && !values[2]);
  }
}

TEST(Sort, AnyNumberOfThreads) {
  const int before = num_threads();
  for (int threads : {1, 2, 3}) {
    set_num_threads(threads);
    check<float>(cpu::best_isa(), 300, 200, 200, 3, true, false);
  }
  set_num_threads(before);
}

}  // namespace
}  // namespace gs
