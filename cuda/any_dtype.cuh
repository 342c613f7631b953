// Elements whose type is known when the kernel runs: one kernel for every dtype where the work is
// not worth one each. The branches are the same for all threads of a launch.
#pragma once

#include "loop.cuh"

namespace gs::cuda {

// Integers and bool.
GS_DEVICE int64_t load_integer(const void* p, DType t) {
  switch (t) {
    case DType::Bool:
    case DType::UInt8:
      return *static_cast<const uint8_t*>(p);
    case DType::Int8:
      return *static_cast<const int8_t*>(p);
    case DType::Int16:
      return *static_cast<const int16_t*>(p);
    case DType::Int32:
      return *static_cast<const int32_t*>(p);
    default:
      return *static_cast<const int64_t*>(p);
  }
}

GS_DEVICE double load_floating(const void* p, DType t) {
  switch (t) {
    case DType::Float16:
      return static_cast<float>(*static_cast<const Half*>(p));
    case DType::BFloat16:
      return static_cast<float>(*static_cast<const BFloat16*>(p));
    case DType::Float32:
      return *static_cast<const float*>(p);
    default:
      return *static_cast<const double*>(p);
  }
}

// Wraps round in the narrow types; bool takes the lowest bit.
GS_DEVICE void store_integer(void* p, DType t, int64_t value) {
  switch (t) {
    case DType::Bool:
      *static_cast<uint8_t*>(p) = static_cast<uint8_t>(value & 1);
      break;
    case DType::UInt8:
    case DType::Int8:
      *static_cast<uint8_t*>(p) = static_cast<uint8_t>(value);
      break;
    case DType::Int16:
      *static_cast<int16_t*>(p) = static_cast<int16_t>(value);
      break;
    case DType::Int32:
      *static_cast<int32_t*>(p) = static_cast<int32_t>(value);
      break;
    default:
      *static_cast<int64_t*>(p) = value;
  }
}

// The 16-bit types by way of float, as everywhere.
template <class Number>
GS_DEVICE void store_floating(void* p, DType t, Number value) {
  switch (t) {
    case DType::Float16:
      *static_cast<Half*>(p) = Half(static_cast<float>(value));
      break;
    case DType::BFloat16:
      *static_cast<BFloat16*>(p) = BFloat16(static_cast<float>(value));
      break;
    case DType::Float32:
      *static_cast<float*>(p) = static_cast<float>(value);
      break;
    default:
      *static_cast<double*>(p) = static_cast<double>(value);
  }
}

// Where element `offset` bytes into an operand lies; a number given by value lies in the loop.
GS_DEVICE const void* element(const DeviceLoop& loop, int operand, int64_t offset) {
  const char* data = loop.data[operand];
  return data ? static_cast<const void*>(data + offset) : &loop.scalar[operand];
}

// f(loop, offsets) for every element: f loads and stores what it likes.
template <class F, int Operands>
__global__ void __launch_bounds__(kLoopThreads)
    each_element_kernel(F f, const __grid_constant__ DeviceLoop loop) {
  const int64_t threads = int64_t(gridDim.x) * kLoopThreads;
  for (int64_t i = int64_t(blockIdx.x) * kLoopThreads + threadIdx.x; i < loop.numel; i += threads) {
    int64_t offset[Operands];
    if (loop.numel < (int64_t(1) << 31))
      offsets_of(loop, static_cast<uint32_t>(i), offset);
    else
      offsets_of(loop, static_cast<uint64_t>(i), offset);
    f(loop, offset);
  }
}

template <int Operands, class F>
void each_element(const Loop& loop, F f) {
  if (loop.numel == 0) return;
  launch({loop_grid(loop.numel, 1), dim3(kLoopThreads), 0, current_stream()},
         each_element_kernel<F, Operands>, f, device_loop(loop));
}

}  // namespace gs::cuda
