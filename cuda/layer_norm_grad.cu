// Layer normalisation, gradient. With h = (x - mean) rstd and g = dy weight:
//   dx = rstd (g - mean(g) - h mean(g h)),  dweight = sum of dy h over the rows,  dbias of dy.
// A block goes through a range of rows. Its threads own the same columns in each of them, so the
// sums over rows gather in registers while dx is written: dy and x are read once. The blocks' sums
// are joined by a second kernel, in their order.
#include "kernels/kernels.h"
#include "kernels/params/norm.h"
#include "norm_common.cuh"
#include "runtime/scratch.h"

namespace gs::cuda {
namespace {

template <class T>
struct RowGrads {
  using C = compute_t<T>;
  const T* dy;
  const T* x;
  const T* weight;  // may be null
  const C* mean;
  const C* rstd;
  T* dx;  // may be null
  int64_t rows, n;
};

template <class C>
struct RowMeans {
  C g, gh;
};
template <class C>
GS_DEVICE C input_gradient(C dy, C w, C h, const RowMeans<C>& means, C rstd) {
  return (dy * w - means.g - h * means.gh) * rstd;
}

// ---------------------------------------------------------------- rows in registers

// N: elements read at once, of which a row has a whole number.
template <class T, class Team, int N>
__global__ void __launch_bounds__(Team::kBlock)
    layer_norm_grad_rows(const RowGrads<T> p, int64_t rows_a_block,
                         SumPair<compute_t<T>>* partial) {
  using C = compute_t<T>;
  constexpr int P = Team::kPacks, kStep = Team::kLanes * N;
  constexpr int kTeams = Team::kRows;
  const int64_t start = Team::lane() * N;
  const int team = static_cast<int>(threadIdx.x) / Team::kLanes;
  const int64_t from = int64_t(blockIdx.x) * rows_a_block,
                to = from + rows_a_block < p.rows ? from + rows_a_block : p.rows;
  C dweight[P][N] = {}, dbias[P][N] = {};
  for (int64_t row = from + team; row < to; row += kTeams) {
    const int64_t at = row * p.n;
    const C mean = p.mean[row], rstd = p.rstd[row];
    Pack<T, N> dy[P], x[P];
    GS_UNROLL for (int k = 0; k < P; ++k) {
      const int64_t first = start + k * kStep;
      if (first < p.n) dy[k] = load_pack<T, N>(p.dy + at + first);
      if (first < p.n) x[k] = load_pack<T, N>(p.x + at + first);
    }
    auto sums = SumPair<C>::none();
    GS_UNROLL for (int k = 0; k < P; ++k) {
      const int64_t first = start + k * kStep;
      if (first >= p.n) continue;
      Pack<T, N> w;
      if (p.weight) w = load_pack<T, N>(p.weight + first);
      GS_UNROLL for (int i = 0; i < N; ++i) {
        const C d = widen(dy[k].v[i]), h = (widen(x[k].v[i]) - mean) * rstd;
        const C g = p.weight ? d * widen(w.v[i]) : d;
        dweight[k][i] += d * h;
        dbias[k][i] += d;
        sums.join({g, g * h});
      }
    }
    if (!p.dx) continue;  // all threads alike
    sums = team_join<Team>(sums);
    const RowMeans<C> means{sums.first / static_cast<C>(p.n), sums.second / static_cast<C>(p.n)};
    GS_UNROLL for (int k = 0; k < P; ++k) {
      const int64_t first = start + k * kStep;
      if (first >= p.n) continue;
      Pack<T, N> w;
      if (p.weight) w = load_pack<T, N>(p.weight + first);
      GS_UNROLL for (int i = 0; i < N; ++i) {
        const C d = widen(dy[k].v[i]), h = (widen(x[k].v[i]) - mean) * rstd;
        dy[k].v[i] = T(input_gradient(d, p.weight ? widen(w.v[i]) : C(1), h, means, rstd));
      }
      if constexpr (sizeof(dy[k]) == kPackBytes)
        ptx::store_16(p.dx + at + first, &dy[k]);
      else
        store_pack<T, N>(p.dx + at + first, dy[k]);
    }
  }
  if (!partial) return;
  // The teams of a block, in turn, then the block to memory.
  GS_DYNAMIC_SHARED(SumPair<C>, sums);  // (teams, n)
  if constexpr (kTeams > 1) {
    GS_UNROLL for (int k = 0; k < P; ++k) GS_UNROLL for (int i = 0; i < N; ++i) {
      const int64_t column = start + k * kStep + i;
      if (column < p.n) sums[team * p.n + column] = {dweight[k][i], dbias[k][i]};
    }
    __syncthreads();
    for (int64_t column = threadIdx.x; column < p.n; column += Team::kBlock) {
      SumPair<C> all = sums[column];
      for (int t = 1; t < kTeams; ++t) all.join(sums[t * p.n + column]);
      partial[blockIdx.x * p.n + column] = all;
    }
  } else {
    GS_UNROLL for (int k = 0; k < P; ++k) GS_UNROLL for (int i = 0; i < N; ++i) {
      const int64_t column = start + k * kStep + i;
      if (column < p.n) partial[blockIdx.x * p.n + column] = {dweight[k][i], dbias[k][i]};
    }
  }
}

// ---------------------------------------------------------------- longer rows: dx, then the sums

using LongTeam = TeamShape<1024, 1>;

template <class T>
__global__ void __launch_bounds__(LongTeam::kBlock) layer_norm_grad_long(const RowGrads<T> p) {
  using C = compute_t<T>;
  const int64_t row = LongTeam::row(), at = row * p.n;
  const C mean = p.mean[row], rstd = p.rstd[row];
  auto sums = SumPair<C>::none();
  for (int64_t i = threadIdx.x; i < p.n; i += LongTeam::kLanes) {
    const C g = widen(p.dy[at + i]) * (p.weight ? widen(p.weight[i]) : C(1));
    sums.join({g, g * ((widen(p.x[at + i]) - mean) * rstd)});
  }
  sums = team_join<LongTeam>(sums);
  const RowMeans<C> means{sums.first / static_cast<C>(p.n), sums.second / static_cast<C>(p.n)};
  for (int64_t i = threadIdx.x; i < p.n; i += LongTeam::kLanes) {
    const C h = (widen(p.x[at + i]) - mean) * rstd;
    p.dx[at + i] = T(
        input_gradient(widen(p.dy[at + i]), p.weight ? widen(p.weight[i]) : C(1), h, means, rstd));
  }
}

template <class T>
struct ColumnTerms {
  RowGrads<T> p;
  GS_DEVICE SumPair<compute_t<T>> operator()(int64_t row, int64_t column) const {
    const int64_t at = row * p.n + column;
    const compute_t<T> dy = widen(p.dy[at]);
    return {dy * ((widen(p.x[at]) - p.mean[row]) * p.rstd[row]), dy};
  }
};

template <class T>
void long_rows(const RowGrads<T>& p, void* dweight, void* dbias) {
  using C = compute_t<T>;
  if (p.dx)
    launch({LongTeam::grid(p.rows), dim3(LongTeam::kBlock), 0, current_stream()},
           layer_norm_grad_long<T>, p);
  if (!dweight && !dbias) return;
  const ColumnChunks cut(p.rows, p.n);
  const Scratch<SumPair<C>> partial(cut.chunks * p.n);
  launch({cut.grid(), tile_block(), 0, current_stream()}, column_pairs<ColumnTerms<T>, C>,
         ColumnTerms<T>{p}, p.rows, p.n, cut.length, partial.data());
  launch_join<T>(StoredPairs<C>{partial.data(), p.n}, cut.chunks, p.n, dweight, dbias);
}

// ---------------------------------------------------------------- choosing

template <class T, class Team, int N>
bool rows_in_registers(const RowGrads<T>& p, void* dweight, void* dbias) {
  using C = compute_t<T>;
  if (p.n > int64_t(Team::kLanes) * Team::kPacks * N) return false;
  // Blocks for 132 processors, and rows enough for each of them to outweigh its partial sums.
  constexpr int64_t kBlocks = int64_t(132) * (Team::kLanes <= 128 ? 4 : 512 / Team::kLanes),
                    kFewest = int64_t(4) * Team::kRows;
  const int64_t even = ceil_div(p.rows, kBlocks), length = even < kFewest ? kFewest : even;
  const int64_t blocks = ceil_div(p.rows, length);
  const bool sums = dweight || dbias;
  const Scratch<SumPair<C>> partial(sums ? blocks * p.n : 0);
  const size_t shared =
      Team::kRows > 1 && sums ? static_cast<size_t>(Team::kRows * p.n) * sizeof(SumPair<C>) : 0;
  launch({dim3(static_cast<unsigned>(blocks)), dim3(Team::kBlock), shared, current_stream()},
         layer_norm_grad_rows<T, Team, N>, p, length, sums ? partial.data() : nullptr);
  launch_join<T>(StoredPairs<C>{partial.data(), p.n}, blocks, p.n, dweight, dbias);
  return true;
}

template <class T>
void layer_norm_grad_as(const LayerNormGrad& g) {
  using C = compute_t<T>;
  const RowGrads<T> p{static_cast<const T*>(g.dy),
                      static_cast<const T*>(g.x),
                      static_cast<const T*>(g.weight),
                      static_cast<const C*>(g.mean),
                      static_cast<const C*>(g.rstd),
                      static_cast<T*>(g.dx),
                      g.rows,
                      g.n};
  constexpr int N = kPackOf<T>, P = sizeof(T) == 2 ? 2 : 4;
  bool packs = p.n % N == 0;
  for (const void* data : {g.dy, g.x, g.weight, static_cast<const void*>(g.dx)})
    packs = packs && is_aligned(data, kPackBytes);
  const auto run = [&](auto team, auto width) {
    return rows_in_registers<T, decltype(team), decltype(width)::value>(p, g.dweight, g.dbias);
  };
  if (packs) {
    constexpr std::integral_constant<int, N> width{};
    if (run(TeamShape<32, P>{}, width) || run(TeamShape<128, P>{}, width) ||
        run(TeamShape<256, P>{}, width) || run(TeamShape<512, P>{}, width))
      return;
  } else {
    constexpr std::integral_constant<int, 1> width{};
    if (run(TeamShape<32, 8>{}, width) || run(TeamShape<256, 8>{}, width) ||
        run(TeamShape<512, sizeof(T) == sizeof(double) ? 8 : 16>{}, width))
      return;
  }
  long_rows(p, g.dweight, g.dbias);
}

}  // namespace

void layer_norm_grad(const LayerNormGrad& p) {
  visit_floating(p.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (p.rows * p.n != 0) return layer_norm_grad_as<T>(p);
    for (void* sums : {p.dweight, p.dbias})  // of no rows
      if (sums && p.n)
        check(cudaMemsetAsync(sums, 0, static_cast<size_t>(p.n) * sizeof(T), current_stream()),
              "layer_norm_grad");
  });
}

}  // namespace gs::cuda
