// Which instruction set the CPU kernels use, by name, for rooms that must not know csrc/cpu.
#pragma once

namespace gs::kernels {

const char* active_isa_name();  // "baseline", "avx2" or "avx512"
const char* best_isa_name();    // the best this CPU has
void set_isa_by_name(
    const char* name);  // ValueError for an unknown name, RuntimeError when the CPU lacks it

}  // namespace gs::kernels
