// A block for each row of counts, a few thousand of them at a time; a warp where rows are short.
#include "scan_counts.h"

#include "block_scan.cuh"
#include "runtime/stream.h"
#include "vec.cuh"

namespace gs::cuda {
namespace {

constexpr int kThreads = 512, kEach = 4;

__global__ void __launch_bounds__(kThreads)
    scan_counts_kernel(int64_t* counts, int64_t n, int64_t* totals) {
  int64_t* const row = counts + blockIdx.x * n;
  int64_t carry = 0;
  for (int64_t first = 0; first < n; first += kThreads * kEach) {
    const int64_t at = first + int64_t(threadIdx.x) * kEach;
    int64_t own[kEach], sum = 0, total;
    GS_UNROLL for (int k = 0; k < kEach; ++k) {
      own[k] = at + k < n ? row[at + k] : 0;
      sum += own[k];
    }
    int64_t before = carry + exclusive_scan<kThreads>(sum, Plus(), int64_t(0), &total);
    GS_UNROLL for (int k = 0; k < kEach; ++k) {
      if (at + k < n) row[at + k] = before;
      before += own[k];
    }
    carry += total;
  }
  if (totals && threadIdx.x == 0) totals[blockIdx.x] = carry;
}

// Short rows: a warp for each.
__global__ void __launch_bounds__(kThreads)
    scan_short_counts_kernel(int64_t* counts, int64_t rows, int64_t n, int64_t* totals) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int64_t r = int64_t(blockIdx.x) * (kThreads / 32) + threadIdx.x / 32;
  int64_t* const row = counts + r * n;
  int64_t carry = 0;
  for (int64_t first = 0; first < n; first += 32) {
    const int64_t at = first + lane;
    const bool active = r < rows && at < n;
    int64_t total;
    const int64_t own = active ? row[at] : 0;
    const int64_t before = exclusive_scan<32>(own, Plus(), int64_t(0), &total);
    if (active) row[at] = carry + before;
    carry += total;
  }
  if (totals && r < rows && lane == 0) totals[r] = carry;
}

}  // namespace

void scan_counts(int64_t* counts, int64_t rows, int64_t n, int64_t* totals) {
  if (rows == 0) return;
  if (n <= 128 && rows > 1)
    return launch({dim3(static_cast<unsigned>(ceil_div(rows, kThreads / 32))), dim3(kThreads), 0,
                   current_stream()},
                  scan_short_counts_kernel, counts, rows, n, totals);
  launch({dim3(static_cast<unsigned>(rows)), dim3(kThreads), 0, current_stream()},
         scan_counts_kernel, counts, n, totals);
}

}  // namespace gs::cuda
