// An operation on CUDA beside the same operation on the CPU: values and gradients must agree.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>

#include "autograd/engine.h"
#include "ops/ops.h"

namespace gs::twin {

inline const Device kCuda{DeviceType::Cuda, 0};

// Uniform in [low, high); integers too.
inline Tensor values(const Shape& shape, double low = -2, double high = 2,
                     DType dtype = DType::Float32, int seed = 1) {
  std::mt19937_64 engine(static_cast<uint64_t>(seed));
  std::uniform_real_distribution<double> draw(low, high);
  Tensor t = empty(shape, DType::Float64);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<double>()[i] = draw(engine);
  return ops::cast(t, dtype);
}

inline double tolerance_of(DType t) {
  if (t == DType::Float64) return 1e-12;
  if (t == DType::Float32) return 3e-6;
  if (t == DType::Float16) return 2e-3;
  if (t == DType::BFloat16) return 1.6e-2;
  return 0;
}

// |a - b| <= tolerance * (1 + |b|); NaN equals NaN, infinity itself.
inline void expect_close(const Tensor& cuda, const Tensor& cpu, double tolerance) {
  ASSERT_EQ(cuda.device(), kCuda);
  ASSERT_EQ(cuda.shape(), cpu.shape());
  ASSERT_EQ(cuda.dtype(), cpu.dtype());
  const auto plain = [](const Tensor& t) {
    return ops::contiguous(ops::cast(ops::to_device(ops::detach(t), Device{}), DType::Float64));
  };
  const Tensor a = plain(cuda), b = plain(cpu);
  for (int64_t i = 0; i < a.numel(); ++i) {
    const double x = a.data<double>()[i], y = b.data<double>()[i];
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    ASSERT_LE(std::fabs(x - y), tolerance * (1 + std::fabs(y)))
        << "element " << i << " of " << cpu.shape() << ": " << x << " on CUDA, " << y
        << " on the CPU";
  }
}

using Operation = std::function<Tensors(const Tensors&)>;

// The results agree, and so do the gradients of floating inputs for a cotangent of random numbers.
inline void expect_same(const Operation& operation, const Tensors& inputs, double tolerance = -1) {
  Tensors here, there;
  bool gradients = false;
  for (const Tensor& t : inputs) {
    Tensor a = ops::detach(t), b = ops::to_device(ops::detach(t), kCuda);
    // A view of the same form: strides and offset survive only a copy of the whole storage.
    if (!t.is_contiguous()) {
      const int64_t whole = t.body()->storage->bytes() / size_of(t.dtype());
      const Tensor flat = alias(t, {whole}, {1}, 0);
      b = alias(ops::to_device(flat, kCuda), t.shape(), t.strides(), t.offset());
    }
    if (is_floating(t.dtype())) {
      a.body()->requires_grad = b.body()->requires_grad = gradients = true;
    }
    here.push_back(a);
    there.push_back(b);
  }
  const Tensors y = operation(here), z = operation(there);
  ASSERT_EQ(y.size(), z.size());
  Tensors roots, roots_there, cotangents, cotangents_there;
  for (size_t i = 0; i < y.size(); ++i) {
    const double limit = tolerance >= 0 ? tolerance : tolerance_of(y[i].dtype());
    expect_close(z[i], y[i], limit);
    if (!y[i].requires_grad()) continue;
    const Tensor g = values(y[i].shape(), -1, 1, y[i].dtype(), 7);
    roots.push_back(y[i]), roots_there.push_back(z[i]);
    cotangents.push_back(g), cotangents_there.push_back(ops::to_device(g, kCuda));
  }
  if (!gradients || roots.empty()) return;
  Tensors of_here, of_there;
  for (size_t i = 0; i < here.size(); ++i)
    if (here[i].requires_grad()) of_here.push_back(here[i]), of_there.push_back(there[i]);
  const Tensors dx = autograd::grad(roots, of_here, cotangents, false, false, true);
  const Tensors dz = autograd::grad(roots_there, of_there, cotangents_there, false, false, true);
  for (size_t i = 0; i < dx.size(); ++i) {
    ASSERT_EQ(dx[i].defined(), dz[i].defined());
    if (!dx[i].defined()) continue;
    expect_close(dz[i], dx[i], tolerance >= 0 ? tolerance : 4 * tolerance_of(dx[i].dtype()));
  }
}

}  // namespace gs::twin
