#include "core/storage.h"

#include <new>

#include "core/allocator.h"
#include "core/device_runtime.h"
#include "core/error.h"

namespace gs {

Ref<Storage> Storage::allocate(int64_t bytes, Device device) {
  static_assert(sizeof(Storage) <= kHeader);
  if (!device.is_cpu()) {
    void* data = runtime_of(device, "allocate").allocate(bytes, device);
    return Ref<Storage>::first(new Storage(static_cast<char*>(data), bytes, device));
  }
  if (bytes <= kSmall) {
    char* block = static_cast<char*>(gs::allocate(static_cast<size_t>(kHeader + bytes)));
    return Ref<Storage>::first(new (block) Storage(block + kHeader, bytes, device));
  }
  char* data = static_cast<char*>(gs::allocate(static_cast<size_t>(bytes)));
  return Ref<Storage>::first(new Storage(data, bytes, device));
}

Ref<Storage> Storage::allocate_pinned(int64_t bytes) {
  void* data = runtime_of({DeviceType::Cuda, 0}, "pin_memory").allocate_pinned(bytes);
  return borrow(data, bytes, {}, data, release_pinned);
}
void Storage::release_pinned(void* data) { cuda_runtime()->deallocate_pinned(data); }

Ref<Storage> Storage::borrow(void* data, int64_t bytes, Device device, void* context,
                             Deleter deleter, bool writable) {
  Storage* storage = new Storage(static_cast<char*>(data), bytes, device);
  storage->context_ = context;
  storage->deleter_ = deleter;
  storage->writable_ = writable;
  return Ref<Storage>::first(storage);
}

void Storage::destroy(Storage* storage) {
  if (storage->is_one_block()) {
    const size_t bytes = static_cast<size_t>(kHeader + storage->bytes_);
    storage->~Storage();
    return deallocate(storage, bytes);
  }
  if (storage->deleter_) {
    storage->deleter_(storage->context_);
  } else if (!storage->device_.is_cpu()) {
    cuda_runtime()->deallocate(storage->data_, storage->bytes_, storage->device_);
  } else {
    deallocate(storage->data_, static_cast<size_t>(storage->bytes_));
  }
  delete storage;
}

}  // namespace gs
