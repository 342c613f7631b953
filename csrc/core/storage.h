// A block of memory that tensors share, with the counter that in-place operations advance.
#pragma once

#include <atomic>

#include "core/device.h"
#include "core/ref.h"

namespace gs {

class Storage : public RefCounted<Storage> {
 public:
  using Deleter = void (*)(void* context);

  static Ref<Storage> allocate(int64_t bytes, Device device);
  // Memory owned by somebody else (a NumPy array); deleter(context) is called at the end.
  static Ref<Storage> borrow(void* data, int64_t bytes, Device device, void* context,
                             Deleter deleter, bool writable = true);
  static void destroy(Storage* storage);

  char* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  Device device() const { return device_; }
  bool writable() const { return writable_; }
  uint32_t version() const { return version_.load(std::memory_order_relaxed); }
  void bump_version() { version_.fetch_add(1, std::memory_order_relaxed); }

 private:
  Storage() = default;

  char* data_ = nullptr;
  int64_t bytes_ = 0;
  Device device_;
  bool writable_ = true;
  std::atomic<uint32_t> version_{0};
  void* context_ = nullptr;
  Deleter deleter_ = nullptr;  // null: the memory came from allocate()
};

}  // namespace gs
