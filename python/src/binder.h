// Makes a CPython function out of a C++ function and a Python signature.
//
//   table.add<&ops::softmax>("softmax(input, dim, dtype=None)", Kind::FM, "what it does")
//
// The types come from the function pointer, the names and defaults from the text, which is read
// once.
#pragma once

#include <tuple>
#include <vector>

#include "convert.h"
#include "ops/autocast.h"

namespace gs::python {

// F a function of the module, M a method of Tensor, FM both, N a function the package builds on.
enum class Kind { F, M, FM, N };

struct Parameter {
  PyObject* name;      // interned
  PyObject* fallback;  // the default; null: must be given
};

struct Signature {
  explicit Signature(const char* text);
  std::string text;   // "softmax(input, dim, dtype=None)"
  std::string name;   // "softmax"
  std::string label;  // the same without leading underscores, for messages
  std::vector<Parameter> parameters;
  int rest = -1;               // which parameter is written *name: f(2, 3) and f((2, 3))
  bool none_in_lists = false;  // lists of tensors may hold None
  bool takes_memory_format = false;
};

inline constexpr int kMaxParameters = 20;

// The Python arguments of one call, one slot for each parameter; all borrowed.
class Arguments {
 public:
  Arguments(const Signature& signature, PyObject* self, PyObject* const* args, Py_ssize_t count,
            PyObject* keywords);

  PyObject* operator[](int i) const { return slots_[i]; }
  bool is_default(int i) const { return slots_[i] == signature_.parameters[i].fallback; }
  bool none_in_lists() const { return signature_.none_in_lists; }
  bool has_rest(int i) const { return i == signature_.rest && rest_; }
  PyObject* const* rest() const { return rest_; }
  Py_ssize_t rest_count() const { return rest_count_; }

  // "[softmax] argument 'dim' must be an int, got str. Signature: ..."
  [[noreturn]] void wrong(int i, const char* expected) const;
  [[noreturn]] void wrong(int i, const char* expected, PyObject* element) const;
  [[noreturn]] void too_large(int i) const;

 private:
  void place_keyword(PyObject* name, PyObject* value);
  [[noreturn]] void refuse(const std::string& what) const;

  const Signature& signature_;
  PyObject* slots_[kMaxParameters];
  PyObject* const* rest_ = nullptr;
  Py_ssize_t rest_count_ = 0;
};

// ------------------------------------------------------------------------- one argument at a time

const Tensor& tensor_argument(const Arguments& in, int i);
Tensors tensors_argument(const Arguments& in, int i);
Scalar scalar_argument(const Arguments& in, int i);
int64_t int_argument(const Arguments& in, int i);
double double_argument(const Arguments& in, int i);
bool bool_argument(const Arguments& in, int i);
Dims dims_argument(const Arguments& in, int i);
DType dtype_argument(const Arguments& in, int i);
Device device_argument(const Arguments& in, int i);
std::string string_argument(const Arguments& in, int i);
ops::Bound bound_argument(const Arguments& in, int i);
ops::NormOrder norm_order_argument(const Arguments& in, int i);

// A tensor by reference, or a number made into one for the time of the call.
class OperandArgument {
 public:
  OperandArgument(const Arguments& in, int i);
  const ops::Operand& get() const { return made_ ? *made_ : *given_; }

 private:
  const ops::Operand* given_ = nullptr;
  std::optional<ops::Operand> made_;
};

template <class T>
struct Argument;  // Held: what is kept during the call

#define GS_ARGUMENT(Type, HeldType, function)                                               \
  template <>                                                                               \
  struct Argument<Type> {                                                                   \
    using Held = HeldType;                                                                  \
    static Held read(const Arguments& in, int i) { return function(in, i); }                \
    static const std::remove_reference_t<HeldType>& pass(const Held& held) { return held; } \
  };
GS_ARGUMENT(const Tensor&, const Tensor&, tensor_argument)
GS_ARGUMENT(const Tensors&, Tensors, tensors_argument)
GS_ARGUMENT(Scalar, Scalar, scalar_argument)
GS_ARGUMENT(int64_t, int64_t, int_argument)
GS_ARGUMENT(double, double, double_argument)
GS_ARGUMENT(bool, bool, bool_argument)
GS_ARGUMENT(const Dims&, Dims, dims_argument)
GS_ARGUMENT(DType, DType, dtype_argument)
GS_ARGUMENT(Device, Device, device_argument)
GS_ARGUMENT(const std::string&, std::string, string_argument)
GS_ARGUMENT(ops::NormOrder, ops::NormOrder, norm_order_argument)
#undef GS_ARGUMENT

template <>
struct Argument<const ops::Operand&> {
  using Held = OperandArgument;
  static Held read(const Arguments& in, int i) { return {in, i}; }
  static const ops::Operand& pass(const Held& held) { return held.get(); }
};
template <>
struct Argument<const ops::Bound&> {
  using Held = ops::Bound;
  static Held read(const Arguments& in, int i) { return bound_argument(in, i); }
  static const ops::Bound& pass(const Held& held) { return held; }
};
// Functions written for Python take the object itself (borrowed).
template <>
struct Argument<PyObject*> {
  using Held = PyObject*;
  static Held read(const Arguments& in, int i) { return in[i]; }
  static PyObject* pass(Held held) { return held; }
};
template <class T>
struct optional_of {
  using type = T;
};
template <>
struct optional_of<Dims> {
  using type = const Dims&;
};
template <class T>
struct Argument<std::optional<T>> {
  using Held = std::optional<T>;
  static Held read(const Arguments& in, int i) {
    if (in[i] == Py_None && !in.has_rest(i)) return std::nullopt;
    return Argument<typename optional_of<T>::type>::read(in, i);
  }
  static const Held& pass(const Held& held) { return held; }
};

// ---------------------------------------------------------------------------------------- results

inline PyObject* to_result(Tensor&& t) { return wrap(std::move(t)); }
inline PyObject* to_result(const Tensors& t) { return wrap_tuple(t); }
inline PyObject* to_result(const ops::ValuesIndices& pair) { return values_indices_object(pair); }
inline PyObject* to_result(double v) { return PyFloat_FromDouble(v); }
inline PyObject* to_result(bool v) { return PyBool_FromLong(v); }
inline PyObject* to_result(int64_t v) { return PyLong_FromLongLong(v); }
inline PyObject* to_result(const std::string& v) {
  return PyUnicode_FromStringAndSize(v.data(), static_cast<Py_ssize_t>(v.size()));
}
inline PyObject* to_result(PyObject* object) { return object; }  // a new reference already

// ------------------------------------------------------------------------------------ the function

template <class R, class... P, size_t... I>
PyObject* call_with(R (*function)(P...), const Arguments& in, std::index_sequence<I...>) {
  // Braces: the arguments are read from left to right, so the first bad one is reported.
  const std::tuple<typename Argument<P>::Held...> held{Argument<P>::read(in, int(I))...};
  if constexpr (std::is_void_v<R>) {
    function(Argument<P>::pass(std::get<I>(held))...);
    return Py_NewRef(Py_None);
  } else {
    return to_result(function(Argument<P>::pass(std::get<I>(held))...));
  }
}

// The same while autocast is on, for an operation that it concerns.
template <class R, class... P, size_t... I>
[[gnu::noinline]] PyObject* call_cast(R (*function)(P...), const Arguments& in,
                                      autocast::Policy policy, std::index_sequence<I...>) {
  const std::tuple<typename Argument<P>::Held...> held{Argument<P>::read(in, int(I))...};
  autocast::Casts casts(policy);
  (casts.see(Argument<P>::pass(std::get<I>(held))), ...);
  return to_result(function(casts.cast(Argument<P>::pass(std::get<I>(held)))...));
}

template <class R, class... P>
constexpr size_t count_of(R (*)(P...)) {
  return sizeof...(P);
}

template <auto function, autocast::Policy policy>
struct BoundFunction {
  static inline const Signature* signature = nullptr;
  static constexpr size_t count = count_of(function);

  [[gnu::noinline]] static PyObject* call(PyObject* self, PyObject* const* args, Py_ssize_t n,
                                          PyObject* keywords) noexcept {
    return guard([&] {
      const Arguments in(*signature, self, args, n, keywords);
      if constexpr (policy != autocast::Policy::None) {
        if (autocast::active()) [[unlikely]]
          return call_cast(function, in, policy, std::make_index_sequence<count>());
      }
      return call_with(function, in, std::make_index_sequence<count>());
    });
  }
  static PyObject* as_function(PyObject*, PyObject* const* args, Py_ssize_t n, PyObject* keywords) {
    return call(nullptr, args, n, keywords);
  }
};

class Table {
 public:
  template <auto function, autocast::Policy policy = autocast::Policy::None>
  void add(const char* text, Kind kind, const char* doc) {
    using This = BoundFunction<function, policy>;
    static_assert(This::count <= kMaxParameters);
    This::signature = read(text, This::count);
    if (kind != Kind::M) {
      append(functions, *This::signature, reinterpret_cast<void*>(&This::as_function), false, doc);
    }
    if (kind == Kind::M || kind == Kind::FM) {
      append(methods, *This::signature, reinterpret_cast<void*>(&This::call), true, doc);
    }
  }

  std::vector<PyMethodDef> functions, methods;

 private:
  static const Signature* read(const char* text, size_t count);
  static void append(std::vector<PyMethodDef>& to, const Signature& signature, void* function,
                     bool is_method, const char* doc);
};

void add_elementwise_operations(Table& table);
void add_shape_operations(Table& table);
void add_network_operations(Table& table);
void add_tensor_methods(Table& table);
void add_hook_methods(Table& table);
void add_array_functions(Table& table);
void add_autograd_functions(Table& table);
void add_config_functions(Table& table);

}  // namespace gs::python
