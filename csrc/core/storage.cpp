#include "core/storage.h"

#include "core/allocator.h"
#include "core/error.h"

namespace gs {

Ref<Storage> Storage::allocate(int64_t bytes, Device device) {
  GS_CHECK(device.is_cpu(), Runtime, "allocate",
           "this build of gradstone has no CUDA device; use device 'cpu'.");
  char* data = static_cast<char*>(gs::allocate(static_cast<size_t>(bytes)));
  Storage* storage = new Storage();
  storage->data_ = data;
  storage->bytes_ = bytes;
  storage->device_ = device;
  return Ref<Storage>(storage);
}

Ref<Storage> Storage::borrow(void* data, int64_t bytes, Device device, void* context,
                             Deleter deleter, bool writable) {
  Storage* storage = new Storage();
  storage->data_ = static_cast<char*>(data);
  storage->bytes_ = bytes;
  storage->device_ = device;
  storage->context_ = context;
  storage->deleter_ = deleter;
  storage->writable_ = writable;
  return Ref<Storage>(storage);
}

void Storage::destroy(Storage* storage) {
  if (storage->deleter_) {
    storage->deleter_(storage->context_);
  } else {
    deallocate(storage->data_, static_cast<size_t>(storage->bytes_));
  }
  delete storage;
}

}  // namespace gs
