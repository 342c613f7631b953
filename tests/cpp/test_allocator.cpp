#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "core/allocator.h"
#include "core/error.h"

namespace gs {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kCaching = false;
#else
constexpr bool kCaching = true;
#endif

const size_t kSizes[] = {0,     1,     63,     64,      65,      256,           257,     320,
                         321,   511,   512,    1000,    4096,    65535,         65536,   65537,
                         81920, 81921, 200000, 1 << 20, 2 << 20, (2 << 20) + 1, 3000000, 9 << 20};

TEST(Allocator, AlignedWritableAndSeparate) {
  for (int round = 0; round < 3; ++round) {
    std::vector<std::pair<char*, size_t>> blocks;
    for (int copy = 0; copy < 3; ++copy)
      for (size_t bytes : kSizes) {
        char* p = static_cast<char*>(allocate(bytes));
        ASSERT_NE(p, nullptr);
        ASSERT_EQ(reinterpret_cast<uintptr_t>(p) % 64, 0u);
        std::memset(p, static_cast<int>(blocks.size()), bytes);
        blocks.emplace_back(p, bytes);
      }
    for (size_t i = 0; i < blocks.size(); ++i) {
      const auto [p, bytes] = blocks[i];
      for (size_t k = 0; k < bytes; k += 61) ASSERT_EQ(p[k], static_cast<char>(i));
      if (bytes) {
        ASSERT_EQ(p[bytes - 1], static_cast<char>(i));
      }
    }
    for (auto [p, bytes] : blocks) deallocate(p, bytes);
  }
}

TEST(Allocator, EverySizeUpTo10000FitsItsClass) {
  for (size_t bytes = 0; bytes < 10000; ++bytes) {
    const int64_t before = memory_stats().in_use;
    void* p = allocate(bytes);
    const int64_t given = memory_stats().in_use - before;
    ASSERT_GE(given, int64_t(bytes));
    ASSERT_LE(given, std::max<int64_t>(64, int64_t(bytes) + int64_t(bytes) / 4 + 64));
    deallocate(p, bytes);
    ASSERT_EQ(memory_stats().in_use, before);
  }
}

TEST(Allocator, ReusesBlocks) {
  if (!kCaching) GTEST_SKIP() << "no caching under AddressSanitizer";
  for (size_t bytes : {size_t(100), size_t(100000), size_t(5) << 20}) {
    void* first = allocate(bytes);
    deallocate(first, bytes);
    void* second = allocate(bytes);
    EXPECT_EQ(first, second);
    deallocate(second, bytes);
  }
}

TEST(Allocator, LargeBlocksServeSmallerRequestsAndKeepTheirSize) {
  if (!kCaching) GTEST_SKIP() << "no caching under AddressSanitizer";
  constexpr size_t MB = 1 << 20;
  empty_cache();
  const int64_t before = memory_stats().in_use;
  void* large = allocate(12 * MB);
  const int64_t size = memory_stats().in_use - before;
  deallocate(large, 12 * MB);
  void* smaller = allocate(8 * MB);  // 1.5 times smaller
  EXPECT_EQ(smaller, large);
  EXPECT_EQ(memory_stats().in_use - before, size);
  void* half = allocate(6 * MB);
  deallocate(smaller, 8 * MB);
  void* whole = allocate(12 * MB);  // the block came back whole
  EXPECT_EQ(whole, large);
  std::memset(whole, 1, 12 * MB);
  deallocate(whole, 12 * MB);
  void* much_smaller = allocate(6 * MB);  // twice smaller: a block of its own
  EXPECT_NE(much_smaller, large);
  deallocate(half, 6 * MB);
  deallocate(much_smaller, 6 * MB);
  EXPECT_EQ(memory_stats().in_use, before);
  empty_cache();
  EXPECT_EQ(memory_stats().cached, 0);
}

TEST(Allocator, Statistics) {
  empty_cache();
  reset_peak_memory();
  const MemoryStats before = memory_stats();
  EXPECT_EQ(before.peak, before.in_use);
  EXPECT_EQ(before.cached, 0);
  void* small = allocate(128);
  void* large = allocate(4 << 20);
  MemoryStats now = memory_stats();
  EXPECT_EQ(now.in_use - before.in_use, 128 + (4 << 20));
  EXPECT_EQ(now.allocations - before.allocations, 2);
  deallocate(small, 128);
  deallocate(large, 4 << 20);
  now = memory_stats();
  EXPECT_EQ(now.in_use, before.in_use);
  EXPECT_EQ(now.peak - before.in_use, 128 + (4 << 20));
  EXPECT_EQ(now.cached, kCaching ? 128 + (4 << 20) : 0);
  empty_cache();
  EXPECT_EQ(memory_stats().cached, 0);
  reset_peak_memory();
  EXPECT_EQ(memory_stats().peak, before.in_use);
  deallocate(nullptr, 100);
}

TEST(Allocator, AbsurdSizesAreMemoryErrors) {
  for (size_t bytes : {~size_t(0), size_t(1) << 63, (size_t(1) << 62) + 1, size_t(1) << 60,
                       size_t(1) << 48, (size_t(1) << 47) - 1}) {
    try {
      allocate(bytes);
      ADD_FAILURE() << bytes;
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::Memory);
      EXPECT_NE(std::string(e.what()).find("asked for " + std::to_string(bytes) + " bytes"),
                std::string::npos)
          << e.what();
    }
  }
}

TEST(Allocator, LimitCountsWhatIsHeldAndFreesTheCacheFirst) {
  empty_cache();
  const int64_t base = memory_stats().in_use;
  set_memory_limit(base + (32 << 20));
  void* cached = allocate(20 << 20);
  deallocate(cached, 20 << 20);
  void* held = allocate(24 << 20);  // fits only when the cached block goes
  try {
    allocate(16 << 20);
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::Memory);
    EXPECT_NE(std::string(e.what()).find("with a limit of"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("(16 MiB)"), std::string::npos) << e.what();
  }
  void* small = allocate(4 << 20);
  deallocate(small, 4 << 20);
  deallocate(held, 24 << 20);
  set_memory_limit(0);
  void* large = allocate(64 << 20);
  deallocate(large, 64 << 20);
  empty_cache();
  EXPECT_EQ(memory_stats().in_use, base);
  EXPECT_THROW(set_memory_limit(-1), Error);
}

TEST(Allocator, BlocksPassBetweenThreads) {
  const MemoryStats before = memory_stats();
  for (int round = 0; round < 20; ++round) {
    std::vector<void*> made(3000);
    std::thread maker([&] {
      for (size_t i = 0; i < made.size(); ++i) {
        made[i] = allocate(64 + i);
        std::memset(made[i], 1, 64 + i);
      }
    });
    maker.join();  // the maker has ended when its blocks are freed
    std::thread user([&] {
      for (size_t i = 0; i < made.size(); ++i) deallocate(made[i], 64 + i);
    });
    user.join();
  }
  const MemoryStats after = memory_stats();
  EXPECT_EQ(after.in_use, before.in_use);
  EXPECT_EQ(after.allocations - before.allocations, 60000);
  EXPECT_LT(after.cached, before.cached + (32 << 20));  // reused, not piled up
}

TEST(Allocator, ManyThreadsAtOnce) {
  const int64_t before = memory_stats().in_use;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t] {
      std::vector<std::pair<char*, size_t>> mine;
      uint32_t seed = static_cast<uint32_t>(t) + 1;
      for (int i = 0; i < 20000; ++i) {
        seed = seed * 1664525u + 1013904223u;
        if (mine.size() < 50 && (seed >> 31)) {
          const size_t bytes = (seed >> 8) % ((seed & 15) ? 5000 : 300000);
          char* p = static_cast<char*>(allocate(bytes));
          if (bytes) p[0] = p[bytes - 1] = static_cast<char>(t);
          mine.emplace_back(p, bytes);
        } else if (!mine.empty()) {
          const size_t k = (seed >> 8) % mine.size();
          const auto [p, bytes] = mine[k];
          if (bytes) {
            ASSERT_EQ(p[0], static_cast<char>(t));
            ASSERT_EQ(p[bytes - 1], static_cast<char>(t));
          }
          deallocate(p, bytes);
          mine[k] = mine.back();
          mine.pop_back();
        }
      }
      for (auto [p, bytes] : mine) deallocate(p, bytes);
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(memory_stats().in_use, before);
  empty_cache();
}

TEST(Allocator, CacheStaysNearWhatWasInUse) {
  // Each size is a new class: without a roof, all 40 would stay cached.
  const int64_t peak = memory_stats().peak;
  for (int i = 0; i < 40; ++i) {
    const size_t bytes = size_t(8 + i) << 20;
    deallocate(allocate(bytes), bytes);
  }
  const MemoryStats now = memory_stats();
  EXPECT_LE(now.in_use + now.cached, 2 * std::max<int64_t>(peak, 64 << 20) + (257 << 20));
  empty_cache();
}

TEST(Allocator, ForkedChildAllocates) {
  std::atomic<bool> running{false}, stop{false};
  std::thread busy([&] {
    while (!stop) {
      deallocate(allocate(3 << 20), 3 << 20);
      running = true;
    }
  });
  while (!running) std::this_thread::yield();
  for (int i = 0; i < 20; ++i) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      alarm(20);
      for (size_t bytes : kSizes) {
        void* p = allocate(bytes);
        std::memset(p, 1, bytes);
        deallocate(p, bytes);
      }
      empty_cache();
      _exit(0);
    }
    int status = 1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  stop = true;
  busy.join();
}

// Freed by a thread that is past the end of its own cache.
struct FreesLate {
  void* block = nullptr;
  ~FreesLate() {
    if (block) deallocate(block, 100);
    deallocate(allocate(200), 200);
  }
};
thread_local FreesLate frees_late;

TEST(Allocator, ThreadLocalDestructors) {
  const int64_t before = memory_stats().in_use;
  std::thread([] {
    frees_late.block = nullptr;  // registered first, so destroyed last
    frees_late.block = allocate(100);
  }).join();
  EXPECT_EQ(memory_stats().in_use, before);
}

}  // namespace
}  // namespace gs
