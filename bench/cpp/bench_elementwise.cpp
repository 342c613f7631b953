// Memory-bound kernels: elementwise, reductions, softmax and norms, in bytes moved per second.
#include <benchmark/benchmark.h>

#include <vector>

#include "core/parallel.h"
#include "cpu/isa.h"

namespace gs {
namespace {

using cpu::table;

const cpu::KernelTable& kernels() { return table(cpu::active_isa()); }

std::vector<float> ramp(int64_t n) {
  std::vector<float> v(n);
  for (int64_t i = 0; i < n; ++i) v[i] = static_cast<float>(i % 1000) * 0.004f - 2;
  return v;
}

Loop dense_loop(int64_t n, std::initializer_list<const float*> data) {
  Loop loop;
  loop.count = static_cast<int>(data.size());
  loop.ndim = 1;
  loop.numel = loop.shape[0] = n;
  int k = 0;
  for (const float* p : data) {
    loop.operands[k].data = reinterpret_cast<char*>(const_cast<float*>(p));
    loop.operands[k++].strides[0] = sizeof(float);
  }
  return loop;
}

void report(benchmark::State& state, int64_t bytes) {
  state.SetBytesProcessed(state.iterations() * bytes);
}

void unary(benchmark::State& state, UnaryOp op) {
  const int64_t n = state.range(0);
  const auto x = ramp(n);
  std::vector<float> y(n);
  const Unary p{op, dense_loop(n, {y.data(), x.data()}), 0, 0};
  for (auto _ : state) kernels().unary(p);
  report(state, 8 * n);
}
BENCHMARK_CAPTURE(unary, relu, UnaryOp::Relu)->Arg(1000)->Arg(10000000);
BENCHMARK_CAPTURE(unary, exp, UnaryOp::Exp)->Arg(1000)->Arg(10000000);
BENCHMARK_CAPTURE(unary, log, UnaryOp::Log)->Arg(1000);
BENCHMARK_CAPTURE(unary, tanh, UnaryOp::Tanh)->Arg(1000)->Arg(10000000);
BENCHMARK_CAPTURE(unary, sigmoid, UnaryOp::Sigmoid)->Arg(1000);
BENCHMARK_CAPTURE(unary, gelu, UnaryOp::Gelu)->Arg(1000)->Arg(10000000);
BENCHMARK_CAPTURE(unary, sin, UnaryOp::Sin)->Arg(1000);

void unary_grad(benchmark::State& state, UnaryOp op) {
  const int64_t n = state.range(0);
  const auto g = ramp(n), s = ramp(n);
  std::vector<float> dx(n);
  const UnaryGrad p{op, dense_loop(n, {dx.data(), g.data(), s.data()}), 0, 0};
  for (auto _ : state) kernels().unary_grad(p);
  report(state, 12 * n);
}
BENCHMARK_CAPTURE(unary_grad, relu, UnaryOp::Relu)->Arg(10000000);
BENCHMARK_CAPTURE(unary_grad, gelu, UnaryOp::Gelu)->Arg(10000000);

void add(benchmark::State& state) {
  const int64_t n = state.range(0);
  const auto a = ramp(n), b = ramp(n);
  std::vector<float> y(n);
  const Binary p{BinaryOp::Add, dense_loop(n, {y.data(), a.data(), b.data()})};
  for (auto _ : state) kernels().binary(p);
  report(state, 12 * n);
}
BENCHMARK(add)->Arg(4)->Arg(1000)->Arg(10000000);

// (rows, columns) + (columns): a bias.
void add_row(benchmark::State& state) {
  const int64_t rows = state.range(0), columns = state.range(1);
  const auto a = ramp(rows * columns), b = ramp(columns);
  std::vector<float> y(rows * columns);
  Loop loop = dense_loop(rows * columns, {y.data(), a.data(), b.data()});
  loop.ndim = 2;
  loop.shape[0] = rows;
  loop.shape[1] = columns;
  for (int k = 0; k < 3; ++k) {
    loop.operands[k].strides[0] = k == 2 ? 0 : columns * 4;
    loop.operands[k].strides[1] = 4;
  }
  for (auto _ : state) kernels().binary({BinaryOp::Add, loop});
  report(state, 8 * rows * columns);
}
BENCHMARK(add_row)->Args({4096, 1024})->Args({100000, 10});

void copy_transposed(benchmark::State& state) {
  const int64_t n = state.range(0);
  const auto x = ramp(n * n);
  std::vector<float> y(n * n);
  Loop loop = dense_loop(n * n, {y.data(), x.data()});
  loop.ndim = 2;
  loop.shape[0] = loop.shape[1] = n;
  loop.operands[0].strides[0] = loop.operands[1].strides[1] = 4 * n;
  loop.operands[0].strides[1] = loop.operands[1].strides[0] = 4;
  for (auto _ : state) kernels().copy({loop});
  report(state, 8 * n * n);
}
BENCHMARK(copy_transposed)->Arg(1000)->Arg(2048);

// Sum of (rows, columns) over its first dimension, its second, or both.
void sum(benchmark::State& state, bool first, bool second) {
  const int64_t rows = state.range(0), columns = state.range(1);
  const auto x = ramp(rows * columns);
  std::vector<float> y(rows * columns);
  Reduce p = {};
  p.op = ReduceOp::Sum;
  p.in = x.data();
  p.out = y.data();
  p.in_dtype = p.out_dtype = DType::Float32;
  const auto put = [&](bool reduced, int64_t size, int64_t stride) {
    int& d = reduced ? p.reduced_ndim : p.kept_ndim;
    (reduced ? p.reduced_shape : p.kept_shape)[d] = size;
    (reduced ? p.reduced_strides : p.kept_strides)[d++] = stride;
  };
  put(first, rows, columns);
  put(second, columns, 1);
  for (auto _ : state) kernels().reduce(p);
  report(state, 4 * rows * columns);
}
BENCHMARK_CAPTURE(sum, first_axis, true, false)->Args({4096, 4096})->Args({1000000, 10});
BENCHMARK_CAPTURE(sum, second_axis, false, true)->Args({4096, 4096})->Args({1000000, 10});
BENCHMARK_CAPTURE(sum, everything, true, true)->Args({4096, 4096})->Args({10, 100});

void softmax(benchmark::State& state, bool grad) {
  const int64_t outer = state.range(0), n = state.range(1), inner = state.range(2),
                count = outer * n * inner;
  const auto x = ramp(count), dy = ramp(count);
  std::vector<float> y(count), dx(count);
  for (auto _ : state) {
    kernels().softmax({false, x.data(), y.data(), DType::Float32, outer, n, inner});
    if (grad)
      kernels().softmax_grad(
          {false, dy.data(), y.data(), dx.data(), DType::Float32, outer, n, inner});
  }
  report(state, (grad ? 20 : 8) * count);
}
BENCHMARK_CAPTURE(softmax, forward, false)
    ->Args({4096, 1000, 1})
    ->Args({32, 10, 1})
    ->Args({16, 21, 4096});
BENCHMARK_CAPTURE(softmax, training, true)->Args({4096, 1000, 1});

void cross_entropy(benchmark::State& state) {
  const int64_t rows = state.range(0), n = state.range(1);
  const auto x = ramp(rows * n);
  std::vector<float> loss(rows), lse(rows), dx(rows * n);
  std::vector<int64_t> target(rows, 3);
  const float dloss = 1;
  for (auto _ : state) {
    kernels().cross_entropy({x.data(), target.data(), nullptr, loss.data(), lse.data(),
                             DType::Float32, rows, n, 1, -100, 0});
    kernels().cross_entropy_grad({x.data(), target.data(), nullptr, lse.data(), &dloss, 0,
                                  dx.data(), DType::Float32, rows, n, 1, -100, 0});
  }
  report(state, 12 * rows * n);
}
BENCHMARK(cross_entropy)->Args({4096, 1000})->Args({32, 10});

void layer_norm(benchmark::State& state, bool grad) {
  const int64_t rows = state.range(0), n = state.range(1), count = rows * n;
  const auto x = ramp(count), dy = ramp(count), w = ramp(n), b = ramp(n);
  std::vector<float> y(count), dx(count), mean(rows), rstd(rows), dw(n), db(n);
  for (auto _ : state) {
    kernels().layer_norm({x.data(), w.data(), b.data(), y.data(), mean.data(), rstd.data(),
                          DType::Float32, rows, n, 1e-5});
    if (grad)
      kernels().layer_norm_grad({dy.data(), x.data(), w.data(), mean.data(), rstd.data(), dx.data(),
                                 dw.data(), db.data(), DType::Float32, rows, n});
  }
  report(state, (grad ? 20 : 8) * count);
}
BENCHMARK_CAPTURE(layer_norm, forward, false)->Args({4096, 768});
BENCHMARK_CAPTURE(layer_norm, training, true)->Args({4096, 768});

void batch_norm(benchmark::State& state, bool grad) {
  const int64_t n = state.range(0), c = state.range(1), inner = state.range(2),
                count = n * c * inner;
  const auto x = ramp(count), dy = ramp(count), w = ramp(c), b = ramp(c);
  std::vector<float> y(count), dx(count), mean(c), rstd(c), dw(c), db(c), rm(c), rv(c);
  for (auto _ : state) {
    kernels().batch_norm({x.data(), w.data(), b.data(), y.data(), mean.data(), rstd.data(),
                          rm.data(), rv.data(), DType::Float32, n, c, inner, true, 0.1, 1e-5});
    if (grad)
      kernels().batch_norm_grad({dy.data(), x.data(), w.data(), mean.data(), rstd.data(), dx.data(),
                                 dw.data(), db.data(), DType::Float32, n, c, inner, true});
  }
  report(state, (grad ? 32 : 12) * count);
}
BENCHMARK_CAPTURE(batch_norm, forward, false)
    ->Args({64, 64, 3136})
    ->Args({32, 512, 16})
    ->Args({256, 128, 1});
BENCHMARK_CAPTURE(batch_norm, training, true)->Args({64, 64, 3136})->Args({32, 512, 16});

}  // namespace
}  // namespace gs
