// A recorded operation: where its inputs came from, and how their gradients follow from its
// outputs'.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/inline_list.h"
#include "core/tensor.h"

namespace gs::autograd {

class Node;

// "The gradient of this tensor goes to input `slot` of `node`." No node: no gradient is wanted.
struct Edge {
  Ref<Node> node;
  int slot = 0;
};

using Gradients = InlineList<Tensor, 1>;

// What a gradient rule is given.
class Backward {
 public:
  Backward(Node& node, Gradients& grads, const bool* needed)
      : node_(node), grads_(grads), needed_(needed) {}
  Node& node() const { return node_; }
  // True when the gradient of input i is wanted. Rules compute no other.
  bool needs(int i) const { return needed_[i]; }
  bool has_grad(int output = 0) const { return grads_[output].defined(); }
  // Gradient of output i; zeros when nothing flowed into it.
  Tensor grad(int output = 0) const;
  // Memory shaped like the gradient of output i for an elementwise rule to write to: that gradient
  // itself when nothing else has a hold on it. Call it before grad().
  Tensor like_grad(int output = 0) const;
  // The shape of input i, whose gradient is wanted.
  const Shape& input_shape(int i) const;
  // True when the gradient itself will be differentiated: rules then use differentiable operations,
  // otherwise they may call a fused kernel.
  bool create_graph() const;

 private:
  Node& node_;
  Gradients& grads_;
  const bool* needed_;
};

// The type and shape of an output: gradients flowing in are checked against it.
struct OutputInfo {
  Shape shape;
  DType dtype;
  Device device;
};

using TensorHook =
    std::function<Tensor(const Tensor&)>;  // an undefined result leaves the gradient as it is

class Node : public RefCounted<Node>, public Cached {
 public:
  explicit Node(const char* name);
  virtual ~Node();
  static void destroy(Node* node);  // iterative: a long chain does not overflow the stack

  // Gradients of the inputs, in the inputs' order; undefined where none is needed.
  virtual Tensors apply(Backward& backward) = 0;
  // Frees what was saved; the node cannot run again.
  virtual void release_saved() {}
  virtual bool released() const { return false; }

  const char* name() const { return name_; }
  // Order of recording. An operation is recorded after its inputs, so running nodes from the
  // highest sequence down meets every consumer of a gradient before its producer.
  uint64_t sequence() const { return sequence_; }
  void stamp();  // takes the next sequence number; attach() calls it once the inputs are known

  InlineList<Edge, 3> inputs;
  InlineList<OutputInfo, 1> outputs;

  struct Hook {
    int slot;
    uint64_t id;
    TensorHook call;
  };
  std::vector<Hook> hooks;  // run on the gradient of output `slot` once it is complete
  struct Retained {
    int slot;
    TensorBody* tensor;  // cleared by the tensor when it dies
  };
  std::vector<Retained> retained;

  // Gradients collected by a running backward; a stack, because a hook may start a backward of its
  // own.
  struct Pending : Cached {
    uint64_t task;
    Gradients grads;
    std::unique_ptr<Pending> previous;
  };
  std::unique_ptr<Pending> pending;

 private:
  const char* name_;
  uint64_t sequence_ = 0;
  Node* next_dead_ = nullptr;  // destroy()'s list
};

}  // namespace gs::autograd
