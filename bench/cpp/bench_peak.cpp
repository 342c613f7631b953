// What this machine can do at most: multiply-adds in registers, and a copy. The other figures are
// given as shares of these.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "core/parallel.h"

namespace {

constexpr int kSteps = 100'000;

// Twelve independent chains hide the latency of four or five cycles on two pipes.
#define GS_PEAK(name, isa, bytes)                                                            \
  __attribute__((target(isa), optimize("O3", "fp-contract=fast"))) void name() {             \
    typedef float Vec __attribute__((vector_size(bytes)));                                   \
    Vec acc[12], scale = Vec{} + 0.999f, shift = Vec{} + 1e-3f;                              \
    for (int i = 0; i < 12; ++i) acc[i] = Vec{} + float(i);                                  \
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
  }
  return true;
}
[[maybe_unused]] const bool registered = register_all();

}  // namespace
