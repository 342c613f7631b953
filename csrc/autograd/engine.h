// Runs the recorded graph backwards.
#pragma once

#include "autograd/node.h"

namespace gs::autograd {

// Adds d(sum of roots weighted by grads)/d(leaf) into every leaf's .grad. An undefined grad stands
// for 1 and needs a root of one element. RuntimeError when a root has no graph or the graph was
// freed. `only` (may be empty) restricts accumulation to these leaves.
void backward(const Tensors& roots, const Tensors& grads, bool retain_graph, bool create_graph,
              const Tensors& only = {});

// The gradients with respect to `inputs` (leaves or not), nothing accumulated. An input that was
// not reached gives an undefined tensor when allow_unused, RuntimeError otherwise.
Tensors grad(const Tensors& roots, const Tensors& inputs, const Tensors& grads, bool retain_graph,
             bool create_graph, bool allow_unused);

// Called now and then during a long backward; may throw (Ctrl-C). Set by the Python bindings.
void set_interrupt_check(void (*check)());

}  // namespace gs::autograd
