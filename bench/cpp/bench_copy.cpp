// Copies: dense, transposed, broadcast, converted, joined.
#include "kernels/loop_of.h"
#include "kernels/params/copy.h"
#include "register.h"

namespace gs::bench {
namespace {

void add_copy(const std::string& name, const std::string& shape, int64_t bytes,
              Tensor (*make)(const Shape&), DType to, Shape sizes) {
  add(name, shape, [=](Bench& b) {
    const Tensor x = make(sizes), y = empty(x.shape(), to);
    const Loop loop = make_loop({&y, &x});
    b.bytes(bytes, [&] { b.kernels.copy({loop}); });
  });
}

Tensor dense(const Shape& sizes) { return ramp(sizes); }
Tensor transposed(const Shape& sizes) {
  return alias(ramp({sizes[1], sizes[0]}), sizes, {1, sizes[0]}, 0);
}
Tensor rows_repeated(const Shape& sizes) { return alias(ramp({sizes[1]}), sizes, {0, 1}, 0); }
Tensor channels_last(const Shape& s) {  // (N, C, L) read from (N, L, C)
  return alias(ramp({s[0], s[2], s[1]}), s, {s[1] * s[2], 1, s[1]}, 0);
}
Tensor half(const Shape& sizes) {
  const Tensor x = ramp(sizes), y = empty(sizes, DType::BFloat16);
  kernels::copy({}, {make_loop({&y, &x})});
  return y;
}

// Two tensors side by side: (rows, n) and (rows, n) into (rows, 2 n).
void add_cat(int64_t rows, int64_t n) {
  add("cat", times({rows, n}), [=](Bench& b) {
    const Tensor x = ramp({rows, n}), y = empty({rows, 2 * n}, DType::Float32);
    const Tensor left = alias(y, {rows, n}, {2 * n, 1}, 0);
    const Tensor right = alias(y, {rows, n}, {2 * n, 1}, n);
    const Loop to_left = make_loop({&left, &x}), to_right = make_loop({&right, &x});
    b.bytes(16 * rows * n, [&] {
      b.kernels.copy({to_left});
      b.kernels.copy({to_right});
    });
  });
}

const Register all([] {
  const int64_t n = 2048 * 2048;
  add_copy("copy", "2048x2048", 8 * n, dense, DType::Float32, {2048, 2048});
  add_copy("copy", "100", 800, dense, DType::Float32, {100});
  add_copy("transpose", "2048x2048", 8 * n, transposed, DType::Float32, {2048, 2048});
  add_copy("transpose", "1000x1000", 8000000, transposed, DType::Float32, {1000, 1000});
  add_copy("transpose", "64x3x1024", 8 * 64 * 3 * 1024, channels_last, DType::Float32,
           {64, 3, 1024});
  add_copy("broadcast", "2048x2048", 4 * n, rows_repeated, DType::Float32, {2048, 2048});
  add_copy("cast_float32_float64", "2048x2048", 12 * n, dense, DType::Float64, {2048, 2048});
  add_copy("cast_float32_bfloat16", "2048x2048", 6 * n, dense, DType::BFloat16, {2048, 2048});
  add_copy("cast_bfloat16_float32", "2048x2048", 6 * n, half, DType::Float32, {2048, 2048});
  add_copy("cast_float32_int64", "2048x2048", 12 * n, dense, DType::Int64, {2048, 2048});
  add_cat(2048, 512);
  add_cat(100000, 5);
});

}  // namespace
}  // namespace gs::bench
