// Group normalisation. Forward: rows of the channels of one group of one sample. Gradient: sums
// over planes, from them the coefficients of each group, and dx by planes.
#include "kernels/kernels.h"
#include "kernels/params/norm.h"
#include "norm_planes.cuh"
#include "norm_rows.cuh"
#include "runtime/scratch.h"

namespace gs::cuda {
namespace {

// ---------------------------------------------------------------- forward

// Weight and bias belong to channels: a row holds `per_group` of them, of `inner` elements each.
template <class T>
struct ChannelAffine {
  using C = compute_t<T>;
  const T* weight;  // may be null
  const T* bias;    // may be null
  int64_t per_group, inner, groups;

  template <int N>
  GS_DEVICE void load(int64_t row, int64_t first, int64_t n, C (&w)[N], C (&b)[N]) const {
    const int64_t at = first < 0 ? 0 : first;
    int64_t channel, element;  // of the row's first element in this pack
    if (n < (int64_t(1) << 31)) {
      const uint32_t i = static_cast<uint32_t>(at), size = static_cast<uint32_t>(inner);
      channel = i / size, element = i % size;
    } else {
      channel = at / inner, element = at % inner;
    }
    channel += row % groups * per_group;
    GS_UNROLL for (int i = 0; i < N; ++i) {
      const bool used = first + i >= 0 && first + i < n;
      w[i] = used && weight ? widen(weight[channel]) : C(1);
      b[i] = used && bias ? widen(bias[channel]) : C(0);
      if (used && ++element == inner) element = 0, ++channel;
    }
  }
};

template <class T>
void group_norm_as(const GroupNorm& p) {
  using C = compute_t<T>;
  const int64_t per_group = p.c / p.groups;
  normalise_rows(NormRows<T>{static_cast<const T*>(p.x), static_cast<T*>(p.y),
                             static_cast<C*>(p.mean), static_cast<C*>(p.rstd), p.n * p.groups,
                             per_group * p.inner, static_cast<C>(p.eps)},
                 ChannelAffine<T>{static_cast<const T*>(p.weight), static_cast<const T*>(p.bias),
                                  per_group, p.inner, p.groups});
}

// ---------------------------------------------------------------- gradient

template <class T>
struct Groups {
  using C = compute_t<T>;
  const T* weight;  // C or null
  const C* mean;    // N groups
  const C* rstd;
  const SumPair<C>* sums;  // (parts, N C): of dy, and of dy (x - mean)
  int64_t n, c, inner, groups, parts;

  GS_DEVICE int64_t per_group() const { return c / groups; }
  GS_DEVICE C weight_of(int64_t channel) const { return weight ? widen(weight[channel]) : C(1); }
  GS_DEVICE SumPair<C> sums_of(int64_t plane) const {
    SumPair<C> all = sums[plane];
    for (int64_t part = 1; part < parts; ++part) all.join(sums[part * n * c + plane]);
    return all;
  }
};

// dx = dy weight rstd + (x - mean) b + c:
//   b = -rstd^3 mean(dy weight (x - mean)),  c = -rstd mean(dy weight).
template <class T>
__global__ void __launch_bounds__(TeamShape<32, 1>::kBlock)
    group_coefficients(const Groups<T> p, SumPair<compute_t<T>>* coefficients) {
  using C = compute_t<T>;
  using Team = TeamShape<32, 1>;
  const int64_t row = Team::row(), per_group = p.per_group();
  const bool live = row < p.n * p.groups;
  auto sums = SumPair<C>::none();
  for (int64_t k = Team::lane(); live && k < per_group; k += Team::kLanes) {
    const int64_t plane = row * per_group + k;
    const C w = p.weight_of(plane % p.c);
    const SumPair<C> s = p.sums_of(plane);
    sums.join({w * s.first, w * s.second});
  }
  sums = team_join<Team>(sums);
  if (!live || Team::lane() != 0) return;
  const C rstd = p.rstd[row], count = static_cast<C>(per_group * p.inner);
  coefficients[row] = {-rstd * rstd * rstd * (sums.second / count), -rstd * (sums.first / count)};
}

template <class C>
struct GroupGradient {
  C scale, mean, b, c;
  GS_DEVICE C operator()(C dy, C x) const { return dy * scale + ((x - mean) * b + c); }
};
template <class T>
struct GroupGradients {
  using C = compute_t<T>;
  Groups<T> groups;
  const SumPair<C>* coefficients;  // N groups
  GS_DEVICE GroupGradient<C> of_plane(int64_t plane) const {
    const int64_t row = plane / groups.per_group();
    const SumPair<C> k = coefficients[row];
    return {groups.weight_of(plane % groups.c) * groups.rstd[row], groups.mean[row], k.first,
            k.second};
  }
};

// What a sample adds to a channel's dweight and dbias.
template <class T>
struct SampleTerms {
  using C = compute_t<T>;
  Groups<T> groups;
  GS_DEVICE SumPair<C> operator()(int64_t sample, int64_t channel) const {
    const int64_t plane = sample * groups.c + channel;
    const SumPair<C> s = groups.sums_of(plane);
    return {s.second * groups.rstd[plane / groups.per_group()], s.first};
  }
};

template <class T>
void group_norm_grad_as(const GroupNormGrad& p) {
  using C = compute_t<T>;
  const int64_t planes = p.n * p.c, rows = p.n * p.groups;
  const T *dy = static_cast<const T*>(p.dy), *x = static_cast<const T*>(p.x);
  const C* mean = static_cast<const C*>(p.mean);
  const int64_t parts = parts_of_planes<T>(dy, p.inner);
  const Scratch<SumPair<C>> sums(parts * planes), coefficients(rows);
  sum_planes(PlaneSums<T>{dy, x, mean, p.c / p.groups, rows}, planes, p.inner, sums.data());
  const Groups<T> groups{static_cast<const T*>(p.weight),
                         mean,
                         static_cast<const C*>(p.rstd),
                         sums.data(),
                         p.n,
                         p.c,
                         p.inner,
                         p.groups,
                         parts};
  if (p.dx) {
    using Team = TeamShape<32, 1>;
    launch({Team::grid(rows), dim3(Team::kBlock), 0, current_stream()}, group_coefficients<T>,
           groups, coefficients.data());
    write_planes(GroupGradients<T>{groups, coefficients.data()}, dy, x, static_cast<T*>(p.dx),
                 planes, p.inner);
  }
  launch_join<T>(SampleTerms<T>{groups}, p.n, p.c, p.dweight, p.dbias);
}

}  // namespace

void group_norm(const GroupNorm& p) {
  visit_floating(p.dtype, [&](auto tag) { group_norm_as<typename decltype(tag)::type>(p); });
}

void group_norm_grad(const GroupNormGrad& p) {
  visit_floating(p.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (p.n * p.c * p.inner != 0) return group_norm_grad_as<T>(p);
    for (void* sums : {p.dweight, p.dbias})  // of nothing
      if (sums && p.c)
        check(cudaMemsetAsync(sums, 0, static_cast<size_t>(p.c) * sizeof(T), current_stream()),
              "group_norm_grad");
  });
}

}  // namespace gs::cuda
