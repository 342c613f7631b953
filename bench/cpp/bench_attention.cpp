// Attention: GFLOP/s of the products that the mask leaves (half of them when causal).
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "core/parallel.h"
#include "cpu/isa.h"

namespace gs {
namespace {

struct Size {
  int64_t batch, heads, t, u, d;
  bool causal;
};

void run(benchmark::State& state, cpu::Isa isa, Size z, bool grad, int threads) {
  const int64_t rows = z.batch * z.heads * z.t, keys = z.batch * z.heads * z.u;
  const auto values = [&](int64_t n) {
    std::vector<float> v(n * z.d);
    for (size_t i = 0; i < v.size(); ++i) v[i] = float(i * 2654435761u % 1000) * 2e-3f - 1;
    return v;
  };
  const auto q = values(rows), k = values(keys), value = values(keys), dout = values(rows);
  std::vector<float> out(rows * z.d), lse(rows), dq(rows * z.d), dk(keys * z.d), dv(keys * z.d);
  const Attention forward{DType::Float32, z.batch,    z.heads,      z.t,     z.u, z.d, z.d,
                          q.data(),       k.data(),   value.data(), nullptr, 0,   0,   z.causal,
                          0.125,          out.data(), lse.data()};
  const AttentionGrad backward{
      DType::Float32, z.batch,    z.heads,      z.t,         z.u,       z.d,       z.d,
      q.data(),       k.data(),   value.data(), nullptr,     0,         0,         z.causal,
      0.125,          out.data(), lse.data(),   dout.data(), dq.data(), dk.data(), dv.data()};
  set_num_threads(threads);
  cpu::table(isa).attention(forward);
  for (auto _ : state)
    grad ? cpu::table(isa).attention_grad(backward) : cpu::table(isa).attention(forward);
  set_num_threads(1);
  state.counters["GFLOP/s"] = benchmark::Counter(
      (grad ? 10e-9 : 4e-9) * (z.causal ? 0.5 : 1) * rows * z.u * z.d * state.iterations(),
      benchmark::Counter::kIsRate);
}

bool register_all() {
  const Size sizes[] = {{8, 12, 512, 512, 64, true},
                        {8, 12, 512, 512, 64, false},
                        {16, 8, 128, 128, 32, true},
                        {1, 2, 1024, 1024, 64, true},
                        {8, 12, 1, 512, 64, false}};
  for (cpu::Isa isa : {cpu::Isa::Baseline, cpu::Isa::Avx2, cpu::Isa::Avx512}) {
    if (isa > cpu::best_isa()) continue;
    for (const Size& z : sizes)
      for (bool grad : {false, true})
        for (int threads : {1, 2}) {
          const std::string name =
              std::string(grad ? "attention_grad/" : "attention/") + cpu::name_of(isa) + "/" +
              std::to_string(z.batch) + "x" + std::to_string(z.heads) + "x" + std::to_string(z.t) +
              "x" + std::to_string(z.u) + "x" + std::to_string(z.d) + (z.causal ? "/causal" : "") +
              "/threads:" + std::to_string(threads);
          benchmark::RegisterBenchmark(
              name.c_str(), [=](benchmark::State& state) { run(state, isa, z, grad, threads); })
              ->UseRealTime()
              ->Unit(benchmark::kMillisecond);
        }
  }
  return true;
}
[[maybe_unused]] const bool registered = register_all();

}  // namespace
}  // namespace gs
