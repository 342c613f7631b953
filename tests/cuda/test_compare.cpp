#include "kernels/kernels.h"
#include "kernels/params/binary.h"
#include "portable.cuh"
#include "twin.h"

namespace gs {
namespace {

using twin::expect_same;
using twin::values;

constexpr DType kFloating[] = {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16};
constexpr DType kIntegers[] = {DType::Int64, DType::Int32, DType::Int16, DType::Int8, DType::UInt8};

using Function = Tensor (*)(const ops::Operand&, const ops::Operand&);
const Function kFunctions[] = {ops::eq, ops::ne,          ops::lt,         ops::le,         ops::gt,
                               ops::ge, ops::logical_and, ops::logical_or, ops::logical_xor};

TEST(Compare, FloatingWithEqualValuesAndNaN) {
  for (const DType dtype : kFloating)
    for (const Shape& shape : {Shape{}, Shape{7}, Shape{4, 75}, Shape{0}}) {
      Tensor a = ops::round(values(shape, -2, 2, DType::Float32, 1));
      Tensor b = ops::round(values(shape, -2, 2, DType::Float32, 2));
      if (a.numel() > 4) a.data<float>()[1] = b.data<float>()[3] = std::nanf("");
      for (const Function f : kFunctions)
        expect_same([&](const Tensors& x) { return Tensors{f(x[0], x[1])}; },
                    {ops::cast(a, dtype), ops::cast(b, dtype)});
    }
}

TEST(Compare, Integers) {
  for (const DType dtype : kIntegers) {
    const double low = dtype == DType::UInt8 ? 120 : -4;  // some above what a signed byte holds
    const Tensor a = values({300}, low, low + 20, dtype, 1),
                 b = values({300}, low, low + 20, dtype, 2);
    for (const Function f : kFunctions) {
      expect_same([&](const Tensors& x) { return Tensors{f(x[0], x[1])}; }, {a, b});
      expect_same([&](const Tensors& x) { return Tensors{f(x[0], 3)}; }, {a});
    }
  }
  // Further apart than float64 can tell.
  const Tensor big = ops::add(values({9}, 0, 1, DType::Int64), int64_t(1) << 60, Scalar(1));
  expect_same([](const Tensors& x) { return Tensors{ops::lt(x[0], x[1])}; },
              {big, ops::add(big, 1, Scalar(1))});
}

// More elements than threads in the largest grid: they go round again.
TEST(Compare, MoreElementsThanThreads) {
  const int64_t n = (int64_t(1) << 24) + 777;
  const Tensor ones = ops::full({n}, Scalar(int64_t(1)), DType::Int8, twin::kCuda);
  const Tensor y = ops::to_device(ops::eq(ones, 1), Device{});
  int64_t count = 0;
  for (int64_t i = 0; i < n; ++i) count += y.data<bool>()[i];
  EXPECT_EQ(count, n);
}

// Values of 1, 2, 4 and 8 bytes: dense, with tails of every length; repeated; turned round.
TEST(Where, EverySize) {
  const auto where = [](const Tensors& x) { return Tensors{ops::where(x[2], x[0], x[1])}; };
  for (const DType dtype : {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16,
                            DType::Int8, DType::Int16, DType::Int32, DType::Int64}) {
    for (const int64_t n : {0, 1, 2, 3, 13, 15, 1021, 4200}) {
      const Tensor condition = ops::gt(values({n}, -1, 1, DType::Float32, 3), 0);
      expect_same(where,
                  {values({n}, -99, 99, dtype, 1), values({n}, -99, 99, dtype, 2), condition});
      expect_same(where,
                  {values({n}, -99, 99, dtype, 1), values({}, -99, 99, dtype, 2), condition});
    }
    const Tensor condition = ops::gt(values({5, 7}, -1, 1, DType::Float32, 3), 0);
    const Tensor a = values({7, 5}, -99, 99, dtype, 1), b = values({7}, -99, 99, dtype, 2);
    expect_same(where, {ops::transpose(a, 0, 1), b, condition});
    expect_same(where, {values({5, 1}, -99, 99, dtype, 1), b, condition});
  }
}

// 13 bytes on the device. The caching allocator would round them up; these end where the sanitizer
// watches.
struct Thirteen {
  char* data = nullptr;
  explicit Thirteen(const char* from) {
    EXPECT_EQ(cudaMalloc(reinterpret_cast<void**>(&data), 13), cudaSuccess);
    EXPECT_EQ(cudaMemcpy(data, from, 13, cudaMemcpyDefault), cudaSuccess);
  }
  ~Thirteen() { cudaFree(data); }
};

// A thread takes 16 elements at a time.
TEST(Where, NothingIsReadBeyondTheEnd) {
  const char condition[13] = {1, 0, 0, 1, 1, 1, 0, 1, 0, 0, 0, 1, 0};
  const Thirteen y("............"), c(condition), a("ABCDEFGHIJKL"), b("abcdefghijkl");
  Loop loop;
  loop.count = 4;
  loop.ndim = 1;
  loop.numel = loop.shape[0] = 13;
  const char* const data[] = {y.data, c.data, a.data, b.data};
  for (int k = 0; k < 4; ++k)
    loop.operands[k] = {
        const_cast<char*>(data[k]), k == 1 ? DType::Bool : DType::UInt8, false, {1}};
  kernels::where(twin::kCuda, {loop});
  char result[13];
  ASSERT_EQ(cudaMemcpy(result, y.data, 13, cudaMemcpyDefault), cudaSuccess);
  EXPECT_STREQ(result, "AbcDEFgHijkL");
}

}  // namespace
}  // namespace gs
