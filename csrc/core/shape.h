// Sizes and strides: a small fixed-capacity list of int64, and the algebra on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <ostream>

#include "core/error.h"

namespace gs {

inline constexpr int kMaxDims = 12;

// A list of at most kMaxDims integers, kept inline: making a shape never allocates.
class Dims {
 public:
  Dims() = default;
  Dims(std::initializer_list<int64_t> values) {
    for (int64_t v : values) push_back(v);
  }
  Dims(int64_t count, int64_t value) {
    for (int64_t i = 0; i < count; ++i) push_back(value);
  }
  Dims(const int64_t* begin, const int64_t* end) {
    for (; begin != end; ++begin) push_back(*begin);
  }
  Dims(const Dims& other) : size_(other.size_) { copy_from(other); }
  Dims& operator=(const Dims& other) {
    size_ = other.size_;
    copy_from(other);
    return *this;
  }

  int64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  int64_t operator[](int64_t i) const { return values_[i]; }
  int64_t& operator[](int64_t i) { return values_[static_cast<size_t>(i)]; }
  int64_t back() const { return values_[size_ - 1]; }
  int64_t& back() { return values_[size_ - 1]; }
  const int64_t* begin() const { return values_; }
  const int64_t* end() const { return values_ + size_; }
  int64_t* begin() { return values_; }
  int64_t* end() { return values_ + size_; }
  const int64_t* data() const { return values_; }

  void push_back(int64_t value) {
    if (size_ == kMaxDims) too_many();
    values_[size_++] = value;
  }
  void pop_back() { --size_; }
  void insert(int64_t at, int64_t value);
  void erase(int64_t at);
  bool operator==(const Dims& other) const {
    if (size_ != other.size_) return false;
    for (int i = 0; i < size_; ++i)
      if (values_[i] != other.values_[i]) return false;
    return true;
  }

 private:
  // Nearly every shape has at most four dimensions: two vector moves and no loop.
  void copy_from(const Dims& other) {
    std::memcpy(values_, other.values_, 4 * sizeof(int64_t));
    for (int i = 4; i < size_; ++i) values_[i] = other.values_[i];
  }
  [[noreturn]] static void too_many();

  int32_t size_ = 0;
  int64_t values_[kMaxDims];
};

using Shape = Dims;
using Strides = Dims;

std::ostream& operator<<(std::ostream& out, const Dims& dims);  // (2, 3), (5,), ()

// Number of elements. ValueError for a negative size or a product over 2^63.
int64_t checked_numel(const Shape& shape, const char* op);
Strides contiguous_strides(const Shape& shape);
bool is_contiguous(const Shape& shape, const Strides& strides);
// True when no two index tuples share an element and no hole exists (any order of axes).
bool is_dense(const Shape& shape, const Strides& strides);
// NumPy's broadcasting rule; ValueError names both shapes.
Shape broadcast(const Shape& a, const Shape& b, const char* op);
// -ndim <= dim < ndim made non-negative; IndexError otherwise. ndim 0 is treated as 1.
int64_t wrap_dim(int64_t dim, int64_t ndim, const char* op);
// Strides of a view with new sizes on the same memory, or false when a copy is needed.
bool view_strides(const Shape& shape, const Strides& strides, const Shape& wanted, Strides* out);
// Replaces one -1 by the size that fits numel; ValueError when nothing fits.
Shape infer_shape(Shape wanted, int64_t numel, const Shape& from, const char* op);

}  // namespace gs
