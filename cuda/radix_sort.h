// A stable sort of integer keys in device memory, in the current stream.
#pragma once

#include <cstdint>

namespace gs::cuda {

// Keys and positions before and after a pass. Word is uint32_t or uint64_t.
template <class Word>
struct SortBuffers {
  Word* keys;
  Word* positions;
};

// Sorts `lists` lists of n keys, each by itself, by the lowest `bits` bits (0 < bits). The keys lie
// in from.keys; positions are made: 0..n-1 of each list, in the order of its keys. Returns where
// the result is; both buffers are overwritten.
template <class Word>
SortBuffers<Word> radix_sort(SortBuffers<Word> from, SortBuffers<Word> spare, int64_t lists,
                             int64_t n, int bits);

// Bits of the numbers up to `highest`, at least 1.
inline int bits_of(int64_t highest) {
  int bits = 1;
  while (bits < 63 && highest >> bits) ++bits;
  return bits;
}

}  // namespace gs::cuda
