// Life and death of the Python object round a tensor.
#include "tensor_object.h"

#include <new>

namespace gs::python {
namespace {

PyObject* finish(PyObject* object, Tensor&& tensor) {
  auto* self = reinterpret_cast<TensorObject*>(object);
  self->dict = nullptr;
  self->weakrefs = nullptr;
  new (&self->tensor) ops::Operand(std::move(tensor));
  self->tensor.body()->python_object = object;
  return object;
}

}  // namespace

PyTypeObject* tensor_type = nullptr;

PyObject* wrap(Tensor tensor) {
  if (!tensor.defined()) return Py_NewRef(Py_None);
  if (void* object = tensor.body()->python_object) return Py_NewRef(static_cast<PyObject*>(object));
  // Not tracked by the collector until it can be part of a cycle: see track().
  auto* self = PyObject_GC_New(TensorObject, tensor_type);
  checked(reinterpret_cast<PyObject*>(self));
  return finish(reinterpret_cast<PyObject*>(self), std::move(tensor));
}

PyObject* wrap_as(PyTypeObject* type, Tensor tensor) {
  if (type == tensor_type) return wrap(std::move(tensor));
  return finish(checked(type->tp_alloc(type, 0)), std::move(tensor));
}

void track(PyObject* tensor) {
  if (!PyObject_GC_IsTracked(tensor)) PyObject_GC_Track(tensor);
}

PyObject* wrap_tuple(const Tensors& tensors) {
  py::object tuple = own(PyTuple_New(static_cast<Py_ssize_t>(tensors.size())));
  for (size_t i = 0; i < tensors.size(); ++i) {
    PyTuple_SET_ITEM(tuple.ptr(), static_cast<Py_ssize_t>(i), wrap(tensors[i]));
  }
  return tuple.release().ptr();
}

}  // namespace gs::python
