#include "kernels/kernels.h"
#include "kernels/params/norm.h"
#include "twin.h"

namespace gs {
namespace {

using twin::expect_same;
using twin::values;

constexpr DType kFloating[] = {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16};

void layer_norm(const Tensor& x, int64_t n, bool affine = true) {
  const Tensor weight = values({n}, 0.5, 1.5, x.dtype(), 3),
               bias = values({n}, -1, 1, x.dtype(), 4);
  const auto operation = [n, affine](const Tensors& in) {
    if (!affine) return Tensors{ops::layer_norm(in[0], {n}, {}, {}, 1e-5)};
    return Tensors{ops::layer_norm(in[0], {n}, in[1], in[2], 1e-5)};
  };
  const double tolerance = x.dtype() == DType::Float64 ? 1e-11 : -1;
  if (affine)
    expect_same(operation, {x, weight, bias}, tolerance);
  else
    expect_same(operation, {x}, tolerance);
}

// Rows for every team, of lengths that are whole packs and that are not.
TEST(LayerNorm, Rows) {
  for (const DType dtype : kFloating)
    for (const int64_t n : {2, 10, 15, 16, 31, 61, 63, 64, 257, 512, 1000, 1024}) {
      layer_norm(values({7, n}, -2, 2, dtype), n);
      layer_norm(values({3, n}, -2, 2, dtype), n, false);
    }
}

// Several rows a block and blocks that end early.
TEST(LayerNorm, ManyRows) {
  for (const int64_t n : {24, 33}) {
    layer_norm(values({1111, n}), n);
    layer_norm(values({129, n}, -2, 2, DType::BFloat16), n);
  }
  layer_norm(values({5001, 16}), 16);
}

TEST(LayerNorm, LongRows) {
  for (const int64_t n : {2052, 2999, 4096, 5003, 8200}) layer_norm(values({6, n}), n);
  layer_norm(values({3, 4104}, -2, 2, DType::BFloat16), 4104);
  layer_norm(values({2, 5000}, -2, 2, DType::Float64), 5000);
  layer_norm(values({66, 8201}), 8201);
  layer_norm(values({2, 20001}), 20001);
  layer_norm(values({2, 20008}, -2, 2, DType::Float16), 20008);
}

TEST(LayerNorm, FarFromZero) {
  for (const int64_t n : {64, 300, 17001}) {
    const Tensor x = ops::add(values({4, n}), 1000.0, 1);
    expect_same(
        [n](const Tensors& in) { return Tensors{ops::layer_norm(in[0], {n}, {}, {}, 1e-5)}; }, {x},
        1e-4);
  }
}

TEST(LayerNorm, StridedAndOffset) {
  layer_norm(ops::transpose(values({40, 12}), 0, 1), 40);
  layer_norm(alias(values({500}), {12, 40}, {40, 1}, 3), 40);
  expect_same(
      [](const Tensors& in) { return Tensors{ops::layer_norm(in[0], {4, 6}, in[1], in[2], 1e-5)}; },
      {values({2, 3, 4, 6}), values({4, 6}, 0.5, 1.5), values({4, 6})});
}

// Sums over no rows are 0.
TEST(LayerNorm, NoRows) {
  const Tensor none = empty({0, 8}, DType::Float32, twin::kCuda),
               sums = ops::to_device(values({8}), twin::kCuda);
  kernels::layer_norm(twin::kCuda, {none.raw(), nullptr, nullptr, none.raw(), none.raw(),
                                    none.raw(), DType::Float32, 0, 8, 1e-5});
  kernels::layer_norm_grad(twin::kCuda, {none.raw(), none.raw(), nullptr, none.raw(), none.raw(),
                                         none.raw(), sums.raw(), nullptr, DType::Float32, 0, 8});
  twin::expect_close(sums, ops::mul(values({8}), 0.0), 0);
}

// The gradient kernel with some of its outputs alone, and statistics of NaN and infinity.
TEST(LayerNorm, EachOutputAlone) {
  for (const int64_t n : {36, 301, 9000}) {
    const int64_t rows = 11;
    const Tensor x = values({rows, n}), dy = values({rows, n}, -1, 1, DType::Float32, 2),
                 w = values({n}, 0.5, 1.5, DType::Float32, 3);
    x.data<float>()[0] = NAN;
    x.data<float>()[n] = INFINITY;
    const auto run = [&](Device device, int which) {
      const auto move = [&](const Tensor& t) { return ops::to_device(t, device); };
      const Tensor a = move(x), b = move(dy), c = move(w);
      const Tensor y = empty(a.shape(), a.dtype(), device), mean = empty({rows}, a.dtype(), device),
                   rstd = empty({rows}, a.dtype(), device);
      kernels::layer_norm(device, {a.raw(), c.raw(), nullptr, y.raw(), mean.raw(), rstd.raw(),
                                   a.dtype(), rows, n, 1e-5});
      const Tensor out =
          which == 0 ? empty(a.shape(), a.dtype(), device) : empty({n}, a.dtype(), device);
      void* to[3] = {};
      to[which] = out.raw();
      kernels::layer_norm_grad(device, {b.raw(), a.raw(), c.raw(), mean.raw(), rstd.raw(), to[0],
                                        to[1], to[2], a.dtype(), rows, n});
      return Tensors{y, mean, rstd, out};
    };
    for (int which = 0; which < 3; ++which) {
      const Tensors here = run(Device{}, which), there = run(twin::kCuda, which);
      for (size_t i = 0; i < here.size(); ++i) twin::expect_close(there[i], here[i], 1e-5);
    }
  }
}

}  // namespace
}  // namespace gs
