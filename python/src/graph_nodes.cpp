// grad_fn objects and hooks.
#include "graph_nodes.h"

#include <cctype>

#include "autograd/meta.h"
#include "binder.h"

PYBIND11_DECLARE_HOLDER_TYPE(T, gs::Ref<T>, true)

namespace gs::python {
namespace {

using autograd::Node;

struct HookHandle {
  Tensor tensor;
  uint64_t id;
  void remove() {
    if (tensor.defined()) autograd::remove_hook(tensor, id);
    tensor = Tensor();
  }
};

py::tuple next_functions(const Node& node) {
  py::list out;
  for (const autograd::Edge& edge : node.inputs) {
    out.append(py::make_tuple(own(node_object(edge.node)), edge.slot));
  }
  return py::tuple(out);
}

py::tuple output_shapes(const Node& node) {
  py::list out;
  for (const autograd::OutputInfo& info : node.outputs) out.append(own(size_object(info.shape)));
  return py::tuple(out);
}

PyObject* register_hook(PyObject* self, PyObject* hook) {
  GS_CHECK(PyCallable_Check(hook), Type, "register_hook", "expected a callable, got ",
           type_name(hook), ".");
  const Tensor& t = tensor_of(self);
  const uint64_t id = autograd::add_hook(t, PythonHook{SharedObject(hook)});
  track(self);
  return py::cast(HookHandle{t, id}).release().ptr();
}

}  // namespace

std::string node_title(const Node& node) {
  std::string text = node.name(), out;
  if (text == "leaf") return "AccumulateGrad";
  if (!text.empty() && std::isupper(static_cast<unsigned char>(text[0]))) return text;
  bool upper = true;
  for (char c : text) {
    if (c == '_') {
      upper = true;
      continue;
    }
    out += upper ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    upper = false;
  }
  return out + "Backward";
}

PyObject* node_object(const Ref<Node>& node) {
  if (!node) return Py_NewRef(Py_None);
  return py::cast(node).release().ptr();
}

Tensor PythonHook::operator()(const Tensor& grad) const {
  py::gil_scoped_acquire gil;
  const py::object argument = own(wrap(grad));
  const py::object result = own(PyObject_CallOneArg(function.get(), argument.ptr()));
  if (result.is_none()) return {};
  GS_CHECK(is_tensor(result.ptr()), Type, "hook", "expected a Tensor or None from the hook, got ",
           type_name(result.ptr()), ".");
  return tensor_of(result.ptr());
}

void add_graph_types(py::module_& m) {
  py::class_<Node, Ref<Node>>(m, "Node", "A recorded operation.")
      .def("name", &node_title)
      .def_property_readonly(
          "next_functions", &next_functions,
          "Where the gradients of its inputs go: (node or None, output number) pairs.")
      .def_property_readonly("output_shapes", &output_shapes,
                             "The shape of each result; () in the place of one without a gradient.")
      .def("__repr__", [](const Node& node) { return "<" + node_title(node) + ">"; });
  py::class_<HookHandle>(m, "RemovableHandle", "Takes a hook away again.")
      .def("remove", &HookHandle::remove)
      .def("__enter__", [](const py::object& self) { return self; })
      .def("__exit__", [](HookHandle& self, const py::args&) { self.remove(); });
}

void add_hook_methods(Table& table) {
  table.add<&register_hook>(
      "register_hook(input, hook)", Kind::M,
      "Calls hook(grad) when the gradient is known; a tensor it returns replaces it.");
}

}  // namespace gs::python
