// Tensor in Python: a CPython heap type round one gs::Tensor, and the way between the two.
#pragma once

#include "ops/ops.h"
#include "python.h"

namespace gs::python {

// The member is an Operand so that arithmetic takes it as it is, without copying the handle.
struct TensorObject {
  PyObject_HEAD PyObject* dict;
  PyObject* weakrefs;
  ops::Operand tensor;
};

extern PyTypeObject* tensor_type;

inline bool is_tensor(PyObject* object) {
  return Py_TYPE(object) == tensor_type || PyType_IsSubtype(Py_TYPE(object), tensor_type);
}
// The caller has checked is_tensor(object).
inline const ops::Operand& tensor_of(PyObject* object) {
  return reinterpret_cast<TensorObject*>(object)->tensor;
}

// A new reference: the Python object that this tensor has already, or a new one. None when
// undefined.
PyObject* wrap(Tensor tensor);
// A new object of a subclass of Tensor. The tensor must not have a Python object yet.
PyObject* wrap_as(PyTypeObject* type, Tensor tensor);
// Lets the garbage collector see the object: call when it gains references to Python objects.
void track(PyObject* tensor);

PyObject* wrap_tuple(const Tensors& tensors);

}  // namespace gs::python

namespace pybind11::detail {

template <>
struct type_caster<gs::Tensor> {
  PYBIND11_TYPE_CASTER(gs::Tensor, const_name("Tensor"));
  bool load(handle source, bool) {
    if (source.is_none()) return true;
    if (!gs::python::is_tensor(source.ptr())) return false;
    value = gs::python::tensor_of(source.ptr());
    return true;
  }
  static handle cast(const gs::Tensor& tensor, return_value_policy, handle) {
    return gs::python::wrap(tensor);
  }
};

}  // namespace pybind11::detail
