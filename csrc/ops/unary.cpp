// Elementwise functions of one tensor. The kernels hold value and derivative side by side
// (kernels/functors.h); here stands the same derivative in differentiable operations, used when the
// gradient itself will be differentiated.
#include <cmath>
#include <limits>
#include <numbers>

#include "kernels/functors.h"
#include "kernels/params/unary.h"
#include "ops/common.h"

namespace gs::ops {
namespace {

// f'(x) from x and y = f(x), in differentiable operations.
using Derivative = Tensor (*)(const Tensor& x, const Tensor& y, double a, double b);

struct Options {
  double a = 0, b = 0;
  bool integers = false;  // the function keeps integer dtypes; others convert them to floats
};

// dx = g f'(x): one fused kernel, or differentiable operations under create_graph.
Tensor apply(const char* name, UnaryOp op, Derivative derivative, const Tensor& input,
             Options o = {}) {
  check_defined(name, input, "input");
  GS_CHECK(!o.integers || input.dtype() != DType::Bool, Type, name, "expected numbers, got bool.");
  const Tensor x = o.integers ? input : cast(input, float_dtype(input.dtype()));
  Tensor y = empty(x.shape(), x.dtype(), x.device());
  run_unary(op, x, y, o.a, o.b);
  if (needs_grad(x)) {
    const bool from_output = uses_output(op);
    record(name, y, inputs(x),
           [op, derivative, o, from_output, x = from_output ? Saved() : Saved(x),
            y = from_output ? Saved::output(y) : Saved()](Backward& ctx) -> Tensors {
             const Tensor s = from_output ? y.get(ctx) : x.get(ctx);
             if (ctx.create_graph()) return {mul(ctx.grad(), derivative(s, s, o.a, o.b))};
             Tensor dx = ctx.like_grad();
             const Tensor g = ctx.grad();
             if (dx.numel())
               kernels::unary_grad(g.device(), {op, make_loop({&dx, &g, &s}), o.a, o.b});
             return {dx};
           });
  }
  return y;
}

// Functions that are flat almost everywhere.
Tensor apply_flat(const char* name, UnaryOp op, const Tensor& x) {
  check_defined(name, x, "input");
  GS_CHECK(x.dtype() != DType::Bool, Type, name, "expected numbers, got bool.");
  Tensor y = empty(x.shape(), x.dtype(), x.device());
  run_unary(op, x, y);
  if (needs_grad(x)) {
    record(name, y, inputs(x), [](Backward& ctx) -> Tensors { return {zeros_like(ctx.grad())}; });
  }
  return y;
}

Tensor step(const Tensor& x, double below, double above, double edge = 0) {
  return where(gt(x, edge), above, full(x.shape(), below, x.dtype(), x.device()));
}
Tensor ones(const Tensor& x) { return full(x.shape(), 1.0, x.dtype(), x.device()); }

constexpr double kInvSqrt2Pi = 0.39894228040143267794;
constexpr double kSqrt2OverPi = 0.79788456080286535588;
constexpr double kGeluCubic = 0.044715;

}  // namespace

#define DERIVATIVE \
  [](const Tensor& x, const Tensor& y, [[maybe_unused]] double a, [[maybe_unused]] double b)->Tensor
#define UNUSED (void)x, (void)y

Tensor neg(const Tensor& x) {
  GS_CHECK(x.dtype() != DType::Bool, Type, "neg",
           "bool tensors have no negative; use logical_not.");
  return apply("neg", UnaryOp::Neg,
               DERIVATIVE {
                 UNUSED;
                 return neg(ones(x));
               },
               x, {.integers = true});
}
Tensor abs(const Tensor& x) {
  return apply("abs", UnaryOp::Abs,
               DERIVATIVE {
                 UNUSED;
                 return sign(x);
               },
               x, {.integers = true});
}
Tensor sign(const Tensor& x) { return apply_flat("sign", UnaryOp::Sign, x); }
Tensor square(const Tensor& x) {
  return apply("square", UnaryOp::Square,
               DERIVATIVE {
                 UNUSED;
                 return mul(x, 2.0);
               },
               x, {.integers = true});
}
Tensor sqrt(const Tensor& x) {
  return apply(
      "sqrt", UnaryOp::Sqrt,
      DERIVATIVE {
        UNUSED;
        return div(0.5, y, "");
      },
      x);
}
Tensor rsqrt(const Tensor& x) {
  return apply(
      "rsqrt", UnaryOp::Rsqrt,
      DERIVATIVE {
        UNUSED;
        return mul(mul(y, square(y)), -0.5);
      },
      x);
}
Tensor reciprocal(const Tensor& x) {
  return apply(
      "reciprocal", UnaryOp::Reciprocal,
      DERIVATIVE {
        UNUSED;
        return neg(square(y));
      },
      x);
}
Tensor exp(const Tensor& x) {
  return apply(
      "exp", UnaryOp::Exp,
      DERIVATIVE {
        UNUSED;
        return y;
      },
      x);
}
Tensor expm1(const Tensor& x) {
  return apply(
      "expm1", UnaryOp::Expm1,
      DERIVATIVE {
        UNUSED;
        return exp(x);
      },
      x);
}
Tensor log(const Tensor& x) {
  return apply(
      "log", UnaryOp::Log,
      DERIVATIVE {
        UNUSED;
        return reciprocal(x);
      },
      x);
}
Tensor log1p(const Tensor& x) {
  return apply(
      "log1p", UnaryOp::Log1p,
      DERIVATIVE {
        UNUSED;
        return reciprocal(add(x, 1.0, 1));
      },
      x);
}
Tensor log2(const Tensor& x) {
  return apply(
      "log2", UnaryOp::Log2,
      DERIVATIVE {
        UNUSED;
        return reciprocal(mul(x, std::numbers::ln2));
      },
      x);
}
Tensor sin(const Tensor& x) {
  return apply(
      "sin", UnaryOp::Sin,
      DERIVATIVE {
        UNUSED;
        return cos(x);
      },
      x);
}
Tensor cos(const Tensor& x) {
  return apply(
      "cos", UnaryOp::Cos,
      DERIVATIVE {
        UNUSED;
        return neg(sin(x));
      },
      x);
}
Tensor tan(const Tensor& x) {
  return apply(
      "tan", UnaryOp::Tan,
      DERIVATIVE {
        UNUSED;
        return add(square(tan(x)), 1.0, 1);
      },
      x);
}
Tensor atan(const Tensor& x) {
  return apply(
      "atan", UnaryOp::Atan,
      DERIVATIVE {
        UNUSED;
        return reciprocal(add(square(x), 1.0, 1));
      },
      x);
}
Tensor sinh(const Tensor& x) {
  return apply(
      "sinh", UnaryOp::Sinh,
      DERIVATIVE {
        UNUSED;
        return cosh(x);
      },
      x);
}
Tensor cosh(const Tensor& x) {
  return apply(
      "cosh", UnaryOp::Cosh,
      DERIVATIVE {
        UNUSED;
        return sinh(x);
      },
      x);
}
Tensor tanh(const Tensor& x) {
  return apply(
      "tanh", UnaryOp::Tanh,
      DERIVATIVE {
        UNUSED;
        return sub(1.0, square(y), 1);
      },
      x);
}
Tensor sigmoid(const Tensor& x) {
  return apply(
      "sigmoid", UnaryOp::Sigmoid,
      DERIVATIVE {
        UNUSED;
        return mul(y, sub(1.0, y, 1));
      },
      x);
}
Tensor relu(const Tensor& x) {
  return apply("relu", UnaryOp::Relu,
               DERIVATIVE {
                 UNUSED;
                 return step(y, 0, 1);
               },
               x, {.integers = true});
}
Tensor leaky_relu(const Tensor& x, double negative_slope) {
  check_floating("leaky_relu", x);
  return apply("leaky_relu", UnaryOp::LeakyRelu,
               DERIVATIVE {
                 UNUSED;
                 return step(x, a, 1);
               },
               x, {.a = negative_slope});
}
Tensor elu(const Tensor& x, double alpha) {
  check_floating("elu", x);
  return apply("elu", UnaryOp::Elu,
               DERIVATIVE {
                 UNUSED;
                 return where(gt(x, 0.0), 1.0, mul(exp(minimum(x, 0.0)), a));
               },
               x, {.a = alpha});
}

// d gelu = Phi(x) + x phi(x)
static Tensor gelu_exact(const Tensor& x) {
  return apply(
      "gelu", UnaryOp::Gelu,
      DERIVATIVE {
        UNUSED;
        const Tensor cdf = mul(add(erf(mul(x, std::numbers::sqrt2 / 2)), 1.0, 1), 0.5);
        const Tensor pdf = mul(exp(mul(square(x), -0.5)), kInvSqrt2Pi);
        return add(cdf, mul(x, pdf), 1);
      },
      x);
}
// t = tanh(u), u = sqrt(2/pi) (x + c x^3); d = (1 + t) / 2 + x (1 - t^2) u' / 2
static Tensor gelu_tanh(const Tensor& x) {
  return apply(
      "gelu", UnaryOp::GeluTanh,
      DERIVATIVE {
        UNUSED;
        const Tensor x2 = square(x);
        const Tensor t = tanh(mul(mul(x, add(mul(x2, kGeluCubic), 1.0, 1)), kSqrt2OverPi));
        const Tensor du = mul(add(mul(x2, 3 * kGeluCubic), 1.0, 1), kSqrt2OverPi);
        return mul(add(add(t, 1.0, 1), mul(mul(x, sub(1.0, square(t), 1)), du), 1), 0.5);
      },
      x);
}
Tensor gelu(const Tensor& x, const std::string& approximate) {
  check_floating("gelu", x);
  GS_CHECK(approximate == "none" || approximate == "tanh", Value, "gelu",
           "expected approximate 'none' or 'tanh', got '", approximate, "'.");
  return approximate == "none" ? gelu_exact(x) : gelu_tanh(x);
}

// d silu = s (1 + x (1 - s)), s = sigmoid(x)
Tensor silu(const Tensor& x) {
  check_floating("silu", x);
  return apply(
      "silu", UnaryOp::Silu,
      DERIVATIVE {
        UNUSED;
        const Tensor s = sigmoid(x);
        return mul(s, add(mul(x, sub(1.0, s, 1)), 1.0, 1));
      },
      x);
}
Tensor softplus(const Tensor& x, double beta, double threshold) {
  check_floating("softplus", x);
  GS_CHECK(beta > 0, Value, "softplus", "expected beta above 0, got ", beta, ".");
  return apply("softplus", UnaryOp::Softplus,
               DERIVATIVE {
                 UNUSED;
                 const Tensor z = mul(x, a);
                 return where(gt(z, b), 1.0, sigmoid(z));
               },
               x, {.a = beta, .b = threshold});
}
Tensor logsigmoid(const Tensor& x) {
  check_floating("logsigmoid", x);
  return apply(
      "logsigmoid", UnaryOp::LogSigmoid,
      DERIVATIVE {
        UNUSED;
        return sigmoid(neg(x));
      },
      x);
}
Tensor hardtanh(const Tensor& x, double min_val, double max_val) {
  GS_CHECK(min_val <= max_val, Value, "hardtanh", "expected min_val <= max_val, got ", min_val,
           " and ", max_val, ".");
  check_floating("hardtanh", x);
  return apply("hardtanh", UnaryOp::Hardtanh,
               DERIVATIVE {
                 UNUSED;
                 return cast(logical_and(gt(x, a), lt(x, b)), x.dtype());
               },
               x, {.a = min_val, .b = max_val});
}
// d erf = 2 / sqrt(pi) exp(-x^2)
Tensor erf(const Tensor& x) {
  return apply(
      "erf", UnaryOp::Erf,
      DERIVATIVE {
        UNUSED;
        return mul(exp(neg(square(x))), 2 * std::numbers::inv_sqrtpi);
      },
      x);
}
Tensor floor(const Tensor& x) { return apply_flat("floor", UnaryOp::Floor, x); }
Tensor ceil(const Tensor& x) { return apply_flat("ceil", UnaryOp::Ceil, x); }
Tensor round(const Tensor& x, int64_t decimals) {
  if (decimals == 0) return apply_flat("round", UnaryOp::Round, x);
  check_floating("round", x, "input, to round to decimals,");
  const double power = std::pow(10.0, std::fabs(double(decimals)));
  return decimals > 0 ? div(round(mul(x, power)), power, "") : mul(round(div(x, power, "")), power);
}
Tensor trunc(const Tensor& x) { return apply_flat("trunc", UnaryOp::Trunc, x); }

// Bounds that are numbers, neither of them NaN.
static Tensor clamp_numbers(const Tensor& x, double min, double max) {
  return apply("clamp", UnaryOp::Clamp,
               DERIVATIVE {
                 UNUSED;
                 return cast(logical_and(ge(x, a), le(x, b)), x.dtype());
               },
               x, {.a = min, .b = max, .integers = true});
}

// The dtype of `dtype` and a bound together.
static DType with_bound(const Tensor& x, DType dtype, const Bound& bound) {
  if (bound.tensor.defined()) return result_dtype(cast(x, dtype), bound.tensor);
  if (!bound.number || is_floating(dtype)) return dtype;
  if (bound.number->is_floating()) return default_dtype();
  const bool truth = dtype == DType::Bool && bound.number->kind() == Scalar::Kind::Int;
  return truth ? DType::Int64 : dtype;
}

// `bound` where x lies beyond it or it is NaN; the gradient goes to what was chosen.
static Tensor clamp_side(const Tensor& x, const Bound& bound, bool lower) {
  const Operand edge = bound.number ? Operand(*bound.number) : Operand(bound.tensor);
  const Tensor beyond = lower ? lt(x, edge) : gt(x, edge);
  return where(is_floating(edge.dtype()) ? logical_or(beyond, isnan(edge)) : beyond, edge, x);
}

Tensor clamp(const Tensor& input, const Bound& min, const Bound& max) {
  check_defined("clamp", input, "input");
  const auto given = [](const Bound& b) { return b.number || b.tensor.defined(); };
  const auto plain = [](const Bound& b) {
    return !b.tensor.defined() && !(b.number && std::isnan(b.number->to_double()));
  };
  GS_CHECK(given(min) || given(max), Value, "clamp", "expected min, max or both.");
  const DType dtype = with_bound(input, with_bound(input, input.dtype(), min), max);
  const Tensor x = cast(input, dtype);
  if (plain(min) && plain(max)) {
    constexpr double inf = std::numeric_limits<double>::infinity();
    return clamp_numbers(x, min.number ? min.number->to_double() : -inf,
                         max.number ? max.number->to_double() : inf);
  }
  const Tensor raised = given(min) ? clamp_side(x, min, true) : x;
  return cast(given(max) ? clamp_side(raised, max, false) : raised, dtype);
}

Tensor bitwise_not(const Tensor& x) {
  GS_CHECK(!is_floating(x.dtype()), Type, "bitwise_not", "expected integers or bool, got ",
           x.dtype(), ".");
  Tensor y = empty_like(x);
  run_unary(UnaryOp::BitNot, x, y);
  return y;
}

// ---- in place: the function of the old values, written over them (a copy serves the gradient)

#define GS_IN_PLACE(name)                                                                     \
  Tensor name##_(const Tensor& x) {                                                           \
    GS_CHECK(is_floating(x.dtype()) || name(x).dtype() == x.dtype(), Type, #name "_",         \
             "a floating result cannot be stored in a tensor of dtype ", x.dtype(), ".");     \
    return autograd::in_place(#name "_", x, [&](const Tensor& old, Tensor& out) {             \
      const Tensor y = name(needs_grad(old) ? clone(old) : old);                              \
      copy_into(out, y);                                                                      \
      if (needs_grad(y))                                                                      \
        record(#name "_", out, inputs(y), [](Backward& b) -> Tensors { return {b.grad()}; }); \
    });                                                                                       \
  }
GS_IN_PLACE(neg)
GS_IN_PLACE(abs)
GS_IN_PLACE(sqrt)
GS_IN_PLACE(exp)
GS_IN_PLACE(log)
GS_IN_PLACE(tanh)
GS_IN_PLACE(sigmoid)
GS_IN_PLACE(relu)
#undef GS_IN_PLACE

Tensor clamp_(const Tensor& x, const Bound& min, const Bound& max) {
  return autograd::in_place("clamp_", x, [&](const Tensor& old, Tensor& out) {
    const Tensor y = clamp(needs_grad(old) ? clone(old) : old, min, max);
    GS_CHECK(can_cast(y.dtype(), out.dtype()), Type, "clamp_", "a result of dtype ", y.dtype(),
             " cannot be stored in a tensor of dtype ", out.dtype(), ".");
    GS_CHECK(y.shape() == out.shape(), Value, "clamp_", "expected bounds that broadcast to shape ",
             out.shape(), ", got a result of shape ", y.shape(), ".");
    copy_into(out, y);
    if (needs_grad(y)) {
      record("clamp_", out, inputs(y),
             [dtype = y.dtype()](Backward& b) -> Tensors { return {cast(b.grad(), dtype)}; });
    }
  });
}

}  // namespace gs::ops
