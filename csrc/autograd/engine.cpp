#include "autograd/engine.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <unordered_map>
#include <unordered_set>

#include "autograd/grad_mode.h"
#include "autograd/leaf.h"
#include "autograd/meta.h"
#include "core/error.h"
#include "kernels/kernels.h"
#include "kernels/loop_of.h"
#include "kernels/params/copy.h"

namespace gs::autograd {
namespace {

void (*interrupt_check)() = nullptr;
std::atomic<uint64_t> next_task{1};

// One backward at a time: nodes carry the state of the running one. Recursive, because a hook or a
// Python function may start a backward of its own.
std::recursive_mutex& engine_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

struct LowerSequence {
  bool operator()(const Ref<Node>& a, const Ref<Node>& b) const {
    return a->sequence() < b->sequence();
  }
};

// A running backward: nodes that have received gradients, highest sequence first.
class Task {
 public:
  Task(bool retain_graph, bool create_graph)
      : id_(next_task.fetch_add(1)), retain_graph_(retain_graph), create_graph_(create_graph) {}
  ~Task() {  // after an exception: take our gradients off the nodes that still wait
    for (const Ref<Node>& node : ready_) take_pending(*node);
  }

  // Only what leads to these is computed; every leaf and node otherwise.
  void restrict_to(const std::vector<Edge>& targets, const std::vector<Edge>& roots);
  void capture(const std::vector<Edge>& targets) {
    captures_ = targets;
    captured_.resize(targets.size());
  }
  void add(const Edge& edge, Tensor grad);
  void run();
  Tensors& captured() { return captured_; }

 private:
  bool wanted(const Node* node) const { return !restricted_ || needed_.count(node); }
  std::unique_ptr<Node::Pending> take_pending(Node& node);
  void run_hooks(Node& node, Gradients& grads);
  void retain_grads(Node& node, const Gradients& grads);
  void run_node(const Ref<Node>& node);
  void check_grad(const Node& node, const Edge& edge, Tensor& grad);

  uint64_t id_;
  bool retain_graph_, create_graph_, restricted_ = false;
  std::unordered_set<const Node*> needed_, stops_;
  std::vector<Edge> captures_;
  Tensors captured_;
  std::vector<Ref<Node>, CachedElements<Ref<Node>>> ready_;  // a heap
};

void Task::restrict_to(const std::vector<Edge>& targets, const std::vector<Edge>& roots) {
  restricted_ = true;
  std::vector<const Node*> order, stack;
  std::unordered_set<const Node*> seen;
  for (const Edge& root : roots)
    if (root.node && seen.insert(root.node.get()).second) stack.push_back(root.node.get());
  while (!stack.empty()) {
    const Node* node = stack.back();
    stack.pop_back();
    order.push_back(node);
    for (const Edge& e : node->inputs)
      if (e.node && seen.insert(e.node.get()).second) stack.push_back(e.node.get());
  }
  // Inputs have lower sequences than the nodes that use them, leaves the lowest.
  std::sort(order.begin(), order.end(),
            [](const Node* a, const Node* b) { return a->sequence() < b->sequence(); });
  for (const Edge& t : targets)
    if (t.node) needed_.insert(t.node.get());
  for (const Node* node : order) {
    const bool leads = std::any_of(node->inputs.begin(), node->inputs.end(), [&](const Edge& e) {
      return e.node && needed_.count(e.node.get());
    });
    if (leads)
      needed_.insert(node);
    else
      stops_.insert(node);
  }
}

void Task::check_grad(const Node& node, const Edge& edge, Tensor& grad) {
  const OutputInfo& info = edge.node->outputs[edge.slot];
  GS_CHECK(grad.shape() == info.shape, Runtime, node.name(), "returned a gradient of shape ",
           grad.shape(), " for an input of shape ", info.shape, ".");
  if (grad.dtype() == info.dtype) return;
  GS_CHECK(!create_graph_, Type, node.name(), "returned a gradient of dtype ", grad.dtype(),
           " for an input of dtype ", info.dtype, ".");
  Tensor converted = empty(grad.shape(), info.dtype, grad.device());
  if (grad.numel()) kernels::copy(grad.device(), {make_loop({&converted, &grad})});
  grad = std::move(converted);
}

void Task::add(const Edge& edge, Tensor grad) {
  Node& node = *edge.node;
  if (node.hooks.empty() && captures_.empty()) {
    if (Leaf* leaf = as_leaf(&node)) return leaf->accumulate(std::move(grad));
  }
  if (!node.pending || node.pending->task != id_) {
    std::unique_ptr<Node::Pending> fresh(new Node::Pending);
    fresh->task = id_;
    fresh->grads.resize(node.outputs.size());
    fresh->previous = std::move(node.pending);
    node.pending = std::move(fresh);
    ready_.push_back(edge.node);
    std::push_heap(ready_.begin(), ready_.end(), LowerSequence());
  }
  Tensor& sum = node.pending->grads[edge.slot];
  sum = sum.defined() ? sum_of(sum, grad) : std::move(grad);
}

std::unique_ptr<Node::Pending> Task::take_pending(Node& node) {
  if (!node.pending || node.pending->task != id_) return {};
  std::unique_ptr<Node::Pending> mine = std::move(node.pending);
  node.pending = std::move(mine->previous);
  return mine;
}

void Task::run_hooks(Node& node, Gradients& grads) {
  std::vector<Node::Hook> hooks;  // a copy: a hook may remove itself
  {
    const std::lock_guard lock(gradients_mutex());
    hooks = node.hooks;
  }
  for (const Node::Hook& hook : hooks) {
    Tensor& g = grads[hook.slot];
    if (!g.defined()) continue;
    Tensor replaced = hook.call(g);
    if (!replaced.defined()) continue;
    GS_CHECK(replaced.shape() == g.shape(), Runtime, "hook", "expected a gradient of shape ",
             g.shape(), " from the hook, got ", replaced.shape(), ".");
    g = std::move(replaced);
  }
}

void Task::retain_grads(Node& node, const Gradients& grads) {
  std::vector<Node::Retained> all;
  {
    const std::lock_guard lock(gradients_mutex());
    all = node.retained;
  }
  for (const Node::Retained& r : all) {
    if (!grads[r.slot].defined()) continue;
    const auto find = [&]() -> Tensor* {  // under the lock; null once the tensor is gone
      for (const Node::Retained& now : node.retained)
        if (now.tensor == r.tensor) return &static_cast<Meta&>(*r.tensor->autograd).grad;
      return nullptr;
    };
    Tensor sum;
    {
      const std::lock_guard lock(gradients_mutex());
      if (const Tensor* grad = find()) sum = *grad;
    }
    sum = sum.defined() ? sum_of(sum, grads[r.slot]) : grads[r.slot];
    const std::lock_guard lock(gradients_mutex());
    if (Tensor* grad = find()) std::swap(*grad, sum);
  }
}

void Task::run_node(const Ref<Node>& node) {
  const std::unique_ptr<Node::Pending> pending = take_pending(*node);
  Gradients& grads = pending->grads;
  if (!node->hooks.empty()) run_hooks(*node, grads);
  for (size_t i = 0; i < captures_.size(); ++i)
    if (captures_[i].node == node) captured_[i] = grads[captures_[i].slot];
  if (!node->retained.empty()) retain_grads(*node, grads);
  if (restricted_ && stops_.count(node.get())) {
    // Nothing upstream is wanted; a leaf named in backward(inputs=...) still accumulates.
    if (Leaf* leaf = as_leaf(node.get()); leaf && captures_.empty() && grads[0].defined())
      leaf->accumulate(grads[0]);
    return;
  }
  GS_CHECK(!node->released(), Runtime, node->name(),
           "the graph was already used by a backward and its saved tensors were freed; pass "
           "retain_graph=True to the first backward to go through it again.");

  const size_t n = node->inputs.size();
  bool small[16];
  std::unique_ptr<bool[]> large(n > 16 ? new bool[n] : nullptr);
  bool* needed = large ? large.get() : small;
  for (size_t i = 0; i < n; ++i) {
    const Node* target = node->inputs[i].node.get();
    needed[i] = target && wanted(target);
  }
  Backward context(*node, grads, needed);
  Tensors out = node->apply(context);
  grads.clear();
  if (!retain_graph_) node->release_saved();
  for (size_t i = 0; i < n && i < out.size(); ++i) {
    if (!needed[i] || !out[i].defined()) continue;
    check_grad(*node, node->inputs[i], out[i]);
    add(node->inputs[i], std::move(out[i]));
  }
}

void Task::run() {
  GradGuard guard(create_graph_);
  for (uint64_t count = 1; !ready_.empty(); ++count) {
    std::pop_heap(ready_.begin(), ready_.end(), LowerSequence());
    const Ref<Node> node = std::move(ready_.back());
    ready_.pop_back();
    run_node(node);
    if (interrupt_check && count % 64 == 0) interrupt_check();
  }
}

// The gradient that starts at a root: what was given, checked, or 1 for a single element.
Tensor starting_grad(const Tensor& root, const Tensor& given) {
  GS_CHECK(root.defined() && root.requires_grad(), Runtime, "backward",
           "the tensor does not require a gradient and has no graph behind it.");
  if (!given.defined()) {
    GS_CHECK(root.numel() == 1, Runtime, "backward",
             "a gradient can be created implicitly for a tensor of one element alone, got shape ",
             root.shape(), "; pass gradient=, or reduce it, for example with .sum().");
    Tensor one = empty(root.shape(), root.dtype(), root.device());
    kernels::fill(root.device(), {make_loop({&one}), 1.0, 1});
    return one;
  }
  GS_CHECK(given.shape() == root.shape(), Runtime, "backward", "expected a gradient of shape ",
           root.shape(), " to match the tensor, got ", given.shape(), ".");
  GS_CHECK(given.dtype() == root.dtype(), Type, "backward", "expected a gradient of dtype ",
           root.dtype(), " to match the tensor, got ", given.dtype(), ".");
  return given;
}

std::vector<Edge> edges_of(const Tensors& tensors) {
  std::vector<Edge> edges;
  for (const Tensor& t : tensors) edges.push_back(gradient_edge(t));
  return edges;
}

Tensors starting_grads(const Tensors& roots, const Tensors& grads) {
  GS_CHECK(grads.empty() || grads.size() == roots.size(), Value, "backward", "expected ",
           roots.size(), " gradients, one for each tensor, got ", grads.size(), ".");
  Tensors out;
  for (size_t i = 0; i < roots.size(); ++i)
    out.push_back(starting_grad(roots[i], grads.empty() ? Tensor() : grads[i]));
  return out;
}

}  // namespace

void set_interrupt_check(void (*check)()) { interrupt_check = check; }

void backward(const Tensors& roots, const Tensors& grads, bool retain_graph, bool create_graph,
              const Tensors& only) {
  std::lock_guard lock(engine_mutex());
  Tensors start = starting_grads(roots, grads);
  const std::vector<Edge> edges = edges_of(roots);
  Task task(retain_graph, create_graph);
  if (!only.empty()) {
    for (const Tensor& t : only) {
      GS_CHECK(t.defined() && t.requires_grad(), Runtime, "backward",
               "one of the inputs does not require a gradient.");
      if (!is_leaf(t)) retain_grad(t);
    }
    task.restrict_to(edges_of(only), edges);
  }
  GradGuard guard(create_graph);
  for (size_t i = 0; i < edges.size(); ++i) task.add(edges[i], std::move(start[i]));
  task.run();
}

Tensors grad(const Tensors& roots, const Tensors& inputs, const Tensors& grads, bool retain_graph,
             bool create_graph, bool allow_unused) {
  std::lock_guard lock(engine_mutex());
  GS_CHECK(!inputs.empty(), Value, "grad", "expected at least one input.");
  Tensors start = starting_grads(roots, grads);
  for (size_t i = 0; i < inputs.size(); ++i) {
    GS_CHECK(inputs[i].defined() && inputs[i].requires_grad(), Runtime, "grad", "input ", i,
             " does not require a gradient.");
  }
  const std::vector<Edge> edges = edges_of(roots), targets = edges_of(inputs);
  Task task(retain_graph, create_graph);
  task.restrict_to(targets, edges);
  task.capture(targets);
  GradGuard guard(create_graph);
  for (size_t i = 0; i < edges.size(); ++i) task.add(edges[i], std::move(start[i]));
  task.run();
  for (size_t i = 0; i < inputs.size(); ++i) {
    GS_CHECK(allow_unused || task.captured()[i].defined(), Runtime, "grad", "input ", i,
             " was not used in the graph; pass allow_unused=True to get None for it.");
  }
  return std::move(task.captured());
}

}  // namespace gs::autograd
