// Mixed precision: in which precision an operation computes while autocast is on.
//
// Whoever calls operations for the user (python/src) asks once for each call whether autocast is on
// at all; only then are arguments replaced. What an operation calls inside, and what gradients
// call, sees the dtypes it is given. The casts are ordinary operations, so gradients come back in
// the dtype of the argument.
#pragma once

#include <string_view>

#include "core/thread_local.h"
#include "ops/ops.h"

namespace gs::autocast {

enum class Policy : uint8_t {
  None,
  Low,      // matrix products: the low precision
  Float32,  // what loses its meaning in 16 bits: exponentials, sums, losses
  Widest    // operands of several dtypes become the widest of them
};

struct PolicyOf {
  Policy policy;
  std::string_view name;  // in the catalogue
};

// The lists of PyTorch's CUDA autocast, for every device. Operations that are not here take what
// comes, and promote where they have several operands.
// clang-format off
inline constexpr PolicyOf kPolicies[] = {
    {Policy::Low, "matmul"}, {Policy::Low, "mm"}, {Policy::Low, "bmm"}, {Policy::Low, "mv"},
    {Policy::Low, "addmm"}, {Policy::Low, "baddbmm"}, {Policy::Low, "linear"},
    {Policy::Low, "einsum"}, {Policy::Low, "conv1d"}, {Policy::Low, "conv2d"},
    {Policy::Low, "conv2d_relu"}, {Policy::Low, "conv_transpose2d"},
    {Policy::Low, "scaled_dot_product_attention"}, {Policy::Low, "lstm"}, {Policy::Low, "gru"},
    {Policy::Low, "rnn"}, {Policy::Low, "lstm_cell"}, {Policy::Low, "gru_cell"},
    {Policy::Low, "rnn_cell"},

    {Policy::Float32, "exp"}, {Policy::Float32, "expm1"}, {Policy::Float32, "log"},
    {Policy::Float32, "log1p"}, {Policy::Float32, "log2"}, {Policy::Float32, "pow"},
    {Policy::Float32, "reciprocal"}, {Policy::Float32, "rsqrt"}, {Policy::Float32, "sinh"},
    {Policy::Float32, "cosh"}, {Policy::Float32, "tan"}, {Policy::Float32, "softplus"},
    {Policy::Float32, "sum"}, {Policy::Float32, "prod"}, {Policy::Float32, "cumsum"},
    {Policy::Float32, "cumprod"}, {Policy::Float32, "norm"}, {Policy::Float32, "logsumexp"},
    {Policy::Float32, "softmax"}, {Policy::Float32, "log_softmax"},
    {Policy::Float32, "layer_norm"}, {Policy::Float32, "group_norm"},
    {Policy::Float32, "cross_entropy"}, {Policy::Float32, "nll_loss"},
    {Policy::Float32, "mse_loss"}, {Policy::Float32, "l1_loss"},
    {Policy::Float32, "smooth_l1_loss"}, {Policy::Float32, "huber_loss"},
    {Policy::Float32, "hinge_embedding_loss"}, {Policy::Float32, "bce_loss"},
    {Policy::Float32, "bce_with_logits"}, {Policy::Float32, "kl_div"},

    {Policy::Widest, "dot"}, {Policy::Widest, "cat"}, {Policy::Widest, "stack"},
    {Policy::Widest, "addcmul"}, {Policy::Widest, "addcdiv"}, {Policy::Widest, "atan2"},
    {Policy::Widest, "lerp"}, {Policy::Widest, "scatter_add"}, {Policy::Widest, "index_add"},
};
// clang-format on

constexpr Policy policy_of(std::string_view name) {
  for (const PolicyOf& row : kPolicies)
    if (row.name == name) return row.policy;
  return Policy::None;
}

// ---------------------------------------------------------------- the calling thread's settings

// One bit for each DeviceType on which autocast is on.
extern __thread uint8_t active_devices GS_INITIAL_EXEC;
inline bool active() { return active_devices != 0; }

bool enabled(DeviceType device);
void set_enabled(DeviceType device, bool on);
DType dtype_of(DeviceType device);
void set_dtype(DeviceType device, DType dtype);  // float16 or bfloat16
bool cache_enabled();
void set_cache_enabled(bool on);
// Contexts entered, after `by` more of them; leaving the outermost forgets the cached casts.
int64_t change_nesting(int64_t by);
void clear_cache();

// ---------------------------------------------------------------- the arguments of one call

class Casts {
 public:
  explicit Casts(Policy policy) : policy_(policy) {}

  // Everything is looked at first, then cast.
  void see(const Tensor& t);
  void see(const Tensors& list) {
    for (const Tensor& t : list) see(t);
  }
  template <class T>
  void see(const T&) {}
  void see(const ops::Operand& t) { see(static_cast<const Tensor&>(t)); }

  Tensor cast(const Tensor& t) const;
  ops::Operand cast(const ops::Operand& t) const { return cast(static_cast<const Tensor&>(t)); }
  Tensors cast(const Tensors& list) const;
  template <class T>
  const T& cast(const T& other) const {
    return other;
  }

 private:
  Policy policy_;
  bool any_ = false;
  DType widest_ = DType::Bool;  // of those seen
};

}  // namespace gs::autocast
