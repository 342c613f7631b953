// Group normalisation; instance norm is the one of as many groups as channels.
#include "autograd/recompute.h"
#include "kernels/params/norm.h"
#include "ops/norm_common.h"

namespace gs::ops {
namespace {

struct GroupShape {
  int64_t n, c, inner, groups;
  double eps;
};

// The gradient of the recorded node: inputs x (n c inner), weight, bias.
Tensors group_norm_gradient(Backward& b, const Tensor& x, const Tensor& weight, const Tensor& mean,
                            const Tensor& rstd, const GroupShape& s) {
  if (b.create_graph()) {
    const auto composed = [&](const Tensors& in) -> Tensors {
      const Tensor rows = reshape(in[0], {s.n * s.groups, s.c / s.groups * s.inner});
      const Tensor y = reshape(standardized(rows, {1}, s.eps), {s.n, s.c, s.inner});
      return {affine(y, in[1], {}, {1, s.c, 1})};
    };
    Tensors grads = autograd::recompute_gradient(b, {x, weight, Tensor()}, composed);
    if (b.needs(2)) grads[2] = sum(b.grad(), Dims{0, 2}, false, std::nullopt);
    return grads;
  }
  const Tensor dy = contiguous(b.grad());
  const Tensors d = gradients_to_fill(b, x, s.c);
  kernels::group_norm_grad(x.device(), {dy.raw(), x.raw(), raw_or_null(weight), mean.raw(),
                                        rstd.raw(), raw_or_null(d[0]), raw_or_null(d[1]),
                                        raw_or_null(d[2]), x.dtype(), s.n, s.c, s.inner, s.groups});
  return d;
}

}  // namespace

Tensor group_norm(const Tensor& input, int64_t num_groups, const Tensor& weight_in,
                  const Tensor& bias_in, double eps) {
  const char* op = "group_norm";
  check_floating(op, input);
  GS_CHECK(input.dim() >= 2, Value, op, "expected input of shape (N, C, ...), got ", input.shape(),
           ".");
  check_same_device(op, {&input, &weight_in, &bias_in});
  check_same_dtype(op, {&input, &weight_in, &bias_in});
  check_eps(op, eps);
  const Shape channels{input.size(1)};
  GS_CHECK(num_groups >= 1 && channels[0] % num_groups == 0, Value, op,
           "expected num_groups that divides the ", channels[0], " channels of input ",
           input.shape(), ", got ", num_groups, ".");
  for (const Tensor* t : {&weight_in, &bias_in})
    GS_CHECK(!t->defined() || t->shape() == channels, Value, op, "expected ",
             t == &weight_in ? "weight" : "bias", " of shape ", channels, " to match input ",
             input.shape(), ", got ", t->defined() ? t->shape() : Shape{}, ".");
  Shape per_channel(input.dim(), 1);
  per_channel[1] = channels[0];
  if (input.numel() == 0) return affine(mul(input, 1.0), weight_in, bias_in, per_channel);

  const int64_t rows = input.size(0) * num_groups;
  GS_CHECK(input.numel() != rows || rows != num_groups, Value, op,
           "expected more than 1 value per group, got input ", input.shape(), " in ", num_groups,
           " groups.");
  const int64_t n = input.size(0), c = channels[0];
  const GroupShape s{n, c, input.numel() / (n * c), num_groups, eps};
  const Tensor x = reshape(contiguous(input), {n, c, s.inner});
  const Tensor weight = contiguous_or_none(weight_in), bias = contiguous_or_none(bias_in);
  const DType statistics = compute_dtype(x.dtype());
  const Tensor mean = empty({rows}, statistics, x.device()),
               rstd = empty({rows}, statistics, x.device());
  Tensor y = empty_like(x);
  kernels::group_norm(
      x.device(), {x.raw(), raw_or_null(weight), raw_or_null(bias), y.raw(), mean.raw(), rstd.raw(),
                   x.dtype(), n, c, s.inner, num_groups, eps});
  if (needs_grad(x, weight, bias)) {
    record(op, y, inputs(x, weight, bias),
           [x = Saved(x), weight = Saved(weight), mean, rstd, s](Backward& b) -> Tensors {
             return group_norm_gradient(b, x.get(b), weight.get(b), mean, rstd, s);
           });
  }
  return reshape(y, input.shape());
}

}  // namespace gs::ops
