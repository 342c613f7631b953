// A list whose first N elements stand in the object itself: most nodes have one output and two
// inputs, and a list of them should not cost an allocation.
#pragma once

#include <cstddef>
#include <new>
#include <utility>

#include "core/allocator.h"

namespace gs {

template <class T, int N>
class InlineList {
  static_assert(alignof(T) <= 64);

 public:
  InlineList() : data_(reinterpret_cast<T*>(room_)) {}
  InlineList(const InlineList&) = delete;
  InlineList& operator=(const InlineList&) = delete;
  ~InlineList() {
    clear();
    free_data();
  }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }

  void reserve(size_t wanted) {
    if (wanted <= capacity_) return;
    T* to = static_cast<T*>(allocate(wanted * sizeof(T)));
    for (size_t i = 0; i < size_; ++i) {
      new (to + i) T(std::move(data_[i]));
      data_[i].~T();
    }
    free_data();
    data_ = to;
    capacity_ = wanted;
  }
  void push_back(T value) {
    if (size_ == capacity_) reserve(2 * capacity_);
    new (data_ + size_) T(std::move(value));
    ++size_;
  }
  void resize(size_t wanted) {
    reserve(wanted);
    while (size_ < wanted) new (data_ + size_++) T();
    while (size_ > wanted) data_[--size_].~T();
  }
  void clear() { resize(0); }

 private:
  void free_data() {
    if (data_ != reinterpret_cast<T*>(room_)) deallocate(data_, capacity_ * sizeof(T));
  }

  T* data_;
  size_t size_ = 0, capacity_ = N;
  alignas(T) unsigned char room_[N * sizeof(T)];
};

}  // namespace gs
