// Operations on tiny tensors as C++ calls them, and what of that is the checking of arguments: the
// same calls of the checks alone. In nanoseconds; no instruction set or thread matters here.
#include "ops/common.h"
#include "register.h"

namespace gs::bench {
namespace {

template <class Step>
void add_call(const char* name, Step step) {
  benchmark::RegisterBenchmark(name, [=](benchmark::State& state) {
    set_num_threads(1);
    for (auto _ : state) step();
  });
}

// The compiler must not see that nothing is thrown, or what the tensors are.
const Tensor& hidden(const Tensor& t) {
  const Tensor* p = &t;
  benchmark::DoNotOptimize(p);
  return *p;
}

void add_operations() {
  const ops::Operand a = ramp({2, 2}), b = ramp({2, 2}), row = ramp({2});
  const Tensor x = ramp({4, 8}), weight = ramp({8, 8}), bias = ramp({8}), vector = ramp({100});
  const Tensor logits = ramp({4, 10}), target = indices({4}, 10), table = ramp({10, 8});
  add_call("call/add/2x2", [=] { benchmark::DoNotOptimize(ops::add(a, b, 1)); });
  add_call("call/add/2x2_row", [=] { benchmark::DoNotOptimize(ops::add(a, row, 1)); });
  add_call("call/linear/4x8x8", [=] { benchmark::DoNotOptimize(ops::linear(x, weight, bias)); });
  add_call("call/sum/100",
           [=] { benchmark::DoNotOptimize(ops::sum(vector, std::nullopt, false, std::nullopt)); });
  add_call("call/select/4x8", [=] { benchmark::DoNotOptimize(ops::select(x, 0, 1)); });
  add_call("call/index_select/10x8_4",
           [=] { benchmark::DoNotOptimize(ops::index_select(table, 0, target)); });
  add_call("call/softmax/4x10",
           [=] { benchmark::DoNotOptimize(ops::softmax(logits, 1, std::nullopt)); });
  add_call("call/cross_entropy/4x10", [=] {
    benchmark::DoNotOptimize(ops::cross_entropy(logits, target, {}, -100, "mean", 0));
  });
}

void add_checks() {
  const Tensor a = ramp({2, 2}), row = ramp({2}), x = ramp({4, 8}), weight = ramp({8, 8}),
               bias = ramp({8}), target = indices({4}, 10), many = indices({4096}, 10);
  add_call("checks/add/2x2", [=] {  // device, dtype, shape, size of the result
    const Tensor &left = hidden(a), &right = hidden(a);
    ops::check_same_device("add", {&left, &right});
    benchmark::DoNotOptimize(ops::result_dtype(left, right));
    benchmark::DoNotOptimize(left.shape() == right.shape());
    benchmark::DoNotOptimize(checked_numel(left.shape(), "empty"));
  });
  add_call("checks/add/2x2_row", [=] {
    const Tensor &left = hidden(a), &right = hidden(row);
    ops::check_same_device("add", {&left, &right});
    benchmark::DoNotOptimize(ops::result_dtype(left, right));
    benchmark::DoNotOptimize(broadcast(left.shape(), right.shape(), "add"));
    benchmark::DoNotOptimize(checked_numel(left.shape(), "empty"));
  });
  add_call("checks/linear/4x8x8", [=] {
    const Tensor &in = hidden(x), &w = hidden(weight), &b = hidden(bias);
    ops::check_floating("linear", in);
    ops::check_floating("linear", w, "weight");
    ops::check_same_device("linear", {&in, &w, &b});
    ops::check_same_dtype("linear", {&in, &w, &b});
    benchmark::DoNotOptimize(w.dim() == 2 && in.dim() > 0 && in.size(-1) == w.size(1));
    benchmark::DoNotOptimize(b.dim() == 1 && b.size(0) == w.size(0));
    benchmark::DoNotOptimize(checked_numel(in.shape(), "empty"));
  });
  add_call("checks/select/4x8", [=] {
    const Tensor& in = hidden(x);
    benchmark::DoNotOptimize(wrap_dim(0, in.dim(), "select"));
    benchmark::DoNotOptimize(in.size(0) > 1);
  });
  add_call("checks/cross_entropy/4x10", [=] {
    Tensor at = hidden(target);
    ops::check_integral("cross_entropy", at);
    benchmark::DoNotOptimize(ops::check_index_range("cross_entropy", at, 10, "target"));
  });
  // Values must be looked at one by one: the one check whose cost grows with its argument.
  add_call("checks/index_range/4096", [=] {
    Tensor index = hidden(many);
    benchmark::DoNotOptimize(ops::check_index_range("embedding", index, 10, "index"));
  });
}

const Register all([] {
  add_operations();
  add_checks();
});

}  // namespace
}  // namespace gs::bench
