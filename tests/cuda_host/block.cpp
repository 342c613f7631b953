// A block's life, and where its threads meet.
#include "block.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "runtime_api.h"
#include "sanitizers.h"

#undef threadIdx
#undef blockIdx
#undef blockDim
#undef gridDim

namespace cuda_host {

void Block::begin(const dim3& size, const uint3& index, const dim3& grid, size_t dynamic_bytes) {
  count = size.x * size.y * size.z;
  returned = 0;
  if (threads.size() < count) threads.resize(count);
  warps.resize((count + 31) / 32);
  for (Warp& warp : warps) {
    for (WarpMeeting* meeting : warp.open) delete meeting;  // left over by a launch that failed
    warp = {};
  }
  for (Barrier& barrier : barriers) barrier = {};
  mbarrier_waits.clear();
  product_orders.assign((count + 127) / 128, {});
  bulk_copies = 0;
  shared.begin(dynamic_bytes);
  for (unsigned i = 0; i < count; ++i) {
    Thread& t = threads[i];
    t.thread = {i % size.x, i / size.x % size.y, i / size.x / size.y};
    t.block = index, t.block_dim = size, t.grid_dim = grid;
    t.lane = i % 32, t.warp = i / 32;
    t.state = State::Fresh, t.home = this, t.fiber = nullptr;
    t.fenced = false, t.atomics.clear(), t.copies.clear(), t.products.clear();
    t.product_fence = false, t.product_groups = 0, t.held_sums.clear();
    warps[t.warp].lanes |= 1u << t.lane;
  }
}

std::string Block::who_waits() const {
  std::map<std::string, int> places;
  for (unsigned i = 0; i < count; ++i) {
    const Thread& t = threads[i];
    if (t.state != State::Waiting) continue;
    ++places[std::string(t.waits_in) + " at " + t.file + ":" + std::to_string(t.line)];
  }
  std::string text;
  for (const auto& [place, n] : places)
    text += " " + std::to_string(n) + " thread(s) wait in " + place + ";";
  return text + " " + std::to_string(returned) + " of " + std::to_string(count) + " returned.";
}

// ------------------------------------------------------------------ barriers of a block

namespace {

void open_barrier(Barrier& b) {
  b.result[b.round & 1] = b.votes;
  b.arrived = b.votes = 0;
  b.file = nullptr;
  ++b.round;
  std::vector<Thread*> waiting;
  waiting.swap(b.waiting);
  if (options().order == Options::Reverse) std::reverse(waiting.begin(), waiting.end());
  for (Thread* thread : waiting) wake(*thread);
}

void open_meeting(Warp& warp, WarpMeeting* m) {
  m->to_leave = m->arrived;
  std::erase(warp.open, m);
  for (Thread* thread : m->waiting) wake(*thread);
  m->waiting.clear();
}

}  // namespace

int meet_block(int id, int threads, bool predicate, const char* what, const char* file, int line) {
  Unseen unseen;
  Thread& thread = self();
  Block& block = *thread.home;
  Barrier& b = block.barriers[id];
  if (threads == 0 && block.returned)
    fail("%s at %s:%d: %u thread(s) of the block have returned already", what, file, line,
         block.returned);
  if (b.arrived && (b.line != line || std::strcmp(b.file, file)))
    fail("%s: threads of one block wait at different barriers, %s:%d and %s:%d", what, b.file,
         b.line, file, line);
  b.file = file, b.line = line, b.expected = threads;
  const unsigned round = b.round;
  release(block.shared.barrier_token(id, round));
  ++b.arrived;
  b.votes += predicate;
  if (b.arrived == (threads ? threads : block.running())) {
    open_barrier(b);
  } else {
    b.waiting.push_back(&thread);
    wait_here(what, file, line);
  }
  acquire(block.shared.barrier_token(id, round));
  return b.result[round & 1];
}

// ------------------------------------------------------------------ meetings of a warp

namespace {

// The open meeting that this lane belongs to, or null. Lanes that wait for each other in vain are
// an error now, not a deadlock later.
WarpMeeting* find_meeting(const Warp& warp, unsigned mask, unsigned bit, const char* what,
                          const char* file, int line) {
  for (WarpMeeting* m : warp.open) {
    if (m->arrived & bit) continue;
    if (m->mask != mask) {
      if (m->mask & bit)
        fail("%s at %s:%d with mask %08x, while lanes of it wait in %s at %s:%d with mask %08x",
             what, file, line, mask, m->what, m->file, m->line, m->mask);
      continue;
    }
    if (m->line != line || std::strcmp(m->file, file) || std::strcmp(m->what, what))
      fail("lanes of one warp have parted: %s at %s:%d and %s at %s:%d", m->what, m->file, m->line,
           what, file, line);
    return m;
  }
  return nullptr;
}

WarpMeeting* new_meeting(unsigned mask, const char* what, bool orders, const char* file, int line) {
  static int made = 0;
  auto* m = new WarpMeeting;
  m->id = made++ % 4096;
  m->mask = mask, m->arrived = m->to_leave = 0, m->what = what, m->file = file, m->line = line;
  m->orders = orders;
  return m;
}

}  // namespace

Meeting* meet_warp(unsigned mask, const char* what, const void* bring, unsigned bytes, bool orders,
                   const char* file, int line) {
  Unseen unseen;
  Thread& thread = self();
  Warp& warp = thread.home->warps[thread.warp];
  const unsigned bit = 1u << thread.lane;
  if (!(mask & bit))
    fail("%s at %s:%d: the calling lane %u is not in its mask %08x", what, file, line, thread.lane,
         mask);
  WarpMeeting* m = find_meeting(warp, mask, bit, what, file, line);
  if (!m) {
    m = new_meeting(mask, what, orders, file, line);
    warp.open.push_back(m);
  }
  for (unsigned i = 0; i < bytes; ++i)
    m->brought[thread.lane][i] = static_cast<const unsigned char*>(bring)[i];
  m->arrived |= bit;
  char* token = thread.home->shared.meeting_token(m->id);
  if (orders) release(token);
  if (m->arrived == (mask & warp.lanes & ~warp.returned)) {
    open_meeting(warp, m);
  } else {
    m->waiting.push_back(&thread);
    wait_here(what, file, line);
  }
  if (orders) acquire(token);
  return m;
}

void leave_meeting(Meeting* meeting) {
  Unseen unseen;
  meeting->to_leave &= ~(1u << self().lane);
  if (!meeting->to_leave) delete static_cast<WarpMeeting*>(meeting);
}

// ------------------------------------------------------------------ the end of a thread

void Block::thread_returned(Thread& thread) {
  thread.state = State::Returned;
  ++returned;
  Warp& warp = warps[thread.warp];
  warp.returned |= 1u << thread.lane;
  for (size_t i = 0; i < warp.open.size();) {
    WarpMeeting* m = warp.open[i];
    if (m->arrived == (m->mask & warp.lanes & ~warp.returned))
      open_meeting(warp, m);
    else
      ++i;
  }
  for (const Barrier& b : barriers)
    if (b.arrived && b.expected == 0)
      fail("a thread returned while %d others wait in a barrier at %s:%d", b.arrived, b.file,
           b.line);
  if (!thread.held_sums.empty()) fail("a thread returned without waiting for its wgmma products");
  if (returned == count) finished();
}

void Block::finished() {
  if (bulk_copies) fail("a block ended while %d bulk copies were under way", bulk_copies);
  for (const ProductOrder& order : product_orders)
    for (const size_t done : order.done)
      if (done != order.products.size())
        fail("the warps of a warpgroup took part in different numbers of wgmma products");
}

}  // namespace cuda_host
