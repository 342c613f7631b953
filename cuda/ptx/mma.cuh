// Instructions that C++ has no words for: asynchronous copies to shared memory, matrix fragments,
// and the tensor cores' products of a warp. Each stands beside what it means on the emulator,
// written from the layouts of the PTX manual. Kernels hold no assembly of their own.
#pragma once

#include <cstring>

#include "architecture.cuh"
#include "core/dtype.h"

namespace gs::cuda::ptx {

// ---------------------------------------------------------------- copies to shared memory

// 16 bytes, of which the first `valid` are read and the others become zeros. Both addresses are
// multiples of 16. Done when its group has been waited for.
GS_DEVICE void copy_async_16(void* shared, const void* global, int valid) {
#if defined(GRADSTONE_CUDA_EMU)
  cuda_host::copy_async(shared, global, 16, static_cast<unsigned>(valid));
#elif defined(__CUDA_ARCH__)
  const unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(valid)
               : "memory");
#endif
}

// The copies of this thread since the last commit become a group.
GS_DEVICE void commit_copies() {
#if defined(GRADSTONE_CUDA_EMU)
  cuda_host::commit_copies();
#elif defined(__CUDA_ARCH__)
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until no more than the latest `Pending` groups of this thread are under way.
template <int Pending>
GS_DEVICE void wait_copies() {
#if defined(GRADSTONE_CUDA_EMU)
  cuda_host::wait_copies(Pending);
#elif defined(__CUDA_ARCH__)
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
#endif
}

// ---------------------------------------------------------------- fragments

// Four matrices of 8 x 8 elements of 16 bits. Lane l gives the address of row l % 8 of matrix l /
// 8, a multiple of 16. Register m of lane l: elements 2 (l % 4) and the next of row l / 4 of matrix
// m; transposed, elements l / 4 of rows 2 (l % 4) and the next.
template <bool Transposed>
GS_DEVICE void load_matrices(uint32_t (&r)[4], const void* row GS_PTX_SITE) {
#if defined(GRADSTONE_CUDA_EMU)
  using namespace cuda_host;
  if (reinterpret_cast<uintptr_t>(row) % 16)
    fail("ldmatrix at %s:%d: an address is not a multiple of 16", file, line);
  Meeting* meeting = meet_warp(kFullMask, "ldmatrix", &row, sizeof row, false, file, line);
  const int lane = static_cast<int>(current->lane), first = lane % 4 * 2, second = lane / 4;
  for (int m = 0; m < 4; ++m) {
    const auto element = [&](int i, int j) {
      const uint16_t* p;
      std::memcpy(&p, meeting->brought[m * 8 + i], sizeof p);
      return static_cast<uint32_t>(p[j]);
    };
    r[m] = Transposed ? element(first, second) | element(first + 1, second) << 16
                      : element(second, first) | element(second, first + 1) << 16;
  }
  leave_meeting(meeting);
#elif defined(__CUDA_ARCH__)
  const unsigned from = static_cast<unsigned>(__cvta_generic_to_shared(row));
  if constexpr (Transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(from)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(from)
                 : "memory");
#endif
}

// The 11 bits that tf32 keeps of a float, to the nearest, ties away from zero.
GS_DEVICE uint32_t to_tf32(float x) {
  uint32_t bits = 0;
#if defined(GRADSTONE_CUDA_EMU)
  std::memcpy(&bits, &x, 4);
  if (x != x) return 0x7fffffffu;
  bits = (bits + 0x1000u) & ~0x1fffu;
#elif defined(__CUDA_ARCH__)
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
#endif
  return bits;
}

// ---------------------------------------------------------------- products of a warp

#if defined(GRADSTONE_CUDA_EMU)
// What the product of two fragments means. Lane 4 g + t holds, `Words` registers to a row of A:
// rows g and g + 8 of A by turns, column g of B, and of D columns 2 t and 2 t + 1 of both rows. A
// register holds `Each` elements side by side in k; the register after it is 4 * Each further.
template <int Each, class Element>
void multiply_fragments(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                        const Element& element, const char* what, const char* file, int line) {
  using namespace cuda_host;
  const uint32_t mine[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
  Meeting* meeting = meet_warp(kFullMask, what, mine, sizeof mine, false, file, line);
  const int lane = static_cast<int>(current->lane), g = lane / 4, t = lane % 4;
  const auto word = [&](int from, int i) {
    uint32_t w;
    std::memcpy(&w, meeting->brought[from] + 4 * i, 4);
    return w;
  };
  float rows[2][8 * Each], columns[2][8 * Each];
  for (int q = 0; q < 4; ++q) {
    for (int half = 0; half < 2; ++half) {
      for (int e = 0; e < Each; ++e) {
        const int k = half * 4 * Each + q * Each + e;
        for (int i = 0; i < 2; ++i) {
          rows[i][k] = element(word(g * 4 + q, 2 * half + i), e);
          columns[i][k] = element(word((2 * t + i) * 4 + q, 4 + half), e);
        }
      }
    }
  }
  leave_meeting(meeting);
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 2; ++j)
      for (int k = 0; k < 8 * Each; ++k) d[i * 2 + j] += rows[i][k] * columns[j][k];
}
#endif

// D (16 x 8) += A (16 x 16) B (16 x 8), 16-bit floats, sums in float.
template <class T>
GS_DEVICE void multiply_16x8x16(float (&d)[4], const uint32_t (&a)[4],
                                const uint32_t (&b)[2] GS_PTX_SITE) {
  static_assert(std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>);
#if defined(GRADSTONE_CUDA_EMU)
  const auto element = [](uint32_t word, int e) {
    T x;
    x.bits = static_cast<uint16_t>(word >> 16 * e);
    return static_cast<float>(x);
  };
  multiply_fragments<2>(d, a, b, element, "mma.m16n8k16", file, line);
#elif defined(__CUDA_ARCH__)
  if constexpr (std::is_same_v<T, Half>)
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  else
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// D (16 x 8) += A (16 x 8) B (8 x 8), tf32: the low 13 bits of each operand are ignored.
GS_DEVICE void multiply_16x8x8(float (&d)[4], const uint32_t (&a)[4],
                               const uint32_t (&b)[2] GS_PTX_SITE) {
#if defined(GRADSTONE_CUDA_EMU)
  const auto element = [](uint32_t word, int) {
    float x;
    word &= ~0x1fffu;
    std::memcpy(&x, &word, 4);
    return x;
  };
  multiply_fragments<1>(d, a, b, element, "mma.m16n8k8", file, line);
#elif defined(__CUDA_ARCH__)
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

}  // namespace gs::cuda::ptx
