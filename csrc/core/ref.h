// Intrusive reference counting: one pointer, one counter inside the object.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace gs {

// T derives from RefCounted<T>. When the last Ref goes, T::destroy(object) is called.
template <class T>
class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;
  void retain() { refs_.fetch_add(1, std::memory_order_relaxed); }
  // The last owner need not tell anybody: nobody else can be counting.
  void release() {
    if (refs_.load(std::memory_order_acquire) == 1 ||
        refs_.fetch_sub(1, std::memory_order_acq_rel) == 1)
      T::destroy(static_cast<T*>(this));
  }
  // Of an object that nobody else has seen yet: a store, where retain() is a locked addition.
  void retain_first() { refs_.store(1, std::memory_order_relaxed); }
  int32_t ref_count() const { return refs_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int32_t> refs_{0};
};

template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}
  explicit Ref(T* object) : object_(object) {
    if (object_) object_->retain();
  }
  Ref(const Ref& other) : Ref(other.object_) {}
  // The first reference to a new object.
  static Ref first(T* fresh) {
    fresh->retain_first();
    Ref ref;
    ref.object_ = fresh;
    return ref;
  }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_) object_->release();
  }
  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }
  bool operator==(const Ref&) const = default;

 private:
  T* object_ = nullptr;
};

}  // namespace gs
