#include "autograd/record.h"

#include "autograd/view.h"
#include "core/error.h"

namespace gs::autograd {
namespace {

// The tensor as it is now, with its history, under another body: what an in-place operation reads.
Tensor snapshot(const Tensor& t) {
  Tensor out = detached(t);
  if (const Edge edge = gradient_edge(t); edge.node) {
    Meta& meta = meta_of(out);
    if (as_leaf(edge.node.get()))
      meta.leaf = edge.node;
    else
      meta.node = edge.node;
    meta.slot = edge.slot;
    out.body()->requires_grad = true;
  }
  return out;
}

void check_writable(const char* name, const Tensor& t) {
  GS_CHECK(t.body()->storage->writable(), Runtime, name, "the memory of this tensor is read-only.");
  for (int64_t i = 0; i < t.dim() && t.numel(); ++i) {
    GS_CHECK(t.strides()[i] != 0 || t.shape()[i] < 2, Runtime, name,
             "cannot write to an expanded tensor: several elements of shape ", t.shape(),
             " share memory (strides ", t.strides(), "); clone() it first.");
  }
  if (!grad_enabled() || !t.requires_grad()) return;
  GS_CHECK(!is_leaf(t), Runtime, name,
           "a leaf tensor that requires a gradient cannot be changed in place; use no_grad(), or "
           "work on a "
           "copy.");
  if (t.body()->base) {
    const Tensor base(t.body()->base);
    GS_CHECK(!base.requires_grad() || !is_leaf(base), Runtime, name,
             "a view of a leaf tensor that requires a gradient cannot be changed in place; use "
             "no_grad(), or "
             "work on a copy.");
  }
}

}  // namespace

bool any_needs_grad(const Tensors& tensors) {
  if (!grad_enabled()) return false;
  for (const Tensor& t : tensors)
    if (t.defined() && t.requires_grad()) return true;
  return false;
}

Saved::Saved(const Tensor& input) : tensor_(input) {
  if (!input.defined()) return;
  GS_CHECK(!input.body()->inference, Runtime, "autograd",
           "a tensor made in inference_mode cannot be saved for a gradient; clone() it first.");
  version_ = input.version();
}

Saved Saved::output(const Tensor& out, int slot) {
  Saved saved;
  saved.tensor_ = detached(out);
  saved.version_ = out.version();
  saved.slot_ = slot;
  return saved;
}

Tensor Saved::get(const Backward& backward) const {
  if (!tensor_.defined()) return tensor_;
  GS_CHECK(tensor_.version() == version_, Runtime, backward.node().name(), "a tensor of shape ",
           tensor_.shape(),
           " needed for the gradient was changed by an in-place operation "
           "(it is at version ",
           tensor_.version(), ", expected ", version_,
           "); use the out-of-place form, or "
           "clone() it before the change.");
  if (slot_ < 0 || !backward.create_graph()) return tensor_;
  Tensor out = detached(tensor_);
  Meta& meta = meta_of(out);
  meta.node = Ref<Node>(&backward.node());
  meta.slot = slot_;
  out.body()->requires_grad = true;
  return out;
}

void attach(Ref<Node> node, Tensor* outputs, int n_outputs, const Tensor* const* inputs,
            int n_inputs) {
  node->inputs.reserve(n_inputs);
  for (int i = 0; i < n_inputs; ++i) node->inputs.push_back(gradient_edge(*inputs[i]));
  node->stamp();
  node->outputs.reserve(n_outputs);
  for (int i = 0; i < n_outputs; ++i) {
    Tensor& out = outputs[i];
    if (!out.defined()) {
      node->outputs.push_back({{}, DType::Float32, {}});
      continue;
    }
    node->outputs.push_back({out.shape(), out.dtype(), out.device()});
    if (!is_floating(out.dtype())) continue;
    Meta& meta = meta_of(out);
    meta.node = node;
    meta.slot = i;
    out.body()->requires_grad = true;
  }
}

void mark_view(Tensor& view, const Tensor& base) {
  if (!grad_enabled()) return;
  const Ref<TensorBody>& root = base.body()->base ? base.body()->base : base.ref();
  view.body()->base = root;
  if (root->rebased) meta_of(view).base_history = meta_of(Tensor(root)).history;
}

Tensor in_place(const char* name, const Tensor& self, const InPlace& f) {
  check_writable(name, self);
  const Tensor old = grad_enabled() ? snapshot(self) : self;
  Tensor out = detached(self);
  f(old, out);
  self.bump_version();
  if (!out.body()->requires_grad) return self;
  if (!self.body()->base) {
    adopt_history(self, out);
    self.body()->rebased = true;
    return self;
  }
  // base = base with the window replaced by `out`
  const Tensor base(self.body()->base);
  const Tensor base_before = snapshot(base);
  Tensor base_after = detached(base);
  const Window whole = window_of(base), window = window_of(self);
  record("copy_slices", base_after, inputs(base_before, out),
         [whole, window](Backward& b) -> Tensors {
           return {b.needs(0) ? clear_window(b.grad(), whole, window) : Tensor(),
                   b.needs(1) ? read_window(b.grad(), whole, window) : Tensor()};
         });
  adopt_history(base, base_after);
  base.body()->rebased = true;
  adopt_history(self, out);
  meta_of(self).base_history = meta_of(base).history;
  return self;
}

}  // namespace gs::autograd
