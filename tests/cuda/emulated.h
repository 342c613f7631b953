// Device memory and kernels of the emulator's own tests, and the error that a kernel ends with.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "portable.cuh"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

namespace gs::emulated {

// Memory of the device that a test fills and looks at.
template <class T>
class Array {
 public:
  explicit Array(size_t n) : n_(n) {
    void* p;
    EXPECT_EQ(cudaMalloc(&p, n * sizeof(T)), cudaSuccess);
    data_ = static_cast<T*>(p);
  }
  Array(size_t n, T value) : Array(n) { put(std::vector<T>(n, value)); }
  explicit Array(const std::vector<T>& v) : Array(v.size()) { put(v); }
  ~Array() { cudaFree(data_); }
  Array(const Array&) = delete;
  T* data() const { return data_; }
  void put(const std::vector<T>& v) const {
    cudaMemcpy(data_, v.data(), v.size() * sizeof(T), cudaMemcpyHostToDevice);
  }
  std::vector<T> get() const {
    std::vector<T> v(n_);
    cudaMemcpy(v.data(), data_, n_ * sizeof(T), cudaMemcpyDeviceToHost);
    return v;
  }

 private:
  size_t n_;
  T* data_;
};

template <class T>
std::vector<T> counting(size_t n) {
  std::vector<T> v(n);
  for (size_t i = 0; i < n; ++i) v[i] = static_cast<T>(i);
  return v;
}

// The message of what f throws; empty if it throws nothing.
template <class F>
std::string error_of(F f) {
#if defined(__SANITIZE_ADDRESS__)
  const __lsan::ScopedDisabler no_leaks;  // threads that a fault stops are dropped as they stand
#endif
  try {
    f();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "";
}

inline void expect_part(const std::string& text, const char* part) {
  EXPECT_NE(text.find(part), std::string::npos) << "no '" << part << "' in '" << text << "'";
}

// The scheduler's options for the length of a scope.
class WithOptions {
 public:
  WithOptions() : before_(cuda_host::options()) {}
  ~WithOptions() { cuda_host::options() = before_; }
  WithOptions(const WithOptions&) = delete;

 private:
  cuda_host::Options before_;
};

// f() in every order in which threads may run, several times in the random one.
template <class F>
void in_every_order(F f) {
  using cuda_host::Options;
  const WithOptions restore;
  Options& options = cuda_host::options();
  for (const Options::Order order : {Options::Fifo, Options::Reverse, Options::Lifo}) {
    options.order = order;
    f();
  }
  options.order = Options::Random;
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    options.seed = seed;
    f();
  }
}

// A grid whose blocks may wait for each other.
template <class F>
void launch_together(dim3 grid, dim3 block, F kernel) {
  cuda_host::run({grid, block, 0, nullptr, true}, kernel);
}

}  // namespace gs::emulated
