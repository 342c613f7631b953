// Max, average and adaptive pooling. Pooling is linear once the windows' winners are known, so the
// gradient of each is an operation whose own gradient is pooling (or gathering) again.
#include "kernels/params/pool.h"
#include "ops/window.h"

namespace gs::ops {
namespace {

// x is (..., W) or (..., H, W): in 1 dimension the height is 1.
void check_input(const char* op, int spatial, const Tensor& x) {
  check_floating(op, x);
  GS_CHECK(x.dim() == spatial + 1 || x.dim() == spatial + 2, Value, op, "expected input of shape ",
           spatial == 1 ? "(N, C, L) or (C, L)" : "(N, C, H, W) or (C, H, W)", ", got ", x.shape(),
           ".");
  for (int64_t i = x.dim() - spatial; i < x.dim(); ++i)
    GS_CHECK(x.size(i) >= 1 && x.size(i) <= (int64_t{1} << 60), Value, op,
             "expected an input without empty spatial dimensions, got ", x.shape(), ".");
}

int64_t planes_of(const Shape& x, int spatial) {
  int64_t planes = 1;
  for (int64_t i = 0; i < x.size() - spatial; ++i) planes *= x[i];
  return planes;
}

// The last window of ceil_mode must start inside the input or its left padding.
int64_t output_size(const char* op, const Shape& x, int64_t size, int64_t kernel, int64_t stride,
                    int64_t pad, int64_t dilation, bool ceil_mode) {
  const int64_t reach = dilation * (kernel - 1) + 1;
  GS_CHECK(pad <= reach / 2, Value, op, "expected padding of at most half the kernel's reach ",
           reach, ", got ", pad, ".");
  const int64_t room = size + 2 * pad - reach;
  GS_CHECK(room >= 0 || (ceil_mode && room + stride - 1 >= 0), Value, op, "the kernel's reach ",
           reach, " is larger than the padded input ", size + 2 * pad, " of ", x, ".");
  int64_t out = (room + (ceil_mode ? stride - 1 : 0)) / stride + 1;
  if (ceil_mode && (out - 1) * stride >= size + pad) --out;
  GS_CHECK(out >= 1, Value, op, "the output of input ", x, " would be empty.");
  return out;
}

PoolShape shape_of(const char* op, int spatial, DType dtype, const Shape& x, const Dims& kernel,
                   const OptionalDims& stride, const Dims& padding, const Dims& dilation,
                   bool ceil_mode) {
  PoolShape s;
  s.dtype = dtype;
  s.planes = planes_of(x, spatial);
  s.h = spatial == 1 ? 1 : x[x.size() - 2], s.w = x.back();
  s.kernel_h = s.stride_h = s.dilation_h = 1, s.pad_h = 0;
  parse_window(op, spatial, kernel, "kernel_size", 1, &s.kernel_h, &s.kernel_w);
  parse_window(op, spatial, stride && !stride->empty() ? *stride : kernel, "stride", 1, &s.stride_h,
               &s.stride_w);
  parse_window(op, spatial, padding, "padding", 0, &s.pad_h, &s.pad_w);
  parse_window(op, spatial, dilation, "dilation", 1, &s.dilation_h, &s.dilation_w);
  s.p = output_size(op, x, s.h, s.kernel_h, s.stride_h, s.pad_h, s.dilation_h, ceil_mode);
  s.q = output_size(op, x, s.w, s.kernel_w, s.stride_w, s.pad_w, s.dilation_w, ceil_mode);
  return s;
}

Shape pooled_shape(Shape shape, int spatial, int64_t p, int64_t q) {
  shape.back() = q;
  if (spatial == 2) shape[shape.size() - 2] = p;
  return shape;
}

// ---- maximum

// Positions of winners are kept in 32 bits: half the memory that a training step moves for them.
void check_plane(const char* op, int64_t h, int64_t w) {
  GS_CHECK(h <= INT32_MAX / w, Value, op, "expected planes of at most ", INT32_MAX,
           " elements, got ", h, " x ", w, ".");
}

// dx from dy and the position of each winner; its gradient gathers at the same positions.
Tensor max_pool_scatter(const Tensor& grad, const Tensor& indices, const PoolShape& s,
                        const Shape& x_shape) {
  const Tensor dy = contiguous(grad);
  Tensor dx = empty(x_shape, s.dtype, dy.device());
  if (dx.numel())
    kernels::max_pool2d_grad(dy.device(), {s, dy.raw(), indices.data<int32_t>(), dx.raw()});
  if (needs_grad(dy)) {
    record("max_pool2d_grad", dx, inputs(dy),
           [indices = Saved(indices), s](Backward& b) -> Tensors {
             const Tensor at = cast(indices.get(b), DType::Int64), g = b.grad();
             const Tensor flat = reshape(at, {s.planes, s.p * s.q});
             const Tensor picked = gather(reshape(g, {s.planes, s.h * s.w}), 1, maximum(flat, 0));
             // -1 marks a window that met padding alone.
             return {reshape(where(ge(flat, 0), picked, 0.0), at.shape())};
           });
  }
  return dx;
}

void record_max_pool(const char* name, Tensor& y, const Tensor& x, const Tensor& indices,
                     const PoolShape& s) {
  record(name, y, inputs(x),
         [indices = Saved(indices), s, x_shape = x.shape()](Backward& b) -> Tensors {
           return {max_pool_scatter(b.grad(), indices.get(b), s, x_shape)};
         });
}

ValuesIndices max_pool(const char* op, int spatial, const Tensor& input, const Dims& kernel,
                       const OptionalDims& stride, const Dims& padding, const Dims& dilation,
                       bool ceil_mode, bool want_indices) {
  check_input(op, spatial, input);
  const PoolShape s = shape_of(op, spatial, input.dtype(), input.shape(), kernel, stride, padding,
                               dilation, ceil_mode);
  check_plane(op, s.h, s.w);
  const Tensor x = contiguous(input);
  const Shape shape = pooled_shape(x.shape(), spatial, s.p, s.q);
  const bool differentiate = needs_grad(x);
  Tensor y = empty(shape, s.dtype, x.device()), indices;
  if (want_indices || differentiate) indices = empty(shape, DType::Int32, x.device());
  if (y.numel())
    kernels::max_pool2d(
        x.device(), {s, x.raw(), y.raw(), indices.defined() ? indices.data<int32_t>() : nullptr});
  if (differentiate) record_max_pool(op, y, x, indices, s);
  return {y, indices};
}

// ---- average

struct Average {
  PoolShape shape;
  bool count_include_pad;
  int64_t divisor;
  Shape x_shape, y_shape;
};

Tensor average_spread(const Tensor& grad, const Average& a);

Tensor average(const char* name, const Tensor& input, const Average& a) {
  const Tensor x = contiguous(input);
  Tensor y = empty(a.y_shape, a.shape.dtype, x.device());
  if (y.numel())
    kernels::avg_pool2d(x.device(), {a.shape, a.count_include_pad, a.divisor, x.raw(), y.raw()});
  if (needs_grad(x)) {
    record(name, y, inputs(x),
           [a](Backward& b) -> Tensors { return {average_spread(b.grad(), a)}; });
  }
  return y;
}

Tensor average_spread(const Tensor& grad, const Average& a) {
  const Tensor dy = contiguous(grad);
  Tensor dx = empty(a.x_shape, a.shape.dtype, dy.device());
  if (dx.numel())
    kernels::avg_pool2d_grad(dy.device(),
                             {a.shape, a.count_include_pad, a.divisor, dy.raw(), dx.raw()});
  if (needs_grad(dy)) {
    record("avg_pool2d_grad", dx, inputs(dy),
           [a](Backward& b) -> Tensors { return {average("avg_pool2d", b.grad(), a)}; });
  }
  return dx;
}

Tensor avg_pool(const char* op, int spatial, const Tensor& x, const Dims& kernel,
                const OptionalDims& stride, const Dims& padding, bool ceil_mode,
                bool count_include_pad, int64_t divisor) {
  check_input(op, spatial, x);
  const PoolShape s =
      shape_of(op, spatial, x.dtype(), x.shape(), kernel, stride, padding, {1}, ceil_mode);
  return average(
      op, x,
      {s, count_include_pad, divisor, x.shape(), pooled_shape(x.shape(), spatial, s.p, s.q)});
}

// ---- adaptive

struct Adaptive {
  DType dtype;
  int64_t planes, h, w, p, q;
  Shape x_shape, y_shape;
};

Adaptive adaptive_of(const char* op, const Tensor& x, const Dims& output_size) {
  check_input(op, 2, x);
  int64_t p = 0, q = 0;
  parse_window(op, 2, output_size, "output_size", 0, &p, &q);
  const Shape y_shape = pooled_shape(x.shape(), 2, p, q);
  checked_numel(y_shape, op);
  return {x.dtype(), planes_of(x.shape(), 2), x.size(-2), x.size(-1), p, q, x.shape(), y_shape};
}

Tensor adaptive_spread(const Tensor& grad, const Adaptive& a);

Tensor adaptive_average(const Tensor& input, const Adaptive& a) {
  const Tensor x = contiguous(input);
  Tensor y = empty(a.y_shape, a.dtype, x.device());
  if (y.numel())
    kernels::adaptive_pool2d(x.device(),
                             {a.dtype, a.planes, a.h, a.w, a.p, a.q, x.raw(), y.raw(), nullptr});
  if (needs_grad(x)) {
    record("adaptive_avg_pool2d", y, inputs(x),
           [a](Backward& b) -> Tensors { return {adaptive_spread(b.grad(), a)}; });
  }
  return y;
}

Tensor adaptive_spread(const Tensor& grad, const Adaptive& a) {
  const Tensor dy = contiguous(grad);
  Tensor dx =
      dy.numel() ? empty(a.x_shape, a.dtype, dy.device()) : zeros(a.x_shape, a.dtype, dy.device());
  if (dy.numel())
    kernels::adaptive_avg_pool2d_grad(dy.device(),
                                      {a.dtype, a.planes, a.h, a.w, a.p, a.q, dy.raw(), dx.raw()});
  if (needs_grad(dy)) {
    record("adaptive_avg_pool2d_grad", dx, inputs(dy),
           [a](Backward& b) -> Tensors { return {adaptive_average(b.grad(), a)}; });
  }
  return dx;
}

}  // namespace

PoolShape max_pool2d_shape(const char* op, DType dtype, const Shape& x, const Dims& kernel,
                           const OptionalDims& stride, const Dims& padding) {
  const PoolShape s = shape_of(op, 2, dtype, x, kernel, stride, padding, {1}, false);
  check_plane(op, s.h, s.w);
  return s;
}

Tensor max_pool2d(const Tensor& x, const Dims& kernel_size, OptionalDims stride,
                  const Dims& padding, const Dims& dilation, bool ceil_mode) {
  return max_pool("max_pool2d", 2, x, kernel_size, stride, padding, dilation, ceil_mode, false)
      .values;
}

ValuesIndices max_pool2d_indices(const Tensor& x, const Dims& kernel_size, OptionalDims stride,
                                 const Dims& padding, const Dims& dilation, bool ceil_mode) {
  auto [values, indices] =
      max_pool("max_pool2d", 2, x, kernel_size, stride, padding, dilation, ceil_mode, true);
  return {values, cast(indices, DType::Int64)};
}

Tensor max_pool1d(const Tensor& x, const Dims& kernel_size, OptionalDims stride,
                  const Dims& padding, const Dims& dilation, bool ceil_mode) {
  return max_pool("max_pool1d", 1, x, kernel_size, stride, padding, dilation, ceil_mode, false)
      .values;
}

Tensor avg_pool2d(const Tensor& x, const Dims& kernel_size, OptionalDims stride,
                  const Dims& padding, bool ceil_mode, bool count_include_pad,
                  std::optional<int64_t> divisor_override) {
  GS_CHECK(!divisor_override || *divisor_override != 0, Value, "avg_pool2d",
           "expected a divisor_override other than 0.");
  return avg_pool("avg_pool2d", 2, x, kernel_size, stride, padding, ceil_mode, count_include_pad,
                  divisor_override.value_or(0));
}

Tensor avg_pool1d(const Tensor& x, const Dims& kernel_size, OptionalDims stride,
                  const Dims& padding, bool ceil_mode, bool count_include_pad) {
  return avg_pool("avg_pool1d", 1, x, kernel_size, stride, padding, ceil_mode, count_include_pad,
                  0);
}

Tensor adaptive_avg_pool2d(const Tensor& x, const Dims& output_size) {
  return adaptive_average(x, adaptive_of("adaptive_avg_pool2d", x, output_size));
}

Tensor adaptive_max_pool2d(const Tensor& input, const Dims& output_size) {
  const char* op = "adaptive_max_pool2d";
  const Adaptive a = adaptive_of(op, input, output_size);
  check_plane(op, a.h, a.w);
  const Tensor x = contiguous(input);
  Tensor y = empty(a.y_shape, a.dtype, x.device()),
         indices = empty(a.y_shape, DType::Int32, x.device());
  if (y.numel())
    kernels::adaptive_pool2d(x.device(), {a.dtype, a.planes, a.h, a.w, a.p, a.q, x.raw(), y.raw(),
                                          indices.data<int32_t>()});
  if (needs_grad(x)) {
    // The gradient goes to the positions alone; the window is one that no special case fits.
    record_max_pool(op, y, x, indices,
                    {a.dtype, a.planes, a.h, a.w, a.p, a.q, a.h, a.w, 1, 1, 0, 0, 1, 1});
  }
  return y;
}

}  // namespace gs::ops
