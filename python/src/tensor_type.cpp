// The Tensor type itself: creation, destruction, garbage collection, sequence protocol, repr.
#include <algorithm>

#include "arrays.h"
#include "autograd/meta.h"
#include "graph_nodes.h"
#include "tensor_slots.h"

#include <structmember.h>  // needs Python.h before it

namespace gs::python {
namespace {

PyObject* repr_function = nullptr;

TensorObject* object_of(PyObject* self) { return reinterpret_cast<TensorObject*>(self); }

// ------------------------------------------------------------------------------------- life and
// death

// Tensor(data), Tensor(2, 3) (sizes), Tensor(): PyTorch's old constructor, float32 by default.
Tensor construct(PyObject* args) {
  const Py_ssize_t n = PyTuple_GET_SIZE(args);
  if (n == 0) return empty({0}, default_dtype());
  PyObject* first = PyTuple_GET_ITEM(args, 0);
  if (n == 1 && is_tensor(first)) return detached(tensor_of(first));
  Dims shape;
  int64_t ignored;
  if (to_int64(first, &ignored) != Fit::No) {
    GS_CHECK(to_dims(args, &shape, nullptr) == Fit::Yes, Type, "Tensor",
             "expected sizes: ints, or one sequence.");
    return empty(shape, default_dtype());
  }
  GS_CHECK(n == 1, Type, "Tensor", "expected one sequence of numbers, got ", n, " arguments.");
  return tensor_from_data(first, default_dtype(), {});
}

PyObject* make(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  return guard([&]() -> PyObject* {
    // A subclass may take keywords in its own __init__; they mean nothing here.
    GS_CHECK(type != tensor_type || !keywords || PyDict_GET_SIZE(keywords) == 0, Type, "Tensor",
             "takes no keyword arguments; use tensor(data, dtype=..., device=...).");
    return wrap_as(type, construct(args));
  });
}

int initialise(PyObject*, PyObject*, PyObject*) { return 0; }  // all is done in make()

// Hooks that only this object keeps alive.
std::vector<autograd::Node::Hook>* own_hooks(PyObject* self) {
  const Tensor& t = object_of(self)->tensor;
  if (!t.defined() || t.body()->ref_count() != 1) return nullptr;
  autograd::Meta* meta = autograd::find_meta(t);
  if (!meta || !meta->leaf || meta->leaf->ref_count() != 1 || meta->leaf->hooks.empty())
    return nullptr;
  return &meta->leaf->hooks;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(object_of(self)->dict);
  if (const auto* hooks = own_hooks(self)) {
    for (const autograd::Node::Hook& hook : *hooks) {
      const auto* python = hook.call.target<PythonHook>();
      if (python && python->function.only_owner()) Py_VISIT(python->function.get());
    }
  }
  return 0;
}

int clear(PyObject* self) {
  Py_CLEAR(object_of(self)->dict);
  if (auto* hooks = own_hooks(self)) {
    const auto dropped = std::move(*hooks);
    hooks->clear();
  }
  return 0;
}

void destroy(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  TensorObject* object = object_of(self);
  if (object->tensor.defined()) object->tensor.body()->python_object = nullptr;
  if (object->weakrefs) PyObject_ClearWeakRefs(self);
  Py_CLEAR(object->dict);
  object->tensor.~Operand();
  type->tp_free(self);
  Py_DECREF(type);
}

int set_attribute(PyObject* self, PyObject* name, PyObject* value) {
  const int status = PyObject_GenericSetAttr(self, name, value);
  if (object_of(self)->dict) track(self);
  return status;
}

Py_hash_t hash(PyObject* self) {
  const auto address = reinterpret_cast<uintptr_t>(self);
  const auto value = static_cast<Py_hash_t>(address >> 4 | address << (8 * sizeof(address) - 4));
  return value == -1 ? -2 : value;
}

// -------------------------------------------------------------------------------------------
// sequence

Py_ssize_t length(PyObject* self) {
  return guard(
      [&]() -> Py_ssize_t {
        const Tensor& t = tensor_of(self);
        GS_CHECK(t.dim() > 0, Type, "len", "a 0-dimensional tensor has no length.");
        return t.size(0);
      },
      -1);
}

PyObject* sequence_item(PyObject* self, Py_ssize_t i) {
  return guard([&]() -> PyObject* {
    const py::object index = own(PyLong_FromSsize_t(i));
    return get_item(self, index.ptr());
  });
}

PyObject* iterate(PyObject* self) {
  return guard([&]() -> PyObject* {
    const Tensor& t = tensor_of(self);
    GS_CHECK(t.dim() > 0, Type, "iter", "a 0-dimensional tensor cannot be iterated over.");
    const py::object rows = own(wrap_tuple(ops::unbind(t, 0)));
    return PyObject_GetIter(rows.ptr());
  });
}

int contains(PyObject* self, PyObject* value) {
  return guard(
      [&]() -> int {
        const py::object equal = own(compare(self, value, Py_EQ));
        GS_CHECK(is_tensor(equal.ptr()), Type, "in", "expected a number or a Tensor, got ",
                 type_name(value), ".");
        return ops::any(tensor_of(equal.ptr()), {}, false).item().to_int() != 0;
      },
      -1);
}

PyObject* repr(PyObject* self) {
  if (repr_function) return PyObject_CallOneArg(repr_function, self);
  return guard([&] {
    std::ostringstream text;
    text << "<Tensor of shape " << tensor_of(self).shape() << " and dtype "
         << tensor_of(self).dtype() << ">";
    return to_result(text.str());
  });
}

PyMemberDef members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(TensorObject, dict), READONLY, nullptr},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(TensorObject, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

}  // namespace

void set_repr_function(PyObject* function) {
  GS_CHECK(PyCallable_Check(function), Type, "_set_repr", "expected a callable, got ",
           type_name(function), ".");
  Py_INCREF(function);
  Py_XSETREF(repr_function, function);
}

void add_tensor_type(py::module_& m, std::vector<PyMethodDef>& methods) {
  methods.push_back({nullptr, nullptr, 0, nullptr});
  std::vector<PyType_Slot> slots;
  const auto add_slot = [&](int id, auto* value) {
    slots.push_back({id, reinterpret_cast<void*>(value)});
  };
  add_slot(Py_tp_new, make);
  add_slot(Py_tp_init, initialise);
  add_slot(Py_tp_dealloc, destroy);
  add_slot(Py_tp_traverse, traverse);
  add_slot(Py_tp_clear, clear);
  add_slot(Py_tp_setattro, set_attribute);
  add_slot(Py_tp_hash, hash);
  add_slot(Py_tp_richcompare, compare);
  add_slot(Py_tp_repr, repr);
  add_slot(Py_tp_str, repr);
  add_slot(Py_tp_iter, iterate);
  add_slot(Py_mp_length, length);
  add_slot(Py_mp_subscript, get_item);
  add_slot(Py_mp_ass_subscript, set_item);
  add_slot(Py_sq_length, length);
  add_slot(Py_sq_item, sequence_item);
  add_slot(Py_sq_contains, contains);
  add_slot(Py_tp_methods, methods.data());
  add_slot(Py_tp_getset, attribute_table());
  add_slot(Py_tp_members, members);
  slots.push_back({Py_tp_doc, const_cast<char*>(
                                  "A multi-dimensional array that records how it was computed.")});
  add_number_slots(slots);
  slots.push_back({0, nullptr});
  PyType_Spec spec = {"gradstone._C.Tensor", sizeof(TensorObject), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots.data()};
  tensor_type = reinterpret_cast<PyTypeObject*>(checked(PyType_FromSpec(&spec)));
  py::object type = borrow(reinterpret_cast<PyObject*>(tensor_type));
  // NumPy's operators leave `array * tensor` to the tensor.
  type.attr("__array_priority__") = 1000;
  m.attr("Tensor") = type;
}

}  // namespace gs::python
