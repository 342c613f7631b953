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

struct DeviceRuntime {
  int (*count)();  // devices of this machine; 0 without a driver, never an error
  DeviceProperties (*properties)(int device);

  // Memory for use in the calling thread's current stream.
  void* (*allocate)(int64_t bytes, Device device);
  void (*deallocate)(void* data, int64_t bytes, Device device);
  void (*record_stream)(void* data, Device device, DeviceStream stream);  // used there as well
  MemoryStats (*memory_stats)(int device);
  void (*reset_peak_memory)(int device);
  void (*set_memory_limit)(int64_t bytes, int device);  // 0: none
  void (*empty_cache)();
  void* (*allocate_pinned)(int64_t bytes);  // memory of the host that the device reads by itself
  void (*deallocate_pinned)(void* data);

  // In order with the work of the current stream. Unless `only_begin`, memory of the host may be
  // read or used again when it returns.
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
};

// Defined where kernels are dispatched: null in a build without CUDA.
const DeviceRuntime* cuda_runtime();

// The runtime of a CUDA device that exists; RuntimeError says what is missing otherwise.
const DeviceRuntime& runtime_of(Device device, const char* op);

// Dense bytes from one place to another; the devices may differ.
void copy_bytes(void* to, Device to_device, const void* from, Device from_device, int64_t bytes,
                bool only_begin = false);

}  // namespace gs
