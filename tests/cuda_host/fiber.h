// A stack of its own and the registers of whoever is suspended on it: what one CUDA thread runs on.
#pragma once

#include <cstddef>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace cuda_host {

class Fiber {
 public:
  explicit Fiber(void (*entry)());  // runs `entry` at the first switch to it; it never returns
  ~Fiber();
  Fiber(const Fiber&) = delete;
  // Forgets what is suspended on the stack and begins again at `entry`.
  void reset();
  // ThreadSanitizer takes what runs here next for a thread not seen before. About 1 ms.
  void forget();

 private:
  friend class FiberSwitch;
  void (*entry_)();
  char* stack_ = nullptr;  // lowest usable byte
  size_t offset_ = 0;      // tops of stacks differ, or all would fall into the same cache sets
#if defined(__x86_64__)
  void* registers_ = nullptr;
#else
  ucontext_t registers_;
#endif
  void* fake_stack_ = nullptr;  // AddressSanitizer's
  void* tsan_ = nullptr;
};

// The way between one OS thread's own stack and the fibers that it runs.
class FiberSwitch {
 public:
  void enter(Fiber& fiber);  // returns when the fiber leaves
  void leave();              // from the running fiber back to enter()'s caller
  void started();            // the first thing that a fiber's entry calls

 private:
  Fiber* running_ = nullptr;
#if defined(__x86_64__)
  void* registers_ = nullptr;
#else
  ucontext_t registers_;
#endif
  void* fake_stack_ = nullptr;
  const void* stack_ = nullptr;
  size_t stack_size_ = 0;
  void* tsan_ = nullptr;
};

}  // namespace cuda_host
