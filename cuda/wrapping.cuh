// Sums and products in which integers wrap.
#pragma once

#include <type_traits>

#include "portable.cuh"

namespace gs::cuda {

template <class T>
GS_DEVICE T wrapping_sum(T a, T b) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  else
    return a + b;
}
template <class T>
GS_DEVICE T wrapping_product(T a, T b) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  else
    return a * b;
}

}  // namespace gs::cuda
