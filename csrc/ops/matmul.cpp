// Matrix products. Transposes are strides: no operand is copied because it is transposed.
#include <vector>

#include "kernels/params/gemm.h"
#include "ops/common.h"

namespace gs::ops {
namespace {

void check_product(const char* op, const Tensor& a, const Tensor& b) {
  check_defined(op, a, "input");
  check_defined(op, b, "the second operand");
  check_same_device(op, {&a, &b});
  check_same_dtype(op, {&a, &b});
  GS_CHECK(a.dtype() != DType::Bool, Type, op,
           "bool tensors have no matrix product; convert them first.");
}

// C (M, N) of matrices A (M, K) and B (K, N).
Gemm matrix_params(const Tensor& a, const Tensor& b, const Tensor& c) {
  const int64_t ad = a.dim(), bd = b.dim();
  Gemm p{};
  p.dtype = c.dtype();
  p.m = a.size(ad - 2);
  p.k = a.size(ad - 1);
  p.n = b.size(bd - 1);
  p.a = a.raw();
  p.a_row = a.stride(ad - 2);
  p.a_col = a.stride(ad - 1);
  p.b = b.raw();
  p.b_row = b.stride(bd - 2);
  p.b_col = b.stride(bd - 1);
  p.c = c.raw();
  p.c_row = p.n;
  p.alpha = 1;
  p.beta = 0;
  p.batch = 1;
  return p;
}

// Element offsets of every matrix of t, whose leading dimensions broadcast to `batch`.
std::vector<int64_t> batch_offsets(const Tensor& t, const Shape& batch) {
  int64_t count = 1;
  for (int64_t n : batch) count *= n;
  std::vector<int64_t> out(static_cast<size_t>(count));
  const int64_t lead = batch.size() - (t.dim() - 2);
  int64_t at[kMaxDims] = {};
  for (int64_t i = 0; i < count; ++i) {
    int64_t offset = 0;
    for (int64_t d = lead; d < batch.size(); ++d)
      if (t.size(d - lead) != 1) offset += at[d] * t.stride(d - lead);
    out[static_cast<size_t>(i)] = offset;
    for (int64_t d = batch.size() - 1; d >= 0 && ++at[d] == batch[d]; --d) at[d] = 0;
  }
  return out;
}

Tensor transposed(const Tensor& t) { return transpose(t, -2, -1); }

// (..., M, K) @ (..., K, N) with batches that broadcast.
// dA = dC B^T, dB = A^T dC, each summed over the batches it was shared by.
Tensor batched(const char* name, const Tensor& a, const Tensor& b) {
  GS_CHECK(a.size(-1) == b.size(-2), Value, name, "expected the inner sizes to agree, got shapes ",
           a.shape(), " and ", b.shape(), " (", a.size(-1), " and ", b.size(-2), ").");
  const Shape batch_a(a.shape().begin(), a.shape().end() - 2),
      batch_b(b.shape().begin(), b.shape().end() - 2);
  const Shape batch = broadcast(batch_a, batch_b, name);
  Shape shape = batch;
  shape.push_back(a.size(-2));
  shape.push_back(b.size(-1));
  Tensor c = empty(shape, a.dtype(), a.device());
  if (c.numel()) {
    Gemm p = matrix_params(a, b, c);
    std::vector<int64_t> at_a, at_b;
    if (!batch.empty()) {
      at_a = batch_offsets(a, batch);
      at_b = batch_offsets(b, batch);
      p.batch = static_cast<int64_t>(at_a.size());
      p.a_batch_offsets = at_a.data();
      p.b_batch_offsets = at_b.data();
      p.c_batch_stride = p.m * p.n;
    }
    kernels::gemm(c.device(), p);
  }
  if (is_floating(c.dtype()) && needs_grad(a, b)) {
    record(name, c, inputs(a, b),
           [a = b.requires_grad() ? Saved(a) : Saved(), b = a.requires_grad() ? Saved(b) : Saved(),
            sa = a.shape(), sb = b.shape()](Backward& ctx) -> Tensors {
             const Tensor g = ctx.grad();
             return {ctx.needs(0) ? reduce_to(matmul(g, transposed(b.get(ctx))), sa) : Tensor(),
                     ctx.needs(1) ? reduce_to(matmul(transposed(a.get(ctx)), g), sb) : Tensor()};
           });
  }
  return c;
}

// Y (..., O) = act(X (..., I) W^T + bias), without a history.
Tensor linear_forward(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias,
                      Activation activation) {
  check_floating(op, x);
  check_floating(op, weight, "weight");
  check_same_device(op, {&x, &weight, &bias});
  check_same_dtype(op, {&x, &weight, &bias});
  GS_CHECK(weight.dim() == 2 && x.dim() > 0 && x.size(-1) == weight.size(1), Value, op,
           "expected input of shape (..., ", weight.dim() == 2 ? weight.size(1) : -1,
           ") to match weight ", weight.shape(), ", got ", x.shape(), ".");
  GS_CHECK(!bias.defined() || (bias.dim() == 1 && bias.size(0) == weight.size(0)), Value, op,
           "expected bias of shape (", weight.size(0), ",) to match weight ", weight.shape(),
           ", got ", bias.defined() ? bias.shape() : Shape{}, ".");
  const int64_t width = x.size(-1), outputs = weight.size(0);
  Shape shape = x.shape();
  shape.back() = outputs;
  Tensor y = empty(shape, x.dtype(), x.device());
  if (y.numel()) {
    // Views are made for what is not laid out as the product wants it, and then only.
    Tensor dense_x, dense_bias;
    if (x.dim() != 2 && !x.is_contiguous()) dense_x = contiguous(detached(x));
    if (bias.defined() && !bias.is_contiguous()) dense_bias = contiguous(detached(bias));
    const Tensor& rows = dense_x.defined() ? dense_x : x;
    const Tensor& b = dense_bias.defined() ? dense_bias : bias;
    Gemm p{};
    p.dtype = y.dtype();
    p.m = y.numel() / outputs, p.n = outputs, p.k = width;
    p.a = rows.raw();
    p.a_row = x.dim() == 2 ? x.stride(0) : width;
    p.a_col = x.dim() == 2 ? x.stride(1) : 1;
    p.b = weight.raw(), p.b_row = weight.stride(1), p.b_col = weight.stride(0);
    p.c = y.raw(), p.c_row = outputs;
    p.alpha = 1, p.beta = 0, p.batch = 1;
    p.bias = raw_or_null(b);
    p.activation = activation;
    kernels::gemm(y.device(), p);
  }
  return y;
}

}  // namespace

Tensor mm(const Tensor& a, const Tensor& b) {
  check_product("mm", a, b);
  GS_CHECK(a.dim() == 2 && b.dim() == 2, Value, "mm", "expected two matrices, got shapes ",
           a.shape(), " and ", b.shape(), ".");
  return batched("mm", a, b);
}

Tensor bmm(const Tensor& a, const Tensor& b) {
  check_product("bmm", a, b);
  GS_CHECK(a.dim() == 3 && b.dim() == 3 && a.size(0) == b.size(0), Value, "bmm",
           "expected shapes (B, M, K) and (B, K, N), got ", a.shape(), " and ", b.shape(), ".");
  return batched("bmm", a, b);
}

Tensor mv(const Tensor& a, const Tensor& b) {
  check_product("mv", a, b);
  GS_CHECK(a.dim() == 2 && b.dim() == 1, Value, "mv", "expected a matrix and a vector, got shapes ",
           a.shape(), " and ", b.shape(), ".");
  return matmul(a, b);
}

Tensor dot(const Tensor& a, const Tensor& b) {
  check_product("dot", a, b);
  GS_CHECK(a.dim() == 1 && b.dim() == 1 && a.size(0) == b.size(0), Value, "dot",
           "expected two vectors of one length, got shapes ", a.shape(), " and ", b.shape(), ".");
  return matmul(a, b);
}

Tensor outer(const Tensor& a, const Tensor& b) {
  check_defined("outer", a, "input");
  check_defined("outer", b, "vec2");
  GS_CHECK(a.dim() == 1 && b.dim() == 1, Value, "outer", "expected two vectors, got shapes ",
           a.shape(), " and ", b.shape(), ".");
  return mul(unsqueeze(a, 1), unsqueeze(b, 0));
}

Tensor matmul(const Tensor& a, const Tensor& b) {
  check_product("matmul", a, b);
  GS_CHECK(a.dim() > 0 && b.dim() > 0, Value, "matmul",
           "expected operands with dimensions, got shapes ", a.shape(), " and ", b.shape(),
           "; use mul() for numbers.");
  if (a.dim() == 1 && b.dim() == 1) {
    GS_CHECK(a.size(0) == b.size(0), Value, "matmul", "expected vectors of one length, got ",
             a.size(0), " and ", b.size(0), ".");
    return reshape(batched("matmul", unsqueeze(a, 0), unsqueeze(b, 1)), {});
  }
  if (a.dim() == 1) return squeeze(matmul(unsqueeze(a, 0), b), Dims{-2});
  if (b.dim() == 1) return squeeze(matmul(a, unsqueeze(b, 1)), Dims{-1});
  // One matrix for all batches: a single product with the batches as rows.
  if (a.dim() > 2 && b.dim() == 2 && a.is_contiguous() && a.size(-1) == b.size(0) &&
      a.size(-1) > 0) {
    Shape shape = a.shape();
    shape.back() = b.size(1);
    return reshape(batched("matmul", reshape(a, {-1, a.size(-1)}), b), shape);
  }
  return batched("matmul", a, b);
}

// beta C + alpha A B
Tensor addmm(const Tensor& c, const Tensor& a, const Tensor& b, double beta, double alpha) {
  check_product("addmm", a, b);
  check_same_device("addmm", {&c, &a});
  check_same_dtype("addmm", {&c, &a});
  GS_CHECK(a.dim() == 2 && b.dim() == 2 && a.size(1) == b.size(0), Value, "addmm",
           "expected shapes (M, K) and (K, N), got ", a.shape(), " and ", b.shape(), ".");
  const Shape shape{a.size(0), b.size(1)};
  GS_CHECK(broadcast(c.shape(), shape, "addmm") == shape, Value, "addmm",
           "expected input to broadcast to ", shape, ", got ", c.shape(), ".");
  Tensor y = empty(shape, a.dtype(), a.device());
  if (y.numel()) {
    if (beta != 0) copy_into(y, c);
    Gemm p = matrix_params(a, b, y);
    p.alpha = alpha;
    p.beta = beta;
    kernels::gemm(y.device(), p);
  }
  if (is_floating(y.dtype()) && needs_grad(c, a, b)) {
    record("addmm", y, inputs(c, a, b),
           [a = Saved(a), b = Saved(b), sc = c.shape(), alpha, beta](Backward& ctx) -> Tensors {
             const Tensor g = ctx.grad();
             return {ctx.needs(0) ? mul(reduce_to(g, sc), beta) : Tensor(),
                     ctx.needs(1) ? mul(matmul(g, transposed(b.get(ctx))), alpha) : Tensor(),
                     ctx.needs(2) ? mul(matmul(transposed(a.get(ctx)), g), alpha) : Tensor()};
           });
  }
  return y;
}

Tensor baddbmm(const Tensor& c, const Tensor& a, const Tensor& b, double beta, double alpha) {
  check_same_dtype("baddbmm", {&c, &a});
  const Tensor product = bmm(a, b);
  GS_CHECK(broadcast(c.shape(), product.shape(), "baddbmm") == product.shape(), Value, "baddbmm",
           "expected input to broadcast to ", product.shape(), ", got ", c.shape(), ".");
  const Tensor scaled = alpha == 1 ? product : mul(product, alpha);
  return beta == 0 ? scaled : add(beta == 1 ? c : mul(c, beta), scaled, 1);
}

// dX = dY W, dW = dY^T X, dbias = sum of dY.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  Tensor y = linear_forward("linear", x, weight, bias, Activation::None);
  const int64_t width = weight.size(1), outputs = weight.size(0);
  if (needs_grad(x, weight, bias)) {
    record("linear", y, inputs(x, weight, bias),
           [x = Saved(x), w = Saved(weight), width, outputs](Backward& ctx) -> Tensors {
             const Tensor g = ctx.grad(), input = x.get(ctx);
             const int64_t n = outputs ? g.numel() / outputs : width ? input.numel() / width : 0;
             const Tensor rows = reshape(g, {n, outputs});
             return {ctx.needs(0) ? matmul(g, w.get(ctx)) : Tensor(),
                     ctx.needs(1) ? mm(transposed(rows), reshape(input, {n, width})) : Tensor(),
                     ctx.needs(2) ? sum(rows, Dims{0}, false, std::nullopt) : Tensor()};
           });
  }
  return y;
}

Tensor linear_relu(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  if (needs_grad(x, weight, bias)) return relu(linear(x, weight, bias));
  return linear_forward("linear_relu", x, weight, bias, Activation::Relu);
}

}  // namespace gs::ops
