// Elementwise loops on the device: one thread takes a few elements, 16 bytes at a time where memory
// is dense.
#pragma once

#include <type_traits>

#include "core/macros.h"
#include "kernels/loop.h"
#include "runtime/stream.h"
#include "vec.cuh"

namespace gs::cuda {

// A Loop as kernels take it: wholly initialised, scalars of the host by value.
struct DeviceLoop {
  char* data[4] = {};  // null: `scalar` holds the value
  uint64_t scalar[4] = {};
  int64_t strides[4][kMaxDims] = {};  // bytes
  int64_t shape[kMaxDims] = {};
  int64_t numel = 0;
  int ndim = 0;
  bool dense = false;  // every operand is one value, or contiguous and aligned to 16 bytes
};

DeviceLoop device_loop(const Loop& loop);

inline constexpr int kLoopThreads = 256;

template <class T>
GS_DEVICE T scalar_of(const DeviceLoop& loop, int operand) {
  T value;
  memcpy(&value, &loop.scalar[operand], sizeof(T));
  return value;
}

// Element i of an operand in a loop of any strides.
template <class T>
GS_DEVICE T load_element(const DeviceLoop& loop, int operand, int64_t offset) {
  if (!loop.data[operand]) return scalar_of<T>(loop, operand);
  return *reinterpret_cast<const T*>(loop.data[operand] + offset);
}

template <class T, int N>
GS_DEVICE Pack<T, N> load_operand(const DeviceLoop& loop, int operand, int64_t first,
                                  int64_t count) {
  Pack<T, N> pack;
  const T* p = reinterpret_cast<const T*>(loop.data[operand]);
  if (!p || loop.strides[operand][0] == 0) {
    const T value = p ? *p : scalar_of<T>(loop, operand);
    GS_UNROLL for (int i = 0; i < N; ++i) pack.v[i] = value;
  } else if (count >= N) {
    constexpr int kPart = kPackBytes / sizeof(T) < N ? kPackBytes / sizeof(T) : N;
    GS_UNROLL for (int i = 0; i < N; i += kPart) {
      const Pack<T, kPart> part = load_pack<T, kPart>(p + first + i);
      GS_UNROLL for (int j = 0; j < kPart; ++j) pack.v[i + j] = part.v[j];
    }
  } else {
    GS_UNROLL for (int i = 0; i < N; ++i) pack.v[i] = i < count ? p[first + i] : T(0);
  }
  return pack;
}

// Offsets of element i in each operand: the last dimension runs fastest.
template <int Operands, class Index>
GS_DEVICE void offsets_of(const DeviceLoop& loop, Index i, int64_t (&offset)[Operands]) {
  GS_UNROLL for (int k = 0; k < Operands; ++k) offset[k] = 0;
  for (int d = loop.ndim - 1; d >= 0; --d) {
    const Index size = static_cast<Index>(loop.shape[d]), rest = i / size, at = i - rest * size;
    GS_UNROLL for (int k = 0; k < Operands; ++k) offset[k] +=
        static_cast<int64_t>(at) * loop.strides[k][d];
    i = rest;
  }
}

// 16 bytes of the widest operand.
template <size_t... Bytes>
GS_HOST_DEVICE constexpr int elements_a_thread() {
  size_t widest = 1;
  ((widest = Bytes > widest ? Bytes : widest), ...);
  return static_cast<int>(kPackBytes / widest);
}

// A few elements in a row of dense operands.
template <class Y, class... In, class F, size_t... K>
GS_DEVICE void dense_step(const F& f, const DeviceLoop& loop, int64_t first,
                          std::index_sequence<K...>) {
  constexpr int N = elements_a_thread<sizeof(Y), sizeof(In)...>();
  const int64_t count = loop.numel - first;
  const std::tuple<Pack<In, N>...> in{load_operand<In, N>(loop, K + 1, first, count)...};
  Pack<Y, N> y;
  GS_UNROLL for (int i = 0; i < N; ++i) y.v[i] = f(std::get<K>(in).v[i]...);
  Y* p = reinterpret_cast<Y*>(loop.data[0]) + first;
  if (count >= N) {
    store_pack<Y, N>(p, y);
  } else {
    GS_UNROLL for (int i = 0; i < N; ++i) if (i < count) p[i] = y.v[i];
  }
}

template <class Y, class... In, class F, size_t... K>
GS_DEVICE void strided_step(const F& f, const DeviceLoop& loop, int64_t i,
                            std::index_sequence<K...>) {
  int64_t offset[sizeof...(In) + 1];
  if (loop.numel < (int64_t(1) << 31))
    offsets_of(loop, static_cast<uint32_t>(i), offset);  // divisions of 64 bits are slow
  else
    offsets_of(loop, static_cast<uint64_t>(i), offset);
  *reinterpret_cast<Y*>(loop.data[0] + offset[0]) =
      f(load_element<In>(loop, K + 1, offset[K + 1])...);
}

// y = f(a...) over a loop; f is called with the operands' own types.
template <class F, class Y, class... In>
__global__ void __launch_bounds__(kLoopThreads)
    elementwise_kernel(F f, const __grid_constant__ DeviceLoop loop) {
  constexpr int N = elements_a_thread<sizeof(Y), sizeof(In)...>();
  const int64_t thread = int64_t(blockIdx.x) * kLoopThreads + threadIdx.x;
  const int64_t threads = int64_t(gridDim.x) * kLoopThreads;
  const auto inputs = std::index_sequence_for<In...>{};
  if (loop.dense) {
    for (int64_t first = thread * N; first < loop.numel; first += threads * N)
      dense_step<Y, In...>(f, loop, first, inputs);
  } else {
    for (int64_t i = thread; i < loop.numel; i += threads)
      strided_step<Y, In...>(f, loop, i, inputs);
  }
}

inline dim3 loop_grid(int64_t numel, int elements) {
  constexpr int64_t kMostBlocks = 1 << 16;  // beyond it threads go round again
  const int64_t blocks = ceil_div(ceil_div(numel, elements), kLoopThreads);
  return dim3(static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks));
}

template <class Y, class... In, class F>
void elementwise(const Loop& loop, F f) {
  if (loop.numel == 0) return;
  const DeviceLoop on_device = device_loop(loop);
  const int elements = on_device.dense ? elements_a_thread<sizeof(Y), sizeof(In)...>() : 1;
  launch({loop_grid(loop.numel, elements), dim3(kLoopThreads), 0, current_stream()},
         elementwise_kernel<F, Y, In...>, f, on_device);
}

}  // namespace gs::cuda
