// Size classes, four to each power of two. A freed block goes on a list of its class: up to 64 KB
// first on a list of the thread, which takes no lock, then on one of the process. The list's link
// is written into the free block itself. A block of 2 MB and more may serve a request up to
// 1.75 times smaller, and remembers its own class.
#include "core/allocator.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <string>

#include "core/error.h"
#include "core/large_block.h"
#include "core/macros.h"
#include "core/thread_local.h"

#if defined(__SANITIZE_ADDRESS__)
#define GS_CACHING 0  // a reused block would hide what the sanitizer looks for
#else
#define GS_CACHING 1
#endif

namespace gs {
namespace {

// ---------------------------------------------------------------- size classes

constexpr size_t kAlignment = 64;
constexpr size_t kLargestThreadBlock = size_t(64) << 10;
constexpr size_t kLargestBlock = size_t(1)
                                 << (GS_CACHING ? 47 : 39);  // what one process can address
constexpr int64_t kThreadBytesPerClass = 256 << 10;
constexpr int64_t kPublishEvery = 1 << 20;
constexpr int64_t kCacheSlack = int64_t(256) << 20;

// 64, 128, 192, 256, then 2^k * (1.25, 1.5, 1.75, 2).
GS_INLINE int class_of(size_t bytes) {
  if (bytes <= 256) return bytes == 0 ? 0 : static_cast<int>((bytes - 1) >> 6);
  const int power = 63 - __builtin_clzll(bytes - 1);
  return 4 * (power - 8) + static_cast<int>(((bytes - 1) >> (power - 2)) & 3) + 4;
}
GS_INLINE size_t size_of_class(int c) {
  if (c < 4) return size_t(c + 1) << 6;
  return size_t(5 + c % 4) << (c / 4 + 5);
}
constexpr int kThreadClasses = 36;  // up to kLargestThreadBlock
constexpr int kClasses = 4 * (47 - 8) + 4;

struct Block {
  Block* next;
};

// ---------------------------------------------------------------- blocks of the system

void* take_from_system(size_t bytes) {
  if (GS_CACHING && bytes >= kHugePage) return map_large(bytes);
  return std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
}

void give_to_system(void* pointer, size_t bytes) {
  if (GS_CACHING && bytes >= kHugePage) return unmap_large(pointer);
  std::free(pointer);
}

// The class whose size a block that was handed out for `bytes` really has.
int class_of_block(void* pointer, size_t bytes) {
  const int k = class_of(bytes);
  if (GS_CACHING && size_of_class(k) >= kHugePage) return class_of(size_of_large(pointer));
  return k;
}

// ---------------------------------------------------------------- what a thread keeps

// Counters have one writer, their thread; atomics let memory_stats() read them. Plain load and
// store cost nothing, where an atomic addition costs as much as the whole allocation.
using Counter = std::atomic<int64_t>;
GS_INLINE int64_t get(const Counter& c) { return c.load(std::memory_order_relaxed); }
GS_INLINE void set(Counter& c, int64_t value) { c.store(value, std::memory_order_relaxed); }

struct ThreadCache {
  Block* head[kThreadClasses] = {};
  int32_t count[kThreadClasses] = {};
  uint32_t flushes_seen = 0;
  Counter in_use{
      0};  // not yet added to the process's count; negative when others' blocks were freed
  Counter in_use_high{0};
  Counter cached{0};
  Counter allocations{0};
  ThreadCache* next = nullptr;
  ThreadCache* previous = nullptr;
};

thread_local ThreadCache* my_cache GS_INITIAL_EXEC = nullptr;
thread_local bool thread_has_ended GS_INITIAL_EXEC = false;

// ---------------------------------------------------------------- what the process keeps

struct Central {
  std::mutex mutex;  // guards head, threads, limit and the lists
  Block* head[kClasses] = {};
  ThreadCache* threads = nullptr;
  std::atomic<int64_t> limit{0};
  std::atomic<int64_t> in_use{0}, peak{0}, cached{0}, allocations{0};
  std::atomic<int64_t> high_water{0};  // as peak, never reset
  std::atomic<uint32_t> flushes{
      0};  // empty_cache() calls, which each thread answers when it comes by
};

Central& central();

void raise_to(std::atomic<int64_t>& highest, int64_t value) {
  int64_t seen = highest.load(std::memory_order_relaxed);
  while (seen < value && !highest.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

// Adds `bytes` to the process's count, which stood at most `above` higher at some moment.
void publish(Central& c, int64_t bytes, int64_t above) {
  const int64_t before = c.in_use.fetch_add(bytes, std::memory_order_relaxed);
  raise_to(c.peak, before + above);
  raise_to(c.high_water, before + above);
}

void publish(Central& c, ThreadCache& t) {
  publish(c, get(t.in_use), get(t.in_use_high));
  set(t.in_use, 0);
  set(t.in_use_high, 0);
}

GS_INLINE void count_allocation(ThreadCache& t, int64_t size) {
  const int64_t now = get(t.in_use) + size;
  set(t.in_use, now);
  if (now > get(t.in_use_high)) set(t.in_use_high, now);
  set(t.allocations, get(t.allocations) + 1);
  if (now > kPublishEvery) [[unlikely]]
    publish(central(), t);
}

GS_INLINE void count_deallocation(ThreadCache& t, int64_t size) {
  const int64_t now = get(t.in_use) - size;
  set(t.in_use, now);
  if (now < -kPublishEvery) [[unlikely]]
    publish(central(), t);
}

// Everything handed out and kept. The mutex is held.
int64_t held_bytes(Central& c) {
  int64_t sum = c.in_use.load() + c.cached.load();
  for (ThreadCache* t = c.threads; t; t = t->next) sum += get(t->in_use) + get(t->cached);
  return sum;
}

// Gives cached blocks back, the largest first, until `enough` bytes have gone. The mutex is held.
void trim(Central& c, int64_t enough) {
  for (int k = kClasses - 1; k >= 0 && enough > 0; --k) {
    const int64_t size = static_cast<int64_t>(size_of_class(k));
    while (c.head[k] && enough > 0) {
      Block* block = c.head[k];
      c.head[k] = block->next;
      give_to_system(block, static_cast<size_t>(size));
      c.cached.fetch_sub(size, std::memory_order_relaxed);
      enough -= size;
    }
  }
}

// Moves all but `keep` blocks of a class to the process's list. The mutex is held.
void hand_over(Central& c, ThreadCache& t, int k, int keep) {
  const int64_t size = static_cast<int64_t>(size_of_class(k));
  int64_t moved = 0;
  while (t.count[k] > keep) {
    Block* block = t.head[k];
    t.head[k] = block->next;
    block->next = c.head[k];
    c.head[k] = block;
    --t.count[k];
    moved += size;
  }
  set(t.cached, get(t.cached) - moved);
  c.cached.fetch_add(moved, std::memory_order_relaxed);
}

void hand_over_all(Central& c, ThreadCache& t) {
  for (int k = 0; k < kThreadClasses; ++k) hand_over(c, t, k, 0);
}

// Leaves what the ending thread held to the others.
struct ThreadEnd {
  bool watched = false;
  ~ThreadEnd() {
    thread_has_ended = true;
    ThreadCache* t = my_cache;
    if (!t) return;
    my_cache = nullptr;
    Central& c = central();
    const std::lock_guard lock(c.mutex);
    hand_over_all(c, *t);
    publish(c, *t);
    c.allocations.fetch_add(get(t->allocations), std::memory_order_relaxed);
    (t->previous ? t->previous->next : c.threads) = t->next;
    if (t->next) t->next->previous = t->previous;
    delete t;
  }
};
thread_local ThreadEnd thread_end;

// Null in a thread that is ending: it then uses the process's lists alone.
ThreadCache* make_thread_cache() {
  if (thread_has_ended) return nullptr;
  auto* t = new ThreadCache;
  thread_end.watched = true;  // the first touch registers the destructor
  Central& c = central();
  const std::lock_guard lock(c.mutex);
  t->flushes_seen = c.flushes.load(std::memory_order_relaxed);
  t->next = c.threads;
  if (c.threads) c.threads->previous = t;
  c.threads = t;
  return my_cache = t;
}

// A fork copies the lists as they are, so no thread may be changing them: the forking thread holds
// the mutex across it. What other threads had on their own lists is lost to the child.
Central& central() {
  static Central* const instance = [] {
    static Central* made = new Central;  // never destroyed: tensors may be freed after main()
    pthread_atfork([] { made->mutex.lock(); }, [] { made->mutex.unlock(); },
                   [] { made->mutex.unlock(); });
    return made;
  }();
  return *instance;
}

// Made when the library is loaded: a fork beside the first use of the static above would leave the
// child waiting for its guard.
[[maybe_unused]] Central& made_at_load = central();

std::string readable(int64_t bytes) {
  constexpr const char* units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  for (; value >= 1024 && unit < 6; ++unit) value /= 1024;
  std::ostringstream text;
  text.precision(unit ? 3 : 4);
  text << value << ' ' << units[unit];
  return text.str();
}

[[noreturn]] void out_of_memory(size_t bytes) {
  const MemoryStats now = memory_stats();
  const int64_t limit = central().limit.load();
  raise(ErrorKind::Memory, "allocate", "out of memory: asked for ", bytes, " bytes (",
        readable(static_cast<int64_t>(std::min(bytes, size_t(INT64_MAX)))), "), while ",
        readable(now.in_use), " are in use and ", readable(now.cached), " are cached",
        limit > 0 ? ", with a limit of " + readable(limit) : std::string(), ".");
}

void answer_flush(Central& c, ThreadCache& t) {
  const std::lock_guard lock(c.mutex);
  t.flushes_seen = c.flushes.load(std::memory_order_relaxed);
  hand_over_all(c, t);
  trim(c, INT64_MAX);
}

// The class nearest above `k` that has a block to spare for it, or -1. The mutex is held.
int class_with_a_block(const Central& c, int k) {
  const int last = size_of_class(k) >= kHugePage ? std::min(k + 3, kClasses - 1) : k;
  for (int j = k; j <= last; ++j) {
    if (c.head[j]) return j;
  }
  return -1;
}

// The cache of this thread was of no help.
[[gnu::noinline]] void* allocate_slowly(size_t bytes) {
  if (bytes > kLargestBlock) out_of_memory(bytes);
  Central& c = central();
  ThreadCache* t = my_cache ? my_cache : make_thread_cache();
  if (t && t->flushes_seen != c.flushes.load(std::memory_order_relaxed)) answer_flush(c, *t);
  const int k = class_of(bytes);
  const size_t size = GS_CACHING ? size_of_class(k) : std::max(bytes, kAlignment);
  int64_t added = static_cast<int64_t>(size);

  void* pointer = nullptr;
  {
    const std::lock_guard lock(c.mutex);
    if (const int found = class_with_a_block(c, k); found >= 0) {
      pointer = c.head[found];
      c.head[found] = c.head[found]->next;
      added = static_cast<int64_t>(size_of_class(found));
      c.cached.fetch_sub(added, std::memory_order_relaxed);
    } else {
      // What is kept may reach the most that was ever in use, and then some; past that, or past the
      // limit, blocks of other sizes go first.
      const int64_t held = held_bytes(c), limit = c.limit.load();
      const int64_t needed = held - c.cached.load() + added;
      const int64_t roof = 2 * std::max(c.high_water.load(), needed) + kCacheSlack;
      if (held > roof - added) trim(c, held + added - roof);
      if (limit > 0 && held > limit - added && t) hand_over_all(c, *t);
      if (limit > 0) trim(c, held_bytes(c) - (limit - added));
      if (limit <= 0 || held_bytes(c) <= limit - added) {
        pointer = take_from_system(size);
        if (!pointer) {
          if (t) hand_over_all(c, *t);
          trim(c, INT64_MAX);
          pointer = take_from_system(size);
        }
      }
    }
  }
  if (!pointer) out_of_memory(bytes);
  if (t) {
    count_allocation(*t, added);
  } else {
    publish(c, added, added);
    c.allocations.fetch_add(1, std::memory_order_relaxed);
  }
  return pointer;
}

[[gnu::noinline]] void deallocate_slowly(void* pointer, size_t bytes) {
  Central& c = central();
  ThreadCache* t = my_cache ? my_cache : make_thread_cache();
  const int k = class_of_block(pointer, bytes);
  const size_t size = GS_CACHING ? size_of_class(k) : std::max(bytes, kAlignment);
  const int64_t freed = static_cast<int64_t>(size);
  if (t) {
    count_deallocation(*t, freed);
  } else {
    publish(c, -freed, 0);
  }
  const std::lock_guard lock(c.mutex);
  // Under the mutex too, because a fork waits for it: AddressSanitizer's own free() takes locks
  // that a child would find taken for ever.
  if (!GS_CACHING) return give_to_system(pointer, size);
  // Half the thread's list goes along, so that the next frees find room.
  if (t && k < kThreadClasses && t->count[k] > 0) hand_over(c, *t, k, t->count[k] / 2);
  auto* block = static_cast<Block*>(pointer);
  block->next = c.head[k];
  c.head[k] = block;
  c.cached.fetch_add(freed, std::memory_order_relaxed);
}

}  // namespace

void* allocate(size_t bytes) {
  ThreadCache* t = my_cache;
  if (GS_CACHING && bytes <= kLargestThreadBlock && t) [[likely]] {
    const int k = class_of(bytes);
    Block* block = t->head[k];
    if (block) [[likely]] {
      const int64_t size = static_cast<int64_t>(size_of_class(k));
      t->head[k] = block->next;
      --t->count[k];
      set(t->cached, get(t->cached) - size);
      count_allocation(*t, size);
      return block;
    }
  }
  return allocate_slowly(bytes);
}

void deallocate(void* pointer, size_t bytes) {
  if (!pointer) return;
  ThreadCache* t = my_cache;
  if (GS_CACHING && bytes <= kLargestThreadBlock && t) [[likely]] {
    const int k = class_of(bytes);
    const int64_t size = static_cast<int64_t>(size_of_class(k));
    if ((t->count[k] + 1) * size <= kThreadBytesPerClass) [[likely]] {
      auto* block = static_cast<Block*>(pointer);
      block->next = t->head[k];
      t->head[k] = block;
      ++t->count[k];
      set(t->cached, get(t->cached) + size);
      count_deallocation(*t, size);
      return;
    }
  }
  deallocate_slowly(pointer, bytes);
}

MemoryStats memory_stats() {
  Central& c = central();
  const std::lock_guard lock(c.mutex);
  MemoryStats stats{c.in_use.load(), 0, c.cached.load(), c.allocations.load()};
  int64_t high = stats.in_use;
  for (ThreadCache* t = c.threads; t; t = t->next) {
    stats.in_use += get(t->in_use);
    high += get(t->in_use_high);
    stats.cached += get(t->cached);
    stats.allocations += get(t->allocations);
  }
  raise_to(c.peak, std::max(high, stats.in_use));
  raise_to(c.high_water, std::max(high, stats.in_use));
  stats.peak = c.peak.load();
  return stats;
}

void reset_peak_memory() {
  Central& c = central();
  const std::lock_guard lock(c.mutex);
  int64_t now = c.in_use.load();
  for (ThreadCache* t = c.threads; t; t = t->next) {
    now += get(t->in_use);
    set(t->in_use_high, std::max<int64_t>(get(t->in_use), 0));
  }
  c.peak.store(now);
}

void empty_cache() {
  Central& c = central();
  c.flushes.fetch_add(1);
  if (my_cache) return answer_flush(c, *my_cache);
  const std::lock_guard lock(c.mutex);
  trim(c, INT64_MAX);
}

void set_memory_limit(int64_t bytes) {
  GS_CHECK(bytes >= 0, Value, "set_memory_limit", "expected at least 0 bytes, got ", bytes, ".");
  central().limit.store(bytes);
  const MemoryStats now = memory_stats();
  if (bytes > 0 && now.in_use + now.cached > bytes) empty_cache();
}

}  // namespace gs
