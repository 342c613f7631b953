// y = f(a, b), comparisons, and where. One contiguous loop per function and type.
#include "kernels/params/binary.h"
#include "cpu/isa.h"
#include "cpu/spans.h"
#include "cpu/vmath.h"
#include "kernels/params/unary.h"

namespace gs::cpu {
namespace {

// ---------------------------------------------------------------- arithmetic

constexpr bool is_cheap(BinaryOp op) {
  return op == BinaryOp::Add || op == BinaryOp::Sub || op == BinaryOp::Mul || op == BinaryOp::Div ||
         op == BinaryOp::Maximum || op == BinaryOp::Minimum;
}

// A step is a whole vector, or 0 for an operand that is one vector. Cheap operations on two arrays
// are at the memory's limit, and one index for all leaves them fewer instructions.
template <BinaryOp op, class T>
[[gnu::noinline]] void floating_body(T* y, const T* a, const T* b, int64_t n, int64_t a_step,
                                     int64_t b_step) {
  constexpr int64_t lanes = kLanes<T>;
  if constexpr (is_cheap(op)) {
    if (a_step && b_step) {
      for (int64_t i = 0; i < n; i += lanes)
        store(y + i, floating_binary<op, VecMath<T>>(load(a + i), load(b + i)));
      return;
    }
  }
  for (const T* end = y + n; y < end; y += lanes, a += a_step, b += b_step)
    store(y, floating_binary<op, VecMath<T>>(load(a), load(b)));
}
template <BinaryOp op, class T>
void floating_span(char* const* p, int64_t n, const void* context) {
  const bool* one = static_cast<const bool*>(context);
  const int64_t a_step = one && one[1] ? 0 : kLanes<T>, b_step = one && one[2] ? 0 : kLanes<T>;
  in_vectors([=](T* y, const T* a, const T* b,
                 int64_t m) { floating_body<op, T>(y, a, b, m, a_step, b_step); },
             n, reinterpret_cast<T*>(p[0]), reinterpret_cast<const T*>(p[1]),
             reinterpret_cast<const T*>(p[2]), a_step, b_step);
}

template <class T>
SpanFunction floating_kernel(BinaryOp op) {
  switch (op) {
#define GS_CASE(name)  \
  case BinaryOp::name: \
    return floating_span<BinaryOp::name, T>;
    GS_FLOATING_BINARY(GS_CASE)
#undef GS_CASE
    default:
      return nullptr;
  }
}

template <BinaryOp op, class T>
void integer_span(char* const* p, int64_t n, const void*) {
  T* y = reinterpret_cast<T*>(p[0]);
  const T* a = reinterpret_cast<const T*>(p[1]);
  const T* b = reinterpret_cast<const T*>(p[2]);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = integer_binary<op, T>(a[i], b[i]);
}

template <class T>
SpanFunction integer_kernel(BinaryOp op) {
  switch (op) {
#define GS_CASE(name)  \
  case BinaryOp::name: \
    return integer_span<BinaryOp::name, T>;
    GS_INTEGER_BINARY(GS_CASE)
#undef GS_CASE
    default:
      return nullptr;
  }
}

// bool is a byte of 0 or 1: its arithmetic is that of uint8 under other names.
SpanFunction bool_kernel(BinaryOp op) {
  switch (op) {
    case BinaryOp::Add:
    case BinaryOp::Maximum:
    case BinaryOp::Or:
      return integer_span<BinaryOp::Or, uint8_t>;
    case BinaryOp::Mul:
    case BinaryOp::Minimum:
    case BinaryOp::And:
      return integer_span<BinaryOp::And, uint8_t>;
    case BinaryOp::Xor:
      return integer_span<BinaryOp::Xor, uint8_t>;
    default:
      return nullptr;
  }
}

SpanFunction binary_kernel(DType dtype, BinaryOp op) {
  switch (dtype) {
    case DType::Bool:
      return bool_kernel(op);
    case DType::UInt8:
      return integer_kernel<uint8_t>(op);
    case DType::Int8:
      return integer_kernel<int8_t>(op);
    case DType::Int16:
      return integer_kernel<int16_t>(op);
    case DType::Int32:
      return integer_kernel<int32_t>(op);
    case DType::Int64:
      return integer_kernel<int64_t>(op);
    case DType::Float64:
      return floating_kernel<double>(op);
    default:
      return floating_kernel<float>(op);
  }
}

// x ** c for the few constants c that a square root or a product gives faster and more exactly than
// pow.
bool constant_power(const Loop& loop, UnaryOp* as) {
  const LoopOperand& exponent = loop.operands[2];
  for (int d = 0; d < loop.ndim; ++d)
    if (exponent.strides[d] != 0 && loop.shape[d] != 1) return false;
  double value;
  if (exponent.dtype == DType::Float32)
    value = *reinterpret_cast<const float*>(exponent.data);
  else if (exponent.dtype == DType::Float64)
    value = *reinterpret_cast<const double*>(exponent.data);
  else
    return false;
  if (value == 2)
    *as = UnaryOp::Square;
  else if (value == 0.5)
    *as = UnaryOp::Sqrt;
  else if (value == -0.5)
    *as = UnaryOp::Rsqrt;
  else if (value == -1)
    *as = UnaryOp::Reciprocal;
  else
    return false;
  return true;
}

// ---------------------------------------------------------------- comparisons

template <CompareOp op, class T>
void compare_span(char* const* p, int64_t n, const void*) {
  uint8_t* y = reinterpret_cast<uint8_t*>(p[0]);
  const T* a = reinterpret_cast<const T*>(p[1]);
  const T* b = reinterpret_cast<const T*>(p[2]);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = compare_values<op, T>(a[i], b[i]);
}

template <class T>
SpanFunction compare_kernel(CompareOp op) {
  switch (op) {
#define GS_CASE(name)   \
  case CompareOp::name: \
    return compare_span<CompareOp::name, T>;
    GS_COMPARE(GS_CASE)
#undef GS_CASE
  }
  return nullptr;
}

SpanFunction compare_kernel_for(DType dtype, CompareOp op) {
  switch (dtype) {
    case DType::Bool:
    case DType::UInt8:
      return compare_kernel<uint8_t>(op);
    case DType::Int8:
      return compare_kernel<int8_t>(op);
    case DType::Int16:
      return compare_kernel<int16_t>(op);
    case DType::Int32:
      return compare_kernel<int32_t>(op);
    case DType::Int64:
      return compare_kernel<int64_t>(op);
    case DType::Float64:
      return compare_kernel<double>(op);
    default:
      return compare_kernel<float>(op);
  }
}

// ---------------------------------------------------------------- where

// Values are moved, not computed with: a type is its size.
template <class Word>
void where_span(char* const* p, int64_t n, const void*) {
  Word* y = reinterpret_cast<Word*>(p[0]);
  const uint8_t* condition = reinterpret_cast<const uint8_t*>(p[1]);
  const Word* a = reinterpret_cast<const Word*>(p[2]);
  const Word* b = reinterpret_cast<const Word*>(p[3]);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const Word yes = a[i], no = b[i];
    y[i] = condition[i] ? yes : no;
  }
}

SpanFunction where_kernel(DType dtype) {
  switch (size_of(dtype)) {
    case 1:
      return where_span<uint8_t>;
    case 2:
      return where_span<uint16_t>;
    case 4:
      return where_span<uint32_t>;
    default:
      return where_span<uint64_t>;
  }
}

}  // namespace

namespace GS_ISA {

void binary(const Binary& p) {
  if (p.loop.numel == 0) return;
  UnaryOp op;
  if (p.op == BinaryOp::Pow && constant_power(p.loop, &op)) {
    Unary u{op, p.loop};
    u.loop.count = 2;
    return unary(u);
  }
  const DType dtype = p.loop.operands[0].dtype;
  run_spans(p.loop, true, binary_kernel(dtype, p.op), nullptr, is_floating(dtype));
}

void compare(const Compare& p) {
  run_spans(p.loop, true, compare_kernel_for(p.loop.operands[1].dtype, p.op), nullptr);
}

void where(const Where& p) {
  run_spans(p.loop, false, where_kernel(p.loop.operands[0].dtype), nullptr);
}

}  // namespace GS_ISA
}  // namespace gs::cpu
