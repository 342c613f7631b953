// Elementwise kernels, dense and broadcast: bytes read and written a second.
#include "kernels/loop_of.h"
#include "kernels/params/binary.h"
#include "kernels/params/unary.h"
#include "register.h"

namespace gs::bench {
namespace {

void add_unary(const std::string& name, UnaryOp op, int64_t n) {
  add(name, std::to_string(n), [=](Bench& b) {
    const Tensor x = ramp({n}, op == UnaryOp::Log ? 0.01f : -2), y = empty_like(x);
    const Unary p{op, make_loop({&y, &x}), 0, 0};
    b.bytes(8 * n, [&] { b.kernels.unary(p); });
  });
}

void add_unary_grad(const std::string& name, UnaryOp op, int64_t n) {
  add(name, std::to_string(n), [=](Bench& b) {
    const Tensor g = ramp({n}), s = ramp({n}), dx = empty_like(g);
    const UnaryGrad p{op, make_loop({&dx, &g, &s}), 0, 0};
    b.bytes(12 * n, [&] { b.kernels.unary_grad(p); });
  });
}

// left op right, broadcast to the shape of left; the smaller operand is taken to stay in cache.
void add_binary(const std::string& name, BinaryOp op, const Shape& left, const Shape& right,
                const std::string& shape) {
  add(name, shape, [=](Bench& b) {
    const Tensor x = ramp(left), other = ramp(right, 1), y = empty_like(x);
    const Binary p{op, make_loop({&y, &x, &other})};
    b.bytes(8 * x.numel() + 4 * other.numel(), [&] { b.kernels.binary(p); });
  });
}

constexpr int64_t kMany = 4000000;

const Register all([] {
  const struct {
    const char* name;
    UnaryOp op;
  } functions[] = {{"relu", UnaryOp::Relu}, {"exp", UnaryOp::Exp},         {"log", UnaryOp::Log},
                   {"tanh", UnaryOp::Tanh}, {"sigmoid", UnaryOp::Sigmoid}, {"gelu", UnaryOp::Gelu},
                   {"sin", UnaryOp::Sin}};
  for (const auto& f : functions) add_unary(f.name, f.op, 1000);
  for (const auto& f : {functions[0], functions[1], functions[5]}) add_unary(f.name, f.op, kMany);
  add_unary_grad("relu_grad", UnaryOp::Relu, kMany);
  add_unary_grad("gelu_grad", UnaryOp::Gelu, kMany);
  for (const int64_t n : {int64_t{4}, int64_t{1000}, kMany})
    add_binary("add", BinaryOp::Add, {n}, {n}, std::to_string(n));
  add_binary("add", BinaryOp::Add, {4096, 1024}, {1024}, "4096x1024_row");
  add_binary("add", BinaryOp::Add, {100000, 10}, {10}, "100000x10_row");
  add_binary("mul", BinaryOp::Mul, {4096, 1024}, {4096, 1}, "4096x1024_column");
  add_binary("div", BinaryOp::Div, {kMany}, {kMany}, std::to_string(kMany));
  add_binary("pow", BinaryOp::Pow, {1000}, {1000}, "1000");
  add("where", std::to_string(kMany), [](Bench& b) {
    const Tensor x = ramp({kMany}), other = ramp({kMany}), y = empty_like(x);
    const Tensor condition = empty({kMany}, DType::Bool);
    for (int64_t i = 0; i < kMany; ++i) condition.data<bool>()[i] = i % 3 == 0;
    const Where p{make_loop({&y, &condition, &x, &other})};
    b.bytes(13 * kMany, [&] { b.kernels.where(p); });
  });
});

}  // namespace
}  // namespace gs::bench
