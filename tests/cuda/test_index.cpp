#include "kernels/kernels.h"
#include "kernels/params/index.h"
#include "scan_counts.h"
#include "twin.h"

namespace gs {
namespace {

using twin::expect_same;
using twin::kCuda;
using twin::values;

const DType kAll[] = {DType::Bool,    DType::UInt8,  DType::Int8,    DType::Int16,
                      DType::Int32,   DType::Int64,  DType::Float16, DType::BFloat16,
                      DType::Float32, DType::Float64};

Tensor there(const Tensor& t) { return ops::to_device(t, kCuda); }

// Whole numbers below n.
Tensor below(const Shape& shape, int64_t n, int seed = 3) {
  return values(shape, 0, static_cast<double>(n) - 1e-9, DType::Int64, seed);
}
// 16-bit floats are whole numbers, of which sums are exact: a run of additions is rounded once on
// CUDA and each time on the CPU.
Tensor some(const Shape& shape, DType dtype, int seed = 1) {
  const bool exact = size_of(dtype) == 2 && is_floating(dtype);
  const double low = dtype == DType::Bool || dtype == DType::UInt8 ? 0 : exact ? -3 : -9;
  return ops::cast(values(shape, low, exact ? 4 : 9, exact ? DType::Int64 : dtype, seed), dtype);
}
double sum_tolerance(DType t) { return size_of(t) < 4 ? 0 : t == DType::Float32 ? 1e-5 : 1e-12; }

// ---------------------------------------------------------------- reading

TEST(Index, Select) {
  for (const DType dtype : kAll)
    for (const auto& [n_in, n_index, inner] :
         {std::tuple{5, 1, 1}, {70, 301, 1}, {9, 40, 3}, {6, 17, 64}, {4, 3, 1031}, {3, 5, 2048}})
      for (const int64_t outer : {1, 3}) {
        SCOPED_TRACE(::testing::Message()
                     << dtype << " " << n_in << " " << n_index << " " << inner);
        expect_same(
            [](const Tensors& in) {
              return Tensors{ops::detach(ops::index_select(in[0], 1, in[1]))};
            },
            {ops::detach(some({outer, n_in, inner}, dtype)), below({n_index}, n_in)});
      }
}

TEST(Index, SelectAndEmbeddingGradients) {
  for (const DType dtype : {DType::Float32, DType::Float64}) {
    expect_same([](const Tensors& in) { return Tensors{ops::index_select(in[0], 0, in[1])}; },
                {values({7, 12}, -2, 2, dtype), below({90}, 7)}, 2 * sum_tolerance(dtype));
    expect_same([](const Tensors& in) { return Tensors{ops::embedding(in[1], in[0], -1)}; },
                {values({11, 24}, -2, 2, dtype), below({5, 9}, 11)}, 2 * sum_tolerance(dtype));
  }
}

TEST(Index, Gather) {
  for (const DType dtype : kAll)
    for (const Shape& shape : {Shape{1, 9, 1}, Shape{3, 300, 1}, Shape{2, 7, 33}}) {
      Tensor index = below({shape[0], 2 * shape[1] + 1, shape[2]}, shape[1]);
      expect_same(
          [](const Tensors& in) { return Tensors{ops::detach(ops::gather(in[0], 1, in[1]))}; },
          {some(shape, dtype), index});
    }
  expect_same([](const Tensors& in) { return Tensors{ops::gather(in[0], 0, in[1])}; },
              {values({9, 5}), below({6, 4}, 9)});
}

TEST(Index, Take) {
  for (const DType dtype : kAll)
    for (const int64_t inner : {1, 3, 16, 700}) {
      const Tensor x = some({4000}, dtype), at = below({77}, 4000 - inner);
      const Tensor far = there(x), at_far = there(at);
      const Tensor y = empty({77, inner}, dtype), z = empty({77, inner}, dtype, kCuda);
      const int64_t size = size_of(dtype);
      kernels::take(Device{}, {x.raw(), at.data<int64_t>(), y.raw(), size, 77, inner});
      kernels::take(kCuda, {far.raw(), at_far.data<int64_t>(), z.raw(), size, 77, inner});
      twin::expect_close(z, y, 0);
    }
}

TEST(Index, Range) {
  for (const int64_t n : {1, 2, 300, 5003, 70001})
    for (const int64_t place : {int64_t(0), n / 2, n - 1}) {
      Tensor x = below({n}, 1000);
      for (const int64_t extreme : {int64_t(-7), int64_t(5000000000)}) {
        x.data<int64_t>()[place] = extreme;
        const Tensor far = there(x);
        int64_t low[2], high[2];
        kernels::index_range(Device{}, {x.data<int64_t>(), n, &low[0], &high[0]});
        kernels::index_range(kCuda, {far.data<int64_t>(), n, &low[1], &high[1]});
        ASSERT_EQ(low[0], low[1]);
        ASSERT_EQ(high[0], high[1]);
      }
    }
}

TEST(Index, Nonzero) {
  for (const int64_t n : {0, 1, 15, 16, 4096, 4097, 20011})
    for (const double share : {-1.0, 0.1, 0.9, 1.1}) {
      const Tensor x = values({n}, 0, 1, DType::Float64);
      Tensor mask = empty({n}, DType::Bool);
      for (int64_t i = 0; i < n; ++i) mask.data<bool>()[i] = x.data<double>()[i] < share;
      const Tensor far = there(mask);
      int64_t here = -1, counted = -1, written = -1;
      kernels::nonzero(Device{}, {mask.data<bool>(), n, nullptr, &here});
      kernels::nonzero(kCuda, {far.data<bool>(), n, nullptr, &counted});
      ASSERT_EQ(here, counted);
      const Tensor y = empty({here}, DType::Int64), z = empty({here}, DType::Int64, kCuda);
      kernels::nonzero(Device{}, {mask.data<bool>(), n, y.data<int64_t>(), &here});
      kernels::nonzero(kCuda, {far.data<bool>(), n, z.data<int64_t>(), &written});
      ASSERT_EQ(here, written);
      twin::expect_close(z, y, 0);
    }
}

// More counts than a block takes at once, and rows that a warp takes.
TEST(Index, CountsThatComeBefore) {
  for (const auto& [rows, n] : {std::pair{1, 1}, {1, 5000}, {3, 2049}, {70, 100}, {5, 32}}) {
    const Tensor counts = below({rows, n}, 1000), far = there(counts);
    const Tensor totals = empty({rows}, DType::Int64, kCuda);
    cuda::scan_counts(far.data<int64_t>(), rows, n, totals.data<int64_t>());
    Tensor before = empty({rows, n}, DType::Int64), all = empty({rows}, DType::Int64);
    for (int64_t r = 0; r < rows; ++r) {
      int64_t sum = 0;
      for (int64_t i = r * n; i < (r + 1) * n; ++i) {
        before.data<int64_t>()[i] = sum;
        sum += counts.data<int64_t>()[i];
      }
      all.data<int64_t>()[r] = sum;
    }
    twin::expect_close(far, before, 0);
    twin::expect_close(totals, all, 0);
  }
}

TEST(Index, NonzeroOfAWindow) {
  const Tensor mask = values({9001}, 0, 2, DType::Bool), far = there(mask);
  int64_t a, b;
  kernels::nonzero(Device{}, {mask.data<bool>() + 3, 8990, nullptr, &a});
  kernels::nonzero(kCuda, {far.data<bool>() + 3, 8990, nullptr, &b});
  ASSERT_EQ(a, b);
}

TEST(Index, Triangles) {
  for (const DType dtype : kAll)
    for (const Shape& shape : {Shape{5, 5}, Shape{2, 9, 16}, Shape{3, 40, 7}, Shape{2, 0, 3}})
      for (const int64_t diagonal : {-100, -3, 0, 1, 6, 100}) {
        SCOPED_TRACE(::testing::Message() << dtype << " " << shape << " " << diagonal);
        expect_same(
            [&](const Tensors& in) {
              const Tensor x = ops::detach(in[0]);
              return Tensors{ops::tril(x, diagonal), ops::triu(x, diagonal)};
            },
            {some(shape, dtype)}, 0);
      }
}

// ---------------------------------------------------------------- writing

// Lists that are walked and lists that are sorted; rows narrow, wide, odd.
TEST(IndexWrite, IndexAdd) {
  for (const DType dtype : kAll)
    for (const auto& [n_out, n_index, inner] :
         {std::tuple{6, 32, 9}, {700, 301, 1}, {9, 100, 3}, {300, 40, 64}, {2, 70, 264}})
      for (const int64_t outer : {1, 3}) {
        // The walks and the sorts are the same for all: other dtypes see the narrow rows and the
        // wide.
        if (dtype != DType::Float32 && (outer == 1 || n_index > 100 || inner == 64)) continue;
        const double alpha = outer == 1 || dtype == DType::Bool || dtype == DType::UInt8 ? 1 : -2;
        SCOPED_TRACE(::testing::Message()
                     << dtype << " " << n_out << " " << n_index << " " << inner);
        const Tensor index = below({n_index}, n_out);
        const Tensor from = some({outer, n_index, inner}, dtype);
        expect_same(
            [&](const Tensors& in) {
              return Tensors{
                  ops::index_add(ops::detach(in[0]), 1, in[1], ops::detach(in[2]), alpha)};
            },
            {some({outer, n_out, inner}, dtype, 5), index, from}, sum_tolerance(dtype));
      }
}

TEST(IndexWrite, OneTargetForAll) {
  for (const DType dtype : {DType::Float32, DType::Float64, DType::Int32})
    expect_same(
        [](const Tensors& in) {
          return Tensors{ops::index_add(ops::detach(in[0]), 0, in[1], ops::detach(in[2]), 1)};
        },
        {some({3, 5}, dtype), ops::full({5000}, 1, DType::Int64, Device{}), some({5000, 5}, dtype)},
        1e-4);
}

// Additions in the order of the indices: large numbers that cancel leave what came after them.
TEST(IndexWrite, InTheOrderOfTheIndices) {
  for (const int64_t n : {30, 400}) {
    Tensor from = values({n}, -1, 1);
    for (int64_t i = 0; i + 1 < n; i += 10) {
      from.data<float>()[i] = 1e8f;
      from.data<float>()[i + 1] = -1e8f;
    }
    const Tensor index = below({n}, 4);
    expect_same(
        [](const Tensors& in) {
          return Tensors{ops::index_add(ops::detach(in[0]), 0, in[1], ops::detach(in[2]), 1),
                         ops::scatter_add(ops::detach(in[0]), 0, in[1], ops::detach(in[2]))};
        },
        {values({4}), index, from}, 0);
  }
}

TEST(IndexWrite, Scatter) {
  for (const DType dtype : kAll)
    for (const Shape& shape : {Shape{3, 50, 1}, Shape{2, 7, 33}})
      for (const int64_t m : {1, 45}) {
        if (dtype != DType::Float32 && m * shape[2] > 1000) continue;
        SCOPED_TRACE(::testing::Message() << dtype << " " << shape << " " << m);
        const Shape of_index{shape[0], m, shape[2]};
        expect_same(
            [](const Tensors& in) {
              const Tensor x = ops::detach(in[0]), from = ops::detach(in[2]);
              return Tensors{ops::scatter(x, 1, in[1], from), ops::scatter_add(x, 1, in[1], from)};
            },
            {some(shape, dtype), below(of_index, shape[1]), some(of_index, dtype, 4)},
            sum_tolerance(dtype));
      }
}

TEST(IndexWrite, ScatterOfManyColumns) {
  expect_same(
      [](const Tensors& in) {
        const Tensor x = ops::detach(in[0]), from = ops::detach(in[2]);
        return Tensors{ops::scatter(x, 0, in[1], from), ops::scatter_add(x, 0, in[1], from)};
      },
      {values({3, 4100}), below({35, 4100}, 3), values({35, 4100})}, 1e-5);
}

TEST(IndexWrite, Gradients) {
  expect_same(
      [](const Tensors& in) {
        return Tensors{ops::gather(in[0], 1, in[1]), ops::scatter_add(in[0], 1, in[1], in[2]),
                       ops::max_dim(in[0], 0, false).values, ops::amax(in[0], Dims{1}, false)};
      },
      {values({5, 40}), below({5, 60}, 40), values({5, 60})}, 1e-5);
}

TEST(IndexWrite, Put) {
  for (const DType dtype : kAll)
    for (const auto& [n, inner] : {std::tuple{200, 1}, {30, 8}, {90, 33}})
      for (const bool add : {false, true})
        for (const int64_t src_stride : {int64_t(inner), int64_t(0)}) {
          if (src_stride == 0 && dtype != DType::Float32) continue;
          SCOPED_TRACE(::testing::Message() << dtype << " " << n << " " << inner << " " << add);
          Tensor at = below({n}, 40);  // rows of `inner`: they coincide or lie apart
          for (int64_t i = 0; i < n; ++i) at.data<int64_t>()[i] *= inner;
          const Tensor src = some({n, inner}, dtype, 4), y = some({40, inner}, dtype);
          const Tensor at_far = there(at), src_far = there(src), z = there(y);
          kernels::put(Device{}, {src.raw(), src_stride, at.data<int64_t>(), y.raw(), dtype, add, n,
                                  inner, y.numel()});
          kernels::put(kCuda, {src_far.raw(), src_stride, at_far.data<int64_t>(), z.raw(), dtype,
                               add, n, inner, z.numel()});
          twin::expect_close(z, y, sum_tolerance(dtype));
        }
}

// ---------------------------------------------------------------- out of range

// f does not wait; who waits next is told, once. (What f reads and writes outside of its tensors is
// AddressSanitizer's business.)
template <class F>
void expect_fault(F f, const std::string& message) {
  SCOPED_TRACE(message);
  f();
  try {
    cuda_runtime()->synchronize();
    ADD_FAILURE() << "nobody was told";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::Index);
    EXPECT_NE(std::string(e.what()).find(message), std::string::npos) << e.what();
  }
  EXPECT_NO_THROW(cuda_runtime()->synchronize());
}

Tensor indices(std::initializer_list<int64_t> list) {
  Tensor t = empty({static_cast<int64_t>(list.size())}, DType::Int64);
  std::copy(list.begin(), list.end(), t.data<int64_t>());
  return there(t);
}

TEST(IndexFaults, AreReportedToWhoWaits) {
  const Tensor x = there(values({5, 4})), row = there(values({3, 4}));
  const Tensor bad = indices({0, 7, 2}), low = indices({-1, 0, 1}), good = indices({4, 0, 2});
  const std::string text = "index 7 is out of range for size 5";
  expect_fault([&] { ops::index_select(x, 0, bad); }, "[index_select] " + text);
  expect_fault([&] { ops::index_select(x, 0, low); }, "index -1 is out of range");
  expect_fault([&] { ops::index_add(x, 0, bad, row, 1); }, text);
  expect_fault([&] { ops::index(x, {bad}); }, text);
  expect_fault([&] { ops::index(x, {indices({-6})}); }, "index -6");
  expect_fault([&] { ops::index_put_(ops::clone(x), {bad}, row, true); }, text);
  expect_fault([&] { ops::embedding(bad, x, -1); }, text);
  const Tensor columns = ops::contiguous(ops::broadcast_to(ops::unsqueeze(bad, 1), {3, 4}));
  expect_fault([&] { ops::gather(x, 0, columns); }, text);
  expect_fault([&] { ops::scatter(x, 0, columns, row); }, text);
  expect_fault([&] { ops::scatter_add_(ops::clone(x), 0, columns, row); }, text);
  expect_fault([&] { ops::one_hot(bad, 5); }, "class 7");
  for (const char* reduction : {"none", "mean"}) {
    expect_fault([&] { ops::cross_entropy(row, bad, {}, -100, reduction, 0); }, "target 7");
    expect_fault([&] { ops::nll_loss(row, low, {}, -100, reduction); }, "target -1");
  }
  EXPECT_THROW(ops::index_select(there(values({0, 4})), 0, good), Error);  // at once
  ops::index_select(x, 0, good);
  EXPECT_NO_THROW(cuda_runtime()->synchronize());
  // Reading a value waits too.
  ops::index_select(x, 0, bad);
  EXPECT_THROW(ops::sum(x, std::nullopt, false, std::nullopt).item(), Error);
}

// Of two faults one is told, and the results that follow are right.
TEST(IndexFaults, LeaveEverythingUsable) {
  const Tensor x = there(values({5, 4}));
  const Tensor nine = indices({9}), eight = indices({8});
  ops::index_select(x, 0, nine);
  ops::index_select(x, 0, eight);
  EXPECT_THROW(cuda_runtime()->synchronize(), Error);
  EXPECT_NO_THROW(cuda_runtime()->synchronize());
  expect_same([](const Tensors& in) { return Tensors{ops::index(in[0], {in[1]})}; },
              {values({5, 4}), ops::sub(below({30}, 10), 5, 1)});
}

TEST(IndexFaults, TargetsMayBeIgnored) {
  Tensor target = below({40}, 7);
  target.data<int64_t>()[3] = target.data<int64_t>()[20] = -100;
  for (const DType dtype : {DType::Float32, DType::Float64, DType::BFloat16})
    for (const char* reduction : {"none", "sum", "mean"})
      for (const int64_t ignored : {-100, 2}) {
        if (ignored == 2) target = ops::clamp(target, 0, std::nullopt);
        for (const Tensor& weight : {Tensor(), values({7}, 0.5, 2, dtype, 5)})
          expect_same(
              [&](const Tensors& in) {
                const Tensor w = weight.defined() ? ops::to_device(weight, in[0].device()) : weight;
                return Tensors{ops::cross_entropy(in[0], in[1], w, ignored, reduction, 0.1),
                               ops::nll_loss(in[0], in[1], w, ignored, reduction)};
              },
              {values({40, 7}, -2, 2, dtype), target}, dtype == DType::BFloat16 ? 0.03 : -1);
        target = below({40}, 7);
        target.data<int64_t>()[3] = target.data<int64_t>()[20] = -100;
      }
}

}  // namespace
}  // namespace gs
