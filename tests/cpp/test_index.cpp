#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "core/parallel.h"
#include "kernel_test.h"
#include "kernels/params/index.h"

namespace gs {
namespace {

std::mt19937 engine(1);

std::vector<int64_t> indices(int64_t count, int64_t below) {
  std::vector<int64_t> out(static_cast<size_t>(count));
  for (auto& v : out) v = static_cast<int64_t>(engine() % static_cast<uint64_t>(below));
  return out;
}

// Small whole numbers: sums are exact in every dtype, so results can be compared exactly.
template <class T>
std::vector<T> values(int64_t count) {
  std::vector<T> out;
  for (int64_t i = 0; i < count; ++i)
    out.push_back(static_cast<T>(static_cast<compute_t<T>>(engine() % 4)));
  return out;
}

template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() &&
         (a.empty() || !std::memcmp(a.data(), b.data(), a.size() * sizeof(T)));
}

struct Sizes {
  int64_t outer, n, m, inner;
};
const Sizes kSizes[] = {{1, 5, 7, 1},      {1, 5, 7, 3},     {3, 4, 17, 1},      {2, 3, 5, 65},
                        {1, 1, 33, 15},    {1, 7, 0, 4},     {0, 3, 2, 2},       {2, 3, 4, 0},
                        {1, 50, 900, 130}, {300, 9, 31, 7},  {1, 300, 70000, 1}, {1, 31, 9, 9000},
                        {1, 3, 2, 300000}, {40, 30, 1700, 1}};

template <class T>
void check_select(Isa isa, const Sizes& s) {
  const auto in = values<T>(s.outer * s.n * s.inner);
  const auto index = indices(s.m, s.n);
  std::vector<T> out(static_cast<size_t>(s.outer * s.m * s.inner)), expected = out;
  for (int64_t o = 0; o < s.outer; ++o)
    for (int64_t i = 0; i < s.m; ++i)
      for (int64_t j = 0; j < s.inner; ++j)
        expected[(o * s.m + i) * s.inner + j] = in[(o * s.n + index[i]) * s.inner + j];
  cpu::table(isa).index_select(
      {in.data(), index.data(), out.data(), sizeof(T), s.outer, s.n, s.m, s.inner});
  EXPECT_TRUE(same(out, expected)) << s.outer << ' ' << s.n << ' ' << s.m << ' ' << s.inner;

  if (s.outer != 1) return;
  std::vector<int64_t> offsets(index);
  for (auto& at : offsets) at *= s.inner;
  std::fill(out.begin(), out.end(), T(compute_t<T>(0)));
  cpu::table(isa).take({in.data(), offsets.data(), out.data(), sizeof(T), s.m, s.inner});
  EXPECT_TRUE(same(out, expected));
}

template <class T>
void check_index_add(Isa isa, const Sizes& s, double alpha) {
  const auto in = values<T>(s.outer * s.m * s.inner);
  const auto index = indices(s.m, s.n);
  auto out = values<T>(s.outer * s.n * s.inner);
  auto expected = out;
  for (int64_t o = 0; o < s.outer; ++o)
    for (int64_t i = 0; i < s.m; ++i)
      for (int64_t j = 0; j < s.inner; ++j) {
        T& to = expected[(o * s.n + index[i]) * s.inner + j];
        const auto a = static_cast<compute_t<T>>(to);
        const auto b = static_cast<compute_t<T>>(in[(o * s.m + i) * s.inner + j]);
        to = static_cast<T>(a + static_cast<compute_t<T>>(alpha) * b);
      }
  cpu::table(isa).index_add(
      {in.data(), index.data(), out.data(), dtype_of<T>::value, s.outer, s.n, s.m, s.inner, alpha});
  EXPECT_TRUE(same(out, expected)) << s.outer << ' ' << s.n << ' ' << s.m << ' ' << s.inner;
}

template <class T>
void check_gather_scatter(Isa isa, const Sizes& s) {
  // The source has longer rows than the index: strides matter.
  const int64_t row = s.inner + 2, slab = (s.n + 1) * row;
  const auto in = values<T>(s.outer * slab + 1);
  const auto index = indices(s.outer * s.m * s.inner, s.n);
  std::vector<T> out(static_cast<size_t>(s.outer * s.m * s.inner)), expected = out;
  const auto each = [&](auto f) {
    for (int64_t o = 0, e = 0; o < s.outer; ++o)
      for (int64_t i = 0; i < s.m; ++i)
        for (int64_t j = 0; j < s.inner; ++j, ++e) f(e, o * slab + index[e] * row + j);
  };
  each([&](int64_t e, int64_t at) { expected[e] = in[at]; });
  cpu::table(isa).gather(
      {in.data(), slab, row, index.data(), out.data(), sizeof(T), s.outer, s.n, s.m, s.inner});
  EXPECT_TRUE(same(out, expected));

  for (bool add : {false, true}) {
    const auto src = values<T>(s.outer * s.m * s.inner);
    auto target = in, wanted = in;
    each([&](int64_t e, int64_t at) {
      const auto a = static_cast<compute_t<T>>(wanted[at]), b = static_cast<compute_t<T>>(src[e]);
      wanted[at] = add ? static_cast<T>(a + b) : src[e];
    });
    cpu::table(isa).scatter({src.data(), index.data(), target.data(), slab, row, dtype_of<T>::value,
                             add, s.outer, s.n, s.m, s.inner});
    EXPECT_TRUE(same(target, wanted)) << add;
  }
}

template <class T>
void check_put(Isa isa, const Sizes& s) {
  for (bool add : {false, true})
    for (int64_t stride : {s.inner, int64_t(0)}) {
      const auto src = values<T>(s.m * s.inner + 1);
      auto offsets = indices(s.m, s.n);
      for (auto& at : offsets) at *= s.inner;
      auto target = values<T>(s.n * s.inner + 1), wanted = target;
      for (int64_t i = 0; i < s.m; ++i)
        for (int64_t j = 0; j < s.inner; ++j) {
          T& to = wanted[offsets[i] + j];
          const T from = src[i * stride + j];
          to = add ? static_cast<T>(static_cast<compute_t<T>>(to) + static_cast<compute_t<T>>(from))
                   : from;
        }
      cpu::table(isa).put({src.data(), stride, offsets.data(), target.data(), dtype_of<T>::value,
                           add, s.m, s.inner});
      EXPECT_TRUE(same(target, wanted));
    }
}

TEST(Index, SelectAndTake) {
  for (Isa isa : isas())
    for (const Sizes& s : kSizes) {
      check_select<float>(isa, s);
      check_select<int8_t>(isa, s);
      check_select<Half>(isa, s);
      check_select<double>(isa, s);
    }
}

TEST(Index, Add) {
  for (Isa isa : isas())
    for (const Sizes& s : kSizes)
      for (double alpha : {1.0, -2.0}) {
        check_index_add<float>(isa, s, alpha);
        check_index_add<double>(isa, s, alpha);
        check_index_add<Half>(isa, s, alpha);
        check_index_add<BFloat16>(isa, s, alpha);
        check_index_add<int64_t>(isa, s, alpha);
        check_index_add<int8_t>(isa, s, alpha);
      }
}

TEST(Index, GatherAndScatter) {
  for (Isa isa : isas())
    for (const Sizes& s : kSizes) {
      check_gather_scatter<float>(isa, s);
      check_gather_scatter<int64_t>(isa, s);
      check_gather_scatter<BFloat16>(isa, s);
      check_gather_scatter<uint8_t>(isa, s);
    }
}

TEST(Index, Put) {
  for (Isa isa : isas())
    for (const Sizes& s : kSizes) {
      check_put<float>(isa, s);
      check_put<double>(isa, s);
      check_put<Half>(isa, s);
      check_put<int32_t>(isa, s);
    }
}

TEST(Index, BoolAddsAsOr) {
  for (Isa isa : isas()) {
    const bool in[] = {true, false, true};
    const int64_t index[] = {1, 0, 1};
    bool out[] = {false, false, true};
    cpu::table(isa).index_add({in, index, out, DType::Bool, 1, 3, 3, 1, 1});
    EXPECT_TRUE(!out[0] && out[1] && out[2]);
    out[1] = false;
    cpu::table(isa).put({in, 1, index, out, DType::Bool, true, 3, 1});
    EXPECT_TRUE(!out[0] && out[1] && out[2]);
    cpu::table(isa).put({in, 1, index, out, DType::Bool, false, 2, 1});
    EXPECT_TRUE(!out[0] && out[1] && out[2]);
  }
}

// Fractions whose sum depends on the order: any other order would show.
TEST(Index, AdditionsKeepTheirOrderOnAnyNumberOfThreads) {
  const int before = num_threads();
  constexpr int64_t n = 20, m = 3000, inner = 129;
  std::vector<float> in(m * inner);
  for (auto& v : in) v = 1.0f / static_cast<float>(1 + engine() % 1000);
  const auto index = indices(m, n);
  std::vector<float> expected(n * inner);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < inner; ++j) expected[index[i] * inner + j] += in[i * inner + j];
  for (Isa isa : isas())
    for (int threads : {1, 2, 3}) {
      set_num_threads(threads);
      std::vector<float> out(n * inner);
      cpu::table(isa).index_add(
          {in.data(), index.data(), out.data(), DType::Float32, 1, n, m, inner, 1});
      EXPECT_TRUE(same(out, expected)) << threads;
      std::fill(out.begin(), out.end(), 0.0f);
      std::vector<int64_t> wide;
      for (int64_t at : index) wide.insert(wide.end(), inner, at);
      cpu::table(isa).scatter({in.data(), wide.data(), out.data(), n * inner, inner, DType::Float32,
                               true, 1, n, m, inner});
      EXPECT_TRUE(same(out, expected)) << threads;
    }
  set_num_threads(before);
}

TEST(Index, Range) {
  for (Isa isa : isas())
    for (int64_t n : {1, 3, 7, 15, 17, 31, 33, 65, 100000}) {
      std::vector<int64_t> x(static_cast<size_t>(n));
      for (auto& v : x) v = static_cast<int64_t>(engine()) - (int64_t(1) << 31);
      int64_t low = 0, high = 0;
      cpu::table(isa).index_range({x.data(), n, &low, &high});
      EXPECT_EQ(low, *std::min_element(x.begin(), x.end()));
      EXPECT_EQ(high, *std::max_element(x.begin(), x.end()));
    }
}

TEST(Index, Nonzero) {
  for (Isa isa : isas())
    for (int64_t n : {0, 1, 3, 7, 15, 17, 31, 33, 65, 300, 500000})
      for (uint32_t every : {1u, 2u, 100u, 0u}) {  // 0: none
        auto mask = std::make_unique<bool[]>(static_cast<size_t>(n) + 1);
        std::vector<int64_t> expected, positions(static_cast<size_t>(n) + 1, -7);
        for (int64_t i = 0; i < n; ++i) {
          mask[i] = every && engine() % every == 0;
          if (mask[i]) expected.push_back(i);
        }
        int64_t count = -1;
        cpu::table(isa).nonzero({mask.get(), n, nullptr, &count});  // counted alone
        ASSERT_EQ(count, int64_t(expected.size()));
        cpu::table(isa).nonzero({mask.get(), n, positions.data(), &count});
        ASSERT_EQ(count, int64_t(expected.size()));
        EXPECT_EQ(positions[static_cast<size_t>(n)], -7);
        positions.resize(expected.size());
        EXPECT_EQ(positions, expected);
      }
}

TEST(Index, Triangle) {
  for (Isa isa : isas())
    for (auto [rows, cols] :
         {std::pair<int64_t, int64_t>{1, 1}, {3, 5}, {7, 4}, {0, 3}, {3, 0}, {300, 333}})
      for (int64_t diagonal :
           {int64_t(0), int64_t(1), int64_t(-2), int64_t(400), INT64_MAX, INT64_MIN})
        for (bool upper : {false, true})
          for (bool in_place : {false, true}) {
            constexpr int64_t batch = 2;
            std::vector<int16_t> in(static_cast<size_t>(batch * rows * cols), 5), out(in.size(), 9);
            if (in_place) out = in;
            cpu::table(isa).triangle({in_place ? out.data() : in.data(), out.data(), 2, batch, rows,
                                      cols, diagonal, upper});
            size_t e = 0;
            for (int64_t b = 0; b < batch; ++b)
              for (int64_t i = 0; i < rows; ++i)
                for (int64_t j = 0; j < cols; ++j, ++e) {
                  const bool kept = upper ? j - i >= diagonal : j - i <= diagonal;
                  ASSERT_EQ(out[e], kept ? 5 : 0);
                }
          }
}

}  // namespace
}  // namespace gs
