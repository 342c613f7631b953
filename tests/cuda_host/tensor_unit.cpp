#include "tensor_unit.h"

#include <bit>
#include <cstring>

#include "block.h"
#include "runtime_api.h"
#include "sanitizers.h"

namespace cuda_host {
namespace {

constexpr unsigned kLine = 128, kAtom = 8 * kLine;  // eight lines, over which the swizzle repeats

// The swizzle of 128 bytes: which of a line's eight pieces of 16 bytes depends on the line.
unsigned swizzled(unsigned offset) { return offset ^ (offset >> 7 & 7) << 4; }

void need_hopper(const char* what) {
  if (options().capability != 90) fail("%s on a device that is no Hopper", what);
}

}  // namespace

// ------------------------------------------------------------------ copies of boxes

bool is_valid(const TensorMap& map) {
  if (reinterpret_cast<uintptr_t>(map.base) % 16 || map.stride[0] != map.element_bytes)
    return false;
  for (int i = 0; i < 4; ++i) {
    if (map.size[i] == 0 || map.size[i] > uint64_t(1) << 32) return false;
    if (i > 0 && (map.stride[i] % 16 || map.stride[i] == 0 || map.stride[i] >= uint64_t(1) << 40))
      return false;
  }
  for (const uint32_t n : map.box)
    if (n == 0 || n > 256) return false;
  return map.box[0] * map.element_bytes == kLine;  // a shorter line would be another layout
}

namespace {

// One line of a box: what lies inside the tensor, zeros around it.
void copy_line(const TensorMap& map, const int32_t (&at)[4], unsigned line, unsigned char* to,
               unsigned offset) {
  const int64_t y = int64_t(at[1]) + line;
  bool inside = y >= 0 && y < static_cast<int64_t>(map.size[1]);
  for (int i = 2; i < 4; ++i) inside &= at[i] >= 0 && at[i] < static_cast<int64_t>(map.size[i]);
  const char* from = map.base + y * static_cast<int64_t>(map.stride[1]) +
                     at[2] * static_cast<int64_t>(map.stride[2]) +
                     at[3] * static_cast<int64_t>(map.stride[3]);
  for (unsigned i = 0; i < map.box[0]; ++i) {
    const int64_t x = int64_t(at[0]) + i;
    const unsigned place = swizzled(offset + i * map.element_bytes) - offset;
    unsigned char* element = to + static_cast<int>(place);
    if (inside && x >= 0 && x < static_cast<int64_t>(map.size[0]))
      std::memcpy(element, from + x * map.element_bytes, map.element_bytes);
    else
      std::memset(element, 0, map.element_bytes);
  }
}

}  // namespace

void copy_tensor(void* shared, const TensorMap& map, const int32_t (&at)[4], uint64_t* barrier) {
  need_hopper("a bulk tensor copy");
  Unseen unseen;
  const unsigned lines = map.box[1], bytes = lines * kLine, offset = shared_offset(shared);
  if (!is_valid(map)) fail("a bulk tensor copy is given something that is no tensor map");
  if (offset % kAtom) fail("a bulk tensor copy goes to an address that is no multiple of 1024");
  auto* to = static_cast<unsigned char*>(shared);
  std::memset(to, 0xff, bytes);  // nobody may look before the barrier
  const Work arrived = bytes_coming(barrier, bytes);
  run_some_time([=, place = std::to_array(at)] {
    const int32_t from[4] = {place[0], place[1], place[2], place[3]};
    for (unsigned line = 0; line < lines; ++line)
      copy_line(map, from, line, to + line * kLine, offset + line * kLine);
    arrived();
  });
}

// ------------------------------------------------------------------ wgmma

namespace {

constexpr int kGroupRows = 64;

// An operand in shared memory. Along k: lines of k, eight of them an atom, the atoms `stride`
// apart. Otherwise lines of rows, 128 bytes of them, eight lines (of k) an atom; `stride` leads to
// the next eight of k and `leading` to the next rows.
struct Operand {
  unsigned start, leading, stride;
  bool along_k;
  unsigned bytes;  // of an element

  Operand(uint64_t d, bool along, unsigned element_bytes)
      : start((d & 0x3fff) << 4),
        leading((d >> 16 & 0x3fff) << 4),
        stride((d >> 32 & 0x3fff) << 4),
        along_k(along),
        bytes(element_bytes) {
    if (d >> 62 != 1) fail("wgmma: a descriptor without the swizzle of 128 bytes");
    if (d & 0x3fff'c000'c000'c000) fail("wgmma: a descriptor with bits that should be 0");
    if (along_k ? start % kLine + 32 > kLine || start % kAtom >= kLine : start % kAtom != 0)
      fail("wgmma: an operand begins in the middle of a swizzled atom");
    if (stride % kAtom || (!along_k && leading % kAtom))
      fail("wgmma: an operand's strides are no multiples of 1024");
  }

  unsigned at(unsigned row, unsigned k) const {
    const unsigned per_line = kLine / bytes;
    const unsigned plain = along_k ? row / 8 * stride + row % 8 * kLine + k * bytes
                                   : row / per_line * leading + row % per_line * bytes +
                                         k / 8 * stride + k % 8 * kLine;
    return swizzled(start + plain);
  }
};

float value_at(const char* p, Element element) {
  if (element == Element::Tf32) {
    uint32_t bits;
    std::memcpy(&bits, p, 4);
    return std::bit_cast<float>(bits & ~0x1fffu);
  }
  uint16_t bits;
  std::memcpy(&bits, p, 2);
  if (element == Element::BFloat16) return std::bit_cast<float>(uint32_t(bits) << 16);
  __extension__ using Float16 = _Float16;
  return static_cast<float>(std::bit_cast<Float16>(bits));
}

// The part of thread 32 w + 4 g + t of its warpgroup: rows 16 w + g and eight further, of every
// eight columns 2 t and the next.
void multiply_part(const SharedMemory& shared, float* d, const GroupProduct& p, unsigned thread) {
  const unsigned bytes = p.element == Element::Tf32 ? 4 : 2, depth = 32 / bytes;
  const Operand a(p.a, p.a_along_k, bytes), b(p.b, p.b_along_k, bytes);
  const auto line = [&](const Operand& from, unsigned row, float* to) {
    for (unsigned k = 0; k < depth; ++k) to[k] = value_at(shared.at(from.at(row, k)), p.element);
  };
  const unsigned row = thread / 32 * 16 + thread % 32 / 4, col = thread % 4 * 2;
  float rows[2][16], column[16];
  line(a, row, rows[0]), line(a, row + 8, rows[1]);
  for (unsigned j = 0; j < static_cast<unsigned>(p.n) / 8; ++j) {
    for (unsigned c = 0; c < 2; ++c) {
      line(b, j * 8 + col + c, column);
      for (unsigned r = 0; r < 2; ++r) {
        float& to = d[j * 4 + r * 2 + c];
        float sum = p.keep ? to : 0;
        for (unsigned k = 0; k < depth; ++k) sum += rows[r][k] * column[k];
        to = sum;
      }
    }
  }
}

bool same(const GroupProduct& x, const GroupProduct& y) {
  return x.a == y.a && x.b == y.b && x.n == y.n && x.element == y.element &&
         x.a_along_k == y.a_along_k && x.b_along_k == y.b_along_k && x.keep == y.keep;
}

// The warp's lanes, and the four warps of a warpgroup one after the other, ask for the same.
void compare_with_others(const GroupProduct& product, const char* file, int line) {
  Thread& thread = self();
  GroupProduct first = product;
  static_assert(sizeof first <= Meeting::kBytes);
  Meeting* meeting = meet_warp(kFullMask, "wgmma", &product, sizeof product, false, file, line);
  std::memcpy(&first, meeting->brought[0], sizeof first);
  if (!same(first, product)) fail("wgmma at %s:%d: the lanes of a warp differ", file, line);
  leave_meeting(meeting);
  if (thread.lane) return;
  Unseen unseen;
  Block& block = *thread.home;
  if (thread.warp / 4 * 4 + 4 > block.warps.size())
    fail("wgmma at %s:%d outside a warpgroup of four warps", file, line);
  ProductOrder& order = block.product_orders[thread.warp / 4];
  const size_t mine = order.done[thread.warp % 4]++;
  if (mine == order.products.size()) order.products.push_back(product);
  if (!same(order.products[mine], product))
    fail("wgmma at %s:%d: the warps of a warpgroup differ", file, line);
}

}  // namespace

void issue_product(float* d, const GroupProduct& product, const char* file, int line) {
  need_hopper("wgmma");
  compare_with_others(product, file, line);
  Unseen unseen;
  Thread& thread = self();
  if (!thread.product_fence)
    fail("wgmma at %s:%d: no wgmma.fence since registers were written", file, line);
  const int sums = product.n / 2;
  HeldSums* held = nullptr;
  for (HeldSums& h : thread.held_sums)
    if (h.registers == d) held = &h;
  if (!held) {
    held = &thread.held_sums.emplace_back();
    held->registers = d;
    held->values.assign(d, d + sums);
    std::memset(d, 0xff, sizeof(float) * static_cast<size_t>(sums));  // not theirs until the wait
  }
  held->group = thread.product_groups;
  Work work = [values = held->values.data(), product, &shared = thread.home->shared,
               part = thread.warp % 4 * 32 + thread.lane] {
    multiply_part(shared, values, product, part);
  };
  WorkGroups& products = thread.products;
  bool late = !products.open.empty();  // they stay in order: behind a late one all are late
  for (const auto& group : products.committed) late |= !group.empty();
  if (late || random_number() % 3 == 0)
    products.open.push_back(std::move(work));
  else
    work();
}

void fence_products() { self().product_fence = true; }

void commit_products() {
  Unseen unseen;
  self().products.commit();
  ++self().product_groups;
}

void wait_products(int pending, const char* file, int line) {
  {
    Unseen unseen;
    Thread& thread = self();
    thread.products.wait(pending);
    thread.product_fence = false;
    std::erase_if(thread.held_sums, [&](const HeldSums& held) {
      if (held.group + static_cast<uint64_t>(pending) >= thread.product_groups) return false;
      std::memcpy(held.registers, held.values.data(), held.values.size() * sizeof(float));
      return true;
    });
  }
  // The products of all lanes are through before one of them says so to other threads.
  leave_meeting(meet_warp(kFullMask, "wgmma.wait_group", nullptr, 0, false, file, line));
}

}  // namespace cuda_host
