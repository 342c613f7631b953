#include "autograd/meta.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "autograd/grad_mode.h"
#include "autograd/leaf.h"
#include "autograd/record.h"
#include "autograd/view.h"
#include "core/error.h"

namespace gs::autograd {
namespace {

std::atomic<uint64_t> next_hook{1};

// A fork waits for it, so that no child begins with a lock that nobody there will open.
std::mutex gradients;
[[maybe_unused]] const int registered = pthread_atfork(
    [] { gradients.lock(); }, [] { gradients.unlock(); }, [] { gradients.unlock(); });

Node* node_for_hooks(const Tensor& t) {
  GS_CHECK(t.requires_grad(), Runtime, "register_hook",
           "cannot register a hook on a tensor that does not require a gradient.");
  return gradient_edge(t).node.get();
}

// A view whose base was written in place gets its history anew: a window on the base.
void follow_base(const Tensor& t) {
  TensorBody* body = t.body();
  if (!body->base || !body->base->rebased) return;
  const Tensor base(body->base);
  const uint32_t history = meta_of(base).history;
  if (meta_of(t).base_history == history) return;
  const Window from = window_of(base), window = window_of(t);
  Tensor out = detached(t);
  GradGuard recording(true);
  record("as_strided", out, inputs(base),
         [from, window](Backward& b) -> Tensors { return {add_window(b.grad(), from, window)}; });
  adopt_history(t, out);
  meta_of(t).base_history = history;
}

}  // namespace

std::mutex& gradients_mutex() { return gradients; }

Meta::~Meta() {
  if (!leaf && !node) return;
  const std::lock_guard lock(gradients_mutex());
  if (leaf) static_cast<Leaf&>(*leaf).tensor_died();
  if (node && owner) std::erase_if(node->retained, [&](auto& r) { return r.tensor == owner; });
}

Meta* find_meta(const Tensor& t) { return static_cast<Meta*>(t.body()->autograd.get()); }

Meta& meta_of(const Tensor& t) {
  if (!t.body()->autograd) {
    auto* meta = new Meta;
    meta->owner = t.body();
    t.body()->autograd.reset(meta);
  }
  return *find_meta(t);
}

Edge gradient_edge(const Tensor& t) {
  if (!t.defined() || !t.requires_grad()) return {};
  follow_base(t);
  Meta& meta = meta_of(t);
  if (meta.node) return {meta.node, meta.slot};
  if (!meta.leaf) meta.leaf = Ref<Node>(new Leaf(t.body()));
  return {meta.leaf, 0};
}

void adopt_history(const Tensor& t, const Tensor& from) {
  const Edge edge = gradient_edge(from);
  Meta& meta = meta_of(t);
  if (meta.node) {
    const std::lock_guard lock(gradients_mutex());
    std::erase_if(meta.node->retained, [&](auto& r) { return r.tensor == t.body(); });
  }
  meta.node = edge.node;
  meta.slot = edge.slot;
  ++meta.history;
  t.body()->requires_grad = true;
}

// Leaves alone are never stamped.
Leaf* as_leaf(Node* node) { return node->sequence() == 0 ? static_cast<Leaf*>(node) : nullptr; }

Ref<Node> grad_node(const Tensor& t) {
  if (!t.requires_grad()) return {};
  follow_base(t);
  Meta* meta = find_meta(t);
  return meta ? meta->node : Ref<Node>();
}

bool is_leaf(const Tensor& t) { return !grad_node(t); }

Tensor grad_of(const Tensor& t) {
  Meta* meta = find_meta(t);
  if (!meta) return {};
  const std::lock_guard lock(gradients_mutex());
  return meta->grad;
}

static void exchange_grad(Meta& meta, Tensor grad) {
  const std::lock_guard lock(gradients_mutex());
  std::swap(meta.grad, grad);
}

void set_grad(const Tensor& t, const Tensor& grad) {
  if (!grad.defined()) {
    if (Meta* meta = find_meta(t)) exchange_grad(*meta, Tensor());
    return;
  }
  GS_CHECK(grad.shape() == t.shape(), Runtime, "grad", "expected a gradient of shape ", t.shape(),
           " to match the tensor, got ", grad.shape(), ".");
  GS_CHECK(grad.dtype() == t.dtype(), Type, "grad", "expected a gradient of dtype ", t.dtype(),
           " to match the tensor, got ", grad.dtype(), ".");
  GS_CHECK(!grad.same(t), Runtime, "grad", "a tensor cannot be its own gradient.");
  exchange_grad(meta_of(t), grad);
}

void set_requires_grad(const Tensor& t, bool on) {
  if (t.requires_grad() == on) return;
  GS_CHECK(!on || is_floating(t.dtype()), Runtime, "requires_grad_",
           "only tensors of a floating dtype can require gradients, got ", t.dtype(), ".");
  GS_CHECK(is_leaf(t), Runtime, "requires_grad_",
           "requires_grad can be changed on leaf tensors alone; use detach() to get one.");
  GS_CHECK(
      !on || !t.body()->inference || inference_mode(), Runtime, "requires_grad_",
      "an inference tensor cannot require gradients outside inference_mode; clone() it first.");
  t.body()->requires_grad = on;
}

void retain_grad(const Tensor& t) {
  GS_CHECK(t.requires_grad(), Runtime, "retain_grad",
           "cannot retain the gradient of a tensor that does not require one.");
  const Edge edge = gradient_edge(t);
  if (as_leaf(edge.node.get())) return;
  const std::lock_guard lock(gradients_mutex());
  for (const Node::Retained& r : edge.node->retained)
    if (r.tensor == t.body()) return;
  edge.node->retained.push_back({edge.slot, t.body()});
}

uint64_t add_hook(const Tensor& t, TensorHook hook) {
  Node* node = node_for_hooks(t);
  const uint64_t id = next_hook.fetch_add(1);
  const int slot = gradient_edge(t).slot;
  const std::lock_guard lock(gradients_mutex());
  node->hooks.push_back({slot, id, std::move(hook)});
  return id;
}

void remove_hook(const Tensor& t, uint64_t id) {
  if (!t.requires_grad()) return;
  const Edge edge = gradient_edge(t);
  std::vector<Node::Hook>& hooks = edge.node->hooks;
  TensorHook dropped;
  const std::lock_guard lock(gradients_mutex());
  const auto at = std::find_if(hooks.begin(), hooks.end(), [&](auto& h) { return h.id == id; });
  if (at == hooks.end()) return;
  dropped = std::move(at->call);
  hooks.erase(at);
}

}  // namespace gs::autograd
