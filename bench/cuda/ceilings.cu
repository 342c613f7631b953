// What the card reaches at all, as JSON: bytes copied and read, launches, nodes of a graph.
//     gradstone_ceilings [MEGABYTES]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <vector>

#include "portable.cuh"

namespace gs::cuda {
namespace {

constexpr int kThreads = 512, kRounds = 9, kLaunches = 1000, kNodes = 200;

__global__ void copy_kernel(float4* to, const float4* from, size_t count) {
  const size_t step = static_cast<size_t>(gridDim.x) * blockDim.x;
  size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  for (; i + 3 * step < count; i += 4 * step) {
    float4 kept[4];
    GS_UNROLL
    for (int k = 0; k < 4; ++k) kept[k] = from[i + static_cast<size_t>(k) * step];
    GS_UNROLL
    for (int k = 0; k < 4; ++k) to[i + static_cast<size_t>(k) * step] = kept[k];
  }
  for (; i < count; i += step) to[i] = from[i];
}

// A word a thread, so that nothing that was read can be left out.
__global__ void read_kernel(float* sums, const float4* from, size_t count) {
  const size_t step = static_cast<size_t>(gridDim.x) * blockDim.x;
  const size_t first = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  float sum[4] = {0, 0, 0, 0};
  size_t i = first;
  for (; i + 3 * step < count; i += 4 * step) {
    GS_UNROLL
    for (int k = 0; k < 4; ++k) {
      const float4 x = from[i + static_cast<size_t>(k) * step];
      sum[k] += (x.x + x.y) + (x.z + x.w);
    }
  }
  for (; i < count; i += step) sum[0] += from[i].x;
  sums[first] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

__global__ void empty_kernel(int* nothing) {
  if (nothing && threadIdx.x == 1000) *nothing = 1;
}

class Timer {
 public:
  Timer() {
    check(cudaEventCreateWithFlags(&begin_, cudaEventDefault), "event");
    check(cudaEventCreateWithFlags(&end_, cudaEventDefault), "event");
  }
  // Seconds, the median of some rounds.
  double median(cudaStream_t stream, const std::function<void()>& work) {
    std::vector<double> seconds;
    work();  // the first time, everything is loaded
    for (int round = 0; round < kRounds; ++round) {
      check(cudaEventRecord(begin_, stream), "event");
      work();
      check(cudaEventRecord(end_, stream), "event");
      check(cudaEventSynchronize(end_), "event");
      float milliseconds = 0;
      check(cudaEventElapsedTime(&milliseconds, begin_, end_), "event");
      seconds.push_back(milliseconds / 1e3);
    }
    std::sort(seconds.begin(), seconds.end());
    return std::max(seconds[kRounds / 2], 1e-9);
  }

 private:
  cudaEvent_t begin_, end_;
};

template <class T>
T* device_memory(size_t bytes) {
  void* p = nullptr;
  check(cudaMalloc(&p, bytes), "memory");
  check(cudaMemsetAsync(p, 0x3c, bytes), "memory");
  return static_cast<T*>(p);
}

int run(size_t megabytes) {
  cudaDeviceProp device;
  check(cudaGetDeviceProperties(&device, 0), "device");
  const size_t bytes = megabytes << 20, count = bytes / 16;
  const unsigned blocks = static_cast<unsigned>(device.multiProcessorCount) * 4;
  float4 *from = device_memory<float4>(bytes), *to = device_memory<float4>(bytes);
  float* sums = device_memory<float>(size_t(blocks) * kThreads * 4);
  cudaStream_t stream;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream");
  Timer timer;
  const dim3 grid(blocks), block(kThreads);
  const double copied =
      timer.median(stream, [&] { launch({grid, block, 0, stream}, copy_kernel, to, from, count); });
  const double moved = timer.median(stream, [&] {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream), "copy");
  });
  const double read = timer.median(
      stream, [&] { launch({grid, block, 0, stream}, read_kernel, sums, from, count); });
  const auto launches = [&](int n) {
    for (int i = 0; i < n; ++i) launch({dim3(1), dim3(32), 0, stream}, empty_kernel, nullptr);
  };
  const double launched = timer.median(stream, [&] { launches(kLaunches); });
  check(cudaStreamSynchronize(stream), "stream");
  const auto begin = std::chrono::steady_clock::now();
  launches(kLaunches / 4);  // fewer than the queue holds: what the caller waits for
  const std::chrono::duration<double> host = std::chrono::steady_clock::now() - begin;
  cudaGraph_t graph;
  cudaGraphExec_t recorded;
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "graph");
  launches(kNodes);
  check(cudaStreamEndCapture(stream, &graph), "graph");
  check(cudaGraphInstantiate(&recorded, graph, 0), "graph");
  const double replayed =
      timer.median(stream, [&] { check(cudaGraphLaunch(recorded, stream), "graph"); });
  std::printf(
      "{\"device\": \"%s\", \"processors\": %d, \"l2_bytes\": %d, \"copy_gbytes\": %.1f, "
      "\"memcpy_gbytes\": %.1f, \"read_gbytes\": %.1f, \"launch_us\": %.3f, "
      "\"launch_host_us\": %.3f, \"graph_node_us\": %.3f}\n",
      device.name, device.multiProcessorCount, device.l2CacheSize, 2e-9 * double(bytes) / copied,
      2e-9 * double(bytes) / moved, 1e-9 * double(bytes) / read, 1e6 * launched / kLaunches,
      4e6 * host.count() / kLaunches, 1e6 * replayed / kNodes);
  return 0;
}

}  // namespace
}  // namespace gs::cuda

int main(int count, char** words) {
  try {
    return gs::cuda::run(count > 1 ? static_cast<size_t>(std::atoll(words[1])) : 2048);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
