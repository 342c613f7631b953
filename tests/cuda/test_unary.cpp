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

TEST(Unary, Strided) {
  const Tensor x = values({6, 10, 8});
  const Tensor views[] = {ops::transpose(x, 0, 2), ops::transpose(x, 1, 2),
                          alias(x, {3, 5, 4}, {160, 16, 2}, 1)};
  for (const Tensor& view : views)
    expect_same([](const Tensors& in) { return Tensors{ops::sin(in[0])}; }, {view});
}

}  // namespace
}  // namespace gs
