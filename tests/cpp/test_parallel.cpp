#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/error.h"
#include "core/parallel.h"
#include "core/threads.h"

namespace gs {
namespace {

// ThreadSanitizer ends a forked child that starts threads.
#if defined(__SANITIZE_THREAD__)
#define GS_NEEDS_FORK() GTEST_SKIP() << "no fork under ThreadSanitizer"
#else
#define GS_NEEDS_FORK() static_cast<void>(0)
#endif

class Parallel : public testing::Test {
 protected:
  void TearDown() override { set_num_threads(before_); }
  int before_ = num_threads();
};

// Every index exactly once, and chunks cut by size alone.
void check_cover(int64_t begin, int64_t end, int64_t grain) {
  std::vector<std::atomic<int>> seen(static_cast<size_t>(end - begin));
  std::atomic<bool> cut_well{true};
  parallel_for(begin, end, grain, [&](int64_t from, int64_t to) {
    if ((from - begin) % grain != 0 || to - from > grain) cut_well = false;
    if (to - from < grain && to != end) cut_well = false;
    for (int64_t i = from; i < to; ++i) seen[static_cast<size_t>(i - begin)]++;
  });
  EXPECT_TRUE(cut_well);
  for (auto& count : seen) ASSERT_EQ(count, 1);
}

TEST_F(Parallel, CoversEachIndexOnce) {
  for (int threads : {1, 2, 3, 5}) {
    set_num_threads(threads);
    EXPECT_EQ(num_threads(), threads);
    for (int64_t n : {1, 2, 7, 64, 1000})
      for (int64_t grain : {1, 3, 64, 2000}) {
        check_cover(0, n, grain);
        check_cover(-5, n, grain);
      }
  }
  parallel_for(3, 3, 1, [](int64_t, int64_t) { FAIL(); });
  parallel_for(3, 2, 1, [](int64_t, int64_t) { FAIL(); });
}

TEST_F(Parallel, ManySmallJobsInARow) {
  for (int threads : {2, 3}) {
    set_num_threads(threads);
    for (int job = 0; job < 20000; ++job) {
      int64_t parts[4] = {};
      parallel_for(0, 4, 1, [&](int64_t i, int64_t) { parts[i] = i + job; });
      ASSERT_EQ(parts[0] + parts[1] + parts[2] + parts[3], 6 + 4 * int64_t(job));
    }
  }
}

TEST_F(Parallel, JobsAfterTheWorkersSleep) {
  set_num_threads(3);
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    check_cover(0, 100, 7);
  }
}

TEST_F(Parallel, UsesOtherThreads) {
  set_num_threads(2);
  const auto caller = std::this_thread::get_id();
  std::atomic<bool> helped{false};
  for (int attempt = 0; attempt < 100 && !helped; ++attempt) {
    parallel_for(0, 50, 1, [&](int64_t, int64_t) {
      EXPECT_TRUE(in_parallel());
      if (std::this_thread::get_id() != caller) helped = true;
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    });
  }
  EXPECT_TRUE(helped);
  EXPECT_FALSE(in_parallel());
}

TEST_F(Parallel, NestedCallsRunSerially) {
  set_num_threads(3);
  std::atomic<int64_t> sum{0};
  std::atomic<bool> same_thread{true};
  parallel_for(0, 10, 1, [&](int64_t i, int64_t) {
    const auto me = std::this_thread::get_id();
    parallel_for(0, 100, 10, [&](int64_t from, int64_t to) {
      if (std::this_thread::get_id() != me) same_thread = false;
      for (int64_t k = from; k < to; ++k) sum += i * 100 + k;
    });
  });
  EXPECT_TRUE(same_thread);
  EXPECT_EQ(sum, 999 * 1000 / 2);
}

TEST_F(Parallel, FirstErrorComesOut) {
  for (int threads : {1, 2, 3}) {
    set_num_threads(threads);
    for (int round = 0; round < 50; ++round) {
      std::atomic<int> inside{0};
      try {
        parallel_for(0, 40, 1, [&](int64_t i, int64_t) {
          ++inside;
          struct Leave {
            std::atomic<int>& n;
            ~Leave() { --n; }
          } leave{inside};
          if (i >= 7) raise(ErrorKind::Index, "test", "chunk ", i);
        });
        FAIL();
      } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::Index);
        EXPECT_STREQ(e.what(), "[test] chunk 7");  // the lowest, on any number of threads
      }
      EXPECT_EQ(inside, 0);
      check_cover(0, 30, 4);  // the pool goes on working
    }
    EXPECT_THROW(parallel_for(0, 1, 1, [](int64_t, int64_t) { throw std::runtime_error("x"); }),
                 std::runtime_error);
    EXPECT_FALSE(in_parallel());
  }
}

TEST_F(Parallel, SeveralCallersAtOnce) {
  set_num_threads(3);
  std::vector<std::thread> users;
  for (int u = 0; u < 4; ++u)
    users.emplace_back([] {
      for (int i = 0; i < 300; ++i) check_cover(0, 200, 9);
    });
  for (auto& user : users) user.join();
}

TEST_F(Parallel, ForkedChildComputes) {
  GS_NEEDS_FORK();
  set_num_threads(3);
  check_cover(0, 1000, 3);
  for (bool asleep : {false, true}) {
    if (asleep) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      alarm(20);  // a child that hangs is ended
      std::atomic<int64_t> sum{0};
      for (int round = 0; round < 100; ++round)
        parallel_for(0, 1000, 3, [&](int64_t from, int64_t to) { sum += to - from; });
      const pid_t grandchild = fork();
      if (grandchild == 0) {
        parallel_for(0, 1000, 3, [&](int64_t from, int64_t to) { sum += to - from; });
        _exit(sum == 101000 ? 0 : 1);
      }
      int status = 1;
      waitpid(grandchild, &status, 0);
      _exit(sum == 100000 && status == 0 ? 0 : 1);
    }
    int status = 1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
    check_cover(0, 1000, 3);
  }
}

TEST_F(Parallel, ForkWhileAnotherThreadComputes) {
  GS_NEEDS_FORK();
  set_num_threads(2);
  std::atomic<bool> stop{false};
  std::thread user([&] {
    while (!stop) parallel_for(0, 100, 5, [](int64_t, int64_t) {});
  });
  for (int i = 0; i < 10; ++i) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      alarm(20);
      std::atomic<int> count{0};
      parallel_for(0, 100, 5, [&](int64_t, int64_t) { ++count; });
      _exit(count == 20 ? 0 : 1);
    }
    int status = 1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  stop = true;
  user.join();
}

// Two chunks that wait for each other, so that two threads take part; then the one that is not the
// caller's sleeps. False when nobody came to help: the pool may still work alone after something
// earlier, for at most 250 ms.
bool try_with_helper_that_sleeps(std::chrono::milliseconds time) {
  const auto caller = std::this_thread::get_id();
  std::atomic<int> arrived{0};
  std::atomic<bool> helped{false};
  parallel_for(0, 2, 1, [&](int64_t, int64_t) {
    ++arrived;
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
    while (arrived < 2 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    if (std::this_thread::get_id() == caller) return;
    helped = true;
    std::this_thread::sleep_for(time);
  });
  return helped;
}

bool run_with_helper_that_sleeps(std::chrono::milliseconds time) {
  for (int attempt = 0; attempt < 20; ++attempt) {
    if (try_with_helper_that_sleeps(time)) return true;
  }
  return false;
}

int threads_of_a_job() {
  std::mutex mutex;
  std::set<std::thread::id> seen;
  parallel_for(0, 64, 1, [&](int64_t, int64_t) {
    const std::lock_guard lock(mutex);
    seen.insert(std::this_thread::get_id());
  });
  return int(seen.size());
}

// A sleeping worker is to the caller what a preempted one is: time passes and nobody runs.
TEST_F(Parallel, WorksAloneAfterWaitingForAWorkerThatDoesNotRun) {
  using std::chrono::milliseconds;
  set_num_threads(2);
  ASSERT_TRUE(run_with_helper_that_sleeps(milliseconds(40)));
  const auto start = std::chrono::steady_clock::now();
  int alone = 0;
  for (int job = 0; job < 20; ++job) alone += threads_of_a_job() == 1;
  if (std::chrono::steady_clock::now() - start < milliseconds(70)) {
    EXPECT_EQ(alone, 20);
  } else {
    std::printf("the machine was too slow to see the jobs within the time alone\n");
  }
  EXPECT_TRUE(run_with_helper_that_sleeps(milliseconds(0)));
}

TEST_F(Parallel, AThreadLeavesItsCpuAndKeepsItsMask) {
  std::thread([] {
    cpu_set_t before, after;
    ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
    bool left = CPU_COUNT(&before) == 1;
    for (int i = 0; i < 20 && !left; ++i) {  // the system may move it back at any time
      const int cpu = sched_getcpu();
      leave_cpu(cpu);
      left = sched_getcpu() != cpu;
    }
    EXPECT_TRUE(left);
    leave_cpu(-1);
    leave_cpu(1 << 30);
    ASSERT_EQ(sched_getaffinity(0, sizeof after, &after), 0);
    EXPECT_TRUE(CPU_EQUAL(&before, &after));
  }).join();
}

TEST_F(Parallel, Settings) {
  EXPECT_GE(available_cpus(), 1);
  EXPECT_LE(available_cpus(), int(std::max(1u, std::thread::hardware_concurrency())));
  EXPECT_THROW(set_num_threads(0), Error);
  EXPECT_THROW(set_num_threads(-3), Error);
  EXPECT_THROW(set_num_threads(1 << 20), Error);
  EXPECT_EQ(num_threads(), before_);
}

TEST_F(Parallel, NumThreadsFromTheEnvironment) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";  // starts the program anew
  const auto child = [] { std::_Exit(num_threads() == 7 ? 0 : 1); };
  setenv("GRADSTONE_NUM_THREADS", "7", 1);
  EXPECT_EXIT(child(), testing::ExitedWithCode(0), "");
  unsetenv("GRADSTONE_NUM_THREADS");
}

}  // namespace
}  // namespace gs
