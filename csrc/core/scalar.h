// A Python number: bool, int or float, kept exactly.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/dtype.h"

namespace gs {

class Scalar {
 public:
  enum class Kind : uint8_t { Bool, Int, Float };
  Scalar() : Scalar(int64_t{0}) {}
  Scalar(bool v) : kind_(Kind::Bool), integer_(v) {}
  Scalar(int v) : Scalar(int64_t{v}) {}
  Scalar(int64_t v) : kind_(Kind::Int), integer_(v) {}
  Scalar(double v) : kind_(Kind::Float), real_(v) {}

  Kind kind() const { return kind_; }
  bool is_floating() const { return kind_ == Kind::Float; }
  double to_double() const { return is_floating() ? real_ : static_cast<double>(integer_); }
  int64_t to_int() const {
    if (!is_floating()) return integer_;
    return std::isfinite(real_) && std::fabs(real_) < 9.2e18 ? static_cast<int64_t>(real_) : 0;
  }
  // The dtype a bare number has: bool, int64, or the default floating dtype.
  DType dtype() const {
    return kind_ == Kind::Bool ? DType::Bool : kind_ == Kind::Int ? DType::Int64 : default_dtype();
  }

 private:
  Kind kind_;
  union {
    int64_t integer_;
    double real_;
  };
};

}  // namespace gs
