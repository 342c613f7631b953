// What autograd keeps on a tensor.
#pragma once

#include <mutex>

#include "autograd/node.h"

namespace gs::autograd {

// A backward runs without Python's lock, so other threads may read and set .grad, and add and take
// away hooks, meanwhile. Held for as long as it takes to copy or exchange those, no longer: what is
// dropped is destroyed outside.
std::mutex& gradients_mutex();

struct Meta : AutogradData {
  ~Meta() override;
  Ref<Node> node;  // null for leaves
  int slot = 0;    // which output of node
  Tensor grad;
  Ref<Node> leaf;             // leaves: the node that adds into `grad`, made on first use
  uint32_t history = 0;       // advanced whenever an in-place operation replaces `node`
  uint32_t base_history = 0;  // views: the base's history when `node` was made
  TensorBody* owner = nullptr;
};

Meta& meta_of(const Tensor& t);    // creates it
Meta* find_meta(const Tensor& t);  // null when there is none

// Where the gradient of t goes. Brings the history of a view up to date first.
Edge gradient_edge(const Tensor& t);
// `t` continues the history of `from`: used when `from` was computed into t's memory.
void adopt_history(const Tensor& t, const Tensor& from);
// The node that adds into a leaf's .grad; null for other nodes.
class Leaf;
Leaf* as_leaf(Node* node);
bool is_leaf(const Tensor& t);
Ref<Node> grad_node(const Tensor& t);  // null for leaves
Tensor grad_of(const Tensor& t);       // undefined when there is none
void set_grad(const Tensor& t, const Tensor& grad);
// RuntimeError for integers and for turning it off on a non-leaf.
void set_requires_grad(const Tensor& t, bool on);
void retain_grad(const Tensor& t);
uint64_t add_hook(const Tensor& t, TensorHook hook);
void remove_hook(const Tensor& t, uint64_t id);

}  // namespace gs::autograd
