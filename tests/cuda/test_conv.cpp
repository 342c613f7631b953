#include "float32_products.h"
#include "kernels/kernels.h"
#include "kernels/params/conv.h"
#include "twin.h"

namespace gs {
namespace {

using twin::expect_same;
using twin::values;

struct Case {
  Shape x, weight;
  Dims stride = {1}, padding = {0}, dilation = {1};
  int64_t groups = 1;
  bool bias = true;
};

Tensors operands(const Case& c, DType dtype) {
  Tensors out{values(c.x, -1, 1, dtype, 1), values(c.weight, -1, 1, dtype, 2)};
  if (c.bias) out.push_back(values({c.weight[0]}, -1, 1, dtype, 3));
  return out;
}

Tensors convolve(const Case& c, const Tensors& in) {
  return {ops::conv2d(in[0], in[1], in.size() > 2 ? in[2] : Tensor(), c.stride, c.padding,
                      c.dilation, c.groups)};
}

// Sums of many products in another order: the weight gradient's are the longest.
double tolerance_of(DType t) { return t == DType::Float32 ? 3e-5 : 8 * twin::tolerance_of(t); }

void check(const Case& c, DType dtype = DType::Float32, double tolerance = 0) {
  SCOPED_TRACE(testing::Message() << "x " << c.x << ", weight " << c.weight << ", stride "
                                  << c.stride << ", dtype " << dtype);
  expect_same([&](const Tensors& in) { return convolve(c, in); }, operands(c, dtype),
              tolerance > 0 ? tolerance : tolerance_of(dtype));
}

constexpr DType kFloating[] = {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16};

// ---------------------------------------------------------------- products of matrices

TEST(Conv, EveryTypeOverTileEdges) {
  const Case odd{{2, 5, 9, 7}, {11, 5, 3, 3}, {1}, {1}};
  const Case wide{{3, 7, 6, 9}, {37, 7, 3, 2}, {1}, {1, 0}};  // the middle tile, an odd plane
  for (const DType dtype : kFloating) check(odd, dtype), check(wide, dtype);
}

TEST(Conv, Windows) {
  check({{2, 9, 8, 8}, {12, 9, 1, 1}});                          // whole planes, packed stores
  check({{2, 9, 8, 8}, {12, 9, 1, 1}, {2}});                     // phases without a tap
  check({{1, 6, 12, 11}, {9, 6, 3, 3}, {2}, {1}});               // four phases
  check({{1, 6, 13, 10}, {9, 6, 5, 4}, {3, 2}, {2, 3}});         // uneven phases
  check({{1, 6, 13, 12}, {9, 6, 3, 3}, {1}, {2}, {2}});          // dilated
  check({{1, 6, 13, 12}, {9, 6, 3, 3}, {2, 4}, {3}, {2, 6}});    // stride and dilation share 2
  check({{1, 6, 14, 9}, {9, 6, 3, 2}, {2, 3}, {1}, {3, 2}});     // and share nothing
  check({{1, 6, 5, 5}, {9, 6, 3, 3}, {7}, {0}});                 // a stride past the end
  check({{1, 6, 3, 3}, {9, 6, 3, 3}, {1}, {4}, {1}, 1, false});  // windows in padding alone
  check({{1, 10, 1, 40}, {9, 10, 1, 5}, {1}, {0, 2}});           // one dimension
}

TEST(Conv, Groups) {
  check({{2, 27, 6, 5}, {33, 9, 3, 3}, {1}, {1}, {1}, 3});
  check({{2, 27, 6, 5}, {30, 9, 2, 3}, {2}, {1}, {1}, 3});
}

// More outputs and results than one large tile, and enough of them that it is taken.
TEST(Conv, LargeTiles) {
  const Case large{{2, 2, 67, 65}, {130, 2, 3, 3}, {1}, {1}};
  const Case middle{{2, 2, 93, 91}, {40, 2, 3, 3}, {1}, {1}};
  check(large), check(large, DType::BFloat16);
  check(middle), check(middle, DType::Float16);
}

// The weight gradient's tiles go by outputs and taps alone.
TEST(Conv, LargeTilesOfTheWeightGradient) {
  for (const DType dtype : kFloating) {
    check({{2, 8, 9, 7}, {70, 8, 3, 3}, {1}, {1}}, dtype);
    check({{2, 8, 9, 7}, {40, 8, 3, 3}, {1}, {1}}, dtype);
  }
}

// Few blocks: the depth is shared out. A share is longer than the table of its taps.
TEST(Conv, DepthInShares) {
  const Case deep{{1, 140, 5, 5}, {34, 140, 3, 3}, {1}, {1}};
  for (const DType dtype : kFloating) check(deep, dtype);
  check({{1, 300, 5, 5}, {80, 300, 2, 2}, {2}, {1}});
}

// float32 on tensor cores, where that is asked for: both tiles, their edges, shares of the depth,
// phases and groups.
TEST(Conv, Float32OnTensorCores) {
  struct With {
    explicit With(cuda::Float32Products how) { cuda::set_float32_products(how); }
    ~With() { cuda::set_float32_products(cuda::Float32Products::Exact); }
  };
  const Case cases[] = {{{2, 5, 9, 7}, {11, 5, 3, 3}, {1}, {1}},
                        {{3, 7, 6, 9}, {37, 7, 3, 4}, {1}, {1, 0}},
                        {{1, 70, 5, 6}, {33, 70, 3, 3}, {1}, {1}},
                        {{1, 6, 13, 10}, {9, 6, 5, 4}, {3, 2}, {2, 3}},
                        {{2, 12, 8, 8}, {9, 4, 1, 1}, {1}, {0}, {1}, 3}};
  for (const Case& c : cases) {
    const With three(cuda::Float32Products::ThreeTf32);
    check(c);
    cuda::set_float32_products(cuda::Float32Products::Tf32);
    check(c, DType::Float32, 2e-2);
  }
  const With one(cuda::Float32Products::Tf32);  // the larger tile of the product
  check({{2, 2, 93, 91}, {40, 2, 3, 3}, {1}, {1}}, DType::Float32, 2e-2);
}

TEST(Conv, Transposed) {
  const auto transposed = [](const Tensors& in) {
    return Tensors{ops::conv_transpose2d(in[0], in[1], Tensor(), {2}, {1}, {1}, 2, {1})};
  };
  expect_same(transposed, {values({2, 10, 5, 6}), values({10, 9, 3, 3}, -1, 1)}, 3e-5);
}

TEST(Conv, Strided) {
  const Tensor x = ops::transpose(values({2, 8, 9, 6}), 1, 3);
  expect_same(
      [](const Tensors& in) {
        return Tensors{ops::conv2d(in[0], in[1], Tensor(), {1}, {1}, {1}, 1)};
      },
      {x, values({9, 6, 3, 3}, -1, 1)}, 3e-5);
}

TEST(Conv, Empty) {
  check({{0, 5, 9, 7}, {11, 5, 3, 3}, {1}, {0}, {1}, 1, false});
  check({{2, 5, 9, 7}, {0, 5, 3, 3}, {1}, {0}, {1}, 1, false});
}

// A value that is not a number reaches the windows that cover it and no others.
TEST(Conv, NotANumberStaysInItsWindows) {
  for (const int64_t groups : {1, 9}) {
    Tensor x = values({1, 9, 8, 8});
    x.data<float>()[3 * 64 + 5 * 8 + 2] = NAN;
    const Tensor weight = values({9, 9 / groups, 3, 3});
    const auto f = [&](const Tensor& in, const Tensor& w) {
      return ops::conv2d(in, w, Tensor(), {1}, {1}, {1}, groups);
    };
    twin::expect_close(f(ops::to_device(x, twin::kCuda), ops::to_device(weight, twin::kCuda)),
                       f(x, weight), 3e-5);
  }
}

TEST(Conv, Activations) {
  const Tensor x = values({2, 6, 5, 7}), weight = values({9, 6, 3, 3}), bias = values({9});
  const Tensor there[] = {ops::to_device(x, twin::kCuda), ops::to_device(weight, twin::kCuda),
                          ops::to_device(bias, twin::kCuda)};
  for (const Activation activation :
       {Activation::Relu, Activation::Tanh, Activation::Sigmoid, Activation::Gelu}) {
    const ConvShape shape{DType::Float32, 2, 6, 5, 7, 9, 3, 3, 5, 7, 1, 1, 1, 1, 1, 1, 1};
    const Tensor y = empty({2, 9, 5, 7}, DType::Float32);
    const Tensor z = empty({2, 9, 5, 7}, DType::Float32, twin::kCuda);
    cpu::conv2d({shape, x.raw(), weight.raw(), bias.raw(), y.raw(), activation});
    cuda::conv2d({shape, there[0].raw(), there[1].raw(), there[2].raw(), z.raw(), activation});
    twin::expect_close(z, y, 1e-5);
  }
}

// ---------------------------------------------------------------- few channels in a group

TEST(ConvDepthwise, SquareWindows) {
  for (const DType dtype : kFloating) check({{2, 5, 9, 7}, {5, 1, 3, 3}, {1}, {1}, {1}, 5}, dtype);
  check({{2, 5, 10, 7}, {5, 1, 3, 3}, {2}, {1}, {1}, 5});
  check({{2, 3, 9, 11}, {3, 1, 5, 5}, {1}, {2}, {1}, 3});
  check({{2, 3, 9, 11}, {3, 1, 5, 5}, {2}, {2}, {1}, 3});
  check({{1, 3, 9, 10}, {3, 1, 7, 7}, {1}, {3, 1}, {1}, 3});
}

TEST(ConvDepthwise, AnyWindow) {
  for (const DType dtype : kFloating) check({{2, 3, 9, 11}, {3, 1, 2, 4}, {1}, {1}, {1}, 3}, dtype);
  check({{2, 3, 9, 11}, {3, 1, 3, 3}, {1}, {2}, {2}, 3});
  check({{2, 3, 9, 11}, {3, 1, 3, 4}, {2, 3}, {2}, {3, 2}, 3});
}

TEST(ConvDepthwise, SeveralChannelsAndOutputs) {
  check({{2, 3, 9, 7}, {6, 1, 3, 3}, {1}, {1}, {1}, 3});
  check({{2, 6, 9, 7}, {9, 2, 3, 3}, {1}, {1}, {1}, 3});
  check({{2, 6, 9, 7}, {6, 2, 3, 2}, {2}, {1}, {1}, 3});
  check({{2, 6, 9, 7}, {3, 6, 3, 3}, {1}, {1}});  // few outputs without groups
}

// Several shares of pixels, and blocks that are not full.
TEST(ConvDepthwise, ManyPixels) { check({{3, 2, 37, 31}, {2, 1, 3, 3}, {1}, {1}, {1}, 2}); }

TEST(Conv, SameBitsEveryTime) {
  const Case c{{3, 9, 17, 15}, {33, 9, 3, 3}, {1}, {1}};
  const auto gradient = [&] {
    Tensors in;
    for (const Tensor& t : operands(c, DType::Float32)) {
      in.push_back(ops::to_device(t, twin::kCuda));
      in.back().body()->requires_grad = true;
    }
    const Tensors y = convolve(c, in);
    const Tensor g = ops::to_device(values(y[0].shape(), -1, 1), twin::kCuda);
    return autograd::grad(y, in, {g}, false, false, true);
  };
  const Tensors first = gradient(), second = gradient();
  for (size_t i = 0; i < first.size(); ++i)
    twin::expect_close(first[i], ops::to_device(second[i], Device{}), 0);
}

}  // namespace
}  // namespace gs
