// Whether operations are recorded, per thread.
#pragma once

namespace gs::autograd {

bool grad_enabled();
void set_grad_enabled(bool on);
bool inference_mode();
void set_inference_mode(bool on);

class GradGuard {
 public:
  explicit GradGuard(bool on) : before_(grad_enabled()) { set_grad_enabled(on); }
  ~GradGuard() { set_grad_enabled(before_); }
  GradGuard(const GradGuard&) = delete;

 private:
  bool before_;
};

}  // namespace gs::autograd
