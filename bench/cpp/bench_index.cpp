// Rows and elements picked by index, and added back: embedding, gather, scatter.
#include "kernels/params/index.h"
#include "register.h"

namespace gs::bench {
namespace {

// n_index rows of `width` from a table of `rows`; backward adds them to the table.
void add_embedding(int64_t rows, int64_t n_index, int64_t width) {
  const std::string shape = times({rows, n_index, width});
  add("embedding", shape, [=](Bench& b) {
    const Tensor table = ramp({rows, width}), at = indices({n_index}, rows);
    const Tensor out = ramp({n_index, width});
    b.bytes(8 * out.numel() + 8 * n_index, [&] {
      b.kernels.index_select(
          {table.raw(), at.data<int64_t>(), out.raw(), 4, 1, rows, n_index, width});
    });
  });
  add("embedding_grad", shape, [=](Bench& b) {
    const Tensor dtable = ramp({rows, width}), at = indices({n_index}, rows);
    const Tensor dout = ramp({n_index, width});
    b.bytes(12 * dout.numel() + 8 * n_index, [&] {
      b.kernels.index_add({dout.raw(), at.data<int64_t>(), dtable.raw(), DType::Float32, 1, rows,
                           n_index, width, 1.0});
    });
  });
}

// m of n elements along the middle of (outer, n, inner).
void add_gather(int64_t outer, int64_t n, int64_t m, int64_t inner) {
  const std::string shape = times({outer, n, inner}) + "_" + std::to_string(m);
  add("gather", shape, [=](Bench& b) {
    const Tensor x = ramp({outer, n, inner}), at = indices({outer, m, inner}, n);
    const Tensor out = empty(at.shape(), DType::Float32);
    b.bytes(16 * out.numel(), [&] {
      b.kernels.gather(
          {x.raw(), n * inner, inner, at.data<int64_t>(), out.raw(), 4, outer, n, m, inner});
    });
  });
  add("scatter_add", shape, [=](Bench& b) {
    const Tensor x = ramp({outer, n, inner}), at = indices({outer, m, inner}, n);
    const Tensor src = ramp(at.shape());
    b.bytes(20 * src.numel(), [&] {
      b.kernels.scatter({src.raw(), at.data<int64_t>(), x.raw(), n * inner, inner, DType::Float32,
                         true, outer, n, m, inner});
    });
  });
}

const Register all([] {
  add_embedding(10000, 8192, 256);
  add_embedding(50000, 65536, 16);
  add_embedding(1000, 32, 32);
  add_gather(4096, 1000, 1, 1);
  add_gather(1000, 1000, 1000, 1);
  add_gather(8, 1000, 500, 128);
});

}  // namespace
}  // namespace gs::bench
