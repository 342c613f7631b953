// A block's 256 threads as z rows of y rows of x threads, powers of two chosen by the shape of the
// work: x runs along the dense kept axis, y along the axis that is worked off, z along what is
// left. The same kernel then serves long rows (x = 1), columns, and many short rows.
#pragma once

#include "reduce.cuh"
#include "vec.cuh"

namespace gs::cuda {

inline constexpr int kTileBits = 8, kTileThreads = 1 << kTileBits;
inline constexpr int64_t kEnoughBlocks = 1024;  // for every processor to be busy

struct Tile {
  int x_bits = 0, y_bits = 0;

  GS_HOST_DEVICE int x() const { return 1 << x_bits; }
  GS_HOST_DEVICE int y() const { return 1 << y_bits; }
  GS_HOST_DEVICE int z() const { return kTileThreads >> (x_bits + y_bits); }
  GS_HOST_DEVICE int x_of(int thread) const { return thread & (x() - 1); }
  GS_HOST_DEVICE int y_of(int thread) const { return (thread >> x_bits) & (y() - 1); }
  GS_HOST_DEVICE int z_of(int thread) const { return thread >> (x_bits + y_bits); }
};

// Bits of the smallest power of two that is at least n, and at most `most` of them.
inline int bits_for(int64_t n, int most) {
  int bits = 0;
  while (bits < most && (int64_t(1) << bits) < n) ++bits;
  return bits;
}

// A value of any type from the lane `lanes` further on; beyond the warp, one of no meaning.
template <class T>
GS_DEVICE T from_lane_above(T value, int lanes) {
  if constexpr (std::is_arithmetic_v<T>) {
    return __shfl_down_sync(kFullWarp, value, static_cast<unsigned>(lanes));
  } else {
    static_assert(sizeof(T) % sizeof(uint64_t) == 0);
    constexpr int kWords = sizeof(T) / sizeof(uint64_t);
    unsigned long long words[kWords];
    memcpy(words, &value, sizeof(T));
    GS_UNROLL for (int i = 0; i < kWords; ++i) words[i] =
        __shfl_down_sync(kFullWarp, words[i], static_cast<unsigned>(lanes));
    memcpy(&value, words, sizeof(T));
    return value;
  }
}

// Joins N values over the y of a tile, in a fixed order; the threads with y = 0 have the result.
// All threads of the block call it.
template <int N, class T, class Join>
GS_DEVICE void join_over_y(T (&values)[N], const Tile& tile, const Join& join) {
  GS_SHARED(others, T[N][kTileThreads]);
  const int thread = static_cast<int>(threadIdx.x);
  const int in_group = thread & ((1 << (tile.x_bits + tile.y_bits)) - 1);
  for (int apart = 1 << (tile.x_bits + tile.y_bits) >> 1; apart >= tile.x(); apart /= 2) {
    if (apart >= 32) {
      GS_UNROLL for (int i = 0; i < N; ++i) others[i][thread] = values[i];
      __syncthreads();
      if (in_group < apart) {
        GS_UNROLL for (int i = 0; i < N; ++i) values[i] =
            join(values[i], others[i][thread + apart]);
      }
      __syncthreads();
    } else {
      GS_UNROLL for (int i = 0; i < N; ++i) values[i] =
          join(values[i], from_lane_above(values[i], apart));
    }
  }
}

}  // namespace gs::cuda
