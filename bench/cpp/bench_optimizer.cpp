// Steps of optimizers over many small parameters and over few large ones.
#include <vector>

#include "kernels/params/optimizer.h"
#include "register.h"

namespace gs::bench {
namespace {

// `count` parameters of n elements, each with gradient and two states.
class Model {
 public:
  Model(int64_t count, int64_t n) {
    for (int64_t i = 0; i < count; ++i) {
      const Tensor p = ramp({n}), g = ramp({n}), s = ramp({n}, 1), t = ramp({n}, 1);
      tensors_.push_back(
          {p.raw(), g.raw(), s.raw(), t.raw(), nullptr, n, DType::Float32, double(2)});
      for (const Tensor& kept : {p, g, s, t}) kept_.push_back(kept);
    }
  }
  OptimizerTensor* tensors() { return tensors_.data(); }

 private:
  std::vector<OptimizerTensor> tensors_;
  Tensors kept_;
};

const Register all([] {
  const struct {
    int64_t count, n;
  } models[] = {{10, 64}, {200, 10000}, {2, 1000000}};
  for (const auto& m : models) {
    const int64_t total = m.count * m.n;
    const std::string shape = times({m.count, m.n});
    add("sgd", shape, [=](Bench& b) {
      Model model(m.count, m.n);
      b.bytes(12 * total,
              [&] { b.kernels.sgd_step({model.tensors(), m.count, 1e-4, 0, 0, 0, false, false}); });
    });
    add("sgd_momentum", shape, [=](Bench& b) {
      Model model(m.count, m.n);
      b.bytes(20 * total, [&] {
        b.kernels.sgd_step({model.tensors(), m.count, 1e-4, 0.9, 0, 1e-4, false, false});
      });
    });
    add("adam", shape, [=](Bench& b) {
      Model model(m.count, m.n);
      b.bytes(28 * total, [&] {
        b.kernels.adam_step(
            {model.tensors(), m.count, 1e-4, 0.9, 0.999, 1e-8, 0, false, false, false});
      });
    });
    add("grad_norm", shape, [=](Bench& b) {
      Model model(m.count, m.n);
      double norm;
      b.bytes(4 * total, [&] { b.kernels.grad_norm({model.tensors(), m.count, 2, &norm}); });
    });
  }
});

}  // namespace
}  // namespace gs::bench
