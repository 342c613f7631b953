// ThreadSanitizer sees each CUDA thread as a thread: what it must report of kernels on the
// emulator, and what it must not. Only builds with it have these tests.
#include "portable.cuh"

#if defined(GRADSTONE_CUDA_EMU) && defined(__SANITIZE_THREAD__)

#include <cstdlib>

#include "emulated.h"

namespace gs {
namespace {

using namespace emulated;
using cuda::launch;

template <bool Wait>
__global__ void through_shared(const float* x, float* y) {
  GS_SHARED(tile, float[64]);
  tile[threadIdx.x] = x[threadIdx.x];
  if (Wait) __syncthreads();
  y[threadIdx.x] = tile[63 - threadIdx.x];
}

// The warp's own barrier orders its lanes; a shuffle does not.
template <bool Wait>
__global__ void through_a_warp(float* y) {
  GS_SHARED(tile, float[32]);
  tile[threadIdx.x] = 1;
  if (Wait)
    __syncwarp();
  else
    y[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1.0f, 1);
  y[threadIdx.x] = tile[threadIdx.x ^ 1];
}

template <bool Atomic>
__global__ void count(int* n) {
  if (Atomic)
    atomicAdd(n, 1);
  else
    *n += 1;
}

// The first warp publishes a value, the second waits for it.
template <bool Before, bool After>
__global__ void publish(int* value, int* flag, int* seen) {
  if (threadIdx.x == 0) {
    *value = 5;
    if (Before) __threadfence();
    atomicExch(flag, 1);
  } else if (threadIdx.x == 32) {
    while (atomicAdd(flag, 0) == 0) __nanosleep(10);
    if (After) __threadfence();
    *seen = *value;
  }
}

// Blocks of one launch are not ordered, launches in one stream are.
__global__ void write_own_and_next(int* x, int blocks) {
  x[blockIdx.x] = 1;
  if (blocks > 1 && threadIdx.x == 0) x[(blockIdx.x + 1) % static_cast<unsigned>(blocks)] = 1;
}

template <class F>
void expect_race(F f) {
  EXPECT_EXIT((f(), std::exit(0)), testing::ExitedWithCode(66), "data race");
}

TEST(EmulatorRaceDeathTest, BarriersOrderABlock) {
  const Array<float> x(64, 1.0f), y(64);
  launch({1, 64}, through_shared<true>, x.data(), y.data());
  expect_race([&] { launch({1, 64}, through_shared<false>, x.data(), y.data()); });
}

TEST(EmulatorRaceDeathTest, WarpBarriersOrderAWarp) {
  const Array<float> y(32);
  launch({1, 32}, through_a_warp<true>, y.data());
  expect_race([&] { launch({1, 32}, through_a_warp<false>, y.data()); });
}

TEST(EmulatorRaceDeathTest, SumsOfManyThreadsAreAtomic) {
  const Array<int> n(1, 0);
  launch({3, 64}, count<true>, n.data());
  EXPECT_EQ(n.get()[0], 192);
  expect_race([&] { launch({1, 64}, count<false>, n.data()); });
}

TEST(EmulatorRaceDeathTest, FencesOrderWhatAnAtomicPublishes) {
  const WithOptions restore;
  cuda_host::options().order = cuda_host::Options::Fifo;
  const Array<int> value(1, 0), flag(1, 0), seen(1, 0);
  launch({1, 64}, publish<true, true>, value.data(), flag.data(), seen.data());
  EXPECT_EQ(seen.get()[0], 5);
  flag.put({0});
  expect_race(
      [&] { launch({1, 64}, publish<false, true>, value.data(), flag.data(), seen.data()); });
  expect_race(
      [&] { launch({1, 64}, publish<true, false>, value.data(), flag.data(), seen.data()); });
}

TEST(EmulatorRaceDeathTest, BlocksAreNotOrdered) {
  const WithOptions restore;
  cuda_host::options().fresh = true;  // else a thread may be that of the block before
  const Array<int> x(4, 0);
  launch({4, 1}, write_own_and_next, x.data(), 1);
  launch({4, 1}, write_own_and_next, x.data(), 1);
  expect_race([&] { launch({4, 1}, write_own_and_next, x.data(), 4); });
}

}  // namespace
}  // namespace gs

#endif
