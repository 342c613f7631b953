// Loops over all tensors of an optimizer. They are thought of as one long list that is cut every
// kGrain elements, so a hundred small tensors cost one loop and a large one uses all threads.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/parallel.h"
#include "cpu/scratch.h"
#include "cpu/vec.h"
#include "kernels/params/optimizer.h"

namespace gs::cpu {
namespace {

constexpr int64_t kGrain = 16 << 10;

// Calls f(chunk, tensor, begin, end) for the parts of each chunk.
template <class F>
GS_INLINE void for_each_part(const OptimizerTensor* tensors, int64_t count, F&& f) {
  if (count == 0) return;
  const Scratch<int64_t> starts(count + 1);
  int64_t total = 0;
  for (int64_t t = 0; t < count; ++t) {
    starts.get()[t] = total;
    total += tensors[t].n;
  }
  starts.get()[count] = total;
  parallel_for(0, total, kGrain, [&](int64_t begin, int64_t end) {
    int64_t t = 0, past = count;  // the last tensor that starts at or before begin
    while (past - t > 1) {
      const int64_t middle = (t + past) / 2;
      (starts.get()[middle] <= begin ? t : past) = middle;
    }
    for (int64_t at = begin; at < end; ++t) {
      const int64_t start = starts.get()[t], next = starts.get()[t + 1];
      const int64_t stop = next < end ? next : end;
      if (at < stop) f(begin / kGrain, tensors[t], at - start, stop - start);
      at = at < stop ? stop : at;
    }
  });
}

// Vectors of compute type at an element; `n` lanes take part. With n constant the branch is folded.
template <class T>
using Lanes = Vec<compute_t<T>>;
template <class T>
inline constexpr int kStep = kLanes<compute_t<T>>;

template <class T>
GS_INLINE Lanes<T> get_lanes(const T* p, int n) {
  if (n == kStep<T>) return load(p);
  T padded[kStep<T>];
  std::memset(static_cast<void*>(padded), 0, sizeof padded);
  std::memcpy(static_cast<void*>(padded), p, n * sizeof(T));
  return load(padded);
}
template <class T>
GS_INLINE void put_lanes(T* p, Lanes<T> v, int n) {
  if (n == kStep<T>) return store(p, v);
  T padded[kStep<T>];
  store(padded, v);
  std::memcpy(static_cast<void*>(p), padded, n * sizeof(T));
}

// step(i, n) over [begin, end) in whole vectors and one shorter one at the end.
template <class T, class Step>
GS_INLINE void walk(int64_t begin, int64_t end, Step step) {
  int64_t i = begin;
  for (; i + kStep<T> <= end; i += kStep<T>) step(i, kStep<T>);
  if (i < end) step(i, static_cast<int>(end - i));
}

}  // namespace
}  // namespace gs::cpu
