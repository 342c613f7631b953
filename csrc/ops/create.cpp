// New tensors, conversions and whole-tensor writes.
#include <cmath>

#include "core/device_runtime.h"
#include "kernels/params/copy.h"
#include "ops/common.h"

namespace gs::ops {

Tensor full(const Dims& shape, Scalar value, OptionalDType dtype, Device device) {
  Tensor out = empty(shape, dtype.value_or(value.dtype()), device);
  fill_with("full", out, value);
  return out;
}

Tensor empty_tensor(const Dims& shape, OptionalDType dtype, Device device) {
  return empty(shape, dtype.value_or(default_dtype()), device);
}

Tensor arange(Scalar start, Scalar end, Scalar step, OptionalDType dtype, Device device) {
  const bool real = start.is_floating() || end.is_floating() || step.is_floating();
  const DType type = dtype.value_or(real ? default_dtype() : DType::Int64);
  const double from = start.to_double(), to = end.to_double(), by = step.to_double();
  GS_CHECK(by != 0 && std::isfinite(by), Value, "arange",
           "expected a finite step other than 0, got ", by, ".");
  GS_CHECK(std::isfinite(from) && std::isfinite(to), Value, "arange",
           "expected finite bounds, got ", from, " and ", to, ".");
  GS_CHECK(by > 0 ? to >= from : to <= from, Value, "arange", "bounds ", from, " and ", to,
           " do not agree with the sign of step ", by, ".");
  const double count = std::ceil((to - from) / by);
  GS_CHECK(count < 9e18, Value, "arange", "a range of ", count,
           " elements is larger than any memory.");
  Tensor out = empty({static_cast<int64_t>(count)}, type, device);
  if (out.numel()) kernels::arange(device, {out.raw(), out.numel(), type, from, by});
  return out;
}

Tensor linspace(double start, double end, int64_t steps, OptionalDType dtype, Device device) {
  GS_CHECK(steps >= 0, Value, "linspace", "expected steps of 0 or more, got ", steps, ".");
  const DType type = dtype.value_or(default_dtype());
  Tensor out = empty({steps}, DType::Float64);
  double* p = out.data<double>();
  const double by = steps > 1 ? (end - start) / static_cast<double>(steps - 1) : 0;
  // From both ends, so that the last value is exactly `end`.
  for (int64_t i = 0; i < steps; ++i)
    p[i] = i < (steps + 1) / 2 ? start + by * double(i) : end - by * double(steps - 1 - i);
  return to_device(cast(out, type), device);
}

Tensor eye(int64_t n, std::optional<int64_t> m, OptionalDType dtype, Device device) {
  const int64_t cols = m.value_or(n);
  Tensor out = zeros({n, cols}, dtype.value_or(default_dtype()), device);
  const int64_t length = std::min(n, cols);
  if (length > 0) {
    Tensor diagonal = alias(out, {length}, {cols + 1}, 0);
    kernels::fill(device, {make_loop({&diagonal}), 1.0, 1});
  }
  return out;
}

Tensor cast(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  if (x.body()->wrapped_number && (dtype == DType::Float32 || dtype == DType::Float64)) {
    Tensor number = wrapped_number(x.item(), dtype);
    number.body()->wrapped_number = false;
    return number;
  }
  Tensor y = empty(x.shape(), dtype, x.device());
  copy_into(y, x);
  if (is_floating(dtype) && needs_grad(x)) {
    record("cast", y, inputs(x),
           [from = x.dtype()](Backward& b) -> Tensors { return {cast(b.grad(), from)}; });
  }
  return y;
}

Tensor empty_pinned(const Shape& shape, DType dtype) {
  const int64_t bytes = checked_numel(shape, "pin_memory") * size_of(dtype);
  return from_storage(Storage::allocate_pinned(bytes), shape, contiguous_strides(shape), 0, dtype);
}

Tensor to_device(const Tensor& x, Device device, bool non_blocking) {
  if (x.device() == device) return x;
  const Tensor from = contiguous(detached(x));
  Tensor y = non_blocking && device.is_cpu() ? empty_pinned(x.shape(), x.dtype())
                                             : empty(x.shape(), x.dtype(), device);
  copy_bytes(y.raw(), device, from.raw(), x.device(), y.numel() * size_of(y.dtype()), non_blocking);
  if (needs_grad(x)) {
    record("to_device", y, inputs(x),
           [from = x.device()](Backward& b) -> Tensors { return {to_device(b.grad(), from)}; });
  }
  return y;
}

Tensor pin_memory(const Tensor& x) {
  check_defined("pin_memory", x, "input");
  GS_CHECK(x.device().is_cpu(), Runtime, "pin_memory",
           "expected a tensor in the memory of the host, got one on ", x.device(), ".");
  if (x.body()->storage->is_pinned()) return x;
  Tensor y = empty_pinned(x.shape(), x.dtype());
  copy_into(y, x);
  if (needs_grad(x)) {
    record("pin_memory", y, inputs(x), [](Backward& b) -> Tensors { return {b.grad()}; });
  }
  return y;
}

Tensor clone(const Tensor& x) {
  Tensor y = empty_like(x);
  copy_into(y, x);
  if (needs_grad(x)) {
    record("clone", y, inputs(x), [](Backward& b) -> Tensors { return {b.grad()}; });
  }
  return y;
}

Tensor contiguous(const Tensor& x) { return x.is_contiguous() ? x : clone(x); }

Tensor detach(const Tensor& x) { return detached(x); }

Tensor copy_(const Tensor& x, const Operand& source, bool non_blocking) {
  check_defined("copy_", source, "source");
  GS_CHECK(broadcast(x.shape(), source.shape(), "copy_") == x.shape(), Value, "copy_",
           "expected a source that broadcasts to shape ", x.shape(), ", got ", source.shape(), ".");
  // Copying a tensor onto an overlapping window of itself goes through a buffer.
  const bool shared = x.body()->storage == source.body()->storage;
  const bool afar = source.device() != x.device() && !is_host_number(source);
  // Equal dense tensors of two devices are copied without a buffer.
  const bool direct = afar && x.is_contiguous() && source.shape() == x.shape() &&
                      source.dtype() == x.dtype() && !needs_grad(source);
  const Tensor from = shared            ? clone(source)
                      : afar && !direct ? to_device(source, x.device())
                      : direct          ? contiguous(source)
                                        : static_cast<const Tensor&>(source);
  return autograd::in_place("copy_", x, [&](const Tensor& old, Tensor& out) {
    if (direct)
      copy_bytes(out.raw(), out.device(), from.raw(), from.device(),
                 out.numel() * size_of(out.dtype()), non_blocking);
    else
      copy_into(out, from);
    if (!is_floating(out.dtype()) || !needs_grad(old, from)) return;
    record("copy_", out, inputs(old, from),
           [shape = from.shape(), dtype = from.dtype()](Backward& b) -> Tensors {
             return {b.needs(0) ? zeros_like(b.grad()) : Tensor(),
                     b.needs(1) ? cast(reduce_to(b.grad(), shape), dtype) : Tensor()};
           });
  });
}

Tensor fill_(const Tensor& x, Scalar value) {
  return autograd::in_place("fill_", x, [&](const Tensor& old, Tensor& out) {
    fill_with("fill_", out, value);
    if (needs_grad(old)) {
      record("fill_", out, inputs(old),
             [](Backward& b) -> Tensors { return {zeros_like(b.grad())}; });
    }
  });
}

Tensor zero_(const Tensor& x) { return fill_(x, Scalar(0)); }

}  // namespace gs::ops
