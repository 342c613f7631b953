// Arithmetic of two operands, with broadcasting and type promotion.
#include <cmath>

#include "kernels/params/binary.h"
#include "ops/common.h"

namespace gs::ops {
namespace {

// Operands that had to be converted.
struct Casts {
  Tensor a, b;
};
struct Pair {
  const Tensor &a, &b;
  DType dtype;
};

// `t` in `dtype`: itself, or a conversion that `kept` holds.
const Tensor& converted(const Tensor& t, DType dtype, Tensor& kept) {
  return t.dtype() == dtype ? t : kept = cast(t, dtype);
}

// Both operands in the dtype of the result. Casts are recorded, so gradients come back in the dtype
// that each operand had.
Pair promoted(Casts& casts, const char* op, const Tensor& a, const Tensor& b,
              bool to_float = false) {
  if (a.device() != b.device()) check_same_device(op, {&a, &b});
  DType dtype = result_dtype(a, b);
  if (to_float) dtype = float_dtype(dtype);
  return {converted(a, dtype, casts.a), converted(b, dtype, casts.b), dtype};
}

// y = f(a, b) into `y`, which is allocated.
void run_into(const Tensor& y, BinaryOp op, const Tensor& a, const Tensor& b) {
  if (y.numel()) kernels::binary(y.device(), {op, make_loop({&y, &a, &b})});
}

Tensor run(const char* name, BinaryOp op, const Tensor& a, const Tensor& b) {
  const Device device = device_of(a, b);
  Tensor y = a.shape() == b.shape()
                 ? empty(a.shape(), a.dtype(), device)
                 : empty(broadcast(a.shape(), b.shape(), name), a.dtype(), device);
  run_into(y, op, a, b);
  return y;
}

// In place: the result must fit the tensor's own shape and dtype. A gradient that needs the old
// values gets a copy of them, since they are about to be overwritten.
template <class Op>
Tensor write(const char* name, const Tensor& a, const Tensor& b, Op op, bool keep_old = true) {
  GS_CHECK(broadcast(a.shape(), b.shape(), name) == a.shape(), Value, name,
           "expected an operand that broadcasts to shape ", a.shape(), ", got ", b.shape(), ".");
  return autograd::in_place(name, a, [&](const Tensor& old, Tensor& out) {
    const Tensor y = op(keep_old && needs_grad(old, b) ? clone(old) : old);
    GS_CHECK(can_cast(y.dtype(), out.dtype()), Type, name, "a result of dtype ", y.dtype(),
             " cannot be stored in a tensor of dtype ", out.dtype(), ".");
    copy_into(out, y);
    if (needs_grad(y)) {
      record(name, out, inputs(y),
             [dtype = y.dtype()](Backward& b) -> Tensors { return {cast(b.grad(), dtype)}; });
    }
  });
}

// alpha * right, multiplied in the dtype of the sum that it is for.
Tensor scaled(const Tensor& left, const Tensor& right, Scalar alpha) {
  if (alpha.to_double() == 1.0) return right;
  const DType sum = result_dtype(left, right);
  const bool wider =
      !right.body()->wrapped_number && is_floating(sum) && is_floating(right.dtype());
  return mul(wider ? static_cast<Tensor>(cast(right, sum)) : right, alpha);
}

bool is_scalar_number(const Tensor& t, double value) {
  return t.body()->wrapped_number && t.item().to_double() == value;
}

}  // namespace

// d(a + b) = da + db
Tensor add(const Operand& left, const Operand& right, Scalar alpha) {
  if (alpha.to_double() != 1.0) return add(left, scaled(left, right, alpha), Scalar(1));
  Casts casts;
  const auto [a, b, dtype] = promoted(casts, "add", left, right);
  Tensor y = run("add", BinaryOp::Add, a, b);
  if (needs_grad(a, b)) {
    record("add", y, inputs(a, b), [](Backward& ctx) -> Tensors {
      const Tensor g = ctx.grad();
      return {ctx.needs(0) ? reduce_to(g, ctx.input_shape(0)) : Tensor(),
              ctx.needs(1) ? reduce_to(g, ctx.input_shape(1)) : Tensor()};
    });
  }
  return y;
}

// d(a - b) = da - db
Tensor sub(const Operand& left, const Operand& right, Scalar alpha) {
  if (alpha.to_double() != 1.0) return sub(left, scaled(left, right, alpha), Scalar(1));
  Casts casts;
  const auto [a, b, dtype] = promoted(casts, "sub", left, right);
  GS_CHECK(dtype != DType::Bool, Type, "sub", "bool tensors have no difference; use logical_xor.");
  Tensor y = run("sub", BinaryOp::Sub, a, b);
  if (needs_grad(a, b)) {
    record("sub", y, inputs(a, b), [](Backward& ctx) -> Tensors {
      const Tensor g = ctx.grad();
      return {ctx.needs(0) ? reduce_to(g, ctx.input_shape(0)) : Tensor(),
              ctx.needs(1) ? neg(reduce_to(g, ctx.input_shape(1))) : Tensor()};
    });
  }
  return y;
}

// d(a b) = b da + a db
Tensor mul(const Operand& left, const Operand& right) {
  Casts casts;
  const auto [a, b, dtype] = promoted(casts, "mul", left, right);
  Tensor y = run("mul", BinaryOp::Mul, a, b);
  if (needs_grad(a, b)) {
    record("mul", y, inputs(a, b),
           [a = b.requires_grad() ? Saved(a) : Saved(),
            b = a.requires_grad() ? Saved(b) : Saved()](Backward& ctx) -> Tensors {
             const Tensor g = ctx.grad();
             return {ctx.needs(0) ? reduce_to(mul(g, b.get(ctx)), ctx.input_shape(0)) : Tensor(),
                     ctx.needs(1) ? reduce_to(mul(g, a.get(ctx)), ctx.input_shape(1)) : Tensor()};
           });
  }
  return y;
}

// d(a / b) = da / b - (a / b) db / b
static Tensor true_div(const Tensor& left, const Tensor& right) {
  Casts casts;
  const auto [a, b, dtype] = promoted(casts, "div", left, right, true);
  Tensor y = run("div", BinaryOp::Div, a, b);
  if (needs_grad(a, b)) {
    record("div", y, inputs(a, b),
           [b = Saved(b),
            y = b.requires_grad() ? Saved::output(y) : Saved()](Backward& ctx) -> Tensors {
             const Tensor q = div(ctx.grad(), b.get(ctx), "");
             return {
                 ctx.needs(0) ? reduce_to(q, ctx.input_shape(0)) : Tensor(),
                 ctx.needs(1) ? neg(reduce_to(mul(q, y.get(ctx)), ctx.input_shape(1))) : Tensor()};
           });
  }
  return y;
}

static void check_divisor(const char* op, const Tensor& b) {
  if (is_floating(b.dtype()) || b.numel() == 0) return;
  GS_CHECK(all(b, std::nullopt, false).item().to_int(), Value, op, "integer division by zero.");
}

Tensor floor_divide(const Operand& left, const Operand& right) {
  Casts casts;
  const auto [a, b, dtype] = promoted(casts, "floor_divide", left, right);
  GS_CHECK(dtype != DType::Bool, Type, "floor_divide", "bool tensors have no quotient.");
  check_divisor("floor_divide", b);
  return run("floor_divide", BinaryOp::FloorDiv, a, b);
}

Tensor div(const Operand& a, const Operand& b, const std::string& rounding_mode) {
  if (rounding_mode.empty()) return true_div(a, b);
  GS_CHECK(rounding_mode == "floor" || rounding_mode == "trunc", Value, "div",
           "expected rounding_mode None, 'floor' or 'trunc', got '", rounding_mode, "'.");
  if (rounding_mode == "floor") return floor_divide(a, b);
  if (is_floating(result_dtype(a, b))) return trunc(true_div(a, b));
  // trunc(a / b) = (a - fmod(a, b)) / b exactly, for integers
  return floor_divide(sub(a, fmod(a, b), 1), b);
}

// a mod b = a - floor(a / b) b
Tensor remainder(const Operand& left, const Operand& right) {
  Casts casts;
  const auto [a, b, dtype] = promoted(casts, "remainder", left, right);
  GS_CHECK(dtype != DType::Bool, Type, "remainder", "bool tensors have no remainder.");
  check_divisor("remainder", b);
  Tensor y = run("remainder", BinaryOp::Remainder, a, b);
  if (needs_grad(a, b)) {
    record("remainder", y, inputs(a, b),
           [a = Saved(a), b = Saved(b), sa = a.shape(), sb = b.shape()](Backward& ctx) -> Tensors {
             const Tensor g = ctx.grad();
             return {ctx.needs(0) ? reduce_to(g, sa) : Tensor(),
                     ctx.needs(1)
                         ? neg(reduce_to(
                               mul(g, floor(div(detach(a.get(ctx)), detach(b.get(ctx)), ""))), sb))
                         : Tensor()};
           });
  }
  return y;
}

Tensor fmod(const Operand& left, const Operand& right) {
  Casts casts;
  const auto [a, b, dtype] = promoted(casts, "fmod", left, right);
  GS_CHECK(dtype != DType::Bool, Type, "fmod", "bool tensors have no remainder.");
  check_divisor("fmod", b);
  Tensor y = run("fmod", BinaryOp::Fmod, a, b);
  if (needs_grad(a, b)) {
    record("fmod", y, inputs(a, b),
           [a = Saved(a), b = Saved(b), sa = a.shape(), sb = b.shape()](Backward& ctx) -> Tensors {
             const Tensor g = ctx.grad();
             return {ctx.needs(0) ? reduce_to(g, sa) : Tensor(),
                     ctx.needs(1)
                         ? neg(reduce_to(
                               mul(g, trunc(div(detach(a.get(ctx)), detach(b.get(ctx)), ""))), sb))
                         : Tensor()};
           });
  }
  return y;
}

// d(a^b) = b a^(b-1) da + a^b log(a) db, with 0 for da where b = 0 and 0 for db where a = 0 and b
// >= 0.
Tensor pow(const Operand& left, const Operand& right) {
  if (is_scalar_number(right, 2.0) && left.dtype() != DType::Bool) return square(left);
  if (is_floating(left.dtype())) {
    if (is_scalar_number(right, 0.5)) return sqrt(left);
    if (is_scalar_number(right, 1.0)) return clone(left);
    if (is_scalar_number(right, -1.0)) return reciprocal(left);
  }
  Casts casts;
  const auto [a, b, dtype] = promoted(casts, "pow", left, right);
  GS_CHECK(dtype != DType::Bool, Type, "pow", "bool tensors have no power.");
  if (!is_floating(dtype) && b.numel()) {
    GS_CHECK(amin(b, std::nullopt, false).item().to_int() >= 0, Value, "pow",
             "integers to negative powers are not integers; convert to a floating dtype first.");
  }
  Tensor y = run("pow", BinaryOp::Pow, a, b);
  if (needs_grad(a, b)) {
    record("pow", y, inputs(a, b),
           [a = Saved(a), b = Saved(b), y = Saved::output(y), sa = a.shape(),
            sb = b.shape()](Backward& ctx) -> Tensors {
             const Tensor g = ctx.grad(), base = a.get(ctx), exponent = b.get(ctx);
             Tensor da, db;
             if (ctx.needs(0)) {
               const Tensor slope = mul(exponent, pow(base, sub(exponent, 1, 1)));
               da = reduce_to(mul(g, where(eq(exponent, 0), 0.0, slope)), sa);
             }
             if (ctx.needs(1)) {
               const Tensor flat = logical_and(eq(base, 0), ge(exponent, 0));
               const Tensor safe = cast(where(flat, 1.0, base), base.dtype());
               db = reduce_to(mul(g, where(flat, 0.0, mul(y.get(ctx), log(safe)))), sb);
             }
             return {da, db};
           });
  }
  return y;
}

// The gradient goes to the chosen operand; a tie is shared equally.
static Tensor extreme(const char* name, BinaryOp op, const Tensor& left, const Tensor& right) {
  Casts casts;
  const auto [a, b, dtype] = promoted(casts, name, left, right);
  Tensor y = run(name, op, a, b);
  if (needs_grad(a, b)) {
    record(name, y, inputs(a, b), [op, a = Saved(a), b = Saved(b)](Backward& ctx) -> Tensors {
      const Tensor g = ctx.grad(), x = detach(a.get(ctx)), z = detach(b.get(ctx));
      const Tensor tie = mul(cast(eq(x, z), g.dtype()), 0.5);
      const auto share = [&](const Tensor& mine, const Tensor& other) {
        const Tensor wins =
            cast(op == BinaryOp::Maximum ? gt(mine, other) : lt(mine, other), g.dtype());
        return reduce_to(mul(g, add(wins, tie, 1)), mine.shape());
      };
      return {ctx.needs(0) ? share(x, z) : Tensor(), ctx.needs(1) ? share(z, x) : Tensor()};
    });
  }
  return y;
}

Tensor maximum(const Operand& a, const Operand& b) {
  return extreme("maximum", BinaryOp::Maximum, a, b);
}
Tensor minimum(const Operand& a, const Operand& b) {
  return extreme("minimum", BinaryOp::Minimum, a, b);
}

// d atan2(a, b) = (b da - a db) / (a^2 + b^2), taken as 0 at the origin
Tensor atan2(const Operand& left, const Operand& right) {
  Casts casts;
  const auto [a, b, dtype] = promoted(casts, "atan2", left, right, true);
  Tensor y = run("atan2", BinaryOp::Atan2, a, b);
  if (needs_grad(a, b)) {
    record("atan2", y, inputs(a, b), [a = Saved(a), b = Saved(b)](Backward& ctx) -> Tensors {
      const Tensor u = a.get(ctx), v = b.get(ctx);
      const Tensor r2 = add(square(u), square(v), 1);
      const Tensor g = div(ctx.grad(), where(eq(r2, 0), 1.0, r2), "");
      return {ctx.needs(0) ? reduce_to(mul(g, v), u.shape()) : Tensor(),
              ctx.needs(1) ? neg(reduce_to(mul(g, u), v.shape())) : Tensor()};
    });
  }
  return y;
}

static Tensor bits(const char* name, BinaryOp op, const Tensor& left, const Tensor& right,
                   bool bool_allowed = true) {
  Casts casts;
  const auto [a, b, dtype] = promoted(casts, name, left, right);
  GS_CHECK(!is_floating(dtype) && (bool_allowed || dtype != DType::Bool), Type, name,
           "expected integers", bool_allowed ? " or bool" : "", ", got ", left.dtype(), " and ",
           right.dtype(), ".");
  return run(name, op, a, b);
}

Tensor bitwise_and(const Operand& a, const Operand& b) {
  return bits("bitwise_and", BinaryOp::And, a, b);
}
Tensor bitwise_or(const Operand& a, const Operand& b) {
  return bits("bitwise_or", BinaryOp::Or, a, b);
}
Tensor bitwise_xor(const Operand& a, const Operand& b) {
  return bits("bitwise_xor", BinaryOp::Xor, a, b);
}
Tensor bitwise_left_shift(const Operand& a, const Operand& b) {
  return bits("bitwise_left_shift", BinaryOp::ShiftLeft, a, b, false);
}
Tensor bitwise_right_shift(const Operand& a, const Operand& b) {
  return bits("bitwise_right_shift", BinaryOp::ShiftRight, a, b, false);
}

// a + w (b - a), from the nearer end: exactly a at w = 0 and b at w = 1.
Tensor lerp(const Tensor& a, const Tensor& b, const Operand& weight) {
  const Tensor way = sub(b, a, 1);
  const auto from_a = [&] { return add(a, mul(weight, way), 1); };
  const auto from_b = [&](const Operand& rest) { return sub(b, mul(rest, way), 1); };
  if (weight.body()->wrapped_number) {
    const double w = weight.item().to_double();
    return std::fabs(w) < 0.5 ? from_a() : from_b(1 - w);
  }
  return where(lt(abs(weight), 0.5), from_a(), from_b(sub(1, weight, 1)));
}
Tensor addcmul(const Tensor& x, const Tensor& a, const Tensor& b, Scalar value) {
  return add(x, mul(a, b), value);
}
Tensor addcdiv(const Tensor& x, const Tensor& a, const Tensor& b, Scalar value) {
  return add(x, div(a, b, ""), value);
}

// ---- in place

namespace {

// Operands that need no conversion are computed straight into the tensor's memory.
bool direct(const Tensor& a, const Tensor& b) {
  return !autograd::needs_grad(a, b) && a.device() == b.device() &&
         result_dtype(a, b) == a.dtype() && (a.body()->storage != b.body()->storage || a.same(b));
}

Tensor write_direct(const char* name, BinaryOp op, const Tensor& a, const Tensor& b) {
  GS_CHECK(broadcast(a.shape(), b.shape(), name) == a.shape(), Value, name,
           "expected an operand that broadcasts to shape ", a.shape(), ", got ", b.shape(), ".");
  const Tensor other = cast(b, a.dtype());
  return autograd::in_place(name, a,
                            [&](const Tensor& old, Tensor& out) { run_into(out, op, old, other); });
}

}  // namespace

Tensor add_(const Tensor& a, const Operand& b, Scalar alpha) {
  const Tensor other = scaled(a, b, alpha);
  if (direct(a, other)) return write_direct("add_", BinaryOp::Add, a, other);
  return write("add_", a, b, [&](const Tensor& old) { return add(old, b, alpha); }, false);
}
Tensor sub_(const Tensor& a, const Operand& b, Scalar alpha) {
  const Tensor other = scaled(a, b, alpha);
  if (direct(a, other) && a.dtype() != DType::Bool)
    return write_direct("sub_", BinaryOp::Sub, a, other);
  return write("sub_", a, b, [&](const Tensor& old) { return sub(old, b, alpha); }, false);
}
Tensor mul_(const Tensor& a, const Operand& b) {
  if (direct(a, b)) return write_direct("mul_", BinaryOp::Mul, a, b);
  return write("mul_", a, b, [&](const Tensor& old) { return mul(old, b); });
}
Tensor div_(const Tensor& a, const Operand& b) {
  if (direct(a, b) && is_floating(a.dtype())) return write_direct("div_", BinaryOp::Div, a, b);
  return write("div_", a, b, [&](const Tensor& old) { return true_div(old, b); });
}

#define GS_IN_PLACE(name)                                                           \
  Tensor name##_(const Tensor& a, const Operand& b) {                               \
    return write(#name "_", a, b, [&](const Tensor& old) { return name(old, b); }); \
  }
GS_IN_PLACE(pow)
GS_IN_PLACE(floor_divide)
GS_IN_PLACE(remainder)
GS_IN_PLACE(bitwise_and)
GS_IN_PLACE(bitwise_or)
GS_IN_PLACE(bitwise_xor)
GS_IN_PLACE(bitwise_left_shift)
GS_IN_PLACE(bitwise_right_shift)
#undef GS_IN_PLACE

Tensor lerp_(const Tensor& a, const Tensor& b, const Operand& weight) {
  return write("lerp_", a, b, [&](const Tensor& old) { return lerp(old, b, weight); });
}
Tensor addcmul_(const Tensor& x, const Tensor& a, const Tensor& b, Scalar value) {
  return write("addcmul_", x, mul(a, b),
               [&](const Tensor& old) { return addcmul(old, a, b, value); });
}
Tensor addcdiv_(const Tensor& x, const Tensor& a, const Tensor& b, Scalar value) {
  return write("addcdiv_", x, div(a, b, ""),
               [&](const Tensor& old) { return addcdiv(old, a, b, value); });
}

}  // namespace gs::ops
