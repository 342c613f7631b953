// Layer normalisation, forward: weight and bias belong to the elements of a row.
#include "kernels/kernels.h"
#include "kernels/params/norm.h"
#include "norm_rows.cuh"

namespace gs::cuda {
namespace {

template <class T>
struct ElementAffine {
  using C = compute_t<T>;
  const T* weight;  // may be null
  const T* bias;    // may be null

  template <int N>
  GS_DEVICE void load(int64_t, int64_t first, int64_t n, C (&w)[N], C (&b)[N]) const {
    read(weight, C(1), first, n, w);
    read(bias, C(0), first, n, b);
  }

 private:
  template <int N>
  static GS_DEVICE void read(const T* p, C otherwise, int64_t first, int64_t n, C (&v)[N]) {
    if (!p) {
      GS_UNROLL for (int i = 0; i < N; ++i) v[i] = otherwise;
      return;
    }
    const Pack<T, N> pack = load_part(p, first, n, T(0.0f));
    GS_UNROLL for (int i = 0; i < N; ++i) v[i] = widen(pack.v[i]);
  }
};

}  // namespace

void layer_norm(const LayerNorm& p) {
  visit_floating(p.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = compute_t<T>;
    normalise_rows(
        NormRows<T>{static_cast<const T*>(p.x), static_cast<T*>(p.y), static_cast<C*>(p.mean),
                    static_cast<C*>(p.rstd), p.rows, p.n, static_cast<C>(p.eps)},
        ElementAffine<T>{static_cast<const T*>(p.weight), static_cast<const T*>(p.bias)});
  });
}

}  // namespace gs::cuda
