// Parameters of elementwise functions of one tensor; kernels.h says what holds for all.
#pragma once

#include <cstdint>

#include "kernels/loop.h"

namespace gs {

enum class UnaryOp : uint8_t {
  Neg,
  Abs,
  Sign,
  Square,
  Sqrt,
  Rsqrt,
  Reciprocal,
  Exp,
  Expm1,
  Log,
  Log1p,
  Log2,
  Sin,
  Cos,
  Tan,
  Atan,
  Sinh,
  Cosh,
  Tanh,
  Sigmoid,
  Relu,
  LeakyRelu /*a: slope*/,
  Elu /*a: alpha*/,
  Gelu,
  GeluTanh,
  Silu,
  Softplus /*a: beta, b: threshold*/,
  Erf,
  Floor,
  Ceil,
  Round /*to even*/,
  Trunc,
  Clamp /*a: lowest, b: highest; NaN stays*/,
  BitNot,
  LogSigmoid,
  Hardtanh /*a, b as Clamp*/
};

// y = f(x). Floating functions get floating dtypes; Neg Abs Sign Square Relu Clamp Floor... also
// integers; BitNot integers and bool.
struct Unary {
  UnaryOp op;
  Loop loop;  // y, x: same dtype
  double a = 0, b = 0;
};

// dx = g * f'(x). `s` is what f' is cheapest from: the output y for Sqrt Rsqrt Reciprocal Exp Tanh
// Sigmoid Relu, otherwise the input x. (uses_output() in functors.h says which.)
struct UnaryGrad {
  UnaryOp op;
  Loop loop;  // dx, g, s: same floating dtype
  double a = 0, b = 0;
};

}  // namespace gs
