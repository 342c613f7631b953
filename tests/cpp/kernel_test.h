// What tests of the CPU kernels share: the instruction sets of this CPU, random operands, and loops
// over them.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <random>
#include <vector>

#include "core/dtype.h"
#include "cpu/isa.h"
#include "kernels/loop.h"

namespace gs {

using cpu::Isa;
using cpu::KernelTable;

// Those that this CPU has.
inline std::vector<Isa> isas() {
  std::vector<Isa> out;
  for (Isa isa : {Isa::Baseline, Isa::Avx2, Isa::Avx512})
    if (isa <= cpu::best_isa()) out.push_back(isa);
  return out;
}

// f(table of its kernels)
template <class F>
void on_every_isa(F&& f) {
  for (Isa isa : isas()) {
    SCOPED_TRACE(cpu::name_of(isa));
    f(cpu::table(isa));
  }
}

// Even in [low, high), rounded to float first.
template <class T>
std::vector<T> random_values(int64_t n, double low, double high, int seed = 1) {
  std::mt19937_64 engine(seed);
  std::uniform_real_distribution<double> draw(low, high);
  std::vector<T> v(n);
  for (auto& x : v) x = static_cast<T>(static_cast<float>(draw(engine)));
  return v;
}

// A loop over dense operands, all of them with n elements of one dtype unless set otherwise
// afterwards.
inline Loop dense_loop(DType dtype, int64_t n, std::initializer_list<const void*> data) {
  Loop loop;
  loop.count = static_cast<int>(data.size());
  loop.ndim = 1;
  loop.numel = loop.shape[0] = n;
  int k = 0;
  for (const void* p : data) {
    loop.operands[k].data = static_cast<char*>(const_cast<void*>(p));
    loop.operands[k].dtype = dtype;
    loop.operands[k++].strides[0] = size_of(dtype);
  }
  return loop;
}

}  // namespace gs
