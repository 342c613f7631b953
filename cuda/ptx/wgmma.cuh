// Products of a warpgroup, four warps that begin at a multiple of four: operands in shared memory,
// sums in registers, done beside the threads (wgmma). In this order:
//   pin_sums; fence_products; multiply_64...; commit_products; wait_products; pin_sums
// Sums belong to the products from the first on until the wait.
#pragma once

#include "architecture.cuh"
#include "core/dtype.h"

namespace gs::cuda::ptx {

// ---------------------------------------------------------------- operands in shared memory

// Lines of 128 bytes as copy_box leaves them, in tiles of `kLines` lines of k or of rows that begin
// at multiples of 1024.
//   Along k: a line is 64 elements of k of one row. `from` is the first row, a multiple of 8, at
//   its first k, a multiple of 16. Else: a line is 64 rows at one k; `from` is the first of 64
//   rows, at its first k, a multiple of 8; the next 64 rows are `next_rows` bytes further.
template <bool AlongK>
GS_DEVICE uint64_t operand(const void* from, unsigned next_rows = 0) {
  constexpr uint64_t kEightLines = 1024 >> 4, kSwizzle128 = uint64_t(1) << 62;
  const uint64_t address = (shared_address(from) & 0x3ffff) >> 4;
  const uint64_t leading = AlongK ? 1 : (next_rows & 0x3ffff) >> 4;  // along k it is not used
  return address | leading << 16 | kEightLines << 32 | kSwizzle128;
}

// ---------------------------------------------------------------- the order of things

// Before the first product and before those whose sums were touched since the last wait.
GS_DEVICE void fence_products() {
#if defined(GRADSTONE_CUDA_EMU)
  cuda_host::fence_products();
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#else
  trap();
#endif
}

// The products since the last commit become a group.
GS_DEVICE void commit_products() {
#if defined(GRADSTONE_CUDA_EMU)
  cuda_host::commit_products();
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#else
  trap();
#endif
}

// Waits until no more than the latest `Pending` groups are under way.
template <int Pending>
GS_DEVICE void wait_products(GS_PTX_ONLY_SITE) {
#if defined(GRADSTONE_CUDA_EMU)
  cuda_host::wait_products(Pending, file, line);
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Pending) : "memory");
#else
  trap();
#endif
}

// The compiler moves no use of the sums across this place; it knows nothing of the wait's meaning.
template <int N>
GS_DEVICE void pin_sums([[maybe_unused]] float (&sums)[N]) {
#if defined(GRADSTONE_CUDA_EMU)
#elif defined(__CUDA_ARCH__)
  GS_UNROLL for (int i = 0; i < N; ++i) asm volatile("" : "+f"(sums[i])::"memory");
#endif
}

// The registers of each thread of this warpgroup from here on, a multiple of 8. The kernel needs
// __launch_bounds__ with a number of blocks, and all together must not be more than at its start.
template <int Registers>
GS_DEVICE void fewer_registers() {
#if defined(GRADSTONE_CUDA_EMU)
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Registers));
#else
  trap();
#endif
}
template <int Registers>
GS_DEVICE void more_registers() {
#if defined(GRADSTONE_CUDA_EMU)
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Registers));
#else
  trap();
#endif
}

// ---------------------------------------------------------------- products

// clang-format off
#if defined(GRADSTONE_CUDA_EMU)
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
// 32, 64 or 128 registers: their text, and what they are.
#define GS_SUMS_32 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15" \
  ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define GS_SUMS_64 \
  GS_SUMS_32 \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47" \
  ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define GS_SUMS_128 \
  GS_SUMS_64 \
  ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79" \
  ", %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95" \
  ", %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111" \
  ", %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define GS_SUM_8(i) \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), \
  "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#define GS_SUM_32(i) GS_SUM_8(i), GS_SUM_8(i + 8), GS_SUM_8(i + 16), GS_SUM_8(i + 24)
#define GS_SUM_REGISTERS_32 GS_SUM_32(0)
#define GS_SUM_REGISTERS_64 GS_SUM_REGISTERS_32, GS_SUM_32(32)
#define GS_SUM_REGISTERS_128 GS_SUM_REGISTERS_64, GS_SUM_32(64), GS_SUM_32(96)

// %x, %y: the operands; %z: whether D is added; then the operands' signs and orders.
#define GS_WGMMA(shape, types, count, x, y, z, orders)                                             \
  asm volatile(                                                                                    \
      "{\n.reg .pred keep;\nsetp.ne.b32 keep, %" #z ", 0;\n"                                       \
      "wgmma.mma_async.sync.aligned." shape ".f32." types " {" GS_SUMS_##count "}, %" #x ", %" #y  \
      ", keep, 1, 1" orders ";\n}\n"                                                               \
      : GS_SUM_REGISTERS_##count                                                                   \
      : "l"(a), "l"(b), "r"(static_cast<int>(keep)), "n"(AAlongK ? 0 : 1), "n"(BAlongK ? 0 : 1))
#else
#define GS_WGMMA(...) trap()
#endif
// clang-format on

// D (64 x N) = A (64 x 16) B (16 x N) + D, without D unless `keep`; 16-bit floats, sums in float.
// float: A is 64 x 8 and B 8 x N, both along k, and the low 13 bits of each number are ignored.
// Thread 32 w + 4 g + t of the warpgroup has of each eight columns j, in d[4 j] on: row 16 w + g,
// columns 2 t and the next, then the same of the row eight further.
template <class T, int N, bool AAlongK, bool BAlongK>
GS_DEVICE void multiply_64(float (&d)[N / 2], uint64_t a, uint64_t b, bool keep GS_PTX_SITE) {
  constexpr bool kTf32 = std::is_same_v<T, float>, kHalf = std::is_same_v<T, Half>;
  static_assert(kHalf || std::is_same_v<T, BFloat16> || (kTf32 && AAlongK && BAlongK));
  static_assert(N == 64 || N == 128 || N == 256);
#if defined(GRADSTONE_CUDA_EMU)
  using cuda_host::Element;
  constexpr auto kElement = kTf32 ? Element::Tf32 : kHalf ? Element::Half : Element::BFloat16;
  cuda_host::issue_product(d, {a, b, N, kElement, AAlongK, BAlongK, keep}, file, line);
#else
  if constexpr (kTf32) {
    if constexpr (N == 64) GS_WGMMA("m64n64k8", "tf32.tf32", 32, 32, 33, 34, "");
    if constexpr (N == 128) GS_WGMMA("m64n128k8", "tf32.tf32", 64, 64, 65, 66, "");
    if constexpr (N == 256) GS_WGMMA("m64n256k8", "tf32.tf32", 128, 128, 129, 130, "");
  } else if constexpr (kHalf) {
    if constexpr (N == 64) GS_WGMMA("m64n64k16", "f16.f16", 32, 32, 33, 34, ", %35, %36");
    if constexpr (N == 128) GS_WGMMA("m64n128k16", "f16.f16", 64, 64, 65, 66, ", %67, %68");
    if constexpr (N == 256) GS_WGMMA("m64n256k16", "f16.f16", 128, 128, 129, 130, ", %131, %132");
  } else {
    if constexpr (N == 64) GS_WGMMA("m64n64k16", "bf16.bf16", 32, 32, 33, 34, ", %35, %36");
    if constexpr (N == 128) GS_WGMMA("m64n128k16", "bf16.bf16", 64, 64, 65, 66, ", %67, %68");
    if constexpr (N == 256) GS_WGMMA("m64n256k16", "bf16.bf16", 128, 128, 129, 130, ", %131, %132");
  }
#endif
}

#undef GS_WGMMA
#undef GS_SUMS_32
#undef GS_SUMS_64
#undef GS_SUMS_128
#undef GS_SUM_8
#undef GS_SUM_32
#undef GS_SUM_REGISTERS_32
#undef GS_SUM_REGISTERS_64
#undef GS_SUM_REGISTERS_128

}  // namespace gs::cuda::ptx
