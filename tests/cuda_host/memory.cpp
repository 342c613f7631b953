// Device memory is host memory of exactly the size asked for, filled with 0xFF, which
// AddressSanitizer watches. The map of what was allocated says which pointers a kernel may be
// given.
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "runtime_api.h"

namespace cuda_host {

bool refused_by_capture();  // in streams.cpp

namespace {

constexpr size_t kDeviceBytes = size_t(4) << 30;

struct Memory {
  std::mutex lock;
  std::map<const char*, size_t> blocks;
  std::map<const char*, size_t> pinned;  // of the host, and the device may use it
  size_t in_use = 0;
};
Memory& memory() {
  static Memory* only = new Memory;
  return *only;
}

thread_local cudaError_t remembered = cudaSuccess;

// `bytes` from p on lie in one block.
bool lies_in(const std::map<const char*, size_t>& blocks, const void* p, size_t bytes) {
  const char* at = static_cast<const char*>(p);
  auto block = blocks.upper_bound(at);
  if (block == blocks.begin()) return false;
  --block;
  return at + bytes <= block->first + block->second;
}

bool is_on_device(const void* p, size_t bytes) {
  Memory& m = memory();
  const std::lock_guard<std::mutex> hold(m.lock);
  return lies_in(m.blocks, p, bytes);
}

}  // namespace

bool is_device_memory(const void* p) { return is_on_device(p, 0); }  // also an empty view's end

namespace {

bool is_pinned(const void* p) {
  Memory& m = memory();
  const std::lock_guard<std::mutex> hold(m.lock);
  return lies_in(m.pinned, p, 0);
}

bool is_mapped(uintptr_t address) {
  unsigned char resident;
  return mincore(reinterpret_cast<void*>(address & ~uintptr_t(4095)), 1, &resident) == 0;
}

}  // namespace

void refuse_host_addresses(const void* argument, size_t bytes) {
  // Programs, heaps and stacks lie here. Below it sanitizers map their shadows, which pairs of
  // small numbers would hit.
  constexpr uintptr_t kLowest = uintptr_t(5) << 44, kHighest = uintptr_t(1) << 47;
  const char* at = static_cast<const char*>(argument);
  for (size_t i = 0; i + sizeof(uintptr_t) <= bytes; i += sizeof(uintptr_t)) {
    uintptr_t word;
    std::memcpy(&word, at + i, sizeof word);
    if (word < kLowest || word >= kHighest || !is_mapped(word)) continue;
    const void* const address = reinterpret_cast<const void*>(word);
    if (!is_device_memory(address) && !is_pinned(address))
      fail("a kernel is given an address of host memory (%#zx, byte %zu of an argument of %zu)",
           static_cast<size_t>(word), i, bytes);
  }
}

cudaError_t last_error(cudaError_t error) {
  if (error != cudaSuccess) remembered = error;
  return error;
}

}  // namespace cuda_host

using namespace cuda_host;

cudaError_t cudaMalloc(void** p, size_t bytes) {
  if (refused_by_capture()) return last_error(cudaErrorStreamCaptureUnsupported);
  Memory& m = memory();
  const std::lock_guard<std::mutex> hold(m.lock);
  if (bytes > kDeviceBytes - m.in_use || posix_memalign(p, 256, bytes ? bytes : 1))
    return last_error(cudaErrorMemoryAllocation);
  std::memset(*p, 0xff, bytes);
  m.blocks[static_cast<char*>(*p)] = bytes;
  m.in_use += bytes;
  return cudaSuccess;
}

cudaError_t cudaFree(void* p) {
  if (!p) return cudaSuccess;
  if (cudaDeviceSynchronize() != cudaSuccess) return cudaErrorStreamCaptureUnsupported;
  Memory& m = memory();
  const std::lock_guard<std::mutex> hold(m.lock);
  const auto block = m.blocks.find(static_cast<char*>(p));
  if (block == m.blocks.end()) return last_error(cudaErrorInvalidValue);
  m.in_use -= block->second;
  m.blocks.erase(block);
  std::free(p);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* available, size_t* total) {
  Memory& m = memory();
  const std::lock_guard<std::mutex> hold(m.lock);
  *total = kDeviceBytes;
  *available = kDeviceBytes - m.in_use;
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** p, size_t bytes) {
  if (refused_by_capture()) return last_error(cudaErrorStreamCaptureUnsupported);
  *p = std::malloc(bytes ? bytes : 1);
  if (!*p) return last_error(cudaErrorMemoryAllocation);
  Memory& m = memory();
  const std::lock_guard<std::mutex> hold(m.lock);
  m.pinned[static_cast<char*>(*p)] = bytes;
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* p) {
  Memory& m = memory();
  const std::lock_guard<std::mutex> hold(m.lock);
  m.pinned.erase(static_cast<char*>(p));
  std::free(p);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (bytes && kind != cudaMemcpyDefault &&
      (is_on_device(to, bytes) != to_device || is_on_device(from, bytes) != from_device))
    return last_error(cudaErrorInvalidValue);
  enqueue(stream, [=] { std::memcpy(to, from, bytes); });
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  if (refused_by_capture()) return last_error(cudaErrorStreamCaptureUnsupported);
  const cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind, nullptr);
  if (error == cudaSuccess) cudaStreamSynchronize(nullptr);
  return error;
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  if (bytes && !is_on_device(to, bytes)) return last_error(cudaErrorInvalidValue);
  enqueue(stream, [=] { std::memset(to, value, bytes); });
  return cudaSuccess;
}

cudaError_t cudaGetLastError() {
  const cudaError_t error = remembered;
  remembered = cudaSuccess;
  return error;
}

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorNotReady:
      return "cudaErrorNotReady";
    case cudaErrorStreamCaptureUnsupported:
      return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated:
      return "cudaErrorStreamCaptureInvalidated";
    default:
      return "cudaError";
  }
}
const char* cudaGetErrorString(cudaError_t error) { return cudaGetErrorName(error); }
