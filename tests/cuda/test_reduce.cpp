#include "kernels/kernels.h"
#include "kernels/params/reduce.h"
#include "twin.h"

namespace gs {
namespace {

using ops::OptionalDims;
using twin::expect_same;
using twin::values;

using Reduction = std::function<Tensor(const Tensor&, OptionalDims)>;

const std::pair<const char*, Reduction> kReductions[] = {
    {"sum", [](const Tensor& x, OptionalDims d) { return ops::sum(x, d, false, std::nullopt); }},
    {"max", [](const Tensor& x, OptionalDims d) { return ops::amax(x, d, true); }},
    {"min", [](const Tensor& x, OptionalDims d) { return ops::amin(x, d, false); }},
    {"all", [](const Tensor& x, OptionalDims d) { return ops::all(x, d, false); }},
    {"any", [](const Tensor& x, OptionalDims d) { return ops::any(x, d, false); }},
    {"count", [](const Tensor& x, OptionalDims d) { return ops::count_nonzero(x, d); }},
};

// Every reduction without its gradient, which is other kernels' work.
void check(const Tensor& x, OptionalDims dims, double tolerance = -1) {
  for (const auto& [name, f] : kReductions) {
    SCOPED_TRACE(name);
    expect_same(
        [&](const Tensors& in) { return Tensors{ops::detach(f(ops::detach(in[0]), dims))}; }, {x},
        tolerance);
  }
}

struct Case {
  Shape shape;
  OptionalDims dims;
};
// Rows (short, of a warp, of a block, cut in two stages), columns (narrow, wide, cut), both.
const Case kCases[] = {
    {{}, std::nullopt},       {{1}, std::nullopt},     {{7, 3}, Dims{1}},
    {{5, 37}, Dims{1}},       {{3, 1001}, Dims{1}},    {{2, 2311}, Dims{1}},
    {{40961}, std::nullopt},  {{37, 5}, Dims{0}},      {{3, 70}, Dims{0}},
    {{259, 72}, Dims{0}},     {{2300, 3}, Dims{0}},    {{3, 50, 33}, Dims{1}},
    {{6, 5, 49}, Dims{0, 2}}, {{4, 6, 8}, Dims{0, 2}}, {{3, 300, 2, 8}, Dims{1, 2}},
    {{3, 0}, Dims{0}},
};

TEST(Reduce, EveryFormOfFloat32) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(::testing::Message() << c.shape);
    check(values(c.shape), c.dims);
  }
}

TEST(Reduce, EveryDtype) {
  for (const DType dtype : {DType::Bool, DType::UInt8, DType::Int8, DType::Int16, DType::Int32,
                            DType::Int64, DType::Float16, DType::BFloat16, DType::Float64}) {
    SCOPED_TRACE(name_of(dtype));
    check(values({5, 261}, dtype == DType::UInt8 ? 0 : -60, 60, dtype), Dims{1});
    check(values({70, 24}, dtype == DType::UInt8 ? 0 : -60, 60, dtype), Dims{0});
    check(values({11003}, dtype == DType::UInt8 ? 0 : -1, 3, dtype), std::nullopt);
  }
}

// Rows of a wider matrix: they begin at 16 bytes and end anywhere.
TEST(Reduce, ColumnsOfAPartOfAMatrix) {
  for (const int64_t width : {1, 5, 70, 71})
    check(ops::narrow(values({259, 72}), 1, 0, width), Dims{0});
}

TEST(Reduce, NegativeZeroIsNothing) {
  for (const DType dtype : {DType::Float16, DType::BFloat16, DType::Float32, DType::Float64})
    for (const OptionalDims& dims : {OptionalDims(Dims{0}), OptionalDims(Dims{1})}) {
      SCOPED_TRACE(name_of(dtype));
      const Tensor x = ops::full({9, 40}, Scalar(-0.0), dtype, Device{});
      ASSERT_TRUE(std::signbit(ops::cast(x, DType::Float64).data<double>()[0]));
      check(x, dims);
    }
}

TEST(Reduce, EveryElementIsSeen) {
  // One element differs from all others: whoever leaves it out is seen.
  for (const int64_t n : {33, 1027, 20011})
    for (const int64_t at : {int64_t(0), n / 3, n - 2, n - 1}) {
      Tensor x = values({n}, 0, 0);
      x.data<float>()[at] = 5;
      check(x, std::nullopt);
      x.data<float>()[at] = -5;
      check(x, std::nullopt);
    }
}

TEST(Reduce, Strided) {
  const Tensor x = values({6, 10, 12});
  const Tensor views[] = {
      ops::transpose(x, 0, 2), ops::transpose(x, 1, 2), alias(x, {3, 5, 4}, {240, 24, 2}, 1),
      alias(x, {5, 7, 11}, {120, 12, 1}, 3), alias(x, {4, 40, 3}, {120, 0, 1}, 1)};
  for (const Tensor& view : views)
    for (const OptionalDims& dims : {OptionalDims(), OptionalDims(Dims{0}), OptionalDims(Dims{1}),
                                     OptionalDims(Dims{2}), OptionalDims(Dims{0, 2})})
      check(view, dims);
}

TEST(Reduce, NanAndInfinity) {
  for (const DType dtype : {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16}) {
    Tensor x = values({3, 400}, -2, 2, DType::Float32);
    x.data<float>()[7] = NAN;
    x.data<float>()[400 + 390] = INFINITY;
    x.data<float>()[800] = -INFINITY;
    check(ops::cast(x, dtype), Dims{1});
    check(ops::cast(x, dtype), Dims{0});
    check(ops::cast(x, dtype), std::nullopt);
  }
}

TEST(Reduce, Converted) {
  const DType kinds[] = {DType::Bool,    DType::UInt8,    DType::Int32,   DType::Int64,
                         DType::Float16, DType::BFloat16, DType::Float32, DType::Float64};
  for (const DType from : kinds)
    for (const DType to : kinds)
      for (const Shape& shape : {Shape{3, 130}, Shape{2, 5000}}) {
        SCOPED_TRACE(::testing::Message() << from << " to " << to << " of " << shape);
        const Tensor x = values(shape, 0, 3, from);
        expect_same(
            [&](const Tensors& in) {
              const Tensor y = ops::detach(in[0]);
              Tensors out{ops::sum(y, Dims{1}, false, to)};
              if (is_floating(to)) out.push_back(ops::mean(y, Dims{1}, false, to));
              return out;
            },
            {x});
      }
}

TEST(Reduce, ProductsAndNorms) {
  for (const DType dtype :
       {DType::Float32, DType::Float64, DType::Int32, DType::Int64, DType::Bool})
    for (const Shape& shape : {Shape{4, 37}, Shape{2, 9000}, Shape{0}})
      expect_same(
          [](const Tensors& in) {
            const Tensor x = ops::detach(in[0]);
            return Tensors{ops::prod(x, 0, false, std::nullopt),
                           ops::prod(x, std::nullopt, false, std::nullopt)};
          },
          {ops::cast(values(shape, 0.97, 1.03, DType::Float64), dtype)}, 1e-5);
  for (const DType dtype : {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16})
    for (const Shape& shape : {Shape{4, 37}, Shape{2, 9001}})
      expect_same(
          [](const Tensors& in) {
            const Tensor x = ops::detach(in[0]);
            return Tensors{ops::norm(x, 2, Dims{1}, false), ops::norm(x, 1, Dims{0}, false),
                           ops::norm(x, 2, std::nullopt, false)};
          },
          {values(shape, -2, 2, dtype)});
}

// A kernel call with the operations' checks left out: pairs that no operation asks for.
TEST(Reduce, SumsOfAbsoluteValuesAndSquares) {
  for (const DType from :
       {DType::Int8, DType::Int64, DType::Float16, DType::Float32, DType::Float64})
    for (const DType to : {DType::Int64, DType::Float32, DType::Float64})
      for (const ReduceOp op : {ReduceOp::SumAbs, ReduceOp::SumSquares, ReduceOp::Mean}) {
        SCOPED_TRACE(::testing::Message() << from << " to " << to);
        const Tensor x = values({3, 77}, -9, 9, from), x_there = ops::to_device(x, twin::kCuda);
        const Tensor y = empty({77}, to), z = empty({77}, to, twin::kCuda);
        Reduce p{op, x.raw(), y.raw(), from, to, 1, 1, {77}, {1}, {3}, {77}};
        kernels::reduce(Device{}, p);
        p.in = x_there.raw(), p.out = z.raw();
        kernels::reduce(twin::kCuda, p);
        twin::expect_close(z, y, twin::tolerance_of(to));
      }
}

TEST(Reduce, Gradients) {
  for (const Shape& shape : {Shape{5, 37}, Shape{3, 4, 9}}) {
    expect_same(
        [](const Tensors& in) {
          return Tensors{ops::sum(in[0], Dims{1}, true, std::nullopt),
                         ops::mean(in[0], std::nullopt, false, std::nullopt),
                         ops::amax(in[0], Dims{0}, false),
                         ops::amin(in[0], std::nullopt, false),
                         ops::norm(in[0], 2, Dims{1}, false),
                         ops::logsumexp(in[0], Dims{1}, false)};
        },
        {values(shape)}, 1e-5);
  }
}

}  // namespace
}  // namespace gs
