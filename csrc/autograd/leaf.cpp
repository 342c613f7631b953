#include "autograd/leaf.h"

#include <utility>

#include "autograd/record.h"
#include "kernels/kernels.h"
#include "kernels/loop_of.h"
#include "kernels/params/binary.h"
#include "kernels/params/copy.h"

namespace gs::autograd {

Tensor sum_of(const Tensor& a, const Tensor& b) {
  Tensor out = empty(a.shape(), a.dtype(), a.device());
  if (out.numel()) kernels::binary(out.device(), {BinaryOp::Add, make_loop({&out, &a, &b})});
  if (needs_grad(a, b)) {
    record("add", out, inputs(a, b),
           [](Backward& backward) -> Tensors { return {backward.grad(), backward.grad()}; });
  }
  return out;
}

Leaf::Leaf(TensorBody* tensor) : Node("leaf"), tensor_(tensor) {
  outputs.push_back({tensor->shape, tensor->dtype, tensor->storage->device()});
}

Tensors Leaf::apply(Backward& backward) {
  if (backward.has_grad()) accumulate(backward.grad());
  return {};
}

Tensor Leaf::current() const {
  const std::lock_guard lock(gradients_mutex());
  return tensor_ ? static_cast<Meta&>(*tensor_->autograd).grad : Tensor();
}

void Leaf::exchange(Tensor grad) {
  const std::lock_guard lock(gradients_mutex());
  if (tensor_) std::swap(static_cast<Meta&>(*tensor_->autograd).grad, grad);
}

void Leaf::accumulate(Tensor g) {
  const Tensor sum = current();
  if (grad_enabled()) return exchange(sum.defined() ? sum_of(sum, g) : g);
  if (sum.defined()) {
    if (sum.numel()) kernels::binary(sum.device(), {BinaryOp::Add, make_loop({&sum, &sum, &g})});
    sum.bump_version();
    return;
  }
  // Keep the buffer when nobody else can see it, otherwise copy it.
  const bool ours = g.body()->ref_count() == 1 && g.body()->storage->ref_count() == 1 &&
                    g.is_contiguous() && !g.body()->autograd && !g.body()->python_object;
  if (!ours) {
    Tensor copy = empty(g.shape(), g.dtype(), g.device());
    if (g.numel()) kernels::copy(g.device(), {make_loop({&copy, &g})});
    g = copy;
  }
  exchange(std::move(g));
}

}  // namespace gs::autograd
