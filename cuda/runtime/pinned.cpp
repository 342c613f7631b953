#include "runtime/pinned.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <vector>

#include "core/error.h"
#include "runtime/allocator.h"
#include "runtime/stream.h"

namespace gs::cuda {
namespace {

struct Use {  // the last copy that was put into a stream
  cudaStream_t stream;
  cudaEvent_t event;
};
struct Block {
  char* data;
  int64_t bytes;
  std::vector<Use> uses;
};

bool is_through(cudaEvent_t event) {
  if (cudaEventQuery(event) != cudaErrorNotReady) return true;
  cudaGetLastError();  // an answer, not an error that somebody should find
  return false;
}

class Pool {
 public:
  void* allocate(int64_t bytes);
  void deallocate(void* data);
  bool record(const void* address, cudaStream_t stream);
  bool holds(const void* address) {
    const std::lock_guard<std::mutex> hold(lock_);
    return find(address) != nullptr;
  }
  void empty();

 private:
  Block* find(const void* address);
  Block* reuse(int64_t bytes);

  std::mutex lock_;
  std::map<const char*, Block*> used_;
  std::multimap<int64_t, Block*> free_;  // by size; copies may still go on
};

Pool& pool() {
  static Pool* only = new Pool;  // never destroyed: tensors may outlive static objects
  return *only;
}

Block* Pool::find(const void* address) {
  const char* at = static_cast<const char*>(address);
  auto after = used_.upper_bound(at);
  if (after == used_.begin()) return nullptr;
  Block* block = std::prev(after)->second;
  return at < block->data + block->bytes ? block : nullptr;
}

Block* Pool::reuse(int64_t bytes) {
  for (auto at = free_.lower_bound(bytes); at != free_.end() && at->first <= bytes + bytes / 4;
       ++at) {
    Block* block = at->second;
    std::erase_if(block->uses, [](const Use& use) {
      if (!is_through(use.event)) return false;
      cudaEventDestroy(use.event);
      return true;
    });
    if (!block->uses.empty()) continue;
    free_.erase(at);
    return block;
  }
  return nullptr;
}

void* Pool::allocate(int64_t bytes) {
  const std::lock_guard<std::mutex> hold(lock_);
  const int64_t rounded = rounded_bytes(bytes);
  Block* block = reuse(rounded);
  if (!block) {
    void* data = nullptr;
    const RelaxedCapture allowed;
    const cudaError_t error = cudaMallocHost(&data, static_cast<size_t>(rounded));
    if (error != cudaSuccess) cudaGetLastError();
    GS_CHECK(error == cudaSuccess, Memory, "pin_memory", "could not get ", bytes,
             " bytes of pinned memory: ", cudaGetErrorString(error), ".");
    block = new Block{static_cast<char*>(data), rounded, {}};
  }
  used_[block->data] = block;
  return block->data;
}

void Pool::deallocate(void* data) {
  const std::lock_guard<std::mutex> hold(lock_);
  const auto found = used_.find(static_cast<char*>(data));
  Block* block = found->second;
  used_.erase(found);
  free_.emplace(block->bytes, block);
}

bool Pool::record(const void* address, cudaStream_t stream) {
  const std::lock_guard<std::mutex> hold(lock_);
  Block* block = find(address);
  if (!block) return false;
  auto use = std::find_if(block->uses.begin(), block->uses.end(),
                          [&](const Use& u) { return u.stream == stream; });
  if (use == block->uses.end()) {
    cudaEvent_t event;
    check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "pin_memory");
    use = block->uses.insert(use, {stream, event});
  }
  check(cudaEventRecord(use->event, stream), "pin_memory");
  return true;
}

void Pool::empty() {
  const std::lock_guard<std::mutex> hold(lock_);
  for (auto& [bytes, block] : free_) {
    for (const Use& use : block->uses) {
      cudaEventSynchronize(use.event);
      cudaEventDestroy(use.event);
    }
    cudaFreeHost(block->data);
    delete block;
  }
  free_.clear();
}

}  // namespace

void* allocate_pinned(int64_t bytes) { return pool().allocate(bytes); }
void deallocate_pinned(void* data) { pool().deallocate(data); }
bool record_pinned(const void* address, cudaStream_t stream) {
  return pool().record(address, stream);
}
bool is_pinned(const void* address) { return pool().holds(address); }
void empty_pinned() { pool().empty(); }

}  // namespace gs::cuda
