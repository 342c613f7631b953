// gradstone.cuda's native side: devices, memory, streams and events, through the table in
// core/device_runtime.h. A build without CUDA has the same names and counts no device.
#include "convert.h"
#include "core/device_runtime.h"
#include "ops/ops.h"
#include "tensor_object.h"

namespace gs::python {
namespace {

const DeviceRuntime& runtime(const char* op, int device = 0) {
  GS_CHECK(device >= 0 && device < 128, Runtime, op, "expected a device in [0, 127], got ", device,
           ".");
  return runtime_of({DeviceType::Cuda, static_cast<int8_t>(device)}, op);
}

int device_count() {
  const DeviceRuntime* cuda = cuda_runtime();
  return cuda ? cuda->count() : 0;
}

// A stream of one's own, or the one that every device has (null).
class Stream {
 public:
  Stream() : Stream(runtime("Stream").new_stream(), true) {}
  Stream(DeviceStream stream, bool own) : stream_(stream), own_(own) {}
  ~Stream() {
    if (own_) cuda_runtime()->delete_stream(stream_);
  }
  Stream(const Stream&) = delete;

  DeviceStream get() const { return stream_; }
  bool query() const { return runtime("Stream.query").stream_done(stream_); }
  void synchronize() const {
    const py::gil_scoped_release others_run;
    runtime("Stream.synchronize").synchronize_stream(stream_);
  }
  // What is put here from now on begins behind what has been put into `other` so far.
  void wait_stream(const Stream& other) const {
    const DeviceRuntime& cuda = runtime("Stream.wait_stream");
    const DeviceEvent passed = cuda.new_event(false);
    cuda.record_event(passed, other.stream_);
    cuda.wait_event(stream_, passed);
    cuda.delete_event(passed);
  }

 private:
  DeviceStream stream_;
  bool own_;
};

class Event {
 public:
  explicit Event(bool timing) : event_(runtime("Event").new_event(timing)), timing_(timing) {}
  ~Event() { cuda_runtime()->delete_event(event_); }
  Event(const Event&) = delete;

  void record(const Stream* stream) {
    const DeviceRuntime& cuda = runtime("Event.record");
    cuda.record_event(event_, stream ? stream->get() : cuda.current_stream());
    recorded_ = true;
  }
  void wait(const Stream* stream) const {
    const DeviceRuntime& cuda = runtime("Event.wait");
    cuda.wait_event(stream ? stream->get() : cuda.current_stream(), event_);
  }
  bool query() const { return runtime("Event.query").event_done(event_); }
  void synchronize() const {
    const py::gil_scoped_release others_run;
    runtime("Event.synchronize").synchronize_event(event_);
  }
  double elapsed_time(const Event& end) const {
    GS_CHECK(timing_ && end.timing_, Runtime, "Event.elapsed_time",
             "both events must be made with enable_timing=True.");
    GS_CHECK(recorded_ && end.recorded_, Runtime, "Event.elapsed_time",
             "both events must have been recorded.");
    return runtime("Event.elapsed_time").milliseconds_between(event_, end.event_);
  }

 private:
  DeviceEvent event_;
  bool timing_, recorded_ = false;
};

// Recorded work; see cuda/runtime/graph.h.
class Graph {
 public:
  Graph() : graph_(runtime("CUDAGraph").new_graph()) {}
  ~Graph() { cuda_runtime()->delete_graph(graph_); }
  Graph(const Graph&) = delete;

  void begin_capture(uint64_t pool) { cuda_runtime()->begin_capture(graph_, pool); }
  void end_capture(bool keep) { cuda_runtime()->end_capture(graph_, keep); }
  uint64_t pool() const { return cuda_runtime()->graph_pool(graph_); }
  void begin_replay() { cuda_runtime()->begin_replay(graph_); }
  void end_replay(bool run) { cuda_runtime()->end_replay(graph_, run); }
  void reset() { cuda_runtime()->reset_graph(graph_); }

 private:
  DeviceGraph graph_;
};

}  // namespace

void add_cuda(py::module_& m) {
  m.def("_cuda_built", [] { return cuda_runtime() != nullptr; });
  m.def("_cuda_device_count", &device_count);
  m.def("_cuda_properties", [](int device) {
    const DeviceProperties p = runtime("get_device_properties", device).properties(device);
    return py::make_tuple(p.name, p.major, p.minor, p.processors, p.memory);
  });
  m.def("_cuda_memory_stats", [](int device) {
    const MemoryStats s = runtime("memory_stats", device).memory_stats(device);
    py::dict out;
    out["in_use"] = s.in_use;
    out["peak"] = s.peak;
    out["cached"] = s.cached;
    out["allocations"] = s.allocations;
    out["graphs"] = s.graphs;
    return out;
  });
  m.def("_cuda_reset_peak_memory",
        [](int device) { runtime("reset_peak_memory_stats", device).reset_peak_memory(device); });
  m.def("_cuda_set_memory_limit", [](int64_t bytes, int device) {
    GS_CHECK(bytes >= 0, Value, "set_memory_limit", "expected 0 or more bytes, got ", bytes, ".");
    runtime("set_memory_limit", device).set_memory_limit(bytes, device);
  });
  // 0: exact, 1: by three products of tf32, 2: tf32.
  m.def("_cuda_set_float32_products", [](int how) {
    GS_CHECK(how >= 0 && how <= 2, Value, "set_float32_matmul_precision", "got ", how, ".");
    if (cuda_runtime()) cuda_runtime()->set_float32_products(how);
  });
  m.def("_cuda_empty_cache", [] {
    if (device_count()) cuda_runtime()->empty_cache();
  });
  m.def("_cuda_synchronize", [] {
    const DeviceRuntime& cuda = runtime("synchronize");
    const py::gil_scoped_release others_run;
    cuda.synchronize();
  });
  m.def("_cuda_current_stream",
        [] { return std::make_unique<Stream>(runtime("current_stream").current_stream(), false); });
  m.def("_cuda_set_stream",
        [](const Stream& stream) { runtime("set_stream").set_current_stream(stream.get()); });
  m.def("_cuda_record_stream", [](const Tensor& t, const Stream& stream) {
    GS_CHECK(t.device().is_cuda(), Runtime, "record_stream",
             "expected a tensor on CUDA, got one on ", t.device(), ".");
    runtime("record_stream").record_stream(t.body()->storage->data(), t.device(), stream.get());
  });

  py::class_<Stream> stream(m, "_CudaStream", "Work of a device that runs in order.");
  py::class_<Event> event(m, "_CudaEvent", "A point in the work of a stream.");
  stream.def(py::init<>())
      .def_property_readonly("handle",
                             [](const Stream& s) { return reinterpret_cast<uintptr_t>(s.get()); })
      .def("query", &Stream::query, "Whether everything put into it is done.")
      .def("synchronize", &Stream::synchronize, "Waits for everything put into it.")
      .def(
          "wait_stream", &Stream::wait_stream, py::arg("stream"),
          "Later work here begins behind what has been put into `stream` so far; the host goes on.")
      .def(
          "wait_event", [](const Stream& s, const Event& e) { e.wait(&s); }, py::arg("event"),
          "Later work here begins when `event` has passed; the host goes on.");
  m.def("_cuda_is_capturing", [] { return capture() == Capture::Recording; });
  m.def("_cuda_new_graph_pool", [] { return runtime("graph_pool_handle").new_graph_pool(); });
  m.def("_pin_memory", [](const Tensor& t) { return ops::pin_memory(t); });
  m.def("_is_pinned", [](const Tensor& t) { return t.body()->storage->is_pinned(); });

  py::class_<Graph>(m, "_CudaGraph", "Work of a stream, captured once and replayed.")
      .def(py::init<>())
      .def("begin_capture", &Graph::begin_capture, py::arg("pool"),
           "What this thread puts into its stream is recorded and not done. Pool 0 is a new one.")
      .def("end_capture", &Graph::end_capture, py::arg("keep"))
      .def("pool", &Graph::pool)
      .def("begin_replay", &Graph::begin_replay,
           "Optimizers called by this thread now write down their numbers alone.")
      .def("end_replay", &Graph::end_replay, py::arg("run"),
           "Puts the work into the current stream, unless `run` is false.")
      .def("reset", &Graph::reset);
  event.def(py::init<bool>(), py::arg("enable_timing") = false)
      .def("record", &Event::record, py::arg("stream") = py::none())
      .def("wait", &Event::wait, py::arg("stream") = py::none())
      .def("query", &Event::query)
      .def("synchronize", &Event::synchronize)
      .def("elapsed_time", &Event::elapsed_time, py::arg("end_event"));
}

}  // namespace gs::python
