// Losses of classes: logits or log-probabilities against labels or distributions.
#include "ops/loss.h"
#include "autograd/recompute.h"
#include "kernels/params/cross_entropy.h"
#include "kernels/params/index.h"

namespace gs::ops {
namespace {

using autograd::recompute_gradient;

Tensor total(const Tensor& t) { return sum(t, std::nullopt, false, std::nullopt); }

// 16-bit losses are summed and divided in float32: their sums and counts pass what 16 bits hold.
DType sum_dtype(DType t) { return t == DType::Float64 ? t : DType::Float32; }
Tensor wide_total(const Tensor& t) { return sum(t, std::nullopt, false, sum_dtype(t.dtype())); }

Tensor reduced(const Tensor& loss, Reduction r) {
  if (r == Reduction::None) return loss;
  return r == Reduction::Sum ? total(loss) : mean(loss, std::nullopt, false, std::nullopt);
}

// ---- losses of classes

// Targets of class indices, checked.
struct Classes {
  Tensor index;  // int64, contiguous, as given
  Tensor safe;   // the same with 0 where ignored; on CUDA made when it is asked for
  Tensor kept;   // bool, true where not ignored; undefined when nothing is ignored
  int64_t dim;   // of the classes in the input
};

// input (C) with target (), or input (N, C, ...) with target (N, ...).
Shape target_shape(const char* op, const Tensor& x) {
  GS_CHECK(x.dim() >= 1, Value, op, "expected input of shape (C,) or (N, C, ...), got ", x.shape(),
           ".");
  Shape shape = x.shape();
  shape.erase(x.dim() == 1 ? 0 : 1);
  return shape;
}

Classes check_classes(const char* op, const Tensor& x, const Tensor& target, int64_t ignore_index) {
  check_defined(op, target, "target");
  const Shape expected = target_shape(op, x);
  GS_CHECK(target.shape() == expected, Value, op, "expected target of shape ", expected,
           " to match input ", x.shape(), ", got ", target.shape(), ".");
  check_integral(op, target, "target");
  Classes c;
  c.dim = x.dim() == 1 ? 0 : 1;
  c.index = c.safe = as_index(target);
  if (c.index.numel() == 0) return c;
  const int64_t classes = x.size(c.dim);
  if (c.index.device().is_cuda() &&
      classes > 0) {  // offenders are ignored, and reported when somebody waits
    const Tensor given = c.index;
    c.index = empty(given.shape(), DType::Int64, given.device());
    cuda_runtime()->guard_indices({op, "target", given.data<int64_t>(), c.index.data<int64_t>(),
                                   given.numel(), 0, classes, ignore_index, ignore_index, false});
    c.kept = ne(c.index, ignore_index);
    c.safe = Tensor();
    return c;
  }
  int64_t low = 0, high = 0;
  kernels::index_range(c.index.device(), {c.index.data<int64_t>(), c.index.numel(), &low, &high});
  if (low <= ignore_index && ignore_index <= high) {
    c.kept = ne(c.index, ignore_index);
    c.safe = where(c.kept, c.index, int64_t{0});
    kernels::index_range(c.safe.device(), {c.safe.data<int64_t>(), c.safe.numel(), &low, &high});
  }
  GS_CHECK(low >= 0 && high < classes, Index, op, "target ", low < 0 ? low : high,
           " is out of range for ", classes, " classes.");
  return c;
}

Tensor safe_index(const Classes& c) {
  return c.safe.defined() ? c.safe : where(c.kept, c.index, int64_t{0});
}

void check_class_weight(const char* op, const Tensor& x, const Tensor& weight) {
  if (!weight.defined()) return;
  const Shape expected{x.size(x.dim() == 1 ? 0 : 1)};
  GS_CHECK(weight.shape() == expected, Value, op, "expected weight of shape ", expected,
           " (one per class), got ", weight.shape(), ".");
  GS_CHECK(!weight.requires_grad(), Runtime, op,
           "a gradient with respect to weight is not defined.");
}

// weight[target], 1 without weights; 0 where ignored. Undefined when that is 1 everywhere.
Tensor class_coefficients(const Classes& c, const Tensor& weight, DType dtype) {
  Tensor w = c.kept.defined() ? cast(c.kept, dtype) : Tensor();
  if (!weight.defined()) return w;
  const Tensor at = safe_index(c);
  const Tensor picked = reshape(index_select(weight, 0, reshape(at, {at.numel()})), at.shape());
  return w.defined() ? mul(picked, w) : picked;
}

// The sum of coefficients: what 'mean' divides by.
Tensor mean_divisor(const Classes& c, const Tensor& coefficients) {
  if (coefficients.defined()) return wide_total(coefficients);
  return wrapped_number(static_cast<double>(c.index.numel()));
}

// The sum of the losses, over `divisor` when it is defined.
Tensor class_total(const Tensor& loss, const Tensor& divisor) {
  const Tensor sum = wide_total(loss);
  return cast(divisor.defined() ? div(sum, divisor, "") : sum, loss.dtype());
}

Tensor zero_where_ignored(const Tensor& loss, const Classes& c) {
  return c.kept.defined() ? where(c.kept, loss, 0.0) : loss;
}

// -coefficient * log_p[target] at each position.
Tensor picked_loss(const Tensor& log_p, const Classes& c, const Tensor& coefficients) {
  const Tensor picked = squeeze(gather(log_p, c.dim, unsqueeze(safe_index(c), c.dim)), Dims{c.dim});
  const Tensor loss = neg(picked);
  return zero_where_ignored(coefficients.defined() ? mul(loss, coefficients) : loss, c);
}

// One value per class, shaped to broadcast against x.
Tensor along_classes(const Tensor& weight, const Tensor& x, int64_t dim) {
  Shape shape(x.dim(), 1);
  shape[dim] = weight.numel();
  return reshape(weight, shape);
}

// The unreduced loss by differentiable operations.
Tensor composed_cross_entropy(const Tensor& x, const Classes& c, const Tensor& weight,
                              double smoothing) {
  const Tensor log_p = log_softmax(x, c.dim, std::nullopt);
  const Tensor loss = picked_loss(log_p, c, class_coefficients(c, weight, x.dtype()));
  if (smoothing == 0) return loss;
  const Tensor terms = weight.defined() ? mul(log_p, along_classes(weight, x, c.dim)) : log_p;
  const Tensor smooth = zero_where_ignored(neg(sum(terms, Dims{c.dim}, false, std::nullopt)), c);
  const double share = smoothing / static_cast<double>(x.size(c.dim));
  return add(mul(loss, 1 - smoothing), mul(smooth, share), 1);
}

Tensor cross_entropy_of_classes(const Tensor& input, const Tensor& target, const Tensor& weight_in,
                                int64_t ignore_index, Reduction reduction, double smoothing) {
  const char* op = "cross_entropy";
  const Classes c = check_classes(op, input, target, ignore_index);
  const Tensor weight = contiguous_or_none(weight_in);
  const Tensor x = contiguous(input);
  const Span span = span_at(x.shape(), c.dim);
  Tensor loss = empty(c.index.shape(), x.dtype(), x.device()), lse = empty_like(loss);
  if (loss.numel())
    kernels::cross_entropy(
        x.device(), {x.raw(), c.index.data<int64_t>(), raw_or_null(weight), loss.raw(), lse.raw(),
                     x.dtype(), span.outer, span.n, span.inner, ignore_index, smoothing});
  Tensor divisor;  // undefined: 1
  if (reduction == Reduction::Mean)
    divisor = !weight.defined() && c.kept.defined()
                  ? sum(c.kept, std::nullopt, false, sum_dtype(x.dtype()))
                  : mean_divisor(c, class_coefficients(c, weight, x.dtype()));
  if (reduction != Reduction::None) loss = class_total(loss, divisor);
  if (needs_grad(x)) {
    const auto rule = [x = Saved(x), c, weight = Saved(weight), lse, divisor, span, ignore_index,
                       reduction, smoothing](Backward& b) -> Tensors {
      const Tensor logits = x.get(b), w = weight.get(b);
      if (logits.numel() == 0) return {mul(logits, 0.0)};
      if (b.create_graph()) {
        return recompute_gradient(b, {logits}, [&](const Tensors& in) -> Tensors {
          const Tensor y = composed_cross_entropy(in[0], c, w, smoothing);
          return {reduction == Reduction::None ? y : class_total(y, divisor)};
        });
      }
      Tensor g = contiguous(b.grad());
      if (divisor.defined())
        g = cast(div(cast(g, sum_dtype(g.dtype())), divisor, ""), logits.dtype());
      Tensor dx = empty_like(logits);
      kernels::cross_entropy_grad(
          dx.device(), {logits.raw(), c.index.data<int64_t>(), raw_or_null(w), lse.raw(), g.raw(),
                        reduction == Reduction::None ? 1 : 0, dx.raw(), logits.dtype(), span.outer,
                        span.n, span.inner, ignore_index, smoothing});
      return {dx};
    };
    record(op, loss, inputs(x), rule);
  }
  return loss;
}

// target holds a probability for each class.
Tensor cross_entropy_of_probabilities(const Tensor& x, const Tensor& target, const Tensor& weight,
                                      Reduction reduction, double smoothing) {
  const char* op = "cross_entropy";
  GS_CHECK(target.shape() == x.shape(), Value, op, "expected a floating target of shape ",
           x.shape(), " (a probability for each class) to match the input, got ", target.shape(),
           ".");
  const int64_t dim = x.dim() == 1 ? 0 : 1;
  Tensor p = target;
  if (smoothing > 0)
    p = add(mul(p, 1 - smoothing), smoothing / static_cast<double>(x.size(dim)), 1);
  Tensor terms = mul(log_softmax(x, dim, std::nullopt), p);
  if (weight.defined()) terms = mul(terms, along_classes(weight, x, dim));
  return reduced(neg(sum(terms, Dims{dim}, false, std::nullopt)), reduction);
}

}  // namespace

Tensor cross_entropy(const Tensor& x, const Tensor& target, const Tensor& weight,
                     int64_t ignore_index, const std::string& reduction, double label_smoothing) {
  const char* op = "cross_entropy";
  check_floating(op, x);
  check_defined(op, target, "target");
  check_same_device(op, {&x, &target, &weight});
  check_same_dtype(op, {&x, &weight});
  const Reduction r = reduction_of(op, reduction);
  GS_CHECK(label_smoothing >= 0 && label_smoothing <= 1, Value, op,
           "expected label_smoothing in [0, 1], got ", label_smoothing, ".");
  GS_CHECK(x.dim() >= 1, Value, op, "expected input of shape (C,) or (N, C, ...), got ", x.shape(),
           ".");
  check_class_weight(op, x, weight);
  if (is_floating(target.dtype()) && target.shape() == x.shape())
    return cross_entropy_of_probabilities(x, target, weight, r, label_smoothing);
  return cross_entropy_of_classes(x, target, weight, ignore_index, r, label_smoothing);
}

Tensor nll_loss(const Tensor& x, const Tensor& target, const Tensor& weight, int64_t ignore_index,
                const std::string& reduction) {
  const char* op = "nll_loss";
  check_floating(op, x);
  check_defined(op, target, "target");
  check_same_device(op, {&x, &target, &weight});
  check_same_dtype(op, {&x, &weight});
  const Reduction r = reduction_of(op, reduction);
  const Classes c = check_classes(op, x, target, ignore_index);
  check_class_weight(op, x, weight);
  const Tensor coefficients = class_coefficients(c, weight, x.dtype());
  const Tensor loss = picked_loss(x, c, coefficients);
  if (r == Reduction::None) return loss;
  return class_total(loss, r == Reduction::Mean ? mean_divisor(c, coefficients) : Tensor());
}

}  // namespace gs::ops
