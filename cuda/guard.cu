// Indices on the device. The host does not look at them: those that are out of range are replaced
// before they are used, and noted for IndexError.
#include "runtime/graph.h"
#include "runtime/stream.h"

namespace gs::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    guard_kernel(const int64_t* from, int64_t* to, int64_t n, int64_t low, int64_t high,
                 int64_t allowed, int64_t otherwise, bool wrap, unsigned long long site,
                 Fault* fault) {
  const int64_t threads = int64_t(gridDim.x) * kThreads;
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < n; i += threads) {
    int64_t v = from[i];
    if ((v < low || v >= high) && v != allowed) {
      if (atomicCAS(&fault->site, 0ull, site) == 0) fault->value = v;
      v = otherwise;
    }
    to[i] = wrap && v < 0 ? v + high : v;
  }
}

}  // namespace

void guard_indices(const IndexGuard& p) {
  if (p.count == 0) return;
  FaultSite at;
  if (capture() == Capture::Recording)
    at.site = current_graph()->fault_site(p, &at.fault);
  else
    at = fault_site(p.op, p.what, p.high);
  const int64_t blocks = (p.count + kThreads - 1) / kThreads;
  launch({dim3(static_cast<unsigned>(blocks < 1024 ? blocks : 1024)), dim3(kThreads), 0,
          current_stream()},
         guard_kernel, p.from, p.to, p.count, p.low, p.high, p.allowed, p.otherwise, p.wrap,
         at.site, at.fault);
}

}  // namespace gs::cuda
