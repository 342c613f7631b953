// Value and position of the first extreme along the middle of (outer, n, inner). Values are
// compared as unsigned keys in which the extreme is largest and NaN larger still (ordered.cuh), so
// that the larger key, or of equal ones the smaller position, is the answer in any order of
// joining.
#include "kernels/kernels.h"
#include "kernels/params/reduce.h"
#include "middle.cuh"
#include "ordered.cuh"

namespace gs::cuda {
namespace {

struct Candidate {
  uint64_t key;
  int64_t position;  // -1: none
};

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

// The call, as a kernel takes it: no gaps.
template <class T>
struct Extreme {
  using Element = T;
  using Part = Candidate;

  const void* in;
  void* values;
  int64_t* indices;
  int64_t outer, n, inner, largest;

  static GS_DEVICE Candidate none() { return {0, -1}; }
  GS_DEVICE Candidate part_of(const T* first, int64_t from, int64_t to, int step) const {
    return best_of(first, inner, from, to, step, largest != 0);
  }
  static GS_DEVICE Candidate join(Candidate a, Candidate b) {
    const bool second = b.position >= 0 && (a.position < 0 || b.key > a.key ||
                                            (b.key == a.key && b.position < a.position));
    return second ? b : a;
  }
  GS_DEVICE void store(int64_t o, int64_t j, Candidate best) const {
    const int64_t at = o * inner + j;
    if (values)
      static_cast<T*>(values)[at] = static_cast<const T*>(in)[(o * n + best.position) * inner + j];
    if (indices) indices[at] = best.position;
  }
  GS_DEVICE void store(int64_t at, Candidate best) const { store(at / inner, at % inner, best); }
};

}  // namespace

void arg_extreme(const ArgExtreme& p) {
  if (p.outer * p.n * p.inner == 0) return;
  visit(p.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using Element = std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>;
    join_middle(Extreme<Element>{p.in, p.values, p.indices, p.outer, p.n, p.inner, p.largest});
  });
}

}  // namespace gs::cuda
