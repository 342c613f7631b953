// Tensors on NumPy memory and NumPy arrays on tensor memory, without copying.
#include "arrays.h"

#include <pybind11/numpy.h>

#include <cmath>
#include <cstring>

namespace gs::python {
namespace {

constexpr const char* kOp = "from_numpy";

bool is_bfloat16(const py::dtype& type) {
  return type.kind() == 'V' && type.itemsize() == 2 &&
         py::str(type.attr("name")).equal(py::str("bfloat16"));
}

std::optional<DType> dtype_of_array(const py::dtype& type) {
  const auto size = type.itemsize();
  switch (type.kind()) {
    case 'b':
      return DType::Bool;
    case 'u':
      return size == 1 ? std::optional(DType::UInt8) : std::nullopt;
    case 'i':
      return size == 1   ? DType::Int8
             : size == 2 ? DType::Int16
             : size == 4 ? DType::Int32
                         : DType::Int64;
    case 'f':
      if (size == 2) return DType::Float16;
      if (size == 4) return DType::Float32;
      return size == 8 ? std::optional(DType::Float64) : std::nullopt;
    default:
      return is_bfloat16(type) ? std::optional(DType::BFloat16) : std::nullopt;
  }
}

py::dtype array_dtype(DType dtype) {
  if (dtype == DType::BFloat16)
    return py::dtype::from_args(py::module_::import("ml_dtypes").attr("bfloat16"));
  return py::dtype::from_args(py::str(name_of(dtype)));
}

bool is_native(const py::dtype& type) {
  const char order = type.byteorder();
  return order == '=' || order == '|' ||
         order == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? '<' : '>');
}

struct Layout {
  Shape shape;
  Strides strides;
  int64_t bytes = 0;  // from the first element to the end of the last
};

Layout layout_of(const py::array& array, int64_t itemsize) {
  Layout out;
  int64_t last = 0;
  for (py::ssize_t i = 0; i < array.ndim(); ++i) {
    const int64_t n = array.shape(i);
    int64_t stride = array.strides(i);
    // NumPy may leave anything in the stride of a dimension that is never stepped along.
    if ((n < 2 || array.size() == 0) && (stride < 0 || stride % itemsize != 0)) stride = itemsize;
    GS_CHECK(stride >= 0, Value, kOp, "negative strides are not supported; pass array.copy().");
    GS_CHECK(stride % itemsize == 0, Value, kOp, "a stride of ", stride,
             " bytes is no multiple of the ", itemsize, " bytes of an element; pass array.copy().");
    out.shape.push_back(n);
    out.strides.push_back(stride / itemsize);
    last += (n - 1) * stride;
  }
  out.bytes = array.size() ? last + itemsize : 0;
  return out;
}

}  // namespace

Tensor tensor_from_array(PyObject* object) {
  GS_CHECK(is_numpy_array(object), Type, kOp, "expected a numpy.ndarray, got ", type_name(object),
           ".");
  py::array array = py::reinterpret_borrow<py::array>(object);
  const std::optional<DType> dtype = dtype_of_array(array.dtype());
  GS_CHECK(
      dtype, Type, kOp, "arrays of dtype ", py::str(array.dtype()).cast<std::string>(),
      " are not supported; use bool, uint8, int8..int64, float16, bfloat16, float32 or float64.");
  GS_CHECK(is_native(array.dtype()), Type, kOp,
           "the byte order of the array is not this machine's; use "
           "array.astype(array.dtype.newbyteorder('=')).");
  GS_CHECK(array.ndim() <= kMaxDims, Value, kOp, "a tensor has at most ", kMaxDims,
           " dimensions, got ", array.ndim(), ".");
  if (!array.writeable()) array = py::array(array.attr("copy")());
  const Layout layout = layout_of(array, size_of(*dtype));
  void* memory = const_cast<void*>(array.data());
  GS_CHECK(reinterpret_cast<uintptr_t>(memory) % size_of(*dtype) == 0, Value, kOp,
           "the elements of the array are not aligned; pass array.copy().");
  Ref<Storage> storage =
      Storage::borrow(memory, layout.bytes, {}, array.release().ptr(),
                      [](void* context) { drop_reference(static_cast<PyObject*>(context)); });
  return from_storage(std::move(storage), layout.shape, layout.strides, 0, *dtype);
}

PyObject* array_from_tensor(const Tensor& t) {
  GS_CHECK(t.device().is_cpu(), Type, "numpy", "the tensor is on ", t.device(),
           "; use tensor.cpu() first.");
  const int64_t itemsize = size_of(t.dtype());
  std::vector<py::ssize_t> shape, strides;
  for (int64_t i = 0; i < t.dim(); ++i) {
    shape.push_back(t.size(i));
    strides.push_back(t.stride(i) * itemsize);
  }
  // The array keeps the memory, not the tensor: the tensor may be given other data meanwhile.
  const py::capsule owner(new Ref<Storage>(t.body()->storage),
                          [](void* storage) { delete static_cast<Ref<Storage>*>(storage); });
  py::array array(array_dtype(t.dtype()), shape, strides, t.raw(), owner);
  if (!t.body()->storage->writable()) array.attr("setflags")(py::arg("write") = false);
  return array.release().ptr();
}

// ------------------------------------------------------------------------------ tensor(nested
// lists)

namespace {

constexpr const char* kTensor = "tensor";

std::string position(const std::vector<int64_t>& at) {
  std::string text;
  for (int64_t i : at) text += "[" + std::to_string(i) + "]";
  return text.empty() ? "the top" : text;
}

// An array with elements that any dtype can be copied from.
Tensor copy_of_array(PyObject* array) {
  py::object plain = own(array);
  const py::dtype type = py::reinterpret_borrow<py::array>(plain).dtype();
  if (!is_native(type)) plain = plain.attr("astype")(type.attr("newbyteorder")("="));
  return tensor_from_array(plain.attr("copy")("C").ptr());
}

// Reads nested data twice: once for shape and dtype, once for the values. Sequences may change in
// between (they can run code), so the second pass checks again.
class DataReader {
 public:
  void discover(PyObject* item, int64_t depth);
  void fill(PyObject* item, Tensor& out);
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_.value_or(default_dtype()); }

 private:
  bool is_sequence(PyObject* item) const {
    return PyList_Check(item) || PyTuple_Check(item) ||
           (!PyUnicode_Check(item) && !PyBytes_Check(item) && !is_tensor(item) &&
            !is_numpy_array(item) && !is_numpy_scalar(item) && !PyDict_Check(item) &&
            PySequence_Check(item));
  }
  void meet_size(int64_t depth, int64_t n);
  void meet_end(int64_t depth, PyObject* item);
  void meet_dtype(DType t) { dtype_ = dtype_ ? promote(*dtype_, t) : t; }
  Tensor block(PyObject* item);
  void write(PyObject* item, int64_t depth, Tensor& out, int64_t& at);
  void write_number(PyObject* item, Tensor& out, int64_t at);

  Shape shape_;
  bool shape_known_ = false;
  std::optional<DType> dtype_;
  std::vector<int64_t> at_;
};

void DataReader::meet_size(int64_t depth, int64_t n) {
  if (depth == shape_.size() && !shape_known_) {
    shape_.push_back(n);
    return;
  }
  if (depth < shape_.size()) {
    GS_CHECK(shape_[depth] == n, Value, kTensor, "expected a sequence of length ", shape_[depth],
             " at ", position(at_), ", got length ", n, ".");
    return;
  }
  raise(ErrorKind::Value, kTensor, "expected a number at ", position(at_),
        ", got a sequence of length ", n, ".");
}

void DataReader::meet_end(int64_t depth, PyObject* item) {
  shape_known_ = true;
  GS_CHECK(depth == shape_.size(), Value, kTensor, "expected a sequence of length ", shape_[depth],
           " at ", position(at_), ", got ", type_name(item), ".");
}

// An array or tensor inside a list.
Tensor DataReader::block(PyObject* item) {
  return is_tensor(item) ? detached(tensor_of(item)) : copy_of_array(Py_NewRef(item));
}

void DataReader::discover(PyObject* item, int64_t depth) {
  if (is_sequence(item)) {
    const py::object sequence = own(PySequence_Fast(item, "expected a sequence"));
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(sequence.ptr());
    GS_CHECK(depth < kMaxDims, Value, kTensor, "the data is nested deeper than ", kMaxDims,
             " dimensions.");
    meet_size(depth, n);
    at_.push_back(0);
    for (Py_ssize_t i = 0; i < n; ++i) {
      at_.back() = i;
      if (i >= PySequence_Fast_GET_SIZE(sequence.ptr())) break;
      discover(PySequence_Fast_GET_ITEM(sequence.ptr(), i), depth + 1);
    }
    at_.pop_back();
    if (n == 0) shape_known_ = true;
    return;
  }
  if (is_tensor(item) || is_numpy_array(item)) {
    const Tensor t = block(item);
    for (int64_t i = 0; i < t.dim(); ++i) meet_size(depth + i, t.size(i));
    meet_end(depth + t.dim(), item);
    meet_dtype(t.dtype());
    return;
  }
  Scalar value;
  const Fit fit = to_scalar(item, &value);
  GS_CHECK(fit != Fit::TooLarge, Runtime, kTensor, "the number at ", position(at_),
           " does not fit in 64 bits.");
  GS_CHECK(fit == Fit::Yes, Type, kTensor, "expected a number at ", position(at_), ", got ",
           type_name(item), ".");
  meet_end(depth, item);
  if (is_numpy_scalar(item)) {
    const py::object array = own(PyObject_CallMethod(item, "__array__", nullptr));
    meet_dtype(
        dtype_of_array(py::reinterpret_borrow<py::array>(array).dtype()).value_or(value.dtype()));
  } else {
    meet_dtype(value.dtype());
  }
}

void DataReader::write_number(PyObject* item, Tensor& out, int64_t at) {
  Scalar value;
  GS_CHECK(to_scalar(item, &value) == Fit::Yes, Value, kTensor,
           "the data changed while it was read.");
  visit(out.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* to = out.data<T>() + at;
    if constexpr (std::is_same_v<T, bool>) {
      *to = value.to_double() != 0;
    } else if constexpr (std::is_integral_v<T>) {
      GS_CHECK(!value.is_floating() || std::fabs(value.to_double()) < 9.2e18, Runtime, kTensor,
               "the number ", value.to_double(), " does not fit in dtype ", out.dtype(), ".");
      const int64_t v = value.to_int();
      const bool fits =
          std::is_same_v<T, int64_t> || (v <= int64_t(std::numeric_limits<T>::max()) &&
                                         v >= int64_t(std::numeric_limits<T>::min()));
      GS_CHECK(fits, Runtime, kTensor, "the number ", v, " does not fit in dtype ", out.dtype(),
               ".");
      *to = static_cast<T>(v);
    } else {
      *to = static_cast<T>(value.to_double());
    }
  });
}

void DataReader::write(PyObject* item, int64_t depth, Tensor& out, int64_t& at) {
  const auto changed = [](bool good) {
    GS_CHECK(good, Value, kTensor, "the data changed while it was read.");
  };
  if (is_sequence(item)) {
    const py::object sequence = own(PySequence_Fast(item, "expected a sequence"));
    changed(depth < shape_.size() && PySequence_Fast_GET_SIZE(sequence.ptr()) == shape_[depth]);
    for (int64_t i = 0; i < shape_[depth]; ++i) {
      changed(i < PySequence_Fast_GET_SIZE(sequence.ptr()));
      write(PySequence_Fast_GET_ITEM(sequence.ptr(), i), depth + 1, out, at);
    }
    return;
  }
  if (is_tensor(item) || is_numpy_array(item)) {
    const Tensor t = block(item);
    changed(t.dim() == shape_.size() - depth);
    for (int64_t i = 0; i < t.dim(); ++i) changed(t.size(i) == shape_[depth + i]);
    ops::copy_(alias(out, t.shape(), contiguous_strides(t.shape()), at), t);
    at += t.numel();
    return;
  }
  changed(depth == shape_.size() && at < out.numel());
  write_number(item, out, at++);
}

void DataReader::fill(PyObject* item, Tensor& out) {
  int64_t at = 0;
  write(item, 0, out, at);
}

// The tensor is new already: convert it, nothing else.
Tensor finish(const Tensor& t, std::optional<DType> dtype, Device device) {
  Tensor out = ops::detach(t);
  if (dtype) out = ops::cast(out, *dtype);
  return ops::to_device(out, device);
}

// Things that are no sequence of numbers but know how to become an array (images, for one).
py::object as_array(PyObject* data) {
  for (const char* name : {"__array__", "__array_interface__"}) {
    if (!PyObject_HasAttrString(data, name)) continue;
    return py::module_::import("numpy").attr("asarray")(borrow(data));
  }
  return {};
}

}  // namespace

Tensor tensor_from_data(PyObject* data, std::optional<DType> dtype, Device device) {
  if (is_tensor(data)) {
    const Tensor copy = ops::clone(ops::detach(tensor_of(data)));
    return finish(copy, dtype, device);
  }
  if (is_numpy_array(data) || is_numpy_scalar(data)) {
    const py::object array =
        is_numpy_array(data) ? borrow(data) : own(PyObject_CallMethod(data, "__array__", nullptr));
    return finish(copy_of_array(Py_NewRef(array.ptr())), dtype, device);
  }
  if (!PyList_Check(data) && !PyTuple_Check(data)) {
    Scalar number;
    if (to_scalar(data, &number) == Fit::No) {
      if (const py::object array = as_array(data))
        return tensor_from_data(array.ptr(), dtype, device);
    }
  }
  DataReader reader;
  reader.discover(data, 0);
  Tensor out = empty(reader.shape(), dtype.value_or(reader.dtype()));
  reader.fill(data, out);
  return ops::to_device(out, device);
}

// ------------------------------------------------------------------------------------------
// tolist()

namespace {

PyObject* element(const Tensor& t, int64_t offset) {
  return visit(t.dtype(), [&](auto tag) -> PyObject* {
    using T = typename decltype(tag)::type;
    const T value = reinterpret_cast<const T*>(t.body()->storage->data())[offset];
    if constexpr (std::is_same_v<T, bool>)
      return PyBool_FromLong(value);
    else if constexpr (std::is_integral_v<T>)
      return PyLong_FromLongLong(value);
    else
      return PyFloat_FromDouble(static_cast<double>(value));
  });
}

PyObject* list_of(const Tensor& t, int64_t dim, int64_t offset) {
  if (dim == t.dim()) return checked(element(t, offset));
  py::object list = own(PyList_New(t.size(dim)));
  for (int64_t i = 0; i < t.size(dim); ++i) {
    PyList_SET_ITEM(list.ptr(), i, list_of(t, dim + 1, offset + i * t.stride(dim)));
  }
  return list.release().ptr();
}

}  // namespace

PyObject* nested_list(const Tensor& t) {
  const Tensor here = ops::to_device(ops::detach(t), {});
  return list_of(here, 0, here.offset());
}

}  // namespace gs::python
