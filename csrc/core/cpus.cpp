// How many CPUs this process may use: its affinity mask, and the quotas of its control groups.
#include <sched.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <thread>

#include "core/parallel.h"
#include "core/threads.h"

namespace gs {
namespace {

int cpus_of_affinity_mask() {
  cpu_set_t* mask = nullptr;
  int count = 0;
  // Grows until the kernel's mask fits.
  for (int cpus = 1024; cpus <= 65536 && count == 0; cpus *= 2) {
    mask = CPU_ALLOC(cpus);
    if (!mask) break;
    const size_t bytes = CPU_ALLOC_SIZE(cpus);
    if (sched_getaffinity(0, bytes, mask) == 0) count = CPU_COUNT_S(bytes, mask);
    CPU_FREE(mask);
  }
  return count > 0 ? count : std::max(1u, std::thread::hardware_concurrency());
}

// CPUs granted by one control group, 0 for no limit: "quota period" in cpu.max (v2), or two files
// (v1).
double cpus_of_group(const std::string& folder) {
  double quota = 0, period = 0;
  if (std::ifstream both(folder + "/cpu.max"); both >> quota >> period) {
    return period > 0 ? quota / period : 0;
  }
  std::ifstream(folder + "/cpu.cfs_quota_us") >> quota;
  std::ifstream(folder + "/cpu.cfs_period_us") >> period;
  return quota > 0 && period > 0 ? quota / period : 0;
}

// The smallest quota of this process's groups and of all above them.
double cpus_of_cgroups() {
  double least = 0;
  const auto note = [&](double cpus) {
    if (cpus > 0 && (least == 0 || cpus < least)) least = cpus;
  };
  std::ifstream groups("/proc/self/cgroup");  // lines "number:controllers:/path"
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = ',' + line.substr(first + 1, second - first - 1) + ',';
    const bool v2 = controllers == ",,";
    if (!v2 && controllers.find(",cpu,") == std::string::npos) continue;
    std::string path = line.substr(second + 1);
    for (;;) {
      if (path == "/") path.clear();
      if (v2) {
        note(cpus_of_group("/sys/fs/cgroup" + path));
      } else {
        note(cpus_of_group("/sys/fs/cgroup/cpu" + path));
        note(cpus_of_group("/sys/fs/cgroup/cpu,cpuacct" + path));
      }
      if (path.empty()) break;
      const size_t slash = path.rfind('/');
      path.resize(slash == std::string::npos ? 0 : slash);
    }
  }
  return least;
}

}  // namespace

int available_cpus() {
  const int cpus = cpus_of_affinity_mask();
  const double quota = cpus_of_cgroups();
  if (quota <= 0 || quota >= cpus) return cpus;
  const int whole = static_cast<int>(quota);
  return std::max(1, whole + (whole < quota ? 1 : 0));
}

void leave_cpu(int cpu) {
  cpu_set_t mask, others;
  if (sched_getcpu() != cpu || cpu < 0 || cpu >= CPU_SETSIZE) return;
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) return;  // more CPUs than the mask has bits
  others = mask;
  CPU_CLR(cpu, &others);
  if (CPU_COUNT(&others) == 0) return;
  if (sched_setaffinity(0, sizeof others, &others) == 0) sched_setaffinity(0, sizeof mask, &mask);
}

}  // namespace gs
