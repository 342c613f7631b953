// Optimizer steps and gradient clipping: each one kernel call for all parameters, in place, without
// history.
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/params/optimizer.h"
#include "ops/common.h"

namespace gs::ops {
namespace {

void check_writable(const char* op, const Tensor& t, const char* what) {
  GS_CHECK(t.body()->storage->writable(), Runtime, op, "expected ", what, " in writable memory.");
  if (t.is_contiguous()) return;
  for (int64_t i = 0; i < t.dim(); ++i)
    GS_CHECK(t.stride(i) != 0 || t.size(i) < 2, Runtime, op, "expected ", what,
             " whose elements do not share memory, got shape ", t.shape(), " with strides ",
             t.strides(), ".");
}

void check_parameters(const char* op, const Tensors& params, const char* what) {
  for (const Tensor& p : params) {
    check_floating(op, p, what);
    check_writable(op, p, what);
    GS_CHECK(p.device() == params[0].device(), Runtime, op,
             "expected all tensors on one device, got ", params[0].device(), " and ", p.device(),
             ".");
  }
}

// One tensor for each parameter, like it.
void check_parallel(const char* op, const Tensors& params, const Tensors& list, const char* what,
                    bool written) {
  GS_CHECK(list.size() == params.size(), Value, op, "expected ", params.size(), " ", what,
           ", one for each parameter, got ", list.size(), ".");
  for (size_t i = 0; i < list.size(); ++i) {
    check_defined(op, list[i], what);
    GS_CHECK(list[i].shape() == params[i].shape(), Value, op, "expected ", what, " of shape ",
             params[i].shape(), " to match parameter ", i, ", got ", list[i].shape(), ".");
    GS_CHECK(list[i].dtype() == params[i].dtype(), Type, op, "expected ", what, " of dtype ",
             params[i].dtype(), " to match parameter ", i, ", got ", list[i].dtype(), ".");
    GS_CHECK(list[i].device() == params[i].device(), Runtime, op,
             "expected all tensors on one device, got ", params[i].device(), " and ",
             list[i].device(), ".");
    if (written) check_writable(op, list[i], what);
  }
}

// The kernel's list of buffers. What is not dense is worked on as a dense copy and written back,
// but where a replayed graph is given new numbers alone. The tensors themselves stay in the
// caller's lists.
class Buffers {
 public:
  explicit Buffers(size_t count) : tensors_(count) { written_.reserve(5 * count); }
  OptimizerTensor& operator[](size_t i) { return tensors_[i]; }
  OptimizerTensor* data() { return tensors_.data(); }

  const void* read(const Tensor& t) {
    if (is_dense(t)) return t.raw();
    return dense_copy(t).raw();
  }
  void* write(const Tensor& t) {
    written_.push_back(&t);
    if (is_dense(t)) return t.raw();
    back_.emplace_back(t, dense_copy(t));
    return back_.back().second.raw();
  }
  // A state list may be empty: then there is none.
  void* write(const Tensors& list, size_t i) { return list.empty() ? nullptr : write(list[i]); }

  void finish() {
    for (const auto& [original, dense] : back_) copy_into(original, dense);
    for (const Tensor* t : written_) t->bump_version();
  }

 private:
  static bool is_dense(const Tensor& t) {
    return t.is_contiguous() || capture() == Capture::Patching;
  }
  Tensor dense_copy(const Tensor& t) {
    Tensor dense = empty(t.shape(), t.dtype(), t.device());
    copy_into(dense, t);
    kept_.push_back(dense);
    return dense;
  }

  std::vector<OptimizerTensor> tensors_;
  Tensors kept_;
  std::vector<const Tensor*> written_;
  std::vector<std::pair<Tensor, Tensor>> back_;
};

// One float32 number beside the parameters.
void check_number(const char* op, const Tensor& t, const Tensor& beside, const char* what,
                  DType dtype = DType::Float32) {
  check_defined(op, t, what);
  GS_CHECK(t.numel() == 1 && t.dtype() == dtype && t.device() == beside.device(), Type, op,
           "expected ", what, " to be one ", dtype, " number on ", beside.device(), ", got ",
           t.dtype(), " of shape ", t.shape(), " on ", t.device(), ".");
}

// Whether the step is not to be made, as far as the host knows. Elsewhere the kernel is given
// `found_inf` and sees for itself.
bool is_skipped(const char* op, const Tensor& found_inf, const Tensors& params) {
  if (!found_inf.defined() || params.empty()) return false;
  check_number(op, found_inf, params[0], "found_inf");
  return found_inf.device().is_cpu() && *found_inf.data<float>() != 0;
}
const float* read_by_kernel(const Tensor& found_inf) {
  return found_inf.defined() && !found_inf.device().is_cpu() ? found_inf.data<float>() : nullptr;
}

Buffers buffers_for(const Tensors& params, const Tensors& grads) {
  Buffers buffers(params.size());
  for (size_t i = 0; i < params.size(); ++i) {
    buffers[i] = {};
    buffers[i].parameter = buffers.write(params[i]);
    buffers[i].grad = buffers.read(grads[i]);
    buffers[i].n = params[i].numel();
    buffers[i].dtype = params[i].dtype();
  }
  return buffers;
}

// What is changed in place: `parameter` of each.
Buffers written_buffers(const char* op, const Tensors& tensors) {
  check_parameters(op, tensors, "tensor");
  Buffers buffers(tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    buffers[i] = {};
    buffers[i].parameter = buffers.write(tensors[i]);
    buffers[i].n = tensors[i].numel();
    buffers[i].dtype = tensors[i].dtype();
  }
  return buffers;
}

}  // namespace

void sgd_step(const Tensors& params, const Tensors& grads, const Tensors& momentum_buffers,
              const Dims& first, double lr, double momentum, double dampening, double weight_decay,
              bool nesterov, bool maximize, const Tensor& found_inf) {
  const char* op = "sgd_step";
  check_parameters(op, params, "parameter");
  check_parallel(op, params, grads, "gradient", false);
  if (momentum != 0) check_parallel(op, params, momentum_buffers, "momentum buffer", true);
  GS_CHECK(first.size() == 1, Value, op, "expected first to be (0,) or (1,), got ", first, ".");
  if (params.empty() || is_skipped(op, found_inf, params)) return;
  Buffers buffers = buffers_for(params, grads);
  for (size_t i = 0; i < params.size(); ++i) {
    if (momentum != 0) buffers[i].state1 = buffers.write(momentum_buffers[i]);
    buffers[i].step = first[0] ? 1 : 2;
  }
  kernels::sgd_step(params[0].device(),
                    {buffers.data(), static_cast<int64_t>(params.size()), lr, momentum, dampening,
                     weight_decay, nesterov, maximize, read_by_kernel(found_inf)});
  buffers.finish();
}

void adam_step(const Tensors& params, const Tensors& grads, const Tensors& exp_avgs,
               const Tensors& exp_avg_sqs, const Tensors& max_exp_avg_sqs, const Tensors& steps,
               double lr, double beta1, double beta2, double eps, double weight_decay,
               bool decoupled, bool amsgrad, bool maximize, const Tensor& found_inf) {
  const char* op = "adam_step";
  check_parameters(op, params, "parameter");
  check_parallel(op, params, grads, "gradient", false);
  check_parallel(op, params, exp_avgs, "exp_avg", true);
  check_parallel(op, params, exp_avg_sqs, "exp_avg_sq", true);
  if (amsgrad) check_parallel(op, params, max_exp_avg_sqs, "max_exp_avg_sq", true);
  GS_CHECK(steps.size() == params.size(), Value, op, "expected ", params.size(),
           " steps, one for each parameter, got ", steps.size(), ".");
  for (const Tensor& step : steps) {
    check_defined(op, step, "step");
    const bool placed =
        step.device().is_cpu() ? !read_by_kernel(found_inf) : step.device() == params[0].device();
    GS_CHECK(step.numel() == 1 && step.dtype() == DType::Float32 && placed, Type, op,
             "expected each step to be one float32 number on the CPU or beside the parameters "
             "(with found_inf only there), got ",
             step.dtype(), " of shape ", step.shape(), " on ", step.device(), ".");
    check_writable(op, step, "step");
  }
  if (params.empty() || is_skipped(op, found_inf, params)) return;
  const bool recorded = is_recorded(params[0].device());  // then each replay is a step
  Buffers buffers = buffers_for(params, grads);
  for (size_t i = 0; i < params.size(); ++i) {
    buffers[i].state1 = buffers.write(exp_avgs[i]);
    buffers[i].state2 = buffers.write(exp_avg_sqs[i]);
    if (amsgrad) buffers[i].state3 = buffers.write(max_exp_avg_sqs[i]);
    float* step = static_cast<float*>(buffers.write(steps[i]));
    if (!steps[i].device().is_cpu()) {
      buffers[i].counter = step;
      continue;
    }
    buffers[i].step = *step + 1;
    if (!recorded) *step += 1;
  }
  kernels::adam_step(params[0].device(),
                     {buffers.data(), static_cast<int64_t>(params.size()), lr, beta1, beta2, eps,
                      weight_decay, decoupled, amsgrad, maximize, read_by_kernel(found_inf)});
  buffers.finish();
}

void rmsprop_step(const Tensors& params, const Tensors& grads, const Tensors& square_avgs,
                  const Tensors& momentum_buffers, const Tensors& grad_avgs, double lr,
                  double alpha, double eps, double weight_decay, double momentum, bool centered,
                  bool maximize, const Tensor& found_inf) {
  const char* op = "rmsprop_step";
  check_parameters(op, params, "parameter");
  check_parallel(op, params, grads, "gradient", false);
  check_parallel(op, params, square_avgs, "square_avg", true);
  if (momentum > 0) check_parallel(op, params, momentum_buffers, "momentum buffer", true);
  if (centered) check_parallel(op, params, grad_avgs, "grad_avg", true);
  if (params.empty() || is_skipped(op, found_inf, params)) return;
  Buffers buffers = buffers_for(params, grads);
  for (size_t i = 0; i < params.size(); ++i) {
    buffers[i].state1 = buffers.write(square_avgs[i]);
    if (momentum > 0) buffers[i].state2 = buffers.write(momentum_buffers[i]);
    if (centered) buffers[i].state3 = buffers.write(grad_avgs[i]);
  }
  kernels::rmsprop_step(params[0].device(),
                        {buffers.data(), static_cast<int64_t>(params.size()), lr, alpha, eps,
                         weight_decay, momentum, centered, maximize, read_by_kernel(found_inf)});
  buffers.finish();
}

Tensor grad_norm(const Tensors& grads, double p) {
  const char* op = "grad_norm";
  const bool infinite = std::isinf(p) && p > 0;
  GS_CHECK(p > 0, Value, op, "expected a norm p above 0, got ", p, ".");
  for (const Tensor& g : grads) {
    check_floating(op, g, "gradient");
    check_same_device(op, {&grads[0], &g});
  }
  if (grads.empty()) return zeros({}, default_dtype());
  autograd::GradGuard off(false);
  if (p != 1 && p != 2 && !infinite) {
    Tensors norms;
    for (const Tensor& g : grads)
      norms.push_back(cast(norm(g, p, std::nullopt, false), grads[0].dtype()));
    return norm(stack(norms, 0), p, std::nullopt, false);
  }
  Buffers buffers(grads.size());
  for (size_t i = 0; i < grads.size(); ++i) {
    buffers[i] = {};
    buffers[i].grad = buffers.read(grads[i]);
    buffers[i].n = grads[i].numel();
    buffers[i].dtype = grads[i].dtype();
  }
  Tensor norm = empty({}, grads[0].dtype(), grads[0].device());
  kernels::grad_norm(norm.device(), {buffers.data(), static_cast<int64_t>(grads.size()), p,
                                     norm.raw(), norm.dtype()});
  return norm;
}

void scale_all_(const Tensors& tensors, double factor, const Tensor& norm) {
  const char* op = "scale_all_";
  if (tensors.empty()) return;
  ScaleAll p{nullptr, static_cast<int64_t>(tensors.size()), factor};
  if (norm.defined()) {
    check_floating(op, norm, "norm");
    check_number(op, norm, tensors[0], "norm", norm.dtype());
    p.norm = norm.raw(), p.norm_dtype = norm.dtype();
  }
  Buffers buffers = written_buffers(op, tensors);
  p.tensors = buffers.data();
  kernels::scale_all(tensors[0].device(), p);
  buffers.finish();
}

void unscale_all_(const Tensors& grads, const Tensor& scale, const Tensor& found_inf) {
  const char* op = "unscale_all_";
  if (grads.empty()) return;
  check_number(op, scale, grads[0], "scale");
  check_number(op, found_inf, grads[0], "found_inf");
  Buffers buffers = written_buffers(op, grads);
  kernels::unscale_all(grads[0].device(), {buffers.data(), static_cast<int64_t>(grads.size()),
                                           scale.data<float>(), found_inf.data<float>()});
  buffers.finish();
  found_inf.bump_version();
}

void update_scale_(const Tensor& scale, const Tensor& streak, const Tensor& found_inf,
                   double growth, double backoff, int64_t interval) {
  const char* op = "update_scale_";
  check_number(op, scale, scale, "scale");
  check_number(op, streak, scale, "streak", DType::Int32);
  check_number(op, found_inf, scale, "found_inf");
  kernels::update_scale(scale.device(), {scale.data<float>(), streak.data<int32_t>(),
                                         found_inf.data<float>(), growth, backoff, interval});
  scale.bump_version();
  streak.bump_version();
}

}  // namespace gs::ops
