#include "async.h"

#include "atomics.h"
#include "block.h"
#include "sanitizers.h"

namespace cuda_host {

void WorkGroups::commit() {
  committed.push_back(std::move(open));
  open.clear();
}

void WorkGroups::wait(int pending) {
  while (static_cast<int>(committed.size()) > pending) {
    for (const Work& work : committed.front()) work();
    committed.pop_front();
  }
}

// ------------------------------------------------------------------ cp.async

void copy_async(void* shared, const void* global, unsigned bytes, unsigned valid) {
  const uintptr_t from = valid ? reinterpret_cast<uintptr_t>(global) : 0;
  if ((reinterpret_cast<uintptr_t>(shared) | from) % bytes)
    fail("cp.async: an address is not aligned to %u bytes", bytes);
  count_access(global, valid, false);
  count_access(shared, bytes, true);
  Unseen unseen;
  auto* to = static_cast<unsigned char*>(shared);
  for (unsigned i = 0; i < bytes; ++i) to[i] = 0xff;  // nobody may look before the wait
  self().copies.open.push_back([=] {
    const auto* source = static_cast<const unsigned char*>(global);
    for (unsigned i = 0; i < bytes; ++i) to[i] = i < valid ? source[i] : 0;
  });
}
void commit_copies() {
  Unseen unseen;
  self().copies.commit();
}
void wait_copies(int pending) {
  Unseen unseen;
  self().copies.wait(pending);
}

// ------------------------------------------------------------------ mbarriers

namespace {

// The 64 bits of a barrier: phase, arrivals still missing, arrivals of a phase, bytes still to
// come.
struct Fields {
  unsigned phase, missing, arrivals;
  int32_t bytes;
};
constexpr uint64_t kNeverSet = ~uint64_t(0);  // shared memory is filled with ones
constexpr unsigned kMostArrivals = (1 << 15) - 1;
constexpr int64_t kMostBytes = (1 << 20) - 1;

Fields fields_of(uint64_t bits) {
  return {static_cast<unsigned>(bits & 1), static_cast<unsigned>(bits >> 1 & 0x7fff),
          static_cast<unsigned>(bits >> 16 & 0x7fff), static_cast<int32_t>(bits >> 32)};
}

void store(uint64_t* barrier, const Fields& f) {
  *barrier = uint64_t(f.phase) | uint64_t(f.missing) << 1 | uint64_t(f.arrivals) << 16 |
             uint64_t(static_cast<uint32_t>(f.bytes)) << 32;
}

// A barrier that has been set up.
Fields fields_at(const uint64_t* barrier, const char* file, int line) {
  if (shared_offset(barrier) % 8)
    fail("mbarrier at %s:%d: the address is no multiple of 8", file, line);
  const Fields f = fields_of(*barrier);
  if (*barrier == kNeverSet || f.arrivals == 0)
    fail("the mbarrier at %s:%d is used before its init is seen", file, line);
  return f;
}

// Ends the phase when nothing is missing, and wakes who waited for that.
void settle(uint64_t* barrier, Fields f, Block& block) {
  if (f.missing == 0 && f.bytes == 0) {
    f.phase ^= 1;
    f.missing = f.arrivals;
    std::erase_if(block.mbarrier_waits, [&](const MbarrierWait& w) {
      if (w.barrier != barrier || w.parity == f.phase) return false;
      wake(*w.thread);
      return true;
    });
  }
  store(barrier, f);
}

}  // namespace

void mbarrier_init(uint64_t* barrier, unsigned arrivals) {
  if (shared_offset(barrier) % 8 || arrivals == 0 || arrivals > kMostArrivals)
    fail("mbarrier init: %u arrivals, or an address that is no multiple of 8", arrivals);
  store(barrier, {0, arrivals, arrivals, 0});
}

void mbarrier_arrive(uint64_t* barrier, unsigned arrivals, int64_t expected_bytes, const char* file,
                     int line) {
  Unseen unseen;
  Fields f = fields_at(barrier, file, line);
  if (f.missing < arrivals)
    fail("more arrivals at the mbarrier at %s:%d than its count %u", file, line, f.arrivals);
  if (f.bytes + expected_bytes > kMostBytes)
    fail("more than 2^20 - 1 bytes are expected at the mbarrier at %s:%d", file, line);
  Block& block = *self().home;
  release(block.shared.mbarrier_token(barrier, f.phase));
  f.missing -= arrivals;
  f.bytes += static_cast<int32_t>(expected_bytes);
  settle(barrier, f, block);
}

Work bytes_coming(uint64_t* barrier, unsigned bytes) {
  Block* block = self().home;  // no thread runs when the engine is through
  ++block->bulk_copies;
  return [=] {
    --block->bulk_copies;
    Fields f = fields_of(*barrier);
    f.bytes -= static_cast<int32_t>(bytes);
    settle(barrier, f, *block);
  };
}

void mbarrier_wait(uint64_t* barrier, unsigned parity, const char* file, int line) {
  Unseen unseen;
  fields_at(barrier, file, line);
  Block& block = *self().home;
  while (fields_of(*barrier).phase == parity) {  // the phase of this parity has not ended
    block.mbarrier_waits.push_back({barrier, parity, &self()});
    wait_here("mbarrier wait", file, line);
  }
  acquire(block.shared.mbarrier_token(barrier, parity));
}

// ------------------------------------------------------------------ fences

// Fence, then atomic: publishes. Atomic, then fence: receives. Only ThreadSanitizer asks.
void fence() {
  Unseen unseen;
  for (void* at : self().atomics) acquire(at);
  self().atomics.clear();
  self().fenced = true;
}
void atomic_done(void* at) {
  if (!kTsan) return;
  Unseen unseen;
  if (self().fenced) release(at);
  self().atomics.push_back(at);
}

}  // namespace cuda_host
