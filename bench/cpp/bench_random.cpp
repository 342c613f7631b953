// Random numbers and dropout, in bytes written (dropout also reads).
#include "kernels/params/random.h"
#include "register.h"

namespace gs::bench {
namespace {

void add_random(const std::string& name, RandomOp op, DType dtype, int64_t n) {
  add(name, std::to_string(n), [=](Bench& b) {
    const Tensor y = empty({n}, dtype);
    b.bytes(n * size_of(dtype), [&] {
      b.kernels.random(
          {op, y.raw(), n, dtype, 7, 1, op == RandomOp::Bernoulli ? 0.5 : 0, 1, 0, 1000});
    });
  });
}

const Register all([] {
  for (const int64_t n : {100, 4000000}) {
    add_random("uniform", RandomOp::Uniform, DType::Float32, n);
    add_random("normal", RandomOp::Normal, DType::Float32, n);
    add("dropout", std::to_string(n), [=](Bench& b) {
      const Tensor x = ramp({n}), y = empty_like(x);
      b.bytes(8 * n, [&] { b.kernels.dropout({x.raw(), y.raw(), n, DType::Float32, 0.5, 7, 1}); });
    });
  }
  add_random("uniform_float64", RandomOp::Uniform, DType::Float64, 1000000);
  add_random("bernoulli", RandomOp::Bernoulli, DType::Float32, 4000000);
  add_random("integers", RandomOp::Integers, DType::Int64, 1000000);
  add("permutation", "100000", [](Bench& b) {
    const Tensor y = empty({100000}, DType::Int64);
    b.bytes(800000, [&] { b.kernels.random_permutation({y.data<int64_t>(), 100000, 7, 1}); });
  });
});

}  // namespace
}  // namespace gs::bench
