// Sorting and the k largest along one axis: bytes read, and written with their positions.
#include "kernels/params/sort.h"
#include "register.h"

namespace gs::bench {
namespace {

void add_sort(const std::string& name, int64_t outer, int64_t n, int64_t k, int64_t inner) {
  const std::string shape = times({outer, n, inner}) + (k < n ? "_" + std::to_string(k) : "");
  add(name, shape, [=](Bench& b) {
    const Tensor x = ramp({outer, n, inner}), values = empty({outer, k, inner}, DType::Float32);
    const Tensor at = empty(values.shape(), DType::Int64);
    b.bytes(4 * x.numel() + 12 * values.numel(), [&] {
      b.kernels.sort(
          {x.raw(), values.raw(), at.data<int64_t>(), DType::Float32, outer, n, k, inner, k < n});
    });
  });
}

const Register all([] {
  add_sort("sort", 1, 100000, 100000, 1);
  add_sort("sort", 100, 1000, 1000, 1);
  add_sort("sort", 1, 1000, 1000, 32);
  add_sort("topk", 1000, 1000, 5, 1);
  add_sort("topk", 32, 10, 3, 1);
  add_sort("topk", 1, 100000, 100, 1);
});

}  // namespace
}  // namespace gs::bench
