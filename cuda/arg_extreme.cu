// Value and position of the first extreme along the middle of (outer, n, inner). Values are
// compared as unsigned keys in which the extreme is largest and NaN larger still (ordered.cuh), so
// that the larger key, or of equal ones the smaller position, is the answer in any order of
// joining.
#include "kernels/kernels.h"
#include "kernels/params/reduce.h"
#include "ordered.cuh"
#include "runtime/scratch.h"
#include "runtime/stream.h"
#include "tile.cuh"

namespace gs::cuda {
namespace {

// The call, as a kernel takes it: no gaps.
struct Middle {
  const void* in;
  void* values;
  int64_t* indices;
  int64_t outer, n, inner, largest;
};

struct Candidate {
  uint64_t key;
  int64_t position;  // -1: none
};
struct Better {
  GS_DEVICE Candidate operator()(Candidate a, Candidate b) const {
    const bool second = b.position >= 0 && (a.position < 0 || b.key > a.key ||
                                            (b.key == a.key && b.position < a.position));
    return second ? b : a;
  }
};

template <class T>
GS_DEVICE void store_extreme(const Middle& p, int64_t o, int64_t j, int64_t position) {
  const int64_t at = o * p.inner + j;
  if (p.values)
    static_cast<T*>(p.values)[at] = static_cast<const T*>(p.in)[(o * p.n + position) * p.inner + j];
  if (p.indices) p.indices[at] = position;
}

// The best of every y-th element from `from` on: a few loads are under way at a time.
template <class T>
GS_DEVICE Candidate best_of(const T* in, int64_t stride, int64_t from, int64_t to, int step,
                            bool largest) {
  constexpr int kInFlight = 4;
  Candidate best{0, -1};
  int64_t i = from;
  for (; i + (kInFlight - 1) * step < to; i += kInFlight * step) {
    T x[kInFlight];
    GS_UNROLL for (int k = 0; k < kInFlight; ++k) x[k] = in[(i + k * step) * stride];
    GS_UNROLL for (int k = 0; k < kInFlight; ++k) {
      const uint64_t key = extreme_key(x[k], largest);
      if (best.position < 0 || key > best.key) best = {key, i + k * step};
    }
  }
  for (; i < to; i += step) {
    const uint64_t key = extreme_key(in[i * stride], largest);
    if (best.position < 0 || key > best.key) best = {key, i};
  }
  return best;
}

// partial: (outer * inner, chunks), or null.
template <class T>
__global__ void __launch_bounds__(kTileThreads)
    extreme_kernel(const Middle p, const MiddlePlan plan, Candidate* partial) {
  const int thread = static_cast<int>(threadIdx.x);
  const unsigned chunks = static_cast<unsigned>(plan.chunks), place = blockIdx.x / chunks;
  const unsigned x_blocks = static_cast<unsigned>(plan.x_blocks);
  const int64_t chunk = blockIdx.x % chunks;
  const int64_t o = int64_t(place / x_blocks) * plan.tile.z() + plan.tile.z_of(thread);
  const int64_t j = int64_t(place % x_blocks) * plan.tile.x() + plan.tile.x_of(thread);
  const int y = plan.tile.y_of(thread);
  const bool active = o < p.outer && j < p.inner;
  Candidate best[1] = {{0, -1}};
  if (active) {
    const int64_t from = chunk * plan.length;
    const int64_t to = from + plan.length < p.n ? from + plan.length : p.n;
    best[0] = best_of(static_cast<const T*>(p.in) + o * p.n * p.inner + j, p.inner, from + y, to,
                      plan.tile.y(), p.largest != 0);
  }
  join_over_y(best, plan.tile, Better());
  if (!active || y != 0) return;
  if (partial)
    partial[(o * p.inner + j) * plan.chunks + chunk] = best[0];
  else
    store_extreme<T>(p, o, j, best[0].position);
}

// A warp for each result.
template <class T>
__global__ void __launch_bounds__(kTileThreads)
    join_kernel(const Middle p, int64_t chunks, const Candidate* partial) {
  Tile tile;
  tile.y_bits = 5;
  const int thread = static_cast<int>(threadIdx.x), y = tile.y_of(thread);
  const int64_t at = int64_t(blockIdx.x) * tile.z() + tile.z_of(thread);
  const bool active = at < p.outer * p.inner;
  Candidate best[1] = {{0, -1}};
  for (int64_t c = y; active && c < chunks; c += tile.y())
    best[0] = Better()(best[0], partial[at * chunks + c]);
  join_over_y(best, tile, Better());
  if (active && y == 0) store_extreme<T>(p, at / p.inner, at % p.inner, best[0].position);
}

template <class T>
void run(const Middle& p) {
  const MiddlePlan plan = plan_middle(p.outer, p.n, p.inner);
  const int64_t results = p.outer * p.inner;
  const int64_t blocks = plan.blocks(p.outer);
  const Scratch<Candidate> partial(plan.chunks > 1 ? results * plan.chunks : 0);
  launch({dim3(static_cast<unsigned>(blocks)), dim3(kTileThreads), 0, current_stream()},
         extreme_kernel<T>, p, plan, plan.chunks > 1 ? partial.data() : nullptr);
  if (plan.chunks > 1)
    launch({dim3(static_cast<unsigned>(ceil_div(results, kTileThreads / 32))), dim3(kTileThreads),
            0, current_stream()},
           join_kernel<T>, p, plan.chunks, partial.data());
}

}  // namespace

void arg_extreme(const ArgExtreme& p) {
  if (p.outer * p.n * p.inner == 0) return;
  const Middle m{p.in, p.values, p.indices, p.outer, p.n, p.inner, p.largest};
  visit(p.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    run<std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>>(m);
  });
}

}  // namespace gs::cuda
