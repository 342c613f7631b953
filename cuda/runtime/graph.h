// Graphs: the work of a stream recorded once, run again with one call. What a kernel is given by
// value is fixed then, so the numbers that change from replay to replay (learning rates, step
// counts, the position in the stream of random numbers) lie in a block of device memory of the
// graph, which a replay fills by one copy before it starts the work.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/device_runtime.h"
#include "portable.cuh"
#include "runtime/faults.h"

namespace gs::cuda {

// Where a recorded draw is moved to: it has the replay's seed, and an offset so much further on.
struct RandomShift {
  uint64_t seed, shift;
};

// Numbers that change: written to `host` while recording and while patching, read by the recorded
// kernels from `device`.
struct Scalars {
  void* host;
  const void* device;
};

class Graph {
 public:
  Graph() = default;
  ~Graph() { reset(); }
  Graph(const Graph&) = delete;

  void begin(uint64_t pool);  // records the calling thread's current stream; 0: a pool of its own
  void end(bool keep);        // not kept: as if nothing had been recorded
  void begin_replay();
  void end_replay(bool run);
  void reset();  // waits for the last replay and gives the memory back
  uint64_t pool() const { return pool_; }

  // For kernels. Patching gives the same scalars in the same order.
  Scalars scalars(size_t bytes);
  const RandomShift* random_shift(uint64_t seed, uint64_t offset);
  // What a kernel notes an index with, and where.
  unsigned long long fault_site(const IndexGuard& guard, Fault** fault);

  void report_fault();  // IndexError when a replay that is through has met one

 private:
  static constexpr size_t kChunk = 64 << 10;
  static constexpr int kSlots = 4;  // replays that may be under way before the host waits

  struct Chunk {
    std::unique_ptr<char[]> host;
    char* device;
    size_t size, used;
  };
  struct Slot {  // a replay's copy of the scalars, until the device has read it
    char* memory = nullptr;
    cudaEvent_t done = nullptr;
  };
  struct Site {
    std::string op, what;
    int64_t size;
  };

  void prepare_replays();
  Scalars more_scalars(size_t bytes);
  void copy_scalars(Slot& slot, cudaStream_t stream);
  void clear_faults();
  cudaEvent_t last_done() const { return slots_[(replays_ - 1) % kSlots].done; }

  cudaGraphExec_t executable_ = nullptr;
  cudaStream_t captured_in_ = nullptr;
  uint64_t pool_ = 0;

  std::vector<Chunk> chunks_;
  std::vector<std::pair<Scalars, size_t>> cells_;  // as asked for by scalars()
  size_t patched_ = 0;                             // cells of this replay that are written
  Slot slots_[kSlots];
  uint64_t replays_ = 0;

  uint64_t seed_ = 0, offset_ = 0, draws_ = 0;  // of the default generator when recording began
  Scalars random_{};                            // a RandomShift; null: nothing is drawn

  std::vector<Site> sites_;
  Fault* fault_ = nullptr;       // on the device
  Fault* fault_here_ = nullptr;  // its copy after each replay
};

// The graph that the calling thread records or patches; null otherwise.
Graph* current_graph();

// RuntimeError while the calling thread records: `op` needs what only a run gives. `instead` says
// what to do.
void refuse_recording(const char* op, const char* instead);

void guard_indices(const IndexGuard& guard);  // in guard.cu

// Raises what kernels and replays that are through have met.
void report_faults();

}  // namespace gs::cuda
