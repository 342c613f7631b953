// Products of 16-bit floats by the warpgroups of Hopper. On another card the same tests run the
// kernels that it has.
#include "float32_products.h"
#include "gemm_call.h"
#include "kernels/params/gemm.h"
#include "wgmma_tiles.h"

#if defined(GRADSTONE_CUDA_EMU)
#include "runtime_api.h"
#endif

namespace gs {
namespace {

using twin::Call;
using twin::expect_call;
using twin::kCuda;
using twin::Size;
using twin::values;

const DType kHalves[] = {DType::Float16, DType::BFloat16};

// With tiles of each width in turn.
template <class F>
void for_all_tiles(F f) {
  for (const int columns : {64, 128, 256}) {
    SCOPED_TRACE(::testing::Message() << "tiles of " << columns << " columns");
    cuda::set_wgmma_tiles(columns);
    f(columns);
  }
  cuda::set_wgmma_tiles(cuda::kByShape);
}

// Lines in memory are longer than what is used of them, so that they are multiples of 16 bytes
// while the sizes are multiples of nothing.
Call call_of(const Size& s, DType t, int order) {
  Call call;
  call.s = s, call.dtype = t;
  call.a_transposed = order & 1, call.b_transposed = order & 2;
  const auto pad = [](int64_t n) { return 8 + (8 - n % 8) % 8; };
  call.a_step[0] = pad(call.a_transposed ? s.m : s.k);
  call.b_step[0] = pad(call.b_transposed ? s.k : s.n);
  call.c_more = pad(s.n);
  return call;
}

// All orders; one tile and several, of which a block takes more than one; k within a stage, over
// some and over more than the ring has.
TEST(GemmWgmma, Orders) {
  for_all_tiles([](int columns) {
    for (int order = 0; order < 4; ++order)
      for (const Size& s : {Size{70, 75, 70}, Size{131, 2 * columns + 5, 131}})
        expect_call(call_of(s, kHalves[order % 2], order));
    expect_call(call_of({70, 75, 70}, DType::Float32, 1));  // no tensor cores unless asked for
  });
}

TEST(GemmWgmma, SeveralRounds) {
  for_all_tiles([](int columns) {
    for (int order = 0; order < 4; ++order)
      expect_call(call_of({270, columns + 67, 600 / (order + 1)}, kHalves[(order + 1) % 2], order));
  });
}

TEST(GemmWgmma, Epilogue) {
  for_all_tiles([](int) {
    for (const Activation f : {Activation::None, Activation::Relu, Activation::Tanh,
                               Activation::Sigmoid, Activation::Gelu}) {
      Call call = call_of({67, 77, 64}, kHalves[f == Activation::Tanh], 2);
      call.activation = f;
      call.alpha = 0.5, call.beta = 2;
      expect_call(call);
      call.bias = true;
      expect_call(call);
      call.bias_per_row = true;
      expect_call(call);
      call.c_more += 3;  // element by element
      expect_call(call);
    }
  });
}

TEST(GemmWgmma, Batches) {
  for_all_tiles([](int) {
    for (int order = 0; order < 4; ++order) {
      Call call = call_of({65, 70, 66}, kHalves[order / 2], order);
      call.batch = 5, call.bias = true;
      expect_call(call);
      call.batch = 6, call.a_offsets = {0, 0, 1, 1, 2, 2}, call.b_offsets = {1, 2, 1, 2, 1, 2};
      expect_call(call);
      call.b_offsets = {1, 1, 1, 1, 1, 1};
      expect_call(call);
      call.batch = 4, call.a_offsets = {2, 0, 1, 1}, call.b_offsets = {};  // no strides
      expect_call(call);
    }
  });
}

// Few tiles and a long k: parts, added in a second stage.
TEST(GemmWgmma, Split) {
  for_all_tiles([](int) {
    for (const Size& s : {Size{80, 76, 1100}, Size{64, 65, 900}})
      for (int order = 0; order < 4; order += 3) {
        Call call = call_of(s, kHalves[order / 2], order);
        call.beta = 1, call.bias = true, call.activation = Activation::Relu;
        expect_call(call);
      }
  });
}

// Lines and beginnings that the copy engine does not take.
TEST(GemmWgmma, Alignment) {
  for_all_tiles([](int) {
    for (int order = 0; order < 4; ++order) {
      Call call = call_of({66, 68, 65}, DType::BFloat16, order);
      call.shift = 1;
      expect_call(call);
      call.shift = 8;
      expect_call(call);
      call.a_step[0] += 4;
      expect_call(call);
      call.a_step[0] = 7, call.b_step[0] = 5;
      expect_call(call);
      call.a_step[1] = 2;
      expect_call(call);
      // Whole multiples of 16 bytes, but no dimension is dense.
      const int64_t a_line = 2 * (call.a_transposed ? call.s.m : call.s.k);
      call.a_step[0] = (8 - a_line % 8) % 8,
      call.b_step[0] = call_of(call.s, call.dtype, order).b_step[0];
      expect_call(call);
    }
  });
}

// float32 by tf32: any strides, since the operands are written out anew.
void expect_float32(cuda::Float32Products how, double tolerance) {
  cuda::set_float32_products(how);
  for_all_tiles([&](int columns) {
    for (int order = 0; order < 4; ++order) {
      Call call = call_of({131, columns + 7, 170}, DType::Float32, order);
      expect_call(call, tolerance);
      if (columns == 256) continue;
      call.s = {66, 2 * columns + 5, 64 + order};
      call.shift = 1, call.a_step[0] = 3, call.b_step[1] = 2, call.c_more = order;
      call.alpha = 0.5, call.beta = 2, call.bias = true, call.activation = Activation::Tanh;
      call.batch = 3, call.a_offsets = {2, 0, 1}, call.b_offsets = {1, 1, 1};
      expect_call(call, tolerance);
    }
    Call call = call_of({70, 73, 700}, DType::Float32, 2);  // parts of k, of all batches
    call.batch = 2;
    expect_call(call, tolerance);
  });
  cuda::set_float32_products(cuda::Float32Products::Exact);
}
TEST(GemmWgmma, ThreeTf32) { expect_float32(cuda::Float32Products::ThreeTf32, -1); }
TEST(GemmWgmma, Tf32) { expect_float32(cuda::Float32Products::Tf32, 2e-2); }

// Whole numbers of few bits are exact in tf32.
TEST(GemmWgmma, WholeNumbersOfFloat32) {
  const auto product = [](Device device) {
    const auto whole = [&](const Shape& shape, int seed) {
      return ops::to_device(ops::round(values(shape, -3, 3, DType::Float32, seed)), device);
    };
    return ops::matmul(whole({70, 96}, 1), whole({96, 72}, 2));
  };
  for_all_tiles([&](int) {
    cuda::set_float32_products(cuda::Float32Products::Tf32);
    twin::expect_close(product(kCuda), product(Device{}), 0);
    cuda::set_float32_products(cuda::Float32Products::ThreeTf32);
    twin::expect_close(product(kCuda), product(Device{}), 0);
  });
  cuda::set_float32_products(cuda::Float32Products::Exact);
}

TEST(GemmWgmma, ByShape) {
  for (const Size& s : {Size{64, 64, 64}, Size{200, 264, 72}, Size{63, 128, 128},
                        Size{128, 63, 128}, Size{128, 128, 63}})
    expect_call(call_of(s, DType::BFloat16, 2));
  Call call = call_of({130, 130, 64}, DType::Float16, 0);  // wide tiles, for there are many
  call.batch = 66;
  expect_call(call);
}

TEST(GemmWgmma, SpecialValues) {
  const double inf = std::numeric_limits<double>::infinity();
  Tensor a = values({70, 80}, -1, 1, DType::Float64), b = values({80, 72}, -1, 1, DType::Float64);
  a.data<double>()[3] = inf, a.data<double>()[500] = std::nan("");
  b.data<double>()[40] = -inf;
  for (const DType t : kHalves)
    twin::expect_same([](const Tensors& in) { return Tensors{ops::matmul(in[0], in[1])}; },
                      {ops::cast(a, t), ops::cast(b, t)}, twin::limit(t, 80));
}

TEST(GemmWgmma, SameBitsEveryTime) {
  const Tensor a = ops::to_device(values({130, 2000}, -1, 1, DType::BFloat16), kCuda),
               b = ops::to_device(values({2000, 72}, -1, 1, DType::BFloat16), kCuda);
  const Tensor first = ops::to_device(ops::matmul(a, b), Device{}),
               second = ops::to_device(ops::matmul(a, b), Device{});
  EXPECT_EQ(std::memcmp(first.raw(), second.raw(), 130 * 72 * 2), 0);
}

#if defined(GRADSTONE_CUDA_EMU)
TEST(GemmWgmma, OtherCards) {
  cuda_host::options().capability = 80;
  for (int order = 0; order < 4; ++order)
    expect_call(call_of({66, 130, 70}, DType::BFloat16, order));
  cuda_host::options().capability = 90;
}
#endif

}  // namespace
}  // namespace gs
