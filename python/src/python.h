// What every binding file needs: CPython through pybind11, errors, and references that may die
// anywhere.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>

#include "core/error.h"

namespace gs::python {

namespace py = pybind11;

// To be called inside catch (...): turns the exception in flight into a Python exception.
void set_python_error() noexcept;

// Runs f for a C slot of CPython: no C++ exception leaves, `failed` is returned with the error set.
template <class F>
auto guard(F&& f, decltype(f()) failed = {}) noexcept -> decltype(f()) {
  try {
    return f();
  } catch (...) {
    set_python_error();
    return failed;
  }
}
template <class F>
int guard_status(F&& f) noexcept {
  try {
    f();
    return 0;
  } catch (...) {
    set_python_error();
    return -1;
  }
}

// A new reference as it is, or the Python error as a C++ exception.
inline PyObject* checked(PyObject* object) {
  if (!object) throw py::error_already_set();
  return object;
}
inline py::object own(PyObject* object) {
  return py::reinterpret_steal<py::object>(checked(object));
}
inline py::object borrow(PyObject* object) { return py::reinterpret_borrow<py::object>(object); }

// Drops a reference with or without the GIL held; keeps it when the interpreter is gone.
void drop_reference(PyObject* object) noexcept;

// A reference that C++ objects hold: copied and destroyed without the GIL.
class SharedObject {
 public:
  explicit SharedObject(PyObject* borrowed)
      : object_((Py_INCREF(borrowed), borrowed), drop_reference) {}
  PyObject* get() const { return object_.get(); }
  bool only_owner() const { return object_.use_count() == 1; }

 private:
  std::shared_ptr<PyObject> object_;
};

}  // namespace gs::python
