// What the two kinds of build have to say about CUDA.
#include "core/device_runtime.h"
#include "core/error.h"
#include "kernels/kernels.h"

namespace gs {

#ifdef GRADSTONE_HAS_CUDA
const DeviceRuntime* cuda_runtime() { return &cuda::runtime(); }
#else
const DeviceRuntime* cuda_runtime() { return nullptr; }

void kernels::no_cuda(const char* name) {
  raise(ErrorKind::Runtime, name,
        "this build of gradstone has no CUDA kernels; move the tensors to the CPU.");
}
#endif

}  // namespace gs
