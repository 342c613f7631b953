// CUDA as the core sees it: the table of core/device_runtime.h.
#include "core/device_runtime.h"

#include "kernels/kernels.h"
#include "runtime/allocator.h"
#include "runtime/stream.h"

namespace gs::cuda {
namespace {

cudaStream_t stream_of(DeviceStream stream) { return static_cast<cudaStream_t>(stream); }
cudaEvent_t event_of(DeviceEvent event) { return static_cast<cudaEvent_t>(event); }

// cudaErrorNotReady is an answer, and is not to be found by the next who looks for an error.
bool is_done(cudaError_t error, const char* what) {
  if (error == cudaErrorNotReady) {
    cudaGetLastError();
    return false;
  }
  check(error, what);
  return true;
}

// ---------------------------------------------------------------- devices

// One device is driven, however many there are.
int count() {
  static const int devices = [] {
    int n = 0;
    if (cudaGetDeviceCount(&n) == cudaSuccess) return n > 1 ? 1 : n;
    cudaGetLastError();  // no driver or no device: a machine like any other
    return 0;
  }();
  return devices;
}

DeviceProperties properties(int device) {
  cudaDeviceProp p;
  check(cudaGetDeviceProperties(&p, device), "get_device_properties");
  return {p.name, p.major, p.minor, p.multiProcessorCount, static_cast<int64_t>(p.totalGlobalMem)};
}

// ---------------------------------------------------------------- memory

void* allocate_on(int64_t bytes, Device device) { return allocate(bytes, device.index); }
void deallocate_on(void* data, int64_t, Device device) { deallocate(data, device.index); }
void record_on(void* data, Device device, DeviceStream stream) {
  record_stream(data, device.index, stream_of(stream));
}

void* allocate_pinned(int64_t bytes) {
  void* data = nullptr;
  const cudaError_t error = cudaMallocHost(&data, static_cast<size_t>(bytes));
  if (error != cudaSuccess) cudaGetLastError();
  GS_CHECK(error == cudaSuccess, Memory, "pin_memory", "could not get ", bytes,
           " bytes of pinned memory: ", cudaGetErrorString(error), ".");
  return data;
}
void deallocate_pinned(void* data) { cudaFreeHost(data); }

void copy(void* to, Device to_device, const void* from, Device from_device, int64_t bytes,
          bool only_begin) {
  const cudaMemcpyKind kind = to_device.is_cpu()     ? cudaMemcpyDeviceToHost
                              : from_device.is_cpu() ? cudaMemcpyHostToDevice
                                                     : cudaMemcpyDeviceToDevice;
  const cudaStream_t stream = current_stream();
  check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), kind, stream), "copy");
  if (kind != cudaMemcpyDeviceToDevice && !only_begin) gs::cuda::synchronize(stream);
}

// ---------------------------------------------------------------- streams and events

DeviceStream stream_of_thread() { return current_stream(); }
void choose_stream(DeviceStream stream) { set_current_stream(stream_of(stream)); }
DeviceStream new_stream() {
  cudaStream_t stream;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "Stream");
  return stream;
}
void delete_stream(DeviceStream stream) { cudaStreamDestroy(stream_of(stream)); }
bool stream_done(DeviceStream stream) {
  return is_done(cudaStreamQuery(stream_of(stream)), "Stream.query");
}
void synchronize_stream(DeviceStream stream) { gs::cuda::synchronize(stream_of(stream)); }
void synchronize_all() { gs::cuda::synchronize(); }

DeviceEvent new_event(bool timing) {
  cudaEvent_t event;
  check(cudaEventCreateWithFlags(&event, timing ? cudaEventDefault : cudaEventDisableTiming),
        "Event");
  return event;
}
void delete_event(DeviceEvent event) { cudaEventDestroy(event_of(event)); }
void record_event(DeviceEvent event, DeviceStream stream) {
  check(cudaEventRecord(event_of(event), stream_of(stream)), "Event.record");
}
void wait_event(DeviceStream stream, DeviceEvent event) {
  check(cudaStreamWaitEvent(stream_of(stream), event_of(event), 0), "Event.wait");
}
bool event_done(DeviceEvent event) {
  return is_done(cudaEventQuery(event_of(event)), "Event.query");
}
void synchronize_event(DeviceEvent event) {
  check(cudaEventSynchronize(event_of(event)), "Event.synchronize");
}
double milliseconds_between(DeviceEvent from, DeviceEvent to) {
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, event_of(from), event_of(to)), "Event.elapsed_time");
  return milliseconds;
}

}  // namespace

const DeviceRuntime& runtime() {
  static const DeviceRuntime table{
      .count = count,
      .properties = properties,
      .allocate = allocate_on,
      .deallocate = deallocate_on,
      .record_stream = record_on,
      .memory_stats = memory_stats,
      .reset_peak_memory = reset_peak_memory,
      .set_memory_limit = set_memory_limit,
      .empty_cache = empty_cache,
      .allocate_pinned = allocate_pinned,
      .deallocate_pinned = deallocate_pinned,
      .copy = copy,
      .current_stream = stream_of_thread,
      .set_current_stream = choose_stream,
      .new_stream = new_stream,
      .delete_stream = delete_stream,
      .stream_done = stream_done,
      .synchronize_stream = synchronize_stream,
      .synchronize = synchronize_all,
      .new_event = new_event,
      .delete_event = delete_event,
      .record_event = record_event,
      .wait_event = wait_event,
      .event_done = event_done,
      .synchronize_event = synchronize_event,
      .milliseconds_between = milliseconds_between,
  };
  return table;
}

}  // namespace gs::cuda
