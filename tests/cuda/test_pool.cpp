#include "kernels/kernels.h"
#include "kernels/params/pool.h"
#include "twin.h"

namespace gs {
namespace {

using twin::expect_same;
using twin::values;

constexpr DType kFloating[] = {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16};

// ---------------------------------------------------------------- maximum

struct Window {
  Shape x;
  Dims kernel, stride, padding = {0}, dilation = {1};
  bool ceil_mode = false;
};

const Window kWindows[] = {
    {{3, 5, 8, 10}, {2}, {2}},                         // side by side, two elements at a time
    {{3, 5, 7, 9}, {2}, {2}},                          // odd sides
    {{2, 3, 9, 11}, {3}, {2}, {1}},                    // overlapping
    {{2, 3, 9, 11}, {3}, {2}, {1}, {1}, true},         // a last window past the end
    {{2, 3, 9, 11}, {2, 3}, {1, 3}, {1, 0}},           // uneven
    {{1, 2, 12, 13}, {3, 2}, {2, 1}, {2, 1}, {2, 3}},  // dilated
    {{1, 2, 5, 6}, {2}, {4}},                          // places in no window
    {{1, 3, 40, 37}, {5, 7}, {1}, {2, 3}},             // several blocks
    {{2, 3, 3}, {2}, {1}},                             // without a batch
    {{0, 2, 5, 5}, {2}, {2}},
};

void check_max(const Window& w, DType dtype = DType::Float32) {
  SCOPED_TRACE(testing::Message() << w.x << " kernel " << w.kernel << " " << dtype);
  expect_same(
      [&](const Tensors& in) {
        const auto [y, indices] =
            ops::max_pool2d_indices(in[0], w.kernel, w.stride, w.padding, w.dilation, w.ceil_mode);
        return Tensors{y, indices};
      },
      // Few different values: ties are decided by the place.
      {ops::floor(values(w.x, -3, 3, dtype))});
}

TEST(MaxPool, WindowsAndTies) {
  for (const Window& w : kWindows) check_max(w);
}

TEST(MaxPool, EveryType) {
  for (const DType dtype : kFloating) check_max(kWindows[0], dtype), check_max(kWindows[3], dtype);
}

TEST(MaxPool, WithoutIndices) {
  for (const Window& w : {kWindows[0], kWindows[2]}) {
    const Tensor x = values(w.x);
    const auto f = [&](const Tensor& t) {
      return ops::max_pool2d(t, w.kernel, w.stride, w.padding, {1}, false);
    };
    twin::expect_close(f(ops::to_device(x, twin::kCuda)), f(x), 0);
  }
}

// The first NaN of a window wins, then infinities; a window of -infinity has its first place.
TEST(MaxPool, NotANumberAndInfinity) {
  for (const int64_t padding : {0, 1}) {
    Tensor x = values({1, 1, 8, 8});
    float* p = x.data<float>();
    p[9] = p[10] = p[18] = NAN, p[36] = INFINITY, p[54] = -INFINITY;
    for (const int i : {48, 49, 56, 57}) p[i] = -INFINITY;
    for (const int64_t kernel : {2, 3})
      expect_same(
          [&](const Tensors& in) {
            const auto [y, indices] =
                ops::max_pool2d_indices(in[0], {kernel}, Dims{2}, {padding}, {1}, false);
            return Tensors{y, indices};
          },
          {x});
  }
}

// Windows whose taps all fall beside the plane: -infinity, place -1, no gradient.
TEST(MaxPool, WindowsInPaddingAlone) { check_max({{1, 2, 3, 4}, {2}, {1}, {2}, {4}}); }

// ---------------------------------------------------------------- average

TEST(AvgPool, WindowsAndDivisors) {
  for (const Window& w : kWindows) {
    if (w.dilation != Dims{1}) continue;
    SCOPED_TRACE(testing::Message() << w.x << " kernel " << w.kernel);
    for (const bool with_pad : {false, true})
      for (const int64_t divisor : {0, 7})
        expect_same(
            [&](const Tensors& in) {
              return Tensors{ops::avg_pool2d(in[0], w.kernel, w.stride, w.padding, w.ceil_mode,
                                             with_pad,
                                             divisor ? std::optional(divisor) : std::nullopt)};
            },
            {values(w.x)});
  }
}

TEST(AvgPool, EveryType) {
  for (const DType dtype : kFloating)
    for (const Window& w : {kWindows[0], kWindows[3]})
      expect_same(
          [&](const Tensors& in) {
            return Tensors{ops::avg_pool2d(in[0], w.kernel, w.stride, w.padding, w.ceil_mode, false,
                                           std::nullopt)};
          },
          {values(w.x, -2, 2, dtype)});
}

// The kernels take dilated windows though the operation has none.
TEST(AvgPool, Dilated) {
  const PoolShape s{DType::Float32, 2, 11, 9, 4, 6, 3, 2, 2, 1, 1, 1, 3, 4};
  for (const bool with_pad : {false, true}) {
    const Tensor x = values({2, 11, 9}), dy = values({2, 4, 6});
    const Tensor y = empty({2, 4, 6}, DType::Float32), dx = empty({2, 11, 9}, DType::Float32);
    cpu::avg_pool2d({s, with_pad, 0, x.raw(), y.raw()});
    cpu::avg_pool2d_grad({s, with_pad, 0, dy.raw(), dx.raw()});
    const Tensor xc = ops::to_device(x, twin::kCuda), dyc = ops::to_device(dy, twin::kCuda);
    const Tensor yc = empty({2, 4, 6}, DType::Float32, twin::kCuda);
    const Tensor dxc = empty({2, 11, 9}, DType::Float32, twin::kCuda);
    cuda::avg_pool2d({s, with_pad, 0, xc.raw(), yc.raw()});
    cuda::avg_pool2d_grad({s, with_pad, 0, dyc.raw(), dxc.raw()});
    twin::expect_close(yc, y, 1e-6);
    twin::expect_close(dxc, dx, 1e-6);
  }
}

TEST(AvgPool, Strided) {
  const Tensor x = ops::transpose(values({3, 9, 8, 2}), 1, 3);
  expect_same(
      [](const Tensors& in) {
        return Tensors{ops::avg_pool2d(in[0], {2}, Dims{2}, {0}, false, true, std::nullopt)};
      },
      {x});
}

// ---------------------------------------------------------------- adaptive

struct Sizes {
  Shape x;
  Dims output;
};
// Windows by a thread, by a warp, by a block; overlapping ones, and more outputs than inputs.
const Sizes kSizes[] = {{{2, 5, 7, 9}, {3, 4}},   {{2, 5, 7, 7}, {1, 1}},  {{3, 3, 29, 31}, {2, 3}},
                        {{2, 3, 50, 43}, {1, 1}}, {{2, 3, 4, 5}, {7, 11}}, {{2, 3, 9, 40}, {2, 1}},
                        {{1, 2, 6, 8}, {6, 8}},   {{5, 3, 60}, {2, 1}},    {{0, 2, 5, 5}, {2, 2}},
                        {{2, 40, 6, 5}, {4, 3}}};

TEST(AdaptivePool, Average) {
  for (const Sizes& s : kSizes) {
    SCOPED_TRACE(testing::Message() << s.x << " to " << s.output);
    expect_same(
        [&](const Tensors& in) { return Tensors{ops::adaptive_avg_pool2d(in[0], s.output)}; },
        {values(s.x)}, 1e-5);
  }
}

TEST(AdaptivePool, Maximum) {
  for (const Sizes& s : kSizes) {
    SCOPED_TRACE(testing::Message() << s.x << " to " << s.output);
    expect_same(
        [&](const Tensors& in) { return Tensors{ops::adaptive_max_pool2d(in[0], s.output)}; },
        {ops::floor(values(s.x, -20, 3))});
  }
}

TEST(AdaptivePool, EveryType) {
  for (const DType dtype : kFloating)
    for (const Sizes& s : {kSizes[0], kSizes[1], kSizes[3]})
      expect_same(
          [&](const Tensors& in) {
            return Tensors{ops::adaptive_avg_pool2d(in[0], s.output),
                           ops::adaptive_max_pool2d(in[0], s.output)};
          },
          {values(s.x, -2, 2, dtype)}, 5 * twin::tolerance_of(dtype));
}

// The places of equal values and of NaN, which the gradient shows.
TEST(AdaptivePool, NotANumberAndInfinity) {
  Tensor x = values({1, 2, 8, 12});
  float* p = x.data<float>();
  p[17] = p[40] = NAN, p[5] = INFINITY;
  for (int i = 96; i < 192; ++i) p[i] = -INFINITY;
  for (const int64_t side : {1, 2, 4})
    expect_same([&](const Tensors& in) { return Tensors{ops::adaptive_max_pool2d(in[0], {side})}; },
                {x});
}

}  // namespace
}  // namespace gs
