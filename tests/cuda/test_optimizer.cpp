#include <cmath>
#include <limits>

#include "twin.h"

namespace gs {
namespace {

using twin::expect_close;
using twin::kCuda;
using twin::tolerance_of;
using twin::values;

constexpr DType kFloating[] = {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16};

// Lists of tensors on both devices, each a part of a larger one: what lies behind is looked at too.
struct Lists {
  std::vector<Tensors> here, there;
  Tensors whole_here, whole_there;

  void add(const std::vector<int64_t>& sizes, DType dtype, double low, double high) {
    const int seed = 100 * static_cast<int>(here.size());
    here.emplace_back(), there.emplace_back();
    for (size_t i = 0; i < sizes.size(); ++i) {
      const Tensor whole = values({sizes[i] + 9}, low, high, dtype, seed + static_cast<int>(i));
      whole_here.push_back(whole), whole_there.push_back(ops::to_device(whole, kCuda));
      here.back().push_back(alias(whole_here.back(), {sizes[i]}, {1}, 0));
      there.back().push_back(alias(whole_there.back(), {sizes[i]}, {1}, 0));
    }
  }
  void expect_same(double tolerance) const {
    for (size_t i = 0; i < whole_here.size(); ++i)
      expect_close(whole_there[i], whole_here[i], tolerance);
  }
};

// A block takes 4096 elements: none, few, a whole number of blocks, and blocks with a rest.
const std::vector<int64_t> kSizes = {5, 0, 4096, 1, 9001, 300};

template <class Step>
void expect_same_steps(int states, Step step) {
  for (const DType dtype : kFloating) {
    Lists lists;
    lists.add(kSizes, dtype, -1, 1);
    lists.add(kSizes, dtype, -1, 1);
    for (int i = 0; i < states; ++i) lists.add(kSizes, dtype, 0.1, 1);
    Tensors steps_here, steps_there;  // where Adam counts
    for (size_t i = 0; i < kSizes.size(); ++i)
      steps_here.push_back(ops::full({}, Scalar(double(i)), DType::Float32, Device{})),
          steps_there.push_back(ops::clone(steps_here.back()));
    for (int round = 0; round < 2; ++round) {
      step(lists.here, steps_here, round);
      step(lists.there, steps_there, round);
    }
    lists.expect_same(2 * tolerance_of(dtype));
  }
}

TEST(Optimizer, Sgd) {
  for (const bool nesterov : {false, true})
    expect_same_steps(1, [&](const std::vector<Tensors>& l, const Tensors&, int round) {
      ops::sgd_step(l[0], l[1], l[2], {round == 0}, 0.1, 0.9, nesterov ? 0 : 0.2, 0.01, nesterov,
                    !nesterov);
    });
  expect_same_steps(0, [](const std::vector<Tensors>& l, const Tensors&, int) {
    ops::sgd_step(l[0], l[1], {}, {0}, 0.1, 0, 0, 0, false, false);
  });
}

TEST(Optimizer, Adam) {
  for (const bool decoupled : {false, true})
    for (const bool amsgrad : {false, true})
      expect_same_steps(3, [&](const std::vector<Tensors>& l, const Tensors& steps, int) {
        ops::adam_step(l[0], l[1], l[2], l[3], amsgrad ? l[4] : Tensors{}, steps, 0.01, 0.9, 0.99,
                       1e-3, 0.1, decoupled, amsgrad, decoupled);
      });
}

TEST(Optimizer, Rmsprop) {
  for (const bool centered : {false, true})
    expect_same_steps(3, [&](const std::vector<Tensors>& l, const Tensors&, int) {
      // The mean of the gradients is small beside their squares, or the variance were below 0.
      ops::rmsprop_step(l[0], l[1], l[2], centered ? l[3] : Tensors{}, centered ? l[4] : Tensors{},
                        0.01, 0.9, 1.1, 0.1, centered ? 0.9 : 0, false, false);
    });
}

// More tensors than one launch takes, and more blocks than the last stage has threads.
TEST(Optimizer, ManyTensors) {
  const std::vector<int64_t> sizes(600, 3);
  Lists lists;
  lists.add(sizes, DType::Float64, -1, 1);
  for (const double p : {1.0, 2.0, double(INFINITY)})
    expect_close(ops::grad_norm(lists.there[0], p), ops::grad_norm(lists.here[0], p), 1e-13);
  ops::scale_all_(lists.here[0], 0.3);
  ops::scale_all_(lists.there[0], 0.3);
  lists.expect_same(1e-15);
}

TEST(Optimizer, Norms) {
  for (const DType dtype : kFloating) {
    Lists lists;
    lists.add(kSizes, dtype, -1, 1);
    for (const double p : {1.0, 2.0, double(INFINITY)})
      expect_close(ops::grad_norm(lists.there[0], p), ops::grad_norm(lists.here[0], p),
                   tolerance_of(dtype));
  }
  for (const int64_t at : {0, 4999}) {  // NaN stays, whatever comes behind it
    Tensor g = values({5000});
    g.data<float>()[at] = std::nanf("");
    for (const double p : {1.0, 2.0, double(INFINITY)})
      expect_close(ops::grad_norm({ops::to_device(g, kCuda)}, p), ops::grad_norm({g}, p), 0);
  }
}

}  // namespace
}  // namespace gs
