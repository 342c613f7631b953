// Parameters of elementwise functions of two tensors, comparisons and where; kernels.h says what
// holds for all.
#pragma once

#include <cstdint>

#include "kernels/loop.h"

namespace gs {

enum class BinaryOp : uint8_t {
  Add,
  Sub,
  Mul,
  Div,
  Pow,
  Maximum,
  Minimum /*NaN wins*/,
  FloorDiv,
  Remainder /*sign of the divisor*/,
  Fmod,
  Atan2,
  And,
  Or,
  Xor,
  ShiftLeft,
  ShiftRight
};

// y = f(a, b), all of one dtype. Add on bool is or, Mul is and. Integer division by zero gives 0
// (the operation has refused it before). Integer Pow has a non-negative exponent.
struct Binary {
  BinaryOp op;
  Loop loop;  // y, a, b
};

enum class CompareOp : uint8_t { Eq, Ne, Lt, Le, Gt, Ge, LogicalAnd, LogicalOr, LogicalXor };
struct Compare {
  CompareOp op;
  Loop loop;  // y (bool), a, b (one dtype)
};

struct Where {
  Loop loop;  // y, condition (bool), a, b
};

}  // namespace gs
