// Comparisons, logic and selection. Results are bool and have no gradient; where() has one.
#include <limits>

#include "kernels/params/binary.h"
#include "ops/common.h"

namespace gs::ops {
namespace {

Tensor compare(const char* name, CompareOp op, const Tensor& a, const Tensor& b) {
  check_same_device(name, {&a, &b});
  const DType dtype = result_dtype(a, b);
  autograd::GradGuard no_grad(false);
  const Tensor x = cast(a, dtype), z = cast(b, dtype);
  Tensor y = empty(broadcast(a.shape(), b.shape(), name), DType::Bool, device_of(a, b));
  if (y.numel()) kernels::compare(y.device(), {op, make_loop({&y, &x, &z})});
  return y;
}

}  // namespace

Tensor eq(const Operand& a, const Operand& b) { return compare("eq", CompareOp::Eq, a, b); }
Tensor ne(const Operand& a, const Operand& b) { return compare("ne", CompareOp::Ne, a, b); }
Tensor lt(const Operand& a, const Operand& b) { return compare("lt", CompareOp::Lt, a, b); }
Tensor le(const Operand& a, const Operand& b) { return compare("le", CompareOp::Le, a, b); }
Tensor gt(const Operand& a, const Operand& b) { return compare("gt", CompareOp::Gt, a, b); }
Tensor ge(const Operand& a, const Operand& b) { return compare("ge", CompareOp::Ge, a, b); }
Tensor logical_and(const Operand& a, const Operand& b) {
  return compare("logical_and", CompareOp::LogicalAnd, a, b);
}
Tensor logical_or(const Operand& a, const Operand& b) {
  return compare("logical_or", CompareOp::LogicalOr, a, b);
}
Tensor logical_xor(const Operand& a, const Operand& b) {
  return compare("logical_xor", CompareOp::LogicalXor, a, b);
}
Tensor logical_not(const Tensor& x) { return eq(x, 0); }

Tensor isnan(const Tensor& x) { return ne(x, x); }
Tensor isinf(const Tensor& x) {
  if (!is_floating(x.dtype())) return zeros(x.shape(), DType::Bool, x.device());
  return eq(abs(detach(x)), std::numeric_limits<double>::infinity());
}
Tensor isfinite(const Tensor& x) {
  if (!is_floating(x.dtype())) return full(x.shape(), true, DType::Bool, x.device());
  return lt(abs(detach(x)), std::numeric_limits<double>::infinity());
}

Tensor where(const Tensor& condition, const Operand& left, const Operand& right) {
  check_defined("where", condition, "condition");
  GS_CHECK(condition.dtype() == DType::Bool, Type, "where",
           "expected a condition of dtype bool, got ", condition.dtype(), ".");
  check_same_device("where", {&condition, &left, &right});
  const DType dtype = result_dtype(left, right);
  const Tensor a = cast(left, dtype), b = cast(right, dtype);
  Tensor y = empty(broadcast(condition.shape(), broadcast(a.shape(), b.shape(), "where"), "where"),
                   dtype, condition.device().is_cpu() ? device_of(a, b) : condition.device());
  if (y.numel()) kernels::where(y.device(), {make_loop({&y, &condition, &a, &b})});
  if (is_floating(dtype) && needs_grad(a, b)) {
    record("where", y, inputs(a, b),
           [c = Saved(condition), sa = a.shape(), sb = b.shape()](Backward& ctx) -> Tensors {
             const Tensor g = ctx.grad(), mask = c.get(ctx);
             return {ctx.needs(0) ? reduce_to(where(mask, g, 0.0), sa) : Tensor(),
                     ctx.needs(1) ? reduce_to(where(mask, 0.0, g), sb) : Tensor()};
           });
  }
  return y;
}

}  // namespace gs::ops
