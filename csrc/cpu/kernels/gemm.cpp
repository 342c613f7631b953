// Matrix products: C = act(alpha * A B + beta * C + bias), alone or in batches.
#include "kernels/params/gemm.h"
#include "cpu/gemm_dots.h"
#include "cpu/gemm_small.h"
#include "cpu/gemm_vector.h"
#include "cpu/isa.h"

namespace gs::cpu {
namespace {

// Products below this many multiplications are spread over threads whole; larger ones are cut
// inside.
constexpr int64_t kWholeProduct = 1 << 21;
constexpr int64_t kChunkWork = 1 << 18;

template <class T>
void gemm_one(const Product<T>& p) {
  if (p.m == 0 || p.n == 0) return;
  if (is_vector_product(p)) return gemm_vector(p);
  if constexpr (std::is_same_v<T, float>) {
    if (DotProduct::serves(p)) return DotProduct(p).run();
  }
  if constexpr (std::is_same_v<T, compute_t<T>>) {
    if (is_small(p)) return gemm_small(p);
  }
  BlockedProduct<T>(p).run();
}

// Calls f(a, b, c) with the pointers of every batch.
template <class T, class F>
GS_INLINE void for_each_batch(const Gemm& g, F&& f) {
  auto one = [&](int64_t i) {
    const int64_t a = g.a_batch_offsets ? g.a_batch_offsets[i] : i * g.a_batch_stride;
    const int64_t b = g.b_batch_offsets ? g.b_batch_offsets[i] : i * g.b_batch_stride;
    f(static_cast<const T*>(g.a) + a, static_cast<const T*>(g.b) + b,
      static_cast<T*>(g.c) + i * g.c_batch_stride);
  };
  const int64_t work = g.m * g.n * max_of(g.k, 1);
  if (g.batch == 1 || work >= kWholeProduct) {
    for (int64_t i = 0; i < g.batch; ++i) one(i);
    return;
  }
  parallel_for(0, g.batch, max_of(1, kChunkWork / max_of(work, 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) one(i);
               });
}

template <class T>
void gemm_floating(const Gemm& g) {
  Product<T> p;
  p.m = g.m, p.n = g.n, p.k = g.k;
  p.a_row = g.a_row, p.a_col = g.a_col;
  p.b_row = g.b_row, p.b_col = g.b_col;
  p.c_row = g.c_row;
  p.epilogue.alpha = static_cast<compute_t<T>>(g.alpha);
  p.epilogue.beta = static_cast<compute_t<T>>(g.beta);
  p.epilogue.bias = static_cast<const T*>(g.bias);
  p.epilogue.bias_per_row = g.bias_per_row;
  p.epilogue.activation = g.activation;
  for_each_batch<T>(g, [&](const T* a, const T* b, T* c) {
    Product<T> each = p;
    each.a = a, each.b = b, each.c = c;
    gemm_one(each);
  });
}

// Integers wrap round as unsigned; on bool the product is "and", the sum "or". Rows are parallel
// tasks.
template <class T, class U>
void gemm_rows(const Gemm& g, const T* a, const T* b, T* c) {
  const U alpha = static_cast<U>(static_cast<int64_t>(g.alpha));
  const U beta = static_cast<U>(static_cast<int64_t>(g.beta));
  const T* bias = static_cast<const T*>(g.bias);
  constexpr int64_t kCols = 256;
  parallel_for(0, g.m, max_of(1, kChunkWork / max_of(g.n * g.k, 1)),
               [&](int64_t begin, int64_t end) {
                 U sum[kCols];
                 for (int64_t i = begin; i < end; ++i) {
                   for (int64_t j0 = 0; j0 < g.n; j0 += kCols) {
                     const int64_t cols = min_of(kCols, g.n - j0);
                     for (int64_t j = 0; j < cols; ++j) sum[j] = 0;
                     for (int64_t k = 0; k < g.k; ++k) {
                       const U x = static_cast<U>(a[i * g.a_row + k * g.a_col]);
                       const T* row = b + k * g.b_row + j0 * g.b_col;
                       if (g.b_col == 1) {
                         for (int64_t j = 0; j < cols; ++j) sum[j] += x * static_cast<U>(row[j]);
                       } else {
                         for (int64_t j = 0; j < cols; ++j)
                           sum[j] += x * static_cast<U>(row[j * g.b_col]);
                       }
                     }
                     for (int64_t j = 0; j < cols; ++j) {
                       T& to = c[i * g.c_row + j0 + j];
                       U value = alpha * sum[j];
                       if (beta) value += beta * static_cast<U>(to);
                       if (bias) value += static_cast<U>(bias[g.bias_per_row ? i : j0 + j]);
                       to = static_cast<T>(value);
                       if (g.activation == Activation::Relu && to < T(0)) to = T(0);
                     }
                   }
                 }
               });
}

template <class T, class U>
void gemm_integer(const Gemm& g) {
  if (g.m == 0 || g.n == 0) return;
  for_each_batch<T>(g, [&](const T* a, const T* b, T* c) { gemm_rows<T, U>(g, a, b, c); });
}

}  // namespace

namespace GS_ISA {

void gemm(const Gemm& g) {
  switch (g.dtype) {
    case DType::Bool:
      return gemm_integer<bool, uint64_t>(g);  // a count of matches, then != 0
    case DType::UInt8:
      return gemm_integer<uint8_t, uint32_t>(g);
    case DType::Int8:
      return gemm_integer<int8_t, uint32_t>(g);
    case DType::Int16:
      return gemm_integer<int16_t, uint32_t>(g);
    case DType::Int32:
      return gemm_integer<int32_t, uint32_t>(g);
    case DType::Int64:
      return gemm_integer<int64_t, uint64_t>(g);
    case DType::Float16:
      return gemm_floating<Half>(g);
    case DType::BFloat16:
      return gemm_floating<BFloat16>(g);
    case DType::Float32:
      return gemm_floating<float>(g);
    case DType::Float64:
      return gemm_floating<double>(g);
  }
}

}  // namespace GS_ISA
}  // namespace gs::cpu
