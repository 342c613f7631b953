#include "core/dtype.h"

#include <atomic>

namespace gs {
namespace {

constexpr const char* kNames[kNumDTypes] = {"bool",  "uint8",   "int8",     "int16",   "int32",
                                            "int64", "float16", "bfloat16", "float32", "float64"};

std::atomic<DType> default_floating{DType::Float32};

}  // namespace

const char* name_of(DType t) { return kNames[static_cast<int>(t)]; }

std::ostream& operator<<(std::ostream& out, DType t) { return out << name_of(t); }

// The enum is ordered bool < uint8 < int8 < ... < float64, and the larger of two types holds both,
// with two exceptions: neither 8-bit integer holds the other, nor does either 16-bit float.
DType promote(DType a, DType b) {
  if (a == b) return a;
  const DType low = a < b ? a : b, high = a < b ? b : a;
  if (low == DType::UInt8 && high == DType::Int8) return DType::Int16;
  if (low == DType::Float16 && high == DType::BFloat16) return DType::Float32;
  return high;
}

bool can_cast(DType from, DType to) {
  if (is_floating(from)) return is_floating(to);
  return from == DType::Bool || to != DType::Bool;
}

DType default_dtype() { return default_floating.load(std::memory_order_relaxed); }

void set_default_dtype(DType t) {
  GS_CHECK(is_floating(t), Type, "set_default_dtype", "expected a floating dtype, got ", t, ".");
  default_floating.store(t, std::memory_order_relaxed);
}

}  // namespace gs
