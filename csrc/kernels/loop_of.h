// Building a Loop from tensors.
#pragma once

#include <initializer_list>

#include "core/tensor.h"
#include "kernels/loop.h"

namespace gs {

// operands[0] is the output; inputs are broadcast to its shape. Dimensions are sorted and
// coalesced.
Loop make_loop(std::initializer_list<const Tensor*> operands);

}  // namespace gs
