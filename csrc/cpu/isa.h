// The instruction sets the CPU kernels are compiled for, and the one chosen at load.
#pragma once

#include "kernels/kernels.h"

namespace gs::cpu {

enum class Isa : int { Baseline, Avx2, Avx512 };

Isa active_isa();  // GRADSTONE_ISA=baseline|avx2|avx512, otherwise the best this CPU has
Isa best_isa();
void set_isa(Isa isa);  // for tests; RuntimeError when the CPU lacks it
const char* name_of(Isa isa);

struct KernelTable {
#define GS_SLOT(name, Params) void (*name)(const Params&);
  GS_KERNELS(GS_SLOT)
#undef GS_SLOT
};
const KernelTable& table(Isa isa);

}  // namespace gs::cpu

// Every file in csrc/cpu/kernels is compiled once per instruction set with GS_ISA set to its name,
// and defines its kernels in gs::cpu::GS_ISA; its helpers live in an anonymous namespace.
#define GS_DECLARE(name, Params) void name(const Params& p);
namespace gs::cpu::baseline {
GS_KERNELS(GS_DECLARE)
}
namespace gs::cpu::avx2 {
GS_KERNELS(GS_DECLARE)
}
namespace gs::cpu::avx512 {
GS_KERNELS(GS_DECLARE)
}
#undef GS_DECLARE
