// The keywords, vector types and built-in variables of CUDA C++.
#pragma once

#include <cstddef>
#include <cstdint>

#define __global__
#define __device__
#define __host__
#define __grid_constant__
#define __launch_bounds__(...)
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(n) __attribute__((aligned(n)))

#define GS_VECTOR_TYPE(T, Name, one, two, four)                      \
  struct __align__(one) Name##1 { T x; };                            \
  struct __align__(two) Name##2 { T x, y; };                         \
  struct Name##3 { T x, y, z; };                                     \
  struct __align__(four) Name##4 { T x, y, z, w; };                  \
  inline Name##2 make_##Name##2(T x, T y) { return {x, y}; }         \
  inline Name##3 make_##Name##3(T x, T y, T z) { return {x, y, z}; } \
  inline Name##4 make_##Name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
GS_VECTOR_TYPE(unsigned char, uchar, 1, 2, 4)
GS_VECTOR_TYPE(unsigned short, ushort, 2, 4, 8)
GS_VECTOR_TYPE(int, int, 4, 8, 16)
GS_VECTOR_TYPE(unsigned, uint, 4, 8, 16)
GS_VECTOR_TYPE(long long, longlong, 8, 16, 16)
GS_VECTOR_TYPE(float, float, 4, 8, 16)
GS_VECTOR_TYPE(double, double, 8, 16, 16)
#undef GS_VECTOR_TYPE

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

namespace cuda_host {

// What a CUDA thread knows of itself.
struct Context {
  uint3 thread, block;
  dim3 block_dim, grid_dim;
  unsigned lane, warp;
};
extern __thread Context* current __attribute__((tls_model("initial-exec")));

// Where in a kernel something is called: the default arguments of every function that can wait.
#define GS_CALL_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()

// A fault of the kernel: the launch ends with an exception that holds this message, the block and
// the thread.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Memory shared by the threads of a block, filled with 0xFF (a NaN, an index out of every range)
// when the block starts. `tag` tells one variable from another.
void* shared_variable(const void* tag, size_t bytes, size_t align, const char* name);
void* dynamic_shared(size_t align);
// Offsets within the block's shared memory, as the hardware's shared addresses are.
unsigned shared_offset(const void* p);
char* shared_pointer(unsigned offset);

}  // namespace cuda_host

#define threadIdx (::cuda_host::current->thread)
#define blockIdx (::cuda_host::current->block)
#define blockDim (::cuda_host::current->block_dim)
#define gridDim (::cuda_host::current->grid_dim)
inline constexpr int warpSize = 32;
