// CUDA as the core sees it: the table of core/device_runtime.h.
#include "core/device_runtime.h"

#include "float32_products.h"
#include "kernels/kernels.h"
#include "runtime/allocator.h"
#include "runtime/graph.h"
#include "runtime/pinned.h"
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

void choose_float32_products(int how) { set_float32_products(static_cast<Float32Products>(how)); }

// ---------------------------------------------------------------- memory

// At least a byte: each block has an address of its own.
void* allocate_on(int64_t bytes, Device device) {
  return allocate(bytes > 0 ? bytes : 1, device.index);
}
void deallocate_on(void* data, int64_t, Device device) { deallocate(data, device.index); }
void record_on(void* data, Device device, DeviceStream stream) {
  record_stream(data, device.index, stream_of(stream));
}

void copy(void* to, Device to_device, const void* from, Device from_device, int64_t bytes,
          bool only_begin) {
  const cudaMemcpyKind kind = to_device.is_cpu()     ? cudaMemcpyDeviceToHost
                              : from_device.is_cpu() ? cudaMemcpyHostToDevice
                                                     : cudaMemcpyDeviceToDevice;
  const cudaStream_t stream = current_stream();
  if (kind == cudaMemcpyDeviceToHost)
    refuse_recording(
        "copy",
        "the host asks for a value (.item(), .tolist(), .cpu(), a condition), and "
        "nothing is computed yet. Keep it on the device, or read it after the replay.");
  if (kind == cudaMemcpyHostToDevice)
    refuse_recording("copy",
                     "a tensor of the host would be read anew by every replay. Copy it before, "
                     "or make it on the device.");
  check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), kind, stream), "copy");
  if (kind == cudaMemcpyDeviceToDevice) return;
  const void* const here = kind == cudaMemcpyDeviceToHost ? to : from;
  if (!only_begin || !record_pinned(here, stream)) gs::cuda::synchronize(stream);
}

// ---------------------------------------------------------------- streams and events

DeviceStream stream_of_thread() { return current_stream(); }
void choose_stream(DeviceStream stream) {
  refuse_recording("set_stream", "it holds the work of one stream.");
  set_current_stream(stream_of(stream));
}
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
  refuse_recording("Event.synchronize", "nothing is done yet that could be waited for.");
  check(cudaEventSynchronize(event_of(event)), "Event.synchronize");
  report_faults();
}
double milliseconds_between(DeviceEvent from, DeviceEvent to) {
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, event_of(from), event_of(to)), "Event.elapsed_time");
  return milliseconds;
}

// ---------------------------------------------------------------- graphs

Graph& graph_of(DeviceGraph graph) { return *static_cast<Graph*>(graph); }
DeviceGraph new_graph() { return new Graph; }
void delete_graph(DeviceGraph graph) { delete &graph_of(graph); }
void begin_capture(DeviceGraph graph, uint64_t pool) { graph_of(graph).begin(pool); }
void end_capture(DeviceGraph graph, bool keep) { graph_of(graph).end(keep); }
uint64_t graph_pool(DeviceGraph graph) { return graph_of(graph).pool(); }
void begin_replay(DeviceGraph graph) { graph_of(graph).begin_replay(); }
void end_replay(DeviceGraph graph, bool run) { graph_of(graph).end_replay(run); }
void reset_graph(DeviceGraph graph) { graph_of(graph).reset(); }

}  // namespace

const DeviceRuntime& runtime() {
  static const DeviceRuntime table{
      .count = count,
      .properties = properties,
      .set_float32_products = choose_float32_products,
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
      .new_graph = new_graph,
      .delete_graph = delete_graph,
      .new_graph_pool = new_graph_pool,
      .begin_capture = begin_capture,
      .end_capture = end_capture,
      .graph_pool = graph_pool,
      .begin_replay = begin_replay,
      .end_replay = end_replay,
      .reset_graph = reset_graph,
      .guard_indices = guard_indices,
  };
  return table;
}

}  // namespace gs::cuda
