// Threads of ours: they run until the process ends, and leave signals to the program's own threads.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <system_error>
#include <thread>
#include <utility>

namespace gs {

// False when the system gives no more threads, which is no error: the caller works alone.
template <class F>
bool start_thread(F&& f) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool started = true;
  try {
    std::thread(std::forward<F>(f)).detach();
  } catch (const std::system_error&) {
    started = false;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

// Moves the calling thread from `cpu` to any other that it may use, now; where it may run stays as
// it was. Nothing happens when it is elsewhere already or has no choice.
void leave_cpu(int cpu);

}  // namespace gs
