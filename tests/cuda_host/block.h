// The state of a running block: its threads, warps, barriers and shared memory. Only the
// scheduler's own files include this.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "async.h"
#include "collectives.h"
#include "fiber.h"
#include "language.h"
#include "tensor_unit.h"

namespace cuda_host {

struct Block;

// Work in order, cut into groups by commits: cp.async and wgmma.
struct WorkGroups {
  std::vector<Work> open;
  std::deque<std::vector<Work>> committed;
  void commit();
  void wait(int pending);
  void finish() { commit(), wait(0); }
  void clear() { open.clear(), committed.clear(); }
};

// Sums of products that are under way: not the thread's own until it has waited.
struct HeldSums {
  float* registers;
  std::vector<float> values;
  uint64_t group;  // the last that works on them
};
// The products of a warpgroup, so that its warps can be compared.
struct ProductOrder {
  std::vector<GroupProduct> products;
  size_t done[4] = {};  // by each warp
};

enum class State : uint8_t { Fresh, Ready, Waiting, Returned };

struct Thread : Context {
  State state;
  Block* home;
  Fiber* fiber;
  const char* waits_in;  // for the report of a deadlock
  const char* file;
  int line;
  bool fenced;                 // since then its atomics publish what it wrote before
  std::vector<void*> atomics;  // done since the last fence
  WorkGroups copies, products;
  bool product_fence;
  uint64_t product_groups;  // committed
  std::vector<HeldSums> held_sums;
};

struct WarpMeeting : Meeting {
  std::vector<Thread*> waiting;
  bool orders;
  int id;
};
struct Warp {
  unsigned lanes = 0, returned = 0;  // bit masks
  std::vector<WarpMeeting*> open;
};

struct Barrier {
  int arrived = 0, expected = 0, votes = 0;  // expected 0: the whole block
  unsigned round = 0;
  int result[2] = {0, 0};  // of the last two rounds: a thread may read late
  const char* file = nullptr;
  int line = 0;
  std::vector<Thread*> waiting;
};

struct MbarrierWait {
  uint64_t* barrier;
  unsigned parity;
  Thread* thread;
};

// One arena a block, red zones between its variables under AddressSanitizer.
class SharedMemory {
 public:
  static constexpr size_t kStatic = 48 << 10, kDynamic = 227 << 10;
  ~SharedMemory();
  void begin(size_t dynamic_bytes);  // a block starts
  void end();
  void* variable(const void* tag, size_t bytes, size_t align, const char* name);
  void* dynamic(size_t align);
  unsigned offset(const void* p) const;
  char* at(unsigned offset) const { return arena_ + offset; }
  // Addresses that stand for barriers in ThreadSanitizer's order of things. It tells them apart by
  // words of 8 bytes; they are forgotten with the block's memory.
  char* barrier_token(int id, unsigned round) const { return tokens() + 16 * id + 8 * (round & 1); }
  char* meeting_token(int id) const { return tokens() + 512 + 8 * id; }
  char* mbarrier_token(const void* barrier, unsigned phase) const;

 private:
  struct Variable {
    const void* tag;
    void* at;
  };
  static constexpr size_t kArena = 320 << 10, kTokens = (64 << 10) + 2 * kArena;
  static constexpr size_t kMapped = kArena + kTokens;
  void* carve(size_t bytes, size_t align, const char* name);
  char* tokens() const { return arena_ + kArena; }

  char* arena_ = nullptr;
  size_t used_ = 0, static_bytes_ = 0, dynamic_bytes_ = 0;
  std::vector<Variable> variables_;
};

struct Block {
  static constexpr int kBarriers = 16;
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  Barrier barriers[kBarriers];
  SharedMemory shared;
  std::vector<MbarrierWait> mbarrier_waits;
  std::vector<ProductOrder> product_orders;  // of each warpgroup
  int bulk_copies = 0;                       // under way
  unsigned count = 0, returned = 0;          // threads

  void begin(const dim3& size, const uint3& index, const dim3& grid, size_t dynamic_bytes);
  void thread_returned(Thread& thread);
  int running() const { return static_cast<int>(count - returned); }
  void finished();  // all threads have returned
  std::string who_waits() const;
};

// ------------------------------------------------------------------ what the scheduler offers them

inline Thread& self() { return *static_cast<Thread*>(current); }
void wake(Thread& thread);
void wait_here(const char* what, const char* file, int line);  // until somebody wakes it
uint64_t random_number();
void release_at_end();  // ThreadSanitizer: what this thread did comes before the end of the launch

}  // namespace cuda_host
