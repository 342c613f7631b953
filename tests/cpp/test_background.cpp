#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/background.h"
#include "core/parallel.h"

namespace gs {
namespace {

using std::chrono::milliseconds;

// ThreadSanitizer ends a forked child that starts threads.
#if defined(__SANITIZE_THREAD__)
#define GS_NEEDS_FORK() GTEST_SKIP() << "no fork under ThreadSanitizer"
#else
#define GS_NEEDS_FORK() static_cast<void>(0)
#endif

// Plain memory, so that ThreadSanitizer sees who wrote it when.
struct Numbers {
  explicit Numbers(int64_t n, int64_t grain = 7, milliseconds pause = milliseconds(0))
      : values(static_cast<size_t>(n)), task(n, grain, [this, pause](int64_t begin, int64_t end) {
          std::this_thread::sleep_for(pause);
          for (int64_t i = begin; i < end; ++i) values[static_cast<size_t>(i)] = i + 1;
        }) {}
  void check() const {
    for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], int64_t(i) + 1);
  }

  std::vector<int64_t> values;
  BackgroundTask task;
};

TEST(Background, DoesEverythingOnce) {
  for (int round = 0; round < 2000; ++round) {
    Numbers a(50 + round % 13), b(1), empty(0);
    a.task.start();
    b.task.start();
    empty.task.start();
    if (round % 3 == 0) std::this_thread::yield();
    b.task.finish();
    a.task.finish();
    a.task.finish();
    empty.task.finish();
    a.check();
    b.check();
  }
}

TEST(Background, NotStartedIsDoneByTheCaller) {
  Numbers a(50);
  a.task.finish();
  a.check();
}

// Without anybody who finishes: the thread comes to the end by itself, serially.
TEST(Background, RunsMeanwhileAndSerially) {
  const auto caller = std::this_thread::get_id();
  std::atomic<int> chunks{0};
  std::atomic<bool> elsewhere{true}, serial{true};
  BackgroundTask task(20, 5, [&](int64_t, int64_t) {
    if (std::this_thread::get_id() == caller) elsewhere = false;
    const auto me = std::this_thread::get_id();
    parallel_for(0, 100, 1, [&](int64_t, int64_t) {
      if (std::this_thread::get_id() != me) serial = false;
    });
    if (!in_parallel()) serial = false;
    ++chunks;
  });
  task.start();
  for (int i = 0; i < 5000 && chunks < 4; ++i) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_EQ(chunks, 4);
  task.finish();
  EXPECT_EQ(chunks, 4);
  EXPECT_TRUE(elsewhere);
  EXPECT_TRUE(serial);
  EXPECT_FALSE(in_parallel());
}

TEST(Background, TheOwnerTakesWhatHasNotBegun) {
  Numbers slow(40, 10, milliseconds(30)), behind(40, 10);
  slow.task.start();
  behind.task.start();
  behind.task.finish();
  behind.check();
  slow.task.finish();
  slow.check();
}

TEST(Background, DestroyedAtAnyMoment) {
  for (int round = 0; round < 300; ++round) {
    auto a = std::make_unique<Numbers>(60, 3, milliseconds(round % 10 == 0));
    Numbers b(30);
    a->task.start();
    b.task.start();
    if (round % 2) std::this_thread::sleep_for(std::chrono::microseconds(50));
    a.reset();
    b.task.finish();
    b.check();
  }
}

TEST(Background, ErrorsComeOut) {
  for (int round = 0; round < 200; ++round) {
    BackgroundTask bad(10, 1, [](int64_t, int64_t) { throw std::runtime_error("no"); });
    bad.start();
    if (round % 2) std::this_thread::sleep_for(std::chrono::microseconds(100));
    EXPECT_THROW(bad.finish(), std::runtime_error);
    Numbers good(20);
    good.task.start();
    good.task.finish();
    good.check();
  }
}

TEST(Background, SeveralOwnersAtOnce) {
  std::vector<std::thread> owners;
  for (int owner = 0; owner < 4; ++owner)
    owners.emplace_back([] {
      for (int i = 0; i < 300; ++i) {
        Numbers a(100), b(20);
        a.task.start();
        b.task.start();
        a.task.finish();
        a.check();
      }
    });
  for (auto& owner : owners) owner.join();
}

// The child finishes and destroys tasks of its parent, and has a thread of its own.
TEST(Background, ForkAtAnyMoment) {
  GS_NEEDS_FORK();
  for (int round = 0; round < 12; ++round) {
    auto running = std::make_unique<Numbers>(20, 2, milliseconds(2)),
         dropped = std::make_unique<Numbers>(20, 2, milliseconds(2));
    Numbers done(20);
    done.task.start();
    done.task.finish();
    running->task.start();
    dropped->task.start();
    if (round % 2) std::this_thread::sleep_for(milliseconds(round));
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      alarm(20);  // a child that hangs is ended
      dropped.reset();
      running->task.finish();
      done.task.finish();
      Numbers own(50);
      own.task.start();
      own.task.finish();
      running->check();
      done.check();
      own.check();
      running.reset();
      _exit(testing::Test::HasFailure() ? 1 : 0);
    }
    running->task.finish();
    running->check();
    int status = 1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
}

TEST(Background, TheProcessEndsWhileAChunkRuns) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto leave = [] {
    auto* forgotten = new Numbers(1000, 1, milliseconds(5));
    forgotten->task.start();
    std::this_thread::sleep_for(milliseconds(2));
    std::exit(3);
  };
  EXPECT_EXIT(leave(), testing::ExitedWithCode(3), "");
}

}  // namespace
}  // namespace gs
