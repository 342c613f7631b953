// Second derivatives of operations whose gradient is one fused kernel.
//
// Such a kernel's result has no history. When the gradient itself will be differentiated, its rule
// rebuilds the outputs from the saved inputs with differentiable operations and differentiates
// those:
//
//   if (b.create_graph()) return recompute_gradient(b, {x.get(b), w.get(b)}, composed);
#pragma once

#include "autograd/engine.h"
#include "autograd/record.h"

namespace gs::autograd {

// The same values under an identity of their own: when one input was computed from another, or is
// the same tensor, the gradient of each must still count its own direct use alone.
inline Tensor separate(const Tensor& x) {
  Tensor y = detached(x);
  record("separate", y, inputs(x), [](Backward& b) -> Tensors { return {b.grad()}; });
  return y;
}

// `saved` are the node's inputs, in order, with their history (Saved::get); undefined ones stay
// undefined. f(Tensors) -> Tensors makes the node's outputs from them. The result can be
// differentiated with respect to the inputs and to the gradients flowing in.
template <class F>
Tensors recompute_gradient(Backward& b, Tensors saved, F f) {
  Tensors wanted, roots, grads;
  std::vector<int> position;
  for (int i = 0; i < int(saved.size()); ++i) {
    if (!b.needs(i) || !saved[i].defined() || !saved[i].requires_grad()) continue;
    saved[i] = separate(saved[i]);
    wanted.push_back(saved[i]);
    position.push_back(i);
  }
  const Tensors outputs = f(static_cast<const Tensors&>(saved));
  for (int i = 0; i < int(outputs.size()); ++i) {
    if (!b.has_grad(i) || !outputs[i].requires_grad()) continue;
    roots.push_back(outputs[i]);
    grads.push_back(b.grad(i));
  }
  Tensors result(saved.size());
  if (roots.empty() || wanted.empty()) return result;
  const Tensors found = grad(roots, wanted, grads, true, true, true);
  for (size_t i = 0; i < found.size(); ++i) result[position[i]] = found[i];
  return result;
}

}  // namespace gs::autograd
