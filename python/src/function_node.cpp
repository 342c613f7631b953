// autograd.Function: operations whose forward and backward are written in Python.
//
// The node owns the Python context; the context knows the node through a FunctionLink, which the
// node empties when it dies. So there is no cycle, and the context outlives its graph without harm.
#include <cstring>
#include <set>

#include "autograd/record.h"
#include "graph_nodes.h"

namespace gs::python {
namespace {

using autograd::Backward;
using autograd::Saved;

class FunctionNode;

struct FunctionLink {
  FunctionNode* node = nullptr;
};

const char* kept_name(const std::string& name) {
  static auto* names = new std::set<std::string>;  // nodes point to it until the process ends
  return names->insert(name).first->c_str();
}

class FunctionNode final : public autograd::Node {
 public:
  FunctionNode(const char* name, PyObject* cls, PyObject* ctx, bool materialize)
      : Node(name), cls_(cls), ctx_(ctx), materialize_(materialize) {}
  ~FunctionNode() override {
    if (link_) link_->node = nullptr;
  }

  Tensors apply(Backward& backward) override;
  void release_saved() override {
    saved_.clear();
    released_ = true;
  }
  bool released() const override { return released_; }

  void save(std::vector<Saved> saved) { saved_ = std::move(saved); }
  void set_link(std::shared_ptr<FunctionLink> link) {
    link_ = std::move(link);
    link_->node = this;
  }
  void set_inputs(std::vector<std::optional<autograd::OutputInfo>> infos) {
    infos_ = std::move(infos);
  }
  void set_differentiable(std::vector<bool> outputs) { differentiable_ = std::move(outputs); }
  py::object saved_tensors();

 private:
  py::object output_grad(Backward& backward, size_t i) const;
  Tensor input_grad(PyObject* value, size_t i) const;

  SharedObject cls_, ctx_;
  bool materialize_;
  bool released_ = false;
  std::vector<Saved> saved_;
  std::vector<std::optional<autograd::OutputInfo>>
      infos_;  // of the arguments; none for what is no tensor
  std::vector<bool> differentiable_;
  std::shared_ptr<FunctionLink> link_;
};

py::object FunctionNode::saved_tensors() {
  GS_CHECK(!released_, Runtime, name(),
           "the graph was already used by a backward and its saved tensors were freed; pass "
           "retain_graph=True to "
           "the first backward to go through it again.");
  autograd::Gradients no_grads;
  Tensors out;
  const Backward context(*this, no_grads, nullptr);
  for (const Saved& saved : saved_) out.push_back(saved.get(context));
  return own(wrap_tuple(out));
}

py::object FunctionNode::output_grad(Backward& backward, size_t i) const {
  if (!backward.has_grad(int(i)) && (!materialize_ || !differentiable_[i])) return py::none();
  return own(wrap(backward.grad(int(i))));
}

// One value that backward() returned, checked against the argument it belongs to.
Tensor FunctionNode::input_grad(PyObject* value, size_t i) const {
  if (value == Py_None) return {};
  GS_CHECK(is_tensor(value), Type, name(), "backward() must return Tensors and None, got ",
           type_name(value), " for argument ", i, ".");
  GS_CHECK(infos_[i], Runtime, name(), "backward() returned a gradient for argument ", i,
           ", which is no Tensor; return None for it.");
  const Tensor& grad = tensor_of(value);
  GS_CHECK(grad.shape() == infos_[i]->shape, Runtime, name(),
           "backward() returned a gradient of shape ", grad.shape(), " for argument ", i,
           " of shape ", infos_[i]->shape, ".");
  return grad.dtype() == infos_[i]->dtype ? grad : ops::cast(grad, infos_[i]->dtype);
}

Tensors FunctionNode::apply(Backward& backward) {
  py::gil_scoped_acquire gil;
  const py::object function = borrow(cls_.get()).attr("backward");
  py::object arguments = own(PyTuple_New(Py_ssize_t(outputs.size()) + 1));
  PyTuple_SET_ITEM(arguments.ptr(), 0, Py_NewRef(ctx_.get()));
  for (size_t i = 0; i < outputs.size(); ++i) {
    PyTuple_SET_ITEM(arguments.ptr(), Py_ssize_t(i) + 1, output_grad(backward, i).release().ptr());
  }
  py::object result = own(PyObject_CallObject(function.ptr(), arguments.ptr()));
  if (!PyTuple_Check(result.ptr())) {
    result = PyList_Check(result.ptr()) ? own(PyList_AsTuple(result.ptr()))
                                        : py::object(py::make_tuple(result));
  }
  const size_t n = static_cast<size_t>(PyTuple_GET_SIZE(result.ptr()));
  for (size_t i = infos_.size(); i < n; ++i) {  // PyTorch lets trailing None pass
    GS_CHECK(PyTuple_GET_ITEM(result.ptr(), Py_ssize_t(i)) == Py_None, Runtime, name(),
             "backward() returned ", n, " gradients for ", infos_.size(), " arguments.");
  }
  GS_CHECK(n >= infos_.size(), Runtime, name(), "backward() returned ", n, " gradients, expected ",
           infos_.size(), ", one for each argument of forward().");
  Tensors grads(infos_.size());
  for (size_t i = 0; i < infos_.size(); ++i) {
    if (backward.needs(int(i)))
      grads[i] = input_grad(PyTuple_GET_ITEM(result.ptr(), Py_ssize_t(i)), i);
  }
  return grads;
}

// -------------------------------------------------------------------------------------------
// forward

Tensors tensors_in(const py::object& attribute) {
  Tensors out;
  if (attribute.is_none()) return out;
  const py::object list = own(PySequence_Fast(attribute.ptr(), "expected a sequence of Tensors"));
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(list.ptr()); ++i) {
    PyObject* item = PySequence_Fast_GET_ITEM(list.ptr(), i);
    GS_CHECK(item == Py_None || is_tensor(item), Type, "autograd.Function",
             "expected Tensors or None to be saved or marked, got ", type_name(item), ".");
    out.push_back(item == Py_None ? Tensor() : Tensor(tensor_of(item)));
  }
  return out;
}

int position_in(const Tensors& list, const Tensor& t) {
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i].defined() && list[i].same(t)) return int(i);
  }
  return -1;
}

// One call of apply(): the arguments, what forward returned, and how the two are joined.
class Call {
 public:
  Call(PyObject* cls, PyObject* ctx, PyObject* args)
      : cls_(borrow(cls)), ctx_(borrow(ctx)), args_(borrow(args)) {}
  PyObject* run(PyObject* forward);

 private:
  void read_inputs();
  void read_outputs(const py::object& result);
  void separate_outputs();
  void record();
  PyObject* result() const;

  py::object cls_, ctx_, args_;
  Tensors inputs_;    // undefined where an argument is no tensor
  Tensors returned_;  // what forward returned, undefined for other things
  Tensors outputs_;   // the same, or a fresh handle where forward returned an argument or a view
  std::vector<py::object> values_;
  bool single_ = false;
  bool needs_grad_ = false;
};

void Call::read_inputs() {
  const Py_ssize_t n = PyTuple_GET_SIZE(args_.ptr());
  py::object needed = own(PyTuple_New(n));
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* item = PyTuple_GET_ITEM(args_.ptr(), i);
    inputs_.push_back(is_tensor(item) ? Tensor(tensor_of(item)) : Tensor());
    const bool wants = inputs_.back().defined() && inputs_.back().requires_grad();
    PyTuple_SET_ITEM(needed.ptr(), i, PyBool_FromLong(wants));
  }
  ctx_.attr("needs_input_grad") = needed;
  needs_grad_ = autograd::any_needs_grad(inputs_);
}

void Call::read_outputs(const py::object& result) {
  single_ = !PyTuple_Check(result.ptr());
  const py::tuple list =
      single_ ? py::make_tuple(result) : py::reinterpret_borrow<py::tuple>(result);
  for (const py::handle item : list) {
    values_.push_back(borrow(item.ptr()));
    returned_.push_back(is_tensor(item.ptr()) ? Tensor(tensor_of(item.ptr())) : Tensor());
  }
}

// An argument that forward returns as it is, and a view of something, get a handle of their own, so
// that the history made here is theirs alone. Arguments changed in place (mark_dirty) stay what
// they are.
void Call::separate_outputs() {
  const Tensors dirty = tensors_in(ctx_.attr("_dirty"));
  for (const Tensor& t : dirty) {
    if (!t.defined()) continue;
    t.bump_version();
    GS_CHECK(!needs_grad_ || !t.body()->base, Runtime, "autograd.Function",
             "mark_dirty() cannot be used on a view.");
    GS_CHECK(!needs_grad_ || !t.requires_grad() || !autograd::is_leaf(t), Runtime,
             "autograd.Function",
             "a leaf tensor that requires a gradient cannot be changed in place.");
  }
  for (size_t i = 0; i < returned_.size(); ++i) {
    Tensor out = returned_[i];
    if (out.defined() && position_in(dirty, out) < 0) {
      const bool repeated = position_in(outputs_, out) >= 0;
      const bool argument = position_in(inputs_, out) >= 0;
      if (argument || repeated || (needs_grad_ && (out.body()->base || out.requires_grad())))
        out = detached(out);
    }
    outputs_.push_back(out);
  }
}

void Call::record() {
  const std::string name = py::str(cls_.attr("__name__"));
  const Ref<FunctionNode> node(new FunctionNode(kept_name(name + "Backward"), cls_.ptr(),
                                                ctx_.ptr(),
                                                ctx_.attr("_materialize").cast<bool>()));
  std::vector<std::optional<autograd::OutputInfo>> infos;
  std::vector<const Tensor*> inputs;
  for (const Tensor& t : inputs_) {
    inputs.push_back(&t);
    infos.emplace_back();
    if (t.defined()) infos.back() = autograd::OutputInfo{t.shape(), t.dtype(), t.device()};
  }
  node->set_inputs(std::move(infos));

  const Tensors excluded = tensors_in(ctx_.attr("_non_differentiable"));
  Tensors attached = outputs_;
  std::vector<bool> differentiable;
  for (size_t i = 0; i < attached.size(); ++i) {
    const bool good = attached[i].defined() && is_floating(attached[i].dtype()) &&
                      position_in(excluded, returned_[i]) < 0;
    if (!good) attached[i] = Tensor();
    differentiable.push_back(good);
  }
  node->set_differentiable(std::move(differentiable));

  std::vector<Saved> saved;
  for (const Tensor& t : tensors_in(ctx_.attr("_to_save"))) {
    const int slot = t.defined() ? position_in(returned_, t) : -1;
    const bool is_output = slot >= 0 && attached[slot].defined() && position_in(inputs_, t) < 0;
    saved.push_back(is_output ? Saved::output(attached[slot], slot) : Saved(t));
  }
  node->save(std::move(saved));
  auto link = std::make_shared<FunctionLink>();
  node->set_link(link);
  ctx_.attr("_link") = py::cast(link);

  autograd::attach(Ref<autograd::Node>(node.get()), attached.data(), int(attached.size()),
                   inputs.data(), int(inputs.size()));
}

PyObject* Call::result() const {
  if (single_) return outputs_[0].defined() ? wrap(outputs_[0]) : Py_NewRef(values_[0].ptr());
  py::object out = own(PyTuple_New(Py_ssize_t(outputs_.size())));
  for (size_t i = 0; i < outputs_.size(); ++i) {
    PyTuple_SET_ITEM(out.ptr(), Py_ssize_t(i),
                     outputs_[i].defined() ? wrap(outputs_[i]) : Py_NewRef(values_[i].ptr()));
  }
  return out.release().ptr();
}

PyObject* Call::run(PyObject* forward) {
  read_inputs();
  {
    autograd::GradGuard no_grad(false);
    py::object arguments = own(PyTuple_New(PyTuple_GET_SIZE(args_.ptr()) + 1));
    PyTuple_SET_ITEM(arguments.ptr(), 0, Py_NewRef(ctx_.ptr()));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args_.ptr()); ++i) {
      PyTuple_SET_ITEM(arguments.ptr(), i + 1, Py_NewRef(PyTuple_GET_ITEM(args_.ptr(), i)));
    }
    read_outputs(own(PyObject_CallObject(forward, arguments.ptr())));
    separate_outputs();
  }
  if (needs_grad_) record();
  // What was saved is the node's now; the context would keep outputs, and so itself, alive.
  for (const char* name : {"_to_save", "_non_differentiable", "_dirty"})
    ctx_.attr(name) = py::none();
  return result();
}

}  // namespace

PyObject* apply_function(PyObject* cls, PyObject* ctx, PyObject* args, PyObject* forward) {
  GS_CHECK(PyType_Check(cls) && PyTuple_Check(args) && PyCallable_Check(forward), Type,
           "autograd.Function",
           "expected a class, a context, a tuple of arguments and a callable.");
  return Call(cls, ctx, args).run(forward);
}

void add_function_type(py::module_& m) {
  py::class_<FunctionLink, std::shared_ptr<FunctionLink>>(
      m, "FunctionLink", "How a Function's context reaches its saved tensors.")
      .def("saved_tensors", [](const FunctionLink& link) {
        GS_CHECK(link.node, Runtime, "saved_tensors", "the graph of this context is gone.");
        return link.node->saved_tensors();
      });
}

}  // namespace gs::python
