// A block of memory that tensors share, with the counter that in-place operations advance.
#pragma once

#include <atomic>

#include "core/allocator.h"
#include "core/device.h"
#include "core/ref.h"

namespace gs {

class Storage : public RefCounted<Storage>, public Cached {
 public:
  using Deleter = void (*)(void* context);

  static Ref<Storage> allocate(int64_t bytes, Device device);
  // Memory of the host that a GPU copies from and to while everybody goes on.
  static Ref<Storage> allocate_pinned(int64_t bytes);
  // Memory owned by somebody else (a NumPy array); deleter(context) is called at the end.
  static Ref<Storage> borrow(void* data, int64_t bytes, Device device, void* context,
                             Deleter deleter, bool writable = true);
  static void destroy(Storage* storage);

  char* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  Device device() const { return device_; }
  bool writable() const { return writable_; }
  bool owns_memory() const { return !deleter_; }  // false when borrowed
  bool is_pinned() const { return deleter_ && deleter_ == release_pinned; }
  uint32_t version() const { return version_.load(std::memory_order_relaxed); }
  void bump_version() { version_.fetch_add(1, std::memory_order_relaxed); }

 private:
  static void release_pinned(void* data);
  Storage(char* data, int64_t bytes, Device device) : data_(data), bytes_(bytes), device_(device) {}
  bool is_one_block() const { return !deleter_ && bytes_ <= kSmall && device_.is_cpu(); }

  // A small tensor's data stands behind its Storage, in one block of the allocator.
  static constexpr int64_t kHeader = 64;
#if defined(__SANITIZE_ADDRESS__)
  static constexpr int64_t kSmall = -1;  // apart, so that the sanitizer sees both ends of the data
#else
  static constexpr int64_t kSmall = 4096;
#endif

  char* data_;
  int64_t bytes_;
  Device device_;
  bool writable_ = true;
  std::atomic<uint32_t> version_{0};
  void* context_ = nullptr;
  Deleter deleter_ = nullptr;  // null: the memory came from allocate()
};

}  // namespace gs
