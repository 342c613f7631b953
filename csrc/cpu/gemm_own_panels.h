// Packed panels of A and B that each of a few threads makes for itself.
//
// A panel that one core has packed is slow to read for a core without a common cache (packing the
// operands of a product of 512 took 80 us shared, and 15 us on cores with one, measured), and this
// memory stays with its thread from one product to the next. Results do not depend on who packs.
#pragma once

#include "core/parallel.h"
#include "cpu/gemm_blocks.h"
#include "cpu/scratch.h"

namespace gs::cpu {
namespace {

template <class C>
class OwnPanels {
 public:
  static constexpr int kMostThreads = 4;
  static constexpr int64_t kMostValues = int64_t{1} << 20;

  OwnPanels(int threads, int64_t a_size, int64_t b_size, int64_t row_blocks)
      : threads_(threads),
        a_size_(round_up(a_size, 64)),
        size_(threads ? a_size_ + round_up(b_size, 64) : 0),
        marks_(round_up(row_blocks + 1, 8) + 8),
        data_(threads * size_),
        packed_(threads * marks_) {
    for (int64_t i = 0; i < threads * marks_; ++i) packed_.get()[i] = -1;
  }
  bool used() const { return threads_ > 0; }
  // False for a thread that joined after the number of threads was raised.
  bool serves_this_thread() const { return thread_slot() < threads_; }
  C* a() const { return data_.get() + slot() * size_; }
  C* b() const { return a() + a_size_; }
  // True when this thread does not have `what` packed at place `i` yet: the caller then packs it.
  bool lacks(int64_t i, int64_t what) const {
    int64_t& packed = packed_.get()[slot() * marks_ + i];
    const bool lacking = packed != what;
    packed = what;
    return lacking;
  }

 private:
  int64_t slot() const { return thread_slot(); }

  int threads_;
  int64_t a_size_, size_, marks_;
  Scratch<C> data_;
  Scratch<int64_t> packed_;
};

}  // namespace
}  // namespace gs::cpu
