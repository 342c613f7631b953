// The wrappers of cuda/ptx/, each given words and asked for words. A wrapper more is a struct more
// and its name in the list at the end of the file.
#pragma once

#include "conformance/draw.h"
#include "ptx/memory.cuh"
#include "ptx/mma.cuh"

namespace gs::conformance {

template <class... Each>
struct Cases {};

// What a case may say; `run` and `draw` it must have. Each thread of a block reads `in` words and
// writes `out` words of its own, both at a multiple of 16 bytes; a trial is a block.
struct Case {
  static constexpr int threads = 32, trials = 8;
  static constexpr double bound = 0;     // vectors.h
  static constexpr int capability = 80;  // of the card, at least; 90: exactly sm_90a
};

constexpr int in_16_bytes(int words) { return (words + 3) / 4 * 4; }

GS_DEVICE float number(uint32_t word) {
  float x;
  memcpy(&x, &word, 4);
  return x;
}
GS_DEVICE uint32_t bits(float x) {
  uint32_t word;
  memcpy(&word, &x, 4);
  return word;
}

// ---------------------------------------------------------------- memory

struct Store16 : Case {
  static constexpr const char* name = "store_16";
  static constexpr int in = 4, out = 4;
  static uint32_t draw(Draw& d, Kind, int) { return d.word(); }
  GS_DEVICE static void run(const uint32_t* in, uint32_t* out) { cuda::ptx::store_16(out, in); }
};

// The fifth word says how many bytes are read: 0 to 16.
struct CopyAsync16 : Case {
  static constexpr const char* name = "copy_async_16";
  static constexpr int in = 5, out = 4;
  static uint32_t draw(Draw& d, Kind, int i) { return i == 4 ? d.below(17) : d.word(); }
  GS_DEVICE static void run(const uint32_t* in, uint32_t* out) {
    GS_SHARED(tile, uint32_t[32][4]);
    uint32_t* mine = tile[threadIdx.x];
    cuda::ptx::copy_async_16(mine, in, static_cast<int>(in[4]));
    cuda::ptx::commit_copies();
    cuda::ptx::wait_copies<0>();
    for (int i = 0; i < 4; ++i) out[i] = mine[i];
  }
};

// Three groups, of which the last may still be under way, then all; another thread reads them.
struct CopyAsyncGroups : Case {
  static constexpr const char* name = "wait_copies";
  static constexpr int in = 12, out = 12;
  static uint32_t draw(Draw& d, Kind, int) { return d.word(); }
  GS_DEVICE static void run(const uint32_t* in, uint32_t* out) {
    GS_SHARED(tile, uint32_t[3][32][4]);
    const unsigned lane = threadIdx.x, other = (lane + 5) % 32;
    for (int g = 0; g < 3; ++g) {
      cuda::ptx::copy_async_16(tile[g][lane], in + 4 * g, 16);
      cuda::ptx::commit_copies();
    }
    cuda::ptx::wait_copies<1>();
    __syncthreads();
    for (int i = 0; i < 8; ++i) out[i] = tile[i / 4][other][i % 4];
    cuda::ptx::wait_copies<0>();
    __syncthreads();
    for (int i = 0; i < 4; ++i) out[8 + i] = tile[2][other][i];
  }
};

// ---------------------------------------------------------------- fragments

// Four words of each lane are a row of the memory; the fifth says which row the lane names.
template <bool Transposed>
struct LoadMatrices : Case {
  static constexpr const char* name = Transposed ? "load_matrices_transposed" : "load_matrices";
  static constexpr int in = 5, out = 4;
  static uint32_t draw(Draw& d, Kind, int i) { return i == 4 ? d.below(32) : d.word(); }
  GS_DEVICE static void run(const uint32_t* in, uint32_t* out) {
    GS_SHARED(rows, uint32_t[32][4]);
    for (int i = 0; i < 4; ++i) rows[threadIdx.x][i] = in[i];
    __syncthreads();
    uint32_t r[4];
    cuda::ptx::load_matrices<Transposed>(r, rows[in[4]]);
    for (int i = 0; i < 4; ++i) out[i] = r[i];
  }
};

struct ToTf32 : Case {
  static constexpr const char* name = "to_tf32";
  static constexpr int in = 8, out = 8, trials = 16;
  static uint32_t draw(Draw& d, Kind kind, int i) {
    // Ties: of the 13 bits that go, the first alone is set.
    const uint32_t x = draw_float(d, kind);
    return i < 2 ? (x & ~0x1fffu) | 0x1000u : x;
  }
  GS_DEVICE static void run(const uint32_t* in, uint32_t* out) {
    for (int i = 0; i < 8; ++i) out[i] = cuda::ptx::to_tf32(number(in[i]));
  }
};

// ---------------------------------------------------------------- products of a warp

// Ten words: four of A, two of B, four of D. Then the same with absolute values, which is what
// roundings are measured by. A product of k numbers adds k + 1 terms in an order of its own, and
// tensor cores cut off what is below the largest term's last bits: at most 2^-22 of it for each.
template <class Product>
struct MultiplyCase : Case {
  static constexpr int in = 10, out = 8, trials = 12;
  static constexpr double bound = (Product::k + 2) / 4194304.0;
  static constexpr const char* name = Product::name;
  static uint32_t draw(Draw& d, Kind kind, int i) {
    return i < 6 ? Product::draw(d, kind) : draw_float(d, kind);
  }
  GS_DEVICE static void run(const uint32_t* in, uint32_t* out) {
    for (int absolute = 0; absolute < 2; ++absolute) {
      const uint32_t keep = absolute ? Product::without_signs : 0xffffffffu;
      const uint32_t a[4] = {in[0] & keep, in[1] & keep, in[2] & keep, in[3] & keep};
      const uint32_t b[2] = {in[4] & keep, in[5] & keep};
      float d[4];
      for (int i = 0; i < 4; ++i) d[i] = number(absolute ? in[6 + i] & 0x7fffffffu : in[6 + i]);
      Product::multiply(d, a, b);
      for (int i = 0; i < 4; ++i) out[4 * absolute + i] = bits(d[i]);
    }
  }
};

template <class T>
struct Multiply16 {
  static constexpr int k = 16;
  static constexpr bool is_half = std::is_same_v<T, Half>;
  static constexpr uint32_t without_signs = 0x7fff7fffu;
  static constexpr const char* name =
      is_half ? "multiply_16x8x16_half" : "multiply_16x8x16_bfloat16";
  static uint32_t draw(Draw& d, Kind kind) {
    return draw_pair(d, kind, is_half ? kHalf : kBFloat16);
  }
  GS_DEVICE static void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    cuda::ptx::multiply_16x8x16<T>(d, a, b);
  }
};

// The operands are whole floats: what tf32 does not keep must not count.
struct MultiplyTf32 {
  static constexpr int k = 8;
  static constexpr uint32_t without_signs = 0x7fffffffu;
  static constexpr const char* name = "multiply_16x8x8_tf32";
  static uint32_t draw(Draw& d, Kind kind) { return draw_float(d, kind); }
  GS_DEVICE static void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    cuda::ptx::multiply_16x8x8(d, a, b);
  }
};

using WarpCases = Cases<Store16, CopyAsync16, CopyAsyncGroups, LoadMatrices<false>,
                        LoadMatrices<true>, ToTf32, MultiplyCase<Multiply16<Half>>,
                        MultiplyCase<Multiply16<BFloat16>>, MultiplyCase<MultiplyTf32>>;

}  // namespace gs::conformance
