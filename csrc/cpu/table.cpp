// Picks the instruction set once and forwards every kernel through its table.
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "core/error.h"
#include "cpu/isa.h"
#include "kernels/isa_control.h"

namespace gs::cpu {
namespace {

#define GS_BASELINE(name, Params) &baseline::name,
#define GS_AVX2(name, Params) &avx2::name,
#define GS_AVX512(name, Params) &avx512::name,
const KernelTable tables[] = {
    {GS_KERNELS(GS_BASELINE)},
#ifndef GS_ONLY_BASELINE
    {GS_KERNELS(GS_AVX2)},
    {GS_KERNELS(GS_AVX512)},
#endif
};

Isa detect() {
#ifndef GS_ONLY_BASELINE
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512dq");
  if (avx512) return Isa::Avx512;
  if (avx2) return Isa::Avx2;
#endif
  return Isa::Baseline;
}

Isa chosen() {
  const Isa best = detect();
  if (const char* wanted = std::getenv("GRADSTONE_ISA")) {
    for (Isa isa : {Isa::Baseline, Isa::Avx2, Isa::Avx512})
      if (!std::strcmp(wanted, name_of(isa)) && isa <= best) return isa;
  }
  return best;
}

std::atomic<const KernelTable*> active{&tables[static_cast<int>(chosen())]};

}  // namespace

const char* name_of(Isa isa) {
  constexpr const char* names[] = {"baseline", "avx2", "avx512"};
  return names[static_cast<int>(isa)];
}

Isa best_isa() { return detect(); }

Isa active_isa() { return static_cast<Isa>(active.load(std::memory_order_relaxed) - tables); }

void set_isa(Isa isa) {
  GS_CHECK(isa <= detect(), Runtime, "set_isa", "this CPU does not have ", name_of(isa), ".");
  active.store(&tables[static_cast<int>(isa)]);
}

const KernelTable& table(Isa isa) { return tables[static_cast<int>(isa)]; }

#define GS_CALL(name, Params) \
  void name(const Params& p) { active.load(std::memory_order_relaxed)->name(p); }
GS_KERNELS(GS_CALL)

}  // namespace gs::cpu

namespace gs::kernels {

const char* active_isa_name() { return cpu::name_of(cpu::active_isa()); }

const char* best_isa_name() { return cpu::name_of(cpu::best_isa()); }

void set_isa_by_name(const char* name) {
  using cpu::Isa;
  for (Isa isa : {Isa::Baseline, Isa::Avx2, Isa::Avx512})
    if (!std::strcmp(name, cpu::name_of(isa))) return cpu::set_isa(isa);
  raise(ErrorKind::Value, "set_isa", "expected 'baseline', 'avx2' or 'avx512', got '", name, "'.");
}

}  // namespace gs::kernels
