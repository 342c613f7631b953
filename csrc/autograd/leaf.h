// The node at the end of every path: it adds the gradient into a leaf's .grad.
#pragma once

#include "autograd/node.h"

namespace gs::autograd {

class Leaf final : public Node {
 public:
  explicit Leaf(TensorBody* tensor);
  Tensors apply(Backward& backward) override;
  // Adds g to the tensor's .grad. Differentiable when gradients are being recorded.
  void accumulate(Tensor g);
  void tensor_died() { tensor_ = nullptr; }

 private:
  Tensor current() const;      // the tensor's .grad
  void exchange(Tensor grad);  // puts another in its place, unless the tensor is gone

  TensorBody* tensor_;  // owns this node; null once it is gone
};

// a + b of one shape and dtype; differentiable.
Tensor sum_of(const Tensor& a, const Tensor& b);

}  // namespace gs::autograd
