#include "runtime/stream.h"

#include "core/error.h"
#include "runtime/graph.h"

namespace gs::cuda {
namespace {
thread_local cudaStream_t stream_of_thread = nullptr;
}

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // clears it, where it can be cleared
  raise(ErrorKind::Runtime, what, cudaGetErrorString(error), " (", cudaGetErrorName(error), ").");
}

cudaStream_t current_stream() { return stream_of_thread; }
void set_current_stream(cudaStream_t stream) { stream_of_thread = stream; }

void synchronize(cudaStream_t stream) {
  refuse_recording("synchronize", "nothing is done yet that could be waited for.");
  check(cudaStreamSynchronize(stream), "synchronize");
  report_faults();
}
void synchronize() {
  refuse_recording("synchronize", "nothing is done yet that could be waited for.");
  check(cudaDeviceSynchronize(), "synchronize");
  report_faults();
}

}  // namespace gs::cuda
