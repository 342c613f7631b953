#include "runtime/allocator.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "core/error.h"
#include "runtime/graph.h"
#include "runtime/pinned.h"
#include "runtime/stream.h"

namespace gs::cuda {
namespace {

constexpr int64_t kStep = 512, kLarge = 1 << 20;
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kCaching = false;  // a reused block would hide what the sanitizer looks for
#else
// GRADSTONE_CUDA_CACHE=0: for compute-sanitizer, which is then told where each block ends.
const char* const cache_said = std::getenv("GRADSTONE_CUDA_CACHE");
const bool kCaching = !cache_said || *cache_said != '0';
#endif
constexpr int kDevices = 128;

struct PrivatePool;
struct Block {
  void* data;
  int64_t bytes;
  cudaStream_t stream;
  std::vector<cudaStream_t> other_streams = {};  // that use it too
  int draining = 0;                              // of them, those that are not through
  PrivatePool* owner = nullptr;                  // null: it belongs to everybody
};
using Free = std::multimap<int64_t, Block*>;  // by size

// The blocks of captured graphs. All of them count as in use, because a replay uses them.
struct PrivatePool {
  int holders = 0;  // graphs
  bool open = false;
  Free free = {};
  std::vector<Block*> blocks = {};  // free or not
};
thread_local PrivatePool* pool_of_thread = nullptr;  // while it records
struct Draining {  // freed, but another stream has still to pass the event
  Block* block;
  cudaEvent_t event;
};

class Pool {
 public:
  void* allocate(int64_t bytes, int device);
  void deallocate(void* data);
  void record_stream(void* data, cudaStream_t stream);
  void empty();
  void open(uint64_t id);
  void close();
  void release(uint64_t id);
  void* allocate_apart(int64_t bytes);
  MemoryStats stats() {
    const std::lock_guard<std::mutex> hold(lock_);
    MemoryStats now = stats_;
    now.cached = reserved_ - stats_.in_use;
    return now;
  }
  void reset_peak() {
    const std::lock_guard<std::mutex> hold(lock_);
    stats_.peak = stats_.in_use;
  }
  void set_limit(int64_t bytes) {
    const std::lock_guard<std::mutex> hold(lock_);
    limit_ = bytes;
  }

 private:
  Block* reuse(Free& free, int64_t bytes);
  Block* from_device(int64_t bytes, cudaStream_t stream);
  Block* any_block(int64_t bytes, int device, cudaStream_t stream);
  Block* private_block(int64_t bytes, int device, cudaStream_t stream);
  void own(PrivatePool& pool, Block* block);
  void put_back(Block* block);
  void collect();
  void release_cached();
  [[noreturn]] void out_of_memory(int64_t bytes, int device) const;

  std::mutex lock_;
  std::map<cudaStream_t, Free> free_;
  std::unordered_map<void*, Block*> used_;
  std::vector<Draining> draining_;
  std::unordered_map<uint64_t, PrivatePool> private_;
  MemoryStats stats_{};
  int64_t reserved_ = 0;  // bytes held from the device, in use or kept
  int64_t limit_ = 0;
};

Pool& pool(int device) {
  static Pool* pools = new Pool[kDevices];  // never destroyed: tensors may outlive static objects
  return pools[device];
}

Block* Pool::reuse(Free& free, int64_t bytes) {
  const auto found = free.lower_bound(bytes);
  if (found == free.end() || found->first > bytes + bytes / 4) return nullptr;
  Block* block = found->second;
  free.erase(found);
  return block;
}

Block* Pool::from_device(int64_t bytes, cudaStream_t stream) {
  if (limit_ && reserved_ + bytes > limit_) return nullptr;
  void* data = nullptr;
  const RelaxedCapture allowed;
  if (cudaMalloc(&data, static_cast<size_t>(bytes)) != cudaSuccess) {
    cudaGetLastError();
    return nullptr;
  }
  reserved_ += bytes;
  return new Block{data, bytes, stream};
}

// Blocks whose other streams are through become free.
void Pool::collect() {
  std::erase_if(draining_, [&](const Draining& d) {
    if (cudaEventQuery(d.event) == cudaErrorNotReady) return false;
    cudaEventDestroy(d.event);
    if (--d.block->draining == 0) free_[d.block->stream].emplace(d.block->bytes, d.block);
    return true;
  });
}

void Pool::release_cached() {
  for (auto& [stream, free] : free_) {
    for (auto& [bytes, block] : free) {
      cudaFree(block->data);  // waits for the device, so nobody uses it any more
      reserved_ -= bytes;
      delete block;
    }
    free.clear();
  }
}

void Pool::out_of_memory(int64_t bytes, int device) const {
  size_t available = 0, total = 0;
  cudaMemGetInfo(&available, &total);
  const auto mb = [](double b) { return b / (1 << 20); };
  raise(ErrorKind::Memory, "allocate", "could not get ", mb(static_cast<double>(bytes)),
        " MB on cuda:", device, ": ", mb(static_cast<double>(stats_.in_use)), " MB are in use, ",
        mb(static_cast<double>(reserved_ - stats_.in_use)), " MB are kept for reuse, ",
        mb(static_cast<double>(available)), " of ", mb(static_cast<double>(total)),
        " MB of the device are free", limit_ ? ", and the limit is " : "",
        limit_ ? std::to_string(limit_ >> 20) + " MB." : std::string("."));
}

Block* Pool::any_block(int64_t bytes, int device, cudaStream_t stream) {
  const int64_t rounded = rounded_bytes(bytes);
  if (!draining_.empty()) collect();
  Block* block = reuse(free_[stream], rounded);
  if (!block) block = from_device(rounded, stream);
  if (!block) {  // what is kept for other sizes and streams goes back first
    release_cached();
    block = from_device(rounded, stream);
  }
  if (!block) out_of_memory(bytes, device);
  stats_.in_use += block->bytes;
  return block;
}

Block* Pool::private_block(int64_t bytes, int device, cudaStream_t stream) {
  const int64_t rounded = rounded_bytes(bytes);
  Block* block = reuse(pool_of_thread->free, rounded);
  if (block) return block;
  block = from_device(rounded, stream);
  if (!block) out_of_memory(bytes, device);  // giving memory back would wait for the device
  stats_.in_use += block->bytes;
  own(*pool_of_thread, block);
  return block;
}

void Pool::own(PrivatePool& pool, Block* block) {
  block->owner = &pool;
  pool.blocks.push_back(block);
  stats_.graphs += block->bytes;
}

void* Pool::allocate(int64_t bytes, int device) {
  const std::lock_guard<std::mutex> hold(lock_);
  const cudaStream_t stream = current_stream();
  Block* block =
      pool_of_thread ? private_block(bytes, device, stream) : any_block(bytes, device, stream);
#if defined(GRADSTONE_CUDA_EMU)
  cudaMemsetAsync(block->data, 0xff, static_cast<size_t>(block->bytes),
                  stream);  // as fresh memory is
#endif
  used_[block->data] = block;
  stats_.peak = std::max(stats_.peak, stats_.in_use);
  ++stats_.allocations;
  return block->data;
}

void* Pool::allocate_apart(int64_t bytes) {
  const std::lock_guard<std::mutex> hold(lock_);
  Block* block = from_device(rounded_bytes(bytes), nullptr);
  if (!block) out_of_memory(bytes, 0);
  stats_.in_use += block->bytes;
  stats_.peak = std::max(stats_.peak, stats_.in_use);
  used_[block->data] = block;
  return block->data;
}

void Pool::deallocate(void* data) {
  const std::lock_guard<std::mutex> hold(lock_);
  const auto found = used_.find(data);
  Block* block = found->second;
  used_.erase(found);
  // What was recorded before may use it.
  if (pool_of_thread && !block->owner && block->other_streams.empty()) own(*pool_of_thread, block);
  if (block->owner) {
    block->owner->free.emplace(block->bytes, block);
    return;
  }
  stats_.in_use -= block->bytes;
  put_back(block);
}

// For everybody, when the other streams that use it are through.
void Pool::put_back(Block* block) {
  if (block->other_streams.empty()) {
    free_[block->stream].emplace(block->bytes, block);
    if (!kCaching && !pool_of_thread) release_cached();
    return;
  }
  for (cudaStream_t stream : block->other_streams) {
    cudaEvent_t event;
    check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "deallocate");
    check(cudaEventRecord(event, stream), "deallocate");
    draining_.push_back({block, event});
    ++block->draining;
  }
  block->other_streams.clear();
}

void Pool::record_stream(void* data, cudaStream_t stream) {
  const std::lock_guard<std::mutex> hold(lock_);
  Block& block = *used_.at(data);
  auto& others = block.other_streams;
  if (stream != block.stream && std::find(others.begin(), others.end(), stream) == others.end())
    others.push_back(stream);
}

void Pool::empty() {
  const std::lock_guard<std::mutex> hold(lock_);
  collect();
  release_cached();
}

void Pool::open(uint64_t id) {
  const std::lock_guard<std::mutex> hold(lock_);
  PrivatePool& pool = private_[id];
  GS_CHECK(!pool.open, Runtime, "capture_begin", "another thread captures into this pool.");
  ++pool.holders;
  pool.open = true;
  pool_of_thread = &pool;
}

void Pool::close() {
  const std::lock_guard<std::mutex> hold(lock_);
  pool_of_thread->open = false;
  pool_of_thread = nullptr;
}

void Pool::release(uint64_t id) {
  const std::lock_guard<std::mutex> hold(lock_);
  PrivatePool& pool = private_.at(id);
  if (--pool.holders > 0) return;
  for (Block* block : pool.blocks) {
    block->owner = nullptr;
    block->stream = nullptr;  // whose work goes on meanwhile does not matter: nobody uses it
    stats_.graphs -= block->bytes;
  }
  for (auto& [bytes, block] : pool.free) {
    stats_.in_use -= bytes;
    put_back(block);
  }
  private_.erase(id);
}

}  // namespace

// Multiples of 512 bytes, above 1 MB of an eighth of the power of two below: a block is at most an
// eighth larger than what was asked for.
int64_t rounded_bytes(int64_t bytes) {
  if (!kCaching) return bytes;
  bytes = std::max<int64_t>(bytes, 1);
  int64_t step = kStep;
  if (bytes > kLarge) step = int64_t(1) << (63 - __builtin_clzll(static_cast<uint64_t>(bytes)) - 3);
  return (bytes + step - 1) / step * step;
}

void* allocate(int64_t bytes, int device) { return pool(device).allocate(bytes, device); }
void deallocate(void* data, int device) { pool(device).deallocate(data); }
void record_stream(void* data, int device, cudaStream_t stream) {
  pool(device).record_stream(data, stream);
}
MemoryStats memory_stats(int device) { return pool(device).stats(); }
void reset_peak_memory(int device) { pool(device).reset_peak(); }
void set_memory_limit(int64_t bytes, int device) { pool(device).set_limit(bytes); }
void empty_cache() {
  refuse_recording("empty_cache", "giving memory back waits for the device; do it before.");
  empty_pinned();
  for (int device = 0; device < kDevices; ++device) pool(device).empty();
}

uint64_t new_graph_pool() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}
void open_pool(uint64_t id) { pool(0).open(id); }
void close_pool() { pool(0).close(); }
void release_pool(uint64_t id) { pool(0).release(id); }
void* allocate_apart(int64_t bytes) { return pool(0).allocate_apart(bytes); }

}  // namespace gs::cuda
