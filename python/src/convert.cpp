// Numbers, sizes and flags from Python.
#include "convert.h"

namespace gs::python {
namespace {

PyTypeObject* numpy_generic = nullptr;
PyTypeObject* numpy_bool = nullptr;
PyTypeObject* numpy_integer = nullptr;
PyTypeObject* numpy_complex = nullptr;
PyTypeObject* numpy_array = nullptr;

bool is_a(PyObject* object, PyTypeObject* type) {
  return type && PyType_IsSubtype(Py_TYPE(object), type);
}

Fit from_long(PyObject* object, int64_t* out) {
  int overflow = 0;
  *out = PyLong_AsLongLongAndOverflow(object, &overflow);
  return overflow ? Fit::TooLarge : Fit::Yes;
}

}  // namespace

void init_numpy_types() {
  const py::module_ numpy = py::module_::import("numpy");
  const auto get = [&](const char* name) {
    return reinterpret_cast<PyTypeObject*>(py::object(numpy.attr(name)).release().ptr());
  };
  numpy_generic = get("generic");
  numpy_bool = get("bool_");
  numpy_integer = get("integer");
  numpy_complex = get("complexfloating");
  numpy_array = get("ndarray");
}

bool is_numpy_array(PyObject* object) { return is_a(object, numpy_array); }
bool is_numpy_scalar(PyObject* object) { return is_a(object, numpy_generic); }

Fit to_int64(PyObject* object, int64_t* out) {
  if (PyLong_CheckExact(object)) return from_long(object, out);
  if (PyBool_Check(object)) return Fit::No;
  if (is_tensor(object)) {
    const Tensor& t = tensor_of(object);
    if (t.dim() != 0 || !is_integral(t.dtype())) return Fit::No;
    *out = t.item().to_int();
    return Fit::Yes;
  }
  if (!PyIndex_Check(object) || is_a(object, numpy_bool)) return Fit::No;
  PyObject* index = PyNumber_Index(object);
  if (!index) {  // an array of floats has the slot, but refuses
    if (!PyErr_ExceptionMatches(PyExc_TypeError)) throw py::error_already_set();
    PyErr_Clear();
    return Fit::No;
  }
  const Fit fit = from_long(index, out);
  Py_DECREF(index);
  return fit;
}

Fit to_scalar(PyObject* object, Scalar* out) {
  if (PyFloat_Check(object)) {
    *out = Scalar(PyFloat_AS_DOUBLE(object));
    return Fit::Yes;
  }
  if (PyBool_Check(object)) {
    *out = Scalar(object == Py_True);
    return Fit::Yes;
  }
  int64_t integer = 0;
  if (PyLong_Check(object)) {
    const Fit fit = from_long(object, &integer);
    *out = Scalar(integer);
    return fit;
  }
  if (!is_numpy_scalar(object) || is_a(object, numpy_complex)) return Fit::No;
  if (is_a(object, numpy_bool)) {
    *out = Scalar(PyObject_IsTrue(object) == 1);
    return Fit::Yes;
  }
  if (is_a(object, numpy_integer)) {
    const Fit fit = to_int64(object, &integer);
    *out = Scalar(integer);
    return fit;
  }
  const PyNumberMethods* number = Py_TYPE(object)->tp_as_number;
  if (!number || !number->nb_float || PyUnicode_Check(object) || PyBytes_Check(object))
    return Fit::No;
  const double real = PyFloat_AsDouble(object);
  if (real == -1.0 && PyErr_Occurred()) {
    PyErr_Clear();
    return Fit::No;
  }
  *out = Scalar(real);
  return Fit::Yes;
}

Fit to_scalar_or_item(PyObject* object, Scalar* out) {
  if (!is_tensor(object)) return to_scalar(object, out);
  const Tensor& t = tensor_of(object);
  if (t.dim() != 0) return Fit::No;
  *out = t.item();
  return Fit::Yes;
}

Fit to_dims(PyObject* object, Dims* out, py::object* bad) {
  int64_t value = 0;
  Fit fit = to_int64(object, &value);
  if (fit == Fit::Yes) out->push_back(value);
  if (fit != Fit::No) return fit;
  if (PyUnicode_Check(object) || PyBytes_Check(object) || !PySequence_Check(object)) return Fit::No;
  if (is_tensor(object) && tensor_of(object).dim() != 1) return Fit::No;
  const py::object sequence = own(PySequence_Fast(object, "expected a sequence"));
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(sequence.ptr()); ++i) {
    PyObject* item = PySequence_Fast_GET_ITEM(sequence.ptr(), i);
    fit = to_int64(item, &value);
    if (fit == Fit::Yes) {
      out->push_back(value);
      continue;
    }
    if (bad) *bad = borrow(item);
    return fit;
  }
  return Fit::Yes;
}

bool to_bool(PyObject* object, bool* out) {
  if (!PyBool_Check(object) && !is_a(object, numpy_bool)) return false;
  *out = PyObject_IsTrue(object) == 1;
  return true;
}

std::string type_name(PyObject* object) {
  const py::object type = borrow(reinterpret_cast<PyObject*>(Py_TYPE(object)));
  std::string name = py::str(type.attr("__qualname__"));
  const std::string from = py::str(type.attr("__module__"));
  return from == "numpy" ? "numpy." + name : name;
}

PyObject* to_python(Scalar value) {
  switch (value.kind()) {
    case Scalar::Kind::Bool:
      return PyBool_FromLong(value.to_int() != 0);
    case Scalar::Kind::Int:
      return PyLong_FromLongLong(value.to_int());
    default:
      return PyFloat_FromDouble(value.to_double());
  }
}

}  // namespace gs::python
