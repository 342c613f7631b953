// What the emulator of tests/cuda_host promises about what runs beside the threads: asynchronous
// copies, mbarriers, streams and graphs.
#include "portable.cuh"

#if defined(GRADSTONE_CUDA_EMU)

#include "emulated.h"
#include "ptx/mma.cuh"

namespace gs {
namespace {

using namespace emulated;
using cuda::launch;
using std::isnan;

// ---------------------------------------------------------------- copies to shared memory

// Each thread copies four floats and then looks at them: before the wait, and after it.
__global__ void copy_in(const float* x, float* before, float* after, int valid) {
  GS_SHARED(tile, float[32][4]);
  const int i = static_cast<int>(threadIdx.x);
  cuda::ptx::copy_async_16(tile[i], x + 4 * i, valid);
  cuda::ptx::commit_copies();
  for (int k = 0; k < 4; ++k) before[4 * i + k] = tile[i][k];
  cuda::ptx::wait_copies<0>();
  __syncthreads();
  for (int k = 0; k < 4; ++k) after[4 * i + k] = tile[31 - i][k];
}

TEST(EmulatorAsync, CopiesComeWithTheWait) {
  in_every_order([] {
    const Array<float> x(counting<float>(128)), before(128), after(128);
    launch({1, 32}, copy_in, x.data(), before.data(), after.data(), 16);
    const std::vector<float> early = before.get(), late = after.get();
    for (int i = 0; i < 128; ++i) {
      EXPECT_TRUE(isnan(early[i]));
      EXPECT_EQ(late[i], static_cast<float>(4 * (31 - i / 4) + i % 4));
    }
    launch({1, 32}, copy_in, x.data(), before.data(), after.data(), 8);
    const std::vector<float> half = after.get();  // what is not read is 0
    for (int i = 0; i < 128; ++i) EXPECT_EQ(half[i], i % 4 < 2 ? late[i] : 0);
  });
}

// Three groups, of which one may stay under way: the first two are there, the third is not.
__global__ void three_groups(const float* x, float* out) {
  GS_SHARED(tile, float[3][4]);
  for (int group = 0; group < 3; ++group) {
    cuda::ptx::copy_async_16(tile[group], x + 4 * group, 16);
    cuda::ptx::commit_copies();
  }
  cuda::ptx::wait_copies<1>();
  for (int group = 0; group < 3; ++group) out[group] = tile[group][0];
}
__global__ void crooked_copy(const float* x, int shared_off, int global_off) {
  GS_SHARED(tile, float[8]);
  cuda::ptx::copy_async_16(tile + shared_off, x + global_off, 16);
  cuda::ptx::wait_copies<0>();
}

TEST(EmulatorAsync, GroupsOfCopies) {
  const Array<float> x(counting<float>(12)), out(3);
  launch({1, 1}, three_groups, x.data(), out.data());
  const std::vector<float> v = out.get();
  EXPECT_EQ(v[0], 0);
  EXPECT_EQ(v[1], 4);
  EXPECT_TRUE(isnan(v[2]));
  launch({1, 1}, crooked_copy, x.data(), 4, 8);
  expect_part(error_of([&] { launch({1, 1}, crooked_copy, x.data(), 1, 0); }), "not aligned");
  expect_part(error_of([&] { launch({1, 1}, crooked_copy, x.data(), 0, 2); }), "not aligned");
}

// ---------------------------------------------------------------- mbarriers

enum class Fault { None, NoWaitForFull, NoWaitForEmpty, WrongParity };

// A warp fills a ring of two places, another empties it: each place has a barrier that says it is
// full and one that says it is empty, and a round of the ring is a phase of both.
template <Fault fault>
__global__ void ring(const float* x, float* y, int tiles) {
  GS_SHARED(places, float[2][32]);
  GS_SHARED(full, uint64_t[2]);
  GS_SHARED(empty, uint64_t[2]);
  using namespace cuda_host;
  if (threadIdx.x < 2) {
    mbarrier_init(&full[threadIdx.x], 32);
    mbarrier_init(&empty[threadIdx.x], 32);
  }
  __syncthreads();
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int tile = 0; tile < tiles; ++tile) {
    const int place = tile % 2;
    const unsigned parity = static_cast<unsigned>(tile / 2 % 2);
    if (threadIdx.x < 32) {
      if (fault != Fault::NoWaitForEmpty) mbarrier_wait(&empty[place], parity ^ 1, "ring", 1);
      places[place][lane] = x[32 * tile + lane];
      mbarrier_arrive(&full[place], 1, 0, "arrive", 9);
    } else {
      const unsigned ask = fault == Fault::WrongParity ? parity ^ 1 : parity;
      if (fault != Fault::NoWaitForFull) mbarrier_wait(&full[place], ask, "ring", 2);
      y[32 * tile + lane] = places[place][31 - lane];
      mbarrier_arrive(&empty[place], 1, 0, "arrive", 9);
    }
  }
}

template <Fault fault>
int wrong_rings() {
  int wrong = 0;
  in_every_order([&] {
    const Array<float> x(counting<float>(32 * 7)), y(32 * 7);
    const std::string error =
        error_of([&] { launch({1, 64}, ring<fault>, x.data(), y.data(), 7); });
    const std::vector<float> v = y.get();
    bool right = error.empty();
    for (int i = 0; i < 32 * 7; ++i) right &= v[i] == static_cast<float>(i / 32 * 32 + 31 - i % 32);
    wrong += !right;
  });
  return wrong;
}

TEST(EmulatorAsync, MbarriersOfARing) {
  EXPECT_EQ(wrong_rings<Fault::None>(), 0);
  EXPECT_GE(wrong_rings<Fault::NoWaitForFull>(), 1);
  EXPECT_GE(wrong_rings<Fault::NoWaitForEmpty>(), 1);
  EXPECT_GE(wrong_rings<Fault::WrongParity>(), 1);
}

// Thread 0 asks for bytes that come some time later; the others wait for them.
__global__ void bytes_come(float* y, unsigned told, unsigned coming) {
  GS_SHARED(box, float[8]);
  GS_SHARED(barrier, uint64_t);
  using namespace cuda_host;
  if (threadIdx.x == 0) {
    mbarrier_init(&barrier, 1);
    mbarrier_arrive(&barrier, 1, told, "arrive", 9);
    float* const to = box;
    run_some_time([to, done = bytes_coming(&barrier, coming)] {
      for (int i = 0; i < 8; ++i) to[i] = static_cast<float>(i);
      done();
    });
  }
  __syncthreads();
  mbarrier_wait(&barrier, 0, "bytes", 3);
  y[threadIdx.x] = box[threadIdx.x];
}

TEST(EmulatorAsync, MbarriersWaitForBytes) {
  in_every_order([] {
    const Array<float> y(8);
    launch({1, 8}, bytes_come, y.data(), 32u, 32u);
    EXPECT_EQ(y.get(), counting<float>(8));
    // Fewer than were announced: nobody ever wakes.
    const std::string dead = error_of([&] { launch({1, 8}, bytes_come, y.data(), 64u, 32u); });
    expect_part(dead, "deadlock");
    expect_part(dead, "mbarrier wait at bytes:3");
  });
}

__global__ void no_init(int what) {
  GS_SHARED(barrier, uint64_t);
  if (what == 0) cuda_host::mbarrier_wait(&barrier, 0, "early", 1);
  if (what == 1) cuda_host::mbarrier_arrive(&barrier, 1, 0, "arrive", 9);
  if (what == 2) {
    cuda_host::mbarrier_init(&barrier, 2);
    cuda_host::mbarrier_arrive(&barrier, 3, 0, "arrive", 9);
  }
}

TEST(EmulatorAsync, FaultsOfMbarriers) {
  expect_part(error_of([] { launch({1, 1}, no_init, 0); }), "before its init");
  expect_part(error_of([] { launch({1, 1}, no_init, 1); }), "before its init");
  expect_part(error_of([] { launch({1, 1}, no_init, 2); }), "more arrivals");
}

// ---------------------------------------------------------------- streams

class Stream {
 public:
  Stream() { cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_;
};

__global__ void add_to(int* x, int n) { x[threadIdx.x] += n; }
__global__ void copy_to(const int* x, int* y) { y[threadIdx.x] = x[threadIdx.x]; }

// What reaches y in `second` of a sum made in `first`.
int across_streams(bool with_event) {
  const WithOptions restore;
  cuda_host::options().lazy = true;
  const Stream first, second;
  const Array<int> x(4, 1), y(4, 0);
  launch({1, 4, 0, first}, add_to, x.data(), 2);
  cudaEvent_t event;
  cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
  cudaEventRecord(event, first);
  EXPECT_EQ(cudaEventQuery(event), cudaErrorNotReady);
  if (with_event) cudaStreamWaitEvent(second, event);
  launch({1, 4, 0, second}, copy_to, x.data(), y.data());
  EXPECT_EQ(cudaStreamQuery(second), cudaErrorNotReady);
  cudaStreamSynchronize(second);
  EXPECT_EQ(cudaStreamQuery(second), cudaSuccess);
  int result = 0;
  cudaMemcpyAsync(&result, y.data(), sizeof result, cudaMemcpyDeviceToHost, second);
  EXPECT_EQ(result, 0);  // not there before somebody waits
  cudaStreamSynchronize(second);
  cudaStreamSynchronize(first);
  EXPECT_EQ(cudaEventQuery(event), cudaSuccess);
  cudaEventDestroy(event);
  EXPECT_EQ(x.get()[3], 3);
  return result;
}

TEST(EmulatorAsync, AForgottenEventGivesAWrongResult) {
  EXPECT_EQ(across_streams(true), 3);
  EXPECT_EQ(across_streams(false), 1);
}

TEST(EmulatorAsync, AnEventCoversWhatWasPutBeforeIt) {
  const WithOptions restore;
  cuda_host::options().lazy = true;
  const Stream stream;
  const Array<int> x(4, 0);
  cudaEvent_t event;
  cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
  launch({1, 4, 0, stream}, add_to, x.data(), 1);
  cudaEventRecord(event, stream);
  launch({1, 4, 0, stream}, add_to, x.data(), 10);
  cudaEventSynchronize(event);
  EXPECT_EQ(cudaEventQuery(event), cudaSuccess);
  EXPECT_EQ(cudaStreamQuery(stream), cudaErrorNotReady);
  cudaEventDestroy(event);
  cudaDeviceSynchronize();
  EXPECT_EQ(x.get()[0], 11);
}

// ---------------------------------------------------------------- graphs

TEST(EmulatorAsync, AGraphIsRecordedAndReplayed) {
  for (const bool lazy : {false, true}) {
    const WithOptions restore;
    cuda_host::options().lazy = lazy;
    const Stream stream;
    const Array<int> x(4, 0), y(4, 0);
    ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
    launch({1, 4, 0, stream}, add_to, x.data(), 5);
    launch({1, 4, 0, stream}, copy_to, x.data(), y.data());
    cudaStreamCaptureStatus status;
    cudaStreamIsCapturing(stream, &status);
    EXPECT_EQ(status, cudaStreamCaptureStatusActive);
    cudaGraph_t graph;
    ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
    cudaStreamIsCapturing(stream, &status);
    EXPECT_EQ(status, cudaStreamCaptureStatusNone);
    EXPECT_EQ(y.get()[0], 0);  // recorded, not done
    cudaGraphExec_t executable;
    ASSERT_EQ(cudaGraphInstantiate(&executable, graph), cudaSuccess);
    cudaGraphDestroy(graph);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(cudaGraphLaunch(executable, stream), cudaSuccess);
    cudaStreamSynchronize(stream);
    EXPECT_EQ(y.get(), std::vector<int>(4, 15));
    EXPECT_EQ(cudaGraphExecDestroy(executable), cudaSuccess);
  }
}

TEST(EmulatorAsync, WhatACaptureRefuses) {
  const Stream stream;
  const Array<int> x(4, 0);
  void* p = nullptr;
  int here[4];
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&p, 16), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(cudaMemcpy(here, x.data(), 16, cudaMemcpyDeviceToHost),
            cudaErrorStreamCaptureUnsupported);
  launch({1, 4, 0, stream}, add_to, x.data(), 5);
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorStreamCaptureUnsupported);
  cudaStreamCaptureStatus status;
  cudaStreamIsCapturing(stream, &status);
  EXPECT_EQ(status, cudaStreamCaptureStatusInvalidated);
  cudaGraph_t graph;
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(graph, nullptr);
  EXPECT_EQ(cudaMalloc(&p, 16), cudaSuccess);  // everything is usable again
  cudaFree(p);
  EXPECT_EQ(x.get()[0], 0);
  cudaGetLastError();
}

}  // namespace
}  // namespace gs

#endif
