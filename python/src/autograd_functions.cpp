// backward, grad and the modes, autocast's among them; the GIL is released while the engine runs.
#include "autograd/engine.h"
#include "autograd/grad_mode.h"
#include "binder.h"
#include "graph_nodes.h"

namespace gs::python {
namespace {

// Ctrl-C: signals are handled between two operations of a long backward.
void check_interrupt() {
  py::gil_scoped_acquire gil;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

void run_backward(const Tensors& tensors, const Tensors& grads, bool retain_graph,
                  bool create_graph, const Tensors& inputs) {
  py::gil_scoped_release no_gil;
  autograd::backward(tensors, grads, retain_graph, create_graph, inputs);
}

void backward(const Tensors& tensors, const Tensors& grads, std::optional<bool> retain_graph,
              bool create_graph, const Tensors& inputs) {
  run_backward(tensors, grads, retain_graph.value_or(create_graph), create_graph, inputs);
}

// x.backward(inputs=x) and inputs=[x, y] are both fine; an empty list is a mistake.
Tensors only_inputs(PyObject* inputs) {
  Tensors out;
  if (inputs == Py_None) return out;
  if (is_tensor(inputs)) return {tensor_of(inputs)};
  GS_CHECK(PyList_Check(inputs) || PyTuple_Check(inputs), Type, "backward",
           "argument 'inputs' must be a Tensor or a list or tuple of Tensors, got ",
           type_name(inputs), ".");
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(inputs); ++i) {
    PyObject* item = PySequence_Fast_GET_ITEM(inputs, i);
    GS_CHECK(is_tensor(item), Type, "backward", "argument 'inputs' must hold Tensors, got ",
             type_name(item), ".");
    out.push_back(tensor_of(item));
  }
  GS_CHECK(!out.empty(), Runtime, "backward", "argument 'inputs' must not be empty.");
  return out;
}

void backward_from(const Tensor& root, const Tensor& gradient, std::optional<bool> retain_graph,
                   bool create_graph, PyObject* inputs) {
  run_backward({root}, {gradient}, retain_graph.value_or(create_graph), create_graph,
               only_inputs(inputs));
}

Tensors grad(const Tensors& outputs, const Tensors& inputs, const Tensors& grads,
             std::optional<bool> retain_graph, bool create_graph, bool allow_unused) {
  py::gil_scoped_release no_gil;
  return autograd::grad(outputs, inputs, grads, retain_graph.value_or(create_graph), create_graph,
                        allow_unused);
}

bool is_grad_enabled() { return autograd::grad_enabled(); }
void set_grad_enabled(bool mode) { autograd::set_grad_enabled(mode); }
bool is_inference_mode() { return autograd::inference_mode(); }
void set_inference_mode(bool mode) { autograd::set_inference_mode(mode); }

DeviceType device_type(const std::string& name) {
  GS_CHECK(name == "cpu" || name == "cuda", Value, "autocast",
           "expected the device type 'cpu' or 'cuda', got '", name, "'.");
  return name == "cpu" ? DeviceType::Cpu : DeviceType::Cuda;
}
bool is_autocast_enabled(const std::string& device) {
  return autocast::enabled(device_type(device));
}
void set_autocast_enabled(const std::string& device, bool on) {
  autocast::set_enabled(device_type(device), on);
}
PyObject* get_autocast_dtype(const std::string& device) {
  return Py_NewRef(dtype_object(autocast::dtype_of(device_type(device))));
}
void set_autocast_dtype(const std::string& device, DType dtype) {
  autocast::set_dtype(device_type(device), dtype);
}
bool is_autocast_cache_enabled() { return autocast::cache_enabled(); }
void set_autocast_cache_enabled(bool on) { autocast::set_cache_enabled(on); }
int64_t increment_nesting() { return autocast::change_nesting(1); }
int64_t decrement_nesting() { return autocast::change_nesting(-1); }
void clear_autocast_cache() { autocast::clear_cache(); }

}  // namespace

void add_autograd_functions(Table& table) {
  autograd::set_interrupt_check(check_interrupt);
  table.add<&backward>(
      "backward(tensors, grads=(), retain_graph=None, create_graph=False, inputs=())", Kind::N,
      "Adds the gradients of all leaves up.");
  table.add<&backward_from>(
      "backward(input, gradient=None, retain_graph=None, create_graph=False, inputs=None)", Kind::M,
      "Adds the gradients of all leaves up.");
  table.add<&grad>(
      "grad(outputs, inputs, grads=(), retain_graph=None, create_graph=False, allow_unused=False)",
      Kind::N, "The gradients of outputs with respect to inputs.");
  table.add<&is_grad_enabled>("is_grad_enabled()", Kind::F, "Whether operations are recorded.");
  table.add<&set_grad_enabled>("set_grad_enabled(mode)", Kind::N,
                               "Says whether operations are recorded.");
  table.add<&is_inference_mode>("is_inference_mode()", Kind::N, "Whether inference_mode is on.");
  table.add<&set_inference_mode>("set_inference_mode(mode)", Kind::N, "Switches inference_mode.");
  table.add<&is_autocast_enabled>("is_autocast_enabled(device_type='cuda')", Kind::F,
                                  "Whether autocast is on for tensors of this device.");
  table.add<&set_autocast_enabled>("set_autocast_enabled(device_type, enabled)", Kind::F,
                                   "Switches autocast for tensors of this device.");
  table.add<&get_autocast_dtype>("get_autocast_dtype(device_type)", Kind::F,
                                 "The low precision of autocast on this device.");
  table.add<&set_autocast_dtype>("set_autocast_dtype(device_type, dtype)", Kind::F,
                                 "Sets the low precision of autocast on this device.");
  table.add<&is_autocast_cache_enabled>("is_autocast_cache_enabled()", Kind::F,
                                        "Whether casts of weights are kept.");
  table.add<&set_autocast_cache_enabled>("set_autocast_cache_enabled(enabled)", Kind::F,
                                         "Says whether casts of weights are kept.");
  table.add<&increment_nesting>("autocast_increment_nesting()", Kind::F,
                                "Enters an autocast context; how many are entered then.");
  table.add<&decrement_nesting>("autocast_decrement_nesting()", Kind::F,
                                "Leaves one; behind the last the kept casts are forgotten.");
  table.add<&clear_autocast_cache>("clear_autocast_cache()", Kind::F,
                                   "Forgets the kept casts of weights.");
  table.add<&apply_function>("_apply_function(cls, ctx, args, forward)", Kind::N,
                             "Runs a Python autograd.Function and records it.");
}

}  // namespace gs::python
