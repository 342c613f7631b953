// Runs a grid: which thread is next, on which stack, and what happens when a kernel fails.
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <unordered_map>

#include "block.h"
#include "runtime_api.h"
#include "sanitizers.h"

#undef threadIdx
#undef blockIdx
#undef blockDim
#undef gridDim

namespace cuda_host {

__thread Context* current;

namespace {

// A processor of the device: what decides how many blocks it holds at one time.
constexpr size_t kProcessorThreads = 1024, kProcessorShared = 228 << 10, kBlockOverhead = 1 << 10;
constexpr int kIdleRounds = 100;  // of threads that wait in loops, until that is a deadlock

// Everything of one launch; there is one launch at a time.
struct Scheduler {
  std::mutex one_launch;
  std::deque<Thread*> ready;
  std::vector<Thread*> spinning;               // let the others run first
  int idle_rounds = 0;                         // in which only they ran, and no atomic changed
  std::vector<std::unique_ptr<Block>> blocks;  // kept for the next launch
  std::vector<Work> some_time;
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<Fiber*> idle, worn;  // worn: used once (ThreadSanitizer)
  Thread* next = nullptr;          // picked already, by a fiber that then found it cannot run it
  const Work* kernel = nullptr;
  FiberSwitch way;
  std::string error;
  uint64_t random = 1;
  alignas(64) char start_token[8], end_token[8];

  Thread* pick();
  Fiber* take_fiber();
  bool run_one();
  bool wake_spinning();
  void run_resident(size_t count);
  void refresh_fibers();
  void give_up();
};

Scheduler& scheduler() {
  static Scheduler* only = new Scheduler;  // never destroyed: it may be used by static destructors
  return *only;
}

Thread* Scheduler::pick() {
  const Options::Order order = options().order;
  const bool from_back = order != Options::Fifo;
  if (order == Options::Random) std::swap(ready[random_number() % ready.size()], ready.back());
  Thread* thread = from_back ? ready.back() : ready.front();
  from_back ? ready.pop_back() : ready.pop_front();
  return thread;
}

// A thread that returns without ever having waited leaves its stack to the next: a kernel without
// barriers is a plain loop.
void fiber_body() {
  Scheduler& s = scheduler();
  s.way.started();
  for (;;) {
    acquire(s.start_token);
    (*s.kernel)();
    Thread& done = self();
    {
      Unseen unseen;
      done.copies.finish();
      release(s.end_token);
      done.home->thread_returned(done);
      if (!kTsan && !s.ready.empty() && s.some_time.empty()) {
        Thread* thread = s.pick();
        if (thread->state == State::Fresh) {
          thread->fiber = done.fiber;
          thread->state = State::Ready;
          current = thread;
          continue;
        }
        s.next = thread;
      }
      // A second thread on this fiber would count as ordered after the first.
      (kTsan ? s.worn : s.idle).push_back(done.fiber);
    }
    s.way.leave();
  }
}

Fiber* Scheduler::take_fiber() {
  if (idle.empty()) {
    fibers.push_back(std::make_unique<Fiber>(fiber_body));
    return fibers.back().get();
  }
  Fiber* fiber = idle.back();
  idle.pop_back();
  return fiber;
}

// One step: work of the copy engines or one thread until it waits. False when nothing can run.
bool Scheduler::run_one() {
  if (!some_time.empty() && !next && (ready.empty() || random_number() % 8 == 0)) {
    const size_t i = random_number() % some_time.size();
    const Work work = std::move(some_time[i]);
    some_time.erase(some_time.begin() + static_cast<ptrdiff_t>(i));
    work();
    return true;
  }
  Thread* thread = next;
  next = nullptr;
  if (!thread) {
    if (ready.empty() && !wake_spinning()) return false;
    thread = pick();
  }
  if (thread->state == State::Fresh) {
    thread->fiber = take_fiber();
    thread->state = State::Ready;
  }
  current = thread;
  way.enter(*thread->fiber);
  current = nullptr;
  return true;
}

// Nobody else can run: those who wait in a loop look again.
bool Scheduler::wake_spinning() {
  if (spinning.empty() || ++idle_rounds > kIdleRounds) return false;
  for (Thread* thread : spinning) wake(*thread);
  spinning.clear();
  return true;
}

// Blocks 0 to count-1 of `blocks` have begun; they run until all have returned.
void Scheduler::run_resident(size_t count) {
  const auto all_returned = [&] {
    for (size_t i = 0; i < count; ++i)
      if (blocks[i]->running()) return false;
    return true;
  };
  while (error.empty() && run_one()) {
  }
  if (error.empty() && !all_returned()) {
    error = "deadlock:";
    for (size_t i = 0; i < count; ++i) error += blocks[i]->who_waits();
  }
  if (kTsan) refresh_fibers();
  if (!error.empty()) give_up();
  for (size_t i = 0; i < count; ++i) blocks[i]->shared.end();
}

// Shuffled, so that the threads of the next block seldom follow their namesakes of the last, which
// would hide races between blocks.
void Scheduler::refresh_fibers() {
  for (Fiber* fiber : worn) {
    if (options().fresh) fiber->forget();
    idle.push_back(fiber);
    std::swap(idle[random_number() % idle.size()], idle.back());
  }
  worn.clear();
}

// Drops every suspended thread without unwinding it.
void Scheduler::give_up() {
  ready.clear(), spinning.clear(), some_time.clear(), idle.clear();
  next = nullptr;
  for (auto& fiber : fibers) {
    fiber->reset();
    idle.push_back(fiber.get());
  }
}

std::unordered_map<const void*, int>& shared_limits() {
  static auto* limits = new std::unordered_map<const void*, int>;
  return *limits;
}

size_t blocks_of(const dim3& g) { return size_t(g.x) * g.y * g.z; }

int blocks_of_processor(size_t threads, size_t shared_bytes) {
  const size_t by_threads = kProcessorThreads / threads,
               by_memory = kProcessorShared / (shared_bytes + kBlockOverhead);
  return static_cast<int>(std::min(by_threads, by_memory));
}

void check_launch(const Launch& l) {
  const size_t threads = blocks_of(l.block), blocks = blocks_of(l.grid);
  const auto refuse = [](const std::string& why) { throw std::runtime_error("[launch] " + why); };
  if (current) refuse("a kernel launches a kernel");
  if (threads == 0 || threads > 1024 || l.block.z > 64) refuse("invalid block size");
  if (blocks == 0 || l.grid.x > 0x7fffffffu || l.grid.y > 65535 || l.grid.z > 65535)
    refuse("invalid grid size");
  if (l.cooperative &&
      blocks > static_cast<size_t>(options().processors) *
                   static_cast<size_t>(blocks_of_processor(threads, l.shared_bytes)))
    refuse("a cooperative grid that does not fit the device");
  const auto limit = shared_limits().find(l.kernel);
  const size_t allowed = limit == shared_limits().end() ? SharedMemory::kStatic : limit->second;
  if (l.shared_bytes > std::max<size_t>(allowed, SharedMemory::kStatic))
    refuse("more dynamic shared memory than the kernel was allowed");
}

uint3 block_index(size_t i, const dim3& grid) {
  if (options().order == Options::Reverse) i = blocks_of(grid) - 1 - i;
  return {static_cast<unsigned>(i % grid.x), static_cast<unsigned>(i / grid.x % grid.y),
          static_cast<unsigned>(i / grid.x / grid.y)};
}

}  // namespace

// ------------------------------------------------------------------ for the block's own files

void wake(Thread& thread) {
  thread.state = State::Ready;
  scheduler().ready.push_back(&thread);
}

void wait_here(const char* what, const char* file, int line) {
  Thread& thread = self();
  thread.state = State::Waiting;
  thread.waits_in = what, thread.file = file, thread.line = line;
  release_at_end();
  scheduler().way.leave();
}

void yield(const char* file, int line) {
  Unseen unseen;
  scheduler().spinning.push_back(&self());
  wait_here("a loop", file, line);
}
void atomic_changed() { scheduler().idle_rounds = 0; }

uint64_t random_number() {
  uint64_t& s = scheduler().random;
  s ^= s << 13, s ^= s >> 7, s ^= s << 17;
  return s;
}

void release_at_end() { release(scheduler().end_token); }

void run_some_time(Work work) {
  Unseen unseen;
  scheduler().some_time.push_back(std::move(work));
}

void fail(const char* format, ...) {
  char text[800];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (!current) throw std::runtime_error(text);
  Scheduler& s = scheduler();
  {
    Unseen unseen;
    const Context& c = *current;
    char where[160];
    snprintf(where, sizeof where, " [block (%u, %u, %u), thread (%u, %u, %u)]", c.block.x,
             c.block.y, c.block.z, c.thread.x, c.thread.y, c.thread.z);
    if (s.error.empty()) s.error = std::string(text) + where;
    release(s.end_token);
  }
  s.way.leave();  // for good
  abort();
}

// ------------------------------------------------------------------ launching

void run(const Launch& launch, const std::function<void()>& kernel) {
  Unseen unseen;
  check_launch(launch);
  Scheduler& s = scheduler();
  const std::lock_guard<std::mutex> alone(s.one_launch);
  s.random = options().seed * 0x9E3779B97F4A7C15ull + 1;
  s.kernel = &kernel;
  s.error.clear();
  s.idle_rounds = 0;
  release(s.start_token);
  const size_t total = blocks_of(launch.grid), together = launch.cooperative ? total : 1;
  while (s.blocks.size() < together) s.blocks.push_back(std::make_unique<Block>());
  for (size_t first = 0; first < total && s.error.empty(); first += together) {
    for (size_t i = 0; i < together; ++i) {
      Block& block = *s.blocks[i];
      block.begin(launch.block, block_index(first + i, launch.grid), launch.grid,
                  launch.shared_bytes);
      for (unsigned t = 0; t < block.count; ++t) s.ready.push_back(&block.threads[t]);
    }
    s.run_resident(together);
  }
  acquire(s.end_token);
  if (!s.error.empty()) throw std::runtime_error(s.error);
}

int resident_blocks(int threads, size_t shared_bytes) {
  return blocks_of_processor(static_cast<size_t>(threads), shared_bytes);
}

cudaError_t allow_shared_bytes(const void* kernel, int bytes) {
  if (bytes > static_cast<int>(SharedMemory::kDynamic)) return last_error(cudaErrorInvalidValue);
  shared_limits()[kernel] = bytes;
  return cudaSuccess;
}

Options& options() {
  static Options* only = [] {
    auto* o = new Options;
    const auto set = [](const char* name) {
      const char* text = std::getenv(name);
      return text ? std::string(text) : std::string();
    };
    const std::string order = set("GS_CUDA_HOST_ORDER");
    o->order = order == "reverse"  ? Options::Reverse
               : order == "lifo"   ? Options::Lifo
               : order == "random" ? Options::Random
                                   : Options::Fifo;
    if (const std::string seed = set("GS_CUDA_HOST_SEED"); !seed.empty())
      o->seed = std::stoull(seed);
    if (const std::string capability = set("GS_CUDA_HOST_CAPABILITY"); !capability.empty())
      o->capability = std::stoi(capability);
    o->lazy = set("GS_CUDA_HOST_LAZY") == "1";
    o->fresh = set("GS_CUDA_HOST_FRESH") == "1";
    return o;
  }();
  return *only;
}

}  // namespace cuda_host
