// CUDA C++ for a host compiler: kernels run on the CPU, one fiber for each CUDA thread. Included by
// cuda/portable.cuh in place of <cuda_runtime.h>. docs/CUDA.md says what it finds and what it
// cannot.
#pragma once

#include "async.h"
#include "atomics.h"
#include "collectives.h"
#include "intrinsics.h"
#include "language.h"
#include "runtime_api.h"
#include "tensor_unit.h"
