// Writing by index. Every output element belongs to one chunk and receives its additions in the
// order of the indices: no atomics, and the same bits however the work is cut.
#include <cstdint>

#include "core/parallel.h"
#include "cpu/isa.h"
#include "kernels/params/index.h"

namespace gs::cpu {
namespace {

constexpr int64_t kChunkWork = 32 << 10;
constexpr int64_t kTasks = 8;          // cuts that are enough to keep the threads busy
constexpr int64_t kRandom = 16;        // work of an element that lies anywhere
constexpr int64_t kLeastColumns = 64;  // narrower column blocks waste cache lines

GS_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// Blocks into which `inner` columns are cut when `others` independent tasks exist already.
GS_INLINE int64_t column_blocks(int64_t inner, int64_t others) {
  const int64_t wanted = others >= kTasks ? 1 : (kTasks + others - 1) / others;
  const int64_t possible = inner / kLeastColumns;
  return possible < 1 ? 1 : least(wanted, possible);
}

// to[j] = to[j] + alpha * from[j]. Arithmetic in float for 16-bit types; on bool it is "or".
template <class T>
GS_INLINE void add_row(T* __restrict to, const T* __restrict from, int64_t n, compute_t<T> alpha) {
  for (int64_t j = 0; j < n; ++j) {
    const compute_t<T> a = to[j], b = from[j];
    to[j] = static_cast<T>(a + alpha * b);
  }
}

// A task is one outer slab, one range of output rows and one block of columns. Cutting rows means
// that each range reads all indices, which pays when rows are wide enough.
template <class T>
void add_rows(const IndexAdd& p) {
  const auto alpha = static_cast<compute_t<T>>(p.alpha);
  const int64_t blocks = column_blocks(p.inner, p.outer);
  const int64_t cut = p.outer * blocks;
  const int64_t ranges = p.inner < 8 || cut >= kTasks ? 1 : least(kTasks / cut, p.n_out);
  const int64_t tasks = cut * ranges;
  const int64_t work = p.n_index * p.inner / (blocks * ranges) + p.n_index;
  parallel_for(0, tasks, kChunkWork / (work + 1) + 1, [&, alpha](int64_t begin, int64_t end) {
    const int64_t* const index = p.index;
    const int64_t n = p.n_index, inner = p.inner;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t o = task / (blocks * ranges), range = task / blocks % ranges;
      const int64_t block = task % blocks;
      const int64_t first = p.n_out * range / ranges, past = p.n_out * (range + 1) / ranges;
      const int64_t from = inner * block / blocks, to = inner * (block + 1) / blocks;
      const T* in = static_cast<const T*>(p.in) + o * n * inner + from;
      T* out = static_cast<T*>(p.out) + o * p.n_out * inner + from;
      for (int64_t i = 0; i < n; ++i) {
        const int64_t row = index[i];
        if (row < first || row >= past) continue;
        add_row(out + row * inner, in + i * inner, to - from, alpha);
      }
    }
  });
}

struct Add {
  template <class T>
  GS_INLINE static void apply(T& to, T from) {
    const compute_t<T> a = to, b = from;
    to = static_cast<T>(a + b);
  }
};
struct Assign {
  template <class T>
  GS_INLINE static void apply(T& to, T from) {
    to = from;
  }
};

// A task is one outer slab and one block of columns; within it i runs in order.
template <class Op, class T>
void scatter_elements(const Scatter& p) {
  const int64_t blocks = column_blocks(p.inner, p.outer);
  const int64_t work = p.m * p.inner / blocks * kRandom;
  parallel_for(0, p.outer * blocks, kChunkWork / (work + 1) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t o = task / blocks, block = task % blocks;
      const int64_t from = p.inner * block / blocks, to = p.inner * (block + 1) / blocks;
      T* out = static_cast<T*>(p.out) + o * p.out_outer_stride;
      const int64_t stride = p.out_n_stride;
      for (int64_t i = 0; i < p.m; ++i) {
        const int64_t at = (o * p.m + i) * p.inner;
        const T* src = static_cast<const T*>(p.src) + at;
        const int64_t* index = p.index + at;
        for (int64_t j = from; j < to; ++j)
          Op::template apply<T>(out[index[j] * stride + j], src[j]);
      }
    }
  });
}

template <class Op, class T>
void put_rows(const Put& p) {
  const int64_t blocks = column_blocks(p.inner, 1);
  const int64_t work = p.n * p.inner / blocks;
  parallel_for(0, blocks, kChunkWork / (work + 1) + 1, [&](int64_t begin, int64_t end) {
    const int64_t from = p.inner * begin / blocks, to = p.inner * end / blocks;
    const T* src = static_cast<const T*>(p.src);
    T* out = static_cast<T*>(p.out);
    for (int64_t i = 0; i < p.n; ++i) {
      const T* row = src + i * p.src_stride;
      T* target = out + p.offsets[i];
      for (int64_t j = from; j < to; ++j) Op::template apply<T>(target[j], row[j]);
    }
  });
}

// Assignment needs the size of an element alone.
template <class F>
GS_INLINE void visit_size(DType t, F&& f) {
  switch (size_of(t)) {
    case 1:
      return f(Type<uint8_t>{});
    case 2:
      return f(Type<uint16_t>{});
    case 4:
      return f(Type<uint32_t>{});
    default:
      return f(Type<uint64_t>{});
  }
}

}  // namespace

namespace GS_ISA {

void index_add(const IndexAdd& p) {
  if (p.outer == 0 || p.n_index == 0 || p.inner == 0) return;
  visit(p.dtype, [&](auto tag) { add_rows<typename decltype(tag)::type>(p); });
}

void scatter(const Scatter& p) {
  if (p.outer == 0 || p.m == 0 || p.inner == 0) return;
  if (p.add) {
    visit(p.dtype, [&](auto tag) { scatter_elements<Add, typename decltype(tag)::type>(p); });
  } else {
    visit_size(p.dtype,
               [&](auto tag) { scatter_elements<Assign, typename decltype(tag)::type>(p); });
  }
}

void put(const Put& p) {
  if (p.n == 0 || p.inner == 0) return;
  if (p.add) {
    visit(p.dtype, [&](auto tag) { put_rows<Add, typename decltype(tag)::type>(p); });
  } else {
    visit_size(p.dtype, [&](auto tag) { put_rows<Assign, typename decltype(tag)::type>(p); });
  }
}

}  // namespace GS_ISA
}  // namespace gs::cpu
