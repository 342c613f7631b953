// Eight bits a pass, from the lowest. A pass counts the digits of each block's part, sums the
// counts up over the blocks, and moves the keys: blocks in order, in a block warps in order, in a
// warp lanes in order, so that equal keys keep their order.
#include "radix_sort.h"

#include "block_scan.cuh"
#include "runtime/scratch.h"
#include "runtime/stream.h"
#include "scan_counts.h"
#include "vec.cuh"

namespace gs::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32, kRounds = 8;
constexpr int kPart = kThreads * kRounds;  // keys of a block
constexpr int kDigitBits = 8, kDigits = 1 << kDigitBits;
static_assert(kDigits == kThreads);  // a thread for each digit

template <class Word>
GS_DEVICE int digit_of(Word key, int shift) {
  return static_cast<int>(key >> shift) & (kDigits - 1);
}

// counts: (list, digit, block).
template <class Word>
__global__ void __launch_bounds__(kThreads)
    count_kernel(const Word* keys, int64_t n, int64_t blocks, int shift, int64_t* counts) {
  GS_SHARED(of_digit, int[kDigits]);
  const int thread = static_cast<int>(threadIdx.x);
  const unsigned each = static_cast<unsigned>(blocks);
  const int64_t list = blockIdx.x / each, block = blockIdx.x % each;
  of_digit[thread] = 0;
  __syncthreads();
  const Word* own = keys + list * n;
  GS_UNROLL for (int r = 0; r < kRounds; ++r) {
    const int64_t i = block * kPart + r * kThreads + thread;
    if (i < n) atomicAdd(&of_digit[digit_of(own[i], shift)], 1);
  }
  __syncthreads();
  counts[(list * kDigits + thread) * blocks + block] = of_digit[thread];
}

// The lanes whose digit is the same, among those that take part.
GS_DEVICE unsigned lanes_like(int digit, bool active) {
  unsigned peers = __ballot_sync(kFullWarp, active);
  GS_UNROLL for (int bit = 0; bit < kDigitBits; ++bit) {
    const unsigned set = __ballot_sync(kFullWarp, digit >> bit & 1);
    peers &= digit >> bit & 1 ? set : ~set;
  }
  return peers;
}

// totals: (list, digit). positions null: the first pass, in which they are made.
template <class Word>
__global__ void __launch_bounds__(kThreads)
    move_kernel(const Word* keys, const Word* positions, Word* to_keys, Word* to_positions,
                int64_t n, int64_t blocks, int shift, const int64_t* counts,
                const int64_t* totals) {
  GS_SHARED(of_warp, unsigned[kWarps][kDigits]);
  GS_SHARED(starts, int64_t[kDigits]);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const unsigned each = static_cast<unsigned>(blocks);
  const int64_t list = blockIdx.x / each, block = blockIdx.x % each;
  for (int w = 0; w < kWarps; ++w) of_warp[w][thread] = 0;
  __syncthreads();

  // Each warp ranks its own part, 32 keys at a time.
  const int64_t first = block * kPart + warp * (32 * kRounds) + lane;
  Word key[kRounds], position[kRounds];
  unsigned rank[kRounds];
  GS_UNROLL for (int r = 0; r < kRounds; ++r) {
    const int64_t i = first + r * 32;
    key[r] = i < n ? keys[list * n + i] : 0;
    position[r] = i < n && positions ? positions[list * n + i] : static_cast<Word>(i);
  }
  GS_UNROLL for (int r = 0; r < kRounds; ++r) {
    const bool active = first + r * 32 < n;
    const int digit = digit_of(key[r], shift);
    const unsigned peers = lanes_like(digit, active);
    const int before = __popc(peers & ((1u << lane) - 1));
    const unsigned so_far = of_warp[warp][digit];
    __syncwarp();
    if (active && before == 0) of_warp[warp][digit] = so_far + static_cast<unsigned>(__popc(peers));
    __syncwarp();
    rank[r] = so_far + static_cast<unsigned>(before);
  }
  __syncthreads();

  // Where each digit of this block, and of each of its warps, begins.
  const int64_t row = list * kDigits + thread;
  int64_t all;
  const int64_t digit_start = exclusive_scan<kThreads>(totals[row], Plus(), int64_t(0), &all);
  starts[thread] = digit_start + counts[row * blocks + block];
  unsigned running = 0;
  for (int w = 0; w < kWarps; ++w) {
    const unsigned count = of_warp[w][thread];
    of_warp[w][thread] = running;
    running += count;
  }
  __syncthreads();

  GS_UNROLL for (int r = 0; r < kRounds; ++r) {
    if (first + r * 32 >= n) continue;
    const int digit = digit_of(key[r], shift);
    const int64_t to = list * n + starts[digit] + of_warp[warp][digit] + rank[r];
    to_keys[to] = key[r];
    to_positions[to] = position[r];
  }
}

}  // namespace

template <class Word>
SortBuffers<Word> radix_sort(SortBuffers<Word> from, SortBuffers<Word> spare, int64_t lists,
                             int64_t n, int bits) {
  if (lists * n == 0) return from;
  const int64_t blocks = ceil_div(n, kPart);
  const Scratch<int64_t> counts(lists * kDigits * blocks), totals(lists * kDigits);
  const Config config{dim3(static_cast<unsigned>(lists * blocks)), dim3(kThreads), 0,
                      current_stream()};
  for (int shift = 0; shift < bits; shift += kDigitBits) {
    launch(config, count_kernel<Word>, from.keys, n, blocks, shift, counts.data());
    scan_counts(counts.data(), lists * kDigits, blocks, totals.data());
    launch(config, move_kernel<Word>, from.keys, shift == 0 ? nullptr : from.positions, spare.keys,
           spare.positions, n, blocks, shift, counts.data(), totals.data());
    const SortBuffers<Word> done = spare;
    spare = from;
    from = done;
  }
  return from;
}

template SortBuffers<uint32_t> radix_sort(SortBuffers<uint32_t>, SortBuffers<uint32_t>, int64_t,
                                          int64_t, int);
template SortBuffers<uint64_t> radix_sort(SortBuffers<uint64_t>, SortBuffers<uint64_t>, int64_t,
                                          int64_t, int);

}  // namespace gs::cuda
