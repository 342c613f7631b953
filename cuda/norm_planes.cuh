// Planes: x (N, C, inner) as N * C rows of `inner` elements, each with coefficients of its own.
// Batch and group normalisation gather sums over planes and write results by them. Large planes are
// cut into parts, so that a few of them still fill the device.
#pragma once

#include "norm_common.cuh"

namespace gs::cuda {

struct PlaneCut {
  int64_t planes, inner;
  int64_t part;  // elements, a whole number of packs
  int64_t parts;
};

// What the calling thread takes of its plane: for (first = from; first < to; first += step).
template <class T, class Team>
struct PlanePart {
  static constexpr int64_t kStep = Team::kLanes * kPackOf<T>;
  int64_t plane, inner, from, to;
  GS_DEVICE PlanePart(const PlaneCut& cut, const T* x) : plane(Team::row()) {
    inner = plane < cut.planes ? cut.inner : 0;
    const int64_t begin = int64_t(blockIdx.y) * cut.part - shift_of(x + plane * cut.inner);
    from = begin + Team::lane() * kPackOf<T>;
    to = begin + cut.part < inner ? begin + cut.part : inner;
  }
};

// Calls run(team, cut) with a team for planes of `inner`, in parts of about `packs` packs a thread.
template <class T, class F>
void with_plane_team(const void* x, int64_t planes, int64_t inner, int64_t packs, F run) {
  constexpr int N = kPackOf<T>;
  const int64_t room = ceil_div(room_for<T>(x, inner), N) * N;
  PlaneCut cut{planes, inner, room, 1};
  const bool short_planes =
      with_fitting_team<T, TeamShape<4, 1>, TeamShape<16, 1>, TeamShape<32, 8>>(
          room, [&](auto team) { run(team, cut); });
  if (short_planes) return;
  constexpr int64_t kMostParts = 65535;
  cut.part = 256 * N * packs;
  while (ceil_div(room, cut.part) > kMostParts) cut.part *= 2;
  cut.parts = ceil_div(room, cut.part);
  run(TeamShape<256, 8>{}, cut);
}
template <class Team>
dim3 plane_grid(const PlaneCut& cut) {
  return dim3(Team::grid(cut.planes).x, static_cast<unsigned>(cut.parts));
}

// ---------------------------------------------------------------- sums over planes

inline constexpr int64_t kSumPacks = 32;  // of a thread in a part of a large plane

// How many parts sum_planes() cuts a plane into.
template <class T>
int64_t parts_of_planes(const void* x, int64_t inner) {
  int64_t parts = 1;
  with_plane_team<T>(x, 1, inner, kSumPacks, [&](auto, const PlaneCut& cut) { parts = cut.parts; });
  return parts;
}

// partial (parts, planes): sums of dy and of dy (x - mean), where the mean of plane p is
// mean[p / per_mean % means].
template <class T>
struct PlaneSums {
  using C = compute_t<T>;
  const T* dy;
  const T* x;
  const C* mean;
  int64_t per_mean, means;
};
template <class T, class Team>
__global__ void __launch_bounds__(Team::kBlock)
    sum_planes_kernel(const PlaneSums<T> p, const PlaneCut cut, SumPair<compute_t<T>>* partial) {
  using C = compute_t<T>;
  constexpr int N = kPackOf<T>;
  const PlanePart<T, Team> part(cut, p.dy);
  const T *dy = p.dy + part.plane * cut.inner, *x = p.x + part.plane * cut.inner;
  const C mean = part.inner ? p.mean[part.plane / p.per_mean % p.means] : C(0);
  auto sums = SumPair<C>::none();
  for (int64_t first = part.from; first < part.to; first += part.kStep) {
    const Pack<T, N> g = load_part(dy, first, part.inner, T(0.0f)),
                     v = load_part(x, first, part.inner, T(0.0f));
    auto some = SumPair<C>::none();
    GS_UNROLL for (int i = 0; i < N; ++i) {
      const C d = widen(g.v[i]);
      const bool used = first + i >= 0 && first + i < part.inner;
      some.join({d, used ? d * (widen(v.v[i]) - mean) : C(0)});
    }
    sums.join(some);
  }
  sums = team_join<Team>(sums);
  if (part.inner && Team::lane() == 0) partial[blockIdx.y * cut.planes + part.plane] = sums;
}
template <class T>
void sum_planes(const PlaneSums<T>& p, int64_t planes, int64_t inner,
                SumPair<compute_t<T>>* partial) {
  with_plane_team<T>(p.dy, planes, inner, kSumPacks, [&](auto team, const PlaneCut& cut) {
    using Team = decltype(team);
    launch({plane_grid<Team>(cut), dim3(Team::kBlock), 0, current_stream()},
           sum_planes_kernel<T, Team>, p, cut, partial);
  });
}

// ---------------------------------------------------------------- results by planes

// y = f(coefficients, a, b) for every element of every plane, where f.of_plane(p) gives the
// coefficients. b may be null: then f gets zeros.
template <class T, class Team, class F>
__global__ void __launch_bounds__(Team::kBlock)
    write_planes_kernel(const F f, const T* a, const T* b, T* y, const PlaneCut cut) {
  constexpr int N = kPackOf<T>;
  const PlanePart<T, Team> part(cut, a);
  if (part.inner == 0) return;  // nobody waits for anybody here
  const int64_t at = part.plane * cut.inner;
  const auto coefficients = f.of_plane(part.plane);
  for (int64_t first = part.from; first < part.to; first += part.kStep) {
    Pack<T, N> v = load_part(a + at, first, part.inner, T(0.0f)), w = {};
    if (b) w = load_part(b + at, first, part.inner, T(0.0f));
    GS_UNROLL for (int i = 0; i < N; ++i) v.v[i] =
        T(coefficients(widen(v.v[i]), b ? widen(w.v[i]) : compute_t<T>(0)));
    store_part(y + at, first, part.inner, v);
  }
}
template <class T, class F>
void write_planes(const F& f, const T* a, const T* b, T* y, int64_t planes, int64_t inner) {
  constexpr int64_t kPacks = 4;  // of a thread in a part
  with_plane_team<T>(a, planes, inner, kPacks, [&](auto team, const PlaneCut& cut) {
    using Team = decltype(team);
    launch({plane_grid<Team>(cut), dim3(Team::kBlock), 0, current_stream()},
           write_planes_kernel<T, Team, F>, f, a, b, y, cut);
  });
}

}  // namespace gs::cuda
