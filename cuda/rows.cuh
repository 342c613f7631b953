// Rows and the teams of threads that share them: a few lanes of a warp for the shortest rows, a
// warp, or a whole block. A row is read in pieces of 16 bytes that are aligned in memory wherever
// the row itself begins, so that rows of odd lengths lose nothing but their two ends.
#pragma once

#include <cmath>
#include <limits>

#include "ptx/memory.cuh"
#include "reduce.cuh"
#include "runtime/stream.h"
#include "vec.cuh"

namespace gs::cuda {

template <class T>
inline constexpr int kPackOf = kPackBytes / static_cast<int>(sizeof(T));

// Lanes threads to a row, each with up to Packs packs of it in registers.
template <int Lanes, int Packs>
struct TeamShape {
  static_assert(Lanes <= 32 || Lanes >= 128);
  static constexpr int kLanes = Lanes, kPacks = Packs;
  static constexpr int kBlock = Lanes > 128 ? Lanes : 128, kRows = kBlock / Lanes;
  // Blocks at once on a processor: so many registers are left to a thread that nothing is spilled.
  static constexpr int kAtOnce = kBlock > 512 ? 1 : 640 / kBlock;
  // The row of the calling thread, and its place in the team.
  static GS_DEVICE int64_t row() {
    return int64_t(blockIdx.x) * kRows + static_cast<int>(threadIdx.x) / Lanes;
  }
  static GS_DEVICE int lane() { return static_cast<int>(threadIdx.x) % Lanes; }
  static dim3 grid(int64_t rows) { return dim3(static_cast<unsigned>(ceil_div(rows, kRows))); }
};

// ---------------------------------------------------------------- reductions over a team

template <class Team, class T, class Op>
GS_DEVICE T team_reduce(T value, Op op, T identity) {
  if constexpr (Team::kLanes > 32) {
    return block_reduce<Team::kLanes>(value, op, identity);
  } else {
    GS_UNROLL for (int lanes = Team::kLanes / 2; lanes > 0; lanes /= 2) value =
        op(value, __shfl_xor_sync(kFullWarp, value, lanes));
    return value;
  }
}
template <class Team, class T>
GS_DEVICE T team_sum(T value) {
  return team_reduce<Team>(value, Plus{}, T(0));
}
struct LargerNumber {  // numbers win over NaN
  template <class T>
  GS_DEVICE T operator()(T a, T b) const {
    return std::fmax(a, b);
  }
};

// Joins states of several numbers. State::none() is neutral; a.join(b) makes a what a and b are
// together; a.of_lane(k) is the state of lane k. Joining may round differently the other way round:
// all take what the first lane got.
template <int Lanes, class State>
GS_DEVICE State lanes_join(State state) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  GS_UNROLL for (int lanes = Lanes / 2; lanes > 0; lanes /= 2)
      state.join(state.of_lane(lane ^ lanes));
  return state.of_lane(lane / Lanes * Lanes);
}
template <class Team, class State>
GS_DEVICE State team_join(State state) {
  if constexpr (Team::kLanes <= 32) {
    return lanes_join<Team::kLanes>(state);
  } else {
    constexpr int kWarps = Team::kLanes / 32;
    GS_SHARED(of_warp, State[kWarps]);
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    state = lanes_join<32>(state);
    if (lane == 0) of_warp[warp] = state;
    __syncthreads();
    state = lane < kWarps ? of_warp[lane] : State::none();
    __syncthreads();
    return lanes_join<32>(state);
  }
}

// ---------------------------------------------------------------- pieces of a row

// Elements [first, first + N) of a row of n; what lies outside the row is `filler`.
template <class T, class Index>
GS_DEVICE Pack<T, kPackOf<T>> load_part(const T* row, Index first, Index n, T filler) {
  constexpr int N = kPackOf<T>;
  const T* p = row + first;
  if (first >= 0 && first + N <= n && reinterpret_cast<uintptr_t>(p) % kPackBytes == 0)
    return load_pack<T, N>(p);
  Pack<T, N> part;
  GS_UNROLL for (int i = 0; i < N; ++i) part.v[i] = first + i >= 0 && first + i < n ? p[i] : filler;
  return part;
}
template <class T, class Index>
GS_DEVICE void store_part(T* row, Index first, Index n, const Pack<T, kPackOf<T>>& part) {
  constexpr int N = kPackOf<T>;
  T* p = row + first;
  if (first >= 0 && first + N <= n && reinterpret_cast<uintptr_t>(p) % kPackBytes == 0) {
    ptx::store_16(p, &part);
  } else {
    GS_UNROLL for (int i = 0; i < N; ++i) if (first + i >= 0 && first + i < n) p[i] = part.v[i];
  }
}

// How many elements before a row the 16 bytes begin in which it starts.
template <class T>
GS_HOST_DEVICE int shift_of(const T* row) {
  return static_cast<int>(reinterpret_cast<uintptr_t>(row) % kPackBytes / sizeof(T));
}

// What a thread takes of a row of n elements: pack k begins at element first(k).
template <class T, class Team, class Index = int>
struct RowCut {
  static constexpr int N = kPackOf<T>;
  Index start, n;
  GS_DEVICE RowCut(const T* row, Index length)
      : start(Team::lane() * N - shift_of(row)), n(length) {}
  GS_DEVICE Index first(int k) const { return start + k * Team::kLanes * N; }
  GS_DEVICE bool holds(Index element) const { return element >= 0 && element < n; }

  // f(k, first) for the packs that hold something of a row that is in registers.
  template <class F>
  GS_DEVICE void each_pack(F f) const {
    GS_UNROLL for (int k = 0; k < Team::kPacks; ++k) {
      const Index from = first(k);
      if (from < n) f(k, from);
    }
  }
  GS_DEVICE void load(const T* row, T filler, Pack<T, N> (&packs)[Team::kPacks]) const {
    each_pack([&](int k, Index from) { packs[k] = load_part(row, from, n, filler); });
  }
};

// f(pack, first element) for one thread's part of a row of any length, with several loads under
// way.
template <class Team, class T, class F>
GS_DEVICE void each_pack_of_row(const T* row, int64_t n, T filler, F f) {
  constexpr int N = kPackOf<T>, kTogether = Team::kPacks < 4 ? Team::kPacks : 4;
  const RowCut<T, Team, int64_t> cut(row, n);
  for (int64_t at = cut.start; at < n; at += int64_t(kTogether) * Team::kLanes * N) {
    Pack<T, N> packs[kTogether];
    GS_UNROLL for (int k = 0; k < kTogether; ++k) packs[k] =
        load_part(row, at + k * Team::kLanes * N, n, filler);
    GS_UNROLL for (int k = 0; k < kTogether; ++k) f(packs[k], at + k * Team::kLanes * N);
  }
}

// ---------------------------------------------------------------- choosing a team

// Packs of a row that a thread can hold beside its work. 16-bit elements stay widened in registers
// between the passes over a row, and functions of double need registers of their own.
template <class T>
inline constexpr int kRowPacks = sizeof(T) == sizeof(float) ? 8 : 4;

// The room a row needs: its elements and the worst shift any row of the operand can have.
template <class T>
int64_t room_for(const void* data, int64_t n) {
  constexpr int N = kPackOf<T>;
  return n + (n % N == 0 ? shift_of(static_cast<const T*>(data)) : N - 1);
}
// Calls f with the first of the teams whose registers hold `room` elements; false if none do.
template <class T, class... Teams, class F>
bool with_fitting_team(int64_t room, F f) {
  return (
      (room <= int64_t(Teams::kLanes) * Teams::kPacks * kPackOf<T> ? (f(Teams{}), true) : false) ||
      ...);
}

}  // namespace gs::cuda
