// What the norms share.
#pragma once

#include "ops/common.h"

namespace gs::ops {

inline DType compute_dtype(DType t) { return t == DType::Float64 ? t : DType::Float32; }
inline const void* raw_or_null(const Tensor& t) { return t.defined() ? t.raw() : nullptr; }
inline Tensor contiguous_or_none(const Tensor& t) { return t.defined() ? contiguous(t) : Tensor(); }
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

}  // namespace gs::ops
