// Streams, events and graphs. Work runs when it is put into a stream or, in lazy mode, when
// somebody waits for it: then a forgotten event gives a wrong result.
#include <chrono>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "runtime_api.h"

namespace cuda_host {

struct Graph {
  std::vector<std::function<void()>> work;
};
struct Stream {
  std::deque<std::function<void()>> waiting;
  uint64_t put = 0, done = 0;  // pieces of work since the start
  Graph* capture = nullptr;
  std::thread::id capturer;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  bool invalidated = false;
};
struct Event {
  Stream* stream = nullptr;
  uint64_t after = 0;  // complete when the stream has done so many
  std::chrono::steady_clock::time_point when;
};

namespace {

// Work may launch kernels, and streams wait for each other: one lock for all, taken again within.
std::recursive_mutex& lock() {
  static auto* only = new std::recursive_mutex;
  return *only;
}
using Hold = std::lock_guard<std::recursive_mutex>;

std::vector<Stream*>& streams() {
  static auto* all = new std::vector<Stream*>;
  return *all;
}

Stream* real(cudaStream_t stream) {
  static Stream* const null_stream = [] {
    streams().push_back(new Stream);
    return streams().back();
  }();
  return stream ? stream : null_stream;
}

void run_until(Stream* stream, uint64_t count) {
  while (!stream->waiting.empty() && stream->done < count) {
    const auto work = std::move(stream->waiting.front());
    stream->waiting.pop_front();
    ++stream->done;
    work();
  }
}
void run_all(Stream* stream) { run_until(stream, ~uint64_t(0)); }

}  // namespace

thread_local cudaStreamCaptureMode mode_of_thread = cudaStreamCaptureModeGlobal;

// Calls that would wait or allocate are refused while this thread captures, or another one does in
// global mode; they invalidate the capture. A thread in relaxed mode may.
bool refused_by_capture() {
  const Hold hold(lock());
  if (mode_of_thread == cudaStreamCaptureModeRelaxed) return false;
  bool refused = false;
  for (Stream* stream : streams()) {
    if (!stream->capture || stream->mode == cudaStreamCaptureModeRelaxed) continue;
    if (stream->mode == cudaStreamCaptureModeThreadLocal &&
        stream->capturer != std::this_thread::get_id())
      continue;
    stream->invalidated = refused = true;
  }
  return refused;
}

void enqueue(cudaStream_t on, std::function<void()> work) {
  const Hold hold(lock());
  Stream* stream = real(on);
  if (stream->capture) return stream->capture->work.push_back(std::move(work));
  if (!options().lazy) return work();
  stream->waiting.push_back(std::move(work));
  ++stream->put;
}

}  // namespace cuda_host

using namespace cuda_host;

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  return device == 0 ? cudaSuccess : last_error(cudaErrorInvalidDevice);
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  if (device != 0) return last_error(cudaErrorInvalidDevice);
  *p = {};
  std::strcpy(p->name, "emulated CUDA device (host)");
  p->major = options().capability / 10, p->minor = options().capability % 10;
  p->multiProcessorCount = options().processors;
  p->totalGlobalMem = size_t(4) << 30, p->sharedMemPerBlockOptin = 227 << 10,
  p->l2CacheSize = 1 << 20;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp all = {};
  if (cudaGetDeviceProperties(&all, device) != cudaSuccess) return cudaErrorInvalidDevice;
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = all.multiProcessorCount;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
      *value = all.major;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      *value = all.minor;
      return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(all.sharedMemPerBlockOptin);
      return cudaSuccess;
  }
  return last_error(cudaErrorInvalidValue);
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = 0;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 0;
  return cudaSuccess;
}

// ------------------------------------------------------------------ streams

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  const Hold hold(lock());
  real(nullptr);
  streams().push_back(*stream = new Stream);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const Hold hold(lock());
  run_all(stream);
  std::erase(streams(), stream);
  static auto* gone = new std::vector<Stream*>;  // others may still be about to wait for it
  gone->push_back(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const Hold hold(lock());
  if (real(stream)->capture) {
    real(stream)->invalidated = true;
    return last_error(cudaErrorStreamCaptureUnsupported);
  }
  run_all(real(stream));
  return cudaSuccess;
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  const Hold hold(lock());
  if (refused_by_capture()) return last_error(cudaErrorStreamCaptureUnsupported);
  return real(stream)->waiting.empty() ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaDeviceSynchronize() {
  const Hold hold(lock());
  if (refused_by_capture()) return last_error(cudaErrorStreamCaptureUnsupported);
  for (size_t i = streams().size(); i-- > 0;)
    run_all(streams()[i]);  // newest first: no hidden order
  return cudaSuccess;
}

// ------------------------------------------------------------------ events

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new Event;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const Hold hold(lock());
  event->stream = real(stream);
  event->after = event->stream->put;
  event->when = std::chrono::steady_clock::now();
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const Hold hold(lock());
  if (refused_by_capture()) return last_error(cudaErrorStreamCaptureUnsupported);
  if (event->stream) run_until(event->stream, event->after);
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  const Hold hold(lock());
  if (refused_by_capture()) return last_error(cudaErrorStreamCaptureUnsupported);
  return !event->stream || event->stream->done >= event->after ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  *milliseconds = std::chrono::duration<float, std::milli>(to->when - from->when).count();
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const Hold hold(lock());
  Stream* other = event->stream;
  const uint64_t after = event->after;
  if (other && other != real(stream)) enqueue(stream, [=] { run_until(other, after); });
  return cudaSuccess;
}

// ------------------------------------------------------------------ graphs

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  std::swap(*mode, mode_of_thread);
  return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  const Hold hold(lock());
  if (!stream || stream->capture) return last_error(cudaErrorInvalidValue);
  run_all(stream);
  stream->capture = new Graph;
  stream->capturer = std::this_thread::get_id();
  stream->mode = mode;
  stream->invalidated = false;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const Hold hold(lock());
  if (!stream->capture || stream->capturer != std::this_thread::get_id())
    return last_error(cudaErrorInvalidValue);
  *graph = stream->capture;
  stream->capture = nullptr;
  if (!stream->invalidated) return cudaSuccess;
  delete *graph;
  *graph = nullptr;
  return last_error(cudaErrorStreamCaptureInvalidated);
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  const Hold hold(lock());
  const Stream* s = real(stream);
  *status = !s->capture      ? cudaStreamCaptureStatusNone
            : s->invalidated ? cudaStreamCaptureStatusInvalidated
                             : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  *executable = new Graph(*graph);
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  for (const auto& work : executable->work) enqueue(stream, work);
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
