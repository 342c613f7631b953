// Batch and layer normalisation.
#include "kernels/params/norm.h"
#include "autograd/recompute.h"
#include "ops/norm_common.h"

namespace gs::ops {
namespace {

using autograd::recompute_gradient;

// Running statistics are written in place; a strided one is worked on as a dense copy.
struct Running {
  Tensor original, dense;
  explicit Running(const Tensor& t) : original(t), dense(t.defined() ? detached(t) : t) {
    if (!t.defined() || t.is_contiguous()) return;
    dense = empty(t.shape(), t.dtype(), t.device());
    copy_into(dense, t);
  }
  void* raw() const { return raw_or_null(dense); }
  void written() const {
    if (!original.defined()) return;
    if (!original.is_contiguous()) copy_into(original, dense);
    original.bump_version();
  }
};

struct BatchShape {
  int64_t n, c, inner;
  bool training;
  double eps;
};

void check_batch_norm(const char* op, const Tensor& x, const Tensor& running_mean,
                      const Tensor& running_var, const Tensor& weight, const Tensor& bias,
                      bool training, double eps) {
  check_floating(op, x);
  GS_CHECK(x.dim() >= 2, Value, op, "expected input of shape (N, C, ...), got ", x.shape(), ".");
  check_same_device(op, {&x, &running_mean, &running_var, &weight, &bias});
  check_same_dtype(op, {&x, &running_mean, &running_var, &weight, &bias});
  const Shape channels{x.size(1)};
  const auto check = [&](const Tensor& t, const char* what) {
    GS_CHECK(!t.defined() || t.shape() == channels, Value, op, "expected ", what, " of shape ",
             channels, " to match input ", x.shape(), ", got ", t.shape(), ".");
  };
  check(running_mean, "running_mean");
  check(running_var, "running_var");
  check(weight, "weight");
  check(bias, "bias");
  check_eps(op, eps);
  GS_CHECK(running_mean.defined() == running_var.defined(), Value, op,
           "expected both running_mean and running_var or neither.");
  if (!training) {
    GS_CHECK(running_mean.defined(), Value, op,
             "expected running_mean and running_var when training is False.");
    return;
  }
  GS_CHECK(x.numel() != x.size(1), Value, op,
           "expected more than 1 value per channel when training, got input ", x.shape(), ".");
  for (const Tensor* t : {&running_mean, &running_var})
    GS_CHECK(!t->defined() || t->body()->storage->writable(), Value, op,
             "the running statistics are in read-only memory.");
}

// The gradient of the recorded node: inputs x (n c inner), weight, bias.
Tensors batch_norm_gradient(Backward& b, const Tensor& x, const Tensor& weight, const Tensor& mean,
                            const Tensor& rstd, const BatchShape& s) {
  if (b.create_graph()) {
    Tensors grads = recompute_gradient(b, {x, weight, Tensor()}, [&](const Tensors& in) -> Tensors {
      const Shape per_channel{1, s.c, 1};
      const Tensor& v = in[0];
      const Tensor y = s.training ? standardized(v, {0, 2}, s.eps)
                                  : mul(sub(v, reshape(cast(mean, v.dtype()), per_channel), 1),
                                        reshape(cast(rstd, v.dtype()), per_channel));
      return {affine(y, in[1], {}, per_channel)};
    });
    if (b.needs(2)) grads[2] = sum(b.grad(), Dims{0, 2}, false, std::nullopt);
    return grads;
  }
  const Tensor dy = contiguous(b.grad());
  const Tensors d = gradients_to_fill(b, x, s.c);
  kernels::batch_norm_grad(
      x.device(),
      {dy.raw(), x.raw(), raw_or_null(weight), mean.raw(), rstd.raw(), raw_or_null(d[0]),
       raw_or_null(d[1]), raw_or_null(d[2]), x.dtype(), s.n, s.c, s.inner, s.training});
  return d;
}

// The gradient of the recorded node: inputs x (rows n), weight (n), bias (n).
Tensors layer_norm_gradient(Backward& b, const Tensor& x, const Tensor& weight, const Tensor& mean,
                            const Tensor& rstd, double eps) {
  const int64_t rows = x.size(0), n = x.size(1);
  if (b.create_graph()) {
    Tensors grads = recompute_gradient(b, {x, weight, Tensor()}, [&](const Tensors& in) -> Tensors {
      return {affine(standardized(in[0], {1}, eps), in[1], {}, {n})};
    });
    if (b.needs(2)) grads[2] = sum(b.grad(), Dims{0}, false, std::nullopt);
    return grads;
  }
  const Tensor dy = contiguous(b.grad());
  const Tensors d = gradients_to_fill(b, x, n);
  kernels::layer_norm_grad(
      x.device(), {dy.raw(), x.raw(), raw_or_null(weight), mean.raw(), rstd.raw(),
                   raw_or_null(d[0]), raw_or_null(d[1]), raw_or_null(d[2]), x.dtype(), rows, n});
  return d;
}

// x (rows n), weight and bias (n) or none.
Tensor layer_norm_rows(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  const int64_t rows = x.size(0), n = x.size(1);
  const DType statistics = compute_dtype(x.dtype());
  Tensor y = empty_like(x);
  const Tensor mean = empty({rows}, statistics, x.device()),
               rstd = empty({rows}, statistics, x.device());
  kernels::layer_norm(x.device(), {x.raw(), raw_or_null(weight), raw_or_null(bias), y.raw(),
                                   mean.raw(), rstd.raw(), x.dtype(), rows, n, eps});
  if (needs_grad(x, weight, bias)) {
    record("layer_norm", y, inputs(x, weight, bias),
           [x = Saved(x), weight = Saved(weight), mean, rstd, eps](Backward& b) -> Tensors {
             return layer_norm_gradient(b, x.get(b), weight.get(b), mean, rstd, eps);
           });
  }
  return y;
}

}  // namespace

Tensor batch_norm(const Tensor& input, const Tensor& running_mean, const Tensor& running_var,
                  const Tensor& weight_in, const Tensor& bias_in, bool training, double momentum,
                  double eps) {
  const char* op = "batch_norm";
  // 16-bit images with float32 weights and statistics, as mixed precision has them.
  const Tensor& kept = running_mean.defined() ? running_mean : weight_in;
  if (kept.defined() && kept.dtype() == DType::Float32 && input.defined() &&
      (input.dtype() == DType::BFloat16 || input.dtype() == DType::Float16))
    return cast(batch_norm(cast(input, DType::Float32), running_mean, running_var, weight_in,
                           bias_in, training, momentum, eps),
                input.dtype());
  check_batch_norm(op, input, running_mean, running_var, weight_in, bias_in, training, eps);
  Shape per_channel(input.dim(), 1);
  per_channel[1] = input.size(1);
  if (input.numel() == 0) return affine(mul(input, 1.0), weight_in, bias_in, per_channel);

  const int64_t n = input.size(0), c = input.size(1);
  const BatchShape s{n, c, input.numel() / (n * c), training, eps};
  const Tensor x = reshape(contiguous(input), {n, c, s.inner});
  const Tensor weight = contiguous_or_none(weight_in), bias = contiguous_or_none(bias_in);
  const DType statistics = compute_dtype(x.dtype());
  const Tensor mean = empty({c}, statistics, x.device()), rstd = empty({c}, statistics, x.device());
  Tensor y = empty_like(x);
  const Running running[2] = {Running(running_mean), Running(running_var)};
  kernels::batch_norm(x.device(), {x.raw(), raw_or_null(weight), raw_or_null(bias), y.raw(),
                                   mean.raw(), rstd.raw(), running[0].raw(), running[1].raw(),
                                   x.dtype(), n, c, s.inner, training, momentum, eps});
  if (training)
    for (const Running& r : running) r.written();
  if (needs_grad(x, weight, bias)) {
    record(op, y, inputs(x, weight, bias),
           [x = Saved(x), weight = Saved(weight), mean, rstd, s](Backward& b) -> Tensors {
             return batch_norm_gradient(b, x.get(b), weight.get(b), mean, rstd, s);
           });
  }
  return reshape(y, input.shape());
}

Tensor layer_norm(const Tensor& input, const Dims& normalized_shape, const Tensor& weight,
                  const Tensor& bias, double eps) {
  const char* op = "layer_norm";
  check_floating(op, input);
  check_same_device(op, {&input, &weight, &bias});
  check_same_dtype(op, {&input, &weight, &bias});
  check_eps(op, eps);
  const int64_t lead = input.dim() - normalized_shape.size();
  GS_CHECK(!normalized_shape.empty(), Value, op,
           "expected normalized_shape of one dimension or more.");
  GS_CHECK(
      lead >= 0 && Shape(input.shape().begin() + lead, input.shape().end()) == normalized_shape,
      Value, op, "expected input whose last dimensions are ", normalized_shape, ", got ",
      input.shape(), ".");
  for (const Tensor* t : {&weight, &bias})
    GS_CHECK(!t->defined() || t->shape() == normalized_shape, Value, op, "expected ",
             t == &weight ? "weight" : "bias", " of shape ", normalized_shape, ", got ",
             t->defined() ? t->shape() : Shape{}, ".");
  if (input.numel() == 0) return affine(mul(input, 1.0), weight, bias, normalized_shape);

  int64_t n = 1;
  for (int64_t size : normalized_shape) n *= size;
  const auto flat = [&](const Tensor& t) { return t.defined() ? reshape(contiguous(t), {n}) : t; };
  const Tensor x = reshape(contiguous(input), {input.numel() / n, n});
  return reshape(layer_norm_rows(x, flat(weight), flat(bias), eps), input.shape());
}

}  // namespace gs::ops
