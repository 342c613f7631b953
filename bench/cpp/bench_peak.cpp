// What this machine can do at most: multiply-adds in registers, and a copy. The other figures are
// given as shares of these. `share/...` runs the multiply-adds and a matrix product by turns, so
// that both see the same clock, which moves with the load and with the neighbours of a virtual
// machine.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "core/parallel.h"
#include "cpu/isa.h"
#include "kernels/params/gemm.h"

namespace {

constexpr int kSteps = 100'000;

// Twelve independent chains hide the latency of four or five cycles on two pipes. Their starting
// values are hidden from the compiler, which finds out otherwise that a chain stands still (1 *
// 0.999 + 0.001 is 1) and leaves it out: one of twelve was not computed, but counted.
#define GS_PEAK(name, isa, bytes)                                                            \
  __attribute__((target(isa), optimize("O3", "fp-contract=fast"))) void name() {             \
    typedef float Vec __attribute__((vector_size(bytes)));                                   \
    Vec acc[12], scale = Vec{} + 0.999f, shift = Vec{} + 1e-3f;                              \
    for (int i = 0; i < 12; ++i) acc[i] = Vec{} + float(i);                                  \
    for (int i = 0; i < 12; ++i) benchmark::DoNotOptimize(acc[i]);                           \
    for (int step = 0; step < kSteps; ++step) {                                              \
      _Pragma("GCC unroll 12") for (int i = 0; i < 12; ++i) acc[i] = acc[i] * scale + shift; \
    }                                                                                        \
    _Pragma("GCC unroll 12") for (int i = 0; i < 12; ++i) benchmark::DoNotOptimize(acc[i]);  \
  }

GS_PEAK(multiply_add_avx512, "avx512f,fma", 64)
GS_PEAK(multiply_add_avx2, "avx2,fma", 32)
GS_PEAK(multiply_add_baseline, "sse2", 16)

// One loop a thread, all at once, on the framework's own pool.
void multiply_adds(benchmark::State& state, void (*loop)(), int bytes, int threads) {
  gs::set_num_threads(threads);
  for (auto _ : state) {
    gs::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) loop();
    });
  }
  state.counters["FLOP/s"] = benchmark::Counter(2.0 * 12 * (bytes / 4) * double(kSteps) * threads,
                                                benchmark::Counter::kIsIterationInvariantRate);
}

// 64 MB to 64 MB in pieces of 1 MB, counted as read and written.
void copy(benchmark::State& state, int threads) {
  gs::set_num_threads(threads);
  constexpr size_t kPiece = size_t{1} << 20;
  constexpr int64_t kPieces = 64;
  char* from = static_cast<char*>(std::aligned_alloc(64, kPiece * kPieces));
  char* to = static_cast<char*>(std::aligned_alloc(64, kPiece * kPieces));
  std::memset(from, 1, kPiece * kPieces);
  std::memset(to, 2, kPiece * kPieces);
  for (auto _ : state) {
    gs::parallel_for(0, kPieces, 1, [&](int64_t begin, int64_t end) {
      std::memcpy(to + begin * kPiece, from + begin * kPiece, (end - begin) * kPiece);
    });
    benchmark::ClobberMemory();
  }
  state.counters["bytes/s"] = benchmark::Counter(2.0 * double(kPiece * kPieces),
                                                 benchmark::Counter::kIsIterationInvariantRate);
  std::free(from);
  std::free(to);
}

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// A square product of float32 beside the peak of its instruction set: medians of the rates over the
// iterations, and of their quotient.
void share_of_peak(benchmark::State& state, gs::cpu::Isa isa, int64_t n, int threads) {
  void (*const loop)() = isa == gs::cpu::Isa::Avx512 ? multiply_add_avx512
                         : isa == gs::cpu::Isa::Avx2 ? multiply_add_avx2
                                                     : multiply_add_baseline;
  const int bytes = isa == gs::cpu::Isa::Avx512 ? 64 : isa == gs::cpu::Isa::Avx2 ? 32 : 16;
  std::vector<float> a(n * n), b(n * n), c(n * n);
  for (int64_t i = 0; i < n * n; ++i) a[i] = b[i] = float(i % 1000) * 1e-3f - 0.5f;
  gs::Gemm g{};
  g.dtype = gs::DType::Float32, g.m = g.n = g.k = n;
  g.a = a.data(), g.b = b.data(), g.c = c.data();
  g.a_row = g.b_row = g.c_row = n, g.a_col = g.b_col = 1;
  const double product_flops = 2.0 * double(n) * double(n) * double(n);
  const double peak_flops = 2.0 * 12 * (bytes / 4) * double(kSteps) * threads;
  const int repeats = static_cast<int>(std::max(1.0, peak_flops / product_flops));
  std::vector<double> peaks, products, shares;
  gs::set_num_threads(threads);
  for (auto _ : state) {
    const double start = seconds();
    gs::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) loop();
    });
    const double middle = seconds();
    for (int i = 0; i < repeats; ++i) gs::cpu::table(isa).gemm(g);
    peaks.push_back(peak_flops / (middle - start));
    products.push_back(product_flops * repeats / (seconds() - middle));
    shares.push_back(products.back() / peaks.back());
  }
  gs::set_num_threads(1);
  const auto median = [](std::vector<double> v) {
    std::nth_element(v.begin(), v.begin() + v.size() / 2, v.end());
    return v[v.size() / 2];
  };
  state.counters["peak FLOP/s"] = median(peaks);
  state.counters["FLOP/s"] = median(products);
  state.counters["share"] = median(shares);
}

void register_shares(gs::cpu::Isa isa, int threads) {
  if (isa > gs::cpu::best_isa()) return;
  for (int64_t n : {64, 128, 256, 512, 1024, 2048}) {
    const std::string name = std::string("share/") + gs::cpu::name_of(isa) + "/" +
                             std::to_string(n) + "/threads:" + std::to_string(threads);
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
      share_of_peak(state, isa, n, threads);
    })->UseRealTime();
  }
}

bool register_all() {
  for (int threads : {1, 2}) {
    const auto named = [&](const char* what) {
      return std::string("peak/") + what + "/threads:" + std::to_string(threads);
    };
    const auto add = [&](const char* what, void (*loop)(), int bytes) {
      benchmark::RegisterBenchmark(named(what).c_str(), [=](benchmark::State& state) {
        multiply_adds(state, loop, bytes, threads);
      })->UseRealTime();
    };
    if (__builtin_cpu_supports("avx512f")) add("avx512", multiply_add_avx512, 64);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
      add("avx2", multiply_add_avx2, 32);
    add("baseline", multiply_add_baseline, 16);
    benchmark::RegisterBenchmark(named("copy").c_str(), [=](benchmark::State& state) {
      copy(state, threads);
    })->UseRealTime();
    for (gs::cpu::Isa isa : {gs::cpu::Isa::Baseline, gs::cpu::Isa::Avx2, gs::cpu::Isa::Avx512})
      register_shares(isa, threads);
  }
  return true;
}
[[maybe_unused]] const bool registered = register_all();

}  // namespace
