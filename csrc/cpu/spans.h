// The one elementwise loop. It feeds a kernel contiguous spans in its compute type: operands that
// are strided, broadcast or 16-bit floats go through small buffers in the first-level cache, so
// that each kernel is one contiguous vector loop per dtype and nothing else.
#pragma once

#include <cstring>

#include "core/parallel.h"
#include "cpu/convert.h"
#include "kernels/loop.h"

namespace gs::cpu {
namespace {

inline constexpr int64_t kSpan = 512;                    // elements gathered or converted at a time
inline constexpr int64_t kRepeated = 2048;               // elements in a buffer of broadcast values
inline constexpr int64_t kFew = 64;                      // elements not worth preparing a loop for
inline constexpr int64_t kLongRow = 64;                  // rows this long are cut one by one
inline constexpr int64_t kOneVector = kVectorBytes / 4;  // its elements, or more
inline constexpr int64_t kElementGrain = 32768;          // elements worth a task

GS_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

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

// Copies n elements of `Size` bytes between a dense buffer and a strided operand, from flat index
// `at` on.
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
    if (stride == Size && run >= 16) {
      kGather ? std::memcpy(dense, row, run * Size) : std::memcpy(row, dense, run * Size);
    } else if (kGather && stride == 0) {
      repeat<Size>(dense, row, run);
    } else {
      char* p = row;
      for (int64_t i = 0; i < run; ++i, p += stride)
        kGather ? std::memcpy(dense + i * Size, p, Size) : std::memcpy(p, dense + i * Size, Size);
    }
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

template <bool kGather>
inline void walk_by_size(const Loop& loop, const LoopOperand& operand, char* dense, int64_t at,
                         int64_t n) {
  switch (size_of(operand.dtype)) {
    case 1:
      return walk<1, kGather>(loop, operand, dense, at, n);
    case 2:
      return walk<2, kGather>(loop, operand, dense, at, n);
    case 4:
      return walk<4, kGather>(loop, operand, dense, at, n);
    default:
      return walk<8, kGather>(loop, operand, dense, at, n);
  }
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
  One,       // one element a row, of which the kernel takes a single vector
  Row,       // the same for every row, copied into a buffer row by row once
  Convert,   // dense 16-bit floats
  Walk       // gathered or scattered element by element
};

// Inputs that have fewer elements than the loop.
GS_INLINE bool is_broadcast(const Loop& loop, const LoopOperand& operand) {
  for (int d = 0; d < loop.ndim; ++d)
    if (loop.shape[d] != 1 && operand.strides[d] == 0) return true;
  return false;
}

GS_INLINE bool is_dense(const Loop& loop, const LoopOperand& operand) {
  int64_t expected = size_of(operand.dtype);
  for (int d = loop.ndim - 1; d >= 0; --d) {
    if (loop.shape[d] != 1 && operand.strides[d] != expected) return false;
    expected *= loop.shape[d];
  }
  return true;
}

// The row that a flat index lies in, and where each operand's row begins. Going to the next row
// takes a few additions; finding one takes a division per dimension.
struct RowCursor {
  int64_t index[kMaxDims];
  char* rows[4];
  int64_t column;

  GS_INLINE RowCursor(const Loop& loop, int64_t at) {
    const int last = loop.ndim - 1;
    column = at % loop.shape[last];
    at /= loop.shape[last];
    for (int k = 0; k < loop.count; ++k) rows[k] = loop.operands[k].data;
    for (int d = last - 1; d >= 0; --d) {
      index[d] = at % loop.shape[d];
      at /= loop.shape[d];
      for (int k = 0; k < loop.count; ++k) rows[k] += index[d] * loop.operands[k].strides[d];
    }
  }
  GS_INLINE void advance(const Loop& loop, int64_t n) {
    const int last = loop.ndim - 1;
    column += n;
    if (column < loop.shape[last]) return;
    column = 0;
    for (int d = last - 1; d >= 0; --d) {
      const bool wraps = ++index[d] == loop.shape[d];
      const int64_t steps = wraps ? 1 - loop.shape[d] : 1;
      for (int k = 0; k < loop.count; ++k) rows[k] += steps * loop.operands[k].strides[d];
      if (!wraps) return;
      index[d] = 0;
    }
  }
};

struct SpanLoop {
  Loop loop;
  bool widen;  // 16-bit floats reach the kernel as float
  SpanFunction kernel;
  const void* context;
  bool takes_one;  // the context tells the kernel, for each operand, that it is one vector
  bool by_rows;    // spans end with the rows: operands need be dense within a row alone
  int64_t piece;   // elements given to the kernel at a time
  Access access[4];
  bool one[4];

  // A call of the kernel interrupts the stream of loads and stores for as long as some kilobytes
  // take to move, so spans are made long: where all operands are dense but those which are
  // broadcast, a span is several rows.
  void prepare() {
    if (loop.ndim == 0) {
      loop.ndim = 1;
      loop.shape[0] = 1;
    }
    bool dense[4], broadcast[4];
    bool all_dense = true, flat = true;
    for (int k = 0; k < loop.count; ++k) {
      all_dense &= dense[k] = is_dense(loop, loop.operands[k]);
      broadcast[k] = k > 0 && is_broadcast(loop, loop.operands[k]);
      flat &= dense[k] || broadcast[k];
    }
    const int last = loop.ndim - 1;
    const int64_t inner = loop.shape[last];
    const int64_t long_row = !flat ? kLongRow : takes_one ? kRepeated / 2 : kRepeated;
    by_rows = !all_dense && loop.ndim > 1 && inner >= long_row;
    piece = by_rows || inner > kRepeated ? kRepeated : kRepeated / inner * inner;
    bool buffered = false;
    for (int k = 0; k < loop.count; ++k) {
      const LoopOperand& operand = loop.operands[k];
      bool constant = k > 0, row = broadcast[k];
      for (int d = 0; d < loop.ndim; ++d) {
        constant &= operand.strides[d] == 0 || loop.shape[d] == 1;
        row &= d == last || operand.strides[d] == 0;
      }
      const bool direct = by_rows ? operand.strides[last] == size_of(operand.dtype) : dense[k];
      const bool convert = widen && is_half(operand.dtype);
      one[k] = takes_one && k > 0 && operand.strides[last] == 0 && (constant || by_rows);
      access[k] = constant && loop.numel > 1         ? Access::Constant
                  : one[k]                           ? Access::One
                  : row && !by_rows && piece > inner ? Access::Row
                  : !direct                          ? Access::Walk
                  : convert                          ? Access::Convert
                                                     : Access::Direct;
      buffered |= access[k] != Access::Direct && !one[k];
      const bool few = access[k] == Access::Convert || (access[k] == Access::Walk && !broadcast[k]);
      if (few && piece > kSpan) piece = inner < kSpan ? kSpan / inner * inner : kSpan;
    }
    if (!buffered) piece = INT64_MAX;
  }

  // Reads n elements from flat index `at` into `buffer`; `raw` holds 16-bit floats on their way.
  void gather(const LoopOperand& operand, Access how, char* source, char* buffer, char* raw,
              int64_t at, int64_t n) const {
    const bool convert = widen && is_half(operand.dtype);
    if (how == Access::Walk) {
      walk_by_size<true>(loop, operand, convert ? raw : buffer, at, n);
      source = raw;
    }
    if (convert) widen_span(operand.dtype, buffer, source, n);
  }
  void scatter(const LoopOperand& operand, Access how, char* target, char* buffer, char* raw,
               int64_t at, int64_t n) const {
    const bool convert = widen && is_half(operand.dtype);
    if (convert) narrow_span(operand.dtype, how == Access::Walk ? raw : target, buffer, n);
    if (how == Access::Walk) walk_by_size<false>(loop, operand, convert ? raw : buffer, at, n);
  }

  // A vector full of the element at `from`: kernels that take one are those of floats.
  GS_INLINE static void gather_one(const LoopOperand& operand, const char* from, char* buffer) {
    if (operand.dtype == DType::Float64) return repeat<8>(buffer, from, kOneVector);
    if (operand.dtype == DType::Float32) return repeat<4>(buffer, from, kOneVector);
    alignas(64) char halves[kOneVector * 2];
    repeat<2>(halves, from, kOneVector);
    widen_span(operand.dtype, buffer, halves, kOneVector);
  }

  // The elements with flat index in [begin, end).
  void operator()(int64_t begin, int64_t end) const {
    alignas(64) char buffers[4][kRepeated * 8];
    alignas(64) char raw[kRepeated * 2];
    for (int k = 1; k < loop.count; ++k) {
      const LoopOperand& operand = loop.operands[k];
      // A span begins where the one before it ended, at the same place of a row.
      if (access[k] == Access::Row || access[k] == Access::Constant)
        gather(operand, Access::Walk, nullptr, buffers[k], raw, begin,
               least(one[k] ? kOneVector : piece, end - begin));
    }
    const int64_t inner = loop.shape[loop.ndim - 1];
    RowCursor cursor(loop, by_rows ? begin : 0);
    for (int64_t at = begin; at < end;) {
      int64_t n = least(piece, end - at);
      if (by_rows) n = least(n, inner - cursor.column);
      char* spans[4];
      char* memory[4];
      for (int k = 0; k < loop.count; ++k) {
        const LoopOperand& operand = loop.operands[k];
        const bool here = access[k] == Access::Direct || access[k] == Access::Convert;
        const int size = size_of(operand.dtype);
        memory[k] = !here     ? nullptr
                    : by_rows ? cursor.rows[k] + cursor.column * size
                              : operand.data + at * size;
        spans[k] = access[k] == Access::Direct ? memory[k] : buffers[k];
        if (k == 0 || access[k] == Access::Direct) continue;
        if (access[k] == Access::Walk || access[k] == Access::Convert)
          gather(operand, access[k], memory[k], buffers[k], raw, at, n);
        else if (access[k] == Access::One)
          gather_one(operand, cursor.rows[k], buffers[k]);
      }
      kernel(spans, n, takes_one ? one : context);
      if (access[0] != Access::Direct)
        scatter(loop.operands[0], access[0], memory[0], buffers[0], raw, at, n);
      at += n;
      if (by_rows) cursor.advance(loop, n);
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
// float. `takes_one`: the kernel has no context, and where it gets one, it is an array of bool: of
// an operand whose place is true there is one vector, which stands for all.
inline void run_spans(const Loop& loop, bool widen, SpanFunction kernel, const void* context,
                      bool takes_one = false) {
  constexpr int64_t grain = kElementGrain;
  if (loop.numel == 0 || !kernel) return;
  if (loop.numel <= grain && is_plain(loop, widen)) {  // small and dense: no more than a call
    char* spans[4];
    for (int k = 0; k < loop.count; ++k) spans[k] = loop.operands[k].data;
    return kernel(spans, loop.numel, context);
  }
  if (run_few(loop, widen, kernel, context)) return;
  const SpanLoop spans = [&] {
    SpanLoop s{loop, widen, kernel, context, takes_one, false, 0, {}, {}};
    s.prepare();
    return s;
  }();
  parallel_for(0, loop.numel, grain, spans);
}

// The rest of a span that does not fill a vector runs through `body` too, on a padded copy: every
// element gets the same arithmetic wherever a span is cut. body(y, x..., n) with n a multiple of
// the lane count. An input of which there is only one vector has a step of 0.
template <class T, class Body>
GS_INLINE void in_vectors(Body body, int64_t n, T* y, const T* x0, const T* x1 = nullptr,
                          int64_t step0 = kLanes<T>, int64_t step1 = kLanes<T>) {
  constexpr int lanes = kLanes<T>;
  const int64_t whole = n / lanes * lanes, rest = n - whole;
  if (whole) body(y, x0, x1, whole);
  if (rest) {
    alignas(64) T tail[3][lanes] = {};
    std::memcpy(tail[1], x0 + whole / lanes * step0, rest * sizeof(T));
    if (x1) std::memcpy(tail[2], x1 + whole / lanes * step1, rest * sizeof(T));
    body(tail[0], tail[1], tail[2], static_cast<int64_t>(lanes));
    std::memcpy(y + whole, tail[0], rest * sizeof(T));
  }
}

}  // namespace
}  // namespace gs::cpu
