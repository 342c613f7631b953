// Scaled dot-product attention: one tiled kernel; differentiable operations where the scores
// themselves are needed (dropout, a mask with a gradient, second derivatives).
#include <cmath>
#include <limits>

#include "autograd/recompute.h"
#include "kernels/params/attention.h"
#include "ops/common.h"

namespace gs::ops {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// -inf above the diagonal of a T x U matrix: query t sees keys u <= t.
Tensor causal_mask(int64_t t, int64_t u, DType dtype, Device device) {
  return triu(full({t, u}, Scalar(-kInfinity), dtype, device), 1);
}

// q (..., T, D), k (..., U, D), v (..., U, V), additive mask or none. A row in which everything is
// masked gives 0, as in the kernel.
Tensor composed_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask,
                          bool causal, double scale, double dropout_p) {
  Tensor scores = mul(matmul(q, transpose(k, -2, -1)), scale), blocked = mask;
  if (causal) {
    const Tensor future = causal_mask(q.size(-2), k.size(-2), q.dtype(), q.device());
    blocked = mask.defined() ? add(mask, future, 1) : future;
  }
  Tensor seeing;  // (..., T, 1), defined when some row sees nothing
  if (blocked.defined()) {
    scores = add(scores, blocked, 1);
    if (mask.defined() && blocked.numel()) {
      seeing = any(gt(detach(blocked), -kInfinity), Dims{-1}, true);
      if (!is_recorded(seeing.device()) && all(seeing, std::nullopt, false).item().to_int())
        seeing = Tensor();
    }
  }
  if (seeing.defined()) scores = where(seeing, scores, 0.0);
  Tensor p = softmax(scores, -1, std::nullopt);
  if (seeing.defined()) p = where(seeing, p, 0.0);
  if (dropout_p > 0) p = dropout(p, dropout_p, true);
  return matmul(p, v);
}

struct Sizes {
  Shape lead;  // the broadcast leading dimensions
  int64_t batch = 1, heads = 1, t, u, d, v;
};

Sizes sizes_of(const char* op, const Tensor& q, const Tensor& k, const Tensor& v) {
  check_floating(op, q, "query");
  check_defined(op, k, "key");
  check_defined(op, v, "value");
  check_same_device(op, {&q, &k, &v});
  check_same_dtype(op, {&q, &k, &v});
  GS_CHECK(q.dim() >= 2 && k.dim() >= 2 && v.dim() >= 2, Value, op,
           "expected query, key and value of shape (..., T, D), got ", q.shape(), ", ", k.shape(),
           " and ", v.shape(), ".");
  GS_CHECK(k.size(-1) == q.size(-1), Value, op, "expected key whose last size is ", q.size(-1),
           " to match query ", q.shape(), ", got ", k.shape(), ".");
  GS_CHECK(v.size(-2) == k.size(-2), Value, op, "expected value of ", k.size(-2),
           " positions to match key ", k.shape(), ", got ", v.shape(), ".");
  const auto lead_of = [](const Tensor& x) {
    return Shape(x.shape().begin(), x.shape().end() - 2);
  };
  Sizes s;
  s.lead = broadcast(broadcast(lead_of(q), lead_of(k), op), lead_of(v), op);
  for (int64_t i = 0; i + 1 < s.lead.size(); ++i) s.batch *= s.lead[i];
  if (!s.lead.empty()) s.heads = s.lead.back();
  s.t = q.size(-2), s.u = k.size(-2), s.d = q.size(-1), s.v = v.size(-1);
  return s;
}

// None, or additive values of q's dtype that broadcast to (..., T, U).
Tensor additive_mask(const char* op, const Tensor& mask, const Tensor& q, const Sizes& s) {
  if (!mask.defined()) return mask;
  check_same_device(op, {&q, &mask});
  GS_CHECK(mask.dtype() == DType::Bool || is_floating(mask.dtype()), Type, op,
           "expected attn_mask of dtype bool or ", q.dtype(), ", got ", mask.dtype(), ".");
  Shape scores = s.lead;
  scores.push_back(s.t);
  scores.push_back(s.u);
  GS_CHECK(broadcast(mask.shape(), scores, op) == scores, Value, op,
           "expected attn_mask that broadcasts to ", scores, ", got ", mask.shape(), ".");
  if (mask.dtype() != DType::Bool) return cast(mask, q.dtype());
  return cast(where(mask, 0.0, -kInfinity), q.dtype());
}

// (..., T, X) -> (batch, heads, T, X), dense.
Tensor as_heads(const Tensor& x, const Sizes& s) {
  Shape full = s.lead;
  full.push_back(x.size(-2));
  full.push_back(x.size(-1));
  const Tensor wide = x.shape() == full ? x : expand(x, full);
  return reshape(contiguous(wide), {s.batch, s.heads, x.size(-2), x.size(-1)});
}

// (batch or 1, heads or 1, T, U), dense: what is shared between batches or heads is stored once.
Tensor mask_as_heads(const Tensor& mask, const Sizes& s) {
  if (!mask.defined()) return mask;
  const int64_t lead = s.lead.size();
  Shape shape = mask.shape();
  while (shape.size() < lead + 2) shape.insert(0, 1);
  const bool per_head = lead > 0 && shape[lead - 1] != 1;
  bool per_batch = false;
  for (int64_t i = 0; i + 1 < lead; ++i) per_batch = per_batch || shape[i] != 1;
  Shape wanted;
  for (int64_t i = 0; i + 1 < lead; ++i) wanted.push_back(per_batch ? s.lead[i] : 1);
  if (lead > 0) wanted.push_back(per_head ? s.heads : 1);
  wanted.push_back(s.t);
  wanted.push_back(s.u);
  return reshape(contiguous(expand(reshape(mask, shape), wanted)),
                 {per_batch ? s.batch : 1, per_head ? s.heads : 1, s.t, s.u});
}

// The kernel and its gradient, on (batch, heads, ., .).
Tensor fused_attention(const char* op, const Tensor& q, const Tensor& k, const Tensor& v,
                       const Tensor& mask, const Sizes& s, bool causal, double scale) {
  int64_t mask_batch_stride = 0, mask_head_stride = 0;
  if (mask.defined()) {
    if (mask.size(1) > 1) mask_head_stride = s.t * s.u;
    if (mask.size(0) > 1) mask_batch_stride = mask.size(1) * s.t * s.u;
  }
  const bool differentiate = needs_grad(q, k, v);
  Tensor out = empty({s.batch, s.heads, s.t, s.v}, q.dtype(), q.device()), lse;
  if (differentiate)
    lse = empty({s.batch, s.heads, s.t},
                q.dtype() == DType::Float64 ? DType::Float64 : DType::Float32, q.device());
  kernels::attention(q.device(), {q.dtype(), s.batch, s.heads, s.t, s.u, s.d, s.v, q.raw(), k.raw(),
                                  v.raw(), raw_or_null(mask), mask_batch_stride, mask_head_stride,
                                  causal, scale, out.raw(), raw_or_null(lse)});
  if (!differentiate) return out;
  record(op, out, inputs(q, k, v),
         [sq = Saved(q), sk = Saved(k), sv = Saved(v), sm = Saved(mask), so = Saved::output(out),
          lse, s, mask_batch_stride, mask_head_stride, causal, scale](Backward& b) -> Tensors {
           const Tensor q = sq.get(b), k = sk.get(b), v = sv.get(b), mask = sm.get(b);
           if (b.create_graph()) {
             return autograd::recompute_gradient(b, {q, k, v}, [&](const Tensors& in) -> Tensors {
               return {composed_attention(in[0], in[1], in[2], mask, causal, scale, 0)};
             });
           }
           const Tensor dout = contiguous(b.grad());
           const Tensor dq = empty_like(q), dk = empty_like(k), dv = empty_like(v);
           kernels::attention_grad(q.device(), {q.dtype(),
                                                s.batch,
                                                s.heads,
                                                s.t,
                                                s.u,
                                                s.d,
                                                s.v,
                                                q.raw(),
                                                k.raw(),
                                                v.raw(),
                                                raw_or_null(mask),
                                                mask_batch_stride,
                                                mask_head_stride,
                                                causal,
                                                scale,
                                                so.get(b).raw(),
                                                lse.raw(),
                                                dout.raw(),
                                                dq.raw(),
                                                dk.raw(),
                                                dv.raw()});
           return {dq, dk, dv};
         });
  return out;
}

}  // namespace

Tensor scaled_dot_product_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                    const Tensor& attn_mask, double dropout_p, bool is_causal,
                                    std::optional<double> scale) {
  const char* op = "scaled_dot_product_attention";
  const Sizes s = sizes_of(op, q, k, v);
  GS_CHECK(dropout_p >= 0 && dropout_p <= 1, Value, op, "expected dropout_p in [0, 1], got ",
           dropout_p, ".");
  GS_CHECK(!is_causal || !attn_mask.defined(), Value, op,
           "expected attn_mask or is_causal, not both.");
  const Tensor mask = additive_mask(op, attn_mask, q, s);
  const double factor = scale.value_or(s.d ? 1 / std::sqrt(static_cast<double>(s.d)) : 1.0);
  Shape shape = s.lead;
  shape.push_back(s.t);
  shape.push_back(s.v);
  checked_numel(shape, op);
  const bool is_empty = s.batch * s.heads * s.t * s.u * s.d * s.v == 0;
  if (is_empty || dropout_p > 0 || needs_grad(mask))
    return composed_attention(q, k, v, mask, is_causal, factor, dropout_p);
  const Tensor out = fused_attention(op, as_heads(q, s), as_heads(k, s), as_heads(v, s),
                                     mask_as_heads(mask, s), s, is_causal, factor);
  return reshape(out, shape);
}

}  // namespace gs::ops
