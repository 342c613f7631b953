// What the emulator of tests/cuda_host promises about threads, warps, blocks and their memory.
#include "portable.cuh"

#if defined(GRADSTONE_CUDA_EMU)

#include <algorithm>

#include "emulated.h"

namespace gs {
namespace {

using namespace emulated;
using cuda::launch;
using std::isnan;

constexpr unsigned kFull = 0xffffffffu;

// ---------------------------------------------------------------- barriers

template <bool Wait>
__global__ void turn_round(const float* x, float* y) {
  GS_SHARED(tile, float[64]);
  const int i = static_cast<int>(threadIdx.x), from = static_cast<int>(blockIdx.x * 64);
  tile[i] = x[from + i];
  if (Wait) __syncthreads();
  y[from + i] = tile[63 - i];
}

TEST(Emulator, MissingBarrierMeetsWhatNobodyHasWritten) {
  const Array<float> x(counting<float>(128));
  int wrong = 0;
  in_every_order([&] {
    const Array<float> y(128), z(128);
    launch({2, 64}, turn_round<true>, x.data(), y.data());
    launch({2, 64}, turn_round<false>, x.data(), z.data());
    const std::vector<float> right = y.get(), without = z.get();
    for (int i = 0; i < 128; ++i)
      EXPECT_EQ(right[i], static_cast<float>(i / 64 * 64 + 63 - i % 64));
    wrong += without != right;
    // The second block finds nothing of the first in its shared memory.
    EXPECT_TRUE(std::any_of(without.begin() + 64, without.end(), [](float v) { return isnan(v); }));
  });
  EXPECT_EQ(wrong, 8);
}

__global__ void two_barriers() {
  if (threadIdx.x < 16)
    __syncthreads();
  else
    __syncthreads();
}
__global__ void barrier_after_a_return() {
  if (threadIdx.x == 3) return;
  __syncthreads();
}
__global__ void named_barrier_for_more() {
  cuda_host::meet_block(1, 96, false, "a named barrier", "here.cu", 7);
}

TEST(Emulator, FaultsOfBarriers) {
  in_every_order([] {
    const std::string parted = error_of([] { launch({1, 32}, two_barriers); });
    expect_part(parted, "different barriers");
    expect_part(parted, "test_emulator.cpp:");
    expect_part(parted, "block (0, 0, 0)");
    expect_part(error_of([] { launch({1, 32}, barrier_after_a_return); }), "returned");
    const std::string dead = error_of([] { launch({1, 64}, named_barrier_for_more); });
    expect_part(dead, "deadlock");
    expect_part(dead, "64 thread(s) wait in a named barrier at here.cu:7");
  });
}

__global__ void votes(int* out) {
  const int i = static_cast<int>(threadIdx.x);
  const int count = __syncthreads_count(i % 3 == 0);
  const int any = __syncthreads_or(i == 40), none = __syncthreads_or(i > 100);
  const int all = __syncthreads_and(i >= 0), not_all = __syncthreads_and(i != 5);
  out[i] = count + 1000 * any + 10000 * none + 100000 * all + 1000000 * not_all;
}

TEST(Emulator, BarriersThatCount) {
  in_every_order([] {
    const Array<int> out(50, 0);
    launch({1, 50}, votes, out.data());
    for (const int v : out.get()) EXPECT_EQ(v, 17 + 1000 + 100000);
  });
}

// Two groups of a block pass barriers of their own, each at its own pace.
__global__ void two_groups(int* out) {
  GS_SHARED(box, int[2]);
  const int group = static_cast<int>(threadIdx.x) / 32;
  for (int round = 0; round < 3 + group; ++round) {
    if (threadIdx.x % 32 == 0) box[group] = round;
    cuda_host::meet_block(1 + group, 32, false, "bar.sync", "groups", 1);
    out[threadIdx.x] = box[group];
    cuda_host::meet_block(1 + group, 32, false, "bar.sync", "groups", 2);
  }
}

TEST(Emulator, NamedBarriers) {
  in_every_order([] {
    const Array<int> out(64, -1);
    launch({1, 64}, two_groups, out.data());
    const std::vector<int> v = out.get();
    for (int i = 0; i < 64; ++i) EXPECT_EQ(v[i], 2 + i / 32);
  });
}

// ---------------------------------------------------------------- warps

__global__ void exchange(int* out) {
  const int lane = static_cast<int>(threadIdx.x);
  int* mine = out + 8 * lane;
  mine[0] = __shfl_sync(kFull, lane, 5);
  mine[1] = __shfl_sync(kFull, lane, 2, 8);
  mine[2] = __shfl_xor_sync(kFull, lane, 3);
  mine[3] = __shfl_down_sync(kFull, lane, 4);
  mine[4] = __shfl_up_sync(kFull, lane, 4, 16);
  mine[5] = static_cast<int>(__ballot_sync(kFull, lane % 5 == 0));
  mine[6] = __any_sync(kFull, lane == 31) + 2 * __any_sync(kFull, lane == 32);
  mine[7] = __all_sync(kFull, lane < 32) + 2 * __all_sync(kFull, lane < 31);
}

TEST(Emulator, LanesExchangeValues) {
  in_every_order([] {
    const Array<int> out(32 * 8);
    launch({1, 32}, exchange, out.data());
    const std::vector<int> v = out.get();
    unsigned fives = 0;
    for (int lane = 0; lane < 32; ++lane) fives |= unsigned(lane % 5 == 0) << lane;
    for (int lane = 0; lane < 32; ++lane) {
      const int* mine = v.data() + 8 * lane;
      EXPECT_EQ(mine[0], 5);
      EXPECT_EQ(mine[1], lane / 8 * 8 + 2);
      EXPECT_EQ(mine[2], lane ^ 3);
      EXPECT_EQ(mine[3], lane + 4 < 32 ? lane + 4 : lane);
      EXPECT_EQ(mine[4], lane % 16 >= 4 ? lane - 4 : lane);
      EXPECT_EQ(static_cast<unsigned>(mine[5]), fives);
      EXPECT_EQ(mine[6], 1);
      EXPECT_EQ(mine[7], 1);
    }
  });
}

__global__ void outside_its_mask() { __shfl_sync(0xffffu, 1, 0); }
__global__ void from_an_absent_lane() {
  if (threadIdx.x < 16) __shfl_sync(0xffffu, 1, 20);
}
__global__ void parted_lanes() {
  if (threadIdx.x % 2)
    __shfl_sync(kFull, 1, 0);
  else
    __ballot_sync(kFull, 1);
}
__global__ void masks_that_differ() { __syncwarp(threadIdx.x % 2 ? kFull : 0x55555557u); }
__global__ void half_a_warp_waits() {
  if (threadIdx.x < 16) __syncwarp();
  __syncthreads();
}

TEST(Emulator, FaultsOfWarps) {
  in_every_order([] {
    expect_part(error_of([] { launch({1, 32}, outside_its_mask); }), "not in its mask");
    expect_part(error_of([] { launch({1, 32}, from_an_absent_lane); }), "takes no part");
    expect_part(error_of([] { launch({1, 32}, parted_lanes); }), "have parted");
    // Lane 1 waits for all, the even lanes for it and each other: both can never be.
    expect_part(error_of([] { launch({1, 32}, masks_that_differ); }), "mask");
    const std::string dead = error_of([] { launch({1, 32}, half_a_warp_waits); });
    expect_part(dead, "deadlock");
    expect_part(dead, "16 thread(s) wait in __syncwarp");
    expect_part(dead, "16 thread(s) wait in __syncthreads");
  });
}

// ---------------------------------------------------------------- memory

__global__ void shared_is_fresh(float* out) {
  GS_SHARED(box, float[32]);
  GS_DYNAMIC_SHARED(float, more);
  out[blockIdx.x * 32 + threadIdx.x] = isnan(box[threadIdx.x]) && isnan(more[threadIdx.x]);
  __syncthreads();
  box[threadIdx.x] = more[threadIdx.x] = 1;
}

TEST(Emulator, FreshMemoryHoldsNoNumbers) {
  const Array<float> out(96);
  launch({3, 32, 32 * sizeof(float)}, shared_is_fresh, out.data());
  for (const float v : out.get()) EXPECT_EQ(v, 1);
  const Array<float> fresh(100);
  for (const float v : fresh.get()) EXPECT_TRUE(isnan(v));
}

__global__ void too_much_static() {
  GS_SHARED(first, char[40 << 10]);
  GS_SHARED(second, char[9 << 10]);
  first[threadIdx.x] = second[threadIdx.x] = 0;
}
__global__ void much_dynamic(int* out) {
  GS_DYNAMIC_SHARED(int, box);
  box[threadIdx.x] = static_cast<int>(threadIdx.x);
  out[threadIdx.x] = box[threadIdx.x];
}

TEST(Emulator, LimitsOfSharedMemory) {
  expect_part(error_of([] { launch({1, 32}, too_much_static); }), "48 KB");
  const Array<int> out(32);
  launch({1, 32, 227 << 10}, much_dynamic, out.data());
  EXPECT_EQ(out.get(), counting<int>(32));
  EXPECT_NE(error_of([&] { launch({1, 32, 228 << 10}, much_dynamic, out.data()); }), "");
  const auto unasked = [&] {  // the kernel was not allowed more than 48 KB
    cuda_host::run({1, 32, 60 << 10, nullptr, false}, [&] { much_dynamic(out.data()); });
  };
  expect_part(error_of(unasked), "more dynamic shared memory");
}

struct Two {
  float* first;
  const float* second;
};
__global__ void copy_two(Two t) { t.first[0] = t.second[0]; }

TEST(Emulator, AddressesOfTheHostAreRefused) {
  const Array<float> x(4, 2.0f), y(4, 3.0f);
  std::vector<float> here(4);
  launch({1, 1}, copy_two, Two{x.data(), y.data()});
  EXPECT_EQ(x.get()[0], 3);
  launch({1, 1}, copy_two, Two{x.data(), y.data() + 3});
  expect_part(error_of([&] { launch({1, 1}, copy_two, Two{x.data(), here.data()}); }),
              "host memory");
  float* const behind = y.data() + 4;  // an empty view may begin there
  EXPECT_TRUE(cuda_host::is_device_memory(behind));
  EXPECT_FALSE(cuda_host::is_device_memory(here.data()));
}

TEST(Emulator, CopiesInTheWrongDirectionAreRefused) {
  const Array<float> x(4, 2.0f);
  std::vector<float> here(4);
  EXPECT_EQ(cudaMemcpy(here.data(), x.data(), 16, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(here.data(), x.data(), 16, cudaMemcpyDeviceToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemsetAsync(here.data(), 0, 16), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(here.data()), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

#if defined(__SANITIZE_ADDRESS__)
__global__ void behind_shared(int past) {
  GS_SHARED(first, int[8]);
  GS_SHARED(second, int[8]);
  int* const at = first;
  at[7 + past] = second[0] = 1;
}
__global__ void behind_device(int* x, int at) { x[at] = 1; }

TEST(EmulatorDeathTest, RedZones) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  launch({1, 1}, behind_shared, 0);
  EXPECT_DEATH(launch({1, 1}, behind_shared, 1), "AddressSanitizer");
  const Array<int> x(5);
  launch({1, 1}, behind_device, x.data(), 4);
  EXPECT_DEATH(launch({1, 1}, behind_device, x.data(), 5), "AddressSanitizer");
}
#endif

// ---------------------------------------------------------------- launches

__global__ void count_threads(int* counts) {
  atomicAdd(counts + blockIdx.x + 2 * (blockIdx.y + 3 * blockIdx.z), 1);
}
__global__ void who_came_when(int* ticket, int* order) {
  order[threadIdx.x] = atomicAdd(ticket, 1);
}

TEST(Emulator, EveryThreadOfEveryBlockRuns) {
  in_every_order([] {
    const Array<int> counts(24, 0);
    launch({dim3(2, 3, 4), dim3(5, 7, 3)}, count_threads, counts.data());
    for (const int n : counts.get()) EXPECT_EQ(n, 105);
  });
}

TEST(Emulator, OrdersDiffer) {
  std::vector<std::vector<int>> seen;
  in_every_order([&] {
    const Array<int> ticket(1, 0), order(64);
    launch({1, 64}, who_came_when, ticket.data(), order.data());
    seen.push_back(order.get());
  });
  EXPECT_EQ(seen[0], counting<int>(64));  // in the order of their numbers
  EXPECT_EQ(seen[1][0], 63);
  std::sort(seen.begin(), seen.end());
  EXPECT_GE(std::unique(seen.begin(), seen.end()) - seen.begin(), 6);
}

TEST(Emulator, InvalidLaunches) {
  const Array<int> counts(1, 0);
  for (const auto& [grid, block] :
       {std::pair<dim3, dim3>{0, 32}, {1, 0}, {1, 1025}, {dim3(1, 65536), 32}, {1, dim3(1, 1, 65)}})
    EXPECT_NE(error_of([&, g = grid, b = block] { launch({g, b}, count_threads, counts.data()); }),
              "");
}

// After a fault everything is usable: what was left suspended is dropped.
TEST(Emulator, GoesOnAfterAFault) {
  in_every_order([] {
    const Array<float> x(counting<float>(128)), y(128);
    error_of([] { launch({4, 64}, two_barriers); });
    error_of([] { launch({4, 64}, half_a_warp_waits); });
    launch({2, 64}, turn_round<true>, x.data(), y.data());
    EXPECT_EQ(y.get()[0], 63);
  });
}

// ---------------------------------------------------------------- atomics

__global__ void atomics(int* out, unsigned long long* wide, float* sum) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  atomicAdd(out, i);
  atomicMax(out + 1, i - 50);
  atomicMin(out + 2, i - 50);
  atomicOr(out + 3, 1 << i % 32);
  if (atomicCAS(out + 4, 7, i) == 7) atomicExch(out + 5, i);
  atomicAdd(wide, 1ull << 40);
  atomicAdd(sum, 0.5f);
}

TEST(Emulator, Atomics) {
  in_every_order([] {
    const Array<int> out(std::vector<int>{0, -1000, 1000, 0, 7, -1});
    const Array<unsigned long long> wide(1, 0);
    const Array<float> sum(1, 0);
    launch({2, 64}, atomics, out.data(), wide.data(), sum.data());
    const std::vector<int> v = out.get();
    EXPECT_EQ(v[0], 127 * 64);
    EXPECT_EQ(v[1], 77);
    EXPECT_EQ(v[2], -50);
    EXPECT_EQ(v[3], -1);
    EXPECT_EQ(v[4], v[5]);  // one thread found the 7
    EXPECT_EQ(wide.get()[0], 128ull << 40);
    EXPECT_EQ(sum.get()[0], 64);
  });
}

}  // namespace
}  // namespace gs

#endif
