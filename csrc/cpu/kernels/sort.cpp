// Stable sort and top-k along one axis. Each element becomes one integer: the value's
// order-preserving bits above, its position below. All such integers differ, so any sort of them is
// a stable sort of the values.
#include <cstdint>

#include "core/parallel.h"
#include "cpu/isa.h"
#include "cpu/scratch.h"
#include "cpu/source.h"
#include "kernels/params/sort.h"

namespace gs::cpu {
namespace {

constexpr int64_t kInsertionLimit = 48;
__extension__ typedef unsigned __int128 uint128_t;

// ---------------------------------------------------------------- values as ordered integers

// NaN is largest, whatever its sign; -0 equals +0.
GS_INLINE uint32_t ordered(float x) {
  if (x != x) return 0xffffffffu;
  uint32_t bits;
  x = x + 0.0f;
  __builtin_memcpy(&bits, &x, 4);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
GS_INLINE uint64_t ordered(double x) {
  if (x != x) return ~uint64_t(0);
  uint64_t bits;
  x = x + 0.0;
  __builtin_memcpy(&bits, &x, 8);
  return bits >> 63 ? ~bits : bits | uint64_t(1) << 63;
}
GS_INLINE uint64_t ordered(int64_t x) { return static_cast<uint64_t>(x) ^ uint64_t(1) << 63; }
GS_INLINE uint32_t ordered(int32_t x) { return static_cast<uint32_t>(x) ^ 0x80000000u; }

// An item holds a 32-bit key over a 32-bit position, or a 64-bit key over a 64-bit position.
template <class Item>
inline constexpr int kHalfBits = sizeof(Item) * 4;

template <class Item>
GS_INLINE Item make_item(uint64_t key, int64_t position, bool descending) {
  const Item mask = (Item(1) << kHalfBits<Item>)-1;
  const Item ordered_key = (descending ? ~Item(key) : Item(key)) & mask;
  return ordered_key << kHalfBits<Item> | static_cast<Item>(position);
}
template <class Item>
GS_INLINE int64_t position_of(Item item) {
  return static_cast<int64_t>(item & ((Item(1) << kHalfBits<Item>)-1));
}

// Calls f(i, value) for n elements, `step` apart.
template <class C, class F>
GS_INLINE void each_value(const Source<C>& in, int64_t n, int64_t step, F f) {
  constexpr int64_t span = 256;
  C buffer[span];
  for (int64_t i = 0; i < n; i += span) {
    const int64_t m = n - i < span ? n - i : span;
    const C* v = step == 1 ? in.span(i, m, buffer) : in.gather(i * step, step, m, buffer);
    for (int64_t k = 0; k < m; ++k) f(i + k, v[k]);
  }
}

// ---------------------------------------------------------------- sorting items

template <class Item>
void insertion_sort(Item* items, int64_t n) {
  for (int64_t i = 1; i < n; ++i) {
    const Item item = items[i];
    int64_t at = i;
    for (; at > 0 && items[at - 1] > item; --at) items[at] = items[at - 1];
    items[at] = item;
  }
}

// Byte by byte of the key from the lowest. Each pass keeps the order of equal bytes, and the items
// come in order of position, so positions need no pass; nor does a byte that all keys share.
template <class Item>
Item* radix_sort(Item* items, Item* spare, int64_t n) {
  constexpr int passes = kHalfBits<Item> / 8;
  uint32_t small_counts[passes][256] = {};
  for (int64_t i = 0; i < n; ++i) {
    const auto key = static_cast<uint64_t>(items[i] >> kHalfBits<Item>);
    for (int pass = 0; pass < passes; ++pass) ++small_counts[pass][key >> (8 * pass) & 255];
  }
  for (int pass = 0; pass < passes; ++pass) {
    const int shift = kHalfBits<Item> + 8 * pass;
    const uint32_t* counts = small_counts[pass];
    if (counts[static_cast<int>(items[0] >> shift & 255)] == static_cast<uint32_t>(n)) continue;
    uint32_t starts[256], total = 0;
    for (int digit = 0; digit < 256; ++digit) {
      starts[digit] = total;
      total += counts[digit];
    }
    for (int64_t i = 0; i < n; ++i) {
      const int digit = static_cast<int>(items[i] >> shift & 255);
      spare[starts[digit]++] = items[i];
    }
    Item* swap = items;
    items = spare;
    spare = swap;
  }
  return items;
}

template <class Item>
void merge(const Item* a, int64_t na, const Item* b, int64_t nb, Item* out) {
  while (na > 0 && nb > 0) {
    const bool second = *b < *a;
    *out++ = second ? *b : *a;
    b += second;
    nb -= second;
    a += !second;
    na -= !second;
  }
  for (; na > 0; --na) *out++ = *a++;
  for (; nb > 0; --nb) *out++ = *b++;
}

// Returns the sorted items, in one of the two buffers. The radix sort counts in 32 bits: longer
// lists are sorted in two halves.
template <class Item>
Item* sort_items(Item* items, Item* spare, int64_t n) {
  if (n <= kInsertionLimit) {
    insertion_sort(items, n);
    return items;
  }
  if (n <= int64_t(0xffffffff)) return radix_sort(items, spare, n);
  const int64_t half = n / 2;
  Item* low = sort_items(items, spare, half);
  Item* high = sort_items(items + half, spare + half, n - half);
  if (low != items) {  // both into `items`
    for (int64_t i = 0; i < half; ++i) items[i] = low[i];
  }
  if (high != items + half) {
    for (int64_t i = 0; i < n - half; ++i) items[half + i] = high[i];
  }
  merge(items, half, items + half, n - half, spare);
  return spare;
}

// Lets the item at `at` sink to its place in a heap with the largest on top.
template <class Item>
GS_INLINE void sink(Item* heap, int64_t n, int64_t at) {
  const Item item = heap[at];
  for (int64_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
    if (child + 1 < n && heap[child + 1] > heap[child]) ++child;
    if (heap[child] <= item) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = item;
}

template <class Item>
void heap_sort(Item* heap, int64_t n) {
  for (int64_t last = n - 1; last > 0; --last) {
    const Item top = heap[0];
    heap[0] = heap[last];
    heap[last] = top;
    sink(heap, last, 0);
  }
}

// The k smallest in order, without sorting the rest: a heap of the best so far, whose top few items
// beat. Candidates of a span, often none, are picked by comparing its values with the top's alone:
// equal ones come later and lose. `in` is dense.
template <bool descending, class Item, class C>
void best_items(const Source<C>& in, int64_t n, int64_t k, Item* heap) {
  constexpr int64_t span = 64, block = 1024;
  alignas(64) C buffer[block];
  uint8_t places[span];
  const C* whole = n <= block ? in.span(0, n, buffer) : nullptr;
  const auto value_at = [&](int64_t i) { return whole ? whole[i] : in[i]; };
  for (int64_t i = 0; i < k; ++i) heap[i] = make_item<Item>(ordered(value_at(i)), i, descending);
  for (int64_t i = k / 2; i-- > 0;) sink(heap, k, i);
  C top = value_at(position_of(heap[0]));
  for (int64_t first = k; first < n; first += block) {
    const int64_t past = n - first < block ? n : first + block;
    const C* v = whole ? whole + first : in.span(first, past - first, buffer);
    for (int64_t i = first; i < past; i += span, v += span) {
      const int64_t m = past - i < span ? past - i : span;
      int any = m < span;
      if (!any)  // NaN is not below anything, and never falls out here
        for (int64_t j = 0; j < span; ++j) any |= descending ? !(v[j] <= top) : !(v[j] >= top);
      if (!any) continue;
      int count = 0;
      for (int64_t j = 0; j < m; ++j) {
        places[count] = static_cast<uint8_t>(j);
        count += descending ? !(v[j] <= top) : !(v[j] >= top);
      }
      for (int c = 0; c < count; ++c) {
        const Item item = make_item<Item>(ordered(v[places[c]]), i + places[c], descending);
        if (item >= heap[0]) continue;
        heap[0] = item;
        sink(heap, k, 0);
      }
      if (count) top = value_at(position_of(heap[0]));
    }
  }
  heap_sort(heap, k);
}

// The same for elements `stride` apart.
template <class Item, class MakeItem>
GS_INLINE void smallest_items(Item* heap, int64_t k, int64_t n, MakeItem item_at) {
  for (int64_t i = 0; i < k; ++i) heap[i] = item_at(i);
  for (int64_t i = k / 2; i-- > 0;) sink(heap, k, i);
  for (int64_t i = k; i < n; ++i) {
    const Item item = item_at(i);
    if (item >= heap[0]) [[likely]]
      continue;
    heap[0] = item;
    sink(heap, k, 0);
  }
  heap_sort(heap, k);
}

// ---------------------------------------------------------------- lanes

// A lane is one (outer, inner) pair: n elements, `inner` apart.
template <class Word, class Item>
void write_lane(const Sort& p, const Item* sorted, int64_t from, int64_t to) {
  const Word* in = static_cast<const Word*>(p.in) + from;
  Word* values = static_cast<Word*>(p.values) + to;
  int64_t* indices = p.indices + to;
  for (int64_t i = 0, k = p.k, step = p.inner; i < k; ++i) {
    const int64_t position = position_of(sorted[i]);
    values[i * step] = in[position * step];
    indices[i * step] = position;
  }
}

template <class C, class Item>
void sort_lanes(const Sort& p) {
  const auto write = [&] {  // values are moved: a type is its size
    if (sizeof(C) == 8) return &write_lane<uint64_t, Item>;
    const int64_t size = size_of(p.dtype);
    return size == 1   ? &write_lane<uint8_t, Item>
           : size == 2 ? &write_lane<uint16_t, Item>
                       : &write_lane<uint32_t, Item>;
  }();
  const bool heap = p.k <= p.n / 8;
  const int64_t room = heap ? p.k : p.n;
  const int64_t grain = 8192 / (p.n + 1) + 1;
  parallel_for(0, p.outer * p.inner, grain, [&](int64_t begin, int64_t end) {
    const Source<C> all(p.in, p.dtype);
    const int64_t n = p.n, k = p.k, inner = p.inner;
    const bool descending = p.descending;
    const Scratch<Item> items(room);
    const Scratch<Item> spare(heap ? 0 : room);
    for (int64_t lane = begin; lane < end; ++lane) {
      const int64_t o = lane / inner, j = lane % inner, first = o * n * inner + j;
      const Source<C> in = all + first;
      const auto make = [=](int64_t i, C v) { return make_item<Item>(ordered(v), i, descending); };
      const Item* sorted = items.get();
      if (heap && inner == 1) {
        (descending ? best_items<true, Item, C> : best_items<false, Item, C>)(in, n, k,
                                                                              items.get());
      } else if (heap) {
        smallest_items(items.get(), k, n, [&](int64_t i) { return make(i, in[i * inner]); });
      } else {
        Item* to = items.get();
        each_value(in, n, inner, [=](int64_t i, C v) { to[i] = make(i, v); });
        sorted = sort_items(items.get(), spare.get(), n);
      }
      write(p, sorted, first, o * k * inner + j);
    }
  });
}

}  // namespace

namespace GS_ISA {

void sort(const Sort& p) {
  if (p.k == 0 || p.outer == 0 || p.inner == 0) return;
  visit_wide(p.dtype, [&](auto tag) {
    using C = typename decltype(tag)::type;
    if constexpr (sizeof(C) == 8) {
      sort_lanes<C, uint128_t>(p);
    } else if (p.n <= int64_t(0xffffffff)) {
      sort_lanes<C, uint64_t>(p);
    } else {
      sort_lanes<C, uint128_t>(p);
    }
  });
}

}  // namespace GS_ISA
}  // namespace gs::cpu
