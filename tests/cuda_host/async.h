// What runs beside the threads: cp.async groups, mbarriers, bulk tensor copies, wgmma groups. The
// wrappers in cuda/ptx/ call these in place of the instructions.
#pragma once

#include <cstdint>
#include <functional>

#include "language.h"

namespace cuda_host {

using Work = std::function<void()>;

// cp.async: the destination is poisoned now and written when the group is waited for.
void copy_async(void* shared, const void* global, unsigned bytes, unsigned valid);
void commit_copies();
void wait_copies(int pending);

// Runs at a moment of the scheduler's choice: a bulk copy by the tensor unit.
void run_some_time(Work work);

// A barrier in shared memory with a phase, expected arrivals and bytes to come.
void mbarrier_init(uint64_t* barrier, unsigned arrivals);
void mbarrier_arrive(uint64_t* barrier, unsigned arrivals, int64_t expected_bytes);
// Part of a bulk copy's work: tells the barrier that its bytes have come.
Work bytes_coming(uint64_t* barrier, unsigned bytes);
void mbarrier_wait(uint64_t* barrier, unsigned parity, const char* file, int line);

// wgmma: at once, or as late as the wait allows; the seed decides.
void issue_product(Work work);
void commit_products();
void wait_products(int pending);

}  // namespace cuda_host
