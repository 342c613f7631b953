// Device memory for the length of one operation. It goes back to the cache at the end of the scope,
// while kernels may still use it: whoever gets it next works behind them in the same stream.
#pragma once

#include "runtime/allocator.h"

namespace gs::cuda {

template <class T>
class Scratch {
 public:
  explicit Scratch(int64_t count) {
    check(cudaGetDevice(&device_), "scratch");
    data_ = static_cast<T*>(allocate(count * static_cast<int64_t>(sizeof(T)), device_));
  }
  ~Scratch() { deallocate(data_, device_); }
  Scratch(const Scratch&) = delete;
  T* data() const { return data_; }

 private:
  int device_ = 0;
  T* data_;
};

}  // namespace gs::cuda
