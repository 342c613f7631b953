// Number slots of Tensor: arithmetic goes straight to the operations, without argument parsing.
#include "arrays.h"
#include "tensor_slots.h"

namespace gs::python {
namespace {

using ops::Operand;

// The other side of an operator: a tensor by reference, a number or a NumPy array made into one.
class Side {
 public:
  Side(PyObject* object, PyObject* other) {
    if (is_tensor(object)) {
      given_ = &tensor_of(object);
      return;
    }
    Scalar value;
    const Fit fit = to_scalar(object, &value);
    GS_CHECK(fit != Fit::TooLarge, Value, "", "the number does not fit in 64 bits.");
    if (fit == Fit::Yes) {
      make_number(value, other);
    } else if (is_numpy_array(object)) {
      made_.emplace(tensor_from_array(object));
    }
  }
  bool understood() const { return given_ || made_; }
  const Operand& operator*() const { return given_ ? *given_ : *made_; }

 private:
  // A number takes the floating dtype of the tensor beside it at once.
  void make_number(Scalar value, PyObject* other) {
    if (other && is_tensor(other)) {
      const DType dtype = tensor_of(other).dtype();
      if (dtype == DType::Float32 || dtype == DType::Float64) {
        made_.emplace(wrapped_number(value, dtype));
        return;
      }
    }
    made_.emplace(value);
  }

  const Operand* given_ = nullptr;
  std::optional<Operand> made_;
};

using Binary = Tensor (*)(const Operand&, const Operand&);
using autocast::Policy;

// f under autocast.
[[gnu::noinline]] PyObject* cast_binary(Binary f, const Operand& a, const Operand& b,
                                        Policy policy) {
  const autocast::Casts casts(policy);
  return wrap(f(casts.cast(a), casts.cast(b)));
}

template <Binary f, Policy policy = Policy::None>
PyObject* binary(PyObject* a, PyObject* b) {
  return guard([&]() -> PyObject* {
    if constexpr (policy != Policy::None) {
      if (autocast::active()) [[unlikely]] {
        const Side left(a, nullptr), right(b, nullptr);
        if (!left.understood() || !right.understood()) return Py_NewRef(Py_NotImplemented);
        return cast_binary(f, *left, *right, policy);
      }
    }
    if (is_tensor(a) && is_tensor(b)) [[likely]]
      return wrap(f(tensor_of(a), tensor_of(b)));
    const Side left(a, b), right(b, a);
    if (!left.understood() || !right.understood()) return Py_NewRef(Py_NotImplemented);
    return wrap(f(*left, *right));
  });
}

using InPlace = Tensor (*)(const Tensor&, const Operand&);

template <InPlace f>
PyObject* in_place(PyObject* self, PyObject* other) {
  return guard([&]() -> PyObject* {
    const Side right(other, self);
    if (!right.understood()) return Py_NewRef(Py_NotImplemented);
    f(tensor_of(self), *right);
    return Py_NewRef(self);
  });
}

template <Tensor (*f)(const Tensor&)>
PyObject* unary(PyObject* self) {
  return guard([&] { return wrap(f(tensor_of(self))); });
}

Tensor add(const Operand& a, const Operand& b) { return ops::add(a, b, Scalar(1)); }
Tensor sub(const Operand& a, const Operand& b) { return ops::sub(a, b, Scalar(1)); }
Tensor add_(const Tensor& a, const Operand& b) { return ops::add_(a, b, Scalar(1)); }
Tensor sub_(const Tensor& a, const Operand& b) { return ops::sub_(a, b, Scalar(1)); }
Tensor divide(const Operand& a, const Operand& b) {
  static const std::string exact;
  return ops::div(a, b, exact);
}

// A number over a tensor is a reciprocal, as PyTorch computes it.
PyObject* true_divide(PyObject* a, PyObject* b) {
  return is_tensor(a) ? binary<&divide>(a, b) : binary<&divide, Policy::Float32>(a, b);
}

PyObject* matmul(PyObject* a, PyObject* b) {
  return guard([&]() -> PyObject* {
    if (!is_tensor(a) || !is_tensor(b)) {
      if (!is_numpy_array(a) && !is_numpy_array(b)) return Py_NewRef(Py_NotImplemented);
      const Side left(a, nullptr), right(b, nullptr);
      if (!left.understood() || !right.understood()) return Py_NewRef(Py_NotImplemented);
      return wrap(ops::matmul(*left, *right));
    }
    if (autocast::active()) [[unlikely]] {
      const autocast::Casts casts(Policy::Low);
      return wrap(ops::matmul(casts.cast(tensor_of(a)), casts.cast(tensor_of(b))));
    }
    return wrap(ops::matmul(tensor_of(a), tensor_of(b)));
  });
}

PyObject* power(PyObject* a, PyObject* b, PyObject* modulus) {
  if (modulus != Py_None) {
    PyErr_SetString(PyExc_TypeError, "[pow] a third argument is not supported.");
    return nullptr;
  }
  return binary<&ops::pow, Policy::Float32>(a, b);
}
PyObject* power_in_place(PyObject* a, PyObject* b, PyObject*) { return in_place<&ops::pow_>(a, b); }

PyObject* positive(PyObject* self) { return Py_NewRef(self); }

Scalar only_element(PyObject* self, const char* what) {
  const Tensor& t = tensor_of(self);
  GS_CHECK(t.numel() == 1, Value, what,
           "only a tensor of one element can be converted to a number, got shape ", t.shape(), ".");
  return t.item();
}

int truth(PyObject* self) {
  int result = -1;
  guard_status([&] {
    const Tensor& t = tensor_of(self);
    GS_CHECK(t.numel() != 0, Runtime, "bool", "the truth value of an empty tensor is ambiguous.");
    GS_CHECK(t.numel() == 1, Runtime, "bool", "the truth value of a tensor of ", t.numel(),
             " elements is ambiguous; use .any() or .all().");
    result = t.item().to_double() != 0;
  });
  return result;
}

PyObject* to_int(PyObject* self) {
  return guard([&]() -> PyObject* {
    const Scalar value = only_element(self, "int");
    if (!value.is_floating()) return PyLong_FromLongLong(value.to_int());
    return PyLong_FromDouble(value.to_double());  // refuses NaN and infinities as Python does
  });
}

PyObject* to_float(PyObject* self) {
  return guard([&] { return PyFloat_FromDouble(only_element(self, "float").to_double()); });
}

PyObject* to_index(PyObject* self) {
  return guard([&]() -> PyObject* {
    const Tensor& t = tensor_of(self);
    GS_CHECK(t.numel() == 1 && !is_floating(t.dtype()), Type, "index",
             "only an integer tensor of one element can be an index, got dtype ", t.dtype(),
             " and shape ", t.shape(), ".");
    return PyLong_FromLongLong(t.item().to_int());
  });
}

}  // namespace

PyObject* compare(PyObject* a, PyObject* b, int operation) {
  switch (operation) {
    case Py_EQ:
      return binary<&ops::eq>(a, b);
    case Py_NE:
      return binary<&ops::ne>(a, b);
    case Py_LT:
      return binary<&ops::lt>(a, b);
    case Py_LE:
      return binary<&ops::le>(a, b);
    case Py_GT:
      return binary<&ops::gt>(a, b);
    default:
      return binary<&ops::ge>(a, b);
  }
}

void add_number_slots(std::vector<PyType_Slot>& slots) {
  const auto add_slot = [&](int id, auto* function) {
    slots.push_back({id, reinterpret_cast<void*>(function)});
  };
  add_slot(Py_nb_add, binary<&add>);
  add_slot(Py_nb_subtract, binary<&sub>);
  add_slot(Py_nb_multiply, binary<&ops::mul>);
  add_slot(Py_nb_true_divide, true_divide);
  add_slot(Py_nb_floor_divide, binary<&ops::floor_divide>);
  add_slot(Py_nb_remainder, binary<&ops::remainder>);
  add_slot(Py_nb_power, power);
  add_slot(Py_nb_matrix_multiply, matmul);
  add_slot(Py_nb_and, binary<&ops::bitwise_and>);
  add_slot(Py_nb_or, binary<&ops::bitwise_or>);
  add_slot(Py_nb_xor, binary<&ops::bitwise_xor>);
  add_slot(Py_nb_lshift, binary<&ops::bitwise_left_shift>);
  add_slot(Py_nb_rshift, binary<&ops::bitwise_right_shift>);
  add_slot(Py_nb_inplace_add, in_place<&add_>);
  add_slot(Py_nb_inplace_subtract, in_place<&sub_>);
  add_slot(Py_nb_inplace_multiply, in_place<&ops::mul_>);
  add_slot(Py_nb_inplace_true_divide, in_place<&ops::div_>);
  add_slot(Py_nb_inplace_floor_divide, in_place<&ops::floor_divide_>);
  add_slot(Py_nb_inplace_remainder, in_place<&ops::remainder_>);
  add_slot(Py_nb_inplace_power, power_in_place);
  add_slot(Py_nb_inplace_and, in_place<&ops::bitwise_and_>);
  add_slot(Py_nb_inplace_or, in_place<&ops::bitwise_or_>);
  add_slot(Py_nb_inplace_xor, in_place<&ops::bitwise_xor_>);
  add_slot(Py_nb_inplace_lshift, in_place<&ops::bitwise_left_shift_>);
  add_slot(Py_nb_inplace_rshift, in_place<&ops::bitwise_right_shift_>);
  add_slot(Py_nb_negative, unary<&ops::neg>);
  add_slot(Py_nb_absolute, unary<&ops::abs>);
  add_slot(Py_nb_invert, unary<&ops::bitwise_not>);
  add_slot(Py_nb_positive, positive);
  add_slot(Py_nb_bool, truth);
  add_slot(Py_nb_int, to_int);
  add_slot(Py_nb_float, to_float);
  add_slot(Py_nb_index, to_index);
}

}  // namespace gs::python
