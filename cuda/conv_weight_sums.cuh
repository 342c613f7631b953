// The weight gradient is summed over pixels in shares, so that there is work for every processor;
// the shares are then added up in order. A share of sums is laid out as dweight with dbias behind.
#pragma once

#include "kernels/params/conv.h"
#include "runtime/scratch.h"
#include "vec.cuh"

namespace gs::cuda {

inline int64_t weight_count(const ConvShape& s) { return s.o * (s.c / s.groups) * s.r * s.s; }

// How the pixels of all images are shared out.
struct PixelShares {
  int64_t count, pixels;  // of shares, and pixels in one
  // About `wanted` shares of a multiple of `unit` pixels.
  PixelShares(const ConvShape& s, int64_t wanted, int64_t unit) {
    const int64_t all = s.n * s.p * s.q, most = ceil_div(all, unit);
    const int64_t shares = wanted < 1 ? 1 : wanted < most ? wanted : most;
    pixels = ceil_div(ceil_div(all, shares), unit) * unit;
    count = ceil_div(all, pixels);
  }
};

// dweight and dbias (where not null) from `shares` shares.
template <class C>
void add_weight_shares(const Conv2dWeightGrad& p, const C* sums, int64_t shares);

}  // namespace gs::cuda
