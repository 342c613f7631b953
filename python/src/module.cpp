// gradstone._C: puts the parts together.
#include "graph_nodes.h"
#include "tensor_slots.h"

namespace py = pybind11;

PYBIND11_MODULE(_C, m) {
  using namespace gs::python;
  m.doc() = "The native core of gradstone.";
  py::register_exception_translator([](std::exception_ptr error) {
    try {
      std::rethrow_exception(error);
    } catch (const gs::Error&) {
      set_python_error();
    }
  });
  init_numpy_types();
  add_value_types(m);

  static Table table;  // CPython keeps pointers into it
  add_elementwise_operations(table);
  add_shape_operations(table);
  add_network_operations(table);
  add_tensor_methods(table);
  add_hook_methods(table);
  add_array_functions(table);
  add_autograd_functions(table);
  add_config_functions(table);
  add_tensor_type(m, table.methods);
  table.functions.push_back({nullptr, nullptr, 0, nullptr});
  if (PyModule_AddFunctions(m.ptr(), table.functions.data()) < 0) throw py::error_already_set();
  m.attr("Tensor").attr("_make_subclass") = m.attr("_make_subclass");

  add_generator_type(m);
  add_cuda(m);
  add_fill_type(m);
  add_graph_types(m);
  add_function_type(m);
  m.attr("version") = GRADSTONE_VERSION;
}
