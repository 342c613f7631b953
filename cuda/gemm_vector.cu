// Products in which one operand has four rows of K or fewer: the other one, M, is read once, at the
// speed of memory. Two orders: a warp for a row of M where K lies along memory, a lane for a few
// rows where the rows do.
#include "gemm.cuh"

namespace gs::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;

// The product seen as rows of M by up to four rows of X. Sum (r, s) belongs to C(s, r) when X is A,
// to C(r, s) when it is B.
template <class T>
struct View {
  const T *m, *x;
  int64_t rows, row, k_step, x_row, x_k;
  int count;
  bool x_is_a, packs;
};

template <class T>
GS_DEVICE View<T> view_of(const Product<T>& p, bool x_is_a, int64_t batch) {
  const T *a = p.a + p.a_batch(batch), *b = p.b + p.b_batch(batch);
  if (x_is_a)
    return {b, a, p.n, p.b_row, p.b_k, p.a_row, p.a_k, static_cast<int>(p.m), true, p.b_packs != 0};
  return {a, b, p.m, p.a_row, p.a_k, p.b_row, p.b_k, static_cast<int>(p.n), false, p.a_packs != 0};
}

template <class T>
GS_DEVICE void give(const Product<T>& p, const View<T>& v, int64_t batch, int64_t row, int s,
                    compute_t<T> sum) {
  if (row >= v.rows || s >= v.count) return;
  give_one(p, batch, v.x_is_a ? s : row, v.x_is_a ? row : s, sum);
}

// `N` elements from p on, `step` apart, of which `count` exist.
template <int N, class T>
GS_DEVICE Pack<T, N> load_few(const T* p, int64_t step, int64_t count, bool packs) {
  if (packs && count >= N) return load_pack<T, N>(p);
  Pack<T, N> pack;
  GS_UNROLL for (int j = 0; j < N; ++j) pack.v[j] = j < count ? p[j * step] : T(0);
  return pack;
}

// Adds the products of `N` places along K. `kWhole`: all of them exist, side by side in both
// operands.
template <int N, bool kWhole, class T, int Most>
GS_DEVICE void add_products(const View<T>& v, int64_t row, int64_t k, int64_t count, bool x_packs,
                            compute_t<T> (&sums)[Most]) {
  const auto load = [&](const T* from, int64_t step, bool packs) {
    if constexpr (kWhole) return load_pack<T, N>(from);
    return load_few<N>(from, step, count, packs);
  };
  const auto m = load(v.m + row * v.row + k * v.k_step, v.k_step, v.packs);
  GS_UNROLL for (int s = 0; s < Most; ++s) {
    if (s >= v.count) break;
    const auto x = load(v.x + s * v.x_row + k * v.x_k, v.x_k, x_packs);
    GS_UNROLL for (int j = 0; j < N; ++j) sums[s] += widen(m.v[j]) * widen(x.v[j]);
  }
}

// A warp for a row of M, its lanes side by side along K.
template <class T, int Most>
__global__ void __launch_bounds__(kThreads, 4)
    dot_kernel(const __grid_constant__ Product<T> p, bool x_is_a) {
  using C = compute_t<T>;
  constexpr int kPack = kPackBytes / sizeof(T);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int64_t batch = p.first_batch + blockIdx.z, row = int64_t(blockIdx.x) * kWarps + warp;
  const View<T> v = view_of(p, x_is_a, batch);
  const int64_t begin = blockIdx.y * p.split_k;
  const int64_t end = begin + p.split_k < p.k ? begin + p.split_k : p.k;
  C sums[Most] = {};
  const bool x_packs = v.x_k == 1 && (x_is_a ? p.a_packs : p.b_packs);
  if (row < v.rows) {
    int64_t k = begin + lane * kPack;
    if (v.packs && x_packs) {
      _Pragma("unroll 2") for (; k + kPack <= end; k += 32 * kPack)
          add_products<kPack, true>(v, row, k, kPack, true, sums);
    }
    // What is left, or all: the addresses of single elements take the registers of a second step.
    constexpr int kPart = kPack / 2;
    _Pragma("unroll 1") for (; k < end; k += 32 * kPack) {
      _Pragma("unroll 1") for (int at = 0; at < kPack && k + at < end; at += kPart)
          add_products<kPart, false>(v, row, k + at, end - k - at, x_packs, sums);
    }
  }
  C mine = 0;  // lane s gives sum s
  GS_UNROLL for (int s = 0; s < Most; ++s) {
    const C sum = warp_reduce(sums[s], Plus{});
    if (lane == s) mine = sum;
  }
  if (lane < Most) give(p, v, batch, row, lane, mine);
}

// A lane for a few rows of M, the warps by turns along K; their sums meet in shared memory.
template <class T, int Most>
__global__ void __launch_bounds__(kThreads)
    columns_kernel(const __grid_constant__ Product<T> p, bool x_is_a) {
  using C = compute_t<T>;
  constexpr int kWidest = kPackBytes / sizeof(T), kPack = kWidest < 4 ? kWidest : 4;
  constexpr int kRows = 32 * kPack;
  GS_SHARED(of_warp, C[kWarps][Most][kRows]);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const int64_t batch = p.first_batch + blockIdx.z, first = int64_t(blockIdx.x) * kRows;
  const int64_t row = first + lane * kPack;
  const View<T> v = view_of(p, x_is_a, batch);
  const int64_t begin = blockIdx.y * p.split_k;
  const int64_t end = begin + p.split_k < p.k ? begin + p.split_k : p.k;
  C sums[Most][kPack] = {};
  for (int64_t k = begin + warp; k < end; k += kWarps) {
    const auto m = load_few<kPack>(v.m + row * v.row + k * v.k_step, v.row, v.rows - row, v.packs);
    GS_UNROLL for (int s = 0; s < Most; ++s) {
      if (s >= v.count) break;
      const C x = widen(v.x[s * v.x_row + k * v.x_k]);
      GS_UNROLL for (int j = 0; j < kPack; ++j) sums[s][j] += widen(m.v[j]) * x;
    }
  }
  GS_UNROLL for (int s = 0; s < Most; ++s) {
    GS_UNROLL for (int j = 0; j < kPack; ++j) of_warp[warp][s][lane * kPack + j] = sums[s][j];
  }
  __syncthreads();
  for (int e = thread; e < Most * kRows; e += kThreads) {
    const int s = e / kRows, r = e % kRows;
    C sum = 0;
    GS_UNROLL for (int w = 0; w < kWarps; ++w) sum += of_warp[w][s][r];
    give(p, v, batch, first + r, s, sum);
  }
}

template <class T, int Most>
void run(const Product<T>& p) {
  const bool x_is_a = p.m <= p.n;
  const int64_t rows = x_is_a ? p.n : p.m, row = x_is_a ? p.b_row : p.a_row;
  const int64_t k_step = x_is_a ? p.b_k : p.a_k;
  constexpr int kWidest = kPackBytes / sizeof(T), kPack = kWidest < 4 ? kWidest : 4;
  const bool columns = row == 1 && k_step != 1;
  const auto kernel = columns ? columns_kernel<T, Most> : dot_kernel<T, Most>;
  const int64_t blocks = columns ? ceil_div(rows, 32 * kPack) : ceil_div(rows, kWarps);
  Product<T> part = p;
  for (; part.first_batch < p.batch; part.first_batch += kMostBatches) {
    const int64_t left = p.batch - part.first_batch;
    const dim3 grid(static_cast<unsigned>(blocks), static_cast<unsigned>(p.splits),
                    static_cast<unsigned>(left < kMostBatches ? left : kMostBatches));
    launch({grid, dim3(kThreads), 0, current_stream()}, kernel, part, x_is_a);
  }
}

}  // namespace

template <class T>
void vector_product(const Product<T>& p) {
  if (p.m == 1 || p.n == 1)
    run<T, 1>(p);
  else
    run<T, 4>(p);
}

template void vector_product(const Product<float>& p);
template void vector_product(const Product<double>& p);
template void vector_product(const Product<Half>& p);
template void vector_product(const Product<BFloat16>& p);

}  // namespace gs::cuda
