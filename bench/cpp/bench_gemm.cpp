// Matrix products: GFLOP/s for every instruction set, one thread and two.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "core/parallel.h"
#include "cpu/isa.h"

namespace gs {
namespace {

struct Shape3 {
  int64_t m, n, k;
  bool b_transposed = false, a_transposed = false;
};

void run(benchmark::State& state, cpu::Isa isa, Shape3 s, int threads) {
  std::vector<float> a(s.m * s.k, 0.5f), b(s.k * s.n, 0.25f), c(s.m * s.n), bias(s.n, 1.0f);
  Gemm g{};
  g.dtype = DType::Float32, g.m = s.m, g.n = s.n, g.k = s.k;
  g.a = a.data(), g.a_row = s.a_transposed ? 1 : s.k, g.a_col = s.a_transposed ? s.m : 1;
  g.b = b.data(), g.b_row = s.b_transposed ? 1 : s.n, g.b_col = s.b_transposed ? s.k : 1;
  g.c = c.data(), g.c_row = s.n;
  if (s.b_transposed) g.bias = bias.data();
  set_num_threads(threads);
  for (auto _ : state) cpu::table(isa).gemm(g);
  set_num_threads(1);
  state.counters["GFLOP/s"] =
      benchmark::Counter(2e-9 * s.m * s.n * s.k * state.iterations(), benchmark::Counter::kIsRate);
}

void register_all() {
  const Shape3 shapes[] = {{32, 32, 32},
                           {64, 64, 64},
                           {128, 128, 128},
                           {256, 256, 256},
                           {512, 512, 512},
                           {1024, 1024, 1024},
                           {2048, 2048, 2048},
                           {32, 10, 128},
                           {32, 10, 128, true},
                           {32, 128, 784, true},
                           {1, 4096, 4096},
                           {1, 4096, 4096, true},
                           {4096, 64, 4096},
                           {4096, 4096, 64},
                           {512, 512, 512, true},
                           {32, 128, 1600, true},
                           {32, 784, 128},
                           {128, 784, 32, false, true},
                           {128, 1600, 32, false, true},
                           {256, 256, 32, false, true},
                           {10, 128, 32, false, true},
                           {32, 128, 10},
                           {32, 1024, 256, true}};
  for (cpu::Isa isa : {cpu::Isa::Baseline, cpu::Isa::Avx2, cpu::Isa::Avx512}) {
    if (isa > cpu::best_isa()) continue;
    for (const Shape3& s : shapes)
      for (int threads : {1, 2}) {
        const std::string name = std::string("gemm/") + cpu::name_of(isa) + "/" +
                                 std::to_string(s.m) + "x" + std::to_string(s.n) + "x" +
                                 std::to_string(s.k) +
                                 (s.b_transposed   ? "t"
                                  : s.a_transposed ? "ta"
                                                   : "") +
                                 "/threads:" + std::to_string(threads);
        benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
          run(state, isa, s, threads);
        })->UseRealTime();
      }
  }
}

[[maybe_unused]] const bool registered = (register_all(), true);

}  // namespace
}  // namespace gs
