// Reading by index: rows and elements picked by integer arrays, the range of an index, triangles.
#include "kernels/kernels.h"
#include "kernels/params/index.h"
#include "runtime/graph.h"
#include "runtime/scratch.h"
#include "runtime/stream.h"
#include "tile.cuh"

namespace gs::cuda {
namespace {

constexpr int64_t kMostGrid = int64_t(1) << 30;

dim3 grid_of(int64_t blocks) {
  return dim3(static_cast<unsigned>(blocks < kMostGrid ? blocks : kMostGrid));
}
dim3 grid_for(int64_t threads) { return grid_of(ceil_div(threads, kTileThreads)); }

// Quotient and remainder; divisions of 64 bits are slow.
struct Divided {
  int64_t quotient, rest;
};
GS_DEVICE Divided divide(int64_t a, int64_t b) {
  if ((a | b) >> 32 == 0) {
    const uint32_t x = static_cast<uint32_t>(a), y = static_cast<uint32_t>(b), q = x / y;
    return {static_cast<int64_t>(q), static_cast<int64_t>(x - q * y)};
  }
  return {a / b, a % b};
}

// ---------------------------------------------------------------- whole rows

constexpr int kWordsEach = 4;  // words of one segment of a row that a thread copies

struct SelectedRows {
  const char* in;
  const int64_t* index;
  int64_t n_in, n_index, bytes;
  GS_DEVICE const char* row(int64_t r) const {
    const Divided at = divide(r, n_index);
    return in + (at.quotient * n_in + index[at.rest]) * bytes;
  }
};
struct TakenRows {
  const char* in;
  const int64_t* offsets;
  int64_t element_size;
  GS_DEVICE const char* row(int64_t r) const { return in + offsets[r] * element_size; }
};

// rows x segments of (x threads x kWordsEach) words; the tile's y is not used.
template <class Rows, class Word>
__global__ void __launch_bounds__(kTileThreads)
    copy_rows_kernel(const Rows from, Word* out, int64_t rows, int64_t words, int64_t segments,
                     const Tile tile) {
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t step = int64_t(gridDim.x) * tile.z();
  for (int64_t unit = int64_t(blockIdx.x) * tile.z() + tile.z_of(thread); unit < rows * segments;
       unit += step) {
    const Divided at = segments == 1 ? Divided{unit, 0} : divide(unit, segments);
    const Word* in = reinterpret_cast<const Word*>(from.row(at.quotient));
    Word* to = out + at.quotient * words;
    const int64_t first = at.rest * tile.x() * kWordsEach + tile.x_of(thread);
    Word moved[kWordsEach];
    GS_UNROLL for (int k = 0; k < kWordsEach; ++k) {
      const int64_t w = first + k * tile.x();
      if (w < words) moved[k] = in[w];
    }
    GS_UNROLL for (int k = 0; k < kWordsEach; ++k) {
      const int64_t w = first + k * tile.x();
      if (w < words) to[w] = moved[k];
    }
  }
}

template <class Word, class Rows>
void copy_words(const Rows& from, void* out, int64_t rows, int64_t bytes) {
  const int64_t words = bytes / static_cast<int64_t>(sizeof(Word));
  Tile tile;
  tile.x_bits = bits_for(ceil_div(words, kWordsEach), kTileBits);
  const int64_t segments = ceil_div(words, int64_t(tile.x()) * kWordsEach);
  launch({grid_of(ceil_div(rows * segments, tile.z())), dim3(kTileThreads), 0, current_stream()},
         copy_rows_kernel<Rows, Word>, from, out, rows, words, segments, tile);
}

// In the widest words that rows and both memories are multiples of.
template <class Rows>
void copy_rows(const Rows& from, const void* in, void* out, int64_t rows, int64_t bytes,
               int64_t alignment) {
  if (rows == 0 || bytes == 0) return;
  const int64_t all =
      static_cast<int64_t>(reinterpret_cast<uintptr_t>(in) | reinterpret_cast<uintptr_t>(out)) |
      bytes | alignment;
  if (all % 16 == 0) return copy_words<Pack<uint32_t, 4>>(from, out, rows, bytes);
  if (all % 8 == 0) return copy_words<uint64_t>(from, out, rows, bytes);
  if (all % 4 == 0) return copy_words<uint32_t>(from, out, rows, bytes);
  if (all % 2 == 0) return copy_words<uint16_t>(from, out, rows, bytes);
  copy_words<uint8_t>(from, out, rows, bytes);
}

// ---------------------------------------------------------------- single elements

template <class Word>
__global__ void __launch_bounds__(kTileThreads) gather_kernel(const Gather p) {
  const Word* in = static_cast<const Word*>(p.in);
  Word* out = static_cast<Word*>(p.out);
  const int64_t n = p.outer * p.m * p.inner, step = int64_t(gridDim.x) * kTileThreads;
  for (int64_t e = int64_t(blockIdx.x) * kTileThreads + threadIdx.x; e < n; e += step) {
    const Divided row = p.inner == 1 ? Divided{e, 0} : divide(e, p.inner);
    const int64_t o = divide(row.quotient, p.m).quotient;
    out[e] = in[o * p.in_outer_stride + p.index[e] * p.in_n_stride + row.rest];
  }
}

// Packs of V elements of one row; V is 1 where rows are no multiple of 16 bytes.
template <class Word, int V>
__global__ void __launch_bounds__(kTileThreads)
    triangle_kernel(const Word* in, Word* out, int64_t packs, int64_t rows, int64_t packs_a_row,
                    int64_t diagonal, bool upper) {
  const int64_t step = int64_t(gridDim.x) * kTileThreads;
  for (int64_t e = int64_t(blockIdx.x) * kTileThreads + threadIdx.x; e < packs; e += step) {
    const Divided at = divide(e, packs_a_row);
    const int64_t i = divide(at.quotient, rows).rest, j = at.rest * V;
    Pack<Word, V> pack = load_pack<Word, V>(in + e * V);
    GS_UNROLL for (int k = 0; k < V; ++k) {
      const bool above = j + k - i > diagonal, below = j + k - i < diagonal;
      if (upper ? below : above) pack.v[k] = Word(0);
    }
    store_pack<Word, V>(out + e * V, pack);
  }
}

template <class Word>
void triangle_words(const Triangle& p) {
  constexpr int V = kPackBytes / static_cast<int>(sizeof(Word));
  const Word* in = static_cast<const Word*>(p.in);
  Word* out = static_cast<Word*>(p.out);
  // Past the corners nothing changes.
  const int64_t low = p.diagonal < -p.rows ? -p.rows : p.diagonal;
  const int64_t diagonal = low > p.cols ? p.cols : low;
  const bool packed =
      p.cols % V == 0 && is_aligned(p.in, kPackBytes) && is_aligned(p.out, kPackBytes);
  const int64_t a_row = packed ? p.cols / V : p.cols, n = p.batch * p.rows * a_row;
  launch({grid_for(n), dim3(kTileThreads), 0, current_stream()},
         packed ? triangle_kernel<Word, V> : triangle_kernel<Word, 1>, in, out, n, p.rows, a_row,
         diagonal, p.upper);
}

// ---------------------------------------------------------------- the range of an index

struct Range {
  int64_t low, high;
};
struct Widest {
  GS_DEVICE Range operator()(Range a, Range b) const {
    return {a.low < b.low ? a.low : b.low, a.high > b.high ? a.high : b.high};
  }
};

// One range for each block, of n values or of n ranges. (The first value stands in for none.)
template <class T>
__global__ void __launch_bounds__(kTileThreads) range_kernel(const T* in, int64_t n, Range* out) {
  const auto at = [&](int64_t i) {
    if constexpr (std::is_same_v<T, Range>)
      return in[i];
    else
      return Range{in[i], in[i]};
  };
  Range range[1] = {at(0)};
  const int64_t step = int64_t(gridDim.x) * kTileThreads;
  for (int64_t i = int64_t(blockIdx.x) * kTileThreads + threadIdx.x; i < n; i += step)
    range[0] = Widest()(range[0], at(i));
  Tile tile;
  tile.y_bits = kTileBits;
  join_over_y(range, tile, Widest());
  if (threadIdx.x == 0) out[blockIdx.x] = range[0];
}

}  // namespace

void index_select(const IndexSelect& p) {
  const int64_t bytes = p.inner * p.element_size;
  copy_rows(SelectedRows{static_cast<const char*>(p.in), p.index, p.n_in, p.n_index, bytes}, p.in,
            p.out, p.outer * p.n_index, bytes, bytes);
}

void take(const Take& p) {
  // Rows begin anywhere, but whole elements apart.
  copy_rows(TakenRows{static_cast<const char*>(p.in), p.offsets, p.element_size}, p.in, p.out, p.n,
            p.inner * p.element_size, p.element_size);
}

void gather(const Gather& p) {
  const int64_t n = p.outer * p.m * p.inner;
  if (n == 0) return;
  const Config config{grid_for(n), dim3(kTileThreads), 0, current_stream()};
  switch (p.element_size) {
    case 1:
      return launch(config, gather_kernel<uint8_t>, p);
    case 2:
      return launch(config, gather_kernel<uint16_t>, p);
    case 4:
      return launch(config, gather_kernel<uint32_t>, p);
    default:
      return launch(config, gather_kernel<uint64_t>, p);
  }
}

void triangle(const Triangle& p) {
  if (p.batch * p.rows * p.cols == 0) return;
  switch (p.element_size) {
    case 1:
      return triangle_words<uint8_t>(p);
    case 2:
      return triangle_words<uint16_t>(p);
    case 4:
      return triangle_words<uint32_t>(p);
    default:
      return triangle_words<uint64_t>(p);
  }
}

void index_range(const IndexRange& p) {
  refuse_recording("index_range", "the host asks which indices there are.");
  constexpr int64_t kAThread = 8, kMostBlocks = 1024;
  const int64_t wanted = ceil_div(p.n, kTileThreads * kAThread);
  const int64_t blocks = wanted < kMostBlocks ? wanted : kMostBlocks;
  const Scratch<Range> ranges(blocks + 1);
  Range* const last = ranges.data() + (blocks > 1 ? blocks : 0);
  launch({grid_of(blocks), dim3(kTileThreads), 0, current_stream()}, range_kernel<int64_t>, p.index,
         p.n, ranges.data());
  if (blocks > 1)
    launch({dim3(1), dim3(kTileThreads), 0, current_stream()}, range_kernel<Range>, ranges.data(),
           blocks, last);
  Range range;
  check(cudaMemcpyAsync(&range, last, sizeof range, cudaMemcpyDeviceToHost, current_stream()),
        "index_range");
  synchronize(current_stream());
  *p.low = range.low;
  *p.high = range.high;
}

}  // namespace gs::cuda
