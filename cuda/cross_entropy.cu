// Cross entropy over the middle of (outer, n, inner), of rows (inner is 1) or of columns. The
// logits are read once each way: forward finds maximum and sum together, the gradient needs no sum.
#include "kernels/kernels.h"
#include "kernels/params/cross_entropy.h"
#include "runtime/scratch.h"
#include "softmax_sums.cuh"

namespace gs::cuda {
namespace {

// Class weights and what label smoothing spreads over them. The sum of the weights is on the
// device, null where it is n or not needed.
template <class T>
struct Classes {
  using C = compute_t<T>;
  const int64_t* target = nullptr;
  const T* weight = nullptr;
  const C* total_weight = nullptr;
  int64_t positions = 0, n = 0, inner = 0, ignore_index = 0;
  C smoothing = 0;

  // What fills a pack at the ends of a row has places outside the classes.
  GS_DEVICE C weight_of(int64_t j) const {
    return weight && j >= 0 && j < n ? widen(weight[j]) : C(1);
  }
  GS_DEVICE C total() const { return total_weight ? *total_weight : static_cast<C>(n); }
  GS_DEVICE C spread() const { return smoothing / static_cast<C>(n); }
};

constexpr int kTotalThreads = 256;

template <class T>
__global__ void __launch_bounds__(kTotalThreads)
    sum_weights(const T* weight, int64_t n, compute_t<T>* total) {
  double sum = 0;
  for (int64_t j = threadIdx.x; j < n; j += kTotalThreads) sum += widen(weight[j]);
  sum = block_reduce<kTotalThreads>(sum, Plus{}, 0.0);
  if (threadIdx.x == 0) *total = static_cast<compute_t<T>>(sum);
}

// ---------------------------------------------------------------- forward

template <class T>
struct Losses {
  T* loss;
  T* lse;
};

// The loss of position `at`, whose class c is x[c * inner].
template <class T, bool Smoothed>
GS_DEVICE void write_loss(const Classes<T>& classes, const Losses<T>& out, const T* x, int64_t at,
                          const ExpSum<compute_t<T>, Smoothed>& s) {
  using C = compute_t<T>;
  const int64_t t = classes.target[at];
  if (t == classes.ignore_index) {
    out.loss[at] = out.lse[at] = T(0.0f);
    return;
  }
  const C log_sum = ScalarMath<C>::log(s.total());
  // lse - x_t without the rounding of lse, which is large beside a small loss.
  C value = classes.weight_of(t) * (C(1) - classes.smoothing) *
            (log_sum + (s.max - widen(x[t * classes.inner])));
  if (Smoothed) value += classes.spread() * (classes.total() * log_sum + s.gap);
  out.loss[at] = T(value);
  out.lse[at] = T(s.max + log_sum);
}

template <class T, bool Smoothed, int N>
GS_DEVICE void absorb_classes(ExpSum<compute_t<T>, Smoothed>& s, const compute_t<T> (&v)[N],
                              const Classes<T>& classes, int64_t first, int64_t step) {
  if constexpr (!Smoothed) {
    absorb(s, v);
  } else {
    compute_t<T> weight[N];
    bool used[N];
    GS_UNROLL for (int i = 0; i < N; ++i) {
      const int64_t j = first + i * step;
      used[i] = j >= 0 && j < classes.n;
      weight[i] = used[i] ? classes.weight_of(j) : compute_t<T>(0);
    }
    absorb(s, v, weight, used);
  }
}

template <class T, class Team, bool Smoothed>
__global__ void __launch_bounds__(Team::kBlock, Team::kAtOnce)
    cross_entropy_rows(const T* x, const Classes<T> classes, const Losses<T> out) {
  using C = compute_t<T>;
  constexpr int N = kPackOf<T>;
  const int64_t row = Team::row();
  const bool live = row < classes.positions;
  x += row * classes.n;
  auto s = ExpSum<C, Smoothed>::none();
  each_pack_of_row<Team>(x, live ? classes.n : 0, T(kLowest<float>),
                         [&](const Pack<T, N>& pack, int64_t first) {
                           C v[N];
                           GS_UNROLL for (int i = 0; i < N; ++i) v[i] = widen(pack.v[i]);
                           absorb_classes<T, Smoothed>(s, v, classes, first, 1);
                         });
  s = team_join<Team>(s);
  if (live && Team::lane() == 0) write_loss(classes, out, x, row, s);
}

template <class T, bool Smoothed>
__global__ void __launch_bounds__(kColumnThreads)
    cross_entropy_columns(const T* x, const Classes<T> classes, const Losses<T> out) {
  using C = compute_t<T>;
  const Column column(classes.positions / classes.inner, classes.n, classes.inner);
  x += column.start;
  auto s = ExpSum<C, Smoothed>::none();
  each_group_of_column(x, column.n, classes.inner, [&](const C(&v)[kColumnGroup], int64_t first) {
    absorb_classes<T, Smoothed>(s, v, classes, first, blockDim.y);
  });
  s = column_join(s);
  if (column.n > 0 && threadIdx.y == 0) write_loss(classes, out, x, column.number, s);
}

// ---------------------------------------------------------------- gradient

// dx_j = dloss (p_j (w_t (1 - eps) + eps / n sum w) - [j = t] w_t (1 - eps) - eps / n w_j)
template <class T>
struct PositionGrad {
  using C = compute_t<T>;
  C lse, all, own, spread;  // factors of p_j, of [j = t], and of w_j
  int64_t target;
  bool ignored;

  GS_DEVICE PositionGrad(const Classes<T>& classes, const T* lses, const T* dloss,
                         int64_t dloss_stride, int64_t at)
      : target(classes.target[at]), ignored(target == classes.ignore_index) {
    if (ignored) return;
    const C g = widen(dloss[at * dloss_stride]);
    lse = widen(lses[at]);
    own = g * classes.weight_of(target) * (C(1) - classes.smoothing);
    spread = g * classes.spread();
    all = classes.smoothing == C(0) ? own : own + spread * classes.total();
  }
  GS_DEVICE C operator()(C x, int64_t j, const Classes<T>& classes) const {
    if (ignored) return C(0);
    C dx = exp_of(x - lse) * all;
    if (spread != C(0)) dx -= classes.weight_of(j) * spread;
    return j == target ? dx - own : dx;
  }
};

template <class T>
struct GradInputs {
  const T* lse;
  const T* dloss;
  int64_t dloss_stride;
};

// Block y takes elements [y, y + 1) * part of its row; `part` is a multiple of 16 bytes.
template <class T, class Team>
__global__ void __launch_bounds__(Team::kBlock)
    cross_entropy_grad_rows(const T* x, T* dx, const Classes<T> classes, const GradInputs<T> in,
                            int64_t part) {
  constexpr int N = kPackOf<T>;
  const int64_t row = Team::row();
  if (row >= classes.positions) return;  // nobody waits for anybody here
  x += row * classes.n, dx += row * classes.n;
  const PositionGrad<T> grad(classes, in.lse, in.dloss, in.dloss_stride, row);
  const int64_t from = int64_t(blockIdx.y) * part - shift_of(x), rest = classes.n - from,
                end = rest < part ? classes.n : from + part;
  for (int64_t first = from + Team::lane() * N; first < end; first += Team::kLanes * N) {
    const Pack<T, N> pack = load_part(x, first, classes.n, T(0.0f));
    compute_t<T> v[N];
    GS_UNROLL for (int i = 0; i < N; ++i) v[i] = grad(widen(pack.v[i]), first + i, classes);
    store_part(dx, first, classes.n, narrow<T>(v));
  }
}

template <class T>
__global__ void __launch_bounds__(kColumnThreads)
    cross_entropy_grad_columns(const T* x, T* dx, const Classes<T> classes,
                               const GradInputs<T> in) {
  const Column column(classes.positions / classes.inner, classes.n, classes.inner);
  if (column.n == 0) return;
  x += column.start, dx += column.start;
  const PositionGrad<T> grad(classes, in.lse, in.dloss, in.dloss_stride, column.number);
  for (int64_t j = threadIdx.y; j < column.n; j += blockDim.y)
    dx[j * classes.inner] = T(grad(widen(x[j * classes.inner]), j, classes));
}

// ---------------------------------------------------------------- launches

// The classes as kernels take them; keeps what they point to.
template <class T>
class ClassesOf {
  using C = compute_t<T>;

 public:
  template <class P>
  explicit ClassesOf(const P& p) : total_(1) {
    classes.target = p.target;
    classes.weight = static_cast<const T*>(p.weight);
    classes.positions = p.outer * p.inner;
    classes.n = p.n, classes.inner = p.inner;
    classes.ignore_index = p.ignore_index;
    classes.smoothing = static_cast<C>(p.smoothing);
    if (!p.weight || p.smoothing == 0) return;
    launch({dim3(1), dim3(kTotalThreads), 0, current_stream()}, sum_weights<T>, classes.weight, p.n,
           total_.data());
    classes.total_weight = total_.data();
  }
  Classes<T> classes;

 private:
  Scratch<C> total_;
};

template <class T, bool Smoothed>
void forward(const CrossEntropy& p, const Classes<T>& classes) {
  const Losses<T> out{static_cast<T*>(p.loss), static_cast<T*>(p.lse)};
  const T* x = static_cast<const T*>(p.x);
  const cudaStream_t stream = current_stream();
  if (p.inner != 1) {
    launch({column_grid(classes.positions, p.n), column_block(p.n), 0, stream},
           cross_entropy_columns<T, Smoothed>, x, classes, out);
    return;
  }
  const auto run = [&](auto team) {
    using Team = decltype(team);
    launch({Team::grid(p.outer), dim3(Team::kBlock), 0, stream},
           cross_entropy_rows<T, Team, Smoothed>, x, classes, out);
  };
  if (with_fitting_team<T, TeamShape<4, 1>, TeamShape<16, 1>, TeamShape<32, 8>>(room_for<T>(x, p.n),
                                                                                run))
    return;
  constexpr int P = sizeof(T) == sizeof(double) ? 2 : 4;
  constexpr int64_t kFewRows = 264;  // two blocks for each of 132 processors
  if (p.outer < kFewRows && p.n >= 16384)
    run(TeamShape<512, P>{});
  else
    run(TeamShape<256, P>{});
}

template <class T>
void cross_entropy_grad_as(const CrossEntropyGrad& p) {
  const ClassesOf<T> of(p);
  const Classes<T>& classes = of.classes;
  const GradInputs<T> in{static_cast<const T*>(p.lse), static_cast<const T*>(p.dloss),
                         p.dloss_stride};
  const T* x = static_cast<const T*>(p.x);
  const cudaStream_t stream = current_stream();
  if (p.inner != 1) {
    launch({column_grid(classes.positions, p.n), column_block(p.n), 0, stream},
           cross_entropy_grad_columns<T>, x, p.dx, classes, in);
    return;
  }
  const int64_t room = room_for<T>(x, p.n);
  int64_t part = room;
  const auto run = [&](auto team) {
    using Team = decltype(team);
    const dim3 grid(Team::grid(p.outer).x, static_cast<unsigned>(ceil_div(room, part)));
    launch({grid, dim3(Team::kBlock), 0, stream}, cross_entropy_grad_rows<T, Team>, x, p.dx,
           classes, in, part);
  };
  if (with_fitting_team<T, TeamShape<4, 1>, TeamShape<16, 1>, TeamShape<32, 8>>(room, run)) return;
  constexpr int64_t kMostParts = 65535;
  part = 256 * 8 * kPackOf<T>;
  while (ceil_div(room, part) > kMostParts) part *= 2;
  run(TeamShape<256, 8>{});
}

}  // namespace

void cross_entropy(const CrossEntropy& p) {
  if (p.outer * p.n * p.inner == 0) return;
  visit_floating(p.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const ClassesOf<T> of(p);
    p.smoothing != 0 ? forward<T, true>(p, of.classes) : forward<T, false>(p, of.classes);
  });
}

void cross_entropy_grad(const CrossEntropyGrad& p) {
  if (p.outer * p.n * p.inner == 0) return;
  visit_floating(p.dtype,
                 [&](auto tag) { cross_entropy_grad_as<typename decltype(tag)::type>(p); });
}

}  // namespace gs::cuda
