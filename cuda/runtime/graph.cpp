#include "runtime/graph.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>

#include "core/error.h"
#include "core/random.h"
#include "runtime/allocator.h"
#include "runtime/pinned.h"
#include "runtime/stream.h"

namespace gs::cuda {
namespace {

thread_local Graph* graph_of_thread = nullptr;

// Graphs that note faults, so that whoever waits for the device can ask them.
struct Watched {
  std::mutex lock;
  std::vector<Graph*> graphs;
  std::atomic<int> count{0};
};
Watched& watched() {
  static Watched* only = new Watched;  // never destroyed: graphs may outlive static objects
  return *only;
}

void watch(Graph* graph) {
  const std::lock_guard<std::mutex> hold(watched().lock);
  watched().graphs.push_back(graph);
  ++watched().count;
}
void forget(Graph* graph) {
  const std::lock_guard<std::mutex> hold(watched().lock);
  watched().count -= static_cast<int>(std::erase(watched().graphs, graph));
}

}  // namespace

Graph* current_graph() { return graph_of_thread; }

void refuse_recording(const char* op, const char* instead) {
  GS_CHECK(capture() != Capture::Recording, Runtime, op,
           "cannot be part of a captured graph: ", instead);
}

void report_faults() {
  report_noted_fault();
  if (watched().count.load(std::memory_order_relaxed) == 0) return;
  const std::lock_guard<std::mutex> hold(watched().lock);
  for (Graph* graph : watched().graphs) graph->report_fault();
}

// ---------------------------------------------------------------- recording

void Graph::begin(uint64_t pool) {
  const cudaStream_t stream = current_stream();
  GS_CHECK(capture() == Capture::Off, Runtime, "capture_begin",
           "this thread is capturing a graph already.");
  GS_CHECK(!executable_, Runtime, "capture_begin",
           "this graph has been captured; reset() drops what it holds.");
  GS_CHECK(stream, Runtime, "capture_begin",
           "the default stream cannot be captured; work in a Stream of your own, as "
           "gs.cuda.graph() does.");
  synchronize();  // memory that is freed while recording may be used by the graph
  if (!pool) pool = new_graph_pool();
  open_pool(pool);
  pool_ = pool;
  const Generator& generator = default_generator();
  seed_ = generator.seed();
  offset_ = generator.offset();
  captured_in_ = stream;
  const cudaError_t error = cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
  if (error != cudaSuccess) {
    close_pool();
    reset();
    check(error, "capture_begin");
  }
  graph_of_thread = this;
  set_capture(Capture::Recording);
}

void Graph::end(bool keep) {
  GS_CHECK(graph_of_thread == this && capture() == Capture::Recording, Runtime, "capture_end",
           "this thread is not capturing this graph.");
  cudaError_t error = cudaSuccess;
  if (keep && fault_)
    error =
        cudaMemcpyAsync(fault_here_, fault_, sizeof(Fault), cudaMemcpyDeviceToHost, captured_in_);
  graph_of_thread = nullptr;
  set_capture(Capture::Off);
  close_pool();
  cudaGraph_t graph = nullptr;
  const cudaError_t ended = cudaStreamEndCapture(captured_in_, &graph);
  if (error == cudaSuccess) error = ended;
  if (keep && error == cudaSuccess) error = cudaGraphInstantiate(&executable_, graph, 0);
  if (graph) cudaGraphDestroy(graph);
  // Nothing has been drawn yet: each replay draws.
  Generator& generator = default_generator();
  const bool reseeded = generator.seed() != seed_ || generator.offset() < offset_;
  draws_ = generator.offset() - offset_;
  if (!reseeded) generator.set_offset(offset_);
  if (!keep) {
    cudaGetLastError();
    return reset();
  }
  try {
    check(error, "capture_end");
    GS_CHECK(!reseeded, Runtime, "capture_end",
             "the generator was seeded or set back while the graph was captured; do that outside.");
    prepare_replays();
  } catch (...) {
    reset();
    throw;
  }
}

void Graph::prepare_replays() {
  size_t bytes = 0;
  for (const Chunk& chunk : chunks_) bytes += chunk.used;
  for (Slot& slot : slots_) {
    check(cudaEventCreateWithFlags(&slot.done, cudaEventDisableTiming), "capture_end");
    if (bytes) slot.memory = static_cast<char*>(allocate_pinned(static_cast<int64_t>(bytes)));
  }
  if (!fault_) return;
  clear_faults();
  watch(this);
}

Scalars Graph::more_scalars(size_t bytes) {
  bytes = (bytes + 15) / 16 * 16;
  if (chunks_.empty() || chunks_.back().size - chunks_.back().used < bytes) {
    const size_t size = std::max(bytes, kChunk);
    void* const device = allocate_apart(static_cast<int64_t>(size));
    chunks_.push_back({std::make_unique<char[]>(size), static_cast<char*>(device), size, 0});
  }
  Chunk& chunk = chunks_.back();
  const Scalars found{chunk.host.get() + chunk.used, chunk.device + chunk.used};
  chunk.used += bytes;
  return found;
}

Scalars Graph::scalars(size_t bytes) {
  if (capture() == Capture::Recording) {
    cells_.emplace_back(more_scalars(bytes), bytes);
    return cells_.back().first;
  }
  GS_CHECK(patched_ < cells_.size() && cells_[patched_].second == bytes, Runtime, "replay",
           "a step of an optimizer differs from the one that was captured.");
  return cells_[patched_++].first;
}

const RandomShift* Graph::random_shift(uint64_t seed, uint64_t offset) {
  // A gradient may draw again what was drawn before the graph: that stays as it was.
  if (seed != seed_ || offset < offset_) return nullptr;
  if (!random_.host) random_ = more_scalars(sizeof(RandomShift));
  return static_cast<const RandomShift*>(random_.device);
}

unsigned long long Graph::fault_site(const IndexGuard& guard, Fault** fault) {
  if (!fault_) {
    fault_ = static_cast<Fault*>(allocate_apart(sizeof(Fault)));
    fault_here_ = static_cast<Fault*>(allocate_pinned(sizeof(Fault)));
    *fault_here_ = {};
  }
  *fault = fault_;
  sites_.push_back({guard.op, guard.what, guard.high});
  return sites_.size();
}

// ---------------------------------------------------------------- replaying

void Graph::begin_replay() {
  GS_CHECK(executable_, Runtime, "replay", "nothing has been captured.");
  GS_CHECK(capture() == Capture::Off, Runtime, "replay",
           "a graph cannot be replayed while this thread captures one.");
  report_faults();
  graph_of_thread = this;
  patched_ = 0;
  set_capture(Capture::Patching);
}

void Graph::end_replay(bool run) {
  graph_of_thread = nullptr;
  set_capture(Capture::Off);
  if (!run) return;
  GS_CHECK(patched_ == cells_.size(), Runtime, "replay",
           "a step of an optimizer that was captured is missing.");
  Generator& generator = default_generator();
  if (random_.host) {
    const RandomShift shift{generator.seed(), generator.offset() - offset_};
    std::memcpy(random_.host, &shift, sizeof shift);
  }
  const cudaStream_t stream = current_stream();
  if (replays_ > 0) check(cudaStreamWaitEvent(stream, last_done(), 0), "replay");
  Slot& slot = slots_[replays_ % kSlots];
  if (replays_ >= kSlots) check(cudaEventSynchronize(slot.done), "replay");
  copy_scalars(slot, stream);
  check(cudaGraphLaunch(executable_, stream), "replay");
  check(cudaEventRecord(slot.done, stream), "replay");
  ++replays_;
  generator.set_offset(generator.offset() + draws_);
}

void Graph::copy_scalars(Slot& slot, cudaStream_t stream) {
  char* from = slot.memory;
  for (const Chunk& chunk : chunks_) {
    std::memcpy(from, chunk.host.get(), chunk.used);
    check(cudaMemcpyAsync(chunk.device, from, chunk.used, cudaMemcpyHostToDevice, stream),
          "replay");
    from += chunk.used;
  }
}

void Graph::clear_faults() {
  check(cudaMemsetAsync(fault_, 0, sizeof(Fault), current_stream()), "replay");
  check(cudaStreamSynchronize(current_stream()), "replay");
  *fault_here_ = {};
}

void Graph::report_fault() {
  const auto site = __atomic_load_n(&fault_here_->site, __ATOMIC_ACQUIRE);
  if (site == 0) return;
  // The replays behind it carry the fault too, until it is cleared.
  check(cudaEventSynchronize(last_done()), "replay");
  const int64_t value = fault_here_->value;
  clear_faults();
  const Site& where = sites_[site - 1];
  raise(ErrorKind::Index, where.op.c_str(), where.what, " ", value, " is out of range for size ",
        where.size,
        "; met in a replay of a captured graph, which went on as if it were not there.");
}

void Graph::reset() {
  if (!pool_) return;
  if (fault_) forget(this);
  const RelaxedCapture allowed;  // another graph may be being captured
  if (replays_ > 0) cudaEventSynchronize(last_done());
  if (executable_) cudaGraphExecDestroy(executable_);
  for (Slot& slot : slots_) {
    if (slot.done) cudaEventDestroy(slot.done);
    if (slot.memory) deallocate_pinned(slot.memory);
    slot = {};
  }
  for (const Chunk& chunk : chunks_) deallocate(chunk.device, 0);
  if (fault_) deallocate(fault_, 0);
  if (fault_here_) deallocate_pinned(fault_here_);
  release_pool(pool_);
  executable_ = nullptr;
  pool_ = 0;
  chunks_.clear();
  cells_.clear();
  sites_.clear();
  random_ = {};
  fault_ = fault_here_ = nullptr;
  replays_ = draws_ = 0;
}

}  // namespace gs::cuda
