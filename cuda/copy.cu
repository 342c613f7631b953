// Copies between layouts and dtypes, fill, arange, and y += alpha x.
#include "any_dtype.cuh"
#include "kernels/kernels.h"
#include "kernels/params/copy.h"

namespace gs::cuda {
namespace {

// ---------------------------------------------------------------- the same dtype

template <class Word>
struct Identity {
  GS_DEVICE Word operator()(Word x) const { return x; }
};

// ---------------------------------------------------------------- turned axes

constexpr int kTile = 32, kTileRows = 8;

// y dense along its last dimension, x along another: both are read and written in rows of 32,
// turned in shared memory.
struct Turned {
  const char* x;
  char* y;
  int64_t rows, columns;    // y is rows x columns
  int64_t y_row, x_column;  // bytes
  int64_t outer_shape[kMaxDims], y_outer[kMaxDims], x_outer[kMaxDims];
  int outer_dims;
};

template <class Word>
__global__ void __launch_bounds__(kTile* kTileRows) turn_kernel(const __grid_constant__ Turned t) {
  GS_SHARED(tile, Word[kTile][kTile + 1]);  // one more: columns fall into different banks
  const char* x = t.x;
  char* y = t.y;
  int64_t outer = blockIdx.z;
  for (int d = t.outer_dims - 1; d >= 0; --d) {
    const int64_t at = outer % t.outer_shape[d];
    x += at * t.x_outer[d];
    y += at * t.y_outer[d];
    outer /= t.outer_shape[d];
  }
  const int64_t row0 = int64_t(blockIdx.x) * kTile, column0 = int64_t(blockIdx.y) * kTile;
  for (int i = threadIdx.y; i < kTile; i += kTileRows) {
    const int64_t row = row0 + threadIdx.x, column = column0 + i;
    if (row < t.rows && column < t.columns)
      tile[i][threadIdx.x] =
          *reinterpret_cast<const Word*>(x + column * t.x_column + row * int64_t(sizeof(Word)));
  }
  __syncthreads();
  for (int i = threadIdx.y; i < kTile; i += kTileRows) {
    const int64_t row = row0 + i, column = column0 + threadIdx.x;
    if (row < t.rows && column < t.columns)
      *reinterpret_cast<Word*>(y + row * t.y_row + column * int64_t(sizeof(Word))) =
          tile[threadIdx.x][i];
  }
}

// True when the loop is such a turn, worth tiles, and fits the grid's limits.
bool find_turn(const Loop& loop, Turned* t, int64_t* outer) {
  constexpr int64_t kMostTiles = 65535;
  const LoopOperand &y = loop.operands[0], &x = loop.operands[1];
  const int64_t size = size_of(y.dtype);
  const int last = loop.ndim - 1;
  if (loop.ndim < 2 || y.strides[last] != size || x.strides[last] == size) return false;
  int along = -1;
  for (int d = 0; d < last; ++d)
    if (x.strides[d] == size) along = d;
  if (along < 0 || loop.shape[along] < 8 || loop.shape[last] < 8) return false;
  *t = {};
  t->x = x.data, t->y = y.data;
  t->rows = loop.shape[along], t->columns = loop.shape[last];
  t->y_row = y.strides[along], t->x_column = x.strides[last];
  *outer = 1;
  for (int d = 0; d < last; ++d) {
    if (d == along) continue;
    const int k = t->outer_dims++;
    t->outer_shape[k] = loop.shape[d];
    t->y_outer[k] = y.strides[d], t->x_outer[k] = x.strides[d];
    *outer *= loop.shape[d];
  }
  return *outer <= kMostTiles && ceil_div(t->columns, kTile) <= kMostTiles;
}

template <class Word>
void copy_words(const Loop& loop) {
  Turned turned;
  int64_t outer;
  if (!find_turn(loop, &turned, &outer)) return elementwise<Word, Word>(loop, Identity<Word>{});
  const dim3 grid(static_cast<unsigned>(ceil_div(turned.rows, kTile)),
                  static_cast<unsigned>(ceil_div(turned.columns, kTile)),
                  static_cast<unsigned>(outer));
  launch({grid, dim3(kTile, kTileRows), 0, current_stream()}, turn_kernel<Word>, turned);
}

void copy_same(const Loop& loop) {
  switch (size_of(loop.operands[0].dtype)) {
    case 1:
      return copy_words<uint8_t>(loop);
    case 2:
      return copy_words<uint16_t>(loop);
    case 4:
      return copy_words<uint32_t>(loop);
    default:
      return copy_words<uint64_t>(loop);
  }
}

// ---------------------------------------------------------------- conversions

template <class To, class From>
struct Narrow {  // between floating types
  GS_DEVICE To operator()(From x) const { return To(static_cast<float>(x)); }
};

struct Convert {
  DType to, from;
  GS_DEVICE void operator()(const DeviceLoop& loop, const int64_t (&at)[2]) const {
    void* y = loop.data[0] + at[0];
    const void* x = element(loop, 1, at[1]);
    if (is_floating(from)) {
      const double v = load_floating(x, from);
      if (is_floating(to)) return store_floating(y, to, v);
      if (to == DType::Bool) return store_integer(y, to, v != 0);
      // Narrow integers wrap from 32 bits, as on the CPU.
      const bool narrow = size_of(to) < 4;
      return store_integer(y, to, narrow ? static_cast<int32_t>(v) : static_cast<int64_t>(v));
    }
    const int64_t v = load_integer(x, from);
    if (is_floating(to)) return store_floating(y, to, v);
    store_integer(y, to, to == DType::Bool ? v != 0 : v);
  }
};

// ---------------------------------------------------------------- fill, arange, axpy

// Unsigned words stand for the types of their size.
template <class Word>
struct Always {
  Word bits;
  GS_DEVICE Word operator()() const { return bits; }
};

template <class T>
void fill_with(const Loop& loop, T value) {
  using Word = std::conditional_t<
      sizeof(T) == 1, uint8_t,
      std::conditional_t<sizeof(T) == 2, uint16_t,
                         std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>>;
  Word bits;
  memcpy(&bits, &value, sizeof bits);
  elementwise<Word>(loop, Always<Word>{bits});
}

__global__ void __launch_bounds__(kLoopThreads) arange_kernel(const Arange p) {
  const int64_t threads = int64_t(gridDim.x) * kLoopThreads;
  for (int64_t i = int64_t(blockIdx.x) * kLoopThreads + threadIdx.x; i < p.n; i += threads) {
    void* y = static_cast<char*>(p.y) + i * size_of(p.dtype);
    if (is_floating(p.dtype))
      store_floating(y, p.dtype, p.start + static_cast<double>(i) * p.step);
    else
      store_integer(y, p.dtype, static_cast<int64_t>(p.start) + i * static_cast<int64_t>(p.step));
  }
}

template <class T>
struct AddTimes {
  compute_t<T> alpha;
  GS_DEVICE T operator()(T y, T x) const { return T(widen(y) + alpha * widen(x)); }
};

}  // namespace

void copy(const Copy& p) {
  const DType to = p.loop.operands[0].dtype, from = p.loop.operands[1].dtype;
  if (to == from) return copy_same(p.loop);
  if (to == DType::BFloat16 && from == DType::Float32)
    return elementwise<BFloat16, float>(p.loop, Narrow<BFloat16, float>{});
  if (to == DType::Float32 && from == DType::BFloat16)
    return elementwise<float, BFloat16>(p.loop, Narrow<float, BFloat16>{});
  if (to == DType::Float16 && from == DType::Float32)
    return elementwise<Half, float>(p.loop, Narrow<Half, float>{});
  if (to == DType::Float32 && from == DType::Float16)
    return elementwise<float, Half>(p.loop, Narrow<float, Half>{});
  each_element<2>(p.loop, Convert{to, from});
}

void fill(const Fill& p) {
  visit(p.loop.operands[0].dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (is_floating(dtype_of<T>::value))
      fill_with(p.loop, T(static_cast<compute_t<T>>(p.value)));
    else if constexpr (std::is_same_v<T, bool>)
      fill_with(p.loop, p.integer != 0);
    else
      fill_with(p.loop, static_cast<T>(p.integer));
  });
}

void arange(const Arange& p) {
  if (p.n == 0) return;
  launch({loop_grid(p.n, 1), dim3(kLoopThreads), 0, current_stream()}, arange_kernel, p);
}

void axpy(const Axpy& p) {
  if (p.n == 0) return;
  visit_floating(p.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    Loop loop;
    loop.count = 3;
    loop.ndim = 1;
    loop.numel = loop.shape[0] = p.n;
    const void* const data[] = {p.y, p.y, p.x};
    for (int k = 0; k < 3; ++k)
      loop.operands[k] = {
          static_cast<char*>(const_cast<void*>(data[k])), p.dtype, false, {size_of(p.dtype)}};
    elementwise<T, T, T>(loop, AddTimes<T>{static_cast<compute_t<T>>(p.alpha)});
  });
}

}  // namespace gs::cuda
