// Softmax over the middle of (outer, n, inner). Rows of up to 64 to 128 KB are read once and stay
// in the registers of their team; longer ones, and columns (inner above 1), are read twice, the
// first time for the maximum and the sum together.
#include "kernels/kernels.h"
#include "kernels/params/softmax.h"
#include "softmax_sums.cuh"

namespace gs::cuda {
namespace {

using LongTeam = TeamShape<1024, 4>;  // goes over its row in steps

// What every element becomes: exp(x - max) / sum, or x - max - log(sum).
template <class C>
struct SoftmaxValue {
  C max, scale;  // 1 / sum, or log(sum)
  bool log;
  GS_DEVICE SoftmaxValue(C largest, C sum, bool log_)
      : max(largest), scale(log_ ? ScalarMath<C>::log(sum) : C(1) / sum), log(log_) {}
  GS_DEVICE C operator()(C x) const { return log ? (x - max) - scale : exp_of(x - max) * scale; }
};

// ---------------------------------------------------------------- rows: inner is 1

template <class T, class Team>
__global__ void __launch_bounds__(Team::kBlock)
    softmax_rows(const T* x, T* y, int64_t rows, int n, bool log) {
  using C = compute_t<T>;
  constexpr int N = kPackOf<T>;
  const int64_t row = Team::row();
  x += row * n, y += row * n;
  const RowCut<T, Team> cut(x, row < rows ? n : 0);
  Pack<T, N> packs[Team::kPacks];
  cut.load(x, T(kLowest<float>), packs);
  C max = kLowest<C>, sum = 0;
  cut.each_pack([&](int k, int) {
    GS_UNROLL for (int i = 0; i < N; ++i) max = std::fmax(max, widen(packs[k].v[i]));
  });
  max = team_reduce<Team>(max, LargerNumber{}, kLowest<C>);
  cut.each_pack([&](int k, int) {
    GS_UNROLL for (int i = 0; i < N; ++i) sum += exp_of(widen(packs[k].v[i]) - max);
  });
  const SoftmaxValue<C> value(max, team_sum<Team>(sum), log);
  cut.each_pack([&](int k, int first) {
    C v[N];
    GS_UNROLL for (int i = 0; i < N; ++i) v[i] = value(widen(packs[k].v[i]));
    store_part(y, first, cut.n, narrow<T>(v));
  });
}

template <class T>
__global__ void __launch_bounds__(LongTeam::kBlock)
    softmax_long_rows(const T* x, T* y, int64_t n, bool log) {
  using C = compute_t<T>;
  constexpr int N = kPackOf<T>;
  x += LongTeam::row() * n, y += LongTeam::row() * n;
  auto s = ExpSum<C>::none();
  each_pack_of_row<LongTeam>(x, n, T(kLowest<float>), [&](const Pack<T, N>& pack, int64_t) {
    C v[N];
    GS_UNROLL for (int i = 0; i < N; ++i) v[i] = widen(pack.v[i]);
    absorb(s, v);
  });
  s = team_join<LongTeam>(s);
  const SoftmaxValue<C> value(s.max, s.total(), log);
  const RowCut<T, LongTeam, int64_t> cut(x, n);
  for (int64_t first = cut.start; first < n; first += LongTeam::kLanes * N) {
    const Pack<T, N> pack = load_part(x, first, n, T(0.0f));
    C v[N];
    GS_UNROLL for (int i = 0; i < N; ++i) v[i] = value(widen(pack.v[i]));
    store_part(y, first, n, narrow<T>(v));
  }
}

// ---------------------------------------------------------------- columns

template <class T>
__global__ void __launch_bounds__(kColumnThreads)
    softmax_columns(const T* x, T* y, int64_t outer, int64_t n, int64_t inner, bool log) {
  using C = compute_t<T>;
  const Column column(outer, n, inner);
  x += column.start, y += column.start;
  auto s = ExpSum<C>::none();
  each_group_of_column(x, column.n, inner,
                       [&](const C(&v)[kColumnGroup], int64_t) { absorb(s, v); });
  s = column_join(s);
  const SoftmaxValue<C> value(s.max, s.total(), log);
  for (int64_t i = threadIdx.y; i < column.n; i += blockDim.y)
    y[i * inner] = T(value(widen(x[i * inner])));
}

// ---------------------------------------------------------------- gradient

// dx = y (dy - sum(y dy)), or dy - exp(y) sum(dy).
template <class C>
GS_DEVICE C summand(C dy, C y, bool log) {
  return log ? dy : dy * y;
}
template <class C>
GS_DEVICE C gradient(C dy, C y, C sum, bool log) {
  return log ? dy - exp_of(y) * sum : y * (dy - sum);
}

template <class T, class Team>
__global__ void __launch_bounds__(Team::kBlock)
    softmax_grad_rows(const T* dy, const T* y, T* dx, int64_t rows, int n, bool log) {
  using C = compute_t<T>;
  constexpr int N = kPackOf<T>;
  const int64_t row = Team::row();
  dy += row * n, y += row * n, dx += row * n;
  const RowCut<T, Team> cut(dy, row < rows ? n : 0);
  Pack<T, N> g[Team::kPacks], p[Team::kPacks];
  cut.load(dy, T(0.0f), g);
  cut.load(y, T(0.0f), p);
  C sum = 0;
  cut.each_pack([&](int k, int) {
    GS_UNROLL for (int i = 0; i < N; ++i) sum += summand(widen(g[k].v[i]), widen(p[k].v[i]), log);
  });
  sum = team_sum<Team>(sum);
  cut.each_pack([&](int k, int first) {
    GS_UNROLL for (int i = 0; i < N; ++i) g[k].v[i] =
        T(gradient(widen(g[k].v[i]), widen(p[k].v[i]), sum, log));
    store_part(dx, first, cut.n, g[k]);
  });
}

template <class T>
__global__ void __launch_bounds__(LongTeam::kBlock)
    softmax_grad_long_rows(const T* dy, const T* y, T* dx, int64_t n, bool log) {
  using C = compute_t<T>;
  constexpr int N = kPackOf<T>;
  const int64_t at = LongTeam::row() * n;
  dy += at, y += at, dx += at;
  const RowCut<T, LongTeam, int64_t> cut(dy, n);
  C sum = 0;
  for (int64_t first = cut.start; first < n; first += LongTeam::kLanes * N) {
    const auto g = load_part(dy, first, n, T(0.0f)), p = load_part(y, first, n, T(0.0f));
    C part = 0;
    GS_UNROLL for (int i = 0; i < N; ++i) part += summand(widen(g.v[i]), widen(p.v[i]), log);
    sum += part;
  }
  sum = team_sum<LongTeam>(sum);
  for (int64_t first = cut.start; first < n; first += LongTeam::kLanes * N) {
    auto g = load_part(dy, first, n, T(0.0f));
    const auto p = load_part(y, first, n, T(0.0f));
    GS_UNROLL for (int i = 0; i < N; ++i) g.v[i] =
        T(gradient(widen(g.v[i]), widen(p.v[i]), sum, log));
    store_part(dx, first, n, g);
  }
}

template <class T>
__global__ void __launch_bounds__(kColumnThreads)
    softmax_grad_columns(const T* dy, const T* y, T* dx, int64_t outer, int64_t n, int64_t inner,
                         bool log) {
  using C = compute_t<T>;
  const Column column(outer, n, inner);
  dy += column.start, y += column.start, dx += column.start;
  SumState<C> s = SumState<C>::none();
  for (int64_t i = threadIdx.y; i < column.n; i += int64_t(kColumnGroup) * blockDim.y) {
    C part = 0;  // groups, so that rounding does not pile up
    GS_UNROLL for (int k = 0; k < kColumnGroup; ++k) {
      const int64_t at = i + int64_t(k) * blockDim.y;
      if (at < column.n) part += summand(widen(dy[at * inner]), widen(y[at * inner]), log);
    }
    s.sum += part;
  }
  s = column_join(s);
  for (int64_t i = threadIdx.y; i < column.n; i += blockDim.y)
    dx[i * inner] = T(gradient(widen(dy[i * inner]), widen(y[i * inner]), s.sum, log));
}

// ---------------------------------------------------------------- launches

template <class T>
void softmax_as(const Softmax& p) {
  const cudaStream_t stream = current_stream();
  const T* x = static_cast<const T*>(p.x);
  if (p.inner != 1) {
    launch({column_grid(p.outer * p.inner, p.n), column_block(p.n), 0, stream}, softmax_columns<T>,
           x, p.y, p.outer, p.n, p.inner, p.log);
    return;
  }
  constexpr int P = kRowPacks<T>;
  const bool fits =
      with_fitting_team<T, TeamShape<4, 1>, TeamShape<16, 1>, TeamShape<32, P / 2>,
                        TeamShape<32, P>, TeamShape<256, P>, TeamShape<512, P>, TeamShape<1024, P>>(
          room_for<T>(x, p.n), [&](auto team) {
            using Team = decltype(team);
            launch({Team::grid(p.outer), dim3(Team::kBlock), 0, stream}, softmax_rows<T, Team>, x,
                   p.y, p.outer, p.n, p.log);
          });
  if (!fits)
    launch({LongTeam::grid(p.outer), dim3(LongTeam::kBlock), 0, stream}, softmax_long_rows<T>, x,
           p.y, p.n, p.log);
}

template <class T>
void softmax_grad_as(const SoftmaxGrad& p) {
  const cudaStream_t stream = current_stream();
  if (p.inner != 1) {
    launch({column_grid(p.outer * p.inner, p.n), column_block(p.n), 0, stream},
           softmax_grad_columns<T>, p.dy, p.y, p.dx, p.outer, p.n, p.inner, p.log);
    return;
  }
  constexpr int P = kRowPacks<T>;
  const bool fits = with_fitting_team<T, TeamShape<4, 1>, TeamShape<16, 1>, TeamShape<32, P / 2>,
                                      TeamShape<256, P / 2>, TeamShape<512, P>>(
      room_for<T>(p.dy, p.n), [&](auto team) {
        using Team = decltype(team);
        launch({Team::grid(p.outer), dim3(Team::kBlock), 0, stream}, softmax_grad_rows<T, Team>,
               p.dy, p.y, p.dx, p.outer, p.n, p.log);
      });
  if (!fits)
    launch({LongTeam::grid(p.outer), dim3(LongTeam::kBlock), 0, stream}, softmax_grad_long_rows<T>,
           p.dy, p.y, p.dx, p.n, p.log);
}

}  // namespace

void softmax(const Softmax& p) {
  if (p.outer * p.n * p.inner == 0) return;
  visit_floating(p.dtype, [&](auto tag) { softmax_as<typename decltype(tag)::type>(p); });
}

void softmax_grad(const SoftmaxGrad& p) {
  if (p.outer * p.n * p.inner == 0) return;
  visit_floating(p.dtype, [&](auto tag) { softmax_grad_as<typename decltype(tag)::type>(p); });
}

}  // namespace gs::cuda
