// Reading by index: rows and elements picked by integer arrays, positions of true elements,
// triangles.
#include <cstdint>
#include <cstring>

#include "core/parallel.h"
#include "cpu/isa.h"
#include "cpu/scratch.h"
#include "kernels/params/index.h"

namespace gs::cpu {
namespace {

constexpr int64_t kChunkBytes = 128 << 10;
constexpr int64_t kChunkElements = 32 << 10;

// ---------------------------------------------------------------- whole rows

// out rows [begin, end) of `bytes` each, from where the cursor points next. Rows of one element are
// a plain load and store.
template <int64_t bytes, class Cursor>
GS_INLINE void copy_short_rows(char* out, int64_t begin, int64_t end, Cursor cursor) {
  for (int64_t r = begin; r < end; ++r) __builtin_memcpy(out + r * bytes, cursor.next(), bytes);
}

// Rows that lie anywhere: the memory is asked for a few rows before they are read.
template <class Cursor>
GS_INLINE void copy_long_rows(char* out, int64_t bytes, int64_t begin, int64_t end, Cursor cursor) {
  constexpr int64_t depth = 4, most = 2048;  // of longer rows the hardware fetches the rest
  Cursor ahead = cursor;
  for (int64_t r = begin; r < end && r < begin + depth; ++r) ahead.next();
  for (int64_t r = begin; r < end; ++r) {
    if (r + depth < end) {
      const char* row = ahead.next();
      for (int64_t at = 0; at < bytes && at < most; at += 64) __builtin_prefetch(row + at);
    }
    std::memcpy(out + r * bytes, cursor.next(), bytes);
  }
}

template <class Cursor>
GS_INLINE void copy_rows(char* out, int64_t bytes, int64_t begin, int64_t end, Cursor cursor) {
  switch (bytes) {
    case 1:
      return copy_short_rows<1>(out, begin, end, cursor);
    case 2:
      return copy_short_rows<2>(out, begin, end, cursor);
    case 4:
      return copy_short_rows<4>(out, begin, end, cursor);
    case 8:
      return copy_short_rows<8>(out, begin, end, cursor);
    default:
      return copy_long_rows(out, bytes, begin, end, cursor);
  }
}

// Makes all rows; cursor_at(r) is a cursor standing at row r. Very long rows are cut into pieces.
template <class CursorAt>
GS_INLINE void make_rows(void* to, int64_t rows, int64_t bytes, CursorAt cursor_at) {
  if (rows == 0 || bytes == 0) return;
  char* out = static_cast<char*>(to);
  constexpr int64_t piece = 8 * kChunkBytes;
  if (bytes > piece) {
    const int64_t pieces = (bytes - 1) / piece + 1;
    parallel_for(0, rows * pieces, 1, [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        const int64_t r = k / pieces, at = k % pieces * piece;
        const int64_t length = bytes - at < piece ? bytes - at : piece;
        std::memcpy(out + r * bytes + at, cursor_at(r).next() + at, length);
      }
    });
    return;
  }
  parallel_for(0, rows, kChunkBytes / bytes + 1, [&](int64_t begin, int64_t end) {
    copy_rows(out, bytes, begin, end, cursor_at(begin));
  });
}

struct SelectCursor {
  const char* in;
  const int64_t* index;
  int64_t n_in, n_index, bytes, o, i;
  GS_INLINE const char* next() {
    const char* row = in + (o * n_in + index[i]) * bytes;
    if (++i == n_index) {
      i = 0;
      ++o;
    }
    return row;
  }
};

struct TakeCursor {
  const char* in;
  const int64_t* offset;
  int64_t element_size;
  GS_INLINE const char* next() { return in + *offset++ * element_size; }
};

// ---------------------------------------------------------------- single elements

// How many rows before they are read the memory is asked for them: `wanted`, or, where rows are so
// short that the hardware sees them coming, more than there are.
GS_INLINE int64_t rows_ahead(int64_t wanted, int64_t rows, int64_t row_bytes) {
  return row_bytes > 1024 ? wanted : rows;
}

// out (outer, n_index), one element each. What is read lies anywhere in a row, so the same places
// some rows on are asked for: nothing else would see them coming.
template <class T>
void select_elements(const IndexSelect& p) {
  const int64_t ahead = rows_ahead(4, p.outer, p.n_in * p.element_size * p.inner);
  const T* in = static_cast<const T*>(p.in);
  T* out = static_cast<T*>(p.out);
  parallel_for(0, p.outer * p.n_index, kChunkElements, [&](int64_t begin, int64_t end) {
    int64_t o = begin / p.n_index, from = begin % p.n_index;
    for (int64_t e = begin; e < end; ++o, from = 0) {
      const int64_t* index = p.index + from;
      const int64_t n = end - e < p.n_index - from ? end - e : p.n_index - from;
      const T* row = in + o * p.n_in;
      if (o + ahead < p.outer) {
        for (int64_t i = 0; i < n; ++i) {
          const T* at = row + index[i];
          __builtin_prefetch(at + ahead * p.n_in);
          out[e + i] = *at;
        }
      } else {
        for (int64_t i = 0; i < n; ++i) out[e + i] = row[index[i]];
      }
      e += n;
    }
  });
}

// out (outer, m, inner) is cut as a flat list; a chunk walks over whole or partial rows of it.
template <class T>
void gather_elements(const Gather& p) {
  const T* in = static_cast<const T*>(p.in);
  T* out = static_cast<T*>(p.out);
  const int64_t ahead = rows_ahead(1 + 63 / (p.m + 1), p.outer, p.in_outer_stride * p.element_size);
  parallel_for(0, p.outer * p.m * p.inner, kChunkElements, [&, out](int64_t begin, int64_t end) {
    const int64_t* const index = p.index;
    const int64_t stride = p.in_n_stride;
    if (p.inner == 1) {
      int64_t o = begin / p.m, left = p.m - begin % p.m;
      for (int64_t e = begin; e < end; ++o, left = p.m) {
        const T* row = in + o * p.in_outer_stride;
        const int64_t stop = end - e < left ? end : e + left;
        if (o + ahead < p.outer) {  // what this place of a later row will need
          const T* later = row + ahead * p.in_outer_stride;
          const int64_t* later_index = index + ahead * p.m;
          for (; e < stop; ++e) {
            __builtin_prefetch(later + later_index[e] * stride);
            out[e] = row[index[e] * stride];
          }
        }
        for (; e < stop; ++e) out[e] = row[index[e] * stride];
      }
      return;
    }
    for (int64_t e = begin; e < end;) {
      const int64_t row = e / p.inner, from = e % p.inner;
      const T* slab = in + row / p.m * p.in_outer_stride;
      const int64_t to = from + (end - e) < p.inner ? from + (end - e) : p.inner;
      for (int64_t j = from; j < to; ++j, ++e) out[e] = slab[index[e] * stride + j];
    }
  });
}

// Writes the positions of the true elements of [begin, ...), `count` of them. The store is
// unconditional, so that random masks cost no mispredictions.
GS_INLINE void write_positions(const bool* mask, int64_t begin, int64_t count, int64_t* to) {
  for (int64_t i = begin, done = 0; done < count; ++i) {
    to[done] = i;
    done += mask[i];
  }
}

GS_INLINE int64_t count_true(const bool* mask, int64_t begin, int64_t end) {
  int64_t count = 0;
  for (int64_t i = begin; i < end;) {
    const int64_t stop = end - i < 255 ? end : i + 255;  // a byte cannot overflow
    uint8_t part = 0;
    for (; i < stop; ++i) part = static_cast<uint8_t>(part + mask[i]);
    count += part;
  }
  return count;
}

}  // namespace

namespace GS_ISA {

void index_select(const IndexSelect& p) {
  const int64_t bytes = p.inner * p.element_size;
  switch (bytes) {
    case 1:
      return select_elements<uint8_t>(p);
    case 2:
      return select_elements<uint16_t>(p);
    case 4:
      return select_elements<uint32_t>(p);
    case 8:
      return select_elements<uint64_t>(p);
    default:
      break;
  }
  make_rows(p.out, p.outer * p.n_index, bytes, [&](int64_t r) {
    return SelectCursor{static_cast<const char*>(p.in),
                        p.index,
                        p.n_in,
                        p.n_index,
                        bytes,
                        r / p.n_index,
                        r % p.n_index};
  });
}

void take(const Take& p) {
  make_rows(p.out, p.n, p.inner * p.element_size, [&](int64_t r) {
    return TakeCursor{static_cast<const char*>(p.in), p.offsets + r, p.element_size};
  });
}

void gather(const Gather& p) {
  switch (p.element_size) {
    case 1:
      return gather_elements<uint8_t>(p);
    case 2:
      return gather_elements<uint16_t>(p);
    case 4:
      return gather_elements<uint32_t>(p);
    default:
      return gather_elements<uint64_t>(p);
  }
}

void index_range(const IndexRange& p) {
  const int64_t chunks = (p.n - 1) / kChunkElements + 1;
  const Scratch<int64_t> bounds(2 * chunks);
  parallel_for(0, p.n, kChunkElements, [&](int64_t begin, int64_t end) {
    int64_t low = p.index[begin], high = low;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t v = p.index[i];
      low = v < low ? v : low;
      high = v > high ? v : high;
    }
    int64_t* mine = bounds.get() + begin / kChunkElements * 2;
    mine[0] = low;
    mine[1] = high;
  });
  int64_t low = bounds.get()[0], high = bounds.get()[1];
  for (int64_t c = 1; c < chunks; ++c) {
    low = bounds.get()[2 * c] < low ? bounds.get()[2 * c] : low;
    high = bounds.get()[2 * c + 1] > high ? bounds.get()[2 * c + 1] : high;
  }
  *p.low = low;
  *p.high = high;
}

// Counts first, so that each chunk knows where its positions go.
void nonzero(const Nonzero& p) {
  constexpr int64_t grain = 4 * kChunkElements;
  const int64_t chunks = (p.n + grain - 1) / grain;
  const Scratch<int64_t> counts(chunks);
  const Scratch<int64_t> starts(chunks);
  parallel_for(0, p.n, grain, [&](int64_t begin, int64_t end) {
    counts.get()[begin / grain] = count_true(p.mask, begin, end);
  });
  int64_t total = 0;
  for (int64_t c = 0; c < chunks; ++c) {
    starts.get()[c] = total;
    total += counts.get()[c];
  }
  *p.count = total;
  if (!p.positions) return;
  parallel_for(0, p.n, grain, [&](int64_t begin, int64_t) {
    const int64_t c = begin / grain;
    write_positions(p.mask, begin, counts.get()[c], p.positions + starts.get()[c]);
  });
}

void triangle(const Triangle& p) {
  const int64_t row_bytes = p.cols * p.element_size;
  if (row_bytes == 0) return;
  // Past the corners nothing changes; the clamp keeps i + diagonal from overflowing.
  int64_t diagonal = p.diagonal < -p.rows ? -p.rows : p.diagonal;
  diagonal = diagonal > p.cols ? p.cols : diagonal;
  parallel_for(0, p.batch * p.rows, kChunkBytes / row_bytes + 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      int64_t split = r % p.rows + diagonal + (p.upper ? 0 : 1);  // columns left of it
      split = split < 0 ? 0 : split > p.cols ? p.cols : split;
      const char* in = static_cast<const char*>(p.in) + r * row_bytes;
      char* out = static_cast<char*>(p.out) + r * row_bytes;
      const int64_t left = split * p.element_size, right = row_bytes - left;
      if (p.upper) {
        std::memset(out, 0, left);
        if (in != out) std::memcpy(out + left, in + left, right);
      } else {
        if (in != out) std::memcpy(out, in, left);
        std::memset(out + left, 0, right);
      }
    }
  });
}

}  // namespace GS_ISA
}  // namespace gs::cpu
