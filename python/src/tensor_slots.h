// The parts of the Tensor type, each written in a file of its own and put together in
// tensor_type.cpp.
#pragma once

#include <vector>

#include "binder.h"

namespace gs::python {

void add_number_slots(std::vector<PyType_Slot>& slots);        // tensor_number.cpp
PyObject* compare(PyObject* a, PyObject* b, int operation);    // tensor_number.cpp
PyGetSetDef* attribute_table();                                // tensor_attributes.cpp
PyObject* get_item(PyObject* self, PyObject* key);             // indexing.cpp
int set_item(PyObject* self, PyObject* key, PyObject* value);  // indexing.cpp

// What repr(), str() and format() call: a Python function of one tensor, set by the package.
void set_repr_function(PyObject* function);

// Makes the type with these methods and adds it to the module.
void add_tensor_type(py::module_& m, std::vector<PyMethodDef>& methods);  // tensor_type.cpp

}  // namespace gs::python
