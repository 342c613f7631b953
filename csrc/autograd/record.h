// How an operation joins the graph:
//
//   Tensor exp(const Tensor& x) {
//     Tensor y = ...kernel...;
//     if (needs_grad(x)) {
//       record("exp", y, inputs(x), [y = Saved::output(y)](Backward& b) -> Tensors {
//         return {mul(b.grad(), y.get(b))};
//       });
//     }
//     return y;
//   }
//
// Save inputs with Saved(x) and outputs with Saved::output(y); never capture a bare tensor whose
// values matter: Saved notices when it was changed in place.
#pragma once

#include <array>
#include <functional>
#include <optional>

#include "autograd/grad_mode.h"
#include "autograd/meta.h"
#include "autograd/node.h"

namespace gs::autograd {

template <class... T>
bool needs_grad(const T&... tensors) {
  return ((tensors.defined() && tensors.requires_grad()) || ...) && grad_enabled();
}
bool any_needs_grad(const Tensors& tensors);

class Saved {
 public:
  Saved() = default;
  // An input of the operation. Undefined tensors are fine and come back undefined.
  explicit Saved(const Tensor& input);
  // An output, kept without its history (that would be a cycle); get() gives the history back.
  static Saved output(const Tensor& out, int slot = 0);
  // The tensor as it was. RuntimeError when it has been modified in place since.
  Tensor get(const Backward& backward) const;
  bool defined() const { return tensor_.defined(); }

 private:
  Tensor tensor_;
  uint32_t version_ = 0;
  int slot_ = -1;
};

using InputList = std::vector<const Tensor*>;
template <class... T>
std::array<const Tensor*, sizeof...(T)> inputs(const T&... tensors) {
  return {static_cast<const Tensor*>(&tensors)...};
}

// Joins `node` to the inputs and makes it the origin of the outputs (integer outputs are left
// alone).
void attach(Ref<Node> node, Tensor* outputs, int n_outputs, const Tensor* const* inputs,
            int n_inputs);

template <class Rule>
class RuleNode final : public Node {
 public:
  RuleNode(const char* name, Rule rule) : Node(name), rule_(std::move(rule)) {}
  Tensors apply(Backward& backward) override { return (*rule_)(backward); }
  void release_saved() override { rule_.reset(); }
  bool released() const override { return !rule_.has_value(); }

 private:
  std::optional<Rule> rule_;
};

// Call only when needs_grad(...) said yes. `in` is inputs(...) or an InputList.
template <class In, class Rule>
void record(const char* name, Tensor& out, const In& in, Rule rule) {
  attach(Ref<Node>::first(new RuleNode<Rule>(name, std::move(rule))), &out, 1, in.data(),
         int(in.size()));
}
template <class In, class Rule>
void record(const char* name, Tensors& outs, const In& in, Rule rule) {
  attach(Ref<Node>::first(new RuleNode<Rule>(name, std::move(rule))), outs.data(), int(outs.size()),
         in.data(), int(in.size()));
}

// A differentiable view: `view` shares memory with `base` and was made by core alias().
// Remembers the base, so that writing through the view reaches the base's history.
void mark_view(Tensor& view, const Tensor& base);

// In-place operations. f(old, out) computes the result of the operation on `old` (the tensor as it
// was, with its history) INTO `out` (an alias of the same memory) and records on `out` as usual.
// Checks first that self may be written; afterwards self and every view of its memory have the new
// history.
using InPlace = std::function<void(const Tensor& old, Tensor& out)>;
Tensor in_place(const char* name, const Tensor& self, const InPlace& f);

}  // namespace gs::autograd
