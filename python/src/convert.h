// Python values to C++ ones and back: numbers, sizes, dtypes, devices.
#pragma once

#include <optional>
#include <string>

#include "tensor_object.h"

namespace gs::python {

// NumPy's scalar classes and ndarray, and the types this module adds; called once at import.
void init_numpy_types();
bool is_numpy_array(PyObject* object);
bool is_numpy_scalar(PyObject* object);

enum class Fit { Yes, No, TooLarge };
// Python and NumPy integers, 0-dimensional integer tensors; not bool.
Fit to_int64(PyObject* object, int64_t* out);
// Python and NumPy numbers, bool included.
Fit to_scalar(PyObject* object, Scalar* out);
// The same and 0-dimensional tensors.
Fit to_scalar_or_item(PyObject* object, Scalar* out);
// An int or a sequence of ints. `bad` (may be null) receives the element that is no int.
Fit to_dims(PyObject* object, Dims* out, py::object* bad);
bool to_bool(PyObject* object, bool* out);

std::string type_name(PyObject* object);  // "str", "numpy.ndarray"
PyObject* to_python(Scalar value);

// dtypes are ten objects made once: `x.dtype is gradstone.float32`.
PyObject* dtype_object(DType dtype);  // borrowed
bool to_dtype(PyObject* object, DType* out);

PyObject* device_object(Device device);  // new reference
// A device, its name or None (the CPU). RuntimeError for a name that is none; false for another
// type.
bool to_device(PyObject* object, Device* out);
Device parse_device(const std::string& name);

PyObject* size_object(const Dims& dims);  // new reference to a Size, a tuple with numel()
PyObject* values_indices_object(const ops::ValuesIndices& pair);

// Sums up the types above in the module.
void add_value_types(py::module_& m);
void add_generator_type(py::module_& m);
void add_cuda(py::module_& m);
void add_fill_type(py::module_& m);

}  // namespace gs::python
