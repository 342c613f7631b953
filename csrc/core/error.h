// Errors that Python users see. One sentence: the operation, what was expected, what came.
#pragma once

#include <exception>
#include <sstream>
#include <string>
#include <utility>

namespace gs {

// Decides the Python exception: ValueError, TypeError, IndexError, MemoryError, RuntimeError,
// NotImplementedError.
enum class ErrorKind { Value, Type, Index, Memory, Runtime, NotImplemented };

class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}
  ErrorKind kind() const { return kind_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  ErrorKind kind_;
  std::string message_;
};

// raise(ErrorKind::Value, "conv2d", "expected ", a, ", got ", b) throws "[conv2d] expected a, got
// b".
template <class... Parts>
[[noreturn, gnu::cold, gnu::noinline]] void raise(ErrorKind kind, const char* op,
                                                  const Parts&... parts) {
  std::ostringstream text;
  if (op && *op) text << '[' << op << "] ";
  (text << ... << parts);
  throw Error(kind, text.str());
}

}  // namespace gs

// GS_CHECK(x.dim() == 2, Value, "mm", "expected a matrix, got shape ", x.shape(), ".");
#define GS_CHECK(condition, kind, op, ...)                 \
  do {                                                     \
    if (!(condition)) [[unlikely]]                         \
      ::gs::raise(::gs::ErrorKind::kind, op, __VA_ARGS__); \
  } while (0)
