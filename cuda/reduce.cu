// Reductions over any dimensions. A block's threads are laid along the kept and the reduced axes as
// the strides ask (tile.cuh): 16 bytes at a time along dense memory of either kind. Where that
// makes too few blocks, the reduced axis is cut into chunks by shape alone, and a second stage
// joins the partial results in order.
#include "kernels/kernels.h"
#include "kernels/params/reduce.h"
#include "reduce_jobs.cuh"
#include "runtime/scratch.h"
#include "runtime/stream.h"
#include "strided_axes.cuh"
#include "tile.cuh"

namespace gs::cuda {
namespace {

constexpr int kInFlight = 4;  // loads that a thread has under way

enum class Finish : uint8_t { Store, Mean, AllOf, AnyOf };

// Results as they leave: converted to the dtype asked for.
struct Results {
  void* data = nullptr;
  int64_t element_size = 4, reduced = 0;  // reduced: elements of one result
  DType dtype = DType::Float32;
  Finish finish = Finish::Store;
  uint8_t unused[6] = {};  // kernels take no gaps
};

// outer x width kept elements (width is 1 unless threads run along the last kept axis), `length`
// reduced ones in each of `chunks`.
struct Plan {
  const void* in = nullptr;
  StridedAxes kept, reduced;
  int64_t outer = 1, width = 1, x_blocks = 1, chunks = 1, length = 0;
  Tile tile;
  int64_t packed = 0;  // along the reduced axis if that is dense, or along the kept one
  Results out;
};

template <class State>
GS_DEVICE void write_result(const Results& out, int64_t at, State v) {
  void* y = static_cast<char*>(out.data) + at * out.element_size;
  if (out.finish == Finish::Mean) {
    const double mean = static_cast<double>(v) / static_cast<double>(out.reduced);
    if (is_floating(out.dtype)) return store_floating(y, out.dtype, mean);
    return store_integer(y, out.dtype, out.reduced ? static_cast<int64_t>(mean) : 0);
  }
  if (out.finish == Finish::AllOf) return store_integer(y, out.dtype, v == State(out.reduced));
  if (out.finish == Finish::AnyOf) return store_integer(y, out.dtype, v != 0);
  if (is_floating(out.dtype)) return store_floating(y, out.dtype, v);
  store_integer(y, out.dtype, out.dtype == DType::Bool ? v != 0 : static_cast<int64_t>(v));
}

// ---------------------------------------------------------------- one thread's share

template <class Job>
GS_DEVICE typename Job::State pack_total(const Job& job, const void* in, int64_t i) {
  typename Job::Near near[Job::kPack];
  job.pack_at(in, i, near);
  GS_UNROLL for (int half = Job::kPack / 2; half > 0; half /= 2)
      GS_UNROLL for (int k = 0; k < half; ++k) near[k] = job.join_near(near[k], near[k + half]);
  return job.widen(near[0]);
}

// Elements [from, to) of dense memory by `lanes` threads, whole packs between a head and a tail.
template <class Job>
GS_DEVICE typename Job::State along_dense(const Job& job, const void* in, int64_t from, int64_t to,
                                          int lane, int lanes) {
  constexpr int V = Job::kPack;
  using In = typename Job::In;
  const uintptr_t first = reinterpret_cast<uintptr_t>(static_cast<const In*>(in) + from);
  const int64_t past = static_cast<int64_t>(first % (V * sizeof(In)) / sizeof(In));
  const int64_t head = past ? V - past : 0;
  const int64_t body = from + (head < to - from ? head : to - from);
  const int64_t tail = body + (to - body) / V * V;
  typename Job::State total = job.identity();
  for (int64_t i = from + lane; i < body; i += lanes)
    total = job.join(total, job.widen(job.at(in, i)));
  constexpr int kPacks = V > 4 ? 2 : 4;
  const int64_t step = int64_t(lanes) * V;
  int64_t i = body + int64_t(lane) * V;
  for (; i + (kPacks - 1) * step < tail; i += kPacks * step) {
    typename Job::State part[kPacks];
    GS_UNROLL for (int k = 0; k < kPacks; ++k) part[k] = pack_total(job, in, i + k * step);
    GS_UNROLL for (int k = 1; k < kPacks; ++k) part[0] = job.join(part[0], part[k]);
    total = job.join(total, part[0]);
  }
  for (; i < tail; i += step) total = job.join(total, pack_total(job, in, i));
  for (i = tail + lane; i < to; i += lanes) total = job.join(total, job.widen(job.at(in, i)));
  return total;
}

// Every `lanes`-th reduced element from `from` on, for the kept element at `base`.
template <class Job>
GS_DEVICE typename Job::State along_strides(const Job& job, const void* in,
                                            const StridedAxes& reduced, int64_t base, int64_t from,
                                            int64_t to, int lanes) {
  typename Job::State total = job.identity();
  int64_t r = from;
  if constexpr (Job::kPack > 1) {
    if (reduced.ndim == 1) {
      const int64_t stride = reduced.strides[0];
      for (; r + (kInFlight - 1) * lanes < to; r += kInFlight * lanes) {
        typename Job::Near near[kInFlight];
        GS_UNROLL for (int k = 0; k < kInFlight; ++k) near[k] =
            job.at(in, base + (r + k * lanes) * stride);
        total = job.join(total, job.widen(job.join_near(job.join_near(near[0], near[1]),
                                                        job.join_near(near[2], near[3]))));
      }
    }
  }
  GS_KEEP_LOOP for (; r < to; r += lanes) total =
      job.join(total, job.widen(job.at(in, base + offset_of(reduced, r))));
  return total;
}

template <class Job>
GS_DEVICE typename Job::State along_rows(const Job& job, const Plan& p, int64_t base, int64_t from,
                                         int64_t to, int y) {
  if constexpr (Job::kPack > 1) {
    if (p.packed) return along_dense(job, p.in, base + from, base + to, y, p.tile.y());
  }
  return along_strides(job, p.in, p.reduced, base, from + y, to, p.tile.y());
}

// The same for a pack of kept elements that lie side by side.
template <class Job>
GS_DEVICE void across_columns(const Job& job, const void* in, const StridedAxes& reduced,
                              int64_t base, int64_t from, int64_t to, int lanes,
                              typename Job::State (&total)[Job::kPack]) {
  constexpr int V = Job::kPack, kRows = V > 4 ? 2 : 4;
  using Near = typename Job::Near;
  int64_t r = from;
  if (reduced.ndim == 1) {
    const int64_t stride = reduced.strides[0];
    for (; r + (kRows - 1) * lanes < to; r += kRows * lanes) {
      Near near[kRows][V];
      GS_UNROLL for (int k = 0; k < kRows; ++k)
          job.pack_at(in, base + (r + k * lanes) * stride, near[k]);
      GS_UNROLL for (int v = 0; v < V; ++v) {
        GS_UNROLL for (int k = 1; k < kRows; ++k) near[0][v] =
            job.join_near(near[0][v], near[k][v]);
        total[v] = job.join(total[v], job.widen(near[0][v]));
      }
    }
  }
  GS_KEEP_LOOP for (; r < to; r += lanes) {
    Near near[V];
    job.pack_at(in, base + offset_of(reduced, r), near);
    GS_UNROLL for (int v = 0; v < V; ++v) total[v] = job.join(total[v], job.widen(near[v]));
  }
}

// ---------------------------------------------------------------- the kernel

// partial: (kept, chunks) states for a second stage, or null.
template <class Job, bool across>
__global__ void __launch_bounds__(kTileThreads)
    reduce_kernel(const Job job, const __grid_constant__ Plan p, typename Job::State* partial) {
  using State = typename Job::State;
  constexpr int V = across ? Job::kPack : 1;
  const int thread = static_cast<int>(threadIdx.x), y = p.tile.y_of(thread);
  // Blocks are fewer than 2^31: divisions of 64 bits are slow.
  const unsigned chunks = static_cast<unsigned>(p.chunks), place = blockIdx.x / chunks;
  const unsigned x_blocks = static_cast<unsigned>(p.x_blocks);
  const int64_t chunk = blockIdx.x % chunks;
  const int64_t o = int64_t(place / x_blocks) * p.tile.z() + p.tile.z_of(thread);
  const int64_t j = (int64_t(place % x_blocks) * p.tile.x() + p.tile.x_of(thread)) * V;
  const bool active = o < p.outer && j < p.width;
  const int64_t at = o * p.width + j;

  State total[V];
  GS_UNROLL for (int v = 0; v < V; ++v) total[v] = job.identity();
  if (active) {
    const int64_t base = offset_of(p.kept, at);
    const int64_t from = chunk * p.length;
    const int64_t to = from + p.length < p.reduced.count ? from + p.length : p.reduced.count;
    if constexpr (across)
      across_columns(job, p.in, p.reduced, base, from + y, to, p.tile.y(), total);
    else
      total[0] = along_rows(job, p, base, from, to, y);
  }
  join_over_y(total, p.tile, [&](State a, State b) { return job.join(a, b); });
  if (!active || y != 0) return;
  GS_KEEP_LOOP for (int v = 0; v < V; ++v) {
    State result = total[0];
    GS_UNROLL for (int k = 1; k < V; ++k) if (k == v) result = total[k];
    result = job.result(result);
    if (partial)
      partial[(at + v) * p.chunks + chunk] = result;
    else
      write_result(p.out, at + v, result);
  }
}

// ---------------------------------------------------------------- choosing a plan

bool all_multiples(const StridedAxes& axes, int64_t dims, int64_t of) {
  for (int64_t d = 0; d < dims; ++d)
    if (axes.strides[d] % of) return false;
  return true;
}

// Threads run along the last kept axis, and over the reduced ones. Returns whether in packs.
bool plan_columns(Plan* p, int pack, int64_t element_size) {
  const StridedAxes& kept = p->kept;
  const int64_t last = kept.ndim - 1;
  const int64_t n = p->reduced.count;
  p->width = kept.shape[last];
  p->outer = kept.count / p->width;
  const bool across = pack > 1 && kept.strides[last] == 1 && p->width % pack == 0 &&
                      all_multiples(kept, last, pack) &&
                      all_multiples(p->reduced, p->reduced.ndim, pack) &&
                      is_aligned(p->in, static_cast<size_t>(pack * element_size));
  const int64_t columns = across ? p->width / pack : p->width;
  Tile& tile = p->tile;
  tile.x_bits = bits_for(columns, 5);
  tile.y_bits = bits_for(ceil_div(n, 2 * kInFlight), kTileBits - tile.x_bits);
  tile.x_bits = bits_for(columns, kTileBits - tile.y_bits);
  p->x_blocks = ceil_div(columns, tile.x());
  p->packed = across;
  return across;
}

// Threads run along the reduced axes.
void plan_rows(Plan* p, int pack) {
  p->outer = p->kept.count;
  p->packed = pack > 1 && p->reduced.ndim == 1 && p->reduced.strides[0] == 1;
  const int64_t items = p->packed ? p->reduced.count / pack : p->reduced.count;
  const bool block_each = items > 32 * 16 || (items > 64 && p->outer < kEnoughBlocks);
  p->tile.y_bits = bits_for(items, block_each ? kTileBits : 5);
}

// Cuts the reduced axis where there would be too few blocks; the number of blocks.
int64_t cut(Plan* p, int pack) {
  const int64_t n = p->reduced.count,
                a_step = (p->packed && p->width == 1 ? pack : 1) * p->tile.y();
  const int64_t blocks = ceil_div(p->outer, p->tile.z()) * p->x_blocks;
  const int64_t wanted = ceil_div(kEnoughBlocks, blocks), possible = n / (4 * kInFlight * a_step);
  const int64_t chunks = wanted < possible ? wanted : possible;
  p->length = chunks > 1 ? ceil_div(ceil_div(n, chunks), a_step) * a_step : n;
  p->chunks = chunks > 1 ? ceil_div(n, p->length) : 1;
  return blocks * p->chunks;
}

template <class Job>
void run(const Job& job, Plan p, int64_t element_size) {
  using State = typename Job::State;
  constexpr int V = Job::kPack;
  const int64_t kept_stride = p.kept.last_stride(), reduced_stride = p.reduced.last_stride();
  bool across = false;
  if (p.kept.ndim > 0 && p.reduced.count > 1 && kept_stride < reduced_stride && kept_stride != 0)
    across = plan_columns(&p, V, element_size);
  else
    plan_rows(&p, V);
  const int64_t blocks = cut(&p, V);
  Scratch<State> partial(p.chunks > 1 ? p.kept.count * p.chunks : 0);
  State* const to = p.chunks > 1 ? partial.data() : nullptr;
  const Config config{dim3(static_cast<unsigned>(blocks)), dim3(kTileThreads), 0, current_stream()};
  if constexpr (V > 1) {
    if (across)
      launch(config, reduce_kernel<Job, true>, job, p, to);
    else
      launch(config, reduce_kernel<Job, false>, job, p, to);
  } else {
    launch(config, reduce_kernel<Job, false>, job, p, to);
  }
  if (p.chunks == 1) return;
  Plan second;
  second.in = to;
  second.out = p.out;
  const int64_t shapes[2] = {p.kept.count, p.chunks}, strides[2] = {p.chunks, 1};
  second.kept = coalesce(1, shapes, strides, false);
  second.reduced = coalesce(1, shapes + 1, strides + 1, false);
  run(job.next(), second, static_cast<int64_t>(sizeof(State)));
}

// ---------------------------------------------------------------- choosing a job

template <class T>
using Word = std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>;

void sum(const Reduce& p, const Plan& plan) {
  const DType in = p.in_dtype;
  const bool squares = p.op == ReduceOp::SumSquares, floating = is_floating(in);
  const bool typed = p.op != ReduceOp::Prod && p.op != ReduceOp::SumAbs &&
                     floating == is_floating(p.out_dtype) &&
                     (floating ? in == DType::Float64 || p.out_dtype != DType::Float64 : !squares);
  const int64_t size = size_of(in);
  if (!typed) {
    if (is_floating(p.out_dtype)) return run(AnyJob<double>{size, p.op, in}, plan, size);
    return run(AnyJob<int64_t>{size, p.op, in}, plan, size);
  }
  visit(in, [&](auto tag) {
    using T = Word<typename decltype(tag)::type>;
    if constexpr (!std::is_integral_v<T>) {
      if (squares) return run(Total<T, true>{}, plan, size);
    }
    run(Total<T, false>{}, plan, size);
  });
}

void extreme(const Reduce& p, const Plan& plan) {
  visit(p.in_dtype, [&](auto tag) {
    using T = Word<typename decltype(tag)::type>;
    run(Largest<T>{p.op == ReduceOp::Min}, plan, size_of(p.in_dtype));
  });
}

template <class Bits>
void count(const Reduce& p, const Plan& plan) {
  constexpr Bits all = static_cast<Bits>(~Bits(0));
  run(Nonzeros<Bits>{is_floating(p.in_dtype) ? static_cast<Bits>(all >> 1) : all}, plan,
      sizeof(Bits));
}

}  // namespace

void reduce(const Reduce& p) {
  Plan plan;
  plan.in = p.in;
  plan.kept = coalesce(p.kept_ndim, p.kept_shape, p.kept_strides, false);
  plan.reduced = coalesce(p.reduced_ndim, p.reduced_shape, p.reduced_strides, true);
  if (plan.kept.count == 0) return;
  plan.out.data = p.out;
  plan.out.dtype = p.out_dtype;
  plan.out.element_size = size_of(p.out_dtype);
  plan.out.reduced = plan.reduced.count;
  if (p.op == ReduceOp::Mean) plan.out.finish = Finish::Mean;
  if (p.op == ReduceOp::All) plan.out.finish = Finish::AllOf;
  if (p.op == ReduceOp::Any) plan.out.finish = Finish::AnyOf;
  switch (p.op) {
    case ReduceOp::Max:
    case ReduceOp::Min:
      return extreme(p, plan);
    case ReduceOp::All:
    case ReduceOp::Any:
    case ReduceOp::CountNonzero:
      switch (size_of(p.in_dtype)) {
        case 1:
          return count<uint8_t>(p, plan);
        case 2:
          return count<uint16_t>(p, plan);
        case 4:
          return count<uint32_t>(p, plan);
        default:
          return count<uint64_t>(p, plan);
      }
    default:
      return sum(p, plan);
  }
}

}  // namespace gs::cuda
