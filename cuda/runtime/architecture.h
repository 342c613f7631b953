// What the current device is, for the choice of kernels.
#pragma once

#include "portable.cuh"

namespace gs::cuda {

// Compute capability 9.0: has the copy engine and wgmma, for which code was compiled. Later cards
// have the one and not the other.
bool is_hopper();
int processors();

}  // namespace gs::cuda
