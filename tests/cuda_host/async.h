// What runs beside the threads: cp.async groups and mbarriers; tensor_unit.h has what only Hopper
// has. The wrappers in cuda/ptx/ call these in place of the instructions.
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
void mbarrier_arrive(uint64_t* barrier, unsigned arrivals, int64_t expected_bytes, const char* file,
                     int line);
// For a bulk copy that begins now: the end of its work, which tells the barrier that bytes have
// come.
Work bytes_coming(uint64_t* barrier, unsigned bytes);
void mbarrier_wait(uint64_t* barrier, unsigned parity, const char* file, int line);

}  // namespace cuda_host
