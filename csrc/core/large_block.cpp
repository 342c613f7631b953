// Large blocks start a little after a 2 MB border, each at another place: arrays that all started
// at one would fall into the same cache sets. What they hold is noted on the border.
#include "core/large_block.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace gs {
namespace {

constexpr size_t kColours = 15, kColourStep = 4096 + 64;

struct alignas(64) Header {
  size_t bytes;
};

Header* header_of(const void* block) {
  return reinterpret_cast<Header*>(reinterpret_cast<uintptr_t>(block) / kHugePage * kHugePage);
}

size_t length_of(size_t bytes) { return sizeof(Header) + bytes + kColours * kColourStep; }

}  // namespace

void* map_large(size_t bytes) {
  static std::atomic<size_t> colour{0};
  const size_t shift =
      sizeof(Header) + colour.fetch_add(1, std::memory_order_relaxed) % kColours * kColourStep;
  const size_t length = length_of(bytes);
  void* mapped =
      mmap(nullptr, length + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  const auto start = reinterpret_cast<uintptr_t>(mapped);
  const uintptr_t border = (start + kHugePage - 1) / kHugePage * kHugePage;
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t end = (border + length + page - 1) / page * page;
  const uintptr_t mapped_end = (start + length + kHugePage + page - 1) / page * page;
  if (border > start) munmap(mapped, border - start);
  if (mapped_end > end) munmap(reinterpret_cast<void*>(end), mapped_end - end);
  madvise(reinterpret_cast<void*>(border), end - border, MADV_HUGEPAGE);
  void* const block = reinterpret_cast<void*>(border + shift);
  header_of(block)->bytes = bytes;
  return block;
}

void unmap_large(void* pointer) { munmap(header_of(pointer), length_of(size_of_large(pointer))); }

size_t size_of_large(const void* pointer) { return header_of(pointer)->bytes; }

}  // namespace gs
