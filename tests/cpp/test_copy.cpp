// Comparisons, selection, copies and fills on every instruction set.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernel_test.h"
#include "kernels/params/binary.h"
#include "kernels/params/copy.h"

namespace gs {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// ---------------------------------------------------------------- compare and where

TEST(Compare, EveryOperation) {
  const std::vector<float> a = {1, 2, 3, 0, static_cast<float>(kNan), -0.0f},
                           b = {2, 2, 1, 5, 1, 0};
  on_every_isa([&](const KernelTable& table) {
    const auto run = [&](CompareOp op) {
      std::vector<uint8_t> y(a.size());
      Loop loop = dense_loop(DType::Float32, a.size(), {y.data(), a.data(), b.data()});
      loop.operands[0].dtype = DType::Bool;
      loop.operands[0].strides[0] = 1;
      table.compare({op, loop});
      return y;
    };
    using Bytes = std::vector<uint8_t>;
    EXPECT_EQ(run(CompareOp::Eq), (Bytes{0, 1, 0, 0, 0, 1}));
    EXPECT_EQ(run(CompareOp::Ne), (Bytes{1, 0, 1, 1, 1, 0}));
    EXPECT_EQ(run(CompareOp::Lt), (Bytes{1, 0, 0, 1, 0, 0}));
    EXPECT_EQ(run(CompareOp::Le), (Bytes{1, 1, 0, 1, 0, 1}));
    EXPECT_EQ(run(CompareOp::Gt), (Bytes{0, 0, 1, 0, 0, 0}));
    EXPECT_EQ(run(CompareOp::Ge), (Bytes{0, 1, 1, 0, 0, 1}));
    EXPECT_EQ(run(CompareOp::LogicalAnd), (Bytes{1, 1, 1, 0, 1, 0}));
    EXPECT_EQ(run(CompareOp::LogicalOr), (Bytes{1, 1, 1, 1, 1, 0}));
    EXPECT_EQ(run(CompareOp::LogicalXor), (Bytes{0, 0, 0, 1, 0, 0}));
  });
}

template <class T>
void check_where(DType dtype) {
  for (int64_t n : {1, 15, 65, 1000}) {
    const auto a = random_values<T>(n, 0, 100), b = random_values<T>(n, 0, 100, 2);
    std::vector<uint8_t> condition(n);
    for (int64_t i = 0; i < n; ++i) condition[i] = i * 7 % 3 == 0;
    on_every_isa([&](const KernelTable& table) {
      std::vector<T> y(n);
      Loop loop = dense_loop(dtype, n, {y.data(), condition.data(), a.data(), b.data()});
      loop.operands[1].dtype = DType::Bool;
      loop.operands[1].strides[0] = 1;
      table.where({loop});
      for (int64_t i = 0; i < n; ++i)
        ASSERT_EQ(static_cast<float>(y[i]), static_cast<float>(condition[i] ? a[i] : b[i]));
    });
  }
}

TEST(Where, EverySize) {
  check_where<int8_t>(DType::Int8);
  check_where<Half>(DType::Float16);
  check_where<float>(DType::Float32);
  check_where<double>(DType::Float64);
}

// ---------------------------------------------------------------- copy, fill, arange, axpy

TEST(Copy, EveryPairOfTypes) {
  on_every_isa([&](const KernelTable& table) {
    for (int from = 0; from < kNumDTypes; ++from)
      for (int to = 0; to < kNumDTypes; ++to) {
        const int64_t n = 530;
        visit(static_cast<DType>(from), [&](auto from_tag) {
          using From = typename decltype(from_tag)::type;
          visit(static_cast<DType>(to), [&](auto to_tag) {
            using To = typename decltype(to_tag)::type;
            std::vector<char> in(n * sizeof(From)), out(n * sizeof(To));
            From* x = reinterpret_cast<From*>(in.data());
            for (int64_t i = 0; i < n; ++i)
              x[i] = static_cast<From>(static_cast<float>(i % 100) * 1.25f);
            Loop loop = dense_loop(static_cast<DType>(to), n, {out.data(), in.data()});
            loop.operands[1].dtype = static_cast<DType>(from);
            loop.operands[1].strides[0] = sizeof(From);
            table.copy({loop});
            const To* y = reinterpret_cast<const To*>(out.data());
            for (int64_t i = 0; i < n; ++i) {
              const To expected = static_cast<To>(static_cast<compute_t<From>>(x[i]));
              ASSERT_EQ(static_cast<double>(y[i]), static_cast<double>(expected))
                  << from << " -> " << to;
            }
          });
        });
      }
  });
}

TEST(Copy, Transposes) {
  on_every_isa([&](const KernelTable& table) {
    for (DType dtype : {DType::UInt8, DType::BFloat16, DType::Float32, DType::Float64})
      for (int64_t m : {1, 9, 32, 33, 70})
        for (int64_t n : {8, 31, 64, 129}) {
          const int64_t batch = 3, size = size_of(dtype), bytes = batch * m * n * size;
          std::vector<char> x(bytes), y(bytes), z(bytes);
          for (int64_t i = 0; i < bytes; ++i) x[i] = static_cast<char>(i * 7);
          Loop loop = dense_loop(dtype, batch * m * n, {y.data(), x.data()});
          loop.ndim = 3;
          const int64_t shape[3] = {batch, m, n};
          const int64_t ys[3] = {m * n * size, n * size, size},
                        xs[3] = {m * n * size, size, m * size};
          for (int d = 0; d < 3; ++d) {
            loop.shape[d] = shape[d];
            loop.operands[0].strides[d] = ys[d];
            loop.operands[1].strides[d] = xs[d];
          }
          table.copy({loop});
          for (int64_t b = 0; b < batch; ++b)
            for (int64_t i = 0; i < m; ++i)
              for (int64_t j = 0; j < n; ++j)
                ASSERT_EQ(0, std::memcmp(&y[((b * m + i) * n + j) * size],
                                         &x[((b * n + j) * m + i) * size], size));
          std::swap(loop.operands[0], loop.operands[1]);  // scatter back into the other layout
          loop.operands[0].data = z.data();
          table.copy({loop});
          ASSERT_EQ(x, z);
        }
  });
}

// Rows that are dense on both sides, with gaps between them that stay as they are.
TEST(Copy, RowsWithGaps) {
  on_every_isa([&](const KernelTable& table) {
    for (DType dtype : {DType::UInt8, DType::BFloat16, DType::Float32, DType::Float64})
      for (int64_t bytes : {8, 16, 24, 32, 40, 64, 72, 128, 136, 264, 70000}) {
        const int64_t size = size_of(dtype), outer = bytes > 1000 ? 2 : 5, inner = 11;
        const int64_t x_row = bytes + 8, y_row = bytes + 24, n = bytes / size;
        std::vector<char> x(outer * inner * x_row), y(outer * inner * y_row, 'g');
        for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<char>(i * 7 + i / 256);
        Loop loop = dense_loop(dtype, outer * inner * n, {y.data(), x.data()});
        loop.ndim = 3;
        const int64_t shape[3] = {outer, inner, n};
        const int64_t ys[3] = {inner * y_row, y_row, size}, xs[3] = {x_row, outer * x_row, size};
        for (int d = 0; d < 3; ++d) {
          loop.shape[d] = shape[d];
          loop.operands[0].strides[d] = ys[d];
          loop.operands[1].strides[d] = xs[d];
        }
        table.copy({loop});
        for (int64_t i = 0; i < outer; ++i)
          for (int64_t j = 0; j < inner; ++j) {
            const char* to = &y[(i * inner + j) * y_row];
            ASSERT_EQ(0, std::memcmp(to, &x[(j * outer + i) * x_row], bytes)) << bytes;
            for (int64_t k = bytes; k < y_row; ++k) ASSERT_EQ(to[k], 'g') << bytes;
          }
      }
  });
}

// Sources of stride 0 in one dimension or both, in every element size.
TEST(Copy, BroadcastSources) {
  const auto check = [](auto tag) {
    using T = decltype(tag);
    const auto x = random_values<T>(600, -100, 100);
    on_every_isa([&](const KernelTable& table) {
      for (int64_t rows : {1, 7, 130})
        for (int64_t columns : {1, 9, 15, 16, 65, 300})
          for (int kind = 0; kind < 3; ++kind) {
            const int64_t row_step = kind == 1, column_step = kind == 2;  // 0: one element for all
            std::vector<T> y(rows * columns + 1, T(1));
            Loop loop = dense_loop(dtype_of<T>::value, rows * columns, {y.data(), x.data()});
            loop.ndim = 2;
            loop.shape[0] = rows;
            loop.shape[1] = columns;
            loop.operands[0].strides[0] = columns * sizeof(T);
            loop.operands[0].strides[1] = sizeof(T);
            loop.operands[1].strides[0] = row_step * sizeof(T);
            loop.operands[1].strides[1] = column_step * sizeof(T);
            table.copy({loop});
            for (int64_t i = 0; i < rows; ++i)
              for (int64_t j = 0; j < columns; ++j)
                ASSERT_EQ(y[i * columns + j], x[i * row_step + j * column_step]);
            ASSERT_EQ(y[rows * columns], T(1));
          }
    });
  };
  check(uint8_t{});
  check(int16_t{});
  check(float{});
  check(double{});
}

TEST(Fill, DenseStridedAndEveryType) {
  on_every_isa([&](const KernelTable& table) {
    for (int t = 0; t < kNumDTypes; ++t)
      visit(static_cast<DType>(t), [&](auto tag) {
        using T = typename decltype(tag)::type;
        for (int64_t stride : {1, 3}) {
          const int64_t n = 531;
          std::vector<char> memory(n * stride * sizeof(T), 0);
          T* y = reinterpret_cast<T*>(memory.data());
          Loop loop = dense_loop(static_cast<DType>(t), n, {y});
          loop.operands[0].strides[0] = stride * sizeof(T);
          table.fill({loop, 1.0, 1});
          for (int64_t i = 0; i < n * stride; ++i)
            ASSERT_EQ(static_cast<float>(y[i]), i % stride == 0 ? 1.0f : 0.0f);
        }
      });
  });
}

TEST(Arange, FloatsAndIntegers) {
  on_every_isa([&](const KernelTable& table) {
    std::vector<float> y(1000);
    table.arange({y.data(), 1000, DType::Float32, -1, 0.25});
    std::vector<int64_t> z(1000);
    table.arange({z.data(), 1000, DType::Int64, 10, -3});
    for (int i = 0; i < 1000; ++i) {
      ASSERT_EQ(y[i], -1 + 0.25f * static_cast<float>(i));
      ASSERT_EQ(z[i], 10 - 3 * i);
    }
  });
}

TEST(Axpy, AddsInPlace) {
  on_every_isa([&](const KernelTable& table) {
    for (int64_t n : {0, 1, 17, 65, 1000}) {
      auto y = random_values<float>(n, -1, 1);
      const auto before = y, x = random_values<float>(n, -1, 1, 9);
      table.axpy({y.data(), x.data(), n, DType::Float32, 0.5});
      for (int64_t i = 0; i < n; ++i) ASSERT_FLOAT_EQ(y[i], before[i] + 0.5f * x[i]);
      std::vector<int64_t> w(n, 4), v(n, 5);
      table.axpy({w.data(), v.data(), n, DType::Int64, -2});
      for (int64_t value : w) ASSERT_EQ(value, -6);
    }
  });
}

}  // namespace
}  // namespace gs
