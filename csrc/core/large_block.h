// Blocks of 2 MB and more, mapped from the system on huge pages. For the allocator alone.
#pragma once

#include <cstddef>

namespace gs {

inline constexpr size_t kHugePage = size_t(2) << 20;

void* map_large(size_t bytes);  // null when there is no memory
void unmap_large(void* pointer);
size_t size_of_large(const void* pointer);  // the bytes it was mapped for

}  // namespace gs
