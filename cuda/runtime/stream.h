// Streams and events. Every kernel and copy goes into the calling thread's current stream.
#pragma once

#include "core/ref.h"
#include "portable.cuh"

namespace gs::cuda {

// The null stream of the device unless a StreamGuard or set_current_stream says otherwise.
cudaStream_t current_stream();
void set_current_stream(cudaStream_t stream);  // of this thread

class StreamGuard {
 public:
  explicit StreamGuard(cudaStream_t stream) : before_(current_stream()) {
    set_current_stream(stream);
  }
  ~StreamGuard() { set_current_stream(before_); }
  StreamGuard(const StreamGuard&) = delete;

 private:
  cudaStream_t before_;
};

void synchronize(cudaStream_t stream);  // waits for the work of one stream
void synchronize();                     // of the device

}  // namespace gs::cuda
