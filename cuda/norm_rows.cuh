// Rows that are normalised and scaled: layer and group normalisation, forward. A row is read once
// and stays in the registers of its team; a very long one is read twice.
#pragma once

#include "norm_common.cuh"

namespace gs::cuda {

template <class T>
struct NormRows {
  using C = compute_t<T>;
  const T* x;
  T* y;
  C* mean;
  C* rstd;
  int64_t rows, n;
  C eps;
};

// Affine says what normalised elements are multiplied with and what is added: affine.load(row,
// first, n, w, b) for a pack that begins at element `first` of a row of n.
template <class T, class Affine>
GS_DEVICE void write_normalised(const Affine& affine, int64_t row, T* y, int64_t n,
                                Pack<T, kPackOf<T>> pack, int64_t first, compute_t<T> mean,
                                compute_t<T> rstd) {
  constexpr int N = kPackOf<T>;
  compute_t<T> w[N], b[N];
  affine.load(row, first, n, w, b);
  GS_UNROLL for (int i = 0; i < N; ++i) pack.v[i] =
      T((widen(pack.v[i]) - mean) * rstd * w[i] + b[i]);
  store_part(y, first, n, pack);
}

template <class T, class Team, class Affine>
__global__ void __launch_bounds__(Team::kBlock, Team::kAtOnce)
    norm_rows(const NormRows<T> p, const Affine affine) {
  using C = compute_t<T>;
  constexpr int N = kPackOf<T>;
  const int64_t row = Team::row();
  const bool live = row < p.rows;
  const T* x = p.x + row * p.n;
  const C count = static_cast<C>(p.n);
  const RowCut<T, Team> cut(x, live ? static_cast<int>(p.n) : 0);
  Pack<T, N> packs[Team::kPacks];
  cut.load(x, T(0.0f), packs);
  C sum = 0;
  cut.each_pack(
      [&](int k, int) { GS_UNROLL for (int i = 0; i < N; ++i) sum += widen(packs[k].v[i]); });
  const C centre = team_sum<Team>(sum) / count;
  // What the rounded mean misses shows in the sum of the deviations, and is put right.
  auto deviations = SumPair<C>::none();
  cut.each_pack([&](int k, int first) {
    GS_UNROLL for (int i = 0; i < N; ++i) {
      const C d = cut.holds(first + i) ? widen(packs[k].v[i]) - centre : C(0);
      deviations.join({d, d * d});
    }
  });
  deviations = team_join<Team>(deviations);
  const C off = deviations.first / count, mean = centre + off;
  C variance = deviations.second / count - off * off;
  variance = variance < C(0) ? C(0) : variance;  // NaN stays
  const C rstd = rstd_of(variance, p.eps);
  cut.each_pack([&](int k, int first) {
    write_normalised(affine, row, p.y + row * p.n, cut.n, packs[k], first, mean, rstd);
  });
  if (live && Team::lane() == 0) p.mean[row] = mean, p.rstd[row] = rstd;
}

using LongRowTeam = TeamShape<1024, 4>;

template <class T, class Affine>
__global__ void __launch_bounds__(LongRowTeam::kBlock)
    norm_long_rows(const NormRows<T> p, const Affine affine) {
  using C = compute_t<T>;
  constexpr int N = kPackOf<T>;
  const int64_t row = LongRowTeam::row();
  const T* x = p.x + row * p.n;
  auto moment = Moment<C>::none();
  each_pack_of_row<LongRowTeam>(x, p.n, T(0.0f), [&](const Pack<T, N>& pack, int64_t first) {
    absorb<T>(moment, pack, first, p.n);
  });
  moment = team_join<LongRowTeam>(moment);
  const C rstd = rstd_of(moment.m2 / static_cast<C>(p.n), p.eps);
  const RowCut<T, LongRowTeam, int64_t> cut(x, p.n);
  for (int64_t first = cut.start; first < p.n; first += LongRowTeam::kLanes * N)
    write_normalised(affine, row, p.y + row * p.n, p.n, load_part(x, first, p.n, T(0.0f)), first,
                     moment.mean, rstd);
  if (LongRowTeam::lane() == 0) p.mean[row] = moment.mean, p.rstd[row] = rstd;
}

template <class T, class Affine>
void normalise_rows(const NormRows<T>& p, const Affine& affine) {
  if (p.rows == 0) return;
  constexpr int P = kRowPacks<T>;
  const bool fits =
      p.n > 0 && with_fitting_team<T, TeamShape<4, 1>, TeamShape<16, 1>, TeamShape<32, P / 2>,
                                   TeamShape<32, P>, TeamShape<256, P>, TeamShape<512, P>>(
                     room_for<T>(p.x, p.n), [&](auto team) {
                       using Team = decltype(team);
                       launch({Team::grid(p.rows), dim3(Team::kBlock), 0, current_stream()},
                              norm_rows<T, Team, Affine>, p, affine);
                     });
  if (!fits)
    launch({LongRowTeam::grid(p.rows), dim3(LongRowTeam::kBlock), 0, current_stream()},
           norm_long_rows<T, Affine>, p, affine);
}

}  // namespace gs::cuda
