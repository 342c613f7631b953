// Reading signatures once, and arguments at every call.
#include "binder.h"

#include <cstdlib>
#include <cstring>
#include <string_view>

namespace gs::python {
namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// The default values that signatures use: None, True, False, 'text', (), an int or a float.
PyObject* parse_default(std::string_view text) {
  const std::string value(text);
  if (value == "None") return Py_NewRef(Py_None);
  if (value == "True") return Py_NewRef(Py_True);
  if (value == "False") return Py_NewRef(Py_False);
  if (value == "()") return checked(PyTuple_New(0));
  if (value.front() == '\'') {
    return checked(PyUnicode_FromStringAndSize(value.data() + 1, Py_ssize_t(value.size()) - 2));
  }
  char* end = nullptr;
  const bool real = value.find_first_of(".e") != std::string::npos;
  PyObject* number = real ? PyFloat_FromDouble(std::strtod(value.c_str(), &end))
                          : PyLong_FromLongLong(std::strtoll(value.c_str(), &end, 10));
  GS_CHECK(*end == '\0', Runtime, "gradstone", "cannot read the default '", value, "'.");
  return checked(number);
}

// Other names by which PyTorch knows a parameter, NumPy's among them.
bool is_called(PyObject* parameter, std::string_view name) {
  static constexpr std::pair<std::string_view, const char*> kNames[] = {
      {"axis", "dim"},   {"keepdims", "keepdim"}, {"value", "src"},
      {"size", "shape"}, {"size", "sizes"},
  };
  for (const auto& [other, own] : kNames)
    if (name == other && PyUnicode_CompareWithASCIIString(parameter, own) == 0) return true;
  return false;
}

bool is_one_int(PyObject* object) {
  int64_t ignored;
  return to_int64(object, &ignored) != Fit::No;
}

}  // namespace

Signature::Signature(const char* whole) : text(whole) {
  const size_t open = text.find('('), close = text.rfind(')');
  name = text.substr(0, open);
  label = name.substr(name.find_first_not_of('_'));
  takes_memory_format = label == "clone" || label == "contiguous";
  none_in_lists = label.starts_with("index") || label == "backward" || label == "grad";
  std::string_view left = std::string_view(text).substr(open + 1, close - open - 1);
  while (!left.empty()) {
    const size_t comma = left.find(',');
    std::string_view item = trim(left.substr(0, comma));
    left = comma == std::string_view::npos ? std::string_view() : left.substr(comma + 1);
    const size_t equals = item.find('=');
    std::string_view parameter = item.substr(0, equals);
    if (parameter.starts_with("*")) {
      rest = static_cast<int>(parameters.size());
      parameter.remove_prefix(1);
    }
    PyObject* fallback =
        equals == std::string_view::npos ? nullptr : parse_default(item.substr(equals + 1));
    parameters.push_back(
        {checked(PyUnicode_InternFromString(std::string(parameter).c_str())), fallback});
  }
}

Arguments::Arguments(const Signature& signature, PyObject* self, PyObject* const* args,
                     Py_ssize_t count, PyObject* keywords)
    : signature_(signature) {
  const int n = static_cast<int>(signature.parameters.size());
  int at = 0;
  if (self) slots_[at++] = self;
  for (Py_ssize_t j = 0; j < count; ++j) {
    if (at == n) {
      refuse("takes at most " + std::to_string(self ? n - 1 : n) + " arguments, got " +
             std::to_string(count));
    }
    if (at == signature.rest && (count - j > 1 || is_one_int(args[j]))) {
      rest_ = args + j;
      rest_count_ = count - j;
      slots_[at++] = Py_None;
      break;
    }
    slots_[at++] = args[j];
  }
  for (int i = at; i < n; ++i) slots_[i] = nullptr;
  if (keywords) {
    for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(keywords); ++k) {
      place_keyword(PyTuple_GET_ITEM(keywords, k), args[count + k]);
    }
  }
  for (int i = at; i < n; ++i) {
    if (slots_[i]) continue;
    slots_[i] = signature.parameters[i].fallback;
    if (!slots_[i]) {
      refuse("misses the argument '" + py::str(signature.parameters[i].name).cast<std::string>() +
             "'");
    }
  }
}

void Arguments::place_keyword(PyObject* name, PyObject* value) {
  const std::vector<Parameter>& parameters = signature_.parameters;
  int found = -1;
  for (size_t i = 0; i < parameters.size() && found < 0; ++i) {
    if (parameters[i].name == name) found = static_cast<int>(i);
  }
  const std::string text = found < 0 ? py::str(name).cast<std::string>() : std::string();
  for (size_t i = 0; i < parameters.size() && found < 0; ++i) {
    const bool same = PyUnicode_CompareWithASCIIString(parameters[i].name, text.c_str()) == 0;
    if (same || is_called(parameters[i].name, text)) found = static_cast<int>(i);
  }
  // Tensors are laid out as they are made: the formats there are ask for nothing else.
  if (text == "memory_format" && found < 0 && signature_.takes_memory_format) return;
  if (found < 0) refuse("has no argument '" + text + "'");
  if (slots_[found]) {
    refuse("got the argument '" + py::str(parameters[found].name).cast<std::string>() + "' twice");
  }
  slots_[found] = value;
}

void Arguments::refuse(const std::string& what) const {
  raise(ErrorKind::Type, signature_.label.c_str(), what, ". Signature: ", signature_.text, ".");
}

void Arguments::wrong(int i, const char* expected) const { wrong(i, expected, nullptr); }

void Arguments::wrong(int i, const char* expected, PyObject* element) const {
  const std::string name = py::str(signature_.parameters[i].name);
  const std::string got =
      element ? "an element of type " + type_name(element) : type_name(slots_[i]);
  refuse("argument '" + name + "' must be " + expected + ", got " + got);
}

void Arguments::too_large(int i) const {
  const std::string name = py::str(signature_.parameters[i].name);
  raise(ErrorKind::Value, signature_.label.c_str(), "argument '", name,
        "' does not fit in 64 bits.");
}

// ------------------------------------------------------------------------------ one argument at a
// time

const Tensor& tensor_argument(const Arguments& in, int i) {
  static const Tensor undefined;
  if (is_tensor(in[i])) return tensor_of(in[i]);
  if (in[i] == Py_None && in.is_default(i)) return undefined;
  in.wrong(i, "a Tensor");
}

OperandArgument::OperandArgument(const Arguments& in, int i) {
  if (is_tensor(in[i])) {
    given_ = &tensor_of(in[i]);
    return;
  }
  Scalar value;
  const Fit fit = to_scalar(in[i], &value);
  if (fit == Fit::TooLarge) in.too_large(i);
  if (fit == Fit::No) in.wrong(i, "a Tensor or a number");
  made_.emplace(value);
}

Tensors tensors_argument(const Arguments& in, int i) {
  PyObject* list = in[i];
  if (!PyList_Check(list) && !PyTuple_Check(list)) in.wrong(i, "a list or tuple of Tensors");
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(list);
  Tensors out;
  out.reserve(static_cast<size_t>(n));
  for (Py_ssize_t j = 0; j < n; ++j) {
    PyObject* item = PySequence_Fast_GET_ITEM(list, j);
    if (is_tensor(item)) {
      out.push_back(tensor_of(item));
    } else if (item == Py_None && in.none_in_lists()) {
      out.emplace_back();
    } else {
      in.wrong(i, "a list or tuple of Tensors", item);
    }
  }
  return out;
}

Scalar scalar_argument(const Arguments& in, int i) {
  Scalar value;
  const Fit fit = to_scalar_or_item(in[i], &value);
  if (fit == Fit::TooLarge) in.too_large(i);
  if (fit == Fit::No) in.wrong(i, "a number");
  return value;
}

int64_t int_argument(const Arguments& in, int i) {
  int64_t value = 0;
  const Fit fit = to_int64(in[i], &value);
  if (fit == Fit::TooLarge) in.too_large(i);
  if (fit == Fit::No) in.wrong(i, "an int");
  return value;
}

double double_argument(const Arguments& in, int i) {
  if (PyFloat_CheckExact(in[i])) return PyFloat_AS_DOUBLE(in[i]);
  Scalar value;
  const Fit fit = to_scalar_or_item(in[i], &value);
  if (fit == Fit::TooLarge) in.too_large(i);
  if (fit == Fit::No) in.wrong(i, "a float");
  return value.to_double();
}

ops::Bound bound_argument(const Arguments& in, int i) {
  if (in[i] == Py_None) return std::nullopt;
  if (is_tensor(in[i])) return tensor_of(in[i]);
  Scalar value;
  const Fit fit = to_scalar(in[i], &value);
  if (fit == Fit::TooLarge) in.too_large(i);
  if (fit == Fit::No) in.wrong(i, "a Tensor or a number");
  return value;
}

ops::NormOrder norm_order_argument(const Arguments& in, int i) {
  if (in[i] == Py_None) return 2.0;
  if (!PyUnicode_Check(in[i])) return double_argument(in, i);
  GS_CHECK(PyUnicode_CompareWithASCIIString(in[i], "fro") == 0, Value, "norm",
           "expected p to be a number or 'fro', got '", string_argument(in, i), "'.");
  return 2.0;
}

bool bool_argument(const Arguments& in, int i) {
  bool value = false;
  if (!to_bool(in[i], &value)) in.wrong(i, "a bool");
  return value;
}

Dims dims_argument(const Arguments& in, int i) {
  Dims out;
  if (in.has_rest(i)) {
    for (Py_ssize_t j = 0; j < in.rest_count(); ++j) {
      int64_t value = 0;
      const Fit fit = to_int64(in.rest()[j], &value);
      if (fit == Fit::TooLarge) in.too_large(i);
      if (fit == Fit::No) in.wrong(i, "ints", in.rest()[j]);
      out.push_back(value);
    }
    return out;
  }
  py::object bad;
  const Fit fit = to_dims(in[i], &out, &bad);
  if (fit == Fit::TooLarge) in.too_large(i);
  if (fit == Fit::No) in.wrong(i, "an int or a sequence of ints", bad.ptr());
  return out;
}

DType dtype_argument(const Arguments& in, int i) {
  DType value;
  if (!to_dtype(in[i], &value)) in.wrong(i, "a dtype");
  return value;
}

Device device_argument(const Arguments& in, int i) {
  Device value;
  if (!to_device(in[i], &value)) in.wrong(i, "a device or its name");
  return value;
}

std::string string_argument(const Arguments& in, int i) {
  if (PyUnicode_Check(in[i])) return borrow(in[i]).cast<std::string>();
  // rounding_mode='' is written None by PyTorch's users.
  if (in[i] == Py_None) return {};
  in.wrong(i, "a str");
}

// ------------------------------------------------------------------------------------------- table

const Signature* Table::read(const char* text, size_t count) {
  const auto* signature = new Signature(text);  // as long-lived as the function itself
  GS_CHECK(signature->parameters.size() == count, Runtime, "gradstone", "the signature '", text,
           "' does not have the ", count, " parameters of its function.");
  return signature;
}

void Table::append(std::vector<PyMethodDef>& to, const Signature& signature, void* function,
                   bool is_method, const char* doc) {
  std::string text = signature.text;
  if (is_method) {  // inspect.signature() wants $self first
    const size_t open = text.find('(') + 1, end = text.find_first_of(",)", open);
    text = text.substr(0, open) + "$self" + text.substr(end);
  }
  text += std::string("\n--\n\n") + doc;
  char* kept = new char[text.size() + 1];
  std::memcpy(kept, text.c_str(), text.size() + 1);
  to.push_back({signature.name.c_str(), reinterpret_cast<PyCFunction>(function),
                METH_FASTCALL | METH_KEYWORDS, kept});
}

}  // namespace gs::python
