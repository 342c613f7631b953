// The instructions of sm_90a: barriers in shared memory, the copy engine, products of a warpgroup.
#pragma once

#include "conformance/cases.cuh"
#include "core/error.h"
#include "ptx/barrier.cuh"
#include "ptx/tensor_copy.cuh"
#include "ptx/wgmma.cuh"
#include "runtime/tensor_map.h"

namespace gs::conformance {

// Two warps hand words to each other in two phases: each waits for the other's arrivals.
struct Barriers : Case {
  static constexpr const char* name = "mbarrier";
  static constexpr int threads = 64, in = 4, out = 4, capability = 90;
  static uint32_t draw(Draw& d, Kind, int) { return d.word(); }
  GS_DEVICE static void run(const uint32_t* in, uint32_t* out) {
    GS_SHARED_ALIGNED(16, full, uint64_t[2]);
    GS_SHARED(words, uint32_t[2][32][4]);
    const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    if (threadIdx.x == 0) {
      for (int i = 0; i < 2; ++i) cuda::ptx::init_barrier(&full[i], 32);
      cuda::ptx::publish_barriers();
    }
    __syncthreads();
    for (unsigned phase = 0; phase < 2; ++phase) {
      for (int i = 0; i < 2; ++i) words[warp][lane][2 * phase + i] = in[2 * phase + i];
      cuda::ptx::arrive(&full[warp]);
      cuda::ptx::wait_phase(&full[1 - warp], phase);
      for (int i = 0; i < 2; ++i)
        out[2 * phase + i] = words[1 - warp][(lane + 3) % 32][2 * phase + i];
      __syncthreads();  // nobody is two phases ahead of one who waits
    }
  }
};

// A box of a tensor of four dimensions, also over its edges. The block's words are the tensor.
struct CopyBox : Case {
  static constexpr const char* name = "copy_box";
  static constexpr int in = 132, out = 16, capability = 90;
  static constexpr int64_t kSize[4] = {100, 20, 2, 2}, kLine = 104;  // elements of 16 bits
  static constexpr int kLines = 16;
  static uint32_t draw(Draw& d, Kind, int) { return d.word(); }

  static cuda::ptx::BoxPlace place(int trial) {
    constexpr int kX[] = {0, 40, 64, -8}, kY[] = {0, 8, 12, -3};
    return {kX[trial % 4], kY[(trial + trial / 4) % 4], trial & 1, trial >> 1 & 1};
  }
  static cuda::BoxedTensor tensor(const uint32_t* words) {
    return {.base = words,
            .size = {kSize[0], kSize[1], kSize[2], kSize[3]},
            .stride = {1, kLine, kLine * kSize[1], kLine * kSize[1] * kSize[2]},
            .lines = kLines};
  }
  GS_DEVICE static void copy(const cuda::ptx::TensorMap& map, const cuda::ptx::BoxPlace& at,
                             uint32_t* out) {
    GS_SHARED_ALIGNED(1024, box, uint32_t[kLines * 32]);
    GS_SHARED_ALIGNED(16, full, uint64_t[1]);
    if (threadIdx.x == 0) {
      cuda::ptx::init_barrier(full, 1);
      cuda::ptx::publish_barriers();
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      cuda::ptx::prefetch_map(map);
      cuda::ptx::arrive_expecting(full, sizeof box);
      cuda::ptx::copy_box(box, map, at, full);
    }
    cuda::ptx::wait_phase(full, 0);
    for (int i = 0; i < 16; ++i) out[i] = box[threadIdx.x * 16 + i];
  }

  // The map is a parameter of its own: a launch for each trial.
  static void launch(const uint32_t* in, uint32_t* out);
};

__global__ void copy_box_kernel(const __grid_constant__ cuda::ptx::TensorMap map,
                                cuda::ptx::BoxPlace at, uint32_t* out) {
  CopyBox::copy(map, at, out + threadIdx.x * in_16_bytes(CopyBox::out));
}

inline void CopyBox::launch(const uint32_t* in_words, uint32_t* out_words) {
  for (int trial = 0; trial < trials; ++trial) {
    const size_t first = size_t(trial) * threads;
    cuda::ptx::TensorMap map{};
    GS_CHECK(cuda::map_tensor(tensor(in_words + first * in_16_bytes(in)), map), Runtime, name,
             "the driver makes no map of the tensor.");
    cuda::launch({dim3(1), dim3(threads)}, copy_box_kernel, map, place(trial),
                 out_words + first * in_16_bytes(out));
  }
}

// D (64 x 64) of one product: of each thread four of its 32 sums, others in each trial, then the
// same of absolute values. A thread draws 16 words of each operand's tile, 64 lines of 128 bytes,
// and its 32 sums; the product begins at another k of the tile in each trial.
template <class T, bool AAlongK, bool BAlongK>
struct Multiply64 : Case {
  static constexpr int kind_of = std::is_same_v<T, float> ? 2 : std::is_same_v<T, Half>;
  static constexpr int threads = 128, in = 64, out = 8, trials = 4, capability = 90, shown = 4;
  static constexpr double bound = (kind_of == 2 ? 10 : 18) / 4194304.0;  // as MultiplyCase
  static constexpr uint32_t without_signs = kind_of == 2 ? 0x7fffffffu : 0x7fff7fffu;
  // m and n: lines of rows; k: lines of k.
  static constexpr const char* names[3][4] = {
      {"multiply_64_bfloat16_mn", "multiply_64_bfloat16_mk", "multiply_64_bfloat16_kn",
       "multiply_64_bfloat16_kk"},
      {"multiply_64_half_mn", "multiply_64_half_mk", "multiply_64_half_kn", "multiply_64_half_kk"},
      {"", "", "", "multiply_64_tf32_kk"}};
  static constexpr const char* name = names[kind_of][AAlongK * 2 + BAlongK];
  static uint32_t draw(Draw& d, Kind kind, int i) {
    if (i >= 32 || kind_of == 2) return draw_float(d, kind);
    return draw_pair(d, kind, kind_of ? kHalf : kBFloat16);
  }

  // As copy_box leaves lines: their eighths exchanged.
  GS_DEVICE static void put(uint32_t* tile, const uint32_t* words, uint32_t keep) {
    for (int i = 0; i < 16; ++i) {
      const unsigned at = threadIdx.x * 16 + static_cast<unsigned>(i), line = at / 32;
      const unsigned eighth = at % 32 / 4 ^ line % 8;
      tile[line * 32 + eighth * 4 + at % 4] = words[i] & keep;
    }
  }
  GS_DEVICE static void run(const uint32_t* in, uint32_t* out) {
    GS_SHARED_ALIGNED(1024, a_tile, uint32_t[64 * 32]);
    GS_SHARED_ALIGNED(1024, b_tile, uint32_t[64 * 32]);
    const unsigned trial = blockIdx.x, k = trial % 4 * 16;  // of tf32, 8
    for (int absolute = 0; absolute < 2; ++absolute) {
      put(a_tile, in, absolute ? without_signs : 0xffffffffu);
      put(b_tile, in + 16, absolute ? without_signs : 0xffffffffu);
      cuda::ptx::fence_async();
      __syncthreads();
      float d[32];
      for (int i = 0; i < 32; ++i) d[i] = number(in[32 + i] & (absolute ? 0x7fffffffu : ~0u));
      const uint64_t a = cuda::ptx::operand<AAlongK>(a_tile + k * (AAlongK ? 1 : 64) / 2);
      const uint64_t b = cuda::ptx::operand<BAlongK>(b_tile + k * (BAlongK ? 1 : 64) / 2);
      cuda::ptx::pin_sums(d);
      cuda::ptx::fence_products();
      cuda::ptx::multiply_64<T, 64, AAlongK, BAlongK>(d, a, b, trial % 3 != 2);
      cuda::ptx::commit_products();
      cuda::ptx::wait_products<0>();
      cuda::ptx::pin_sums(d);
      GS_UNROLL
      for (unsigned i = 0; i < 32; ++i)
        if (i % 8 == (threadIdx.x + trial) % 8) out[shown * absolute + i / 8] = bits(d[i]);
      __syncthreads();
    }
  }
};

using HopperCases =
    Cases<Barriers, CopyBox, Multiply64<BFloat16, true, true>, Multiply64<BFloat16, true, false>,
          Multiply64<BFloat16, false, true>, Multiply64<BFloat16, false, false>,
          Multiply64<Half, true, true>, Multiply64<float, true, true>>;

}  // namespace gs::conformance
