// Steps, norms, clipping and gradient scaling on CUDA beside the CPU.
#include "twin.h"

namespace gs {
namespace {

using twin::expect_close;
using twin::kCuda;
using twin::tolerance_of;
using twin::values;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Tensors of both devices with the same values: a piece, one more, none, several pieces.
struct Lists {
  std::vector<Tensors> here, there;

  explicit Lists(int lists, int64_t tensors = 8, int seed = 1) {
    const int64_t sizes[] = {1, 7, 0, 4096, 4097, 33, 9001, 256};
    const DType dtypes[] = {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16};
    for (int list = 0; list < lists; ++list) {
      here.emplace_back();
      for (int64_t i = 0; i < tensors; ++i)
        here.back().push_back(values({tensors > 8 ? i % 5 : sizes[i]}, list < 2 ? -2 : 0.1, 2,
                                     dtypes[i % 4], seed + list * 1000 + static_cast<int>(i)));
      there.emplace_back();
      for (const Tensor& t : here.back()) there.back().push_back(ops::to_device(t, kCuda));
    }
  }
  void expect_same() const {
    for (size_t list = 0; list < here.size(); ++list)
      for (size_t i = 0; i < here[list].size(); ++i)
        expect_close(there[list][i], here[list][i], tolerance_of(here[list][i].dtype()));
  }
};

Tensor number(double value, Device device = kCuda, DType dtype = DType::Float32) {
  return ops::full({}, Scalar(value), dtype, device);
}
double value_of(const Tensor& t) { return t.item().to_double(); }
Tensors counters(int64_t n, double value, Device device) {
  Tensors out;
  for (int64_t i = 0; i < n; ++i) out.push_back(number(value, device));
  return out;
}

void adam(const std::vector<Tensors>& l, const Tensors& steps, const Tensor& found_inf = {}) {
  ops::adam_step(l[0], l[1], l[2], l[3], l[4], steps, 0.1, 0.9, 0.99, 1e-8, 0.1, true, true, false,
                 found_inf);
}
void sgd(const std::vector<Tensors>& l, bool first, const Tensor& found_inf = {}) {
  ops::sgd_step(l[0], l[1], l[2], {first}, 0.1, 0.9, 0.5, 0.1, true, false, found_inf);
}
void rmsprop(const std::vector<Tensors>& l, const Tensor& found_inf = {}) {
  ops::rmsprop_step(l[0], l[1], l[2], l[3], {}, 0.1, 0.9, 1e-8, 0.1, 0.9, false, true, found_inf);
}

TEST(OptimizerSteps, AgreeWithTheCpu) {
  Lists l(5);
  const Tensors steps = counters(8, 3, {}), others = counters(8, 3, {});
  adam(l.here, steps), adam(l.there, others);
  l.expect_same();
  Lists s(3);
  for (const bool first : {true, false}) sgd(s.here, first), sgd(s.there, first);
  s.expect_same();
  Lists r(4);
  rmsprop(r.here), rmsprop(r.there);
  r.expect_same();
}

TEST(OptimizerSteps, MoreTensorsThanATable) {
  Lists l(5, 600);
  adam(l.here, counters(600, 0, {}));
  adam(l.there, counters(600, 0, {}));
  l.expect_same();
}

TEST(OptimizerSteps, CountsMayLieOnTheDevice) {
  Lists l(5, 300);
  Tensors here, there;
  for (int64_t i = 0; i < 300; ++i)
    here.push_back(number(6 + i % 3, {})), there.push_back(number(6 + i % 3));
  for (int step = 0; step < 2; ++step) adam(l.here, here), adam(l.there, there);
  l.expect_same();
  for (int64_t i = 0; i < 300; ++i) EXPECT_EQ(value_of(there[i]), 8 + i % 3);  // of empty ones too
  const Tensor none = empty({0}, DType::Float32, kCuda), count = number(1);
  const Tensors list = {none};
  ops::adam_step(list, list, list, list, {}, {count}, 0.1, 0.9, 0.99, 1e-8, 0, false, false, false,
                 {});
  EXPECT_EQ(value_of(count), 2);
}

TEST(OptimizerSteps, FoundInfStopsAStep) {
  Lists l(5), untouched(5);
  const Tensors there = counters(8, 6, kCuda);
  adam(l.there, there, number(1));
  sgd(l.there, true, number(1));
  rmsprop(l.there, number(2));
  untouched.there = l.there;
  untouched.expect_same();
  EXPECT_EQ(value_of(there[0]), 6);
  EXPECT_ANY_THROW(adam(l.there, counters(8, 6, {}), number(0)));  // the host could not know

  adam(l.here, counters(8, 6, {}), number(0, {}));
  adam(l.there, there, number(0));
  sgd(l.here, true), sgd(l.there, true, number(0));
  rmsprop(l.here), rmsprop(l.there, number(0));
  l.expect_same();
  EXPECT_EQ(value_of(there[0]), 7);
}

TEST(GradNorm, StaysOnTheDevice) {
  for (const int64_t tensors : {8, 600}) {
    const Lists l(1, tensors);
    for (const double p : {1.0, 2.0, kInfinity}) {
      const Tensor norm = ops::grad_norm(l.there[0], p);
      expect_close(norm, ops::grad_norm(l.here[0], p), 3e-7);
    }
  }
  Lists l(1);
  ops::fill_(ops::narrow(l.there[0][6], 0, 9000, 1), Scalar(std::nan("")));
  for (const double p : {1.0, 2.0, kInfinity})
    EXPECT_TRUE(std::isnan(value_of(ops::grad_norm(l.there[0], p))));
  const Tensor none = empty({0}, DType::Float32, kCuda);
  EXPECT_EQ(value_of(ops::grad_norm({none}, 2)), 0);
}

TEST(GradNorm, ClipsWithoutTheHost) {
  for (const int64_t tensors : {8, 600}) {
    Lists l(1, tensors);
    ops::scale_all_(l.here[0], -0.5, {}), ops::scale_all_(l.there[0], -0.5, {});
    l.expect_same();
    for (const double limit : {1e9, 3.0}) {  // nothing to do, and something
      ops::scale_all_(l.here[0], limit, ops::grad_norm(l.here[0], 2));
      ops::scale_all_(l.there[0], limit, ops::grad_norm(l.there[0], 2));
      l.expect_same();
    }
    ops::scale_all_(l.there[0], 1, number(std::nan("")));
    EXPECT_TRUE(std::isnan(value_of(ops::narrow(l.there[0][1], 0, 0, 1))));
  }
}

TEST(GradScaling, UnscalesAndLooksForInfinity) {
  for (const int64_t tensors : {8, 600}) {
    Lists l(1, tensors);
    const Tensor scale = number(8), found = number(0);
    ops::unscale_all_(l.here[0], number(8, {}), number(0, {}));
    ops::unscale_all_(l.there[0], scale, found);
    l.expect_same();
    EXPECT_EQ(value_of(found), 0);
    const Tensor& last = l.there[0][static_cast<size_t>(tensors - 2)];
    for (const double bad : {kInfinity, -kInfinity, std::nan("")}) {
      ops::fill_(ops::narrow(last, 0, last.size(0) - 1, 1), Scalar(bad));
      const Tensor now = number(0);
      ops::unscale_all_(l.there[0], scale, now);
      EXPECT_EQ(value_of(now), 1);
    }
    ops::zero_(last);
    ops::unscale_all_(l.there[0], scale, found);
    EXPECT_EQ(value_of(found), 0);
  }
}

TEST(GradScaling, TheScaleGrowsAndShrinks) {
  const Tensor scale = number(1024), streak = number(0, kCuda, DType::Int32);
  const auto update = [&](double found) {
    ops::update_scale_(scale, streak, number(found), 2, 0.5, 3);
  };
  update(0), update(0);
  EXPECT_EQ(value_of(scale), 1024);
  EXPECT_EQ(value_of(streak), 2);
  update(0);
  EXPECT_EQ(value_of(scale), 2048);
  EXPECT_EQ(value_of(streak), 0);
  update(0), update(1);
  EXPECT_EQ(value_of(scale), 1024);
  EXPECT_EQ(value_of(streak), 0);
  ops::fill_(scale, Scalar(3e38));
  update(0), update(0), update(0);
  EXPECT_EQ(value_of(scale), 3e38f);  // twice as much would be infinite
}

}  // namespace
}  // namespace gs
