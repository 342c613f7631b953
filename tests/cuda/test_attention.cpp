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

// Heads of whole packs go to the tensor cores when their type has 16 bits.
const DType kHalves[] = {DType::Float16, DType::BFloat16};

Tensors sequences(int64_t batch, const Case& c, DType dtype) {
  return {values({batch, c.heads, c.t, c.d}, -1, 1, dtype, 1),
          values({batch, c.heads, c.u, c.d}, -1, 1, dtype, 2),
          values({batch, c.heads, c.u, c.v}, -1, 1, dtype, 3)};
}

// Results here are averages of many values, small numbers: the limit is closer than that of other
// operations. Gradients are sums of some ten products of rounded numbers.
double limit_of(DType dtype) { return dtype == DType::Float16 ? 6e-4 : 5e-3; }

// Widths of every kind of tile, full and not; one tile and several of queries and of keys.
TEST(AttentionTensor, Sizes) {
  const Case cases[] = {{1, 1, 1, 8, 8},      {1, 40, 65, 32, 16}, {2, 130, 70, 16, 40},
                        {1, 65, 150, 64, 64}, {1, 70, 67, 96, 80}, {1, 33, 130, 128, 8},
                        {1, 67, 40, 120, 128}};
  for (const Case& c : cases)
    for (const DType dtype : kHalves) {
      SCOPED_TRACE(::testing::Message() << dtype << " t " << c.t << " u " << c.u << " d " << c.d);
      expect_same([](const Tensors& x) { return attend(x, false); }, sequences(1, c, dtype),
                  limit_of(dtype));
    }
}

TEST(AttentionTensor, Causal) {
  const Case cases[] = {{1, 1, 3, 8, 8},      {1, 70, 70, 24, 24},  {2, 200, 200, 64, 64},
                        {1, 33, 150, 32, 32}, {1, 150, 40, 40, 40}, {1, 131, 131, 128, 128}};
  for (const Case& c : cases)
    for (const DType dtype : kHalves) {
      SCOPED_TRACE(::testing::Message() << dtype << " t " << c.t << " u " << c.u << " d " << c.d);
      expect_same([](const Tensors& x) { return attend(x, true); }, sequences(1, c, dtype),
                  limit_of(dtype));
    }
}

// Enough heads that the tiles of queries are tall.
TEST(AttentionTensor, Tall) {
  for (const bool causal : {false, true})
    expect_same([=](const Tensors& x) { return attend(x, causal); },
                sequences(3, {22, 131, 70, 8, 8}, DType::BFloat16), limit_of(DType::BFloat16));
}

// Masks of every reach; queries that see nothing at all, and keys that nobody sees.
TEST(AttentionTensor, Masked) {
  const int64_t t = 69, u = 135;
  for (const Shape& shape :
       {Shape{t, u}, Shape{2, 1, t, u}, Shape{1, 2, t, u}, Shape{2, 2, 1, u}}) {
    Tensor mask = empty(shape, DType::Bool);
    for (int64_t i = 0; i < mask.numel(); ++i)
      mask.data<bool>()[i] = i % 3 != 0 && i / u % t != 4 && i % u / 20 != 5;
    Tensors in = sequences(2, {2, t, u, 16, 24}, DType::Float16);
    in.push_back(mask);
    expect_same(
        [](const Tensors& x) {
          return Tensors{ops::scaled_dot_product_attention(x[0], x[1], x[2], x[3], 0, false, -0.5)};
        },
        in, limit_of(in[0].dtype()));
  }
}

// Numbers added to the scores, far apart: the highest score of a row grows from tile to tile, or is
// in the first.
TEST(AttentionTensor, SteepScores) {
  const int64_t t = 37, u = 200;
  for (const auto& [dtype, slope] : {std::pair{DType::Float16, 0.125f}, {DType::BFloat16, -2.0f}}) {
    Tensors in = sequences(1, {1, t, u, 16, 16}, dtype);
    Tensor mask = empty({t, u}, DType::Float32);
    for (int64_t i = 0; i < t * u; ++i)
      mask.data<float>()[i] = static_cast<float>(i % u) * slope - static_cast<float>(i / u);
    in.push_back(ops::cast(mask, dtype));
    expect_same(
        [](const Tensors& x) {
          return Tensors{ops::scaled_dot_product_attention(x[0], x[1], x[2], ops::detach(x[3]), 0,
                                                           false, std::nullopt)};
        },
        in, limit_of(in[0].dtype()));
  }
}

TEST(AttentionTensor, SameBits) {
  const Tensors in = sequences(1, {2, 90, 90, 32, 32}, DType::BFloat16);
  const auto bits = [&] {
    Tensors x;
    for (const Tensor& t : in) {
      x.push_back(ops::to_device(t, twin::kCuda));
      x.back().body()->requires_grad = true;
    }
    const Tensor out = attend(x, true)[0];
    Tensors all = autograd::grad({out}, x, {ops::cast(out, out.dtype())}, false, false, false);
    all.push_back(out);
    std::vector<uint16_t> words;
    for (const Tensor& t : all) {
      const Tensor here = ops::contiguous(ops::to_device(ops::detach(t), Device{}));
      const auto* p = static_cast<const uint16_t*>(here.raw());
      words.insert(words.end(), p, p + here.numel());
    }
    return words;
  };
  EXPECT_EQ(bits(), bits());
}

}  // namespace
}  // namespace gs
