// How products of 16-bit floats are cut on Hopper, for tests and measurements.
#pragma once

namespace gs::cuda {

// The columns of a block's tile: 64, 128 or 256; 0 for the kernels of other cards.
inline constexpr int kByShape = -1;
void set_wgmma_tiles(int columns);  // of the process

}  // namespace gs::cuda
