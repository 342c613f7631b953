#include "core/tensor.h"

#include <limits>

#include "core/device_runtime.h"
#include "core/thread_local.h"

namespace gs {

void TensorBody::destroy(TensorBody* body) { delete body; }

namespace {

thread_local bool inference_tensors GS_INITIAL_EXEC = false;

Tensor make(Ref<Storage> storage, const Shape& shape, const Strides& strides, int64_t offset,
            DType dtype, int64_t numel, bool contiguous) {
  auto* body = new TensorBody(std::move(storage), shape, offset, numel, dtype);
  body->strides = strides;
  body->contiguous = contiguous;
  body->inference = inference_tensors;
  return Tensor(Ref<TensorBody>::first(body));
}

int64_t checked_bytes(int64_t elements, DType dtype) {
  int64_t bytes;
  GS_CHECK(!__builtin_mul_overflow(elements, size_of(dtype), &bytes), Value, "empty",
           "a tensor of ", elements, " elements of ", dtype, " is larger than any memory.");
  return bytes;
}

}  // namespace

void set_making_inference_tensors(bool on) { inference_tensors = on; }
bool making_inference_tensors() { return inference_tensors; }

Tensor empty(const Shape& shape, DType dtype, Device device) {
  const int64_t numel = checked_numel(shape, "empty");
  auto* body = new TensorBody(Storage::allocate(checked_bytes(numel, dtype), device), shape, 0,
                              numel, dtype);
  body->strides = contiguous_strides(shape);
  body->inference = inference_tensors;
  return Tensor(Ref<TensorBody>::first(body));
}

Tensor empty_strided(const Shape& shape, const Strides& strides, DType dtype, Device device) {
  const int64_t numel = checked_numel(shape, "empty_strided");
  int64_t extent = numel ? 1 : 0;
  for (int64_t i = 0; i < shape.size() && numel; ++i) extent += (shape[i] - 1) * strides[i];
  return make(Storage::allocate(checked_bytes(extent, dtype), device), shape, strides, 0, dtype,
              numel, is_contiguous(shape, strides));
}

Tensor alias(const Tensor& t, const Shape& shape, const Strides& strides, int64_t offset) {
  int64_t numel = 1;
  for (int64_t n : shape) numel *= n;
  Tensor out = make(t.body()->storage, shape, strides, offset, t.dtype(), numel,
                    is_contiguous(shape, strides));
  out.body()->inference = t.body()->inference || inference_tensors;
  out.body()->untracked = t.body()->untracked;
  return out;
}

Tensor from_storage(Ref<Storage> storage, const Shape& shape, const Strides& strides,
                    int64_t offset, DType dtype) {
  const int64_t numel = checked_numel(shape, "from_storage");
  return make(std::move(storage), shape, strides, offset, dtype, numel,
              is_contiguous(shape, strides));
}

Tensor wrapped_number(Scalar value) {
  Tensor out = empty({}, value.is_floating() ? DType::Float64 : value.dtype());
  if (value.is_floating()) {
    *out.data<double>() = value.to_double();
  } else if (value.kind() == Scalar::Kind::Bool) {
    *out.data<bool>() = value.to_int() != 0;
  } else {
    *out.data<int64_t>() = value.to_int();
  }
  out.body()->wrapped_number = true;
  return out;
}

Tensor wrapped_number(Scalar value, DType dtype) {
  Tensor out = empty({}, dtype);
  // An integer goes to float in one rounding.
  if (dtype == DType::Float64) {
    *out.data<double>() = value.to_double();
  } else if (value.is_floating()) {
    *out.data<float>() = static_cast<float>(value.to_double());
  } else {
    *out.data<float>() = static_cast<float>(value.to_int());
  }
  out.body()->wrapped_number = true;
  return out;
}

Scalar Tensor::item() const {
  GS_CHECK(numel() == 1, Runtime, "item", "expected a tensor of one element, got shape ", shape(),
           ".");
  return visit(dtype(), [&](auto tag) -> Scalar {
    using T = typename decltype(tag)::type;
    T value;
    if (device().is_cpu())
      value = *data<T>();
    else
      copy_bytes(&value, Device{}, raw(), device(), sizeof value);
    if constexpr (std::is_same_v<T, bool>)
      return Scalar(value);
    else if constexpr (std::is_integral_v<T>)
      return Scalar(static_cast<int64_t>(value));
    else
      return Scalar(static_cast<double>(value));
  });
}

}  // namespace gs
