// Joins the middle of (outer, n, inner): a thread takes every y-th element of its place, a block
// joins its threads, and where n is cut into chunks a second kernel joins those. A Job says of
// what:
//   Element, Part              of the input, and what is joined
//   in, outer, n, inner        the input and its shape
//   static none()              the Part of no elements
//   part_of(first, from, to, step)  the Part of the elements from, from + step, ... before `to` of
//                              the place whose first element is at `first`; neighbours are `inner`
//                              apart
//   static join(a, b)
//   store(o, j, part), store(at, part)  writes a result; at = o * inner + j
#pragma once

#include "runtime/scratch.h"
#include "runtime/stream.h"
#include "tile.cuh"

namespace gs::cuda {

// How the middle of (outer, n, inner) is worked off: x along inner, y along n, z along outer; n in
// chunks of `length` where there would be too few blocks.
struct MiddlePlan {
  Tile tile;
  int64_t x_blocks = 1, chunks = 1, length = 0;
  int64_t blocks(int64_t outer) const { return x_blocks * ceil_div(outer, tile.z()) * chunks; }
};

inline MiddlePlan plan_middle(int64_t outer, int64_t n, int64_t inner) {
  MiddlePlan plan;
  plan.tile.x_bits = bits_for(inner, 5);
  plan.tile.y_bits = bits_for(ceil_div(n, 8), kTileBits - plan.tile.x_bits);
  plan.tile.x_bits = bits_for(inner, kTileBits - plan.tile.y_bits);
  plan.x_blocks = ceil_div(inner, plan.tile.x());
  const int64_t wanted = ceil_div(kEnoughBlocks, plan.blocks(outer));
  const int64_t possible = n / (16 * plan.tile.y());
  const int64_t chunks = wanted < possible ? wanted : possible;
  plan.length = chunks > 1 ? ceil_div(n, chunks) : n;
  plan.chunks = chunks > 1 ? ceil_div(n, plan.length) : 1;
  return plan;
}

template <class Job>
struct JoinParts {
  using Part = typename Job::Part;
  GS_DEVICE Part operator()(const Part& a, const Part& b) const { return Job::join(a, b); }
};

// partial: (outer * inner, chunks), or null.
template <class Job>
__global__ void __launch_bounds__(kTileThreads)
    middle_kernel(const Job job, const MiddlePlan plan, typename Job::Part* partial) {
  const int thread = static_cast<int>(threadIdx.x);
  const unsigned chunks = static_cast<unsigned>(plan.chunks), place = blockIdx.x / chunks;
  const unsigned x_blocks = static_cast<unsigned>(plan.x_blocks);
  const int64_t chunk = blockIdx.x % chunks;
  const int64_t o = int64_t(place / x_blocks) * plan.tile.z() + plan.tile.z_of(thread);
  const int64_t j = int64_t(place % x_blocks) * plan.tile.x() + plan.tile.x_of(thread);
  const int y = plan.tile.y_of(thread);
  const bool active = o < job.outer && j < job.inner;
  typename Job::Part part[1] = {Job::none()};
  if (active) {
    const int64_t from = chunk * plan.length;
    const int64_t to = from + plan.length < job.n ? from + plan.length : job.n;
    const auto* const first =
        static_cast<const typename Job::Element*>(job.in) + o * job.n * job.inner + j;
    part[0] = job.part_of(first, from + y, to, plan.tile.y());
  }
  join_over_y(part, plan.tile, JoinParts<Job>());
  if (!active || y != 0) return;
  if (partial)
    partial[(o * job.inner + j) * plan.chunks + chunk] = part[0];
  else
    job.store(o, j, part[0]);
}

// A warp for each result.
template <class Job>
__global__ void __launch_bounds__(kTileThreads)
    middle_join_kernel(const Job job, int64_t chunks, const typename Job::Part* partial) {
  Tile tile;
  tile.y_bits = 5;
  const int thread = static_cast<int>(threadIdx.x), y = tile.y_of(thread);
  const int64_t at = int64_t(blockIdx.x) * tile.z() + tile.z_of(thread);
  const bool active = at < job.outer * job.inner;
  typename Job::Part part[1] = {Job::none()};
  for (int64_t c = y; active && c < chunks; c += tile.y())
    part[0] = Job::join(part[0], partial[at * chunks + c]);
  join_over_y(part, tile, JoinParts<Job>());
  if (active && y == 0) job.store(at, part[0]);
}

template <class Job>
void join_middle(const Job& job) {
  const int64_t results = job.outer * job.inner;
  const MiddlePlan plan = plan_middle(job.outer, job.n, job.inner);
  const Scratch<typename Job::Part> partial(plan.chunks > 1 ? results * plan.chunks : 0);
  const auto config = [](int64_t blocks) {
    return Config{dim3(static_cast<unsigned>(blocks)), dim3(kTileThreads), 0, current_stream()};
  };
  launch(config(plan.blocks(job.outer)), middle_kernel<Job>, job, plan,
         plan.chunks > 1 ? partial.data() : nullptr);
  if (plan.chunks > 1)
    launch(config(ceil_div(results, kTileThreads / 32)), middle_join_kernel<Job>, job, plan.chunks,
           partial.data());
}

}  // namespace gs::cuda
