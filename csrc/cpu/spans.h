// The one elementwise loop. It feeds a kernel contiguous spans in its compute type: operands that
// are strided, broadcast or 16-bit floats go through small buffers in the first-level cache, so
// that each kernel is one contiguous vector loop per dtype and nothing else.
#pragma once

#include <cstring>
#include <type_traits>

#include "core/parallel.h"
#include "cpu/convert.h"
#include "kernels/loop.h"

namespace gs::cpu {
namespace {

inline constexpr int64_t kSpan = 512;            // elements in a buffer
inline constexpr int64_t kFew = 64;              // elements not worth preparing a loop for
inline constexpr int64_t kLongRow = 64;          // rows this long are cut one by one
inline constexpr int64_t kElementGrain = 32768;  // elements worth a task

// operands[0] is the output. Outputs and inputs may be the same memory.
using SpanFunction = void (*)(char* const* operands, int64_t n, const void* context);

template <int Size>
struct WordOf;
template <>
struct WordOf<1> {
  using type = uint8_t;
};
template <>
struct WordOf<2> {
  using type = uint16_t;
};
template <>
struct WordOf<4> {
  using type = uint32_t;
};
template <>
struct WordOf<8> {
  using type = uint64_t;
};

// Copies of the one element at `from`: whole vectors are stored, where a loop over a stride of 0
// would load and store word by word.
template <int Size>
GS_INLINE void repeat(char* to, const char* from, int64_t n) {
  typename WordOf<Size>::type word;
  std::memcpy(&word, from, Size);
  for (int64_t i = 0; i < n; ++i) std::memcpy(to + i * Size, &word, Size);
}

// Copies n elements of `Size` bytes between a dense buffer and memory where they lie `stride` bytes
// apart.
template <int Size, bool kGather>
GS_INLINE void walk_run(char* dense, char* row, int64_t stride, int64_t n) {
  if (stride == Size && n >= 16) {
    kGather ? std::memcpy(dense, row, n * Size) : std::memcpy(row, dense, n * Size);
  } else if (kGather && stride == 0) {
    repeat<Size>(dense, row, n);
  } else {
    for (int64_t i = 0; i < n; ++i, row += stride)
      kGather ? std::memcpy(dense + i * Size, row, Size) : std::memcpy(row, dense + i * Size, Size);
  }
}

// The same for a whole operand, from flat index `at` on.
template <int Size, bool kGather>
inline void walk(const Loop& loop, const LoopOperand& operand, char* dense, int64_t at, int64_t n) {
  int64_t index[kMaxDims];
  char* row = operand.data;
  const int last = loop.ndim - 1;
  for (int d = last; d >= 0; --d) {
    index[d] = at % loop.shape[d];
    at /= loop.shape[d];
    row += index[d] * operand.strides[d];
  }
  const int64_t stride = operand.strides[last];
  while (true) {
    const int64_t left = loop.shape[last] - index[last], run = n < left ? n : left;
    walk_run<Size, kGather>(dense, row, stride, run);
    n -= run;
    if (n == 0) return;
    dense += run * Size;
    row -= index[last] * stride;
    index[last] = 0;
    for (int d = last - 1; d >= 0; --d) {
      row += operand.strides[d];
      if (++index[d] < loop.shape[d]) break;
      row -= index[d] * operand.strides[d];
      index[d] = 0;
    }
  }
}

template <class F>
GS_INLINE void visit_bytes(int64_t size, F&& f) {
  switch (size) {
    case 1:
      return f(std::integral_constant<int, 1>{});
    case 2:
      return f(std::integral_constant<int, 2>{});
    case 4:
      return f(std::integral_constant<int, 4>{});
    default:
      return f(std::integral_constant<int, 8>{});
  }
}
template <bool kGather>
inline void walk_by_size(const Loop& loop, const LoopOperand& operand, char* dense, int64_t at,
                         int64_t n) {
  visit_bytes(size_of(operand.dtype),
              [&](auto size) { walk<size, kGather>(loop, operand, dense, at, n); });
}
template <bool kGather>
inline void walk_run_by_size(int64_t size, char* dense, char* row, int64_t stride, int64_t n) {
  visit_bytes(size, [&](auto bytes) { walk_run<bytes, kGather>(dense, row, stride, n); });
}

GS_INLINE bool is_half(DType t) { return t == DType::Float16 || t == DType::BFloat16; }

inline void widen_span(DType t, char* dst, const char* src, int64_t n) {
  float* y = reinterpret_cast<float*>(dst);
  if (t == DType::Float16)
    to_float(y, reinterpret_cast<const Half*>(src), n);
  else
    to_float(y, reinterpret_cast<const BFloat16*>(src), n);
}
inline void narrow_span(DType t, char* dst, const char* src, int64_t n) {
  const float* x = reinterpret_cast<const float*>(src);
  if (t == DType::Float16)
    from_float(reinterpret_cast<Half*>(dst), x, n);
  else
    from_float(reinterpret_cast<BFloat16*>(dst), x, n);
}

// How an operand reaches the kernel.
enum class Access : uint8_t {
  Direct,    // the kernel works on the memory itself
  Constant,  // one element, copied all over a buffer once
  Convert,   // dense 16-bit floats
  Repeat,    // one element a row, copied over a buffer when the row begins
  Walk       // gathered or scattered element by element
};

GS_INLINE bool is_dense(const Loop& loop, const LoopOperand& operand) {
  int64_t expected = size_of(operand.dtype);
  for (int d = loop.ndim - 1; d >= 0; --d) {
    if (loop.shape[d] != 1 && operand.strides[d] != expected) return false;
    expected *= loop.shape[d];
  }
  return true;
}

struct SpanLoop {
  Loop loop;
  bool widen;  // 16-bit floats reach the kernel as float
  SpanFunction kernel;
  const void* context;
  bool by_rows;  // spans end with the rows: operands need be dense within a row alone
  bool all_direct;
  Access access[4];

  void prepare() {
    if (loop.ndim == 0) {
      loop.ndim = 1;
      loop.shape[0] = 1;
    }
    bool dense[4];
    bool all_dense = true;
    for (int k = 0; k < loop.count; ++k) all_dense &= dense[k] = is_dense(loop, loop.operands[k]);
    const int last = loop.ndim - 1;
    by_rows = !all_dense && loop.ndim > 1 && loop.shape[last] >= kLongRow;
    all_direct = true;
    for (int k = 0; k < loop.count; ++k) {
      const LoopOperand& operand = loop.operands[k];
      bool constant = k > 0;
      for (int d = 0; d < loop.ndim; ++d) constant &= operand.strides[d] == 0 || loop.shape[d] == 1;
      const bool direct = by_rows ? operand.strides[last] == size_of(operand.dtype) : dense[k];
      const bool convert = widen && is_half(operand.dtype);
      access[k] = constant && loop.numel > 1                       ? Access::Constant
                  : by_rows && k > 0 && operand.strides[last] == 0 ? Access::Repeat
                  : !direct                                        ? Access::Walk
                  : convert                                        ? Access::Convert
                                                                   : Access::Direct;
      all_direct &= access[k] == Access::Direct;
    }
  }

  // One element n times in `buffer`; `raw` holds 16-bit floats on their way.
  void spread(const LoopOperand& operand, char* from, char* buffer, char* raw, int64_t n) const {
    const bool convert = widen && is_half(operand.dtype);
    walk_run_by_size<true>(size_of(operand.dtype), convert ? raw : buffer, from, 0, n);
    if (convert) widen_span(operand.dtype, buffer, raw, n);
  }

  // n elements. memory[k] is where operand k's are, where they are dense; read(k, to) and
  // write(from) gather and scatter the others.
  template <class Read, class Write>
  GS_INLINE void run_span(char* const* memory, char (*buffers)[kSpan * 8], char* raw, int64_t n,
                          Read read, Write write) const {
    char* spans[4];
    for (int k = 0; k < loop.count; ++k) {
      spans[k] = access[k] == Access::Direct ? memory[k] : buffers[k];
      if (k == 0 || (access[k] != Access::Convert && access[k] != Access::Walk)) continue;
      const DType type = loop.operands[k].dtype;
      const bool convert = widen && is_half(type);
      if (access[k] == Access::Walk) read(k, convert ? raw : buffers[k]);
      if (convert) widen_span(type, buffers[k], access[k] == Access::Walk ? raw : memory[k], n);
    }
    kernel(spans, n, context);
    if (access[0] == Access::Direct) return;
    const DType type = loop.operands[0].dtype;
    const bool convert = widen && is_half(type), walks = access[0] == Access::Walk;
    if (convert) narrow_span(type, walks ? raw : memory[0], buffers[0], n);
    if (walks) write(convert ? raw : buffers[0]);
  }

  // The elements with flat index in [begin, end).
  void operator()(int64_t begin, int64_t end) const {
    alignas(64) char buffers[4][kSpan * 8];
    alignas(64) char raw[kSpan * 2];
    for (int k = 1; k < loop.count; ++k)
      if (access[k] == Access::Constant)
        spread(loop.operands[k], loop.operands[k].data, buffers[k], raw,
               end - begin < kSpan ? end - begin : kSpan);
    if (by_rows)
      rows(begin, end, buffers, raw);
    else
      flat(begin, end, buffers, raw);
  }

  void flat(int64_t begin, int64_t end, char (*buffers)[kSpan * 8], char* raw) const {
    for (int64_t at = begin, n; at < end; at += n) {
      n = !all_direct && end - at > kSpan ? kSpan : end - at;
      char* memory[4];
      for (int k = 0; k < loop.count; ++k)
        memory[k] = loop.operands[k].data + at * size_of(loop.operands[k].dtype);
      run_span(
          memory, buffers, raw, n,
          [&](int k, char* to) { walk_by_size<true>(loop, loop.operands[k], to, at, n); },
          [&](char* from) { walk_by_size<false>(loop, loop.operands[0], from, at, n); });
    }
  }

  // Row after row: places are counted on, since dividing an index anew for every short row and
  // operand would take as long as its elements.
  void rows(int64_t begin, int64_t end, char (*buffers)[kSpan * 8], char* raw) const {
    const int last = loop.ndim - 1;
    const int64_t inner = loop.shape[last], most = all_direct ? inner : kSpan;
    int64_t index[kMaxDims], row = begin / inner, column = begin % inner;
    char* starts[4];
    for (int k = 0; k < loop.count; ++k) starts[k] = loop.operands[k].data;
    for (int d = last - 1; d >= 0; --d) {
      index[d] = row % loop.shape[d];
      row /= loop.shape[d];
      for (int k = 0; k < loop.count; ++k) starts[k] += index[d] * loop.operands[k].strides[d];
    }
    for (int64_t left = end - begin; left > 0; column = 0) {
      const int64_t stop = inner - column < left ? inner : column + left;
      left -= stop - column;
      for (int k = 1; k < loop.count; ++k)
        if (access[k] == Access::Repeat)
          spread(loop.operands[k], starts[k], buffers[k], raw,
                 stop - column < kSpan ? stop - column : kSpan);
      for (int64_t n; column < stop; column += n) {
        n = stop - column < most ? stop - column : most;
        char* memory[4];
        for (int k = 0; k < loop.count; ++k)
          memory[k] = starts[k] + column * loop.operands[k].strides[last];
        run_span(
            memory, buffers, raw, n,
            [&](int k, char* to) {
              const LoopOperand& x = loop.operands[k];
              walk_run_by_size<true>(size_of(x.dtype), to, memory[k], x.strides[last], n);
            },
            [&](char* from) {
              const LoopOperand& y = loop.operands[0];
              walk_run_by_size<false>(size_of(y.dtype), from, memory[0], y.strides[last], n);
            });
      }
      for (int d = last - 1; d >= 0; --d) {
        for (int k = 0; k < loop.count; ++k) starts[k] += loop.operands[k].strides[d];
        if (++index[d] < loop.shape[d]) break;
        for (int k = 0; k < loop.count; ++k) starts[k] -= index[d] * loop.operands[k].strides[d];
        index[d] = 0;
      }
    }
  }
};

// True when the kernel can work on all of the memory as it is.
GS_INLINE bool is_plain(const Loop& loop, bool widen) {
  if (loop.ndim > 1) return false;
  for (int k = 0; k < loop.count; ++k) {
    const LoopOperand& operand = loop.operands[k];
    if (widen && is_half(operand.dtype)) return false;
    if (loop.ndim == 1 && operand.strides[0] != size_of(operand.dtype)) return false;
  }
  return true;
}

// A few elements, each operand dense or one number: numbers are spread over a buffer, and the rest
// is one call. False when the loop is not like that.
inline bool run_few(const Loop& loop, bool widen, SpanFunction kernel, const void* context) {
  if (loop.numel > kFew || loop.ndim != 1) return false;
  alignas(64) char buffers[3][kFew * 8];
  char* spans[4];
  for (int k = 0; k < loop.count; ++k) {
    const LoopOperand& operand = loop.operands[k];
    const int size = size_of(operand.dtype);
    if (widen && is_half(operand.dtype)) return false;
    spans[k] = operand.data;
    if (operand.strides[0] == size) continue;
    if (k == 0 || operand.strides[0] != 0) return false;
    spans[k] = buffers[k - 1];
    const int64_t bytes = loop.numel * size;
    std::memcpy(spans[k], operand.data, size);
    for (int64_t done = size; done < bytes; done *= 2)
      std::memcpy(spans[k] + done, spans[k], done < bytes - done ? done : bytes - done);
  }
  kernel(spans, loop.numel, context);
  return true;
}

// Runs `kernel` over every element of the loop, in parallel. `widen`: 16-bit floats are computed in
// float.
inline void run_spans(const Loop& loop, bool widen, SpanFunction kernel, const void* context,
                      int64_t grain = kElementGrain) {
  if (loop.numel == 0 || !kernel) return;
  if (loop.numel <= grain && is_plain(loop, widen)) {  // small and dense: no more than a call
    char* spans[4];
    for (int k = 0; k < loop.count; ++k) spans[k] = loop.operands[k].data;
    return kernel(spans, loop.numel, context);
  }
  if (run_few(loop, widen, kernel, context)) return;
  const SpanLoop spans = [&] {
    SpanLoop s{loop, widen, kernel, context, false, false, {}};
    s.prepare();
    return s;
  }();
  parallel_for(0, loop.numel, grain, spans);
}

// The rest of a span that does not fill a vector runs through `body` too, on a padded copy: every
// element gets the same arithmetic wherever a span is cut. body(y, x..., n) with n a multiple of
// the lane count.
template <class T, class Body>
GS_INLINE void in_vectors(Body body, int64_t n, T* y, const T* x0, const T* x1 = nullptr) {
  constexpr int lanes = kLanes<T>;
  const int64_t whole = n / lanes * lanes, rest = n - whole;
  if (whole) body(y, x0, x1, whole);
  if (rest) {
    alignas(64) T tail[3][lanes] = {};
    std::memcpy(tail[1], x0 + whole, rest * sizeof(T));
    if (x1) std::memcpy(tail[2], x1 + whole, rest * sizeof(T));
    body(tail[0], tail[1], tail[2], static_cast<int64_t>(lanes));
    std::memcpy(y + whole, tail[0], rest * sizeof(T));
  }
}

}  // namespace
}  // namespace gs::cpu
