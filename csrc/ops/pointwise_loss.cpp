// Losses of two tensors, element by element. Each is one fused kernel each way; the composed form
// serves second derivatives, and gradients of the weights.
#include "kernels/params/pointwise_loss.h"
#include "autograd/recompute.h"
#include "ops/loss.h"

namespace gs::ops {
namespace {

using autograd::GradGuard;
using autograd::recompute_gradient;

// One call: f of op and a, times the weight, reduced. `batch` divides a sum once more.
struct Loss {
  const char* name;
  LossOp op;
  Reduction reduction;
  double a = 0, batch = 1;
};

// ---- the composed form

// The rule limits the quotient instead of the logarithms: see losses::CrossEntropy.
Tensor composed_cross_entropy(const Tensor& x, const Tensor& target) {
  Tensor loss;
  {
    GradGuard off(false);
    const Tensor log_p = clamp(log(x), -100.0, std::nullopt);
    const Tensor log_q = clamp(log1p(neg(x)), -100.0, std::nullopt);
    loss = sub(mul(sub(target, 1.0, 1), log_q), mul(target, log_p), 1);
  }
  if (needs_grad(x, target)) {
    const auto rule = [x = Saved(x), t = Saved(target)](Backward& b) -> Tensors {
      const Tensor p = x.get(b), g = b.grad(), q = sub(1.0, p, 1);
      Tensor dx, dt;
      if (b.needs(0))
        dx = mul(g, div(sub(p, t.get(b), 1), clamp(mul(p, q), 1e-12, std::nullopt), ""));
      if (b.needs(1))
        dt = mul(g, sub(clamp(log1p(neg(p)), -100.0, std::nullopt),
                        clamp(log(p), -100.0, std::nullopt), 1));
      return {dx, dt};
    };
    record("binary_cross_entropy", loss, inputs(x, target), rule);
  }
  return loss;
}

// (1 - t) x - (1 + (positive - 1) t) log(sigmoid(x))
Tensor composed_logits_cross_entropy(const Tensor& x, const Tensor& target,
                                     const Tensor& positive) {
  Tensor log_p = logsigmoid(x);
  if (positive.defined()) log_p = mul(log_p, add(mul(sub(positive, 1.0, 1), target), 1.0, 1));
  return sub(mul(sub(1.0, target, 1), x), log_p, 1);
}

Tensor composed_elements(const Loss& loss, const Tensor& x, const Tensor& t,
                         const Tensor& positive) {
  switch (loss.op) {
    case LossOp::Squared:
      return square(sub(x, t, 1));
    case LossOp::Absolute:
      return abs(sub(x, t, 1));
    case LossOp::SmoothAbsolute: {
      const Tensor d = sub(x, t, 1), size = abs(d);
      return where(lt(size, loss.a), mul(square(d), 0.5 / loss.a), sub(size, 0.5 * loss.a, 1));
    }
    case LossOp::Huber: {
      const Tensor d = sub(x, t, 1), size = abs(d);
      return where(lt(size, loss.a), mul(square(d), 0.5), mul(sub(size, 0.5 * loss.a, 1), loss.a));
    }
    case LossOp::CrossEntropy:
      return composed_cross_entropy(x, t);
    case LossOp::LogitsCrossEntropy:
      return composed_logits_cross_entropy(x, t, positive);
    case LossOp::Divergence:
      return mul(t, sub(log(where(eq(t, 0.0), 1.0, t)), x, 1));
    case LossOp::LogDivergence:
      return mul(exp(t), sub(t, x, 1));
    case LossOp::Hinge:
      return add(where(eq(t, -1.0), 0.0, x), where(eq(t, 1.0), 0.0, relu(sub(loss.a, x, 1))), 1);
  }
  return {};
}

Tensor composed(const Loss& loss, const Tensor& x, const Tensor& t, const Tensor& weight,
                const Tensor& positive) {
  Tensor y = composed_elements(loss, x, t, positive);
  if (weight.defined()) y = mul(y, weight);
  if (loss.reduction == Reduction::None) return y;
  if (loss.reduction == Reduction::Mean) return mean(y, std::nullopt, false, std::nullopt);
  y = sum(y, std::nullopt, false, std::nullopt);
  return loss.batch == 1 ? y : div(y, loss.batch, "");
}

// ---- the fused form

// `t` as a kernel reads it beside `shape`, to which it broadcasts. `kept` holds a copy if one is
// needed: none when t is a number, or stands at the end of `shape`.
Repeated repeated(const Tensor& t, const Shape& shape, Tensor& kept) {
  if (!t.defined()) return {};
  if (t.numel() == 1) return {t.raw(), 1};
  const int64_t lead = shape.size() - t.dim();
  int64_t skipped = 0;  // leading ones of t
  while (skipped < t.dim() && t.size(skipped) == 1) ++skipped;
  bool suffix = t.is_contiguous();
  for (int64_t d = skipped; suffix && d < t.dim(); ++d) suffix = t.size(d) == shape[lead + d];
  kept = suffix ? t : contiguous(broadcast_to(t, shape));
  return {kept.raw(), kept.numel()};
}

// What goes into a kernel, and the tensors that hold it.
struct Operands {
  Tensor weight, positive;
  LossInputs in;
  Operands(const Loss& loss, const Tensor& x, const Tensor& t, const Tensor& w, const Tensor& p)
      : in{loss.op,
           x.dtype(),
           x.numel(),
           x.raw(),
           t.raw(),
           repeated(w, x.shape(), weight),
           repeated(p, x.shape(), positive),
           loss.a} {}
};

void check_probabilities(const char* op, const Tensor& x) {
  if (x.numel() == 0) return;
  GradGuard off(false);
  const double low = amin(x, std::nullopt, false).item().to_double();
  const double high = amax(x, std::nullopt, false).item().to_double();
  GS_CHECK(low >= 0 && high <= 1, Value, op, "expected probabilities in [0, 1], got values from ",
           low, " to ", high, ".");
}

Tensor fused(const Loss& loss, const Tensor& x, const Tensor& t, const Tensor& weight,
             const Tensor& positive) {
  const Operands operands(loss, x, t, weight, positive);
  const bool each = loss.reduction == Reduction::None;
  Tensor y = each ? empty_like(x) : empty({}, x.dtype(), x.device());
  bool outside = false;
  PointwiseLoss p{operands.in, nullptr, nullptr, loss.batch, nullptr};
  (each ? p.y : p.total) = y.raw();
  if (loss.reduction == Reduction::Mean) p.divisor = static_cast<double>(x.numel());
  if (loss.op == LossOp::CrossEntropy) p.outside = &outside;
  kernels::pointwise_loss(x.device(), p);
  if (outside) check_probabilities(loss.name, x);
  return y;
}

Tensors fused_gradient(const Loss& loss, Backward& b, const Tensor& x, const Tensor& t,
                       const Tensor& weight, const Tensor& positive) {
  const Operands operands(loss, x, t, weight, positive);
  const Tensor g = contiguous(b.grad());
  Tensor dx = b.needs(0) ? empty_like(x) : Tensor(), dt = b.needs(1) ? empty_like(t) : Tensor();
  PointwiseLossGrad p{operands.in, {g.raw(), g.numel()}, 1 / loss.batch, nullptr, nullptr};
  if (loss.reduction == Reduction::Mean) p.scale = 1 / static_cast<double>(x.numel());
  if (dx.defined()) p.dx = dx.raw();
  if (dt.defined()) p.dtarget = dt.raw();
  if (x.numel()) kernels::pointwise_loss_grad(x.device(), p);
  return {dx, dt};
}

// ---- the operation

// In the dtype of the result, dense, and of the common shape; converted parts are recorded.
Tensor prepared(const Tensor& t, DType dtype, const Shape& shape) {
  if (t.dtype() == dtype && t.is_contiguous() && t.shape() == shape) return t;
  return contiguous(broadcast_to(cast(t, dtype), shape));
}

Tensor pointwise(const Loss& loss, const Tensor& input, const Tensor& target,
                 const Tensor& weight_in = {}, const Tensor& positive_in = {}) {
  const Shape shape = input.shape() == target.shape()
                          ? input.shape()
                          : broadcast(input.shape(), target.shape(), loss.name);
  DType dtype = result_dtype(input, target);
  for (const Tensor* w : {&weight_in, &positive_in})
    if (w->defined() && (w->dim() || shape.empty())) dtype = promote(dtype, w->dtype());
  const Tensor x = prepared(input, dtype, shape), t = prepared(target, dtype, shape);
  const Tensor weight = weight_in.defined() ? cast(weight_in, dtype) : weight_in;
  const Tensor positive = positive_in.defined() ? cast(positive_in, dtype) : positive_in;
  if (needs_grad(weight, positive)) {
    if (loss.op == LossOp::CrossEntropy) check_probabilities(loss.name, x);
    return composed(loss, x, t, weight, positive);
  }
  Tensor y = fused(loss, x, t, weight, positive);
  if (needs_grad(x, t)) {
    const auto rule = [loss, x = Saved(x), t = Saved(t), weight = Saved(weight),
                       positive = Saved(positive)](Backward& b) -> Tensors {
      const Tensor w = weight.get(b), p = positive.get(b);
      if (!b.create_graph()) return fused_gradient(loss, b, x.get(b), t.get(b), w, p);
      return recompute_gradient(b, {x.get(b), t.get(b)}, [&](const Tensors& in) -> Tensors {
        return {composed(loss, in[0], in[1], w, p)};
      });
    };
    record(loss.name, y, inputs(x, t), rule);
  }
  return y;
}

// ---- checks

void check_pair(const char* op, const Tensor& x, const Tensor& target) {
  check_floating(op, x);
  check_defined(op, target, "target");
  check_same_device(op, {&x, &target});
}

void check_same_shape(const char* op, const Tensor& x, const Tensor& target) {
  check_pair(op, x, target);
  GS_CHECK(target.shape() == x.shape(), Value, op, "expected target of shape ", x.shape(),
           " to match the input, got ", target.shape(), ".");
}

void check_broadcasts(const char* op, const Tensor& t, const Tensor& x, const char* what) {
  if (!t.defined()) return;
  check_floating(op, t, what);
  check_same_device(op, {&t, &x});
  GS_CHECK(broadcast(x.shape(), t.shape(), op) == x.shape(), Value, op, "expected ", what,
           " that broadcasts to ", x.shape(), ", got ", t.shape(), ".");
}

}  // namespace

Tensor mse_loss(const Tensor& x, const Tensor& target, const std::string& reduction) {
  const Loss loss{"mse_loss", LossOp::Squared, reduction_of("mse_loss", reduction)};
  check_pair(loss.name, x, target);
  return pointwise(loss, x, target);
}

Tensor l1_loss(const Tensor& x, const Tensor& target, const std::string& reduction) {
  const Loss loss{"l1_loss", LossOp::Absolute, reduction_of("l1_loss", reduction)};
  check_pair(loss.name, x, target);
  return pointwise(loss, x, target);
}

Tensor smooth_l1_loss(const Tensor& x, const Tensor& target, const std::string& reduction,
                      double beta) {
  const char* op = "smooth_l1_loss";
  const Loss loss{op, beta == 0 ? LossOp::Absolute : LossOp::SmoothAbsolute,
                  reduction_of(op, reduction), beta};
  GS_CHECK(beta >= 0, Value, op, "expected beta of 0 or more, got ", beta, ".");
  check_pair(op, x, target);
  return pointwise(loss, x, target);
}

Tensor huber_loss(const Tensor& x, const Tensor& target, const std::string& reduction,
                  double delta) {
  const char* op = "huber_loss";
  const Loss loss{op, LossOp::Huber, reduction_of(op, reduction), delta};
  GS_CHECK(delta > 0, Value, op, "expected delta above 0, got ", delta, ".");
  check_pair(op, x, target);
  return pointwise(loss, x, target);
}

Tensor hinge_embedding_loss(const Tensor& x, const Tensor& target, double margin,
                            const std::string& reduction) {
  const char* op = "hinge_embedding_loss";
  const Loss loss{op, LossOp::Hinge, reduction_of(op, reduction), margin};
  check_pair(op, x, target);
  return pointwise(loss, x, target);
}

Tensor bce_loss(const Tensor& x, const Tensor& target, const Tensor& weight,
                const std::string& reduction) {
  const char* op = "binary_cross_entropy";
  const Loss loss{op, LossOp::CrossEntropy, reduction_of(op, reduction)};
  check_same_shape(op, x, target);
  check_same_dtype(op, {&x, &target});
  check_broadcasts(op, weight, x, "weight");
  return pointwise(loss, x, target, weight);
}

Tensor bce_with_logits(const Tensor& x, const Tensor& target, const Tensor& weight,
                       const Tensor& pos_weight, const std::string& reduction) {
  const char* op = "binary_cross_entropy_with_logits";
  const Loss loss{op, LossOp::LogitsCrossEntropy, reduction_of(op, reduction)};
  check_same_shape(op, x, target);
  check_broadcasts(op, weight, x, "weight");
  check_broadcasts(op, pos_weight, x, "pos_weight");
  return pointwise(loss, x, target, weight, pos_weight);
}

Tensor kl_div(const Tensor& x, const Tensor& target, const std::string& reduction,
              bool log_target) {
  const char* op = "kl_div";
  Loss loss{op, log_target ? LossOp::LogDivergence : LossOp::Divergence, Reduction::Sum};
  check_pair(op, x, target);
  if (!log_target) check_floating(op, target, "target");
  if (reduction == "batchmean")
    loss.batch = static_cast<double>(x.dim() ? x.size(0) : 1);
  else
    loss.reduction = reduction_of(op, reduction);
  return pointwise(loss, x, target);
}

}  // namespace gs::ops
