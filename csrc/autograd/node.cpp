#include "autograd/node.h"

#include <atomic>

#include "autograd/grad_mode.h"
#include "core/thread_local.h"
#include "kernels/kernels.h"
#include "kernels/loop_of.h"
#include "kernels/params/copy.h"

namespace gs::autograd {
namespace {

thread_local bool recording GS_INITIAL_EXEC = true;
std::atomic<uint64_t> next_sequence{1};

}  // namespace

bool inference_mode() { return making_inference_tensors(); }
void set_inference_mode(bool on) { set_making_inference_tensors(on); }
bool grad_enabled() { return recording && !making_inference_tensors(); }
void set_grad_enabled(bool on) { recording = on; }

bool Backward::create_graph() const { return grad_enabled(); }

Tensor Backward::grad(int output) const {
  Tensor& g = grads_[output];
  if (!g.defined()) {
    const OutputInfo& info = node_.outputs[output];
    g = empty(info.shape, info.dtype, info.device);
    if (g.numel()) kernels::fill(info.device, {make_loop({&g}), 0.0, 0});
  }
  return g;
}

Tensor Backward::like_grad(int output) const {
  const Tensor& g = grads_[output];
  if (!g.defined()) {
    const OutputInfo& info = node_.outputs[output];
    return empty(info.shape, info.dtype, info.device);
  }
  TensorBody& body = *g.body();
  const bool ours = body.ref_count() == 1 && body.storage->ref_count() == 1 && body.contiguous &&
                    !body.base && body.storage->owns_memory();
  return ours ? g : empty_like(g);
}

const Shape& Backward::input_shape(int i) const {
  const Edge& edge = node_.inputs[i];
  return edge.node->outputs[edge.slot].shape;
}

Node::Node(const char* name) : name_(name) {}
Node::~Node() = default;

void Node::stamp() { sequence_ = next_sequence.fetch_add(1, std::memory_order_relaxed); }

// Deleting a node releases its inputs, which may delete their nodes, and so on: the first call on
// the stack works through a list instead of recursing.
void Node::destroy(Node* node) {
  thread_local Node* dead GS_INITIAL_EXEC = nullptr;
  thread_local bool running GS_INITIAL_EXEC = false;
  node->next_dead_ = dead;
  dead = node;
  if (running) return;
  running = true;
  while (dead) {
    Node* next = dead;
    dead = next->next_dead_;
    delete next;
  }
  running = false;
}

}  // namespace gs::autograd
