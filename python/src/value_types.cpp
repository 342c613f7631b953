// The small types beside Tensor: dtype, device, Size, and the (values, indices) pair.
#include <array>
#include <charconv>

#include "convert.h"

namespace gs::python {
namespace {

struct DTypeObject {
  DType value;
};

std::array<PyObject*, kNumDTypes> dtypes{};
PyTypeObject* dtype_type = nullptr;
PyTypeObject* device_type = nullptr;
PyTypeObject* size_type = nullptr;
PyTypeObject* values_indices_type = nullptr;
PyObject* cpu_device = nullptr;

std::string device_text(Device device) {
  return device.is_cpu() ? "cpu" : "cuda:" + std::to_string(device.index);
}

void add_dtypes(py::module_& m) {
  py::class_<DTypeObject> type(m, "dtype", "The type of a tensor's elements.");
  type.def_property_readonly("is_floating_point",
                             [](DTypeObject t) { return is_floating(t.value); })
      .def_property_readonly("is_complex", [](DTypeObject) { return false; })
      .def_property_readonly("is_signed", [](DTypeObject t) { return t.value > DType::UInt8; })
      .def_property_readonly("itemsize", [](DTypeObject t) { return size_of(t.value); })
      .def_property_readonly("name", [](DTypeObject t) { return name_of(t.value); })
      .def("__repr__", [](DTypeObject t) { return std::string("gradstone.") + name_of(t.value); })
      .def("__reduce__", [](DTypeObject t) { return name_of(t.value); });
  dtype_type = reinterpret_cast<PyTypeObject*>(type.ptr());
  for (int i = 0; i < kNumDTypes; ++i) {
    const DType value = static_cast<DType>(i);
    py::object object = py::cast(DTypeObject{value});
    m.attr(name_of(value)) = object;
    dtypes[i] = object.release().ptr();
  }
}

Device make_device(const py::object& kind, const py::object& index) {
  Device device;
  if (!to_device(kind.ptr(), &device) || kind.is_none()) {
    raise(ErrorKind::Type, "device", "expected a device or its name, got ", type_name(kind.ptr()),
          ".");
  }
  if (index.is_none()) return device;
  int64_t number = 0;
  GS_CHECK(to_int64(index.ptr(), &number) == Fit::Yes, Type, "device", "index must be an int, got ",
           type_name(index.ptr()), ".");
  GS_CHECK(number >= 0 && number < 128, Runtime, "device", "index must be in [0, 127], got ",
           number, ".");
  GS_CHECK(!device.is_cpu() || number == 0, Runtime, "device",
           "there is one CPU: index must be 0, got ", number, ".");
  device.index = static_cast<int8_t>(number);
  return device;
}

void add_devices(py::module_& m) {
  py::class_<Device> type(
      m, "device", "Where a tensor lives: device('cpu'), device('cuda', 1), device('cuda:1').");
  type.def(py::init(&make_device), py::arg("type"), py::arg("index") = py::none())
      .def_property_readonly("type", [](Device d) { return d.is_cpu() ? "cpu" : "cuda"; })
      .def_property_readonly("index",
                             [](Device d) -> py::object {
                               if (d.is_cpu()) return py::none();
                               return py::int_(int(d.index));
                             })
      .def("__eq__",
           [](Device a, const py::object& b) -> py::object {
             if (!PyObject_TypeCheck(b.ptr(), device_type)) return borrow(Py_NotImplemented);
             return py::bool_(a == b.cast<Device>());
           })
      .def("__hash__", [](Device d) { return (int(d.type) << 8) + d.index; })
      .def("__str__", &device_text)
      .def("__repr__",
           [](Device d) -> std::string {
             if (d.is_cpu()) return "device(type='cpu')";
             return "device(type='cuda', index=" + std::to_string(d.index) + ")";
           })
      .def("__reduce__", [](const py::object& self) {
        return py::make_tuple(py::type::of(self), py::make_tuple(py::str(self)));
      });
  device_type = reinterpret_cast<PyTypeObject*>(type.ptr());
  cpu_device = py::cast(Device{}).release().ptr();
}

// ----------------------------------------------------------------------------------------------
// Size

PyObject* as_size(PyObject* tuple) {  // takes the reference
  const py::object items = own(tuple);
  const Py_ssize_t n = PyTuple_GET_SIZE(items.ptr());
  PyObject* size = checked(size_type->tp_alloc(size_type, n));
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyTuple_SET_ITEM(size, i, Py_NewRef(PyTuple_GET_ITEM(items.ptr(), i)));
  }
  return size;
}

PyObject* size_repr(PyObject* self) {
  return guard([&]() -> PyObject* {
    const py::object list = own(PySequence_List(self));
    return PyUnicode_FromFormat("Size(%R)", list.ptr());
  });
}

PyObject* size_subscript(PyObject* self, PyObject* key) {
  return guard([&]() -> PyObject* {
    PyObject* item = checked(PyTuple_Type.tp_as_mapping->mp_subscript(self, key));
    return PySlice_Check(key) ? as_size(item) : item;
  });
}

PyObject* size_concat(PyObject* self, PyObject* other) {
  return guard([&]() -> PyObject* {
    return as_size(checked(PyTuple_Type.tp_as_sequence->sq_concat(self, other)));
  });
}

PyObject* size_repeat(PyObject* self, Py_ssize_t n) {
  return guard([&]() -> PyObject* {
    return as_size(checked(PyTuple_Type.tp_as_sequence->sq_repeat(self, n)));
  });
}

PyObject* size_new(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
  return guard([&]() -> PyObject* {
    py::object size = own(PyTuple_Type.tp_new(type, arguments, keywords));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(size.ptr()); ++i) {
      PyObject* item = PyTuple_GET_ITEM(size.ptr(), i);
      GS_CHECK(PyIndex_Check(item), Type, "Size", "expected ints, got ", type_name(item),
               " at position ", i, ".");
    }
    return size.release().ptr();
  });
}

PyObject* size_numel(PyObject* self, PyObject*) {
  return guard([&]() -> PyObject* {
    py::object product = own(PyLong_FromLong(1));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self); ++i) {
      product = own(PyNumber_Multiply(product.ptr(), PyTuple_GET_ITEM(self, i)));
    }
    return product.release().ptr();
  });
}

PyMethodDef size_methods[] = {
    {"numel", size_numel, METH_NOARGS, "numel($self)\n--\n\nThe product of all sizes."},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot size_slots[] = {
    {Py_tp_repr, reinterpret_cast<void*>(size_repr)},
    {Py_mp_subscript, reinterpret_cast<void*>(size_subscript)},
    {Py_sq_concat, reinterpret_cast<void*>(size_concat)},
    {Py_sq_repeat, reinterpret_cast<void*>(size_repeat)},
    {Py_tp_new, reinterpret_cast<void*>(size_new)},
    {Py_tp_methods, size_methods},
    {Py_tp_doc, const_cast<char*>("The sizes of a tensor's dimensions: a tuple of ints.")},
    {0, nullptr}};

PyType_Spec size_spec = {"gradstone._C.Size", 0, 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                         size_slots};

// ---------------------------------------------------------------------------------- ValuesIndices

PyStructSequence_Field pair_fields[] = {
    {"values", "The values found."}, {"indices", "Their positions."}, {nullptr, nullptr}};
PyStructSequence_Desc pair_description = {"gradstone._C.ValuesIndices",
                                          "Values and where they stand.", pair_fields, 2};

}  // namespace

PyObject* dtype_object(DType dtype) { return dtypes[static_cast<int>(dtype)]; }

bool to_dtype(PyObject* object, DType* out) {
  if (Py_TYPE(object) != dtype_type) {  // Python's own types stand for the widest of their kind
    const auto is = [&](PyTypeObject& type) {
      return object == reinterpret_cast<PyObject*>(&type);
    };
    if (is(PyFloat_Type)) return *out = DType::Float64, true;
    if (is(PyLong_Type)) return *out = DType::Int64, true;
    if (is(PyBool_Type)) return *out = DType::Bool, true;
    return false;
  }
  for (int i = 0; i < kNumDTypes; ++i) {
    if (dtypes[i] != object) continue;
    *out = static_cast<DType>(i);
    return true;
  }
  return false;
}

PyObject* device_object(Device device) {
  if (device.is_cpu()) return Py_NewRef(cpu_device);
  return py::cast(device).release().ptr();
}

Device parse_device(const std::string& name) {
  if (name == "cpu" || name == "cpu:0") return {};
  Device device{DeviceType::Cuda, 0};
  if (name == "cuda") return device;
  int number = -1;
  if (name.starts_with("cuda:")) {
    const char* end = name.data() + name.size();
    const auto [stop, error] = std::from_chars(name.data() + 5, end, number);
    if (error != std::errc() || stop != end || number > 127) number = -1;
  }
  GS_CHECK(number >= 0, Runtime, "device", "expected 'cpu', 'cuda' or 'cuda:<index>', got '", name,
           "'.");
  device.index = static_cast<int8_t>(number);
  return device;
}

bool to_device(PyObject* object, Device* out) {
  if (object == cpu_device || object == Py_None) {
    *out = {};
  } else if (PyUnicode_Check(object)) {
    *out = parse_device(borrow(object).cast<std::string>());
  } else if (PyObject_TypeCheck(object, device_type)) {
    *out = borrow(object).cast<Device>();
  } else {
    return false;
  }
  return true;
}

PyObject* size_object(const Dims& dims) {
  PyObject* size = checked(size_type->tp_alloc(size_type, static_cast<Py_ssize_t>(dims.size())));
  for (int64_t i = 0; i < dims.size(); ++i) {
    PyObject* item = PyLong_FromLongLong(dims[i]);
    if (!item) {
      Py_DECREF(size);
      throw py::error_already_set();
    }
    PyTuple_SET_ITEM(size, i, item);
  }
  return size;
}

PyObject* values_indices_object(const ops::ValuesIndices& pair) {
  py::object object = own(PyStructSequence_New(values_indices_type));
  PyStructSequence_SetItem(object.ptr(), 0, wrap(pair.values));
  PyStructSequence_SetItem(object.ptr(), 1, wrap(pair.indices));
  return object.release().ptr();
}

void add_value_types(py::module_& m) {
  add_dtypes(m);
  add_devices(m);
  const py::object tuple = borrow(reinterpret_cast<PyObject*>(&PyTuple_Type));
  size_type = reinterpret_cast<PyTypeObject*>(
      checked(PyType_FromSpecWithBases(&size_spec, py::make_tuple(tuple).ptr())));
  m.attr("Size") = borrow(reinterpret_cast<PyObject*>(size_type));
  values_indices_type = PyStructSequence_NewType(&pair_description);
  checked(reinterpret_cast<PyObject*>(values_indices_type));
  m.attr("ValuesIndices") = borrow(reinterpret_cast<PyObject*>(values_indices_type));
}

}  // namespace gs::python
