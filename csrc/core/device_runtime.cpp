#include "core/device_runtime.h"

#include <cstring>

#include "core/error.h"
#include "core/thread_local.h"

namespace gs {
namespace {
thread_local Capture capture_of_thread GS_INITIAL_EXEC = Capture::Off;
}

Capture capture() { return capture_of_thread; }
void set_capture(Capture now) { capture_of_thread = now; }

const DeviceRuntime& runtime_of(Device device, const char* op) {
  const DeviceRuntime* runtime = cuda_runtime();
  GS_CHECK(runtime, Runtime, op, "this build of gradstone has no CUDA device; use device 'cpu'.");
  const int count = runtime->count();
  GS_CHECK(device.index < count, Runtime, op, "expected a CUDA device below ", count, ", got ",
           device, count == 0 ? ": this machine has none; use device 'cpu'." : ".");
  return *runtime;
}

void copy_bytes(void* to, Device to_device, const void* from, Device from_device, int64_t bytes,
                bool only_begin) {
  if (bytes == 0) return;
  if (to_device.is_cpu() && from_device.is_cpu()) {
    std::memcpy(to, from, static_cast<size_t>(bytes));
    return;
  }
  const Device device = to_device.is_cpu() ? from_device : to_device;
  runtime_of(device, "copy").copy(to, to_device, from, from_device, bytes, only_begin);
}

}  // namespace gs
