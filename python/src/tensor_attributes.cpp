// Attributes of Tensor: x.shape, x.grad, x.T and so on.
#include "autograd/meta.h"
#include "graph_nodes.h"
#include "tensor_slots.h"

namespace gs::python {
namespace {

using Getter = PyObject* (*)(const Tensor&);

template <Getter f>
PyObject* get(PyObject* self, void*) {
  return guard([&] { return f(tensor_of(self)); });
}

PyObject* boolean(bool value) { return PyBool_FromLong(value); }
PyObject* integer(int64_t value) { return PyLong_FromLongLong(value); }

PyObject* shape(const Tensor& t) { return size_object(t.shape()); }
PyObject* dtype(const Tensor& t) { return Py_NewRef(dtype_object(t.dtype())); }
PyObject* device(const Tensor& t) { return device_object(t.device()); }
PyObject* ndim(const Tensor& t) { return integer(t.dim()); }
PyObject* itemsize(const Tensor& t) { return integer(size_of(t.dtype())); }
PyObject* nbytes(const Tensor& t) { return integer(t.numel() * size_of(t.dtype())); }
PyObject* is_cuda(const Tensor& t) { return boolean(t.device().is_cuda()); }
PyObject* requires_grad(const Tensor& t) { return boolean(t.requires_grad()); }
PyObject* is_leaf(const Tensor& t) { return boolean(autograd::is_leaf(t)); }
PyObject* grad(const Tensor& t) { return wrap(autograd::grad_of(t)); }
PyObject* grad_fn(const Tensor& t) { return node_object(autograd::grad_node(t)); }
PyObject* version(const Tensor& t) { return integer(t.version()); }
PyObject* base(const Tensor& t) { return wrap(Tensor(t.body()->base)); }

PyObject* data(const Tensor& t) {
  Tensor out = detached(t);
  out.body()->untracked = true;
  return wrap(out);
}

PyObject* transposed(const Tensor& t) {
  Dims order;
  for (int64_t i = t.dim() - 1; i >= 0; --i) order.push_back(i);
  return wrap(ops::permute(t, order));
}

PyObject* matrix_transposed(const Tensor& t) {
  GS_CHECK(t.dim() >= 2, Runtime, "mT", "expected a tensor of at least 2 dimensions, got shape ",
           t.shape(), ".");
  return wrap(ops::transpose(t, -2, -1));
}

PyObject* hermitian(const Tensor& t) {
  GS_CHECK(t.dim() == 2 || t.dim() == 0, Runtime, "H", "expected a matrix, got shape ", t.shape(),
           ".");
  return transposed(t);
}

int set_requires_grad(PyObject* self, PyObject* value, void*) {
  return guard_status([&] {
    bool on = false;
    if (!value || !to_bool(value, &on)) raise(ErrorKind::Type, "requires_grad", "expected a bool.");
    autograd::set_requires_grad(tensor_of(self), on);
  });
}

int set_grad(PyObject* self, PyObject* value, void*) {
  return guard_status([&] {
    if (!value || value == Py_None) return autograd::set_grad(tensor_of(self), Tensor());
    GS_CHECK(is_tensor(value), Type, "grad", "expected a Tensor or None, got ", type_name(value),
             ".");
    autograd::set_grad(tensor_of(self), tensor_of(value));
  });
}

// The tensor takes over the memory, shape and dtype of `value`; its history stays.
int set_data(PyObject* self, PyObject* value, void*) {
  return guard_status([&] {
    if (!value || !is_tensor(value)) raise(ErrorKind::Type, "data", "expected a Tensor.");
    TensorBody* to = tensor_of(self).body();
    const TensorBody* from = tensor_of(value).body();
    GS_CHECK(!to->requires_grad || is_floating(from->dtype), Runtime, "data",
             "a tensor that requires a gradient cannot take data of dtype ", from->dtype, ".");
    // A graph that has saved this tensor must notice: its kernels rely on the shape and dtype.
    if (!(to->shape == from->shape) || to->dtype != from->dtype) {
      const uint32_t seen = to->storage->version();  // the storage may be the same
      while (from->storage->version() <= seen) from->storage->bump_version();
    }
    GS_CHECK(!to->base, Runtime, "data", "the data of a view cannot be replaced.");
    to->storage = from->storage;
    to->offset = from->offset;
    to->numel = from->numel;
    to->shape = from->shape;
    to->strides = from->strides;
    to->dtype = from->dtype;
    to->contiguous = from->contiguous;
    // The node that adds into .grad expects gradients of the new shape from now on.
    autograd::Meta* meta = autograd::find_meta(tensor_of(self));
    if (meta && meta->leaf) meta->leaf->outputs[0] = {to->shape, to->dtype, to->storage->device()};
  });
}

PyObject* get_dict(PyObject* self, void*) {
  track(self);
  return PyObject_GenericGetDict(self, nullptr);
}

PyGetSetDef attributes[] = {
    {"shape", get<shape>, nullptr, "The sizes of the dimensions.", nullptr},
    {"dtype", get<dtype>, nullptr, "The type of the elements.", nullptr},
    {"device", get<device>, nullptr, "Where the tensor lives.", nullptr},
    {"ndim", get<ndim>, nullptr, "The number of dimensions.", nullptr},
    {"itemsize", get<itemsize>, nullptr, "Bytes of one element.", nullptr},
    {"nbytes", get<nbytes>, nullptr, "Bytes of all elements.", nullptr},
    {"is_cuda", get<is_cuda>, nullptr, "True on a CUDA device.", nullptr},
    {"requires_grad", get<requires_grad>, set_requires_grad,
     "True when gradients flow to the tensor.", nullptr},
    {"grad", get<grad>, set_grad, "The gradient that backward() has added up, or None.", nullptr},
    {"data", get<data>, set_data, "The same memory, outside of autograd.", nullptr},
    {"grad_fn", get<grad_fn>, nullptr, "The recorded operation that made the tensor, or None.",
     nullptr},
    {"is_leaf", get<is_leaf>, nullptr, "True when no recorded operation made the tensor.", nullptr},
    {"T", get<transposed>, nullptr, "A view with the dimensions reversed.", nullptr},
    {"mT", get<matrix_transposed>, nullptr, "A view with the last two dimensions exchanged.",
     nullptr},
    {"H", get<hermitian>, nullptr, "The transpose of a matrix.", nullptr},
    {"_version", get<version>, nullptr, "Counts the in-place changes of the memory.", nullptr},
    {"_base", get<base>, nullptr, "The tensor this is a view of, or None.", nullptr},
    {"__dict__", get_dict, PyObject_GenericSetDict, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

}  // namespace

PyGetSetDef* attribute_table() { return attributes; }

}  // namespace gs::python
