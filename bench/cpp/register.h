// What all benchmarks of kernels share: a name `family/isa/shape/threads:n`, a run at every
// instruction set of this machine with one thread and with two, and a rate.
//
//   const Register softmax([] {
//     add("softmax", "4096x1000", [](Bench& b) {
//       const Tensor x = ramp({4096, 1000}), y = empty_like(x);
//       b.bytes(8 * x.numel(), [&] { b.kernels.softmax({false, x.raw(), ...}); });
//     });
//   });
#pragma once

#include <benchmark/benchmark.h>

#include <initializer_list>
#include <string>

#include "core/parallel.h"
#include "core/tensor.h"
#include "cpu/isa.h"

namespace gs::bench {

// One benchmark while it runs. The body prepares its buffers, then calls bytes() or flops() once.
class Bench {
 public:
  Bench(benchmark::State& state, const cpu::KernelTable& table, int threads)
      : kernels(table), state_(state), threads_(threads) {}

  const cpu::KernelTable& kernels;

  // `amount`: read and written by one step, memory that is read twice counted once.
  template <class Step>
  void bytes(int64_t amount, const Step& step) {
    run("bytes/s", static_cast<double>(amount), step);
  }
  template <class Step>
  void flops(double amount, const Step& step) {
    run("FLOP/s", amount, step);
  }

 private:
  template <class Step>
  void run(const char* unit, double amount, const Step& step) {
    set_num_threads(threads_);
    step();  // memory is touched for the first time, scratch is allocated
    for (auto _ : state_) step();
    set_num_threads(1);
    state_.counters[unit] =
        benchmark::Counter(amount, benchmark::Counter::kIsIterationInvariantRate);
  }

  benchmark::State& state_;
  const int threads_;
};

// body(Bench&) at every instruction set and number of threads.
template <class Body>
void add(const std::string& family, const std::string& shape, Body body) {
  for (cpu::Isa isa : {cpu::Isa::Baseline, cpu::Isa::Avx2, cpu::Isa::Avx512}) {
    if (isa > cpu::best_isa()) continue;
    for (int threads : {1, 2}) {
      const std::string name =
          family + "/" + cpu::name_of(isa) + "/" + shape + "/threads:" + std::to_string(threads);
      benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
        Bench bench(state, cpu::table(isa), threads);
        body(bench);
      })->UseRealTime();
    }
  }
}

// A variable of this type registers what its function adds when the program starts.
struct Register {
  explicit Register(void (*all)()) { all(); }
};

// "4096x1000"
inline std::string times(std::initializer_list<int64_t> sizes) {
  std::string text;
  for (int64_t n : sizes) text += (text.empty() ? "" : "x") + std::to_string(n);
  return text;
}

// A float32 tensor of values between `low` and low + 4 in no simple order.
inline Tensor ramp(const Shape& shape, float low = -2) {
  Tensor t = empty(shape, DType::Float32);
  for (int64_t i = 0; i < t.numel(); ++i)
    t.data<float>()[i] = static_cast<float>(i * 2654435761u % 1000) * 0.004f + low;
  return t;
}

// Indices below n in no simple order.
inline Tensor indices(const Shape& shape, int64_t n) {
  Tensor t = empty(shape, DType::Int64);
  for (int64_t i = 0; i < t.numel(); ++i)
    t.data<int64_t>()[i] = static_cast<int64_t>(i * 2654435761u % static_cast<uint64_t>(n));
  return t;
}

}  // namespace gs::bench
