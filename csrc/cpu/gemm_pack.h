// Packing: strips of A or B copied into panels that the register tile reads in order.
//
// A panel is `depth` rows of `width` values: value (lane, k) stands at panel[k * width + lane]. The
// lanes are rows of A or columns of B. 16-bit floats are converted here, once per packed value.
#pragma once

#include "cpu/gemm_write.h"

namespace gs::cpu {
namespace {

// A panel may be written this many values past its end (by whole vectors), never read there.
template <class C>
inline constexpr int64_t kPanelSlack = kLanes<C>;

template <class C>
struct ShuffleMask;
template <>
struct ShuffleMask<float> {
  using type = int32_t;
};
template <>
struct ShuffleMask<double> {
  using type = int64_t;
};

// Transposes kLanes x kLanes values in registers: log2(kLanes) rounds, each of which interleaves
// the first half of the vectors with the second.
template <class C>
GS_INLINE void transpose(Vec<C>* v) {
  constexpr int n = kLanes<C>;
  typedef typename ShuffleMask<C>::type Index;
  typedef Index Mask __attribute__((vector_size(kVectorBytes)));
  Mask low, high;
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) {
    low[i] = i / 2 + (i % 2) * n;
    high[i] = n / 2 + i / 2 + (i % 2) * n;
  }
#pragma GCC unroll 4
  for (int round = 1; round < n; round *= 2) {
    Vec<C> next[n];
#pragma GCC unroll 8
    for (int i = 0; i < n / 2; ++i) {
      next[2 * i] = __builtin_shuffle(v[i], v[i + n / 2], low);
      next[2 * i + 1] = __builtin_shuffle(v[i], v[i + n / 2], high);
    }
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) v[i] = next[i];
  }
}

// kLanes values of k, from k0 on, of up to kLanes lanes that each lie along memory.
template <class T, class C>
GS_INLINE void transpose_block(const T* src, int64_t lane_stride, int64_t lanes, C* out,
                               int64_t width) {
  constexpr int n = kLanes<C>;
  Vec<C> v[n];
  if (lanes >= n) {
    // The stride is hidden from the compiler, which would keep its sixteen multiples in spilled
    // registers.
    __asm__("" : "+r"(lane_stride));
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i, src += lane_stride) {
      v[i] = load(src);
      __builtin_prefetch(src + 4 * n);  // many short streams: the hardware misses them
    }
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) v[i] = i < lanes ? load(src + i * lane_stride) : Vec<C>{};
  }
  transpose<C>(v);
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) store(out + i * width, v[i]);
}

// Lanes along rows of memory (k_stride 1): blocks are transposed in registers. A block whose
// vectors are wider than what is left of the panel spills into the next row of the panel, so the
// blocks of one k go from the last to the first and every row is finished after the row above it.
template <class T, class C>
void pack_transposed(const T* src, int64_t lane_stride, int64_t lanes, int64_t depth, C* out,
                     int64_t width) {
  constexpr int64_t n = kLanes<C>;
  if (depth < n) {
    for (int64_t k = 0; k < depth; ++k)
      for (int64_t i = 0; i < width; ++i)
        out[k * width + i] = i < lanes ? static_cast<C>(src[i * lane_stride + k]) : C(0);
    return;
  }
  for (int64_t k = 0; k < depth; k += n) {
    const int64_t from = min_of(k, depth - n);  // the last block overlaps the one before it
    for (int64_t lane = (width - 1) / n * n; lane >= 0; lane -= n)
      transpose_block(src + lane * lane_stride + from, lane_stride, lanes - lane,
                      out + from * width + lane, width);
  }
}

// Lanes side by side in memory. `safe` lanes may be read at every k. All rows but the last few may
// also be read past their lanes, into the next row: what comes from there is masked out.
template <class T, class C>
void pack_rows(const T* src, int64_t k_stride, int64_t lanes, int64_t safe, int64_t depth, C* out,
               int64_t width) {
  constexpr int64_t n = kLanes<C>;
  const int64_t whole = lanes / n * n, rest = lanes - whole;
  const bool safe_rest = whole + n <= safe;
  for (int64_t k = 0; k < depth; ++k, src += k_stride, out += width) {
    int64_t i = 0;
    for (; i < whole; i += n) store(out + i, load(src + i));
    if (rest) {
      const bool readable = safe_rest || (depth - 1 - k) * k_stride + safe >= whole + n;
      const Vec<C> v = readable ? load_masked(src + i, rest) : load_tail(src + i, rest);
      store(out + i, v);  // may spill into the next row of the panel, which is written later
      i += n;
    }
    for (; i < width; i += n) store(out + i, Vec<C>{});
  }
}

// `lanes` of `width` lanes (the rest is filled with zeros) and `depth` values of k. `safe` >=
// lanes: how many lanes from here on exist in the matrix.
template <class T, class C>
GS_INLINE void pack_panel(const T* src, int64_t lane_stride, int64_t k_stride, int64_t lanes,
                          int64_t safe, int64_t depth, C* out, int64_t width) {
  if (lane_stride == 1) {
    pack_rows(src, k_stride, lanes, safe, depth, out, width);
  } else if (k_stride == 1) {
    pack_transposed(src, lane_stride, lanes, depth, out, width);
  } else {
    for (int64_t k = 0; k < depth; ++k)
      for (int64_t i = 0; i < width; ++i)
        out[k * width + i] = i < lanes ? static_cast<C>(src[i * lane_stride + k * k_stride]) : C(0);
  }
}

}  // namespace
}  // namespace gs::cpu
