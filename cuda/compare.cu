// Comparisons and selection.
#include "any_dtype.cuh"
#include "kernels/functors.h"
#include "kernels/kernels.h"
#include "kernels/params/binary.h"

namespace gs::cuda {
namespace {

// float64 holds every value of the narrower floating types, int64 of the narrower integers.
template <CompareOp op>
struct CompareValues {
  DType dtype;
  GS_DEVICE void operator()(const DeviceLoop& loop, const int64_t (&at)[3]) const {
    const void *a = element(loop, 1, at[1]), *b = element(loop, 2, at[2]);
    const bool y = is_floating(dtype)
                       ? compare_values<op>(load_floating(a, dtype), load_floating(b, dtype))
                       : compare_values<op>(load_integer(a, dtype), load_integer(b, dtype));
    *reinterpret_cast<bool*>(loop.data[0] + at[0]) = y;
  }
};

// The values are moved, not looked at: one kernel for each size.
template <class Word>
struct Select {
  GS_DEVICE Word operator()(bool condition, Word a, Word b) const { return condition ? a : b; }
};
template <class Word>
void select(const Loop& loop) {
  elementwise<Word, bool, Word, Word>(loop, Select<Word>{});
}

}  // namespace

void compare(const Compare& p) {
  const DType dtype = p.loop.operands[1].dtype;
  switch (p.op) {
#define GS_CASE(name)   \
  case CompareOp::name: \
    return each_element<3>(p.loop, CompareValues<CompareOp::name>{dtype});
    GS_COMPARE(GS_CASE)
#undef GS_CASE
  }
}

void where(const Where& p) {
  switch (size_of(p.loop.operands[0].dtype)) {
    case 1:
      return select<uint8_t>(p.loop);
    case 2:
      return select<uint16_t>(p.loop);
    case 4:
      return select<uint32_t>(p.loop);
    default:
      return select<uint64_t>(p.loop);
  }
}

}  // namespace gs::cuda
