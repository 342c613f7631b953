// One layer through time, the input's product left out: GFLOP/s of h W_hh^T and of its gradients.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "core/parallel.h"
#include "cpu/isa.h"

namespace gs {
namespace {

struct Size {
  CellKind kind;
  const char* name;
  int64_t steps, batch, hidden;
};

void run(benchmark::State& state, cpu::Isa isa, Size z, bool grad, int threads) {
  const int64_t gates = z.kind == CellKind::Lstm ? 4 : z.kind == CellKind::Gru ? 3 : 1;
  const int64_t rows = z.steps * z.batch, g = gates * z.hidden, h = z.hidden;
  const auto values = [](int64_t n) {
    std::vector<float> v(n);
    for (int64_t i = 0; i < n; ++i) v[i] = float(i * 2654435761u % 1000) * 1e-4f - 0.05f;
    return v;
  };
  const auto x = values(rows * g), w = values(g * h), b = values(g), h0 = values(z.batch * h);
  std::vector<float> out(rows * h), saved(rows * 4 * h), cells(rows * h), state_h(h0), state_c(h0);
  std::vector<float> dgates(rows * g), dgates_hh(rows * g), dw(g * h), db(g);
  const Recurrent forward{
      z.kind,   DType::Float32, false,        z.steps,        z.batch,       h,
      x.data(), w.data(),       b.data(),     h0.data(),      h0.data(),     out.data(),
      h,        saved.data(),   cells.data(), state_h.data(), state_c.data()};
  const RecurrentGrad backward{z.kind,
                               DType::Float32,
                               false,
                               z.steps,
                               z.batch,
                               h,
                               w.data(),
                               h0.data(),
                               h0.data(),
                               out.data(),
                               h,
                               saved.data(),
                               cells.data(),
                               out.data(),
                               h,
                               nullptr,
                               nullptr,
                               dgates.data(),
                               z.kind == CellKind::Gru ? dgates_hh.data() : nullptr,
                               dw.data(),
                               db.data(),
                               state_h.data(),
                               state_c.data()};
  set_num_threads(threads);
  cpu::table(isa).recurrent(forward);
  for (auto _ : state)
    grad ? cpu::table(isa).recurrent_grad(backward) : cpu::table(isa).recurrent(forward);
  set_num_threads(1);
  state.counters["GFLOP/s"] = benchmark::Counter(
      (grad ? 4e-9 : 2e-9) * rows * g * h * state.iterations(), benchmark::Counter::kIsRate);
}

bool register_all() {
  const Size sizes[] = {
      {CellKind::Lstm, "lstm", 100, 32, 256},   {CellKind::Lstm, "lstm", 100, 1, 256},
      {CellKind::Lstm, "lstm", 50, 32, 128},    {CellKind::Gru, "gru", 100, 32, 256},
      {CellKind::RnnTanh, "rnn", 100, 32, 256}, {CellKind::Lstm, "lstm", 1, 32, 256}};
  for (cpu::Isa isa : {cpu::Isa::Baseline, cpu::Isa::Avx2, cpu::Isa::Avx512}) {
    if (isa > cpu::best_isa()) continue;
    for (const Size& z : sizes)
      for (bool grad : {false, true})
        for (int threads : {1, 2}) {
          const std::string name = std::string(z.name) + (grad ? "_grad/" : "/") +
                                   cpu::name_of(isa) + "/" + std::to_string(z.steps) + "x" +
                                   std::to_string(z.batch) + "x" + std::to_string(z.hidden) +
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
