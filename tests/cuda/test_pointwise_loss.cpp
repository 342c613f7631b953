#include <limits>

#include "kernels/kernels.h"
#include "kernels/params/pointwise_loss.h"
#include "twin.h"

namespace gs {
namespace {

using twin::expect_same;
using twin::values;

constexpr DType kFloating[] = {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16};
constexpr const char* kReductions[] = {"none", "sum", "mean"};

using Loss = std::function<Tensor(const Tensor& x, const Tensor& t, const std::string& reduction)>;

// Odd sizes, more than a block, and more elements than the blocks of a total take in one round.
void on_shapes(const Loss& loss, double low = -2, double high = 2, double target_low = -2,
               double target_high = 2) {
  for (const std::string reduction : kReductions) {
    const auto operation = [&](const Tensors& in) {
      return Tensors{loss(in[0], in[1], reduction)};
    };
    for (const DType dtype : kFloating)
      for (const Shape& shape : {Shape{}, Shape{7}, Shape{33, 65}, Shape{0}})
        expect_same(operation, {values(shape, low, high, dtype),
                                values(shape, target_low, target_high, dtype, 2)});
  }
}

TEST(PointwiseLoss, OfDifferences) {
  on_shapes([](auto& x, auto& t, auto& r) { return ops::mse_loss(x, t, r); });
  on_shapes([](auto& x, auto& t, auto& r) { return ops::l1_loss(x, t, r); });
  on_shapes([](auto& x, auto& t, auto& r) { return ops::smooth_l1_loss(x, t, r, 0.7); });
  on_shapes([](auto& x, auto& t, auto& r) { return ops::huber_loss(x, t, r, 1.3); });
}

TEST(PointwiseLoss, OfProbabilities) {
  on_shapes([](auto& x, auto& t, auto& r) { return ops::bce_loss(x, t, {}, r); }, 0.05, 0.95, 0, 1);
  on_shapes([](auto& x, auto& t, auto& r) { return ops::bce_with_logits(x, t, {}, {}, r); }, -4, 4,
            0, 1);
  on_shapes([](auto& x, auto& t, auto& r) { return ops::kl_div(x, t, r, false); }, -3, 0, 0.1, 1);
  on_shapes([](auto& x, auto& t, auto& r) { return ops::kl_div(x, t, r, true); }, -3, 0, -3, 0);
  on_shapes([](auto& x, auto& t, auto&) { return ops::kl_div(x, t, "batchmean", true); }, -3, 0);
}

TEST(PointwiseLoss, Hinge) {
  for (const DType dtype : kFloating)
    for (const std::string reduction : kReductions) {
      const Tensor signs = ops::cast(ops::sign(values({9, 31}, -1, 1, DType::Float32, 4)), dtype);
      expect_same(
          [&](const Tensors& in) {
            return Tensors{ops::hinge_embedding_loss(in[0], in[1], 1.5, reduction)};
          },
          {values({9, 31}, -2, 2, dtype), signs});
    }
}

// Weights of one value, of one that repeats, and of one an element.
TEST(PointwiseLoss, Weights) {
  for (const DType dtype : kFloating)
    for (const Shape& shape : {Shape{}, Shape{1, 1}, Shape{13}, Shape{3, 1}, Shape{11, 3, 13}})
      for (const std::string reduction : kReductions) {
        const Tensor x = values({11, 3, 13}, -3, 3, dtype), t = values({11, 3, 13}, 0, 1, dtype, 2),
                     w = values(shape, 0.1, 2, dtype, 3);
        for (int which = 0; which < 3; ++which)
          expect_same(
              [&](const Tensors& in) {
                const auto none = ops::detach(in[2]);
                const Tensor weight = which != 1 ? none : Tensor(),
                             positive = which != 0 ? none : Tensor();
                return Tensors{ops::bce_with_logits(in[0], in[1], weight, positive, reduction)};
              },
              {x, t, w});
      }
}

TEST(PointwiseLoss, LargeTotal) {
  const Tensor x = values({1100003}), t = values({1100003}, -2, 2, DType::Float32, 2);
  expect_same([](const Tensors& in) { return Tensors{ops::mse_loss(in[0], in[1], "mean")}; },
              {x, t});
}

TEST(PointwiseLoss, StridedAndOffset) {
  const Tensor x = values({12, 10}), t = values({10, 12}, -2, 2, DType::Float32, 2);
  const auto loss = [](const Tensors& in) { return Tensors{ops::mse_loss(in[0], in[1], "none")}; };
  expect_same(loss, {ops::transpose(x, 0, 1), t});
  // Dense operands that begin in the middle of 16 bytes, each in another place.
  const Tensor a = ops::to_device(values({101}), twin::kCuda), b = ops::to_device(x, twin::kCuda);
  const Tensor there = ops::mse_loss(alias(a, {97}, {1}, 1), alias(b, {97}, {1}, 2), "none");
  const Tensor here =
      ops::mse_loss(alias(values({101}), {97}, {1}, 1), alias(x, {97}, {1}, 2), "none");
  twin::expect_close(there, here, 3e-6);
}

TEST(PointwiseLoss, EdgesOfProbability) {
  const Tensor x = values({16}, 0.1, 0.9), t = values({16}, 0, 1, DType::Float32, 2);
  x.data<float>()[0] = 0, x.data<float>()[5] = 1;
  t.data<float>()[1] = 0, t.data<float>()[5] = 1;
  expect_same([](const Tensors& in) { return Tensors{ops::bce_loss(in[0], in[1], {}, "none")}; },
              {x, t});
  expect_same([](const Tensors& in) { return Tensors{ops::kl_div(in[0], in[1], "none", false)}; },
              {x, t});
  const Tensor far = values({16}, -200, 200);
  far.data<float>()[3] = std::numeric_limits<float>::infinity();
  far.data<float>()[4] = -std::numeric_limits<float>::infinity();
  expect_same(
      [](const Tensors& in) { return Tensors{ops::bce_with_logits(in[0], in[1], {}, {}, "none")}; },
      {far, t});
}

// Inputs outside [0, 1] are an error for whoever waits for the device.
TEST(PointwiseLoss, Outside) {
  const auto outside = [](const Tensor& values_of_x, bool each) {
    const Tensor x = ops::to_device(values_of_x, twin::kCuda);
    Tensor y = empty(each ? x.shape() : Shape{}, x.dtype(), x.device());
    bool found = false;
    PointwiseLoss p{{LossOp::CrossEntropy, x.dtype(), x.numel(), x.raw(), x.raw(), {}, {}, 0},
                    each ? y.raw() : nullptr,
                    each ? nullptr : y.raw(),
                    1,
                    &found};
    kernels::pointwise_loss(x.device(), p);
    try {
      cuda_runtime()->synchronize();
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::Value);
      return true;
    }
    return false;
  };
  for (const bool each : {false, true}) {
    Tensor x = values({3001}, 0, 1);
    x.data<float>()[7] = 0, x.data<float>()[8] = 1;
    EXPECT_FALSE(outside(x, each));
    for (const float bad : {-0.01f, 1.01f, NAN}) {
      x.data<float>()[3000] = bad;
      EXPECT_TRUE(outside(x, each));
    }
    EXPECT_TRUE(outside(values({700}, 2, 3), each));  // many threads raise the flag at once
  }
  EXPECT_FALSE(outside(values({0}), false));
}

}  // namespace
}  // namespace gs
