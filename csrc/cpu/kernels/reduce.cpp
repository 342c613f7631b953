// Reductions over any dimensions. Two shapes of work: along the reduced dimensions (contiguous ones
// go straight through vector accumulators, others through a small buffer), and, where the kept
// dimension is the dense one, across columns; short rows are transposed and become columns. All is
// cut into chunks by shape alone; chunk results are joined in order.
#include <limits>

#include "core/parallel.h"
#include "cpu/axes.h"
#include "cpu/convert.h"
#include "cpu/isa.h"
#include "cpu/prefetch.h"
#include "cpu/reduce_lanes.h"
#include "cpu/scratch.h"
#include "cpu/short_rows.h"
#include "cpu/vmath.h"
#include "kernels/params/reduce.h"

namespace gs::cpu {
namespace {

inline constexpr int64_t kChunk = 16384;  // elements of one partial result
inline constexpr int64_t kBuffer = 512;   // elements gathered at a time
inline constexpr int64_t kColumns =
    2048;  // columns accumulated at a time: long rows suit the prefetcher
inline constexpr int64_t kFolded = 512;         // columns that narrow rows are joined to
inline constexpr int64_t kSpans = 64;           // spans side by side of one task
inline constexpr int64_t kJoined = 64;          // results whose parts are joined together
inline constexpr int64_t kGrain = 32768;        // elements worth a task
inline constexpr int64_t kNarrowRow = 12;       // rows that are quicker as columns
inline constexpr int64_t kGroupedRow = 1024;    // longest row that shares a vector of results
inline constexpr int64_t kLargeGrain = 262144;  // of tensors that have plenty: what one task asks
                                                // the memory for ahead is another's to read

// ---------------------------------------------------------------- reading and writing

// Reads n elements, `stride` elements apart, as the compute type.
using Reader = void (*)(void* to, const char* from, int64_t stride, int64_t n);

template <class C, class In>
void read(void* to, const char* from, int64_t stride, int64_t n) {
  C* y = static_cast<C*>(to);
  const In* x = reinterpret_cast<const In*>(from);
  if constexpr (std::is_same_v<C, float> && !std::is_same_v<In, float>) {
    if (stride == 1) return to_float(y, x, n);
  }
  if (stride == 1) {
    for (int64_t i = 0; i < n; ++i) y[i] = static_cast<C>(x[i]);
  } else {
    for (int64_t i = 0; i < n; ++i) y[i] = static_cast<C>(x[i * stride]);
  }
}

template <class C>
Reader reader_of(DType t) {
  if constexpr (std::is_same_v<C, float>) {
    if (t == DType::Float16) return read<float, Half>;
    if (t == DType::BFloat16) return read<float, BFloat16>;
    return read<float, float>;
  } else {
    return visit(t, [](auto tag) -> Reader { return read<C, typename decltype(tag)::type>; });
  }
}

template <class State>
void write_results(const Reduce& p, int64_t at, const State* values, int64_t n, int64_t reduced) {
  visit(p.out_dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* out = static_cast<T*>(p.out) + at;
    if (p.op == ReduceOp::Mean) {
      for (int64_t i = 0; i < n; ++i) {
        const double mean = static_cast<double>(values[i]) / static_cast<double>(reduced);
        if constexpr (std::is_integral_v<T>)
          out[i] = reduced ? static_cast<T>(mean) : T(0);
        else
          out[i] = static_cast<T>(mean);
      }
    } else if constexpr (std::is_same_v<T, bool>) {
      for (int64_t i = 0; i < n; ++i) out[i] = values[i] != 0;
    } else {
      for (int64_t i = 0; i < n; ++i) out[i] = static_cast<T>(values[i]);
    }
  });
}

// ---------------------------------------------------------------- the two shapes of work

template <class C, class State>
class Job {
 public:
  Job(const Reduce& p, const Axes& kept, const Axes& reduced, const ReduceSteps<C, State>& steps)
      : p_(p),
        kept_(kept),
        reduced_(reduced),
        steps_(steps),
        reader_(reader_of<C>(p.in_dtype)),
        size_(size_of(p.in_dtype)),
        same_(p.in_dtype == dtype_of<C>::value) {}

  void run() const {
    const bool dense_kept = kept_.ndim > 0 && kept_.strides[kept_.ndim - 1] == 1;
    const bool dense_reduced = reduced_.ndim > 0 && reduced_.strides[reduced_.ndim - 1] == 1;
    const bool rows = dense_reduced && reduced_.ndim == 1 && kept_.ndim == 1 &&
                      kept_.strides[0] == reduced_.count;
    const bool narrow = reduced_.count <= kNarrowRow && is_short_row(kept_.count, reduced_.count);
    if (rows && same_ && !narrow && steps_.row_group && reduced_.count > 1 &&
        reduced_.count <= kGroupedRow)
      by_row_groups();
    else if (rows && is_short_row(kept_.count, reduced_.count))
      by_short_rows();
    else if (side_by_side())
      by_spans();
    else if (dense_kept && !dense_reduced && reduced_.count > 1)
      by_columns();
    else
      by_runs();
  }

 private:
  const char* input(int64_t offset) const {
    return static_cast<const char*>(p_.in) + offset * size_;
  }

  // partial: chunks x kept, joined in the order of the chunks.
  void join_chunks(const State* partial, int64_t chunks) const {
    parallel_for(0, kept_.count, 1 + kGrain / chunks, [&](int64_t begin, int64_t end) {
      State total[kJoined];
      for (int64_t k = begin; k < end; k += kJoined) {
        const int64_t n = end - k < kJoined ? end - k : kJoined;
        for (int64_t i = 0; i < n; ++i) total[i] = partial[k + i];
        for (int64_t c = 1; c < chunks; ++c) steps_.join(total, partial + c * kept_.count + k, n);
        write_results(p_, k, total, n, reduced_.count);
      }
    });
  }

  // ---- along the reduced dimensions

  void by_runs() const {
    const int64_t chunks = reduced_.count > 2 * kChunk ? (reduced_.count + kChunk - 1) / kChunk : 1;
    const int64_t length = chunks > 1 ? kChunk : reduced_.count;
    Scratch<State> partial(chunks > 1 ? chunks * kept_.count : 0);
    const int64_t grain = 1 + grain_of(kept_.count * reduced_.count) / (length + 4);
    parallel_for(0, kept_.count * chunks, grain, [&](int64_t begin, int64_t end) {
      constexpr int64_t most = 64;
      State results[most];
      Odometer kept(kept_, kept_.ndim, begin / chunks);
      int64_t k = begin / chunks, c = begin % chunks, written = k;
      for (int64_t task = begin; task < end; ++task) {
        const int64_t from = c * length;
        const int64_t to = from + length < reduced_.count ? from + length : reduced_.count;
        const State total = reduce_range(kept.offset(), from, to);
        if (chunks > 1)
          partial.get()[c * kept_.count + k] = total;
        else
          results[k - written] = total;
        if (++c < chunks) continue;
        c = 0;
        ++k;
        kept.step();
        if (chunks == 1 && (k - written == most || task + 1 == end)) {
          write_results(p_, written, results, k - written, reduced_.count);
          written = k;
        }
      }
    });
    if (chunks > 1) join_chunks(partial.get(), chunks);
  }

  // ---- along the spans of a row that lie side by side, as an image's channels do

  // Shorter spans than what is asked for ahead: each alone would ask for what lies elsewhere.
  bool side_by_side() const {
    return (p_.op == ReduceOp::Sum || p_.op == ReduceOp::Mean) && same_ && steps_.row_group &&
           reduced_.ndim == 2 && reduced_.strides[1] == 1 && kept_.ndim == 1 &&
           kept_.strides[0] == reduced_.shape[1] && reduced_.shape[1] >= 64 &&
           reduced_.shape[1] * size_ < kAhead;
  }

  // Some rows at a time in the order of the memory.
  void by_spans() const {
    const int64_t n = reduced_.shape[1], rows = reduced_.shape[0];
    const int64_t together = kept_.count < kSpans ? kept_.count : kSpans;
    const int64_t blocks = (kept_.count + kSpans - 1) / kSpans;
    const int64_t per_chunk = 1 + grain_of(kept_.count * reduced_.count) / (together * n);
    const int64_t chunks = (rows + per_chunk - 1) / per_chunk;
    Scratch<State> partial(chunks * kept_.count);
    parallel_for(0, chunks * blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        const int64_t c = task / blocks, first = task % blocks * kSpans;
        const int64_t spans = kept_.count - first < kSpans ? kept_.count - first : kSpans;
        const int64_t past = (c + 1) * per_chunk < rows ? (c + 1) * per_chunk : rows;
        State* acc = partial.get() + c * kept_.count + first;
        for (int64_t k = 0; k < spans; ++k) acc[k] = steps_.identity;
        for (int64_t r = c * per_chunk; r < past; ++r) {
          const C* x = reinterpret_cast<const C*>(input(r * reduced_.strides[0] + first * n));
          for (int64_t k = 0; k < spans; ++k) acc[k] = steps_.span(acc[k], x + k * n, n, kAhead);
        }
      }
    });
    join_chunks(partial.get(), chunks);
  }

  // ---- along rows that lie one after the other

  void by_row_groups() const {
    constexpr int lanes = kLanes<State>;
    constexpr int64_t block = 64;
    const int64_t n = reduced_.count, blocks = (kept_.count + block - 1) / block;
    const int64_t grain = 1 + grain_of(kept_.count * n) / (block * n);
    const C* past = reinterpret_cast<const C*>(input(kept_.count * n));
    parallel_for(0, blocks, grain, [&](int64_t begin, int64_t end) {
      alignas(64) State results[block];
      for (int64_t b = begin; b < end; ++b) {
        const int64_t first = b * block;
        const int64_t rows = kept_.count - first < block ? kept_.count - first : block;
        const C* x = reinterpret_cast<const C*>(input(first * n));
        int64_t r = 0;
        for (; r + lanes <= rows; r += lanes)
          steps_.row_group(x + r * n, n, x + (r + lanes) * n + lanes <= past, results + r);
        for (; r < rows; ++r) results[r] = steps_.span(steps_.identity, x + r * n, n, kAhead);
        write_results(p_, first, results, rows, n);
      }
    });
  }

  // Other types: short rows are transposed and go the way of columns.
  void by_short_rows() const {
    const int64_t n = reduced_.count, block = short_rows_of(n);
    const int64_t blocks = (kept_.count + block - 1) / block;
    const int64_t grain = 1 + grain_of(kept_.count * n) / (block * n);
    parallel_for(0, blocks, grain, [&](int64_t begin, int64_t end) {
      alignas(64) C raw[kShortElements + kLanes<C>], columns[kShortElements];
      alignas(64) State acc[kMostShortRows];
      for (int64_t b = begin; b < end; ++b) {
        const int64_t first = b * block;
        const int64_t rows = kept_.count - first < block ? kept_.count - first : block;
        const C* x = reinterpret_cast<const C*>(input(first * n));
        const C* past = reinterpret_cast<const C*>(input(kept_.count * n));
        if (!same_) {
          reader_(raw, input(first * n), 1, rows * n);
          x = raw;
          past = raw + kShortElements + kLanes<C>;
        }
        transpose_rows(x, past, rows, n, columns, block);
        for (int64_t r = 0; r < rows; ++r) acc[r] = steps_.identity;
        for (int64_t j = 0; j < n; j += 4) {
          const C* const four[4] = {columns + j * block, columns + (j + 1) * block,
                                    columns + (j + 2) * block, columns + (j + 3) * block};
          steps_.rows(acc, four, n - j < 4 ? static_cast<int>(n - j) : 4, rows);
        }
        write_results(p_, first, acc, rows, n);
      }
    });
  }

  // Elements of one task.
  static int64_t grain_of(int64_t elements) {
    const int64_t part = elements / 64;
    return part < kGrain ? kGrain : part < kLargeGrain ? part : kLargeGrain;
  }

  State reduce_range(int64_t base, int64_t from, int64_t to) const {
    State total = steps_.identity;
    if (from == to) return total;
    if (reduced_.ndim == 0) {
      C x;
      reader_(&x, input(base), 1, 1);
      return steps_.span(total, &x, 1, 0);
    }
    const int last = reduced_.ndim - 1;
    const int64_t inner = reduced_.shape[last], stride = reduced_.strides[last];
    if (last == 0 && stride == 1 && same_)
      return steps_.span(total, reinterpret_cast<const C*>(input(base + from)), to - from, kAhead);
    const bool direct = same_ && stride == 1 && inner >= 64;
    // A span shorter than the usual distance is followed by one that lies elsewhere.
    const bool jumps = last > 0 && inner * size_ < kAhead;
    const int64_t ahead = jumps ? reduced_.strides[last - 1] * size_ : kAhead;
    alignas(64) C buffer[kBuffer];
    int64_t filled = 0, i = from % inner;
    Odometer outer(reduced_, last, from / inner);
    for (int64_t left = to - from; left > 0; outer.step(), i = 0) {
      int64_t run = inner - i < left ? inner - i : left;
      left -= run;
      const char* x = input(base + outer.offset() + i * stride);
      if (direct) {
        total = steps_.span(total, reinterpret_cast<const C*>(x), run, ahead);
        continue;
      }
      while (run > 0) {
        const int64_t n = run < kBuffer - filled ? run : kBuffer - filled;
        reader_(buffer + filled, x, stride, n);
        x += n * stride * size_;
        run -= n;
        filled += n;
        if (filled == kBuffer) {
          total = steps_.span(total, buffer, filled, kAhead);
          filled = 0;
        }
      }
    }
    return filled ? steps_.span(total, buffer, filled, kAhead) : total;
  }

  // ---- across columns: the last kept dimension is dense, rows are the reduced elements

  void by_columns() const {
    const int last = kept_.ndim - 1;
    const int64_t width = kept_.shape[last], outer = kept_.count / width, rows = reduced_.count;
    const int64_t blocks = (width + kColumns - 1) / kColumns;
    const int64_t block = width < kColumns ? width : kColumns;
    const int64_t per_chunk = 4 * kChunk / block > 64 ? 4 * kChunk / block : 64;
    const int64_t chunks = rows > 2 * per_chunk ? (rows + per_chunk - 1) / per_chunk : 1;
    const int64_t length = chunks > 1 ? per_chunk : rows;
    Scratch<State> partial(chunks > 1 ? chunks * kept_.count : 0);
    const int64_t work = length * block, grain = work >= kGrain ? 1 : kGrain / work;
    parallel_for(0, outer * blocks * chunks, grain, [&](int64_t begin, int64_t end) {
      alignas(64) State acc[kColumns];
      for (int64_t task = begin; task < end; ++task) {
        const int64_t c = task % chunks, b = task / chunks % blocks, o = task / chunks / blocks;
        const int64_t j = b * kColumns, n = width - j < kColumns ? width - j : kColumns;
        const int64_t from = c * length, to = from + length < rows ? from + length : rows;
        reduce_block(Odometer(kept_, last, o).offset() + j, from, to, n, n == width, acc);
        const int64_t at = o * width + j;
        if (chunks > 1)
          for (int64_t i = 0; i < n; ++i) partial.get()[c * kept_.count + at + i] = acc[i];
        else
          write_results(p_, at, acc, n, rows);
      }
    });
    if (chunks > 1) join_chunks(partial.get(), chunks);
  }

  // Rows [from, to) of n columns. Narrow rows that lie one after the other are taken as fewer wide
  // ones.
  void reduce_block(int64_t base, int64_t from, int64_t to, int64_t n, bool whole,
                    State* acc) const {
    const bool adjacent = whole && reduced_.ndim == 1 && reduced_.strides[0] == n;
    const int64_t fold = adjacent && n <= kFolded / 2 ? kFolded / n : 1;
    const int64_t wide = fold * n;
    for (int64_t j = 0; j < wide; ++j) acc[j] = steps_.identity;
    const int64_t folded = fold > 1 ? (to - from) / fold : 0;
    if (folded) {
      accumulate(base, from, folded, wide, fold, acc);
      for (int64_t f = 1; f < fold; ++f) steps_.join(acc, acc + f * n, n);
      from += folded * fold;
    }
    accumulate(base, from, to - from, n, 1, acc);
  }

  // `count` rows of n columns; each is `step` reduced elements after the one before.
  void accumulate(int64_t base, int64_t from, int64_t count, int64_t n, int64_t step,
                  State* acc) const {
    alignas(64) C buffer[4][kBuffer];
    Odometer at(reduced_, reduced_.ndim, from);
    int64_t wide_offset = 0;
    for (int64_t r = 0; r < count;) {
      const char* lines[4];
      const C* rows[4];
      int group = 0;
      for (; group < 4 && r < count; ++group, ++r) {
        lines[group] = input(base + at.offset() + wide_offset);
        if (step > 1)
          wide_offset += n;
        else
          at.step();
      }
      const int64_t part = same_ ? n : kBuffer;
      for (int64_t j = 0; j < n; j += part) {
        const int64_t m = part < n - j ? part : n - j;
        for (int k = 0; k < group; ++k) {
          const char* x = lines[k] + j * size_;
          if (!same_) reader_(buffer[k], x, 1, m);
          rows[k] = same_ ? reinterpret_cast<const C*>(x) : buffer[k];
        }
        steps_.rough_rows(acc + j, rows, group, m);
      }
    }
  }

  const Reduce& p_;
  const Axes& kept_;
  const Axes& reduced_;
  const ReduceSteps<C, State>& steps_;
  Reader reader_;
  int64_t size_;
  bool same_;
};

template <ReduceOp op, class C>
void reduce_with(const Reduce& p, const Axes& kept, const Axes& reduced) {
  static constexpr auto steps = steps_of<op, C>();
  Job(p, kept, reduced, steps).run();
}

template <class C>
void reduce_as(const Reduce& p, const Axes& kept, const Axes& reduced) {
  switch (p.op) {
    case ReduceOp::Sum:
    case ReduceOp::Mean:
      return reduce_with<ReduceOp::Sum, C>(p, kept, reduced);
    case ReduceOp::Prod:
      return reduce_with<ReduceOp::Prod, C>(p, kept, reduced);
    case ReduceOp::Max:
      return reduce_with<ReduceOp::Max, C>(p, kept, reduced);
    case ReduceOp::Min:
      return reduce_with<ReduceOp::Min, C>(p, kept, reduced);
    case ReduceOp::All:
      return reduce_with<ReduceOp::All, C>(p, kept, reduced);
    case ReduceOp::Any:
      return reduce_with<ReduceOp::Any, C>(p, kept, reduced);
    case ReduceOp::SumSquares:
      return reduce_with<ReduceOp::SumSquares, C>(p, kept, reduced);
    case ReduceOp::SumAbs:
      return reduce_with<ReduceOp::SumAbs, C>(p, kept, reduced);
    case ReduceOp::CountNonzero:
      return reduce_with<ReduceOp::CountNonzero, C>(p, kept, reduced);
  }
}

}  // namespace

namespace GS_ISA {

void reduce(const Reduce& p) {
  const Axes kept = coalesce(p.kept_ndim, p.kept_shape, p.kept_strides, false);
  const Axes reduced = coalesce(p.reduced_ndim, p.reduced_shape, p.reduced_strides, true);
  if (kept.count == 0) return;
  const bool as_input = is_order(p.op) || is_logic(p.op);
  const DType by = as_input ? p.in_dtype : p.out_dtype;
  const bool wide =
      p.in_dtype == DType::Float64 || by == DType::Float64 || !is_floating(p.in_dtype);
  if (!is_floating(by))
    reduce_as<int64_t>(p, kept, reduced);
  else if (wide)
    reduce_as<double>(p, kept, reduced);
  else
    reduce_as<float>(p, kept, reduced);
}

}  // namespace GS_ISA
}  // namespace gs::cpu
