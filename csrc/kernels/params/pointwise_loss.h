// Parameters of losses of two tensors; kernels.h says what holds for all.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace gs {

enum class LossOp : uint8_t {
  Squared,
  Absolute,
  SmoothAbsolute /*a: beta, above 0*/,
  Huber /*a: delta*/,
  CrossEntropy /*of probabilities*/,
  LogitsCrossEntropy,
  Divergence,
  LogDivergence,
  Hinge /*a: margin*/
};

// Dense values that begin anew every `period` elements; null: all 1.
struct Repeated {
  const void* data = nullptr;
  int64_t period = 1;
};

// n elements, all of one floating dtype. The loss of each is weight[i] * f(x[i], target[i]).
struct LossInputs {
  LossOp op;
  DType dtype;
  int64_t n;
  const void* x;
  const void* target;
  Repeated weight;
  Repeated positive;  // the weight of positive targets (LogitsCrossEntropy)
  double a;
};
struct PointwiseLoss {
  LossInputs in;
  void* y;         // n losses, or null
  void* total;     // one value: their sum over `divisor`; used when y is null
  double divisor;  // 0 / 0 is NaN
  bool* outside;   // CrossEntropy: set when an input is not within [0, 1]
};
struct PointwiseLossGrad {  // of scale * g * loss; each output may be null
  LossInputs in;
  Repeated g;
  double scale;
  void* dx;
  void* dtarget;
};

}  // namespace gs
