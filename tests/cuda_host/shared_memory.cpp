#include <sys/mman.h>

#include <cstring>
#include <new>

#include "block.h"
#include "sanitizers.h"

namespace cuda_host {
namespace {

constexpr size_t kRedZone = kAsan ? 64 : 0;

void* map(void* at, size_t bytes) {
  const int fixed = at ? MAP_FIXED : 0;
  void* p = mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  return p;
}

}  // namespace

SharedMemory::~SharedMemory() {
  if (arena_) munmap(arena_, kMapped);
}

void SharedMemory::begin(size_t dynamic_bytes) {
  if (!arena_)
    arena_ = static_cast<char*>(map(nullptr, kMapped));
  else if (kTsan)
    map(arena_, kMapped);  // a new mapping: what the last block did there is forgotten
  variables_.clear();
  used_ = kRedZone, static_bytes_ = 0, dynamic_bytes_ = dynamic_bytes;
  poison(arena_, kArena);
}

void SharedMemory::end() { unpoison(arena_, kArena); }

void* SharedMemory::carve(size_t bytes, size_t align, const char* name) {
  const size_t at = (used_ + align - 1) / align * align;
  if (at + bytes + kRedZone > kArena) fail("shared memory: %s does not fit", name);
  void* p = arena_ + at;
  unpoison(p, bytes);
  std::memset(p, 0xff, bytes);
  used_ = at + bytes + kRedZone;
  return p;
}

void* SharedMemory::variable(const void* tag, size_t bytes, size_t align, const char* name) {
  for (const Variable& v : variables_)
    if (v.tag == tag) return v.at;
  static_bytes_ += bytes;
  if (static_bytes_ > kStatic) fail("more than 48 KB of static shared memory, with %s", name);
  void* p = carve(bytes, align, name);
  variables_.push_back({tag, p});
  return p;
}

void* SharedMemory::dynamic(size_t align) {
  static const char tag = 0;
  for (const Variable& v : variables_)
    if (v.tag == &tag) return v.at;
  void* p = carve(dynamic_bytes_, align, "dynamic shared memory");
  variables_.push_back({&tag, p});
  return p;
}

unsigned SharedMemory::offset(const void* p) const {
  const char* at = static_cast<const char*>(p);
  if (at < arena_ || at >= arena_ + kArena) fail("an address in shared memory was expected");
  return static_cast<unsigned>(at - arena_);
}

char* SharedMemory::mbarrier_token(const void* barrier, unsigned phase) const {
  return tokens() + (64 << 10) + 2 * offset(barrier) + 8 * phase;
}

void* shared_variable(const void* tag, size_t bytes, size_t align, const char* name) {
  Unseen unseen;
  return self().home->shared.variable(tag, bytes, align, name);
}
void* dynamic_shared(size_t align) {
  Unseen unseen;
  return self().home->shared.dynamic(align);
}
unsigned shared_offset(const void* p) { return self().home->shared.offset(p); }
char* shared_pointer(unsigned offset) { return self().home->shared.at(offset); }

}  // namespace cuda_host
