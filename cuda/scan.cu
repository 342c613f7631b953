// Running sums and products along the middle of (outer, n, inner), in double or int64. Long lanes
// are cut into pieces by shape alone: the pieces' totals come first, then each piece starts from
// those before it, joined in order.
#include "block_scan.cuh"
#include "kernels/kernels.h"
#include "kernels/params/reduce.h"
#include "runtime/scratch.h"
#include "runtime/stream.h"
#include "tile.cuh"
#include "wrapping.cuh"

namespace gs::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kEnoughThreads = int64_t(1) << 16, kMostPieces = 256;

// The call, as a kernel takes it: no gaps.
struct Lanes {
  const void* in;
  void* out;
  int64_t outer, n, inner;
  int32_t sum, reverse;
};

template <class State>
struct Step {  // integers wrap
  bool sum;
  GS_DEVICE State operator()(State a, State b) const {
    return sum ? wrapping_sum(a, b) : wrapping_product(a, b);
  }
  GS_DEVICE State identity() const { return sum ? 0 : 1; }
};

template <class T>
using State = std::conditional_t<std::is_integral_v<T>, int64_t, double>;

template <class T>
GS_DEVICE T narrow(State<T> v) {
  return T(static_cast<compute_t<T>>(v));
}

// How a lane of n is cut; totals (lanes, pieces) are null where it is not.
template <class T>
struct Pieces {
  int64_t count = 1, length = 0;
  State<T>* totals = nullptr;
};

// ---------------------------------------------------------------- rows: inner is 1

// Each thread takes 16 bytes of neighbours.
template <class T>
inline constexpr int kEach = kPackBytes / static_cast<int>(sizeof(T));

template <class T>
GS_DEVICE void load_some(const T* row, int64_t at, int64_t n, bool packed, State<T> none,
                         State<T> (&x)[kEach<T>]) {
  if (packed && at + kEach<T> <= n) {
    const Pack<T, kEach<T>> pack = load_pack<T, kEach<T>>(row + at);
    GS_UNROLL for (int k = 0; k < kEach<T>; ++k) x[k] = static_cast<State<T>>(pack.v[k]);
  } else {
    GS_UNROLL for (int k = 0; k < kEach<T>; ++k) x[k] =
        at + k < n ? static_cast<State<T>>(row[at + k]) : none;
  }
}
template <class T>
GS_DEVICE void store_some(T* row, int64_t at, int64_t n, bool packed,
                          const State<T> (&x)[kEach<T>]) {
  if (packed && at + kEach<T> <= n) {
    Pack<T, kEach<T>> pack;
    GS_UNROLL for (int k = 0; k < kEach<T>; ++k) pack.v[k] = narrow<T>(x[k]);
    store_pack<T, kEach<T>>(row + at, pack);
  } else {
    GS_UNROLL for (int k = 0; k < kEach<T>; ++k) if (at + k < n) row[at + k] = narrow<T>(x[k]);
  }
}

// The total of each piece: a block for each.
template <class T>
__global__ void __launch_bounds__(kThreads)
    row_totals_kernel(const Lanes p, const Pieces<T> pieces, bool packed) {
  constexpr int E = kEach<T>;
  const Step<State<T>> step{p.sum != 0};
  const int64_t piece = blockIdx.x % pieces.count, from = piece * pieces.length;
  const int64_t to = from + pieces.length < p.n ? from + pieces.length : p.n;
  const T* row = static_cast<const T*>(p.in) + blockIdx.x / pieces.count * p.n;
  State<T> total = step.identity();
  for (int64_t at = from + int64_t(threadIdx.x) * E; at < to; at += kThreads * E) {
    State<T> x[E];
    load_some(row, at, to, packed, step.identity(), x);
    GS_UNROLL for (int k = 0; k < E; ++k) total = step(total, x[k]);
  }
  total = block_reduce<kThreads>(total, step, step.identity());
  if (threadIdx.x == 0) pieces.totals[blockIdx.x] = total;
}

// What a row brings before one of its pieces.
template <class T>
GS_DEVICE State<T> before_piece(const Pieces<T>& pieces, int64_t row, int64_t piece, bool reverse,
                                const Step<State<T>>& step) {
  const State<T>* totals = pieces.totals + row * pieces.count;
  const int64_t own = static_cast<int64_t>(threadIdx.x);  // there are as many threads at least
  const bool earlier = reverse ? own > piece && own < pieces.count : own < piece;
  return block_reduce<kThreads>(earlier ? totals[own] : step.identity(), step, step.identity());
}
static_assert(kMostPieces <= kThreads);

// A block, or a warp, for each piece; a block for those of a row that is cut.
template <class T, int Threads>
__global__ void __launch_bounds__(kThreads)
    scan_rows_kernel(const Lanes p, const Pieces<T> pieces, bool packed) {
  constexpr int E = kEach<T>;
  constexpr int kTeams = kThreads / Threads;
  const Step<State<T>> step{p.sum != 0};
  const int member = static_cast<int>(threadIdx.x) % Threads;
  const int64_t task = int64_t(blockIdx.x) * kTeams + static_cast<int>(threadIdx.x) / Threads;
  const int64_t row = task / pieces.count, piece = task % pieces.count;
  const int64_t from = piece * pieces.length;
  // A team without a row goes the same way with no elements.
  int64_t to = from + pieces.length < p.n ? from + pieces.length : p.n;
  if (row >= p.outer) to = from;
  const T* in = static_cast<const T*>(p.in) + row * p.n;
  T* out = static_cast<T*>(p.out) + row * p.n;
  State<T> carry = step.identity();
  if (pieces.count > 1) carry = before_piece(pieces, row, piece, p.reverse != 0, step);
  const int64_t tiles = ceil_div(pieces.length, Threads * E);
  for (int64_t t = 0; t < tiles; ++t) {
    // Backwards the tiles, the threads and the elements of each change places.
    const int64_t tile = p.reverse ? tiles - 1 - t : t;
    const int64_t at = from + (tile * Threads + (p.reverse ? Threads - 1 - member : member)) * E;
    State<T> x[E], own = step.identity(), total;
    load_some(in, at, to, packed, step.identity(), x);
    if (p.reverse) {
      GS_UNROLL for (int k = E - 1; k >= 0; --k) x[k] = own = step(own, x[k]);
    } else {
      GS_UNROLL for (int k = 0; k < E; ++k) x[k] = own = step(own, x[k]);
    }
    const State<T> before =
        step(carry, exclusive_scan<Threads>(own, step, step.identity(), &total));
    GS_UNROLL for (int k = 0; k < E; ++k) x[k] = step(before, x[k]);
    store_some(out, at, to, packed, x);
    carry = step(carry, total);
  }
}

template <class T>
void scan_rows(const Lanes& p) {
  constexpr int64_t kTile = kThreads * kEach<T>;
  const bool packed =
      p.n % kEach<T> == 0 && is_aligned(p.in, kPackBytes) && is_aligned(p.out, kPackBytes);
  Pieces<T> pieces;
  pieces.length = p.n;
  const int64_t wanted = ceil_div(kEnoughBlocks, p.outer), possible = p.n / (2 * kTile);
  int64_t count = wanted < possible ? wanted : possible;
  count = count < kMostPieces ? count : kMostPieces;
  if (count > 1) {
    pieces.length = ceil_div(ceil_div(p.n, count), kTile) * kTile;
    pieces.count = ceil_div(p.n, pieces.length);
  }
  const int64_t tasks = p.outer * pieces.count;
  const Scratch<State<T>> totals(pieces.count > 1 ? tasks : 0);
  const auto config = [](int64_t blocks) {
    return Config{dim3(static_cast<unsigned>(blocks)), dim3(kThreads), 0, current_stream()};
  };
  if (pieces.count > 1) {
    pieces.totals = totals.data();
    launch(config(tasks), row_totals_kernel<T>, p, pieces, packed);
  }
  if (p.n <= 4 * 32 * kEach<T>)
    launch(config(ceil_div(tasks, kThreads / 32)), scan_rows_kernel<T, 32>, p, pieces, packed);
  else
    launch(config(tasks), scan_rows_kernel<T, kThreads>, p, pieces, packed);
}

// ---------------------------------------------------------------- columns: threads along inner

// A thread for each (outer, piece, inner). totals: (outer, piece, inner); `write`: the second pass.
template <class T, bool write>
__global__ void __launch_bounds__(kThreads)
    scan_columns_kernel(const Lanes p, const Pieces<T> pieces) {
  constexpr int kInFlight = 4;
  const Step<State<T>> step{p.sum != 0};
  const int64_t task = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (task >= p.outer * pieces.count * p.inner) return;
  const int64_t j = task % p.inner, rest = task / p.inner;
  const int64_t piece = rest % pieces.count, o = rest / pieces.count;
  const int64_t from = piece * pieces.length;
  const int64_t to = from + pieces.length < p.n ? from + pieces.length : p.n;
  State<T> total = step.identity();
  if constexpr (write) {
    const State<T>* totals = pieces.totals + o * pieces.count * p.inner + j;
    const int64_t earlier = p.reverse ? pieces.count - 1 - piece : piece;
    for (int64_t c = 0; c < earlier; ++c)
      total = step(total, totals[(p.reverse ? pieces.count - 1 - c : c) * p.inner]);
  }
  const int64_t first = (o * p.n + (p.reverse ? to - 1 : from)) * p.inner + j;
  const int64_t stride = p.reverse ? -p.inner : p.inner;
  const T* in = static_cast<const T*>(p.in) + first;
  T* out = static_cast<T*>(p.out) + first;
  for (int64_t i = 0; i < to - from; i += kInFlight) {
    T x[kInFlight];
    GS_UNROLL for (int k = 0; k < kInFlight; ++k) if (i + k < to - from) x[k] =
        in[(i + k) * stride];
    GS_UNROLL for (int k = 0; k < kInFlight; ++k) {
      if (i + k >= to - from) continue;
      total = step(total, static_cast<State<T>>(x[k]));
      if constexpr (write) out[(i + k) * stride] = narrow<T>(total);
    }
  }
  if constexpr (!write) pieces.totals[task] = total;
}

template <class T>
void scan_columns(const Lanes& p) {
  constexpr int64_t kLeast = 32;  // elements of a piece
  const int64_t columns = p.outer * p.inner;
  const int64_t wanted = ceil_div(kEnoughThreads, columns), possible = p.n / kLeast;
  int64_t count = wanted < possible ? wanted : possible;
  count = count < kMostPieces ? count : kMostPieces;
  Pieces<T> pieces;
  pieces.length = count > 1 ? ceil_div(p.n, count) : p.n;
  pieces.count = ceil_div(p.n, pieces.length);
  const Scratch<State<T>> totals(pieces.count > 1 ? columns * pieces.count : 0);
  const Config config{dim3(static_cast<unsigned>(ceil_div(columns * pieces.count, kThreads))),
                      dim3(kThreads), 0, current_stream()};
  pieces.totals = pieces.count > 1 ? totals.data() : nullptr;
  if (pieces.count > 1) launch(config, scan_columns_kernel<T, false>, p, pieces);
  launch(config, scan_columns_kernel<T, true>, p, pieces);
}

}  // namespace

void scan(const Scan& p) {
  if (p.outer * p.n * p.inner == 0) return;
  const Lanes lanes{p.in, p.out, p.outer, p.n, p.inner, p.op == ScanOp::Sum, p.reverse};
  visit(p.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (p.inner == 1)
      scan_rows<T>(lanes);
    else
      scan_columns<T>(lanes);
  });
}

}  // namespace gs::cuda
