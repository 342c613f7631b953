// Softmax and its logarithm along one dimension.
#include "kernels/params/softmax.h"
#include "ops/common.h"

namespace gs::ops {
namespace {

// y and dy in, dx out, by differentiable operations:
//   softmax: y (dy - sum(y dy)),  log_softmax: dy - exp(y) sum(dy).
Tensor composed_gradient(bool log, const Tensor& dy, const Tensor& y, int64_t dim) {
  const Dims dims{dim};
  if (log) return sub(dy, mul(exp(y), sum(dy, dims, true, std::nullopt)), 1);
  return mul(y, sub(dy, sum(mul(dy, y), dims, true, std::nullopt), 1));
}

Tensor softmax_along(const char* op, bool log, const Tensor& input, int64_t dim,
                     OptionalDType dtype) {
  check_defined(op, input, "input");
  dim = wrap_dim(dim, input.dim(), op);
  GS_CHECK(!dtype || is_floating(*dtype), Type, op, "expected a floating dtype, got ",
           dtype ? *dtype : DType::Float32, ".");
  const Tensor x = contiguous(dtype ? cast(input, *dtype) : input);
  check_floating(op, x);
  const Span span = span_at(x.shape(), dim);
  Tensor y = empty_like(x);
  if (y.numel())
    kernels::softmax(x.device(),
                     {log, x.raw(), y.raw(), x.dtype(), span.outer, span.n, span.inner});
  if (needs_grad(x)) {
    record(op, y, inputs(x), [saved = Saved::output(y), log, dim, span](Backward& b) -> Tensors {
      const Tensor out = saved.get(b), dy = contiguous(b.grad());
      if (out.dim() == 0 || out.numel() == 0) return {mul(dy, 0.0)};
      if (b.create_graph()) return {composed_gradient(log, dy, out, dim)};
      Tensor dx = empty_like(out);
      kernels::softmax_grad(dy.device(), {log, dy.raw(), out.raw(), dx.raw(), out.dtype(),
                                          span.outer, span.n, span.inner});
      return {dx};
    });
  }
  return y;
}

}  // namespace

Tensor softmax(const Tensor& x, int64_t dim, OptionalDType dtype) {
  return softmax_along("softmax", false, x, dim, dtype);
}

Tensor log_softmax(const Tensor& x, int64_t dim, OptionalDType dtype) {
  return softmax_along("log_softmax", true, x, dim, dtype);
}

}  // namespace gs::ops
