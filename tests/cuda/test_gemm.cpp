#include "float32_products.h"
#include "gemm_call.h"
#include "kernels/params/gemm.h"

namespace gs {
namespace {

using twin::Call;
using twin::expect_call;
using twin::expect_close;
using twin::expect_same;
using twin::kCuda;
using twin::limit;
using twin::Size;
using twin::values;

const DType kFloating[] = {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16};
const DType kInteger[] = {DType::Bool,  DType::UInt8, DType::Int8,
                          DType::Int16, DType::Int32, DType::Int64};

Tensor matrix(int64_t rows, int64_t cols, DType t, bool transposed, int seed) {
  const Tensor x = values(transposed ? Shape{cols, rows} : Shape{rows, cols}, -1, 1, t, seed);
  return transposed ? ops::transpose(x, 0, 1) : x;
}

void expect_product(const Size& s, DType t, bool a_transposed = false, bool b_transposed = false) {
  SCOPED_TRACE(::testing::Message()
               << s.m << " x " << s.n << " x " << s.k << " " << t << a_transposed << b_transposed);
  expect_same([](const Tensors& in) { return Tensors{ops::matmul(in[0], in[1])}; },
              {matrix(s.m, s.k, t, a_transposed, 1), matrix(s.k, s.n, t, b_transposed, 2)},
              limit(t, std::max({s.m, s.n, s.k})));
}

TEST(Gemm, Transpositions) {
  for (const DType t : kFloating)
    for (const Size& s : {Size{65, 67, 35}, Size{64, 64, 32}, Size{40, 72, 24}})
      for (int which = 0; which < 4; ++which) expect_product(s, t, which & 1, which & 2);
}

TEST(Gemm, OddSizes) {
  for (const DType t : kFloating)
    for (const Size& s : {Size{5, 5, 1}, Size{6, 130, 17}, Size{129, 7, 33}, Size{31, 33, 100}})
      expect_product(s, t);
}

// One row or column, or a few, with both orders of either operand.
TEST(Gemm, Vectors) {
  for (const DType t : kFloating)
    for (const Size& s : {Size{1, 1, 1}, Size{1, 70, 45}, Size{70, 1, 45}, Size{3, 37, 264},
                          Size{140, 4, 72}, Size{2, 3, 300}})
      for (int which = 0; which < 4; ++which) expect_product(s, t, which & 1, which & 2);
}

// Parts of longer lines: whole packs may be read, and what lies behind the end is none of theirs.
TEST(Gemm, VectorsInPartsOfLines) {
  for (const DType t : kFloating)
    for (const int64_t rows : {1, 3})
      for (const int64_t k : {65, 69, 71, 72})
        expect_same(
            [k](const Tensors& in) {
              const Tensor b = ops::narrow(in[1], 1, 0, k);
              return Tensors{ops::matmul(ops::narrow(in[0], 1, 0, k), ops::transpose(b, 0, 1))};
            },
            {values({rows, 72}, -1, 1, t, 1), values({37, 72}, -1, 1, t, 2)}, limit(t, k));
}

// Few tiles and a long k: cut into parts, added in a second stage.
TEST(Gemm, Split) {
  for (const DType t : {DType::Float32, DType::Float64, DType::BFloat16}) {
    expect_product({20, 24, 1111}, t);
    expect_product({20, 24, 1024}, t, true, true);
    expect_product({1, 2, 3333}, t);
    expect_product({3, 40, 2050}, t, false, true);
  }
}

TEST(Gemm, LargeTiles) {
  for (int which = 0; which < 4; ++which) {
    const Tensor a = values(which & 1 ? Shape{34, 19, 130} : Shape{34, 130, 19}, -1, 1);
    const Tensor b = values(which & 2 ? Shape{34, 140, 19} : Shape{34, 19, 140}, -1, 1);
    expect_same(
        [&](const Tensors& in) {
          return Tensors{ops::matmul(which & 1 ? ops::transpose(in[0], 1, 2) : in[0],
                                     which & 2 ? ops::transpose(in[1], 1, 2) : in[1])};
        },
        {ops::detach(a), ops::detach(b)}, 3e-5);
  }
}

// Lines as tensor cores take them, a multiple of 16 bytes, of sizes that are none; all orders, one
// tile and several, k shorter and longer than the pipeline, cut and whole, and the larger tiles.
void expect_tensor_products(DType t, int large_orders, double tolerance = -1) {
  for (const Size& s : {Size{70, 66, 45}, Size{9, 13, 3}, Size{33, 100, 170}, Size{20, 17, 530}}) {
    for (int which = 0; which < 4; ++which) {
      Call call;
      call.s = s, call.dtype = t;
      call.a_transposed = which & 1, call.b_transposed = which & 2;
      const auto pad = [](int64_t n) { return 8 + (8 - n % 8) % 8; };
      call.a_step[0] = pad(call.a_transposed ? s.m : s.k);
      call.b_step[0] = pad(call.b_transposed ? s.k : s.n);
      expect_call(call, tolerance);
      if (s.k > 45) continue;
      call.shift = 1;  // not for tensor cores
      expect_call(call, tolerance);
      call.shift = 0;
      call.batch = 3, call.a_offsets = {2, 0, 1}, call.bias = true, call.beta = 0.5;
      call.activation = Activation::Relu;
      expect_call(call, tolerance);
    }
  }
  for (int which = 0; which < large_orders; ++which) {
    Call call;
    call.s = {130, 34, 40}, call.dtype = t, call.batch = 66;
    call.a_transposed = which & 1, call.b_transposed = which & 2;
    if (call.a_transposed) call.a_step[0] = 6;
    if (!call.b_transposed) call.b_step[0] = 6;
    expect_call(call, tolerance);
  }
}

TEST(Gemm, Epilogue) {
  for (const DType t : kFloating) {
    for (const Size& s : {Size{37, 70, 20}, Size{3, 40, 20}, Size{20, 24, 1040}}) {
      Call call;
      call.s = s, call.dtype = t;
      call.alpha = 0.5, call.beta = 2;
      expect_call(call);
      call.bias = true;
      expect_call(call);
      call.bias_per_row = true;
      for (const Activation f :
           {Activation::Relu, Activation::Tanh, Activation::Sigmoid, Activation::Gelu}) {
        call.activation = f;
        expect_call(call);
      }
      call.c_more = 3;
      expect_call(call);
    }
  }
}

TEST(Gemm, StridesAndAlignment) {
  for (const DType t : {DType::Float32, DType::Float16}) {
    for (const Size& s : {Size{70, 66, 40}, Size{2, 66, 40}, Size{66, 2, 40}}) {
      Call call;
      call.s = s, call.dtype = t;
      call.shift = 1;
      expect_call(call);
      call.a_step[1] = 2, call.b_step[1] = 3;
      expect_call(call);
      call.shift = 0, call.a_step[0] = 5, call.b_step[0] = 1;
      expect_call(call);
      call.a_step[1] = call.b_step[1] = 1;
      call.a_step[0] = call.b_step[0] = call.c_more = 8;
      expect_call(call);
      call.c_more = 6;  // rows of C begin at whole packs and end within one
      expect_call(call);
    }
  }
}

TEST(Gemm, TensorCores) {
  expect_tensor_products(DType::BFloat16, 4);
  expect_tensor_products(DType::Float16, 1);
}

// Small whole numbers have exact products and sums in every type: the places of all fragments.
void expect_exact(DType t) {
  for (int which = 0; which < 4; ++which) {
    SCOPED_TRACE(::testing::Message() << t << " " << which);
    const auto product = [&](Device device) {
      const auto whole = [&](int64_t rows, int64_t cols, bool transposed, int seed) {
        const Shape shape = transposed ? Shape{cols, rows} : Shape{rows, cols};
        const Tensor x = ops::cast(ops::round(values(shape, -2, 2, DType::Float32, seed)), t);
        const Tensor there = ops::to_device(x, device);
        return transposed ? ops::transpose(there, 0, 1) : there;
      };
      return ops::matmul(whole(72, 48, which & 1, 1), whole(48, 64, which & 2, 2));
    };
    expect_close(product(kCuda), product(Device{}), 0);
  }
}
TEST(Gemm, WholeNumbersAreExact) {
  for (const DType t : kFloating) expect_exact(t);
}

struct WithFloat32Products {
  explicit WithFloat32Products(cuda::Float32Products how) { cuda::set_float32_products(how); }
  ~WithFloat32Products() { cuda::set_float32_products(cuda::Float32Products::Exact); }
};
TEST(Gemm, ThreeTf32IsAsGoodAsFloat32) {
  const WithFloat32Products how(cuda::Float32Products::ThreeTf32);
  expect_tensor_products(DType::Float32, 4);
  expect_exact(DType::Float32);
}
TEST(Gemm, Tf32) {
  const WithFloat32Products how(cuda::Float32Products::Tf32);
  expect_tensor_products(DType::Float32, 1, 2e-2);
  expect_exact(DType::Float32);
}

TEST(Gemm, Batches) {
  Call call;
  call.s = {9, 13, 7};
  call.batch = 5;
  expect_call(call);
  call.a_offsets = {0, 0, 0, 0, 0}, call.b_offsets = {0, 1, 2, 3, 4};
  expect_call(call);
  call.batch = 6;
  call.a_offsets = {0, 1, 0, 1, 0, 1}, call.b_offsets = {2, 2, 2, 4, 4, 4};
  expect_call(call);
  call.a_offsets = {3, 1, 4, 1, 5, 2}, call.b_offsets = {0, 0, 1, 5, 1, 0};
  for (const Size& s : {Size{9, 13, 7}, Size{1, 13, 7}, Size{24, 8, 8}, Size{6, 7, 600}}) {
    call.s = s;
    expect_call(call);
  }
  call.s = {2, 5, 3}, call.batch = 300;
  call.a_offsets.clear(), call.b_offsets.clear();
  for (int64_t i = 0; i < 300; ++i) {
    call.a_offsets.push_back(i * i % 7);
    call.b_offsets.push_back(i * i % 11);
  }
  expect_call(call);
}

TEST(Gemm, Integers) {
  for (const DType t : kInteger) {
    for (const Size& s : {Size{33, 35, 37}, Size{1, 5, 3}, Size{4, 4, 0}}) {
      if (t == DType::Bool) break;  // the operation refuses it
      const Tensor a = values({s.m, s.k}, 0, 100, t, 1), b = values({s.n, s.k}, 0, 100, t, 2);
      expect_same(
          [](const Tensors& in) {
            return Tensors{ops::matmul(in[0], ops::transpose(in[1], 0, 1))};
          },
          {a, b});
    }
    Call call;
    call.dtype = t;
    expect_call(call);
    call.alpha = 3, call.beta = 2, call.bias = true, call.activation = Activation::Relu;
    call.s.k = 70;  // sums that wrap round
    expect_call(call);
    call.batch = 3, call.bias_per_row = true, call.a_offsets = {2, 0, 1};
    expect_call(call);
  }
}

TEST(Gemm, EmptyAndSpecialValues) {
  for (const Size& s : {Size{0, 5, 3}, Size{5, 0, 3}, Size{7, 9, 0}, Size{1, 9, 0}})
    expect_product(s, DType::Float32);
  const double inf = std::numeric_limits<double>::infinity();
  for (const DType t : kFloating) {
    for (const Size& s : {Size{6, 10, 9}, Size{6, 24, 16}, Size{3, 24, 16}}) {
      Tensor a = values({s.m, s.k}, -1, 1, DType::Float64),
             b = values({s.k, s.n}, -1, 1, DType::Float64);
      a.data<double>()[3] = inf, a.data<double>()[20] = std::nan("");
      b.data<double>()[40] = -inf;
      expect_same([](const Tensors& in) { return Tensors{ops::relu(ops::matmul(in[0], in[1]))}; },
                  {ops::cast(a, t), ops::cast(b, t)}, limit(t, s.k));
    }
  }
}

TEST(Gemm, Linear) {
  for (const DType t : kFloating)
    expect_same([](const Tensors& in) { return Tensors{ops::linear(in[0], in[1], Tensor())}; },
                {values({3, 7, 33}, -1, 1, t, 1), values({17, 33}, -1, 1, t, 2)}, limit(t, 33));
}

TEST(Gemm, SameBitsEveryTime) {
  const Tensor a = ops::to_device(values({30, 2000}), kCuda),
               b = ops::to_device(values({2000, 20}), kCuda);
  const Tensor first = ops::to_device(ops::matmul(a, b), Device{}),
               second = ops::to_device(ops::matmul(a, b), Device{});
  EXPECT_EQ(std::memcmp(first.raw(), second.raw(), 600 * sizeof(float)), 0);
}

}  // namespace
}  // namespace gs
