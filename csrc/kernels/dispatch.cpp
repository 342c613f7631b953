// The one message of a build without CUDA.
#include "core/error.h"
#include "kernels/kernels.h"

namespace gs::kernels {

#ifndef GRADSTONE_HAS_CUDA
void no_cuda(const char* name) {
  raise(ErrorKind::Runtime, name,
        "this build of gradstone has no CUDA kernels; move the tensors to the CPU.");
}
#endif

}  // namespace gs::kernels
