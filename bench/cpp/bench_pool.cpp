// Pooling of (64, 64, 56, 56) with 2x2 and 3x3 windows: bytes read and written a second.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "core/parallel.h"
#include "cpu/isa.h"

namespace gs {
namespace {

struct Buffers {
  PoolShape s;
  std::vector<float> x, y;
  std::vector<int32_t> indices;
  explicit Buffers(PoolShape shape)
      : s(shape), x(s.planes * s.h * s.w), y(s.planes * s.p * s.q), indices(y.size()) {
    for (size_t i = 0; i < x.size(); ++i) x[i] = float(i * 2654435761u % 1000);
  }
};

using Kernel = void (*)(const cpu::KernelTable&, Buffers&);

void run(benchmark::State& state, cpu::Isa isa, PoolShape s, Kernel kernel, bool indices,
         int threads) {
  Buffers b(s);
  cpu::table(isa).max_pool2d({b.s, b.x.data(), b.y.data(), b.indices.data()});
  set_num_threads(threads);
  for (auto _ : state) kernel(cpu::table(isa), b);
  set_num_threads(1);
  const int64_t bytes = (b.x.size() + b.y.size()) * sizeof(float) + (indices ? b.y.size() * 4 : 0);
  state.SetBytesProcessed(bytes * state.iterations());
}

bool register_all() {
  const struct {
    const char* name;
    Kernel kernel;
    bool indices;
  } kernels[] = {{"max_pool2d",
                  [](const cpu::KernelTable& t, Buffers& b) {
                    t.max_pool2d({b.s, b.x.data(), b.y.data(), b.indices.data()});
                  },
                  true},
                 {"max_pool2d_grad",
                  [](const cpu::KernelTable& t, Buffers& b) {
                    t.max_pool2d_grad({b.s, b.y.data(), b.indices.data(), b.x.data()});
                  },
                  true},
                 {"avg_pool2d",
                  [](const cpu::KernelTable& t, Buffers& b) {
                    t.avg_pool2d({b.s, true, 0, b.x.data(), b.y.data()});
                  },
                  false},
                 {"avg_pool2d_grad",
                  [](const cpu::KernelTable& t, Buffers& b) {
                    t.avg_pool2d_grad({b.s, true, 0, b.y.data(), b.x.data()});
                  },
                  false}};
  const PoolShape shapes[] = {{DType::Float32, 4096, 56, 56, 28, 28, 2, 2, 2, 2, 0, 0, 1, 1},
                              {DType::Float32, 4096, 56, 56, 28, 28, 3, 3, 2, 2, 1, 1, 1, 1}};
  for (cpu::Isa isa : {cpu::Isa::Baseline, cpu::Isa::Avx2, cpu::Isa::Avx512}) {
    if (isa > cpu::best_isa()) continue;
    for (const auto& k : kernels)
      for (const PoolShape& s : shapes)
        for (int threads : {1, 2}) {
          const std::string name = std::string(k.name) + "/" + cpu::name_of(isa) + "/" +
                                   std::to_string(s.kernel_h) + "x" + std::to_string(s.kernel_w) +
                                   "/threads:" + std::to_string(threads);
          benchmark::RegisterBenchmark(
              name.c_str(),
              [=](benchmark::State& state) { run(state, isa, s, k.kernel, k.indices, threads); })
              ->UseRealTime()
              ->Unit(benchmark::kMillisecond);
        }
  }
  return true;
}
[[maybe_unused]] const bool registered = register_all();

}  // namespace
}  // namespace gs
