// Between tensors and NumPy arrays, lists and numbers.
#pragma once

#include "convert.h"

namespace gs::python {

// A tensor on the array's own memory (a copy when the array is read-only).
Tensor tensor_from_array(PyObject* array);
// An array on the tensor's own memory. New reference.
PyObject* array_from_tensor(const Tensor& t);
// A new tensor from numbers, nested sequences, arrays or tensors, as PyTorch's tensor() infers it.
Tensor tensor_from_data(PyObject* data, std::optional<DType> dtype, Device device);
PyObject* nested_list(const Tensor& t);

}  // namespace gs::python
