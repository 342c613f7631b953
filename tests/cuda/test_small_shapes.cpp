// Small shapes of the families whose own tests are too large for ThreadSanitizer.
#include "float32_products.h"
#include "twin.h"

namespace gs {
namespace {

using twin::expect_same;
using twin::values;

// Below `n`, some of them several times.
Tensor positions(const Shape& shape, int64_t n, int seed = 5) {
  return values(shape, 0, static_cast<double>(n), DType::Int64, seed);
}

TEST(SmallShapes, ProductsOnTensorCores) {
  const auto product = [](const Tensors& x) { return Tensors{ops::matmul(x[0], x[1])}; };
  using cuda::Float32Products;
  for (const auto how : {Float32Products::Tf32, Float32Products::ThreeTf32}) {
    cuda::set_float32_products(how);
    expect_same(product, {values({72, 40}), values({40, 24})}, 3e-2);
  }
  cuda::set_float32_products(Float32Products::Exact);
  for (const DType dtype : {DType::BFloat16, DType::Float16})
    expect_same(product, {values({72, 40}, -1, 1, dtype), values({40, 24}, -1, 1, dtype)}, 6e-2);
  expect_same(product, {values({9, 40}), values({40, 3})}, 1e-5);
  expect_same(product, {values({9, 700}), values({700, 11})}, 1e-4);
}

TEST(SmallShapes, WritingByIndex) {
  const Tensor x = values({20, 7}), source = values({30, 7}, -1, 1, DType::Float32, 2);
  expect_same(
      [&](const Tensors& in) {
        const Tensor at = ops::to_device(positions({30}, 20), in[0].device());
        return Tensors{ops::index_add(in[0], 0, at, in[1], Scalar(1.5))};
      },
      {x, source}, 1e-5);
  expect_same(
      [&](const Tensors& in) {
        const Tensor at = ops::to_device(positions({30, 7}, 20), in[0].device());
        return Tensors{ops::scatter_add(in[0], 0, at, in[1])};
      },
      {x, source}, 1e-5);
}

TEST(SmallShapes, RunningSumsAndFirstOfEqualOnes) {
  const Tensor x = values({3, 700}, -1, 1), few = ops::round(values({3, 700}));
  const auto sums = [](const Tensors& in) {
    return Tensors{ops::cumsum(in[0], 0), ops::cumsum(in[0], 1)};
  };
  expect_same(sums, {x}, 1e-4);
  const auto first = [](const Tensors& in) {
    return Tensors{ops::argmax(in[0], 1, false), ops::argmin(in[0], 0, false),
                   ops::argmax(in[0], std::nullopt, false)};
  };
  expect_same(first, {ops::detach(few)});
}

TEST(SmallShapes, Sorts) {
  for (const int64_t n : {100, 3000}) {
    const Tensor few = ops::detach(ops::round(values({2, n}, -9, 9)));
    expect_same(
        [](const Tensors& in) {
          const auto [sorted, order] = ops::sort(in[0], 1, false, true);
          return Tensors{sorted, order, ops::topk(in[0], 5, 1, true, true).values};
        },
        {few});
  }
}

TEST(SmallShapes, RowsOfManyPacks) {
  expect_same(
      [](const Tensors& in) { return Tensors{ops::layer_norm(in[0], {2100}, in[1], in[2], 1e-5)}; },
      {values({2, 2100}), values({2100}), values({2100})}, 1e-4);
}

}  // namespace
}  // namespace gs
