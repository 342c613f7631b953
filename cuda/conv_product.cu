// Convolution sums as a product of matrices: weight (outputs x depth) times patches (depth x
// results). The patches are gathered into shared memory as they are needed and never written out.
// Depth counts channels and taps; results are pixels of all images, so that neighbours in a tile
// are neighbours in memory.
#include "conv_taps.cuh"
#include "conv_tf32_tile.cuh"
#include "divisor.cuh"
#include "runtime/scratch.h"
#include "runtime/stream.h"

namespace gs::cuda {
namespace {

// Where one value of the depth stands: in the source, from a result's first tap, and in the weight.
struct alignas(16) DepthEntry {
  int64_t source;
  int32_t row, column;
  int64_t weight;
};
constexpr int kTable = 256;              // entries made at a time
constexpr int32_t kNowhere = INT32_MIN;  // plus any row or column: outside, as unsigned
static_assert(kTable % 32 == 0);         // a step does not cross its end

// How the work is cut.
struct Cut {
  int32_t tiles_m = 1, tiles_n = 1, splits = 1;
  int32_t packed = 0;  // 1: results of a tile's row may be stored 16 bytes of sums at a time
};

// What a block does: one tile of one group, in one phase, over one share of the depth. It lies in
// shared memory: registers are scarce while sums are added up.
struct Task {
  int64_t first_output, first_result, group;
  int32_t split, phase_v, phase_h;
  TapLine vertical, horizontal;
  int32_t rows, columns;  // of the phase's results in an image
  int32_t depth;
  int32_t first_step, steps;  // of the share

  GS_DEVICE void prepare(const ConvSums& p, const Cut& cut, int m, int n, int k) {
    uint32_t block = blockIdx.x;
    first_output = int64_t(block % cut.tiles_m) * m, block /= cut.tiles_m;
    first_result = int64_t(block % cut.tiles_n) * n, block /= cut.tiles_n;
    split = static_cast<int32_t>(block % cut.splits), block /= cut.splits;
    const uint32_t groups = static_cast<uint32_t>(p.groups);
    group = block % groups, block /= groups;
    phase_h = static_cast<int32_t>(block % p.horizontal.phases);
    phase_v = static_cast<int32_t>(block / p.horizontal.phases);
    vertical = taps_at(p.vertical, phase_v);
    horizontal = taps_at(p.horizontal, phase_h);
    rows = phase_size(p.vertical, phase_v);
    columns = phase_size(p.horizontal, phase_h);
    depth = static_cast<int32_t>(p.channels) * vertical.count * horizontal.count;
    const int32_t all = (depth - 1) / k + 1, share = (all - 1) / cut.splits + 1;
    first_step = share * split < all ? share * split : all;
    steps = all - first_step < share ? all - first_step : share;
    if (depth == 0) steps = 0;
  }
  GS_DEVICE int64_t results(const ConvSums& p) const { return p.images * rows * columns; }
};

// One result of a phase: its image and its place there, counted in the phase.
struct ResultPlace {
  int64_t image;
  int32_t row, column;
  GS_DEVICE ResultPlace(const Task& t, int64_t result) {
    if (result < (int64_t(1) << 31)) {
      const uint32_t n = static_cast<uint32_t>(result), of_all = n / t.columns;
      image = of_all / t.rows;
      row = static_cast<int32_t>(of_all % t.rows);
      column = static_cast<int32_t>(n % t.columns);
    } else {
      const int64_t of_all = result / t.columns;
      image = of_all / t.rows;
      row = static_cast<int32_t>(of_all % t.rows);
      column = static_cast<int32_t>(result % t.columns);
    }
  }
};

template <class T, class Tile>
class PatchLoader {
 public:
  GS_DEVICE PatchLoader(const ConvSums& p, const Task& t, DepthEntry* table)
      : p_(p), t_(t), table_(table) {
    const int64_t group_outputs = t.group * p.outputs;
    weight_ = static_cast<const T*>(p.weight) + group_outputs * p.channels * p.window();
    source_ = static_cast<const T*>(p.source);
    const int64_t result = t.first_result + threadIdx.x % Tile::kN;
    row_ = kNowhere, column_ = 0, base_ = 0;
    if (result < t.results(p)) {
      const ResultPlace at(t, result);
      row_ = at.row * phase_step(p.vertical);
      column_ = at.column * phase_step(p.horizontal);
      base_ = (at.image * p.groups + t.group) * p.channels * p.source_plane() +
              int64_t(row_) * p.horizontal.source + column_;
    }
  }

  GS_DEVICE void load(int32_t step) {
    const int at = step * Tile::kK % kTable;
    if (at == 0) {  // the last who read the table have passed a barrier since
      fill_table(static_cast<uint32_t>(t_.first_step + step) * Tile::kK);
      __syncthreads();
    }
    const DepthEntry& of_a = table_[at + threadIdx.x % Tile::kK];
    GS_UNROLL for (int i = 0; i < kOfA; ++i) {
      const int64_t output = t_.first_output + a_row(i);
      const bool inside = output < p_.outputs && of_a.weight >= 0;
      a_[i] = inside ? weight_[output * p_.weight_output + of_a.weight] : T(0);
    }
    const uint32_t rows = p_.vertical.source, columns = p_.horizontal.source;
    GS_UNROLL for (int i = 0; i < kOfB; ++i) {
      const DepthEntry& e = table_[at + b_row(i)];
      const bool inside =
          static_cast<uint32_t>(row_) + static_cast<uint32_t>(e.row) < rows &&
          static_cast<uint32_t>(column_) + static_cast<uint32_t>(e.column) < columns;
      b_[i] = inside ? source_[base_ + e.source] : T(0);
    }
  }

  GS_DEVICE void store(typename Tile::Operands& to) const {
    GS_UNROLL for (int i = 0; i < kOfA; ++i) to.a_at(a_row(i), threadIdx.x % Tile::kK) =
        typename Tile::Element(a_[i]);
    GS_UNROLL for (int i = 0; i < kOfB; ++i) to.b_at(threadIdx.x % Tile::kN, b_row(i)) =
        typename Tile::Element(b_[i]);
  }

 private:
  static constexpr int kOfA = Tile::kM * Tile::kK / Tile::kThreads;
  static constexpr int kOfB = Tile::kN * Tile::kK / Tile::kThreads;
  static_assert(Tile::kThreads % Tile::kN == 0 && Tile::kK * Tile::kN % Tile::kThreads == 0);

  // Neighbours of the depth for each of the outputs; for the patches, results side by side.
  static GS_DEVICE int a_row(int i) {
    return static_cast<int>(threadIdx.x) / Tile::kK + i * (Tile::kThreads / Tile::kK);
  }
  static GS_DEVICE int b_row(int i) {
    return static_cast<int>(threadIdx.x) / Tile::kN + i * (Tile::kThreads / Tile::kN);
  }

  GS_DEVICE void fill_table(uint32_t first) {
    for (int i = static_cast<int>(threadIdx.x); i < kTable; i += Tile::kThreads)
      table_[i] = entry(first + i);
  }
  GS_DEVICE DepthEntry entry(uint32_t k) const {
    if (k >= static_cast<uint32_t>(t_.depth)) return {0, 0, kNowhere, -1};
    const uint32_t across = t_.horizontal.count, all = t_.vertical.count * across;
    const uint32_t channel = k / all, tap = k - channel * all;
    const int32_t i = static_cast<int32_t>(tap / across);
    const int32_t j = static_cast<int32_t>(tap - i * across);
    const int32_t row = t_.vertical.source + i * p_.vertical.source_step;
    const int32_t column = t_.horizontal.source + j * p_.horizontal.source_step;
    const int64_t tap_row = t_.vertical.first + int64_t(i) * p_.vertical.tap_step;
    const int64_t tap_column = t_.horizontal.first + int64_t(j) * p_.horizontal.tap_step;
    return {channel * p_.source_plane() + int64_t(row) * p_.horizontal.source + column, row, column,
            channel * p_.weight_channel + tap_row * p_.horizontal.window + tap_column};
  }

  const ConvSums& p_;
  const Task& t_;
  DepthEntry* table_;
  const T* weight_;
  const T* source_;
  int64_t base_;
  int32_t row_, column_;
  T a_[kOfA], b_[kOfB];
};

// Where a result of the first output of the group is written.
GS_DEVICE int64_t result_offset(const ConvSums& p, const Task& t, int64_t result) {
  const ResultPlace at(t, result);
  const int64_t row = t.phase_v + int64_t(at.row) * p.vertical.phases;
  const int64_t column = t.phase_h + int64_t(at.column) * p.horizontal.phases;
  return (at.image * p.groups + t.group) * p.outputs * p.result_plane() +
         row * p.horizontal.result + column;
}

// `finish` turns a sum of an output of this group into what is stored.
template <class Tile, class To, class Finish>
GS_DEVICE void write_sums(const ConvSums& p, const Task& t, bool packed, const Tile& tile,
                          const typename Tile::Sums& sums, To* to, Finish finish) {
  constexpr int kLanes = Tile::kLanes;
  const int64_t results = t.results(p), plane = p.result_plane();
  GS_UNROLL for (int j = 0; j < Tile::kColumns; j += kLanes) {
    const int64_t first = t.first_result + tile.column_of(j);
    int64_t offset[kLanes];
    GS_UNROLL for (int l = 0; l < kLanes; ++l) {
      const bool wanted = first + l < results && (l == 0 || !packed);
      offset[l] = wanted ? result_offset(p, t, first + l) : -1;
    }
    GS_UNROLL for (int i = 0; i < Tile::kRows; ++i) {
      const int64_t output = t.first_output + tile.row_of(i);
      if (output >= p.outputs || offset[0] < 0) continue;
      Pack<To, kLanes> values;
      GS_UNROLL for (int l = 0; l < kLanes; ++l) values.v[l] = finish(sums[i][j + l], output);
      To* row = to + output * plane;
      if (packed) {
        store_pack(row + offset[0], values);
      } else {
        GS_UNROLL for (int l = 0; l < kLanes; ++l) if (offset[l] >= 0) row[offset[l]] = values.v[l];
      }
    }
  }
}

template <class T, class Tile>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    conv_product_kernel(const __grid_constant__ ConvSums p, const __grid_constant__ Cut cut,
                        typename Tile::C* partial) {
  using C = typename Tile::C;
  GS_SHARED(table, DepthEntry[kTable]);
  GS_SHARED(task, Task);
  if (threadIdx.x == 0) task.prepare(p, cut, Tile::kM, Tile::kN, Tile::kK);
  __syncthreads();
  PatchLoader<T, Tile> loader(p, task, table);
  const Tile tile;
  typename Tile::Sums sums = {};
  sum_tiles(tile, loader, task.steps, sums);

  if (partial) {
    const int64_t size = p.images * p.groups * p.outputs * p.result_plane();
    write_sums(p, task, cut.packed, tile, sums, partial + task.split * size,
               [](C sum, int64_t) { return sum; });
  } else {
    write_sums(p, task, cut.packed, tile, sums, static_cast<T*>(p.result),
               [&](C sum, int64_t output) {
                 return T(finish_sum<T>(p, sum, task.group * p.outputs + output));
               });
  }
}

// The second stage: the shares of the depth, in order.
constexpr int kFinishThreads = 256;

template <class T>
__global__ void __launch_bounds__(kFinishThreads)
    finish_kernel(const __grid_constant__ ConvSums p, const compute_t<T>* partial, int32_t splits,
                  int64_t size) {
  const int64_t i = int64_t(blockIdx.x) * kFinishThreads + threadIdx.x;
  if (i >= size) return;
  compute_t<T> sum = partial[i];
  for (int32_t split = 1; split < splits; ++split) sum += partial[split * size + i];
  const int64_t output = i / p.result_plane() % (p.groups * p.outputs);
  static_cast<T*>(p.result)[i] = T(finish_sum<T>(p, sum, output));
}

// ---------------------------------------------------------------- on the host

// Results of the largest phase, and the depth it sums over.
int64_t most_results(const ConvSums& p) {
  return p.images * phase_size(p.vertical, 0) * phase_size(p.horizontal, 0);
}
int64_t most_depth(const ConvSums& p) {
  return p.channels * ceil_div(p.vertical.window, p.vertical.tap_step) *
         ceil_div(p.horizontal.window, p.horizontal.tap_step);
}

// A share of the depth is long enough to be worth the second stage's pass over the results.
int64_t most_splits(const ConvSums& p) {
  constexpr int64_t kShare = 256, kMost = 16;
  const int64_t splits = most_depth(p) / kShare;
  return splits < 1 ? 1 : splits < kMost ? splits : kMost;
}

template <class Tile>
int64_t block_count(const ConvSums& p) {
  return tile_count<Tile>(p.outputs, most_results(p)) * p.groups * p.vertical.phases *
         p.horizontal.phases;
}

template <class T, class Tile>
void run(const ConvSums& p) {
  using C = compute_t<T>;
  const int64_t blocks = block_count<Tile>(p),
                size = p.images * p.groups * p.outputs * p.result_plane();
  Cut cut;
  cut.tiles_m = static_cast<int32_t>(ceil_div(p.outputs, Tile::kM));
  cut.tiles_n = static_cast<int32_t>(ceil_div(most_results(p), Tile::kN));
  if (2 * blocks <= kEnoughBlocks) {
    const int64_t wanted = kEnoughBlocks / blocks, most = most_splits(p);
    cut.splits = static_cast<int32_t>(wanted < most ? wanted : most);
  }
  cut.packed = p.vertical.phases == 1 && p.horizontal.phases == 1 &&
               p.result_plane() % Tile::kLanes == 0 && is_aligned(p.result, kPackBytes);
  const Config config{conv_grid(blocks * cut.splits), dim3(Tile::kThreads), 0, current_stream()};
  if (cut.splits == 1) return launch(config, conv_product_kernel<T, Tile>, p, cut, nullptr);
  const Scratch<C> partial(size * cut.splits);
  launch(config, conv_product_kernel<T, Tile>, p, cut, partial.data());
  launch({conv_grid(ceil_div(size, kFinishThreads)), dim3(kFinishThreads), 0, current_stream()},
         finish_kernel<T>, p, partial.data(), cut.splits, size);
}

// The largest tile that leaves no card idle.
template <class T, class Values>
void run_best(const ConvSums& p) {
  using Tiles = ConvTiles<Values, false>;
  const int64_t splits = most_splits(p);
  const auto enough = [&](int64_t blocks) { return 2 * blocks * splits >= kEnoughBlocks; };
  if constexpr (!std::is_same_v<typename Tiles::Large, typename Tiles::Middle>)
    if (p.outputs > 64 && enough(block_count<typename Tiles::Large>(p)))
      return run<T, typename Tiles::Large>(p);
  if (p.outputs > 32 && enough(block_count<typename Tiles::Middle>(p)))
    return run<T, typename Tiles::Middle>(p);
  run<T, typename Tiles::Small>(p);
}

}  // namespace

void conv_product(DType dtype, const ConvSums& p) {
  visit_conv_values(dtype, [&](auto tag, auto values) {
    run_best<typename decltype(tag)::type, typename decltype(values)::type>(p);
  });
}

}  // namespace gs::cuda
