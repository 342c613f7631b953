// Convolution, its transpose, and its weight gradient. The three are bilinear, and the gradient of
// each is the other two: so every derivative of any order is one of the three kernels.
#include <algorithm>
#include <string>

#include "kernels/params/binary.h"
#include "kernels/params/conv.h"
#include "ops/window.h"

namespace gs::ops {
namespace {

struct Window {
  int64_t stride_h = 1, stride_w = 1, pad_h = 0, pad_w = 0, dilation_h = 1, dilation_w = 1,
          groups = 1;
};

Window window_of(const char* op, int spatial, const Dims& stride, const Dims& padding,
                 const Dims& dilation, int64_t groups) {
  Window win;
  parse_window(op, spatial, stride, "stride", 1, &win.stride_h, &win.stride_w);
  parse_window(op, spatial, padding, "padding", 0, &win.pad_h, &win.pad_w);
  parse_window(op, spatial, dilation, "dilation", 1, &win.dilation_h, &win.dilation_w);
  GS_CHECK(groups >= 1, Value, op, "expected groups of 1 or more, got ", groups, ".");
  win.groups = groups;
  return win;
}

const char* input_layout(int spatial) {
  return spatial == 1 ? "(N, C, L) or (C, L)" : "(N, C, H, W) or (C, H, W)";
}
const char* kernel_layout(int spatial) { return spatial == 1 ? "k" : "kH, kW"; }

void check_operands(const char* op, int spatial, const Tensor& x, const Tensor& weight,
                    const Tensor& bias) {
  check_floating(op, x);
  check_defined(op, weight, "weight");
  check_same_device(op, {&x, &weight, &bias});
  check_same_dtype(op, {&x, &weight, &bias});
  GS_CHECK(x.dim() == spatial + 2 || x.dim() == spatial + 1, Value, op, "expected input of shape ",
           input_layout(spatial), ", got ", x.shape(), ".");
  GS_CHECK(weight.dim() == spatial + 2, Value, op, "expected weight of ", spatial + 2,
           " dimensions, got shape ", weight.shape(), ".");
  for (int64_t i = 2; i < weight.dim(); ++i)
    GS_CHECK(weight.size(i) >= 1 && weight.size(i) <= kLargestWindow, Value, op,
             "expected a kernel size of 1 or more, got weight ", weight.shape(), ".");
}

void check_bias(const char* op, const Tensor& bias, int64_t channels) {
  GS_CHECK(!bias.defined() || bias.shape() == Shape{channels}, Value, op, "expected bias of shape ",
           Shape{channels}, " (one per output channel), got ", bias.shape(), ".");
}

// floor((size + 2 pad - dilation (kernel - 1) - 1) / stride) + 1, at least 1.
int64_t output_size(const char* op, const Shape& x, int64_t size, int64_t kernel, int64_t stride,
                    int64_t pad, int64_t dilation) {
  const int64_t reach = dilation * (kernel - 1) + 1;
  GS_CHECK(size <= (int64_t{1} << 61), Value, op, "the input ", x, " is too large.");
  GS_CHECK(size + 2 * pad >= reach, Value, op,
           "expected a padded input of at least the kernel's reach ", reach, ", got ",
           size + 2 * pad, " from input ", x, ".");
  return (size + 2 * pad - reach) / stride + 1;
}

// Only what the window decides; sizes are filled in by the caller.
ConvShape windowed(DType dtype, const Window& win) {
  ConvShape s{};
  s.dtype = dtype;
  s.groups = win.groups;
  s.stride_h = win.stride_h, s.stride_w = win.stride_w;
  s.pad_h = win.pad_h, s.pad_w = win.pad_w;
  s.dilation_h = win.dilation_h, s.dilation_w = win.dilation_w;
  return s;
}

ConvShape shape_of(const char* op, const Shape& shown, const Tensor& x, const Tensor& weight,
                   const Window& win) {
  ConvShape s = windowed(x.dtype(), win);
  s.n = x.size(0), s.c = x.size(1), s.h = x.size(2), s.w = x.size(3);
  s.o = weight.size(0), s.r = weight.size(2), s.s = weight.size(3);
  s.p = output_size(op, shown, s.h, s.r, s.stride_h, s.pad_h, s.dilation_h);
  s.q = output_size(op, shown, s.w, s.s, s.stride_w, s.pad_w, s.dilation_w);
  return s;
}

Shape x_shape(const ConvShape& s) { return {s.n, s.c, s.h, s.w}; }
Shape y_shape(const ConvShape& s) { return {s.n, s.o, s.p, s.q}; }
Shape weight_shape(const ConvShape& s) { return {s.o, s.c / s.groups, s.r, s.s}; }
bool is_empty(const ConvShape& s) {
  return s.n == 0 || s.c == 0 || s.o == 0 || s.h == 0 || s.w == 0 || s.p == 0 || s.q == 0;
}
Tensor per_channel(const Tensor& bias) { return reshape(bias, {1, bias.numel(), 1, 1}); }
Tensor sum_to_channels(const Tensor& dy) { return sum(dy, Dims{0, 2, 3}, false, std::nullopt); }

Tensor input_gradient(const char* name, const Tensor& dy, const Tensor& weight, const Tensor& bias,
                      const ConvShape& s);
Tensor weight_gradient(const Tensor& x, const Tensor& dy, const ConvShape& s);

// y (N O P Q) = x (N C H W) * weight (O C/G R S) + bias (O).
Tensor convolve(const char* name, const Tensor& input, const Tensor& kernel, const Tensor& bias_in,
                const ConvShape& s) {
  const Tensor x = contiguous(input), weight = contiguous(kernel);
  const Tensor bias = contiguous_or_none(bias_in);
  Tensor y;
  if (is_empty(s)) {
    y = zeros(y_shape(s), s.dtype, x.device());
    if (bias.defined()) copy_into(y, per_channel(detached(bias)));
  } else {
    y = empty(y_shape(s), s.dtype, x.device());
    kernels::conv2d(x.device(), {s, x.raw(), weight.raw(), raw_or_null(bias), y.raw()});
  }
  if (needs_grad(x, weight, bias)) {
    const Saved saved_x(weight.requires_grad() ? x : Tensor());
    const Saved saved_weight(x.requires_grad() ? weight : Tensor());
    record(name, y, inputs(x, weight, bias), [saved_x, saved_weight, s](Backward& b) -> Tensors {
      const Tensor dy = contiguous(b.grad());
      Tensor dx, dweight, dbias;
      if (b.needs(0)) dx = input_gradient("conv2d_input_grad", dy, saved_weight.get(b), {}, s);
      if (b.needs(1) && b.needs(2) && !b.create_graph() && !is_empty(s)) {
        // One pass over dy for both.
        dweight = empty(weight_shape(s), s.dtype, dy.device());
        dbias = empty({s.o}, s.dtype, dy.device());
        kernels::conv2d_weight_grad(
            dy.device(), {s, saved_x.get(b).raw(), dy.raw(), dweight.raw(), dbias.raw()});
      } else {
        if (b.needs(1)) dweight = weight_gradient(saved_x.get(b), dy, s);
        if (b.needs(2)) dbias = sum_to_channels(dy);
      }
      return {dx, dweight, dbias};
    });
  }
  return y;
}

// dx (N C H W) from dy (N O P Q) and weight (O C/G R S); plus bias (C) when this is a transposed
// convolution.
Tensor input_gradient(const char* name, const Tensor& grad, const Tensor& kernel,
                      const Tensor& bias, const ConvShape& s) {
  const Tensor dy = contiguous(grad), weight = contiguous(kernel);
  Tensor dx;
  if (is_empty(s)) {
    dx = zeros(x_shape(s), s.dtype, dy.device());
  } else {
    dx = empty(x_shape(s), s.dtype, dy.device());
    kernels::conv2d_input_grad(dy.device(), {s, dy.raw(), weight.raw(), dx.raw()});
  }
  if (bias.defined() && dx.numel()) {
    const Tensor row = per_channel(detached(bias));
    kernels::binary(dx.device(), {BinaryOp::Add, make_loop({&dx, &dx, &row})});
  }
  if (needs_grad(dy, weight, bias)) {
    const Saved saved_dy(weight.requires_grad() ? dy : Tensor());
    const Saved saved_weight(dy.requires_grad() ? weight : Tensor());
    record(name, dx, inputs(dy, weight, bias), [saved_dy, saved_weight, s](Backward& b) -> Tensors {
      const Tensor g = contiguous(b.grad());
      Tensor ddy, dweight, dbias;
      if (b.needs(0)) ddy = convolve("conv2d", g, saved_weight.get(b), {}, s);
      if (b.needs(1)) dweight = weight_gradient(g, saved_dy.get(b), s);
      if (b.needs(2)) dbias = sum_to_channels(g);
      return {ddy, dweight, dbias};
    });
  }
  return dx;
}

// dweight (O C/G R S) from x (N C H W) and dy (N O P Q).
Tensor weight_gradient(const Tensor& input, const Tensor& grad, const ConvShape& s) {
  const Tensor x = contiguous(input), dy = contiguous(grad);
  Tensor dweight;
  if (is_empty(s)) {
    dweight = zeros(weight_shape(s), s.dtype, x.device());
  } else {
    dweight = empty(weight_shape(s), s.dtype, x.device());
    kernels::conv2d_weight_grad(x.device(), {s, x.raw(), dy.raw(), dweight.raw(), nullptr});
  }
  if (needs_grad(x, dy)) {
    const Saved saved_x(dy.requires_grad() ? x : Tensor());
    const Saved saved_dy(x.requires_grad() ? dy : Tensor());
    record("conv2d_weight_grad", dweight, inputs(x, dy),
           [saved_x, saved_dy, s](Backward& b) -> Tensors {
             const Tensor g = contiguous(b.grad());
             Tensor dx, ddy;
             if (b.needs(0)) dx = input_gradient("conv2d_input_grad", saved_dy.get(b), g, {}, s);
             if (b.needs(1)) ddy = convolve("conv2d", saved_x.get(b), g, {}, s);
             return {dx, ddy};
           });
  }
  return dweight;
}

Window check_convolution(const char* op, int spatial, const Tensor& x, const Tensor& weight,
                         const Tensor& bias, const Dims& stride, const Dims& padding,
                         const Dims& dilation, int64_t groups) {
  check_operands(op, spatial, x, weight, bias);
  const Window win = window_of(op, spatial, stride, padding, dilation, groups);
  const int64_t channels = x.size(x.dim() - spatial - 1), outputs = weight.size(0);
  GS_CHECK(channels % groups == 0, Value, op,
           "expected the input's channels to be a multiple of groups=", groups, ", got input ",
           x.shape(), ".");
  GS_CHECK(outputs % groups == 0, Value, op,
           "expected the output channels to be a multiple of groups=", groups, ", got weight ",
           weight.shape(), ".");
  GS_CHECK(weight.size(1) == channels / groups, Value, op, "expected weight of shape (O, ",
           channels / groups, ", ", kernel_layout(spatial), ") to match input ", x.shape(),
           groups > 1 ? " in " + std::to_string(groups) + " groups" : "", ", got ", weight.shape(),
           ".");
  check_bias(op, bias, outputs);
  return win;
}

// conv1d is a convolution of height 1.
Tensor conv_nd(const char* op, int spatial, const Tensor& x, const Tensor& weight,
               const Tensor& bias, const Dims& stride, const Dims& padding, const Dims& dilation,
               int64_t groups) {
  const Window win =
      check_convolution(op, spatial, x, weight, bias, stride, padding, dilation, groups);
  const bool batched = x.dim() == spatial + 2;
  Tensor x4 = batched ? x : unsqueeze(x, 0), weight4 = weight;
  if (spatial == 1) x4 = unsqueeze(x4, 2), weight4 = unsqueeze(weight, 2);
  const ConvShape s = shape_of(op, x.shape(), x4, weight4, win);
  checked_numel(y_shape(s), op);
  Tensor y = convolve(op, x4, weight4, bias, s);
  if (spatial == 1) y = squeeze(y, Dims{2});
  return batched ? y : squeeze(y, Dims{0});
}

}  // namespace

ConvShape conv2d_shape(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias,
                       const Dims& stride, const Dims& padding, const Dims& dilation,
                       int64_t groups) {
  const Window win = check_convolution(op, 2, x, weight, bias, stride, padding, dilation, groups);
  const ConvShape s = shape_of(op, x.shape(), x, weight, win);
  checked_numel(y_shape(s), op);
  return s;
}

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Dims& stride,
              const Dims& padding, const Dims& dilation, int64_t groups) {
  return conv_nd("conv2d", 2, x, weight, bias, stride, padding, dilation, groups);
}

Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Dims& stride,
              const Dims& padding, const Dims& dilation, int64_t groups) {
  return conv_nd("conv1d", 1, x, weight, bias, stride, padding, dilation, groups);
}

// x (N, C, P, Q) -> (N, O, H, W), H = (P - 1) stride - 2 pad + dilation (kH - 1) + output_padding
// + 1.
Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const Dims& stride, const Dims& padding, const Dims& output_padding,
                        int64_t groups, const Dims& dilation) {
  const char* op = "conv_transpose2d";
  check_operands(op, 2, x, weight, bias);
  const Window win = window_of(op, 2, stride, padding, dilation, groups);
  int64_t extra_h = 0, extra_w = 0;
  parse_window(op, 2, output_padding, "output_padding", 0, &extra_h, &extra_w);
  GS_CHECK(extra_h < std::max(win.stride_h, win.dilation_h) &&
               extra_w < std::max(win.stride_w, win.dilation_w),
           Value, op, "expected output_padding smaller than stride or dilation, got ",
           output_padding, ".");
  const bool batched = x.dim() == 4;
  Tensor dy = batched ? x : unsqueeze(x, 0);
  const int64_t channels = dy.size(1);
  GS_CHECK(channels % groups == 0, Value, op,
           "expected the input's channels to be a multiple of groups=", groups, ", got input ",
           x.shape(), ".");
  GS_CHECK(weight.size(0) == channels, Value, op, "expected weight of shape (", channels,
           ", O/groups, kH, kW) to match input ", x.shape(), ", got ", weight.shape(), ".");
  GS_CHECK(weight.size(1) <= kLargestWindow && groups <= kLargestWindow, Value, op, "the weight ",
           weight.shape(), " is too large.");
  check_bias(op, bias, weight.size(1) * groups);
  GS_CHECK(dy.size(2) >= 1 && dy.size(3) >= 1 && dy.size(2) < kLargestWindow &&
               dy.size(3) < kLargestWindow,
           Value, op, "expected an input with height and width of 1 or more, got ", x.shape(), ".");

  // A convolution maps several heights to one; more extra rows than a stride are zero rows of
  // input.
  const int64_t more_h = extra_h / win.stride_h, more_w = extra_w / win.stride_w;
  if (more_h || more_w) dy = pad(dy, {0, more_w, 0, more_h}, "constant", 0.0);
  ConvShape s = windowed(x.dtype(), win);
  s.n = dy.size(0), s.o = channels, s.p = dy.size(2), s.q = dy.size(3);
  s.c = weight.size(1) * groups, s.r = weight.size(2), s.s = weight.size(3);
  s.groups = groups;
  s.stride_h = win.stride_h, s.stride_w = win.stride_w;
  s.pad_h = win.pad_h, s.pad_w = win.pad_w;
  s.dilation_h = win.dilation_h, s.dilation_w = win.dilation_w;
  s.h = (s.p - 1) * s.stride_h - 2 * s.pad_h + s.dilation_h * (s.r - 1) + extra_h % s.stride_h + 1;
  s.w = (s.q - 1) * s.stride_w - 2 * s.pad_w + s.dilation_w * (s.s - 1) + extra_w % s.stride_w + 1;
  GS_CHECK(s.h >= 1 && s.w >= 1, Value, op, "the output would have size ", Shape{s.h, s.w},
           " for input ", x.shape(), "; use less padding.");
  checked_numel(x_shape(s), op);
  const Tensor y = input_gradient(op, dy, weight, bias, s);
  return batched ? y : squeeze(y, Dims{0});
}

Tensor conv2d_weight_grad(const Tensor& x, const Tensor& dy, const Dims& kernel, const Dims& stride,
                          const Dims& padding, const Dims& dilation, int64_t groups) {
  const char* op = "conv2d_weight_grad";
  check_floating(op, x);
  check_defined(op, dy, "grad_output");
  check_same_device(op, {&x, &dy});
  check_same_dtype(op, {&x, &dy});
  const Window win = window_of(op, 2, stride, padding, dilation, groups);
  int64_t r = 1, t = 1;
  parse_window(op, 2, kernel, "kernel_size", 1, &r, &t);
  GS_CHECK(x.dim() == 4 && dy.dim() == 4, Value, op,
           "expected input and grad_output of 4 dimensions, got ", x.shape(), " and ", dy.shape(),
           ".");
  GS_CHECK(x.size(1) % groups == 0 && dy.size(1) % groups == 0, Value, op,
           "expected channels that are multiples of groups=", groups, ", got ", x.shape(), " and ",
           dy.shape(), ".");
  ConvShape s = windowed(x.dtype(), win);
  s.n = x.size(0), s.c = x.size(1), s.h = x.size(2), s.w = x.size(3);
  s.o = dy.size(1), s.r = r, s.s = t;
  s.p = output_size(op, x.shape(), s.h, s.r, s.stride_h, s.pad_h, s.dilation_h);
  s.q = output_size(op, x.shape(), s.w, s.s, s.stride_w, s.pad_w, s.dilation_w);
  GS_CHECK(dy.shape() == y_shape(s), Value, op, "expected grad_output of shape ", y_shape(s),
           " to match input ", x.shape(), ", got ", dy.shape(), ".");
  checked_numel(weight_shape(s), op);
  return weight_gradient(x, dy, s);
}

}  // namespace gs::ops
