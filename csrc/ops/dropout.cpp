// Dropout. The mask is never stored: the gradient draws the same numbers again.
#include "core/random.h"
#include "kernels/params/random.h"
#include "ops/common.h"

namespace gs::ops {
namespace {

struct Mask {
  double p;
  uint64_t seed, offset;
};

// x * keep / (1 - p): linear in x, so its gradient is itself.
Tensor masked(const Tensor& input, const Mask& mask) {
  const Tensor x = contiguous(input);
  Tensor y = empty_like(x);
  if (y.numel())
    kernels::dropout(x.device(),
                     {x.raw(), y.raw(), x.numel(), x.dtype(), mask.p, mask.seed, mask.offset});
  if (needs_grad(x)) {
    record("dropout", y, inputs(x),
           [mask](Backward& b) -> Tensors { return {masked(b.grad(), mask)}; });
  }
  return y;
}

}  // namespace

Tensor dropout(const Tensor& x, double p, bool training) {
  check_floating("dropout", x);
  GS_CHECK(p >= 0 && p <= 1, Value, "dropout", "expected a probability p in [0, 1], got ", p, ".");
  if (!training) return x;
  if (p == 0) return clone(x);
  if (p == 1) return mul(x, zeros_like(x));
  Generator& generator = default_generator();
  return masked(x, {p, generator.seed(), generator.next()});
}

}  // namespace gs::ops
