// One layer of a recurrent network.
#pragma once

#include <vector>

#include "kernels/params/recurrent.h"
#include "ops/common.h"

namespace gs::ops {

struct RecurrentCell {
  CellKind kind;
  const char* name;
  int64_t gates;
  bool has_c() const { return kind == CellKind::Lstm; }
};

// The inputs of one layer and direction, in the order of its node.
enum RecurrentInput { kX, kH0, kC0, kWih, kWhh, kBih, kBhh, kInputs };

// One direction, or two whose outputs lie side by side in one (T, B, 2H) tensor: each with its
// inputs, x (T, B, I) first, all dense. Gives the output; the last states (B, H) of each direction
// are appended to h_n and, for the LSTM, c_n.
Tensor run_directions(const RecurrentCell& cell, const std::vector<Tensors>& directions,
                      Tensors* h_n, Tensors* c_n);

}  // namespace gs::ops
