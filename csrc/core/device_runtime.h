// What the rest asks of a device other than the CPU: memory, streams, events.
// Kernels are the business of kernels/kernels.h.
#pragma once

#include <cstdint>
#include <string>

#include "core/allocator.h"
#include "core/device.h"

namespace gs {

struct DeviceProperties {
  std::string name;
  int major, minor;  // compute capability
  int processors;
  int64_t memory;  // bytes
};

// Handles of the device's own library.
using DeviceStream = void*;  // null: the stream that every device has
using DeviceEvent = void*;
using DeviceGraph = void*;

// What becomes of the calling thread's work: it is done; it is recorded for a graph and not done;
// or only the numbers that change from one replay of a graph to the next are written down.
enum class Capture : uint8_t { Off, Recording, Patching };
Capture capture();
void set_capture(Capture now);
inline bool is_recorded(Device device) {
  return device.is_cuda() && capture() == Capture::Recording;
}

// Indices that the host cannot look at, because they are recorded: `to` gets those in [low, high)
// and `allowed`, the others become `otherwise` and are reported as IndexError after a replay.
struct IndexGuard {
  const char* op;
  const char* what;
  const int64_t* from;
  int64_t* to;
  int64_t count, low, high, allowed, otherwise;
  bool wrap;  // negative ones count from `high`
};

struct DeviceRuntime {
  int (*count)();  // devices of this machine; 0 without a driver, never an error
  DeviceProperties (*properties)(int device);
  // Of float32 matrices, in the process: 0: exact, 1: by three products of tf32 each, 2: by tf32.
  void (*set_float32_products)(int how);

  // Memory for use in the calling thread's current stream.
  void* (*allocate)(int64_t bytes, Device device);
  void (*deallocate)(void* data, int64_t bytes, Device device);
  void (*record_stream)(void* data, Device device, DeviceStream stream);  // used there as well
  MemoryStats (*memory_stats)(int device);
  void (*reset_peak_memory)(int device);
  void (*set_memory_limit)(int64_t bytes, int device);  // 0: none
  void (*empty_cache)();
  void* (*allocate_pinned)(int64_t bytes);  // memory of the host that the device reads by itself
  void (*deallocate_pinned)(void* data);    // used again when the copies begun with it are done

  // In order with the work of the current stream. Memory of the host may be read or used again when
  // it returns, unless it is pinned and the copy is `only_begin`.
  void (*copy)(void* to, Device to_device, const void* from, Device from_device, int64_t bytes,
               bool only_begin);

  DeviceStream (*current_stream)();  // of the calling thread
  void (*set_current_stream)(DeviceStream stream);
  DeviceStream (*new_stream)();
  void (*delete_stream)(DeviceStream stream);
  bool (*stream_done)(DeviceStream stream);
  void (*synchronize_stream)(DeviceStream stream);
  void (*synchronize)();

  DeviceEvent (*new_event)(bool timing);
  void (*delete_event)(DeviceEvent event);
  void (*record_event)(DeviceEvent event, DeviceStream stream);
  void (*wait_event)(DeviceStream stream, DeviceEvent event);
  bool (*event_done)(DeviceEvent event);
  void (*synchronize_event)(DeviceEvent event);
  double (*milliseconds_between)(DeviceEvent from, DeviceEvent to);

  DeviceGraph (*new_graph)();
  void (*delete_graph)(DeviceGraph graph);
  uint64_t (*new_graph_pool)();
  void (*begin_capture)(DeviceGraph graph, uint64_t pool);  // of the current stream; 0: a new pool
  void (*end_capture)(DeviceGraph graph, bool keep);
  uint64_t (*graph_pool)(DeviceGraph graph);
  void (*begin_replay)(DeviceGraph graph);          // the thread patches...
  void (*end_replay)(DeviceGraph graph, bool run);  // ...until here, where the graph is put to work
  void (*reset_graph)(DeviceGraph graph);
  void (*guard_indices)(const IndexGuard& guard);
};

// Defined where kernels are dispatched: null in a build without CUDA.
const DeviceRuntime* cuda_runtime();

// The runtime of a CUDA device that exists; RuntimeError says what is missing otherwise.
const DeviceRuntime& runtime_of(Device device, const char* op);

// Dense bytes from one place to another; the devices may differ.
void copy_bytes(void* to, Device to_device, const void* from, Device from_device, int64_t bytes,
                bool only_begin = false);

}  // namespace gs
