// Float copies of 16-bit tensors, for kernels that pass over their inputs many times.
#pragma once

#include <cstdint>

#include "core/parallel.h"
#include "cpu/scratch.h"
#include "cpu/vec.h"

namespace gs::cpu {
namespace {

// Rows of `width` values, `stride` apart, as a dense float matrix; null stays null.
template <class T>
class WideInput {
 public:
  GS_INLINE WideInput(const void* p, int64_t rows, int64_t width, int64_t stride)
      : data_(p ? rows * width : 0) {
    if (!p) return;
    const T* from = static_cast<const T*>(p);
    float* to = data_.get();
    parallel_for(0, rows, 1 + 32768 / (width + 1), [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t j = 0; j < width; ++j) to[i * width + j] = from[i * stride + j];
    });
  }
  GS_INLINE WideInput(const void* p, int64_t count) : WideInput(p, 1, count, count) {}
  GS_INLINE const float* get() const { return data_.get(); }

 private:
  Scratch<float> data_;
};

// A dense float matrix that store() rounds into the 16-bit rows; null stays null.
template <class T>
class WideOutput {
 public:
  GS_INLINE WideOutput(void* p, int64_t rows, int64_t width, int64_t stride)
      : p_(static_cast<T*>(p)),
        rows_(rows),
        width_(width),
        stride_(stride),
        data_(p ? rows * width : 0) {}
  GS_INLINE WideOutput(void* p, int64_t count) : WideOutput(p, 1, count, count) {}
  GS_INLINE float* get() const { return data_.get(); }
  GS_INLINE void store() const {
    if (!p_) return;
    parallel_for(0, rows_, 1 + 32768 / (width_ + 1), [this](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t j = 0; j < width_; ++j) p_[i * stride_ + j] = T(data_.get()[i * width_ + j]);
    });
  }

 private:
  T* p_;
  int64_t rows_, width_, stride_;
  Scratch<float> data_;
};

}  // namespace
}  // namespace gs::cpu
