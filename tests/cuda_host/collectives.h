// Where the threads of a block or of a warp meet.
#pragma once

#include <cstring>
#include <type_traits>

#include "language.h"

namespace cuda_host {

inline constexpr unsigned kFullMask = 0xffffffffu;

// `threads` of the block (0: all) meet at barrier `id`. Returns how many of them came with
// `predicate`.
int meet_block(int id, int threads, bool predicate, const char* what, const char* file, int line);

// One meeting of the lanes of a warp: what each of them brought.
struct Meeting {
  static constexpr unsigned kBytes = 48;
  unsigned mask, arrived, to_leave;
  const char* what;
  const char* file;
  int line;
  alignas(16) unsigned char brought[32][kBytes];
};
// Waits until every lane of `mask` is here. `orders`: memory is ordered by it, as __syncwarp does
// and a shuffle does not.
Meeting* meet_warp(unsigned mask, const char* what, const void* bring, unsigned bytes, bool orders,
                   const char* file, int line);
void leave_meeting(Meeting* meeting);

template <class T>
T from_lane(unsigned mask, T value, int lane, const char* what, const char* file, int line) {
  static_assert(sizeof(T) <= Meeting::kBytes && std::is_trivially_copyable_v<T>);
  Meeting* meeting = meet_warp(mask, what, &value, sizeof(T), false, file, line);
  T result = value;
  if (lane >= 0 && lane < warpSize) {
    if (!(meeting->arrived >> lane & 1))
      fail("%s at %s:%d reads lane %d, which takes no part in it", what, file, line, lane);
    std::memcpy(&result, meeting->brought[lane], sizeof(T));
  }
  leave_meeting(meeting);
  return result;
}

}  // namespace cuda_host

inline void __syncthreads(GS_CALL_SITE) {
  cuda_host::meet_block(0, 0, false, "__syncthreads", file, line);
}
inline int __syncthreads_count(int predicate, GS_CALL_SITE) {
  return cuda_host::meet_block(0, 0, predicate != 0, "__syncthreads_count", file, line);
}
inline int __syncthreads_or(int predicate, GS_CALL_SITE) {
  return cuda_host::meet_block(0, 0, predicate != 0, "__syncthreads_or", file, line) != 0;
}
inline int __syncthreads_and(int predicate, GS_CALL_SITE) {
  return cuda_host::meet_block(0, 0, predicate == 0, "__syncthreads_and", file, line) == 0;
}
inline void __syncwarp(unsigned mask = cuda_host::kFullMask, GS_CALL_SITE) {
  using namespace cuda_host;
  leave_meeting(meet_warp(mask, "__syncwarp", nullptr, 0, true, file, line));
}

// A lane outside the segment of `width` lanes gives the caller's own value.
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, GS_CALL_SITE) {
  const int lane = static_cast<int>(cuda_host::current->lane);
  const int from = (lane & ~(width - 1)) | (source & (width - 1));
  return cuda_host::from_lane(mask, value, from, "__shfl_sync", file, line);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, GS_CALL_SITE) {
  const int lane = static_cast<int>(cuda_host::current->lane), from = lane ^ bits;
  return cuda_host::from_lane(mask, value, from / width > lane / width ? -1 : from,
                              "__shfl_xor_sync", file, line);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, GS_CALL_SITE) {
  const int lane = static_cast<int>(cuda_host::current->lane),
            from = lane + static_cast<int>(delta);
  return cuda_host::from_lane(mask, value, from / width != lane / width ? -1 : from,
                              "__shfl_down_sync", file, line);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, GS_CALL_SITE) {
  const int lane = static_cast<int>(cuda_host::current->lane),
            from = lane - static_cast<int>(delta);
  return cuda_host::from_lane(mask, value, from < (lane & ~(width - 1)) ? -1 : from,
                              "__shfl_up_sync", file, line);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, GS_CALL_SITE) {
  const unsigned char own = predicate != 0;
  cuda_host::Meeting* meeting =
      cuda_host::meet_warp(mask, "__ballot_sync", &own, sizeof own, false, file, line);
  unsigned votes = 0;
  for (unsigned lane = 0; lane < 32; ++lane)
    if ((meeting->arrived >> lane & 1) && meeting->brought[lane][0]) votes |= 1u << lane;
  cuda_host::leave_meeting(meeting);
  return votes;
}
inline int __any_sync(unsigned mask, int predicate, GS_CALL_SITE) {
  return __ballot_sync(mask, predicate, file, line) != 0;
}
inline int __all_sync(unsigned mask, int predicate, GS_CALL_SITE) {
  return __ballot_sync(mask, !predicate, file, line) == 0;
}
