// How products of float32 may use the tensor cores.
#pragma once

#include <cstdint>

namespace gs::cuda {

// Exact: fused multiply-adds. ThreeTf32: tensor cores, each number in two parts, about as accurate
// as float32; what is infinite may become NaN. Tf32: tensor cores, operands rounded to 11 bits.
enum class Float32Products : uint8_t { Exact, ThreeTf32, Tf32 };
Float32Products float32_products();
void set_float32_products(Float32Products how);  // of the process

}  // namespace gs::cuda
