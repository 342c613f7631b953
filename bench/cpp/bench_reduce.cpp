// Sums, maxima and their positions over the first axis, the last, or everything; running sums.
#include "kernels/params/reduce.h"
#include "register.h"

namespace gs::bench {
namespace {

// One operation on (rows, columns), over either axis or both.
void add_reduce(const std::string& name, ReduceOp op, int64_t rows, int64_t columns, bool first,
                bool last) {
  const char* over = first && last ? "/all" : first ? "/first" : "/last";
  add(name, times({rows, columns}) + over, [=](Bench& b) {
    const Tensor x = ramp({rows, columns});
    const Tensor y = empty({(first ? 1 : rows) * (last ? 1 : columns)}, DType::Float32);
    Reduce p{};
    p.op = op;
    p.in = x.raw();
    p.out = y.raw();
    p.in_dtype = p.out_dtype = DType::Float32;
    const auto put = [&](bool reduced, int64_t size, int64_t stride) {
      int& d = reduced ? p.reduced_ndim : p.kept_ndim;
      (reduced ? p.reduced_shape : p.kept_shape)[d] = size;
      (reduced ? p.reduced_strides : p.kept_strides)[d++] = stride;
    };
    put(first, rows, columns);
    put(last, columns, 1);
    b.bytes(4 * (x.numel() + y.numel()), [&] { b.kernels.reduce(p); });
  });
}

// Over n of (outer, n, inner).
void add_argmax(int64_t outer, int64_t n, int64_t inner) {
  add("argmax", times({outer, n, inner}), [=](Bench& b) {
    const Tensor x = ramp({outer, n, inner}), at = empty({outer, inner}, DType::Int64);
    b.bytes(4 * x.numel() + 8 * at.numel(), [&] {
      b.kernels.arg_extreme(
          {true, x.raw(), nullptr, at.data<int64_t>(), DType::Float32, outer, n, inner});
    });
  });
}

void add_cumsum(int64_t outer, int64_t n, int64_t inner) {
  add("cumsum", times({outer, n, inner}), [=](Bench& b) {
    const Tensor x = ramp({outer, n, inner}), y = empty_like(x);
    b.bytes(8 * x.numel(), [&] {
      b.kernels.scan({ScanOp::Sum, x.raw(), y.raw(), DType::Float32, outer, n, inner, false});
    });
  });
}

const Register all([] {
  const struct {
    const char* name;
    ReduceOp op;
  } operations[] = {{"sum", ReduceOp::Sum}, {"max", ReduceOp::Max}};
  for (const auto& o : operations) {
    for (const bool last : {false, true}) {
      add_reduce(o.name, o.op, 2048, 2048, !last, last);
      add_reduce(o.name, o.op, 200000, 10, !last, last);
    }
    add_reduce(o.name, o.op, 2048, 2048, true, true);
    add_reduce(o.name, o.op, 10, 100, true, true);
  }
  add_argmax(4096, 1000, 1);
  add_argmax(32, 10, 1);
  add_argmax(16, 21, 4096);
  add_cumsum(2048, 2048, 1);
  add_cumsum(1, 2048, 2048);
});

}  // namespace
}  // namespace gs::bench
