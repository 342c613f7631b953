// Work that one thread beside the program's own does meanwhile, a chunk at a time, in the order in
// which it was started. Nobody depends on that thread: whoever needs the result does what has not
// begun himself, in a forked child (which has no such thread) all of it.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>

namespace gs {

class Background;

// The work is f over [0, size), in chunks of `grain` when it is done in the background, where it
// runs serially so that it leaves the thread pool alone. f may run on any part again, and must
// give the same result. The task belongs to its owner, who alone calls these; f is destroyed
// with it, never by the background thread.
class BackgroundTask {
 public:
  using Function = std::function<void(int64_t begin, int64_t end)>;

  BackgroundTask(int64_t size, int64_t grain, Function f);
  ~BackgroundTask();  // drops what has not begun, waits for the chunk that has
  BackgroundTask(const BackgroundTask&) = delete;
  BackgroundTask& operator=(const BackgroundTask&) = delete;

  void start();
  // Does what has not begun here. True: all is done; false: wait() for a chunk in the background.
  bool do_rest();
  // The second half of finishing. An exception of f comes out of either half.
  void wait();
  void finish() {
    if (!do_rest()) wait();
  }

 private:
  friend class Background;

  bool in_background() const;

  const Function f_;
  const int64_t size_, grain_;
  Background* where_ = nullptr;  // null: not started, or finished
  bool finished_ = false;
  // Under the mutex of `where_`.
  int64_t next_ = 0;      // the first index that nobody has claimed
  bool running_ = false;  // a chunk, in the background
  std::exception_ptr error_;
};

}  // namespace gs
