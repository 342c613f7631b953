// Pooling of planes with 2x2 and 3x3 windows: bytes read and written a second.
#include "kernels/params/pool.h"
#include "register.h"

namespace gs::bench {
namespace {

struct Buffers {
  PoolShape s;
  Tensor x, y, at;  // at: where each maximum was
  explicit Buffers(PoolShape shape)
      : s(shape),
        x(ramp({s.planes, s.h, s.w})),
        y(ramp({s.planes, s.p, s.q})),
        at(empty(y.shape(), DType::Int32)) {}
  int32_t* indices() const { return at.data<int32_t>(); }
};

using Kernel = void (*)(const cpu::KernelTable&, const Buffers&);

void add_pool(const char* name, PoolShape s, bool indices, Kernel kernel) {
  add(name, times({s.planes, s.h, s.w}) + "_" + times({s.kernel_h, s.kernel_w}), [=](Bench& b) {
    const Buffers buffers(s);
    b.kernels.max_pool2d({s, buffers.x.raw(), buffers.y.raw(), buffers.indices()});
    const int64_t bytes = 4 * buffers.x.numel() + (indices ? 8 : 4) * buffers.y.numel();
    b.bytes(bytes, [&] { kernel(b.kernels, buffers); });
  });
}

const Register all([] {
  const PoolShape shapes[] = {{DType::Float32, 1024, 56, 56, 28, 28, 2, 2, 2, 2, 0, 0, 1, 1},
                              {DType::Float32, 1024, 56, 56, 28, 28, 3, 3, 2, 2, 1, 1, 1, 1},
                              {DType::Float32, 192, 28, 28, 14, 14, 2, 2, 2, 2, 0, 0, 1, 1}};
  for (const PoolShape& s : shapes) {
    add_pool("max_pool2d", s, true, [](const cpu::KernelTable& t, const Buffers& b) {
      t.max_pool2d({b.s, b.x.raw(), b.y.raw(), b.indices()});
    });
    add_pool("max_pool2d_grad", s, true, [](const cpu::KernelTable& t, const Buffers& b) {
      t.max_pool2d_grad({b.s, b.y.raw(), b.indices(), b.x.raw()});
    });
    add_pool("avg_pool2d", s, false, [](const cpu::KernelTable& t, const Buffers& b) {
      t.avg_pool2d({b.s, true, 0, b.x.raw(), b.y.raw()});
    });
    add_pool("avg_pool2d_grad", s, false, [](const cpu::KernelTable& t, const Buffers& b) {
      t.avg_pool2d_grad({b.s, true, 0, b.y.raw(), b.x.raw()});
    });
  }
});

}  // namespace
}  // namespace gs::bench
