#include "core/background.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "core/parallel.h"
#include "core/threads.h"

namespace gs {

// The thread, and the tasks that wait for it.
class Background {
 public:
  explicit Background(Background* parents) : parents_(parents) {}

  void start(BackgroundTask& task);
  // Where the part begins that nobody has claimed; it is the caller's now.
  int64_t claim_rest(BackgroundTask& task, bool* running);
  void wait_for_chunk(BackgroundTask& task);

 private:
  void work();
  void forget(BackgroundTask& task) { std::erase(queue_, &task); }

  std::mutex mutex_;
  std::condition_variable work_, chunk_done_;
  std::deque<BackgroundTask*> queue_;  // those with something left to claim
  bool has_thread_ = false;
  Background* parents_;  // left as it is after a fork, locks and all, but reachable
};

void Background::start(BackgroundTask& task) {
  const std::lock_guard lock(mutex_);
  if (!has_thread_) has_thread_ = start_thread([this] { work(); });
  if (!has_thread_) return;  // the owner does everything when he comes for it
  queue_.push_back(&task);
  work_.notify_one();
}

int64_t Background::claim_rest(BackgroundTask& task, bool* running) {
  const std::lock_guard lock(mutex_);
  forget(task);
  *running = task.running_;
  return std::exchange(task.next_, task.size_);
}

void Background::wait_for_chunk(BackgroundTask& task) {
  std::unique_lock lock(mutex_);
  chunk_done_.wait(lock, [&] { return !task.running_; });
}

void Background::work() {
  run_serially_on_this_thread();
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [&] { return !queue_.empty(); });
    BackgroundTask& task = *queue_.front();
    const int64_t begin = task.next_, end = std::min(begin + task.grain_, task.size_);
    task.next_ = end;
    if (end == task.size_) queue_.pop_front();
    task.running_ = true;
    lock.unlock();
    std::exception_ptr error;
    try {
      task.f_(begin, end);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    if (error) {
      task.error_ = std::move(error);
      task.next_ = task.size_;
      forget(task);
    }
    task.running_ = false;  // the owner may destroy it as soon as he gets the lock
    chunk_done_.notify_all();
  }
}

namespace {

std::atomic<Background*> current{nullptr};
std::atomic<Background*> before_fork{nullptr};

void forget_in_child() {
  if (Background* parents = current.exchange(nullptr)) before_fork.store(parents);
}

// Never destroyed: the thread sleeps in it until the process ends.
Background& background() {
  Background* existing = current.load(std::memory_order_acquire);
  if (existing) return *existing;
  static const int registered = pthread_atfork(nullptr, nullptr, forget_in_child);
  (void)registered;
  Background* fresh = new Background(before_fork.load());
  if (current.compare_exchange_strong(existing, fresh)) return *fresh;
  delete fresh;
  return *existing;
}

}  // namespace

BackgroundTask::BackgroundTask(int64_t size, int64_t grain, Function f)
    : f_(std::move(f)), size_(size), grain_(std::max<int64_t>(grain, 1)) {}

BackgroundTask::~BackgroundTask() {
  if (!in_background()) return;
  bool running;
  where_->claim_rest(*this, &running);
  if (running) where_->wait_for_chunk(*this);
}

bool BackgroundTask::in_background() const { return where_ && where_ == current.load(); }

void BackgroundTask::start() {
  if (where_ || finished_ || size_ <= 0) return;
  where_ = &background();
  where_->start(*this);
}

bool BackgroundTask::do_rest() {
  if (finished_) return true;
  // In a forked child nobody knows how far the parent's thread had come: all of it again.
  int64_t begin = 0;
  bool running = false;
  if (in_background()) begin = where_->claim_rest(*this, &running);
  if (begin < size_) f_(begin, size_);
  if (running) return false;
  wait();
  return true;
}

void BackgroundTask::wait() {
  if (finished_) return;
  if (in_background()) {
    where_->wait_for_chunk(*this);
    if (error_) std::rethrow_exception(error_);
  }
  finished_ = true;
}

}  // namespace gs
