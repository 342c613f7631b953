// Recorded operations as Python sees them, Python hooks, and Python's own operations.
#pragma once

#include "autograd/node.h"
#include "convert.h"

namespace gs::python {

// x.grad_fn: None for a leaf. New reference.
PyObject* node_object(const Ref<autograd::Node>& node);
// "exp" -> "ExpBackward", as PyTorch names them.
std::string node_title(const autograd::Node& node);

// A Python callable as a hook: gradient in, another gradient or None out.
struct PythonHook {
  SharedObject function;
  Tensor operator()(const Tensor& grad) const;
};

// Runs cls.forward through `forward(ctx, *args)` and records cls.backward. New reference.
PyObject* apply_function(PyObject* cls, PyObject* ctx, PyObject* args, PyObject* forward);

void add_graph_types(py::module_& m);    // graph_nodes.cpp
void add_function_type(py::module_& m);  // function_node.cpp

}  // namespace gs::python
