// The emulator's copy engine, barriers in shared memory and products of a warpgroup, each by itself
// and against what the PTX manual says in words; and that it finds their wrong uses.
#if defined(GRADSTONE_CUDA_EMU)
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "ptx/tensor_copy.cuh"
#include "ptx/wgmma.cuh"
#include "runtime/tensor_map.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

namespace gs::cuda {
namespace {

using cuda_host::Options;

constexpr size_t kSharedBytes = 42 << 10;

void run_block(unsigned threads, const std::function<void()>& kernel) {
  cuda_host::run({dim3(1), dim3(threads), kSharedBytes, nullptr, false}, kernel);
}

// Every order in which threads may run, the random ones several times.
void in_every_order(const std::function<void()>& f) {
  const Options before = cuda_host::options();
  for (const auto order : {Options::Fifo, Options::Reverse, Options::Lifo, Options::Random}) {
    cuda_host::options().order = order;
    for (uint64_t seed = 1; seed <= (order == Options::Random ? 5 : 2); ++seed) {
      cuda_host::options().seed = seed;
      f();
    }
  }
  cuda_host::options() = before;
}

// The message with which a block ends. Its threads are dropped where they stand, and what they own.
void expect_fault(const char* part, unsigned threads, const std::function<void()>& kernel) {
#if defined(__SANITIZE_ADDRESS__)
  const __lsan::ScopedDisabler no_leaks;
#endif
  in_every_order([&] {
    std::string text = "none";
    try {
      run_block(threads, kernel);
    } catch (const std::runtime_error& e) {
      text = e.what();
    }
    EXPECT_NE(text.find(part), std::string::npos) << "expected: " << part << "\ngot: " << text;
  });
}

// Barriers behind 40 KB of operands, in dynamic shared memory.
uint64_t* barriers() {
  GS_DYNAMIC_SHARED(unsigned char, memory);
  return reinterpret_cast<uint64_t*>(memory + (40 << 10));
}
void init_barriers(int count, unsigned arrivals) {
  if (threadIdx.x == 0)
    for (int i = 0; i < count; ++i) ptx::init_barrier(barriers() + i, arrivals);
  __syncthreads();
}

// ---------------------------------------------------------------- barriers

// Values go from half of the threads to the other half and back, four rounds, in two places.
TEST(TensorUnit, BarriersHaveRounds) {
  in_every_order([] {
    int sums = 0;
    run_block(64, [&] {
      GS_SHARED(values, int[2][32]);
      init_barriers(4, 32);
      uint64_t *filled = barriers(), *free = filled + 2;
      const int lane = static_cast<int>(threadIdx.x) % 32, other = (lane + 7) % 32;
      for (int round = 0; round < 8; ++round) {
        const int place = round % 2;
        const unsigned parity = round / 2 % 2;
        if (threadIdx.x < 32) {
          ptx::wait_phase(free + place, parity ^ 1);
          values[place][lane] = round * 100 + lane;
          ptx::arrive(filled + place);
        } else {
          ptx::wait_phase(filled + place, parity);
          sums += values[place][other] == round * 100 + other;
          ptx::arrive(free + place);
        }
      }
    });
    EXPECT_EQ(sums, 8 * 32);
  });
}

TEST(TensorUnit, FaultsOfBarriers) {
  expect_fault("before its init", 1, [] { ptx::arrive(barriers()); });
  expect_fault("before its init", 1, [] { ptx::wait_phase(barriers(), 0); });
  expect_fault("deadlock", 32, [] {
    init_barriers(1, 33);
    ptx::arrive(barriers());
    ptx::wait_phase(barriers(), 0);
  });
  expect_fault("deadlock", 1, [] {  // the first phase has not ended
    init_barriers(1, 1);
    ptx::wait_phase(barriers(), 0);
  });
  expect_fault("multiple of 8", 1, [] {
    ptx::init_barrier(reinterpret_cast<uint64_t*>(reinterpret_cast<char*>(barriers()) + 4), 1);
  });
}

// ---------------------------------------------------------------- copies of boxes

// 3 x 2 matrices of 9 lines of 100, of which 104 lie in memory.
constexpr int kWidth = 100, kLine = 104, kLines = 9;
struct Tensor4 {
  uint16_t* data;
  ptx::TensorMap map;
  explicit Tensor4(int box_lines) {
    constexpr size_t kCount = 6 * (kLines + 1) * kLine;
    void* p = nullptr;
    EXPECT_EQ(cudaMalloc(&p, kCount * 2), cudaSuccess);
    data = static_cast<uint16_t*>(p);
    for (size_t i = 0; i < kCount; ++i) data[i] = static_cast<uint16_t>(i + 1);
    BoxedTensor t;
    t.base = data, t.lines = box_lines;
    const int64_t size[4] = {kWidth, kLines, 2, 3};
    const int64_t stride[4] = {1, kLine, kLine * (kLines + 1), kLine * (kLines + 1) * 2};
    std::copy_n(size, 4, t.size), std::copy_n(stride, 4, t.stride);
    EXPECT_TRUE(map_tensor(t, map));
  }
  ~Tensor4() { cudaFree(data); }
  uint16_t at(int x, int y, int z, int w) const {
    if (x < 0 || y < 0 || z < 0 || w < 0 || x >= kWidth || y >= kLines || z >= 2 || w >= 3)
      return 0;
    return data[((w * 2 + z) * (kLines + 1) + y) * kLine + x];
  }
};

TEST(TensorUnit, BoxesComeSwizzledWithZerosAroundThem) {
  constexpr int kBoxLines = 20;
  const Tensor4 tensor(kBoxLines);
  const ptx::BoxPlace places[] = {{0, 0, 0, 0},   {64, 0, 1, 2}, {96, 5, 0, 1}, {-9, -3, 1, 1},
                                  {200, 0, 0, 0}, {0, 9, 0, 0},  {8, 2, 2, 0},  {8, 2, 0, -1}};
  for (const ptx::BoxPlace& place : places) {
    in_every_order([&] {
      int early = 0, wrong = 0;
      run_block(32, [&] {
        GS_DYNAMIC_SHARED(uint16_t, memory);
        init_barriers(1, 1);
        if (threadIdx.x == 0) {
          ptx::arrive_expecting(barriers(), kBoxLines * 128);
          memory[5] = 7;
          ptx::copy_box(memory, tensor.map, place, barriers());
          early += memory[5] != 0xffff;  // not there yet, and no longer what it was
        }
        ptx::wait_phase(barriers(), 0);
        for (int i = static_cast<int>(threadIdx.x); i < kBoxLines * 64; i += 32) {
          const int line = i / 64, x = i % 64;
          const int moved = line * 64 + ((x / 8) ^ (line % 8)) * 8 + x % 8;
          wrong += memory[moved] != tensor.at(place.x + x, place.y + line, place.z, place.w);
        }
      });
      EXPECT_EQ(early, 0);
      EXPECT_EQ(wrong, 0) << "box at " << place.x << ", " << place.y << ", " << place.z << ", "
                          << place.w;
    });
  }
}

TEST(TensorUnit, FaultsOfCopies) {
  const Tensor4 tensor(16);
  const auto copy = [&](unsigned bytes, int to, bool waits) {
    return [&tensor, bytes, to, waits] {
      GS_DYNAMIC_SHARED(char, memory);
      init_barriers(1, 1);
      if (threadIdx.x == 0) {
        ptx::arrive_expecting(barriers(), bytes);
        ptx::copy_box(memory + to, tensor.map, {0, 0, 0, 0}, barriers());
      }
      if (waits) ptx::wait_phase(barriers(), 0);
    };
  };
  expect_fault("none", 32, copy(2048, 1024, true));
  expect_fault("deadlock", 32, copy(2064, 0, true));
  expect_fault("deadlock", 32, copy(2032, 0, true));
  expect_fault("multiple of 1024", 32, copy(2048, 128, true));
  expect_fault("bulk copies were under way", 1, copy(2048, 0, false));
  cuda_host::options().capability = 80;
  expect_fault("no Hopper", 32, copy(2048, 0, true));
  cuda_host::options().capability = 90;
}

TEST(TensorUnit, MapsThatTheDriverRefuses) {
  const Tensor4 tensor(16);
  const auto takes = [&](const std::function<void(BoxedTensor&)>& change) {
    BoxedTensor t;
    t.base = tensor.data, t.lines = 8;
    t.size[0] = 60, t.size[1] = 9, t.stride[1] = 64;
    change(t);
    ptx::TensorMap map;
    return map_tensor(t, map);
  };
  EXPECT_TRUE(takes([](BoxedTensor&) {}));
  EXPECT_TRUE(takes([](BoxedTensor& t) { t.size[1] = 1, t.stride[1] = 0; }));
  EXPECT_FALSE(takes([](BoxedTensor& t) { t.stride[1] = 60; }));
  EXPECT_FALSE(takes([](BoxedTensor& t) { t.stride[1] = 0; }));
  EXPECT_FALSE(takes([](BoxedTensor& t) { t.size[2] = 2, t.stride[2] = 4; }));
  EXPECT_FALSE(takes([](BoxedTensor& t) { t.size[0] = int64_t(1) << 31; }));
  EXPECT_FALSE(takes([](BoxedTensor& t) { t.size[0] = 0; }));
  EXPECT_FALSE(takes([](BoxedTensor& t) { t.lines = 257; }));
  EXPECT_FALSE(takes([&](BoxedTensor& t) { t.base = tensor.data + 1; }));
}

// ---------------------------------------------------------------- products of a warpgroup

constexpr int kAt = 8 << 10;  // where B begins; A is 64 lines of 128 bytes

// Element (row, k) of an operand, in elements of 2 bytes from its beginning: lines of 64 along k or
// along the rows, of 64 such rows a box of 64 lines.
int place_of(bool along_k, int row, int k) {
  const int line = along_k ? row : row / 64 * 64 + k, x = along_k ? k : row % 64;
  return line * 64 + ((x / 8) ^ (line % 8)) * 8 + x % 8;
}

template <class T>
std::vector<T> drawn(int count, int seed) {
  std::mt19937 engine(static_cast<unsigned>(seed));
  std::uniform_int_distribution<int> draw(-8, 8);  // whole numbers: sums are exact
  std::vector<T> v(static_cast<size_t>(count));
  for (T& x : v) x = T(static_cast<float>(draw(engine)));
  return v;
}

// D = A B of 64 x 64 by 64 x N, four products in two groups, D begun with what is there or not.
template <class T, int N, bool AAlongK, bool BAlongK>
void expect_product(bool keep) {
  const auto a = drawn<T>(64 * 64, N), b = drawn<T>(64 * N, N + 1);
  int wrong = 0, early = 0;
  run_block(128, [&] {
    GS_DYNAMIC_SHARED(unsigned char, memory);
    T* at_a = reinterpret_cast<T*>(memory);
    T* at_b = reinterpret_cast<T*>(memory + kAt);
    for (int i = static_cast<int>(threadIdx.x); i < 64 * N; i += 128) {
      if (i < 64 * 64) at_a[place_of(AAlongK, i / 64, i % 64)] = a[static_cast<size_t>(i)];
      at_b[place_of(BAlongK, i / 64, i % 64)] = b[static_cast<size_t>(i)];
    }
    ptx::fence_async();
    __syncthreads();
    float d[N / 2];
    for (int i = 0; i < N / 2; ++i) d[i] = static_cast<float>(i);
    ptx::fence_products();
    for (int k = 0; k < 64; k += 16) {
      ptx::multiply_64<T, N, AAlongK, BAlongK>(
          d, ptx::operand<AAlongK>(at_a + (AAlongK ? k : k * 64), 8192),
          ptx::operand<BAlongK>(at_b + (BAlongK ? k : k * 64), 8192), keep || k > 0);
      if (k == 16) ptx::commit_products();
    }
    ptx::commit_products();
    early += d[3] == d[3];
    ptx::wait_products<1>();
    early += d[3] == d[3];
    ptx::wait_products<0>();
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    for (int i = 0; i < N / 2; ++i) {
      const int row = warp * 16 + lane / 4 + i % 4 / 2 * 8, col = i / 4 * 8 + lane % 4 * 2 + i % 2;
      float sum = keep ? static_cast<float>(i) : 0;
      for (int k = 0; k < 64; ++k)
        sum += static_cast<float>(a[static_cast<size_t>(row * 64 + k)]) *
               static_cast<float>(b[static_cast<size_t>(col * 64 + k)]);
      wrong += d[i] != sum;
    }
  });
  EXPECT_EQ(wrong, 0) << N << AAlongK << BAlongK << keep;
  EXPECT_EQ(early, 0) << "sums could be read before they were there";
}

template <class T, int N>
void expect_products() {
  for (const bool keep : {false, true}) {
    expect_product<T, N, true, true>(keep);
    expect_product<T, N, true, false>(keep);
    expect_product<T, N, false, true>(keep);
    expect_product<T, N, false, false>(keep);
  }
}

TEST(TensorUnit, ProductsOfAWarpgroup) {
  in_every_order([] {
    expect_products<Half, 64>();
    expect_products<BFloat16, 128>();
  });
  expect_products<Half, 256>();
}

struct Step {  // of a product that is correct unless changed
  bool fences = true, commits = true, waits = true, twice = false;
  int from = 0;
};
auto product(const std::function<void(Step&)>& change) {
  return [change] {
    GS_DYNAMIC_SHARED(char, memory);
    for (int i = static_cast<int>(threadIdx.x); i < 4 * 8192; i += static_cast<int>(blockDim.x))
      memory[i] = 0;
    __syncthreads();
    Step step;
    change(step);
    float d[32] = {};
    if (step.fences) ptx::fence_products();
    for (int i = 0; i <= step.twice; ++i)
      ptx::multiply_64<Half, 64, true, true>(d, ptx::operand<true>(memory + step.from),
                                             ptx::operand<true>(memory + 8192), false);
    if (step.commits) ptx::commit_products();
    if (step.waits) ptx::wait_products<0>();
  };
}

TEST(TensorUnit, FaultsOfProducts) {
  expect_fault("none", 128, product([](Step&) {}));
  expect_fault("none", 256, product([](Step& s) { s.from = 32; }));
  expect_fault("no wgmma.fence", 128, product([](Step& s) { s.fences = false; }));
  expect_fault("without waiting", 128, product([](Step& s) { s.commits = false; }));
  expect_fault("without waiting", 128, product([](Step& s) { s.waits = false; }));
  expect_fault("lanes of a warp differ", 128,
               product([](Step& s) { s.from = threadIdx.x % 2 * 32; }));
  expect_fault("warps of a warpgroup differ", 128,
               product([](Step& s) { s.from = threadIdx.x / 32 * 1024; }));
  expect_fault("outside a warpgroup", 96, product([](Step&) {}));
  expect_fault("middle of a swizzled atom", 128, product([](Step& s) { s.from = 256; }));
  expect_fault("different numbers", 128, product([](Step& s) { s.twice = threadIdx.x >= 32; }));
}

}  // namespace
}  // namespace gs::cuda
#endif
