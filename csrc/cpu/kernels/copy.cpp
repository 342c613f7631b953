// Copies between layouts and dtypes, fill, arange, and y += alpha x.
#include "kernels/params/copy.h"
#include "cpu/copy_layout.h"
#include "cpu/isa.h"
#include "cpu/spans.h"
#include "cpu/vmath.h"
#include "kernels/params/binary.h"

namespace gs::cpu {
namespace {

// ---------------------------------------------------------------- the same dtype

void move_span(char* const* p, int64_t n, const void* context) {
  std::memmove(p[0], p[1], n * *static_cast<const int64_t*>(context));
}

void copy_same(const Loop& loop) {
  const LoopOperand &y = loop.operands[0], &x = loop.operands[1];
  const int64_t size = size_of(y.dtype);
  if (copy_transposed(loop) || copy_rows(loop)) return;
  const bool y_dense = is_dense(loop, y), x_dense = is_dense(loop, x);
  if (loop.ndim > 0 && y_dense != x_dense) {  // one strided side: no buffer between
    return parallel_for(0, loop.numel, kElementGrain, [&](int64_t begin, int64_t end) {
      if (y_dense)
        walk_by_size<true>(loop, x, y.data + begin * size, begin, end - begin);
      else
        walk_by_size<false>(loop, y, x.data + begin * size, begin, end - begin);
    });
  }
  run_spans(loop, false, move_span, &size);
}

// ---------------------------------------------------------------- conversions

template <class To, class From>
GS_INLINE To convert(From v) {
  if constexpr (std::is_same_v<To, bool>)
    return v != From(0);
  else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To> && sizeof(To) < 4)
    return static_cast<To>(static_cast<int32_t>(v));  // wraps, as PyTorch's does
  else
    return static_cast<To>(v);
}

template <class To, class From>
void convert_span(char* const* p, int64_t n, const void*) {
  To* y = reinterpret_cast<To*>(p[0]);
  const From* x = reinterpret_cast<const From*>(p[1]);
  for (int64_t i = 0; i < n; ++i) y[i] = convert<To, From>(x[i]);
}

// float16 and bfloat16 arrive and leave as float.
template <class F>
GS_INLINE SpanFunction visit_widened(DType t, F&& f) {
  switch (t) {
    case DType::Bool:
      return f(Type<bool>{});
    case DType::UInt8:
      return f(Type<uint8_t>{});
    case DType::Int8:
      return f(Type<int8_t>{});
    case DType::Int16:
      return f(Type<int16_t>{});
    case DType::Int32:
      return f(Type<int32_t>{});
    case DType::Int64:
      return f(Type<int64_t>{});
    case DType::Float64:
      return f(Type<double>{});
    default:
      return f(Type<float>{});
  }
}

SpanFunction convert_kernel(DType to, DType from) {
  return visit_widened(to, [&](auto to_tag) {
    return visit_widened(from, [&](auto from_tag) -> SpanFunction {
      return convert_span<typename decltype(to_tag)::type, typename decltype(from_tag)::type>;
    });
  });
}

// ---------------------------------------------------------------- fill

inline constexpr int64_t kCleared = 256;  // elements from which memset is quicker

template <class T>
void fill_span(char* const* p, int64_t n, const void* context) {
  const T value = *static_cast<const T*>(context);
  T* y = reinterpret_cast<T*>(p[0]);
  // memset has a way past reading the lines it overwrites.
  constexpr T zero{};
  if (std::memcmp(&value, &zero, sizeof value) == 0 && n >= kCleared)
    std::memset(p[0], 0, n * sizeof(T));
  else
    for (int64_t i = 0; i < n; ++i) y[i] = value;
}

// ---------------------------------------------------------------- y += alpha x

template <class T>
void axpy_span(char* const* p, int64_t n, const void* context) {
  const T alpha = static_cast<T>(*static_cast<const double*>(context));
  in_vectors(
      [alpha](T* y, const T* x, const T* old, int64_t m) {
        for (int64_t i = 0; i < m; i += kLanes<T>)
          store(y + i, load(old + i) + load(x + i) * alpha);
      },
      n, reinterpret_cast<T*>(p[0]), reinterpret_cast<const T*>(p[1]),
      reinterpret_cast<const T*>(p[2]));
}
template <class T>
void integer_axpy_span(char* const* p, int64_t n, const void* context) {
  const T alpha = static_cast<T>(static_cast<int64_t>(*static_cast<const double*>(context)));
  T* y = reinterpret_cast<T*>(p[0]);
  const T* x = reinterpret_cast<const T*>(p[1]);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i)
    y[i] = integer_binary<BinaryOp::Add, T>(y[i], integer_binary<BinaryOp::Mul, T>(alpha, x[i]));
}
void bool_axpy_span(char* const* p, int64_t n, const void* context) {
  if (*static_cast<const double*>(context) == 0) return;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) p[0][i] |= p[1][i];
}

SpanFunction axpy_kernel(DType dtype) {
  switch (dtype) {
    case DType::Bool:
      return bool_axpy_span;
    case DType::UInt8:
      return integer_axpy_span<uint8_t>;
    case DType::Int8:
      return integer_axpy_span<int8_t>;
    case DType::Int16:
      return integer_axpy_span<int16_t>;
    case DType::Int32:
      return integer_axpy_span<int32_t>;
    case DType::Int64:
      return integer_axpy_span<int64_t>;
    case DType::Float64:
      return axpy_span<double>;
    default:
      return axpy_span<float>;
  }
}

}  // namespace

namespace GS_ISA {

void copy(const Copy& p) {
  if (p.loop.numel == 0) return;
  const DType to = p.loop.operands[0].dtype, from = p.loop.operands[1].dtype;
  if (to == from)
    copy_same(p.loop);
  else
    run_spans(p.loop, true, convert_kernel(to, from), nullptr);
}

void fill(const Fill& p) {
  visit(p.loop.operands[0].dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T value;
    if constexpr (std::is_integral_v<T>)
      value = convert<T, int64_t>(p.integer);
    else
      value = static_cast<T>(p.value);
    run_spans(p.loop, false, fill_span<T>, &value);
  });
}

void arange(const Arange& p) {
  visit(p.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* y = static_cast<T*>(p.y);
    const bool whole = std::is_integral_v<T>;
    const int64_t start = whole ? static_cast<int64_t>(p.start) : 0;
    const int64_t step = whole ? static_cast<int64_t>(p.step) : 0;
    parallel_for(0, p.n, kElementGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        if constexpr (std::is_integral_v<T>)
          y[i] = static_cast<T>(start + i * step);
        else
          y[i] = static_cast<T>(p.start + static_cast<double>(i) * p.step);
      }
    });
  });
}

void axpy(const Axpy& p) {
  Loop loop;
  loop.count = 3;
  loop.ndim = 1;
  loop.numel = loop.shape[0] = p.n;
  void* const data[3] = {p.y, const_cast<void*>(p.x), p.y};
  for (int k = 0; k < 3; ++k) {
    loop.operands[k].data = static_cast<char*>(data[k]);
    loop.operands[k].dtype = p.dtype;
    loop.operands[k].strides[0] = size_of(p.dtype);
  }
  run_spans(loop, true, axpy_kernel(p.dtype), &p.alpha);
}

}  // namespace GS_ISA
}  // namespace gs::cpu
