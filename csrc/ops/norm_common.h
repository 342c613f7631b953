// What the norms share.
#pragma once

#include "ops/common.h"

namespace gs::ops {

inline DType compute_dtype(DType t) { return t == DType::Float64 ? t : DType::Float32; }
inline Tensor mean_over(const Tensor& x, const Dims& dims) {
  return mean(x, dims, true, std::nullopt);
}

inline void check_eps(const char* op, double eps) {
  GS_CHECK(eps >= 0, Value, op, "expected eps of 0 or more, got ", eps, ".");
}

// y * weight + bias, each optional and already of a shape that broadcasts.
inline Tensor affine(Tensor y, const Tensor& weight, const Tensor& bias, const Shape& shape) {
  if (weight.defined()) y = mul(y, reshape(weight, shape));
  if (bias.defined()) y = add(y, reshape(bias, shape), 1);
  return y;
}

// (x - mean) / sqrt(var + eps) over dims, by differentiable operations.
inline Tensor standardized(const Tensor& x, const Dims& dims, double eps) {
  const Tensor d = sub(x, mean_over(x, dims), 1);
  return mul(d, rsqrt(add(mean_over(square(d), dims), eps, 1)));
}

// What the gradient's kernel writes, as far as it is asked for: of x, and of weight and bias (n).
inline Tensors gradients_to_fill(const Backward& b, const Tensor& x, int64_t n) {
  const auto parameter = [&] { return empty({n}, x.dtype(), x.device()); };
  return {b.needs(0) ? empty_like(x) : Tensor(), b.needs(1) ? parameter() : Tensor(),
          b.needs(2) ? parameter() : Tensor()};
}

}  // namespace gs::ops
