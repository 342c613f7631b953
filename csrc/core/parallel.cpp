// The pool. One job at a time stands in `Pool`. Its chunks are cut into one slice a thread, the
// same part of the memory for the same thread from one operation to the next: what a core has
// written lies in its own cache, and cores without a common one read each other's fresh data at a
// third of the speed. Whoever is through with his slice helps with the others, so a worker that
// wakes late finds nothing left and goes back to sleep, and the caller waits only for chunks that
// somebody is working on. A chunk is claimed by lowering `unclaimed` of its slice, a line that
// nobody else touches while there is enough to do; what is finished is reported once for many.
//
// A worker whose core another program takes in the middle of a chunk makes everybody wait for the
// scheduler, milliseconds that a small job never earns back. The caller sees it: it waited, and
// this process did not run meanwhile. For twice as long it then works alone, and when that happens
// again soon, for four times as long, up to sixteen: one disturbance costs little, and a machine
// that stays contended costs a sixteenth of one thread's speed and not a multiple of it.
//
// The system may start or wake a worker on its caller's own CPU while another one idles, and leave
// it there for seconds (seen on machines of two CPUs, in about half of all processes): two threads
// then have the speed of one. A worker that has taken part in a job on its caller's CPU moves away.
#include "core/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>

#include "core/error.h"
#include "core/threads.h"

namespace gs {
namespace {

// Turns of a waiting loop before it sleeps: some 20 microseconds, the pause between two operations.
constexpr int kSpins = 1000;
constexpr int kMaxThreads = 1024;
// Waiting for a worker that does not run: from where it counts as contention, for how many times as
// long the caller then works alone, at most how long, and how soon after that is again.
constexpr int64_t kContended = 200'000;  // ns
constexpr int64_t kAloneFactor = 2, kAloneFactorAtMost = 16;
constexpr int64_t kAloneAtMost = 250'000'000;  // ns
constexpr int64_t kSoon = 50'000'000;          // ns
// How long a worker stays where it moved to: so many times as long as the move took, which is
// milliseconds where the other CPU has work of its own.
constexpr int64_t kStay = 30;

thread_local bool inside_chunk = false;
thread_local int slot_of_thread = 0;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::atomic_signal_fence(std::memory_order_seq_cst);
#endif
}

int64_t clock_ns(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

class Pool {
 public:
  explicit Pool(Pool* parents) : parents_(parents) {}

  // False when another thread's job is running, or workers would rather be in the way.
  bool try_run(int64_t begin, int64_t end, int64_t grain, int64_t chunks, int threads,
               const RangeFunction& f);

 private:
  void start_workers(int wanted);
  void wake_workers();
  void work(int id);
  void leave_callers_cpu(int64_t* may_move);
  bool do_chunks(int own_slice);
  void do_chunk(int64_t chunk);
  int64_t claim(int slice, int64_t* chunk);
  void report(int64_t finished);
  bool anything_left() const;
  void wait_for_chunks_in_flight();
  bool works_alone();

  // The job. Written by the caller before it raises a slice; read by those who hold a chunk.
  const RangeFunction* f_ = nullptr;
  int64_t begin_ = 0, end_ = 0, grain_ = 0, chunks_ = 0;
  std::exception_ptr error_;
  std::mutex error_mutex_;

  struct alignas(64) Slice {
    std::atomic<int64_t> unclaimed{0};
  };
  Slice slices_[kMaxThreads];
  std::atomic<int64_t> failed_chunk_{INT64_MAX};
  alignas(64) std::atomic<int64_t> finished_{0};

  alignas(64) std::atomic<bool> busy_{false};
  std::atomic<bool> caller_sleeps_{false};
  std::atomic<int> callers_cpu_{-1};
  std::atomic<int64_t> alone_until_{0};  // CLOCK_MONOTONIC, 0 for never
  int64_t was_alone_until_ = 0, alone_factor_ = kAloneFactor;
  std::mutex mutex_;
  std::condition_variable done_;

  // Each worker sleeps on its own, so that a job of two chunks wakes one and not all.
  struct Worker {
    std::atomic<bool> sleeps{false};
    std::mutex mutex;
    std::condition_variable wake;
  };
  std::unique_ptr<Worker> workers_[kMaxThreads];
  int started_ = 0;
  // Workers 0 ... helpers - 1 may take part in the job. The caller's slice is 0, a worker's id + 1.
  std::atomic<int> helpers_{0};

  // In a forked child the parent's pool is left as it is, locks and all; kept here so that it
  // counts as reachable memory.
  Pool* parents_;
};

// How many were left, this one included; 0 when none was. The exchange succeeds only against the
// job that stands now, whatever was read before, so a claim is always for a live job.
int64_t Pool::claim(int slice, int64_t* chunk) {
  std::atomic<int64_t>& unclaimed = slices_[slice].unclaimed;
  int64_t left = unclaimed.load(std::memory_order_relaxed);
  do {
    if (left <= 0) return 0;
  } while (!unclaimed.compare_exchange_weak(left, left - 1, std::memory_order_acq_rel,
                                            std::memory_order_relaxed));
  const int64_t slices = helpers_.load(std::memory_order_relaxed) + 1;
  *chunk = (slice + 1) * chunks_ / slices - left;
  return left;
}

bool Pool::anything_left() const {
  for (int slice = 0; slice <= helpers_.load(); ++slice)
    if (slices_[slice].unclaimed.load() > 0) return true;
  return false;
}

void Pool::do_chunk(int64_t chunk) {
  // After a failure the chunks behind it are skipped and those before it still run, so that the
  // error which is reported does not depend on timing.
  if (chunk > failed_chunk_.load(std::memory_order_relaxed)) return;
  try {
    const int64_t from = begin_ + chunk * grain_;
    (*f_)(from, chunk + 1 == chunks_ ? end_ : from + grain_);
  } catch (...) {
    const std::lock_guard lock(error_mutex_);
    if (chunk < failed_chunk_.load(std::memory_order_relaxed)) {
      failed_chunk_.store(chunk, std::memory_order_relaxed);
      error_ = std::current_exception();
    }
  }
}

// After the last report the caller may return and the job's fields belong to the next one.
void Pool::report(int64_t finished) {
  const int64_t total = chunks_;
  if (finished_.fetch_add(finished) + finished == total && caller_sleeps_.load()) {
    const std::lock_guard lock(mutex_);
    done_.notify_one();
  }
}

// Runs what is left of this thread's own slice, or else one chunk of another's; false when there
// was none. Every report takes a line from another core, so that of a chunk waits until its slice
// has nothing more to claim; the job stays as it is until then.
bool Pool::do_chunks(int own_slice) {
  int64_t finished = 0, chunk = 0;
  while (const int64_t left = claim(own_slice, &chunk)) {
    do_chunk(chunk);
    ++finished;
    if (left == 1) break;
  }
  const int slices = helpers_.load(std::memory_order_relaxed) + 1;
  for (int other = 1; other < slices && finished == 0; ++other) {
    if (claim((own_slice + other) % slices, &chunk) == 0) continue;
    do_chunk(chunk);
    finished = 1;
  }
  if (finished == 0) return false;
  report(finished);
  return true;
}

void Pool::work(int id) {
  inside_chunk = true;
  slot_of_thread = id + 1;
  int64_t may_move = 0;
  for (;;) {
    for (int spin = 0; spin < kSpins; ++spin) {
      if (id < helpers_.load(std::memory_order_relaxed) && do_chunks(id + 1)) {
        while (do_chunks(id + 1)) {
        }
        spin = 0;
        leave_callers_cpu(&may_move);
      }
      relax();
    }
    Worker& self = *workers_[id];
    std::unique_lock lock(self.mutex);
    self.sleeps.store(true);
    self.wake.wait(lock, [&] { return id < helpers_.load() && anything_left(); });
    self.sleeps.store(false);
  }
}

void Pool::leave_callers_cpu(int64_t* may_move) {
  const int cpu = callers_cpu_.load(std::memory_order_relaxed);
  if (sched_getcpu() != cpu) [[likely]]
    return;
  const int64_t now = clock_ns(CLOCK_MONOTONIC);
  if (now < *may_move) return;
  leave_cpu(cpu);
  const int64_t moved = clock_ns(CLOCK_MONOTONIC);
  *may_move = moved + kStay * (moved - now);
}

// Only the caller that holds busy_ comes here. A system that gives no more threads is no error.
void Pool::start_workers(int wanted) {
  while (started_ < wanted) {
    workers_[started_] = std::make_unique<Worker>();
    if (!start_thread([this, id = started_] { work(id); })) return;
    ++started_;
  }
}

void Pool::wake_workers() {
  const int helpers = std::min(helpers_.load(std::memory_order_relaxed), started_);
  for (int id = 0; id < helpers; ++id) {
    Worker& worker = *workers_[id];
    if (!worker.sleeps.load()) continue;
    {
      const std::lock_guard lock(worker.mutex);
    }  // it may stand between its check and its sleep
    worker.wake.notify_one();
  }
}

void Pool::wait_for_chunks_in_flight() {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (finished_.load(std::memory_order_acquire) == chunks_) return;
    relax();
  }
  const int64_t from = clock_ns(CLOCK_MONOTONIC), ran_from = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  {
    std::unique_lock lock(mutex_);
    caller_sleeps_.store(true);
    done_.wait(lock, [&] { return finished_.load() == chunks_; });
    caller_sleeps_.store(false);
  }
  const int64_t now = clock_ns(CLOCK_MONOTONIC);
  const int64_t lost = now - from - (clock_ns(CLOCK_PROCESS_CPUTIME_ID) - ran_from);
  if (lost > kContended) {
    alone_factor_ = now - was_alone_until_ < kSoon ? std::min(2 * alone_factor_, kAloneFactorAtMost)
                                                   : kAloneFactor;
    was_alone_until_ = now + std::min(alone_factor_ * lost, kAloneAtMost);
    alone_until_.store(was_alone_until_);
  }
}

bool Pool::works_alone() {
  const int64_t until = alone_until_.load(std::memory_order_relaxed);
  if (until == 0) [[likely]]
    return false;
  if (clock_ns(CLOCK_MONOTONIC) < until) return true;
  alone_until_.store(0, std::memory_order_relaxed);
  return false;
}

bool Pool::try_run(int64_t begin, int64_t end, int64_t grain, int64_t chunks, int threads,
                   const RangeFunction& f) {
  if (works_alone() || busy_.exchange(true, std::memory_order_acquire)) return false;
  const int helpers = static_cast<int>(std::min<int64_t>(threads - 1, chunks - 1));
  if (started_ < helpers) start_workers(threads - 1);
  helpers_.store(helpers, std::memory_order_relaxed);
  callers_cpu_.store(sched_getcpu(), std::memory_order_relaxed);
  f_ = &f;
  begin_ = begin;
  end_ = end;
  grain_ = grain;
  chunks_ = chunks;
  failed_chunk_.store(INT64_MAX, std::memory_order_relaxed);
  finished_.store(0, std::memory_order_relaxed);
  // The last slice first: a worker that looks beside its own finds nothing before its own is full.
  for (int64_t slice = helpers; slice >= 0; --slice)
    slices_[slice].unclaimed.store((slice + 1) * chunks / (helpers + 1) -
                                   slice * chunks / (helpers + 1));
  wake_workers();

  inside_chunk = true;
  while (do_chunks(0)) {
  }
  inside_chunk = false;
  wait_for_chunks_in_flight();

  const std::exception_ptr error = std::move(error_);
  error_ = nullptr;
  busy_.store(false, std::memory_order_release);
  if (error) std::rethrow_exception(error);
  return true;
}

// ---------------------------------------------------------------- the pool of this process

std::atomic<Pool*> current_pool{nullptr};
std::atomic<Pool*> pool_before_fork{nullptr};

void forget_pool_in_child() {
  if (Pool* parents = current_pool.exchange(nullptr)) pool_before_fork.store(parents);
}

// Registered when the library is loaded: a fork beside the first use of a local static would leave
// the child waiting for its guard.
[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, forget_pool_in_child);

Pool& pool() {
  Pool* existing = current_pool.load(std::memory_order_acquire);
  if (existing) [[likely]]
    return *existing;
  // Never destroyed: workers sleep in it until the process ends.
  Pool* fresh = new Pool(pool_before_fork.load());
  if (current_pool.compare_exchange_strong(existing, fresh)) return *fresh;
  delete fresh;
  return *existing;
}

// ---------------------------------------------------------------- how many threads

int initial_threads() {
  if (const char* text = std::getenv("GRADSTONE_NUM_THREADS")) {
    char* rest = nullptr;
    const long wanted = std::strtol(text, &rest, 10);
    if (rest != text && *rest == 0 && wanted >= 1) {
      return static_cast<int>(std::min<long>(wanted, kMaxThreads));
    }
  }
  return std::min(available_cpus(), kMaxThreads);
}

std::atomic<int>& thread_count() {
  static std::atomic<int> count{initial_threads()};
  return count;
}

}  // namespace

int num_threads() { return thread_count().load(std::memory_order_relaxed); }

void set_num_threads(int n) {
  GS_CHECK(n >= 1, Value, "set_num_threads", "expected at least 1 thread, got ", n, ".");
  GS_CHECK(n <= kMaxThreads, Value, "set_num_threads", "expected at most ", kMaxThreads,
           " threads, got ", n, ".");
  thread_count().store(n, std::memory_order_relaxed);
}

bool in_parallel() { return inside_chunk; }

int thread_slot() { return slot_of_thread; }

void run_serially_on_this_thread() { inside_chunk = true; }

void run_parallel(int64_t begin, int64_t end, int64_t grain, RangeFunction f) {
  if (begin >= end) return;
  grain = std::max<int64_t>(grain, 1);
  const int64_t chunks = (end - begin - 1) / grain + 1;
  const int threads = num_threads();
  if (chunks > 1 && threads > 1 && !inside_chunk &&
      pool().try_run(begin, end, grain, chunks, threads, f)) {
    return;
  }
  for (int64_t from = begin, last; from < end; from = last) {
    last = end - from > grain ? from + grain : end;
    f(from, last);
  }
}

}  // namespace gs
