#include "kernels/params/unary.h"
#include "ops/common.h"
#include "twin.h"

namespace gs {
namespace {

using twin::expect_same;
using twin::values;

const Shape kShapes[] = {{}, {1}, {7}, {64}, {1000}, {3, 5, 7}, {0}, {2, 0}};

template <class F>
void on_shapes_and_dtypes(F f, double low = -2, double high = 2) {
  for (const DType dtype : {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16})
    for (const Shape& shape : kShapes)
      expect_same([&](const Tensors& in) { return Tensors{f(in[0])}; },
                  {values(shape, low, high, dtype)});
}

TEST(Unary, ValuesAndGradients) {
  on_shapes_and_dtypes([](const Tensor& x) { return ops::exp(x); });
  on_shapes_and_dtypes([](const Tensor& x) { return ops::tanh(x); });
  on_shapes_and_dtypes([](const Tensor& x) { return ops::log(x); }, 0.1, 4);
}

TEST(Unary, Parameters) {
  on_shapes_and_dtypes([](const Tensor& x) { return ops::leaky_relu(x, 0.1); });
  on_shapes_and_dtypes([](const Tensor& x) { return ops::elu(x, 1.3); });
  on_shapes_and_dtypes([](const Tensor& x) { return ops::softplus(x, 1.7, 2); });
  on_shapes_and_dtypes([](const Tensor& x) { return ops::clamp(x, -0.7, 1.1); });
}

// Bounds between numbers and beyond the type; all that wraps.
TEST(Unary, Integers) {
  for (const DType dtype : {DType::Int64, DType::Int32, DType::Int16, DType::Int8, DType::UInt8}) {
    const double low = dtype == DType::UInt8 ? 0 : -120, high = dtype == DType::UInt8 ? 255 : 120;
    const Tensor x = values({301}, low, high, dtype);
    for (const auto& [a, b] :
         {std::pair{-7.5, 9.5}, {0.5, 200.5}, {-1e30, 1e30}, {3.0, 3.0}, {-9.5, -7.5}})
      expect_same(
          [a = a, b = b](const Tensors& in) {
            // ops::clamp gives floats for such bounds.
            const Tensor y = empty(in[0].shape(), in[0].dtype(), in[0].device());
            ops::run_unary(UnaryOp::Clamp, in[0], y, a, b);
            return Tensors{y};
          },
          {x});
    for (const auto f : {ops::neg, ops::abs, ops::sign, ops::square, ops::bitwise_not, ops::floor})
      expect_same([f](const Tensors& in) { return Tensors{f(in[0])}; }, {x});
  }
  expect_same([](const Tensors& in) { return Tensors{ops::bitwise_not(in[0])}; },
              {ops::gt(values({301}), 0)});
}

TEST(Unary, Strided) {
  const Tensor x = values({6, 10, 8});
  const Tensor views[] = {ops::transpose(x, 0, 2), ops::transpose(x, 1, 2),
                          alias(x, {3, 5, 4}, {160, 16, 2}, 1)};
  for (const Tensor& view : views)
    expect_same([](const Tensors& in) { return Tensors{ops::sin(in[0])}; }, {view});
}

}  // namespace
}  // namespace gs
