// The engine and in-place history, without Python.
#include <gtest/gtest.h>

#include <string>

#include "autograd/engine.h"
#include "autograd/meta.h"
#include "core/allocator.h"
#include "core/error.h"
#include "ops/common.h"

namespace gs {
namespace {

using namespace ops;

Tensor vector_of(std::initializer_list<double> values, bool requires_grad = true) {
  Tensor t = empty({static_cast<int64_t>(values.size())}, DType::Float64);
  std::copy(values.begin(), values.end(), t.data<double>());
  autograd::set_requires_grad(t, requires_grad);
  return t;
}

Tensor total(const Tensor& x) { return sum(x, std::nullopt, false, std::nullopt); }

void run(const Tensor& loss, bool retain = false) { autograd::backward({loss}, {}, retain, false); }

void expect_values(const Tensor& t, std::initializer_list<double> values) {
  ASSERT_TRUE(t.defined());
  ASSERT_EQ(t.numel(), static_cast<int64_t>(values.size()));
  const Tensor dense = contiguous(detach(t));
  int64_t i = 0;
  for (double v : values) EXPECT_DOUBLE_EQ(dense.data<double>()[i++], v);
}

template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Engine, AddsUpTheGradientsOfATensorUsedTwice) {
  const Tensor x = vector_of({1, 2, 3});
  run(total(add(mul(x, x), x, 1)));
  expect_values(autograd::grad_of(x), {3, 5, 7});
  run(total(x));
  expect_values(autograd::grad_of(x), {4, 6, 8});
}

TEST(Engine, GivesSecondDerivatives) {
  const Tensor x = vector_of({0.5, 2});
  const Tensor y = total(mul(mul(x, x), x));
  const Tensors first = autograd::grad({y}, {x}, {}, true, true, false);
  const Tensors second = autograd::grad({total(first[0])}, {x}, {}, false, false, false);
  expect_values(second[0], {3, 12});
}

TEST(Engine, RefusesASecondPassThroughAFreedGraph) {
  const Tensor x = vector_of({1});
  const Tensor y = total(mul(x, x));
  run(y, true);
  run(y);
  EXPECT_NE(error_of([&] { run(y); }).find("retain_graph"), std::string::npos);
  expect_values(autograd::grad_of(x), {4});
}

TEST(Engine, StopsAtWhatIsNotAskedFor) {
  const Tensor x = vector_of({1, 2}), w = vector_of({3, 4}), unused = vector_of({0});
  const Tensor y = total(mul(x, w));
  const Tensors g = autograd::grad({y}, {w, unused}, {}, true, false, true);
  expect_values(g[0], {1, 2});
  EXPECT_FALSE(g[1].defined());
  EXPECT_FALSE(autograd::grad_of(x).defined());
  EXPECT_NE(
      error_of([&] { autograd::grad({y}, {unused}, {}, true, false, false); }).find("allow_unused"),
      std::string::npos);
}

TEST(Engine, HooksSeeAndReplaceGradients) {
  const Tensor x = vector_of({1, 2});
  const Tensor y = mul(x, 3.0);
  autograd::add_hook(y, [](const Tensor& g) { return static_cast<Tensor>(mul(g, 10.0)); });
  const uint64_t removed = autograd::add_hook(x, [](const Tensor& g) { return zeros_like(g); });
  autograd::remove_hook(x, removed);
  autograd::retain_grad(y);
  run(total(y));
  expect_values(autograd::grad_of(x), {30, 30});
  expect_values(autograd::grad_of(y), {10, 10});
}

TEST(Engine, NoticesASavedTensorThatChanged) {
  const Tensor x = vector_of({1, 2}), w = vector_of({3, 4}, false);
  const Tensor y = total(mul(x, w));
  fill_(w, 0.0);
  EXPECT_NE(error_of([&] { run(y); }).find("in-place"), std::string::npos);
  EXPECT_FALSE(autograd::grad_of(x).defined());
}

TEST(Engine, WritingThroughAViewChangesItsBaseAndTheOtherViews) {
  const Tensor x = vector_of({1, 2, 3, 4});
  const Tensor base = mul(x, 2.0);
  const Tensor head = narrow(base, 0, 0, 2), tail = narrow(base, 0, 2, 2);
  mul_(head, 5.0);
  expect_values(base, {10, 20, 6, 8});
  run(add(total(base), total(tail), 1));
  expect_values(autograd::grad_of(x), {10, 10, 4, 4});
}

TEST(Engine, RefusesToChangeALeafInPlace) {
  const Tensor x = vector_of({1, 2});
  EXPECT_NE(error_of([&] { add_(x, 1.0, 1); }).find("leaf"), std::string::npos);
  EXPECT_NE(error_of([&] { add_(narrow(x, 0, 0, 1), 1.0, 1); }).find("view of a leaf"),
            std::string::npos);
  expect_values(x, {1, 2});
}

TEST(Engine, AChainOfAMillionOperationsRunsAndIsFreed) {
  const int64_t before = memory_stats().in_use;
  {
    const Tensor x = vector_of({1});
    Tensor y = x;
    for (int i = 0; i < 1'000'000; ++i) y = add(y, x, 1);
    run(total(y));
    expect_values(autograd::grad_of(x), {1'000'001});
  }
  EXPECT_LE(memory_stats().in_use, before + (1 << 20));
}

// ---- every fused gradient agrees with its differentiable form

Tensor normal(const Shape& shape) {
  Tensor t = empty(shape, DType::Float64);
  normal_(t, 0, 1, -1, -1);
  autograd::set_requires_grad(t, true);
  return t;
}

void expect_both_forms_agree(const Tensor& y, const Tensors& x) {
  Tensor v = empty(y.shape(), DType::Float64);
  normal_(v, 0, 1, -1, -1);
  const Tensors fused = autograd::grad({y}, x, {v}, true, false, false);
  const Tensors composed = autograd::grad({y}, x, {v}, true, true, false);
  for (size_t i = 0; i < x.size(); ++i) {
    ASSERT_EQ(fused[i].shape(), x[i].shape());
    const Tensor difference =
        amax(abs(sub(detach(fused[i]), detach(composed[i]), 1)), std::nullopt, false);
    EXPECT_LT(difference.item().to_double(), 1e-9) << "input " << i;
  }
}

TEST(Gradients, Convolution) {
  const Tensor x = normal({2, 4, 7, 6}), w = normal({6, 2, 3, 2}), b = normal({6});
  expect_both_forms_agree(conv2d(x, w, b, {2, 1}, {1, 0}, {1, 2}, 2), {x, w, b});
}
TEST(Gradients, Pooling) {
  const Tensor x = normal({2, 3, 7, 6});
  expect_both_forms_agree(max_pool2d(x, {3}, Dims{2}, {1}, {1}, false), {x});
  expect_both_forms_agree(max_pool2d(x, {2}, Dims{2}, {0}, {1}, false), {x});
  expect_both_forms_agree(avg_pool2d(x, {3}, Dims{2}, {1}, true, false, std::nullopt), {x});
}
TEST(Gradients, Normalisation) {
  const Tensor x = normal({3, 4, 5}), w = normal({4}), b = normal({4}), v = normal({5}),
               c = normal({5});
  expect_both_forms_agree(batch_norm(x, {}, {}, w, b, true, 0.1, 1e-5), {x, w, b});
  expect_both_forms_agree(layer_norm(x, {5}, v, c, 1e-5), {x, v, c});
}
TEST(Gradients, Recurrent) {
  const Tensor x = normal({4, 2, 3}), h = normal({1, 2, 5}), c = normal({1, 2, 5});
  const Tensors w = {normal({20, 3}), normal({20, 5}), normal({20}), normal({20})};
  Tensors x_and_w = {x, h, c};
  x_and_w.insert(x_and_w.end(), w.begin(), w.end());
  expect_both_forms_agree(lstm(x, h, c, w, true, 1, 0, true, false, false)[0], x_and_w);
}
TEST(Gradients, Attention) {
  const Tensor q = normal({1, 2, 5, 4}), k = normal({1, 2, 6, 4}), v = normal({1, 2, 6, 3});
  expect_both_forms_agree(scaled_dot_product_attention(q, k, v, {}, 0, true, std::nullopt),
                          {q, k, v});
}
TEST(Gradients, Losses) {
  const Tensor x = normal({5, 7});
  Tensor target = empty({5}, DType::Int64);
  for (int i = 0; i < 5; ++i) target.data<int64_t>()[i] = i == 2 ? -100 : i;
  expect_both_forms_agree(cross_entropy(x, target, {}, -100, "mean", 0.1), {x});
  expect_both_forms_agree(log_softmax(x, 1, std::nullopt), {x});
}

}  // namespace
}  // namespace gs
