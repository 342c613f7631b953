#include "kernels/kernels.h"
#include "kernels/params/norm.h"
#include "twin.h"

namespace gs {
namespace {

using twin::expect_same;
using twin::values;

constexpr DType kFloating[] = {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16};

enum class Mode { Training, NoStatistics, Evaluation };

// The result, its gradients, and the running statistics after it.
void batch_norm(const Tensor& x, Mode mode, bool affine = true, double tolerance = -1) {
  const Shape channels{x.size(1)};
  const auto per_channel = [&](double low, double high, int seed) {
    return values(channels, low, high, x.dtype(), seed);
  };
  const Tensor mean = per_channel(-1, 1, 5), var = per_channel(0.5, 2, 6);
  const auto operation = [&](const Tensors& in) {
    const Device device = in[0].device();
    Tensor running_mean, running_var;
    if (mode != Mode::NoStatistics) {
      running_mean = ops::to_device(ops::contiguous(ops::mul(mean, 1.0)), device);
      running_var = ops::to_device(ops::contiguous(ops::mul(var, 1.0)), device);
    }
    Tensors out{ops::batch_norm(in[0], running_mean, running_var, affine ? in[1] : Tensor(),
                                affine ? in[2] : Tensor(), mode != Mode::Evaluation, 0.1, 1e-5)};
    if (running_mean.defined()) out.push_back(running_mean), out.push_back(running_var);
    return out;
  };
  if (tolerance < 0 && x.dtype() == DType::Float64) tolerance = 1e-11;
  Tensors in{x};
  if (affine) in.push_back(per_channel(0.5, 1.5, 3)), in.push_back(per_channel(-1, 1, 4));
  expect_same(operation, in, tolerance);
}

void on_modes(const Tensor& x) {
  for (const Mode mode : {Mode::Training, Mode::NoStatistics, Mode::Evaluation})
    batch_norm(x, mode, mode != Mode::NoStatistics);
}

TEST(BatchNorm, Columns) {
  for (const DType dtype : kFloating)
    for (const Shape& shape : {Shape{2, 1}, Shape{9, 5}, Shape{70, 33}, Shape{64, 64}})
      on_modes(values(shape, -2, 2, dtype));
  batch_norm(values({700, 40}), Mode::Training);
  batch_norm(values({2000, 3}), Mode::Training);
}

TEST(BatchNorm, Planes) {
  for (const DType dtype : kFloating)
    for (const Shape& shape : {Shape{2, 3, 2}, Shape{3, 5, 7, 7}, Shape{2, 3, 8, 8},
                               Shape{5, 4, 13, 11}, Shape{1, 3, 24, 25}})
      on_modes(values(shape, -2, 2, dtype));
  batch_norm(values({130, 2, 3}), Mode::Training);
}

// Planes of several parts.
TEST(BatchNorm, LargePlanes) {
  batch_norm(values({2, 2, 1200}), Mode::Training);
  batch_norm(values({2, 2, 5003}), Mode::Training);
  batch_norm(values({1, 2, 70001}), Mode::Training);
  batch_norm(values({1, 1, 66000}, -2, 2, DType::BFloat16), Mode::Training);
}

TEST(BatchNorm, FarFromZero) {
  batch_norm(ops::add(values({40, 5}), 1000.0, 1), Mode::Training, true, 2e-4);
  batch_norm(ops::add(values({4, 3, 40}), 1000.0, 1), Mode::Training, true, 2e-4);
}

TEST(BatchNorm, StridedAndOffset) {
  batch_norm(ops::transpose(values({6, 9, 20}), 0, 2), Mode::Training);
  batch_norm(alias(values({500}), {4, 3, 20}, {60, 20, 1}, 3), Mode::Training);
  batch_norm(alias(values({500}), {4, 3, 17}, {51, 17, 1}, 1), Mode::Training);
}

// The gradient kernel with some of its outputs alone, and channels of NaN and infinity.
TEST(BatchNorm, EachOutputAlone) {
  for (const bool training : {true, false})
    for (const int64_t inner : {1, 30}) {
      const int64_t n = 12, c = 5;
      const Tensor x = values({n, c, inner}), w = values({c}, 0.5, 1.5, DType::Float32, 3),
                   dy = values({n, c, inner}, -1, 1, DType::Float32, 2);
      x.data<float>()[0] = NAN;
      if (inner == 1) x.data<float>()[inner] = INFINITY;
      const auto run = [&](Device device, int which) {
        const auto move = [&](const Tensor& t) { return ops::to_device(t, device); };
        const Tensor a = move(x), b = move(dy), k = move(w), var = move(values({c}, 0.5, 1)),
                     average = move(values({c}, -1, 1));
        const Tensor y = empty(a.shape(), a.dtype(), device), mean = empty({c}, a.dtype(), device),
                     rstd = empty({c}, a.dtype(), device);
        kernels::batch_norm(
            device, {a.raw(), k.raw(), nullptr, y.raw(), mean.raw(), rstd.raw(), average.raw(),
                     var.raw(), a.dtype(), n, c, inner, training, 0.1, 1e-5});
        const Tensor out = empty(which == 0 ? a.shape() : Shape{c}, a.dtype(), device);
        void* to[3] = {};
        to[which] = out.raw();
        kernels::batch_norm_grad(device, {b.raw(), a.raw(), k.raw(), mean.raw(), rstd.raw(), to[0],
                                          to[1], to[2], a.dtype(), n, c, inner, training});
        return Tensors{y, mean, rstd, average, var, out};
      };
      for (int which = 0; which < 3; ++which) {
        const Tensors here = run(Device{}, which), there = run(twin::kCuda, which);
        for (size_t i = 0; i < here.size(); ++i) twin::expect_close(there[i], here[i], 1e-5);
      }
    }
}

}  // namespace
}  // namespace gs
