#include "kernels/kernels.h"
#include "kernels/params/sort.h"
#include "twin.h"

namespace gs {
namespace {

using twin::values;

const DType kAll[] = {DType::Bool,    DType::UInt8,  DType::Int8,    DType::Int16,
                      DType::Int32,   DType::Int64,  DType::Float16, DType::BFloat16,
                      DType::Float32, DType::Float64};

void check(const Tensor& x, int64_t k, bool descending) {
  SCOPED_TRACE(::testing::Message() << x.dtype() << " " << x.shape() << " first " << k
                                    << (descending ? " descending" : ""));
  const int64_t outer = x.size(0), n = x.size(1), inner = x.size(2);
  const Tensor far = ops::to_device(x, twin::kCuda);
  const Tensor v = empty({outer, k, inner}, x.dtype()), i = empty({outer, k, inner}, DType::Int64);
  const Tensor w = empty({outer, k, inner}, x.dtype(), twin::kCuda);
  const Tensor j = empty({outer, k, inner}, DType::Int64, twin::kCuda);
  kernels::sort(Device{},
                {x.raw(), v.raw(), i.data<int64_t>(), x.dtype(), outer, n, k, inner, descending});
  kernels::sort(twin::kCuda,
                {far.raw(), w.raw(), j.data<int64_t>(), x.dtype(), outer, n, k, inner, descending});
  twin::expect_close(w, v, 0);
  twin::expect_close(j, i, 0);
}

Tensor some(const Shape& shape, DType dtype, int range) {
  return values(shape, dtype == DType::Bool || dtype == DType::UInt8 ? 0 : -range, range + 1,
                dtype);
}

// Many equal values: only a stable sort gives the CPU's positions.
TEST(Sort, WithinABlock) {
  for (const DType dtype : kAll)
    for (const Shape& shape :
         {Shape{3, 1, 2}, Shape{70, 3, 1}, Shape{5, 33, 2}, Shape{2, 300, 1}, Shape{1, 2048, 1}}) {
      check(some(shape, dtype, 9), shape[1], false);
      check(some(shape, dtype, 120), (shape[1] + 1) / 2, true);
    }
}

TEST(Sort, InGlobalMemory) {
  for (const DType dtype : kAll) {
    check(some({1, 2500, 1}, dtype, 9), 2500, false);
    if (size_of(dtype) < 4) check(some({2, 2100, 2}, dtype, 120), 600, true);
  }
  check(values({1, 9000, 1}, -1e9, 1e9, DType::Float64), 9000, false);
  check(values({2, 4500, 2}, -2e9, 2e9, DType::Int32), 4500, true);
}

TEST(Sort, FirstFew) {
  for (const DType dtype : {DType::Float32, DType::Float64, DType::Int64, DType::BFloat16})
    for (const int64_t k : {5, 300}) {
      check(some({2, 5000, 1}, dtype, 9), k, true);
      check(values({1, 9000, 2}, -100, 100, dtype), k, false);
    }
}

TEST(Sort, NanInfinityAndSignedZero) {
  for (const DType dtype : {DType::Float16, DType::BFloat16, DType::Float32, DType::Float64})
    for (const int64_t n : {50, 3000})
      for (const bool descending : {false, true}) {
        Tensor x = values({1, n, 1}, -2, 2, DType::Float32);
        float* p = x.data<float>();
        for (int64_t i = 0; i < n; i += 7) p[i] = i % 2 ? 0.0f : -0.0f;
        p[5] = NAN, p[20] = -NAN, p[33] = INFINITY, p[41] = -INFINITY, p[n - 1] = NAN;
        check(ops::cast(x, dtype), n, descending);
        check(ops::cast(x, dtype), 4, descending);
      }
}

TEST(Sort, Operations) {
  for (const int64_t d : {0, 1})
    twin::expect_same(
        [d](const Tensors& in) {
          const auto s = ops::sort(in[0], d, false, true);
          const auto t = ops::topk(in[0], 3, d, true, true);
          return Tensors{s.values, s.indices, t.values, t.indices};
        },
        {values({12, 37})});
}

}  // namespace
}  // namespace gs
