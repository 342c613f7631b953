// Matrix products: FLOP/s for every instruction set, one thread and two.
#include "kernels/params/gemm.h"
#include "register.h"

namespace gs::bench {
namespace {

struct Shape3 {
  int64_t m, n, k;
  bool b_transposed = false, a_transposed = false;
};

void add_gemm(Shape3 s) {
  const char* transposed = s.b_transposed ? "t" : s.a_transposed ? "ta" : "";
  add("gemm", times({s.m, s.n, s.k}) + transposed, [=](Bench& bench) {
    const Tensor a = ramp({s.m, s.k}), b = ramp({s.k, s.n}), c = ramp({s.m, s.n});
    const Tensor bias = ramp({s.n});
    Gemm g{};
    g.dtype = DType::Float32, g.m = s.m, g.n = s.n, g.k = s.k;
    g.a = a.raw(), g.a_row = s.a_transposed ? 1 : s.k, g.a_col = s.a_transposed ? s.m : 1;
    g.b = b.raw(), g.b_row = s.b_transposed ? 1 : s.n, g.b_col = s.b_transposed ? s.k : 1;
    g.c = c.raw(), g.c_row = s.n;
    if (s.b_transposed) g.bias = bias.raw();
    bench.flops(2.0 * s.m * s.n * s.k, [&] { bench.kernels.gemm(g); });
  });
}

const Register all([] {
  const Shape3 shapes[] = {{32, 32, 32},
                           {64, 64, 64},
                           {128, 128, 128},
                           {256, 256, 256},
                           {512, 512, 512},
                           {1024, 1024, 1024},
                           {2048, 2048, 2048},
                           {32, 10, 128},
                           {32, 10, 128, true},
                           {32, 128, 784, true},
                           {1, 4096, 4096},
                           {1, 4096, 4096, true},
                           {4096, 64, 4096},
                           {4096, 4096, 64},
                           {512, 512, 512, true},
                           {32, 128, 1600, true},
                           {32, 784, 128},
                           {128, 784, 32, false, true},
                           {128, 1600, 32, false, true},
                           {256, 256, 32, false, true},
                           {10, 128, 32, false, true},
                           {32, 128, 10},
                           {32, 1024, 256, true}};
  for (const Shape3& s : shapes) add_gemm(s);
});

}  // namespace
}  // namespace gs::bench
