// What each kernel is given: validated sizes and allocated outputs. All pointers are to dense
// row-major memory unless strides say otherwise; `dtype` is the type of every floating operand of
// the call unless another is named. Sizes may be 0.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "kernels/loop.h"

namespace gs {

// ---------------------------------------------------------------- elementwise

enum class UnaryOp : uint8_t {
  Neg,
  Abs,
  Sign,
  Square,
  Sqrt,
  Rsqrt,
  Reciprocal,
  Exp,
  Expm1,
  Log,
  Log1p,
  Log2,
  Sin,
  Cos,
  Tan,
  Atan,
  Sinh,
  Cosh,
  Tanh,
  Sigmoid,
  Relu,
  LeakyRelu /*a: slope*/,
  Elu /*a: alpha*/,
  Gelu,
  GeluTanh,
  Silu,
  Softplus /*a: beta, b: threshold*/,
  Erf,
  Floor,
  Ceil,
  Round /*to even*/,
  Trunc,
  Clamp /*a: lowest, b: highest; NaN stays*/,
  BitNot,
  LogSigmoid,
  Hardtanh /*a, b as Clamp*/
};

// y = f(x). Floating functions get floating dtypes; Neg Abs Sign Square Relu Clamp Floor... also
// integers; BitNot integers and bool.
struct Unary {
  UnaryOp op;
  Loop loop;  // y, x: same dtype
  double a = 0, b = 0;
};

// dx = g * f'(x). `s` is what f' is cheapest from: the output y for Sqrt Rsqrt Reciprocal Exp Tanh
// Sigmoid Relu, otherwise the input x. (uses_output() in functors.h says which.)
struct UnaryGrad {
  UnaryOp op;
  Loop loop;  // dx, g, s: same floating dtype
  double a = 0, b = 0;
};

enum class BinaryOp : uint8_t {
  Add,
  Sub,
  Mul,
  Div,
  Pow,
  Maximum,
  Minimum /*NaN wins*/,
  FloorDiv,
  Remainder /*sign of the divisor*/,
  Fmod,
  Atan2,
  And,
  Or,
  Xor,
  ShiftLeft,
  ShiftRight
};

// y = f(a, b), all of one dtype. Add on bool is or, Mul is and. Integer division by zero gives 0
// (the operation has refused it before). Integer Pow has a non-negative exponent.
struct Binary {
  BinaryOp op;
  Loop loop;  // y, a, b
};

enum class CompareOp : uint8_t { Eq, Ne, Lt, Le, Gt, Ge, LogicalAnd, LogicalOr, LogicalXor };
struct Compare {
  CompareOp op;
  Loop loop;  // y (bool), a, b (one dtype)
};

struct Where {
  Loop loop;  // y, condition (bool), a, b
};

struct Copy {
  Loop loop;  // y, x: any two dtypes; float -> int truncates, anything -> bool is != 0
};

struct Fill {
  Loop loop;  // y alone
  double value;
  int64_t integer;  // used for integer dtypes and bool
};

struct Arange {
  void* y;
  int64_t n;
  DType dtype;
  double start, step;  // y[i] = start + i * step, computed in double or int64
};

// y = a * x + b * y or y[i] = f(...): fused steps that autograd needs often.
struct Axpy {
  void* y;
  const void* x;
  int64_t n;
  DType dtype;
  double alpha;  // y += alpha * x
};

// ---------------------------------------------------------------- reductions

enum class ReduceOp : uint8_t {
  Sum,
  Mean,
  Prod,
  Max,
  Min,
  All,
  Any,
  SumSquares,
  SumAbs,
  CountNonzero
};

// out[k] = op over the reduced dimensions of in[k, :]. Kept dimensions come first in row-major
// order of `out`, which is dense. Sum Mean Prod: out dtype is given (int64 for integers and bool;
// in may then be of another dtype: convert on load). Max Min keep the dtype, NaN wins. All Any give
// bool.
struct Reduce {
  ReduceOp op;
  const void* in;
  void* out;
  DType in_dtype, out_dtype;
  int kept_ndim, reduced_ndim;
  int64_t kept_shape[kMaxDims], kept_strides[kMaxDims];  // elements
  int64_t reduced_shape[kMaxDims], reduced_strides[kMaxDims];
};

// (outer, n, inner) -> value and index of the first extreme; NaN counts as the extreme.
struct ArgExtreme {
  bool largest;
  const void* in;
  void* values;      // may be null
  int64_t* indices;  // may be null
  DType dtype;
  int64_t outer, n, inner;
};

// Mean and sum of squared deviations over n, two passes or Welford: (outer, n, inner) -> (outer,
// inner).
struct Moments {
  const void* in;
  void* mean;
  void* m2;
  DType dtype;
  int64_t outer, n, inner;
};

enum class ScanOp : uint8_t { Sum, Prod };
struct Scan {
  ScanOp op;
  const void* in;
  void* out;
  DType dtype;
  int64_t outer, n, inner;
  bool reverse;
};

// ---------------------------------------------------------------- matrix products

enum class Activation : uint8_t { None, Relu, Tanh, Sigmoid, Gelu };

// C[b] = act(alpha * A[b] B[b] + beta * C[b] + bias). A is M x K, B is K x N, C is M x N with unit
// column stride. Strides are in elements; any strides are allowed for A and B (transposes are
// strides). Batches: b counts over batch_shape with strides per operand (0: shared). beta 0 never
// reads C.
struct Gemm {
  DType dtype;
  int64_t m, n, k;
  const void* a;
  int64_t a_row, a_col;
  const void* b;
  int64_t b_row, b_col;
  void* c;
  int64_t c_row;
  double alpha = 1, beta = 0;
  const void* bias = nullptr;  // n values added to each row, or m values when bias_per_row
  bool bias_per_row = false;
  Activation activation = Activation::None;
  int64_t batch = 1;  // flat batch; a_batch[i] etc. give the offset of batch i when not null
  int64_t a_batch_stride = 0, b_batch_stride = 0, c_batch_stride = 0;
  const int64_t* a_batch_offsets =
      nullptr;  // element offsets, `batch` of them, used instead of strides
  const int64_t* b_batch_offsets = nullptr;
};

// ---------------------------------------------------------------- convolution

// x (N, C, H, W), w (O, C/groups, R, S), y (N, O, P, Q). conv1d is H = R = 1.
struct ConvShape {
  DType dtype;
  int64_t n, c, h, w, o, r, s, p, q, groups;
  int64_t stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
};
struct Conv2d {
  ConvShape shape;
  const void* x;
  const void* weight;
  const void* bias;  // O values or null
  void* y;
  Activation activation = Activation::None;
  bool pool = false;  // y (N, O, P/2, Q/2): maxima of 2x2 windows; CPU, float32, None or Relu
};
struct Conv2dInputGrad {  // dx is overwritten (also the forward of conv_transpose2d)
  ConvShape shape;
  const void* dy;
  const void* weight;
  void* dx;
};
struct Conv2dWeightGrad {  // dweight is overwritten; dbias too when not null
  ConvShape shape;
  const void* x;
  const void* dy;
  void* dweight;
  void* dbias;
};

// ---------------------------------------------------------------- pooling

// x (planes, H, W) -> y (planes, P, Q); conv-like windows, planes = N * C.
struct PoolShape {
  DType dtype;
  int64_t planes, h, w, p, q;
  int64_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
};
struct MaxPool2d {
  PoolShape shape;
  const void* x;
  void* y;
  int32_t* indices;  // position in the H*W plane of the first maximum (NaN wins); may be null
};
struct MaxPool2dGrad {  // dx is overwritten
  PoolShape shape;
  const void* dy;
  const int32_t* indices;
  void* dx;
};
struct AvgPool2d {
  PoolShape shape;
  bool count_include_pad;
  int64_t divisor;  // 0: window size
  const void* x;
  void* y;
};
struct AvgPool2dGrad {
  PoolShape shape;
  bool count_include_pad;
  int64_t divisor;
  const void* dy;
  void* dx;
};
// Window i of p covers [floor(i*h/p), ceil((i+1)*h/p)).
struct AdaptivePool2d {
  DType dtype;
  int64_t planes, h, w, p, q;
  const void* x;
  void* y;
  int32_t* indices;  // adaptive maximum when not null, otherwise average
};
struct AdaptiveAvgPool2dGrad {
  DType dtype;
  int64_t planes, h, w, p, q;
  const void* dy;
  void* dx;
};

// ---------------------------------------------------------------- softmax and cross entropy

struct Softmax {  // (outer, n, inner) over n
  bool log;
  const void* x;
  void* y;
  DType dtype;
  int64_t outer, n, inner;
};
struct SoftmaxGrad {
  bool log;
  const void* dy;
  const void* y;
  void* dx;
  DType dtype;
  int64_t outer, n, inner;
};

// logits (outer, n, inner), target (outer, inner) of class indices already checked to be in range
// or ignore_index. loss (outer, inner): per position, unreduced, weighted, 0 where ignored:
//   weight[t] * (1 - eps) * (lse - x_t) + eps / n * sum_j weight_j * (lse - x_j).
// lse (outer, inner) is kept for the gradient.
struct CrossEntropy {
  const void* x;
  const int64_t* target;
  const void* weight;  // n values or null
  void* loss;
  void* lse;
  DType dtype;
  int64_t outer, n, inner;
  int64_t ignore_index;
  double smoothing;
};
struct CrossEntropyGrad {  // dx is overwritten; dloss (outer, inner)
  const void* x;
  const int64_t* target;
  const void* weight;
  const void* lse;
  const void* dloss;
  int64_t dloss_stride;  // 0: one scalar for all positions, 1: dense
  void* dx;
  DType dtype;
  int64_t outer, n, inner;
  int64_t ignore_index;
  double smoothing;
};

// ---------------------------------------------------------------- losses of two tensors

enum class LossOp : uint8_t {
  Squared,
  Absolute,
  SmoothAbsolute /*a: beta, above 0*/,
  Huber /*a: delta*/,
  CrossEntropy /*of probabilities*/,
  LogitsCrossEntropy,
  Divergence,
  LogDivergence,
  Hinge /*a: margin*/
};

// Dense values that begin anew every `period` elements; null: all 1.
struct Repeated {
  const void* data = nullptr;
  int64_t period = 1;
};

// n elements, all of one floating dtype. The loss of each is weight[i] * f(x[i], target[i]).
struct LossInputs {
  LossOp op;
  DType dtype;
  int64_t n;
  const void* x;
  const void* target;
  Repeated weight;
  Repeated positive;  // the weight of positive targets (LogitsCrossEntropy)
  double a;
};
struct PointwiseLoss {
  LossInputs in;
  void* y;         // n losses, or null
  void* total;     // one value: their sum over `divisor`; used when y is null
  double divisor;  // 0 / 0 is NaN
  bool* outside;   // CrossEntropy: set when an input is not within [0, 1]
};
struct PointwiseLossGrad {  // of scale * g * loss; each output may be null
  LossInputs in;
  Repeated g;
  double scale;
  void* dx;
  void* dtarget;
};

// ---------------------------------------------------------------- normalisation

// Rows of n: y = (x - mean) * rstd * weight + bias. mean and rstd (rows) are outputs, in compute
// type (float32, or float64 for float64).
struct LayerNorm {
  const void* x;
  const void* weight;  // n or null
  const void* bias;    // n or null
  void* y;
  void* mean;
  void* rstd;
  DType dtype;
  int64_t rows, n;
  double eps;
};
struct LayerNormGrad {
  const void* dy;
  const void* x;
  const void* weight;
  const void* mean;
  const void* rstd;
  void* dx;  // each of the three may be null
  void* dweight;
  void* dbias;
  DType dtype;
  int64_t rows, n;
};

// x (N, C, inner) in groups of C / groups channels: each group of each sample is normalised, weight
// and bias are per channel. mean and rstd (N groups) as above.
struct GroupNorm {
  const void* x;
  const void* weight;  // C or null
  const void* bias;    // C or null
  void* y;
  void* mean;
  void* rstd;
  DType dtype;
  int64_t n, c, inner, groups;
  double eps;
};
struct GroupNormGrad {
  const void* dy;
  const void* x;
  const void* weight;
  const void* mean;
  const void* rstd;
  void* dx;  // each of the three may be null
  void* dweight;
  void* dbias;
  DType dtype;
  int64_t n, c, inner, groups;
};

// x (N, C, inner). In training: mean and rstd (C, compute type) are computed from the batch and
// running_* (may be null) are updated with momentum (unbiased variance). In evaluation running_*
// are used and mean, rstd are filled from them.
struct BatchNorm {
  const void* x;
  const void* weight;
  const void* bias;
  void* y;
  void* mean;
  void* rstd;
  void* running_mean;  // dtype of x
  void* running_var;
  DType dtype;
  int64_t n, c, inner;
  bool training;
  double momentum, eps;
};
struct BatchNormGrad {
  const void* dy;
  const void* x;
  const void* weight;
  const void* mean;
  const void* rstd;
  void* dx;  // each of the three may be null
  void* dweight;
  void* dbias;
  DType dtype;
  int64_t n, c, inner;
  bool training;
};

// ---------------------------------------------------------------- recurrent layers

enum class CellKind : uint8_t { Lstm, Gru, RnnTanh, RnnRelu };

// One layer, one direction: x (T, B, I), w_ih (G*H, I), w_hh (G*H, H), b_ih and b_hh (G*H) or null;
// gate order is torch's: i f g o (LSTM), r z n (GRU). h0, c0 (B, H). out (T, B, H) with row stride
// out_stride elements between (t, b) rows, so that the two directions of a layer write side by
// side. Step t runs from T-1 down when reverse. saved (T, B, S*H), S = 4 for LSTM (activated i f g
// o), 4 for GRU (r, z, n, and h-part of n before r), 0 (null) for plain RNN; cells (T, B, H) for
// LSTM: c after each step. h_n, c_n (B, H) are written.
struct Recurrent {
  CellKind kind;
  DType dtype;
  bool reverse;
  int64_t steps, batch, inputs, hidden;
  const void* x;
  const void* w_ih;
  const void* b_ih;
  const void* w_hh;
  const void* b_hh;
  const void* h0;
  const void* c0;
  void* out;
  int64_t out_stride;
  void* saved;  // may be null when no gradient will be asked for
  void* cells;  // likewise (LSTM)
  void* h_n;
  void* c_n;
};
// Gradients through time. dgates (T, B, G*H): gradient of x W_ih^T + b_ih (from it the
// operation gets dx, dW_ih, db_ih by GEMM). dgates_hh: the gradient of h W_hh^T + b_hh, the same as
// dgates except for GRU, where it is a second buffer (T, B, 3H). dh_n, dc_n may be null. dh0, dc0
// (B, H) are written. dw_hh and db_hh are written when not null.
struct RecurrentGrad {
  CellKind kind;
  DType dtype;
  bool reverse;
  int64_t steps, batch, hidden;
  const void* w_hh;
  const void* h0;
  const void* c0;
  const void* out;
  int64_t out_stride;
  const void* saved;
  const void* cells;
  const void* dout;  // (T, B, H) with dout_stride, or null
  int64_t dout_stride;
  const void* dh_n;
  const void* dc_n;
  void* dgates;
  void* dgates_hh;  // GRU alone, otherwise null
  void* dw_hh;
  void* db_hh;
  void* dh0;
  void* dc0;
};

// ---------------------------------------------------------------- attention

// q (batch, heads, T, D), k (batch, heads, U, D), v (batch, heads, U, V): dense; out (batch, heads,
// T, V). mask: null, or T x U additive values with strides for batch and head (0: shared); -inf
// masks. causal: query t sees keys u <= t. lse (batch, heads, T), compute type, for the gradient.
// A row in which everything is masked gives 0.
struct Attention {
  DType dtype;
  int64_t batch, heads, t, u, d, v;
  const void* q;
  const void* k;
  const void* value;
  const void* mask;
  int64_t mask_batch_stride, mask_head_stride;
  bool causal;
  double scale;
  void* out;
  void* lse;
};
struct AttentionGrad {
  DType dtype;
  int64_t batch, heads, t, u, d, v;
  const void* q;
  const void* k;
  const void* value;
  const void* mask;
  int64_t mask_batch_stride, mask_head_stride;
  bool causal;
  double scale;
  const void* out;
  const void* lse;
  const void* dout;
  void* dq;
  void* dk;
  void* dvalue;
};

// ---------------------------------------------------------------- indexing

// All index arrays have been checked and made non-negative by the operation (see check_indices).

// out[o, i, j] = in[o, index[i], j]: rows of `inner` elements; any dtype.
struct IndexSelect {
  const void* in;
  const int64_t* index;
  void* out;
  int64_t element_size;
  int64_t outer, n_in, n_index, inner;
};
// Image i of out (n, c, out_h, out_w) is image index[i] of `in` (bytes, strides in elements), seen
// through the window whose corner is at row corners[2 i], column corners[2 i + 1] of the image and
// mirrored left to right where flip[i]. Byte b of channel c becomes table[256 c + b]; what lies
// outside the image counts as the byte `fill`. Corners have been checked to be far from overflow.
struct ImageBatch {
  const uint8_t* in;
  const int64_t* index;
  const float* table;      // (c, 256)
  const int64_t* corners;  // (n, 2) or null: (0, 0)
  const bool* flip;        // n or null
  float* out;
  int64_t n, c, in_h, in_w, out_h, out_w;
  int64_t image_stride, channel_stride, row_stride, column_stride;
  uint8_t fill;
};
// out[o, index[i], j] += in[o, i, j] in the order of i: deterministic, no atomics. out holds values
// already. Embedding backward is outer = 1.
struct IndexAdd {
  const void* in;
  const int64_t* index;
  void* out;
  DType dtype;
  int64_t outer, n_out, n_index, inner;
  double alpha;
};
// torch.gather along the middle of (outer, n, inner): out[o, i, j] = in[o, index[o, i, j], j],
// where index and out are dense (outer, m, inner) (the operation has narrowed `in` to the index's
// outer and inner).
struct Gather {
  const void* in;
  int64_t in_outer_stride, in_n_stride;  // elements; the inner stride is 1
  const int64_t* index;
  void* out;
  int64_t element_size;
  int64_t outer, n, m, inner;
};
// out[o, index[o, i, j], j] += (or =) src[o, i, j].
struct Scatter {
  const void* src;
  const int64_t* index;
  void* out;
  int64_t out_outer_stride, out_n_stride;
  DType dtype;
  bool add;
  int64_t outer, n, m, inner;
};
// Advanced indexing on leading dimensions: offsets[i] (elements, computed by the operation) -> rows
// of `inner` dense elements. take: out[i, :] = in[offsets[i], :]; put: in order of i.
struct Take {
  const void* in;
  const int64_t* offsets;
  void* out;
  int64_t element_size, n, inner;
};
struct Put {
  const void* src;
  int64_t src_stride;  // 0 to broadcast one row
  const int64_t* offsets;
  void* out;
  DType dtype;
  bool add;
  int64_t n, inner;
  int64_t extent = 0;  // elements of `out`: every offset + inner is at most that (CUDA alone asks)
};
// Writes min and max of an int64 array (n > 0).
struct IndexRange {
  const int64_t* index;
  int64_t n;
  int64_t* low;
  int64_t* high;
};
// Flat positions of the true elements of a dense bool array; *count receives how many. positions
// has room for as many, or is null: then they are counted and no more.
struct Nonzero {
  const bool* mask;
  int64_t n;
  int64_t* positions;
  int64_t* count;
};
// Stable sort along the middle of (outer, n, inner); the first k of each row are written. NaN is
// largest.
struct Sort {
  const void* in;
  void* values;      // (outer, k, inner)
  int64_t* indices;  // (outer, k, inner)
  DType dtype;
  int64_t outer, n, k, inner;
  bool descending;
};
// y (rows, n) with zero above (upper = false) or below diagonal + k; any dtype, in may be y.
struct Triangle {
  const void* in;
  void* out;
  int64_t element_size;
  int64_t batch, rows, cols, diagonal;
  bool upper;
};

// ---------------------------------------------------------------- random numbers

enum class RandomOp : uint8_t {
  Uniform /*[a, b)*/,
  Normal /*mean a, std b*/,
  Bernoulli /*p = a*/,
  Integers /*[low, high)*/
};
// Element i uses Philox block i/4 word i%4 (float types; Normal takes words in pairs by
// Box-Muller), block i/2 words in pairs (float64, Integers). Bernoulli takes one word an element
// for every dtype. Uniform is fma(b - a, u, a) with u of 24 bits (float16: 11, bfloat16: 8,
// float64: 53); what rounds up to b becomes a.
struct Random {
  RandomOp op;
  void* y;
  int64_t n;
  DType dtype;
  uint64_t seed, offset;
  double a, b;
  int64_t low, high;
};
struct RandomPermutation {
  int64_t* y;
  int64_t n;
  uint64_t seed, offset;
};
// y = x * keep / (1 - p) where keep_i = word i of the stream >= p. The same call with dy gives dx.
struct Dropout {
  const void* x;
  void* y;
  int64_t n;
  DType dtype;
  double p;
  uint64_t seed, offset;
};

// ---------------------------------------------------------------- optimizers

// One parameter's buffers: dense, n elements. Unused buffers are null.
struct OptimizerTensor {
  void* parameter;
  const void* grad;
  void* state1;  // momentum buffer | exp_avg | square_avg
  void* state2;  // exp_avg_sq | momentum buffer
  void* state3;  // max_exp_avg_sq | grad_avg
  int64_t n;
  DType dtype;
  double step;  // Adam: the step count after this step; SGD: 1 on a buffer's first step
  float* counter = nullptr;  // CUDA's Adam: holds the count before this step; advanced
};
// found_inf: null, or a number on the device (CUDA alone): unless it is 0 nothing is changed.
struct SgdStep {
  OptimizerTensor* tensors;
  int64_t count;
  double lr, momentum, dampening, weight_decay;
  bool nesterov, maximize;
  const float* found_inf = nullptr;
};
struct AdamStep {
  OptimizerTensor* tensors;
  int64_t count;
  double lr, beta1, beta2, eps, weight_decay;
  bool decoupled /*AdamW*/, amsgrad, maximize;
  const float* found_inf = nullptr;
};
struct RmspropStep {
  OptimizerTensor* tensors;
  int64_t count;
  double lr, alpha, eps, weight_decay, momentum;
  bool centered, maximize;
  const float* found_inf = nullptr;
};
// The p-norm of all `grad`s together, p 1, 2 or infinity: summed in double, written as a `dtype`.
// Like the numbers below, it lies in the memory of the device: nobody waits for it.
struct GradNorm {
  const OptimizerTensor* tensors;
  int64_t count;
  double p;
  void* norm;
  DType dtype;
};
// grad *= factor for all (grad is written through `parameter`). With a norm the factor becomes
// factor / (norm + 1e-6), and nothing is done unless that is below 1 or NaN.
struct ScaleAll {
  OptimizerTensor* tensors;
  int64_t count;
  double factor;
  const void* norm = nullptr;
  DType norm_dtype = DType::Float32;
};
// grad /= *scale for all (as a product with the reciprocal); *found_inf becomes 1 where a gradient
// is infinite or NaN, and is left alone otherwise.
struct UnscaleAll {
  OptimizerTensor* tensors;
  int64_t count;
  const float* scale;
  float* found_inf;
};
// After found_inf the scale shrinks by backoff; after `interval` steps without it grows by growth,
// unless it would become infinite. `streak` counts the steps.
struct UpdateScale {
  float* scale;
  int32_t* streak;
  const float* found_inf;
  double growth, backoff;
  int64_t interval;
};

}  // namespace gs
