// What the emulator of tests/cuda_host promises about blocks that wait for each
// other.
#include "portable.cuh"

#if defined(GRADSTONE_CUDA_EMU)

#include "emulated.h"

namespace gs {
namespace {

using namespace emulated;

// Each block adds what all blocks wrote in the round before: they wait for each
// other.
void rounds_of_a_grid(int* values, unsigned* arrived, bool wait) {
  const unsigned blocks = gridDim.x;
  for (int round = 0; round < 3; ++round) {
    int sum = 0;
    for (unsigned b = 0; b < blocks; ++b)
      sum += values[round * static_cast<int>(blocks) + static_cast<int>(b)];
    __syncthreads();
    if (threadIdx.x == 0) {
      values[(round + 1) * static_cast<int>(blocks) + static_cast<int>(blockIdx.x)] = sum + 1;
      __threadfence();
      atomicAdd(arrived, 1u);
      while (wait && cuda_host::atomic_read(arrived) < blocks * static_cast<unsigned>(round + 1))
        __nanosleep(20);
      __threadfence();
    }
    __syncthreads();
  }
}

TEST(EmulatorGrid, BlocksOfACooperativeGridWaitForEachOther) {
  int wrong = 0;
  in_every_order([&] {
    for (const bool wait : {true, false}) {
      const Array<int> values(std::vector<int>{1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
      const Array<unsigned> arrived(1, 0);
      launch_together(4, 64, [&] { rounds_of_a_grid(values.data(), arrived.data(), wait); });
      const std::vector<int> v = values.get();
      const bool right = std::vector<int>(v.begin() + 4, v.end()) ==
                         std::vector<int>{5, 5, 5, 5, 21, 21, 21, 21, 85, 85, 85, 85};
      wrong += !right;
      EXPECT_FALSE(wait && !right);
    }
  });
  EXPECT_GE(wrong, 1);
}

// A block that waits in a loop for one that never arrives: a deadlock, and no
// endless loop.
TEST(EmulatorGrid, LoopsThatWaitForNobodyAreADeadlock) {
  in_every_order([] {
    const Array<unsigned> arrived(1, 0);
    const std::string dead = error_of([&] {
      launch_together(3, 32, [p = arrived.data()] {
        if (blockIdx.x != 1 && threadIdx.x == 0) atomicAdd(p, 1u);
        while (cuda_host::atomic_read(p) < 3) __nanosleep(20);
      });
    });
    expect_part(dead, "deadlock");
    expect_part(dead, "32 thread(s) wait in a loop");
  });
}

TEST(EmulatorGrid, CooperativeGridsHaveALimit) {
  expect_part(error_of([] { launch_together(5, 1024, [] {}); }), "does not fit");
}

}  // namespace
}  // namespace gs

#endif
