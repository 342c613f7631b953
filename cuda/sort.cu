// Stable sort and top-k along the middle of (outer, n, inner). A value becomes an unsigned key of
// the same order, and the key over its position an item; all items differ, so any sort of them is
// stable. Lists that fit a block are sorted in shared memory by a bitonic network; of longer ones
// the first few come from the first few of each part, round by round, and whole orders from a radix
// sort. Kernels find the positions; gather then fetches the values.
#include "kernels/kernels.h"
#include "kernels/params/index.h"
#include "kernels/params/sort.h"
#include "ordered.cuh"
#include "radix_sort.h"
#include "runtime/scratch.h"
#include "runtime/stream.h"

namespace gs::cuda {
namespace {

constexpr int kThreads = 512, kRoom = 2048;  // items sorted by a block
constexpr int64_t kMostRounds = 512;         // the largest k that goes round by round

// The lists of a call: list l is (o, j), its element i lies at ((o n) + i) inner + j.
struct Lists {
  const void* in;
  int64_t* indices;
  int64_t count, n, k, inner;
  DType dtype;
  bool descending;
  uint8_t unused[6] = {};  // kernels take no gaps

  GS_DEVICE int64_t place(int64_t list, int64_t length, int64_t i) const {
    return inner == 1 ? list * length + i : (list / inner * length + i) * inner + list % inner;
  }
  GS_DEVICE uint64_t key(int64_t list, int64_t i) const {
    const uint64_t key = ordered_element(in, dtype, place(list, n, i));
    return descending ? ~key : key;
  }
};

// Keys of up to 32 bits and as many positions; and those of 64.
struct Narrow {
  uint64_t bits;
  GS_DEVICE static Narrow make(uint64_t key, int64_t position) {
    return {key << 32 | static_cast<uint64_t>(position)};
  }
  GS_DEVICE static Narrow last() { return {~uint64_t(0)}; }
  GS_DEVICE int64_t position() const { return static_cast<int64_t>(bits & 0xffffffffu); }
  GS_DEVICE bool operator<(const Narrow& other) const { return bits < other.bits; }
};
struct Wide {
  uint64_t key, at;
  GS_DEVICE static Wide make(uint64_t key, int64_t position) {
    return {key, static_cast<uint64_t>(position)};
  }
  GS_DEVICE static Wide last() { return {~uint64_t(0), ~uint64_t(0)}; }
  GS_DEVICE int64_t position() const { return static_cast<int64_t>(at); }
  GS_DEVICE bool operator<(const Wide& other) const {
    return key != other.key ? key < other.key : at < other.at;
  }
};

// ---------------------------------------------------------------- within a block

// Sorts every `span` items of shared memory (a power of two). A warp's pairs lie within 64
// neighbours while they are up to 32 apart, and such steps wait for the warp alone.
template <class Item>
GS_DEVICE void bitonic_sort(Item* items, int span) {
  const int thread = static_cast<int>(threadIdx.x);
  for (int size = 2; size <= span; size *= 2) {
    for (int apart = size / 2; apart > 0; apart /= 2) {
      if (apart >= 32)
        __syncthreads();
      else
        __syncwarp();
      for (int pair = thread; pair < kRoom / 2; pair += kThreads) {
        const int low = 2 * pair - (pair & (apart - 1)), high = low + apart;
        const bool rising = (low & (span - 1) & size) == 0;
        const Item a = items[low], b = items[high];
        if ((b < a) == rising) {
          items[low] = b;
          items[high] = a;
        }
      }
    }
  }
  __syncthreads();
}

// Parts of `span` elements of lists of `length`: the values themselves, or candidates of an earlier
// round. Writes the first `keep` of each part as candidates, or as the result.
template <class Item>
__global__ void __launch_bounds__(kThreads)
    sort_parts_kernel(const Lists lists, const Item* candidates, int64_t length, int span,
                      int64_t parts, int64_t keep, Item* kept) {
  GS_SHARED(items, Item[kRoom]);
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t first = int64_t(blockIdx.x) * (kRoom / span), all = lists.count * parts;
  for (int e = thread; e < kRoom; e += kThreads) {
    const int64_t part = first + e / span;
    const int64_t list = part / parts, i = part % parts * span + e % span;
    Item item = Item::last();
    if (part < all && i < length)
      item = candidates ? candidates[list * length + i] : Item::make(lists.key(list, i), i);
    items[e] = item;
  }
  __syncthreads();
  bitonic_sort(items, span);
  for (int e = thread; e < kRoom; e += kThreads) {
    const int64_t part = first + e / span, i = e % span;
    if (part >= all || i >= keep) continue;
    if (kept)
      kept[part * keep + i] = items[e];
    else
      lists.indices[lists.place(part, keep, i)] = items[e].position();
  }
}

template <class Item>
void sort_parts(const Lists& lists, const Item* candidates, int64_t length, int64_t parts,
                int64_t keep, Item* kept) {
  int span = kRoom;
  while (parts == 1 && span > 2 && span / 2 >= length) span /= 2;
  launch({dim3(static_cast<unsigned>(ceil_div(lists.count * parts, kRoom / span))), dim3(kThreads),
          0, current_stream()},
         sort_parts_kernel<Item>, lists, candidates, length, span, parts, keep, kept);
}

// The first k of each part of a list go on to the next round, until one part is left.
template <class Item>
void first_few(const Lists& lists, const Item* candidates, int64_t length) {
  if (length <= kRoom) return sort_parts<Item>(lists, candidates, length, 1, lists.k, nullptr);
  const int64_t parts = ceil_div(length, kRoom);
  const Scratch<Item> kept(lists.count * parts * lists.k);
  sort_parts<Item>(lists, candidates, length, parts, lists.k, kept.data());
  first_few<Item>(lists, kept.data(), parts * lists.k);
}

// ---------------------------------------------------------------- in global memory

template <class Word>
__global__ void __launch_bounds__(kThreads) keys_kernel(const Lists lists, Word* keys) {
  const int64_t step = int64_t(gridDim.x) * kThreads;
  for (int64_t e = int64_t(blockIdx.x) * kThreads + threadIdx.x; e < lists.count * lists.n;
       e += step)
    keys[e] = static_cast<Word>(lists.key(e / lists.n, e % lists.n));
}

template <class Word>
__global__ void __launch_bounds__(kThreads)
    indices_kernel(const Lists lists, const Word* positions) {
  const int64_t step = int64_t(gridDim.x) * kThreads;
  for (int64_t e = int64_t(blockIdx.x) * kThreads + threadIdx.x; e < lists.count * lists.k;
       e += step) {
    const int64_t list = e / lists.k, i = e % lists.k;
    lists.indices[lists.place(list, lists.k, i)] =
        static_cast<int64_t>(positions[list * lists.n + i]);
  }
}

template <class Word>
void sort_all(const Lists& lists) {
  constexpr int64_t kMostBlocks = int64_t(1) << 20;
  const auto config = [](int64_t elements) {
    const int64_t blocks = ceil_div(elements, kThreads);
    return Config{dim3(static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks)),
                  dim3(kThreads), 0, current_stream()};
  };
  const int64_t all = lists.count * lists.n;
  const Scratch<Word> memory(4 * all);
  const SortBuffers<Word> from{memory.data(), memory.data() + all};
  const SortBuffers<Word> spare{memory.data() + 2 * all, memory.data() + 3 * all};
  launch(config(all), keys_kernel<Word>, lists, from.keys);
  const SortBuffers<Word> sorted =
      radix_sort(from, spare, lists.count, lists.n, key_bits(lists.dtype));
  launch(config(lists.count * lists.k), indices_kernel<Word>, lists, sorted.positions);
}

}  // namespace

void sort(const Sort& p) {
  if (p.k == 0 || p.outer == 0 || p.inner == 0) return;
  const Lists lists{p.in, p.indices, p.outer * p.inner, p.n, p.k, p.inner, p.dtype, p.descending};
  const bool wide = size_of(p.dtype) == 8 || p.n > int64_t(0xffffffff);
  if (p.n <= kRoom || p.k <= kMostRounds)
    wide ? first_few<Wide>(lists, nullptr, p.n) : first_few<Narrow>(lists, nullptr, p.n);
  else
    wide ? sort_all<uint64_t>(lists) : sort_all<uint32_t>(lists);
  gather({p.in, p.n * p.inner, p.inner, p.indices, p.values, size_of(p.dtype), p.outer, p.n, p.k,
          p.inner});
}

}  // namespace gs::cuda
