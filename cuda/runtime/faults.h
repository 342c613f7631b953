// What kernels find wrong. Nobody waits for it: a kernel notes the first fault in pinned memory,
// and whoever waits for the device next raises the error.
#pragma once

#include <cstdint>

namespace gs::cuda {

// site 0: none. Written by one thread, the first to change `site`.
struct Fault {
  unsigned long long site;
  int64_t value;
};

struct FaultSite {
  unsigned long long site;
  Fault* fault;
};

// For kernels that are not recorded, or whose fault does not end with a graph: `what` of `op` is
// out of range for `size`; null: a number that should be a probability is none. Both are literals.
FaultSite fault_site(const char* op, const char* what, int64_t size);

// Raises what kernels that are through have noted here.
void report_noted_fault();

}  // namespace gs::cuda
