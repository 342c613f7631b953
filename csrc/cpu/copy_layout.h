// Copies of one dtype between layouts in which whole cache lines can be moved: both sides dense
// along the last dimension, or each side dense along a dimension of its own.
#pragma once

#include "cpu/rows.h"
#include "cpu/shuffle.h"
#include "cpu/spans.h"

namespace gs::cpu {
namespace {

// The addresses of both sides where the dimensions before `ndim`, without `skipped`, stand at
// position `at` of their product.
struct CopyAddress {
  char* y;
  const char* x;
  CopyAddress(const Loop& loop, int ndim, int skipped, int64_t at)
      : y(loop.operands[0].data), x(loop.operands[1].data) {
    for (int d = ndim - 1; d >= 0; --d) {
      if (d == skipped) continue;
      y += at % loop.shape[d] * loop.operands[0].strides[d];
      x += at % loop.shape[d] * loop.operands[1].strides[d];
      at /= loop.shape[d];
    }
  }
};

// ---------------------------------------------------------------- each side dense along its own

// y[r, c] = x[r, c] with y dense in c and x in r. Strides are in elements.
template <class C>
struct Turned {
  C* y;
  const C* x;
  int64_t y_row, x_column;
};

inline constexpr int64_t kTile = 32;

// Words smaller than 4 bytes: a tile is read by columns and written by rows.
template <class Word>
GS_INLINE void turn_words(Turned<Word> t, int64_t rows, int64_t columns) {
  alignas(64) Word tile[kTile][kTile];
  for (int64_t from = 0; from < columns; from += kTile, t.y += kTile, t.x += kTile * t.x_column) {
    const int64_t n = columns - from < kTile ? columns - from : kTile;
    if (rows == kTile && n == kTile) {
      for (int64_t c = 0; c < kTile; ++c)
        std::memcpy(tile[c], t.x + c * t.x_column, sizeof tile[c]);
      for (int64_t r = 0; r < kTile; ++r) {
        alignas(64) Word row[kTile];
        for (int64_t c = 0; c < kTile; ++c) row[c] = tile[c][r];
        std::memcpy(t.y + r * t.y_row, row, sizeof row);
      }
      continue;
    }
    for (int64_t c = 0; c < n; ++c) std::memcpy(tile[c], t.x + c * t.x_column, rows * sizeof(Word));
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < n; ++c) t.y[r * t.y_row + c] = tile[c][r];
  }
}

// At most kLanes rows and columns.
template <class C>
[[gnu::noinline]] void turn_part(Turned<C> t, int64_t rows, int64_t columns) {
  Vec<C> v[kLanes<C>] = {};
  for (int64_t c = 0; c < columns; ++c)
    v[c] = load_part(t.x + c * t.x_column, static_cast<int>(rows));
  transpose_vectors<C>(v);
  for (int64_t r = 0; r < rows; ++r) store_part(t.y + r * t.y_row, v[r], static_cast<int>(columns));
}

// Blocks of registers, one cache line square: its lines of x are read and its lines of y written
// all at once, so that nothing depends on what a cache keeps of strided lines. The last blocks
// overlap those before.
template <class C>
GS_INLINE void turn_blocks(Turned<C> t, int64_t rows, int64_t columns) {
  constexpr int64_t lanes = kLanes<C>, line = 64 / sizeof(C);
  if (rows < lanes || columns < lanes) {
    for (int64_t r = 0; r < rows; r += lanes)
      for (int64_t c = 0; c < columns; c += lanes)
        turn_part<C>({t.y + r * t.y_row + c, t.x + c * t.x_column + r, t.y_row, t.x_column},
                     rows - r < lanes ? rows - r : lanes,
                     columns - c < lanes ? columns - c : lanes);
    return;
  }
  const int64_t last_r = rows - lanes, last_c = columns - lanes;
  for (int64_t r0 = 0; r0 < rows; r0 += line)
    for (int64_t c0 = 0; c0 < columns; c0 += line)
      for (int64_t ri = r0; ri < rows && ri < r0 + line; ri += lanes)
        for (int64_t ci = c0; ci < columns && ci < c0 + line; ci += lanes) {
          const int64_t r = ri < last_r ? ri : last_r, c = ci < last_c ? ci : last_c;
          transpose_block(t.x + c * t.x_column + r, t.x_column, t.y + r * t.y_row + c, t.y_row);
        }
}

template <class C>
void turn(const Loop& loop, int along) {
  const int last = loop.ndim - 1;
  const LoopOperand &y = loop.operands[0], &x = loop.operands[1];
  constexpr int64_t size = sizeof(C);
  const int64_t rows = loop.shape[along], columns = loop.shape[last];
  // The last tile of rows has the rest of them too: a task writes no row of another.
  const int64_t tiles = rows / kTile < 1 ? 1 : rows / kTile, work = kTile * columns;
  const int64_t outer = loop.numel / (rows * columns);
  const int64_t grain = work >= kElementGrain ? 1 : kElementGrain / work;
  parallel_for(0, outer * tiles, grain, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const CopyAddress at(loop, last, along, task / tiles);
      const int64_t tile = task % tiles, row = tile * kTile;
      const int64_t n = tile + 1 == tiles ? rows - row : kTile;
      const Turned<C> t{reinterpret_cast<C*>(at.y + row * y.strides[along]),
                        reinterpret_cast<const C*>(at.x + row * size), y.strides[along] / size,
                        x.strides[last] / size};
      if constexpr (size >= 4) {
        turn_blocks<C>(t, n, columns);
      } else {
        for (int64_t r = 0; r < n; r += kTile)
          turn_words<C>({t.y + r * t.y_row, t.x + r, t.y_row, t.x_column},
                        n - r < kTile ? n - r : kTile, columns);
      }
    }
  });
}

// False when the loop is not like that.
inline bool copy_transposed(const Loop& loop) {
  const LoopOperand &y = loop.operands[0], &x = loop.operands[1];
  const int64_t size = size_of(y.dtype);
  const int last = loop.ndim - 1;
  if (loop.ndim < 2 || y.strides[last] != size || loop.shape[last] < 8) return false;
  if (x.strides[last] == size || x.strides[last] == 0) return false;
  int along = 0;
  while (along < last && (x.strides[along] != size || loop.shape[along] < 8)) ++along;
  if (along == last) return false;
  if (size == 1)
    turn<uint8_t>(loop, along);
  else if (size == 2)
    turn<uint16_t>(loop, along);
  else if (size == 4)
    turn<float>(loop, along);
  else
    turn<double>(loop, along);
  return true;
}

// ---------------------------------------------------------------- both dense along the last

inline constexpr int64_t kLeastRow = 16, kLongestRow = 64 << 10;  // bytes

// `bytes` >= sizeof(Part): the last part overlaps the one before.
template <class Part>
GS_INLINE void copy_parts(char* y, const char* x, int64_t bytes) {
  constexpr int64_t size = sizeof(Part);
  Part part;
  for (int64_t at = 0; at < bytes - size; at += size) {
    std::memcpy(&part, x + at, size);
    std::memcpy(y + at, &part, size);
  }
  std::memcpy(&part, x + bytes - size, size);
  std::memcpy(y + bytes - size, &part, size);
}

// `count` rows at constant distances.
template <class Part, bool kOne>
void copy_row_list(char* y, int64_t y_row, const char* x, int64_t x_row, int64_t count,
                   int64_t bytes) {
  if (kOne) bytes = sizeof(Part);
  for (int64_t r = 0; r < count; ++r) copy_parts<Part>(y + r * y_row, x + r * x_row, bytes);
}

// False when the loop is not like that, or its rows are so long or short that others do better.
inline bool copy_rows(const Loop& loop) {
  const LoopOperand &y = loop.operands[0], &x = loop.operands[1];
  const int64_t size = size_of(y.dtype);
  if (loop.ndim < 2) return false;
  const int last = loop.ndim - 1, next = last - 1;
  const int64_t bytes = loop.shape[last] * size;
  if (y.strides[last] != size || x.strides[last] != size) return false;
  if (bytes < kLeastRow || bytes > kLongestRow) return false;
  struct Quarter {
    char bytes[16];
  };
  auto list = bytes == 16             ? copy_row_list<Quarter, true>
              : bytes < kVectorBytes  ? copy_row_list<Quarter, false>
              : bytes == kVectorBytes ? copy_row_list<Vec<float>, true>
                                      : copy_row_list<Vec<float>, false>;
  const int64_t rows = loop.numel / loop.shape[last], run = loop.shape[next];
  parallel_for(0, rows, kElementGrain * 4 / bytes, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end;) {
      const CopyAddress at(loop, next, -1, r / run);
      const int64_t from = r % run, count = run - from < end - r ? run - from : end - r;
      list(at.y + from * y.strides[next], y.strides[next], at.x + from * x.strides[next],
           x.strides[next], count, bytes);
      r += count;
    }
  });
  return true;
}

}  // namespace
}  // namespace gs::cpu
