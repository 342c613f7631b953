// A small thread pool. Work is cut by its size alone, never by the number of threads, so that
// results carry the same bits however many threads run.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

#include "core/macros.h"

namespace gs {

// A non-owning reference to a callable f(int64_t begin, int64_t end).
class RangeFunction {
 public:
  template <class F>
  GS_INLINE RangeFunction(F& f)
      : object_(const_cast<void*>(static_cast<const void*>(&f))), call_(&call<F>) {}
  GS_INLINE void operator()(int64_t begin, int64_t end) const { call_(object_, begin, end); }

 private:
  // Out of line: the body of a loop is compiled once, whether it runs here or on other threads.
  template <class F>
  [[gnu::noinline, gnu::noclone]] static void call(void* object, int64_t begin, int64_t end) {
    (*static_cast<F*>(object))(begin, end);
  }

  void* object_;
  void (*call_)(void*, int64_t, int64_t);
};

// Calls f on [begin, end) in chunks of `grain` (the last may be shorter), in any order, on any
// thread; returns when all are done. Runs serially inside another parallel_for, with one thread, or
// when there is one chunk. The first exception thrown by f is rethrown here, after every chunk has
// ended.
void run_parallel(int64_t begin, int64_t end, int64_t grain, RangeFunction f);

template <class F>
GS_INLINE void parallel_for(int64_t begin, int64_t end, int64_t grain, F&& f) {
  if (begin >= end) return;
  const RangeFunction run(f);
  if (end - begin <= grain) return run(begin, end);
  run_parallel(begin, end, grain, run);
}

int num_threads();            // threads a parallel_for may use, the caller included
void set_num_threads(int n);  // ValueError when n < 1
int available_cpus();         // affinity mask and cgroup quota
bool in_parallel();           // inside a chunk
// 0 for the caller of a parallel_for, 1, 2 ... for the pool's threads: below the number of threads
// as it was when the job began.
int thread_slot();

// From now on this thread never asks the pool: every parallel_for on it runs as inside a chunk.
void run_serially_on_this_thread();

}  // namespace gs
