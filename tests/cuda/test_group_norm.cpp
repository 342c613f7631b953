#include "kernels/kernels.h"
#include "kernels/params/norm.h"
#include "twin.h"

namespace gs {
namespace {

using twin::expect_same;
using twin::values;

constexpr DType kFloating[] = {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16};

void group_norm(const Tensor& x, int64_t groups, bool affine = true, double tolerance = -1) {
  const auto operation = [=](const Tensors& in) {
    return Tensors{
        ops::group_norm(in[0], groups, affine ? in[1] : Tensor(), affine ? in[2] : Tensor(), 1e-5)};
  };
  if (tolerance < 0 && x.dtype() == DType::Float64) tolerance = 1e-11;
  Tensors in{x};
  if (affine) {
    in.push_back(values({x.size(1)}, 0.5, 1.5, x.dtype(), 3));
    in.push_back(values({x.size(1)}, -1, 1, x.dtype(), 4));
  }
  expect_same(operation, in, tolerance);
}

TEST(GroupNorm, Groups) {
  for (const DType dtype : kFloating)
    for (const int64_t groups : {1, 2, 3, 6}) {
      group_norm(values({2, 6, 5}, -2, 2, dtype), groups);
      group_norm(values({3, 6, 4, 8}, -2, 2, dtype), groups);
      group_norm(values({2, 6, 7, 9}, -2, 2, dtype), groups, false);
    }
  for (const int64_t groups : {1, 2, 4}) group_norm(values({5, 12}), groups);
}

TEST(GroupNorm, LargeGroups) {
  group_norm(values({2, 40, 25}), 4);
  group_norm(values({1, 70, 3}), 1);
  group_norm(values({2, 4, 3001}), 2);
  group_norm(values({1, 2, 40001}), 2);
  group_norm(values({1, 3, 9001}), 1);
  group_norm(values({1, 4, 12000}, -2, 2, DType::BFloat16), 2);
  group_norm(values({40, 3, 2}), 3);
}

TEST(GroupNorm, FarFromZero) { group_norm(ops::add(values({3, 4, 50}), 1000.0, 1), 2, true, 2e-4); }

TEST(GroupNorm, StridedAndOffset) {
  group_norm(ops::transpose(values({6, 9, 20}), 0, 2), 3);
  group_norm(alias(values({500}), {4, 6, 10}, {60, 10, 1}, 3), 3);
}

// The gradient kernel with some of its outputs alone, and groups of NaN and infinity.
TEST(GroupNorm, EachOutputAlone) {
  const int64_t n = 3, c = 6, inner = 30, groups = 2;
  const Tensor x = values({n, c, inner}), w = values({c}, 0.5, 1.5, DType::Float32, 3),
               dy = values({n, c, inner}, -1, 1, DType::Float32, 2);
  x.data<float>()[0] = NAN;
  x.data<float>()[c * inner] = INFINITY;
  const auto run = [&](Device device, int which) {
    const auto move = [&](const Tensor& t) { return ops::to_device(t, device); };
    const Tensor a = move(x), b = move(dy), k = move(w);
    const Tensor y = empty(a.shape(), a.dtype(), device),
                 mean = empty({n * groups}, a.dtype(), device),
                 rstd = empty({n * groups}, a.dtype(), device);
    kernels::group_norm(device, {a.raw(), k.raw(), nullptr, y.raw(), mean.raw(), rstd.raw(),
                                 a.dtype(), n, c, inner, groups, 1e-5});
    const Tensor out = empty(which == 0 ? a.shape() : Shape{c}, a.dtype(), device);
    void* to[3] = {};
    to[which] = out.raw();
    kernels::group_norm_grad(device, {b.raw(), a.raw(), k.raw(), mean.raw(), rstd.raw(), to[0],
                                      to[1], to[2], a.dtype(), n, c, inner, groups});
    return Tensors{y, mean, rstd, out};
  };
  for (int which = 0; which < 3; ++which) {
    const Tensors here = run(Device{}, which), there = run(twin::kCuda, which);
    for (size_t i = 0; i < here.size(); ++i) twin::expect_close(there[i], here[i], 1e-5);
  }
}

}  // namespace
}  // namespace gs
