// Methods of Tensor that are not operations of the catalogue.
#include "arrays.h"
#include "autograd/engine.h"
#include "autograd/meta.h"
#include "tensor_slots.h"

namespace gs::python {
namespace {

int64_t dim_argument(const Tensor& t, PyObject* dim, const char* op) {
  int64_t value = 0;
  GS_CHECK(to_int64(dim, &value) == Fit::Yes, Type, op, "argument 'dim' must be an int, got ",
           type_name(dim), ".");
  GS_CHECK(t.dim() > 0, Index, op, "a 0-dimensional tensor has no dimension ", value, ".");
  return wrap_dim(value, t.dim(), op);
}

// -------------------------------------------------------------------------------------------
// layout

PyObject* size(const Tensor& t, PyObject* dim) {
  if (dim == Py_None) return size_object(t.shape());
  return PyLong_FromLongLong(t.size(dim_argument(t, dim, "size")));
}

PyObject* stride(const Tensor& t, PyObject* dim) {
  if (dim != Py_None) return PyLong_FromLongLong(t.stride(dim_argument(t, dim, "stride")));
  py::object out = own(PyTuple_New(t.dim()));
  for (int64_t i = 0; i < t.dim(); ++i) {
    PyTuple_SET_ITEM(out.ptr(), i, checked(PyLong_FromLongLong(t.stride(i))));
  }
  return out.release().ptr();
}

int64_t dim(const Tensor& t) { return t.dim(); }
int64_t ndimension(const Tensor& t) { return t.dim(); }
int64_t numel(const Tensor& t) { return t.numel(); }
int64_t nelement(const Tensor& t) { return t.numel(); }
int64_t element_size(const Tensor& t) { return size_of(t.dtype()); }
int64_t storage_offset(const Tensor& t) { return t.offset(); }
int64_t data_ptr(const Tensor& t) {
  return static_cast<int64_t>(reinterpret_cast<intptr_t>(t.raw()));
}
bool is_contiguous(const Tensor& t, PyObject*) { return t.is_contiguous(); }
bool is_floating_point(const Tensor& t) { return is_floating(t.dtype()); }
bool is_complex(const Tensor&) { return false; }
bool is_signed(const Tensor& t) { return t.dtype() > DType::UInt8; }
bool is_inference(const Tensor& t) { return t.body()->inference; }
bool is_same(const Tensor& a, const Tensor& b) {
  return a.body()->storage == b.body()->storage && a.offset() == b.offset() &&
         a.shape() == b.shape() && a.strides() == b.strides();
}

// -------------------------------------------------------------------------------------------
// values

PyObject* item(const Tensor& t) {
  GS_CHECK(t.numel() == 1, Runtime, "item", "a tensor of ", t.numel(), " elements, of shape ",
           t.shape(), ", cannot be converted to a number.");
  return to_python(t.item());
}

PyObject* tolist(const Tensor& t) { return nested_list(t); }

PyObject* to_numpy(const Tensor& t, bool force) {
  if (force) return array_from_tensor(ops::to_device(ops::detach(t), {}));
  GS_CHECK(
      !t.requires_grad(), Runtime, "numpy",
      "the tensor requires a gradient, which NumPy cannot follow; use tensor.detach().numpy().");
  return array_from_tensor(t);
}

PyObject* to_array(const Tensor& t, PyObject* dtype, PyObject* copy) {
  py::object array = own(to_numpy(t, false));
  bool copied = false;
  const py::object numpy_dtype = py::module_::import("numpy").attr("dtype");
  if (dtype != Py_None && !py::object(array.attr("dtype")).equal(numpy_dtype(borrow(dtype)))) {
    GS_CHECK(copy != Py_False, Value, "__array__",
             "another dtype needs a copy, which copy=False forbids.");
    array = array.attr("astype")(borrow(dtype));
    copied = true;
  }
  if (copy == Py_True && !copied) array = array.attr("copy")();
  return array.release().ptr();
}

PyObject* format(PyObject* self, PyObject* spec) {
  GS_CHECK(PyUnicode_Check(spec), Type, "format", "expected a str, got ", type_name(spec), ".");
  if (tensor_of(self).dim() == 0) return PyObject_Format(own(item(tensor_of(self))).ptr(), spec);
  if (PyUnicode_GET_LENGTH(spec) == 0) return PyObject_Str(self);
  raise(ErrorKind::Type, "format",
        "a format is understood for tensors of one number alone, got shape ",
        tensor_of(self).shape(), ".");
}

// -----------------------------------------------------------------------------------------
// autograd

PyObject* set_requires_grad(PyObject* self, bool requires_grad) {
  autograd::set_requires_grad(tensor_of(self), requires_grad);
  return Py_NewRef(self);
}

void retain_grad(const Tensor& t) { autograd::retain_grad(t); }

PyObject* detach_in_place(PyObject* self) {
  const Tensor& t = tensor_of(self);
  GS_CHECK(!t.body()->base, Runtime, "detach_",
           "a view cannot be detached in place; use detach().");
  if (autograd::Meta* meta = autograd::find_meta(t)) {
    if (meta->node) {
      std::erase_if(meta->node->retained, [&](const auto& r) { return r.tensor == t.body(); });
      meta->node = Ref<autograd::Node>();
      meta->slot = 0;
      ++meta->history;
    }
  }
  t.body()->requires_grad = false;
  return Py_NewRef(self);
}

// ----------------------------------------------------------------------- subclasses, copies,
// pickles

PyTypeObject* subclass_argument(PyObject* cls) {
  GS_CHECK(PyType_Check(cls) && PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(cls), tensor_type),
           Type, "Tensor", "expected a subclass of Tensor, got ", type_name(cls), ".");
  return reinterpret_cast<PyTypeObject*>(cls);
}

PyObject* make_subclass(PyObject* cls, const Tensor& data, bool requires_grad) {
  Tensor t = detached(data);
  autograd::set_requires_grad(t, requires_grad);
  return wrap_as(subclass_argument(cls), std::move(t));
}

py::object dict_of(PyObject* self) {
  PyObject* dict = reinterpret_cast<TensorObject*>(self)->dict;
  return dict && PyDict_GET_SIZE(dict) > 0 ? borrow(dict) : py::none();
}

PyObject* reduce(PyObject* self, PyObject*) {
  const Tensor& t = tensor_of(self);
  const Tensor plain = ops::contiguous(ops::to_device(ops::detach(t), {}));
  const py::bytes bytes(static_cast<const char*>(plain.raw()),
                        static_cast<size_t>(plain.numel() * size_of(plain.dtype())));
  const py::object cls = borrow(reinterpret_cast<PyObject*>(Py_TYPE(self)));
  const py::object shape = own(PyTuple_New(t.dim()));
  for (int64_t i = 0; i < t.dim(); ++i)
    PyTuple_SET_ITEM(shape.ptr(), i, checked(PyLong_FromLongLong(t.size(i))));
  const py::object rebuild = py::module_::import("gradstone._C").attr("_rebuild_tensor");
  return py::make_tuple(
             rebuild,
             py::make_tuple(cls, bytes, borrow(dtype_object(t.dtype())), shape, t.requires_grad()),
             dict_of(self))
      .release()
      .ptr();
}

PyObject* rebuild_tensor(PyObject* cls, PyObject* bytes, DType dtype, const Dims& shape,
                         bool requires_grad) {
  PyTypeObject* type = subclass_argument(cls);
  GS_CHECK(PyBytes_Check(bytes), Type, "_rebuild_tensor", "expected bytes, got ", type_name(bytes),
           ".");
  int64_t size = 0;
  const bool huge =
      __builtin_mul_overflow(checked_numel(shape, "_rebuild_tensor"), size_of(dtype), &size);
  GS_CHECK(!huge && size == PyBytes_GET_SIZE(bytes), Value, "_rebuild_tensor", "expected ", size,
           " bytes, got ", PyBytes_GET_SIZE(bytes), ".");
  Tensor t = empty(shape, dtype);
  std::memcpy(t.raw(), PyBytes_AS_STRING(bytes), static_cast<size_t>(size));
  autograd::set_requires_grad(t, requires_grad);
  return wrap_as(type, std::move(t));
}

PyObject* deep_copy(PyObject* self, PyObject* memo) {
  const Tensor& t = tensor_of(self);
  GS_CHECK(autograd::is_leaf(t), Runtime, "deepcopy",
           "only leaf tensors (made by the user, not by an operation) can be deep-copied; use "
           "clone() or detach().");
  const py::object key = own(PyLong_FromVoidPtr(self));
  const py::object seen = borrow(memo);
  if (py::object found = seen.attr("get")(key); !found.is_none()) return found.release().ptr();
  Tensor copy = ops::clone(detached(t));
  autograd::set_requires_grad(copy, t.requires_grad());
  py::object out = own(wrap_as(Py_TYPE(self), copy));
  seen[key] = out;
  if (const Tensor& grad = autograd::grad_of(t); grad.defined())
    autograd::set_grad(copy, ops::clone(detached(grad)));
  if (const py::object dict = dict_of(self); !dict.is_none()) {
    out.attr("__dict__").attr("update")(py::module_::import("copy").attr("deepcopy")(dict, seen));
  }
  return out.release().ptr();
}

}  // namespace

void add_tensor_methods(Table& table) {
  table.add<&size>("size(input, dim=None)", Kind::M, "The sizes of all dimensions, or of one.");
  table.add<&stride>("stride(input, dim=None)", Kind::M,
                     "The strides in elements of all dimensions, or of one.");
  table.add<&dim>("dim(input)", Kind::M, "The number of dimensions.");
  table.add<&ndimension>("ndimension(input)", Kind::M, "The number of dimensions.");
  table.add<&numel>("numel(input)", Kind::FM, "The number of elements.");
  table.add<&nelement>("nelement(input)", Kind::M, "The number of elements.");
  table.add<&element_size>("element_size(input)", Kind::M, "Bytes of one element.");
  table.add<&storage_offset>("storage_offset(input)", Kind::M,
                             "Elements before the first one in the memory.");
  table.add<&data_ptr>("data_ptr(input)", Kind::M, "The address of the first element.");
  table.add<&is_contiguous>("is_contiguous(input, memory_format=None)", Kind::M,
                            "True when the elements lie in row-major order.");
  table.add<&is_floating_point>("is_floating_point(input)", Kind::FM,
                                "True for the floating dtypes.");
  table.add<&is_complex>("is_complex(input)", Kind::FM, "False: there are no complex dtypes.");
  table.add<&is_signed>("is_signed(input)", Kind::M, "True when the dtype has negative numbers.");
  table.add<&is_inference>("is_inference(input)", Kind::FM,
                           "True for a tensor made in inference_mode.");
  table.add<&is_same>("is_set_to(input, tensor)", Kind::M,
                      "True when both are the same window on the same memory.");
  table.add<&item>("item(input)", Kind::M, "The only element as a Python number.");
  table.add<&tolist>("tolist(input)", Kind::M, "Nested lists of Python numbers.");
  table.add<&to_numpy>("numpy(input, force=False)", Kind::M, "A NumPy array on the same memory.");
  table.add<&to_array>("__array__(input, dtype=None, copy=None)", Kind::M,
                       "For NumPy's asarray().");
  table.add<&format>("__format__(input, format_spec)", Kind::M,
                     "Formats the number of a 0-dimensional tensor.");
  table.add<&set_requires_grad>("requires_grad_(input, requires_grad=True)", Kind::M,
                                "Says whether gradients flow to this leaf.");
  table.add<&retain_grad>("retain_grad(input)", Kind::M,
                          "Keeps .grad though the tensor is no leaf.");
  table.add<&detach_in_place>("detach_(input)", Kind::M, "Forgets the history, in place.");
  table.add<&make_subclass>("_make_subclass(cls, data, requires_grad=False)", Kind::N,
                            "A tensor of a subclass on the memory of data.");
  table.add<&reduce>("__reduce_ex__(input, protocol)", Kind::M, "For pickle.");
  table.add<&rebuild_tensor>("_rebuild_tensor(cls, data, dtype, shape, requires_grad)", Kind::N,
                             "For pickle.");
  table.add<&deep_copy>("__deepcopy__(input, memo)", Kind::M, "For copy.deepcopy().");
}

}  // namespace gs::python
