// Writing by index, without atomics and in the order of the indices. Short index lists are walked
// by one thread for each column of the output. Otherwise the positions are sorted by their target,
// stably: the additions to one target then lie side by side, and whoever has the first of them adds
// them up in order (in float for 16-bit types), or whoever has the last assigns it.
#include "kernels/kernels.h"
#include "kernels/params/index.h"
#include "radix_sort.h"
#include "runtime/scratch.h"
#include "runtime/stream.h"
#include "tile.cuh"

namespace gs::cuda {
namespace {

constexpr int64_t kShortList = 32;      // indices walked rather than sorted
constexpr int64_t kManyColumns = 4096;  // columns that walk longer lists of their own
constexpr int kInFlight = 4;
template <class T>  // of narrow integers a few: 16 bytes of them take too many registers
inline constexpr int kWritePack =
    std::is_integral_v<T> && sizeof(T) < 4 ? 4 : kPackBytes / static_cast<int>(sizeof(T));

// out[o out_outer + index(o, i, j) out_scale + j] receives src[o src_outer + i src_row + j], where
// index(o, i, j) = index[o index_outer + i index_row + j index_column]; strides in elements.
struct Writes {
  const void* src;
  int64_t src_outer, src_row;
  const int64_t* index;
  int64_t index_outer, index_row, index_column;
  void* out;
  int64_t out_outer, out_scale;
  int64_t outer, m, inner;
};

// ---------------------------------------------------------------- what is done to an element

struct Assign {
  static constexpr bool kAdds = false;
};
template <class T>
struct AddScaled {
  static constexpr bool kAdds = true;
  using Sum = compute_t<T>;
  Sum alpha;
  GS_DEVICE Sum operator()(Sum a, T b) const { return a + alpha * static_cast<Sum>(b); }
};
template <>
struct AddScaled<bool> {
  static constexpr bool kAdds = true;
  using Sum = bool;
  bool alpha;
  GS_DEVICE bool operator()(bool a, bool b) const { return a || (alpha && b); }
};
template <class T>
struct AddScaledWord : AddScaled<T> {  // narrow integers wrap
  GS_DEVICE T operator()(T a, T b) const {
    return static_cast<T>(uint64_t(a) + uint64_t(this->alpha) * uint64_t(b));
  }
};

// ---------------------------------------------------------------- short lists

// A thread for each (o, j).
template <class T, class Op>
__global__ void __launch_bounds__(kTileThreads) walk_kernel(const Writes w, const Op op) {
  const int64_t column = int64_t(blockIdx.x) * kTileThreads + threadIdx.x;
  if (column >= w.outer * w.inner) return;
  const int64_t o = column / w.inner, j = column % w.inner;
  const T* src = static_cast<const T*>(w.src) + o * w.src_outer + j;
  const int64_t* index = w.index + o * w.index_outer + j * w.index_column;
  T* out = static_cast<T*>(w.out) + o * w.out_outer + j;
  for (int64_t i = 0; i < w.m; i += kInFlight) {
    int64_t target[kInFlight];
    T x[kInFlight];
    GS_UNROLL for (int k = 0; k < kInFlight; ++k) {
      if (i + k >= w.m) continue;
      target[k] = index[(i + k) * w.index_row] * w.out_scale;
      x[k] = src[(i + k) * w.src_row];
    }
    GS_UNROLL for (int k = 0; k < kInFlight; ++k) {
      if (i + k >= w.m) continue;
      if constexpr (Op::kAdds)
        out[target[k]] = T(op(out[target[k]], x[k]));
      else
        out[target[k]] = x[k];
    }
  }
}

// ---------------------------------------------------------------- runs of one target

// Targets in rising order and what comes to them, of 32 or 64 bits.
struct Sorted {
  const void* keys;
  const void* positions;
  int64_t count, wide;
  GS_DEVICE int64_t read(const void* words, int64_t i) const {
    return wide ? static_cast<int64_t>(static_cast<const uint64_t*>(words)[i])
                : static_cast<int64_t>(static_cast<const uint32_t*>(words)[i]);
  }
  GS_DEVICE int64_t key(int64_t i) const { return read(keys, i); }
  GS_DEVICE int64_t position(int64_t i) const { return read(positions, i); }
};

// All of the run that begins at sorted place `at`, for V columns.
template <int V, class T, class Op>
GS_DEVICE void add_run(const Sorted& sorted, int64_t at, const T* src, int64_t src_row, T* out,
                       const Op& op) {
  const int64_t target = sorted.key(at);
  const Pack<T, V> before = load_pack<T, V>(out);
  typename Op::Sum sum[V];
  GS_UNROLL for (int v = 0; v < V; ++v) sum[v] = static_cast<typename Op::Sum>(before.v[v]);
  constexpr int kAhead = V == 1 ? 16 : kInFlight;  // long runs wait for nothing but memory
  for (bool more = true; more; at += kAhead) {
    Pack<T, V> x[kAhead];
    bool mine[kAhead];
    GS_UNROLL for (int k = 0; k < kAhead; ++k) {
      const int64_t i = at + k < sorted.count ? at + k : sorted.count - 1;
      const int64_t key = sorted.key(i), position = sorted.position(i);
      mine[k] = more = more && i == at + k && key == target;
      if (mine[k]) x[k] = load_pack<T, V>(src + position * src_row);
    }
    GS_UNROLL for (int k = 0; k < kAhead; ++k) {
      if (!mine[k]) continue;
      GS_UNROLL for (int v = 0; v < V; ++v) sum[v] = op(sum[v], x[k].v[v]);
    }
  }
  Pack<T, V> after;
  GS_UNROLL for (int v = 0; v < V; ++v) after.v[v] = T(sum[v]);
  store_pack<T, V>(out, after);
}

template <int V, class T, class Op>
GS_DEVICE void write_columns(const Writes& w, const Sorted& sorted, int64_t at, int64_t o,
                             int64_t j, const Op& op) {
  const T* src = static_cast<const T*>(w.src) + o * w.src_outer + j;
  T* out = static_cast<T*>(w.out) + o * w.out_outer + sorted.key(at) * w.out_scale + j;
  if constexpr (Op::kAdds)
    add_run<V>(sorted, at, src, w.src_row, out, op);
  else
    store_pack<T, V>(out, load_pack<T, V>(src + sorted.position(at) * w.src_row));
}

// A unit of work is a place in the sorted list, an o, and a segment of x columns or packs of them.
template <class T, class Op>
__global__ void __launch_bounds__(kTileThreads)
    write_runs_kernel(const Writes w, const Sorted sorted, const Tile tile, int64_t segments,
                      bool packed, const Op op) {
  constexpr int V = kWritePack<T>;
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t unit = int64_t(blockIdx.x) * tile.z() + tile.z_of(thread);
  const int64_t segment = segments == 1 ? 0 : unit % segments;
  const int64_t rest = segments == 1 ? unit : unit / segments;
  const int64_t at = w.outer == 1 ? rest : rest % sorted.count;
  const int64_t o = w.outer == 1 ? 0 : rest / sorted.count;
  const int64_t j = (segment * tile.x() + tile.x_of(thread)) * (packed ? V : 1);
  if (rest >= sorted.count * w.outer || j >= w.inner) return;
  const int64_t neighbour = Op::kAdds ? at - 1 : at + 1;
  if (neighbour >= 0 && neighbour < sorted.count && sorted.key(neighbour) == sorted.key(at)) return;
  if (packed)
    write_columns<V, T>(w, sorted, at, o, j, op);
  else
    write_columns<1, T>(w, sorted, at, o, j, op);
}

template <class T, class Op>
void write_runs(const Writes& w, const Sorted& sorted, const Op& op) {
  constexpr int V = kWritePack<T>;
  const int64_t strides =
      w.src_outer | w.src_row | w.out_outer | w.inner | (w.out_scale == 1 ? w.inner : w.out_scale);
  // Rows of put (out_scale 1) begin anywhere: only its source could be read in packs.
  const bool packed = V > 1 && w.out_scale != 1 && strides % V == 0 &&
                      is_aligned(w.src, V * sizeof(T)) && is_aligned(w.out, V * sizeof(T));
  const int64_t columns = packed ? w.inner / V : w.inner;
  Tile tile;
  tile.x_bits = bits_for(columns, kTileBits);
  const int64_t segments = ceil_div(columns, tile.x());
  const int64_t units = sorted.count * w.outer * segments;
  launch({dim3(static_cast<unsigned>(ceil_div(units, tile.z()))), dim3(kTileThreads), 0,
          current_stream()},
         write_runs_kernel<T, Op>, w, sorted, tile, segments, packed, op);
}

// ---------------------------------------------------------------- sorting by target

// A key for each index: the index, or where in `out` each element of a list of its own goes.
template <class Word>
__global__ void __launch_bounds__(kTileThreads)
    target_kernel(const Writes w, int64_t count, Word* keys) {
  const int64_t step = int64_t(gridDim.x) * kTileThreads;
  for (int64_t e = int64_t(blockIdx.x) * kTileThreads + threadIdx.x; e < count; e += step) {
    int64_t key = w.index[e];
    if (w.index_column) {
      const int64_t row = e / w.inner;
      key = row / w.m * w.out_outer + key * w.out_scale + e % w.inner;
    }
    keys[e] = static_cast<Word>(key);
  }
}

// `highest`: no key is larger.
template <class Word, class T, class Op>
void sort_and_write(const Writes& w, int64_t highest, const Op& op) {
  const bool own_lists = w.index_column != 0;
  const int64_t count = own_lists ? w.outer * w.m * w.inner : w.m;
  const Scratch<Word> memory(4 * count);
  const SortBuffers<Word> from{memory.data(), memory.data() + count};
  const SortBuffers<Word> spare{memory.data() + 2 * count, memory.data() + 3 * count};
  constexpr int64_t kMostBlocks = int64_t(1) << 20;
  const int64_t blocks = ceil_div(count, kTileThreads);
  launch({dim3(static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks)),
          dim3(kTileThreads), 0, current_stream()},
         target_kernel<Word>, w, count, from.keys);
  const SortBuffers<Word> done = radix_sort(from, spare, 1, count, bits_of(highest));
  const Sorted sorted{done.keys, done.positions, count, sizeof(Word) == 8};
  Writes by_target = w;
  if (own_lists)  // single elements: a key is a place in out, a position one in src
    by_target = {w.src, 0, 1, w.index, 0, 0, 0, w.out, 0, 1, 1, count, 1};
  write_runs<T>(by_target, sorted, op);
}

// highest() is asked only if the targets are sorted.
template <class T, class Op, class Highest>
void write(const Writes& w, Highest highest, const Op& op) {
  const int64_t columns = w.outer * w.inner;
  if (w.m <= kShortList || (w.index_column && columns >= kManyColumns))
    return launch({dim3(static_cast<unsigned>(ceil_div(columns, kTileThreads))), dim3(kTileThreads),
                   0, current_stream()},
                  walk_kernel<T, Op>, w, op);
  const int64_t most = highest(), count = w.index_column ? columns * w.m : w.m;
  if ((most | count) >> 32)
    sort_and_write<uint64_t, T>(w, most, op);
  else
    sort_and_write<uint32_t, T>(w, most, op);
}

// ---------------------------------------------------------------- dtypes

// Unsigned words stand for the integers of their size.
template <class F>
void visit_size(DType t, F&& f) {
  switch (size_of(t)) {
    case 1:
      return f(Type<uint8_t>{});
    case 2:
      return f(Type<uint16_t>{});
    case 4:
      return f(Type<uint32_t>{});
    default:
      return f(Type<uint64_t>{});
  }
}

template <class Highest>
void add(const Writes& w, DType dtype, double alpha, Highest highest) {
  if (dtype == DType::Bool) return write<bool>(w, highest, AddScaled<bool>{alpha != 0});
  if (is_floating(dtype))
    return visit_floating(dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      write<T>(w, highest, AddScaled<T>{static_cast<compute_t<T>>(alpha)});
    });
  visit_size(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    write<T>(w, highest, AddScaledWord<T>{{static_cast<T>(static_cast<int64_t>(alpha))}});
  });
}

template <class Highest>
void assign(const Writes& w, DType dtype, Highest highest) {
  visit_size(dtype, [&](auto tag) { write<typename decltype(tag)::type>(w, highest, Assign{}); });
}

}  // namespace

void index_add(const IndexAdd& p) {
  if (p.outer == 0 || p.n_index == 0 || p.inner == 0) return;
  const Writes w{p.in,  p.n_index * p.inner, p.inner, p.index, 0,         1,      0,
                 p.out, p.n_out * p.inner,   p.inner, p.outer, p.n_index, p.inner};
  add(w, p.dtype, p.alpha, [&] { return p.n_out - 1; });
}

void scatter(const Scatter& p) {
  if (p.outer == 0 || p.m == 0 || p.inner == 0) return;
  const int64_t slab = p.m * p.inner;
  const Writes w{
      p.src,          slab,    p.inner, p.index, slab, p.inner, 1, p.out, p.out_outer_stride,
      p.out_n_stride, p.outer, p.m,     p.inner};
  const auto highest = [&] {
    return (p.outer - 1) * p.out_outer_stride + (p.n - 1) * p.out_n_stride + p.inner - 1;
  };
  if (p.add)
    add(w, p.dtype, 1, highest);
  else
    assign(w, p.dtype, highest);
}

void put(const Put& p) {
  if (p.n == 0 || p.inner == 0) return;
  const Writes w{p.src, 0, p.src_stride, p.offsets, 0, 1, 0, p.out, 0, 1, 1, p.n, p.inner};
  const auto highest = [&] { return p.extent - 1; };
  if (p.add)
    add(w, p.dtype, 1, highest);
  else
    assign(w, p.dtype, highest);
}

}  // namespace gs::cuda
