// What the losses of classes and the pointwise losses share.
#pragma once

#include <string>

#include "ops/common.h"

namespace gs::ops {

enum class Reduction { None, Mean, Sum };

inline Reduction reduction_of(const char* op, const std::string& name) {
  if (name == "mean") return Reduction::Mean;
  if (name == "sum") return Reduction::Sum;
  GS_CHECK(name == "none", Value, op, "expected reduction 'none', 'mean' or 'sum', got '", name,
           "'.");
  return Reduction::None;
}

}  // namespace gs::ops
