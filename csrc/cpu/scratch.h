// Memory that lives as long as a scope, for the tiles and packed panels of a kernel.
#pragma once

#include <cstdint>

#include "core/allocator.h"
#include "core/macros.h"

#ifndef GS_ISA
#error "cpu/scratch.h is for files that are compiled per instruction set"
#endif

namespace gs::cpu {
namespace {

// Room for `count` values, not initialised, 64-byte aligned. Count 0 holds nothing and gives null.
template <class T>
class Scratch {
 public:
  explicit GS_INLINE Scratch(int64_t count)
      : bytes_(static_cast<size_t>(count) * sizeof(T)),
        data_(count ? static_cast<T*>(allocate(bytes_)) : nullptr) {}
  GS_INLINE ~Scratch() {
    if (data_) deallocate(data_, bytes_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  GS_INLINE T* get() const { return data_; }

 private:
  size_t bytes_;
  T* data_;
};

}  // namespace
}  // namespace gs::cpu
