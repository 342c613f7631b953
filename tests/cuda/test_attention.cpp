#include "twin.h"

namespace gs {
namespace {

using twin::expect_same;
using twin::values;

Tensors attend(const Tensors& in, bool causal) {
  return {
      ops::scaled_dot_product_attention(in[0], in[1], in[2], Tensor(), 0, causal, std::nullopt)};
}

struct Case {
  int64_t heads, t, u, d, v;
};
const Case kCases[] = {{1, 1, 1, 1, 1}, {2, 5, 7, 4, 3}, {2, 33, 70, 8, 16}, {1, 40, 37, 65, 9}};

TEST(Attention, ValuesAndGradients) {
  for (const Case& c : kCases)
    for (const DType dtype : {DType::Float32, DType::Float64, DType::BFloat16, DType::Float16}) {
      const Tensors in = {values({2, c.heads, c.t, c.d}, -1, 1, dtype, 1),
                          values({2, c.heads, c.u, c.d}, -1, 1, dtype, 2),
                          values({2, c.heads, c.u, c.v}, -1, 1, dtype, 3)};
      expect_same([](const Tensors& x) { return attend(x, false); }, in);
      if (c.t <= c.u) expect_same([](const Tensors& x) { return attend(x, true); }, in);
    }
}

// A row in which everything is masked gives 0 and no gradient.
TEST(Attention, Masked) {
  const int64_t t = 20, u = 35;
  Tensor mask = empty({t, u}, DType::Bool);
  for (int64_t i = 0; i < t * u; ++i) mask.data<bool>()[i] = i % 3 != 0 && i / u != 4;
  expect_same(
      [](const Tensors& x) {
        return Tensors{ops::scaled_dot_product_attention(x[0], x[1], x[2], x[3], 0, false, 0.5)};
      },
      {values({2, 2, t, 8}), values({2, 2, u, 8}), values({2, 2, u, 8}), mask});
}

}  // namespace
}  // namespace gs
