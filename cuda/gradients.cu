// What is done to all gradients together: their norm, clipping, and taking the scale of mixed
// precision off them. What the host might ask for stays on the device.
#include <cmath>

#include "any_dtype.cuh"
#include "kernels/kernels.h"
#include "kernels/params/optimizer.h"
#include "reduce.cuh"
#include "runtime/scratch.h"
#include "tensor_list.cuh"

namespace gs::cuda {
namespace {

// ---------------------------------------------------------------- norms

struct Squares {
  GS_DEVICE static double of(double x) { return x * x; }
  static constexpr bool kLargest = false;
};
struct Sizes {
  GS_DEVICE static double of(double x) { return std::fabs(x); }
  static constexpr bool kLargest = false;
};
struct LargestSize {  // NaN wins, and stays
  GS_DEVICE static double of(double x) { return std::fabs(x); }
  static constexpr bool kLargest = true;
};

struct Join {
  bool largest;
  GS_DEVICE double operator()(double a, double b) const {
    if (!largest) return a + b;
    return b > a || b != b ? b : a;
  }
};

// One partial result a block; each is joined with those of the same place in the block's list.
template <class Norm>
__global__ void __launch_bounds__(kListThreads)
    norm_kernel(const __grid_constant__ TensorTable table, double* partial) {
  const Piece piece = piece_of(table, static_cast<int>(blockIdx.x));
  const Join join{Norm::kLargest};
  double mine = 0;
  in_dtype(piece.entry->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    each_element_of(piece, [&](int64_t i) {
      mine = join(mine, Norm::of(static_cast<double>(get<T>(piece.entry->grad, i))));
    });
  });
  mine = block_reduce<kListThreads>(mine, join, 0.0);
  if (threadIdx.x == 0) partial[blockIdx.x] = mine;
}

__global__ void __launch_bounds__(kListThreads)
    join_kernel(const double* partial, int64_t n, Join join, bool root, void* norm, DType dtype) {
  double mine = 0;
  for (int64_t i = threadIdx.x; i < n; i += kListThreads) mine = join(mine, partial[i]);
  mine = block_reduce<kListThreads>(mine, join, 0.0);
  if (threadIdx.x == 0) store_floating(norm, dtype, root ? std::sqrt(mine) : mine);
}

template <class Norm>
void norm_of_all(const GradNorm& p) {
  int64_t blocks = 0;
  for (int64_t t = 0; t < p.count; ++t) blocks += ceil_div(p.tensors[t].n, kPiece);
  const Scratch<double> partial(blocks);
  int64_t done = 0;
  in_tables(
      p.tensors, p.count, [](const OptimizerTensor&, ListEntry&) {},
      [&](const TensorTable& table) {
        launch({dim3(static_cast<unsigned>(table.blocks)), dim3(kListThreads), 0, current_stream()},
               norm_kernel<Norm>, table, partial.data() + done);
        done += table.blocks;
      });
  launch({dim3(1), dim3(kListThreads), 0, current_stream()}, join_kernel, partial.data(), blocks,
         Join{Norm::kLargest}, p.p == 2, p.norm, p.dtype);
}

// ---------------------------------------------------------------- factors

// What all elements are to be multiplied by; 1: they stay.
struct Clip {
  double factor;
  const void* norm;  // null: the factor itself
  DType norm_dtype;
  GS_DEVICE double value() const {
    if (!norm) return factor;
    const double clipped = factor / (load_floating(norm, norm_dtype) + 1e-6);
    return clipped >= 1 ? 1.0 : clipped;
  }
};

__global__ void __launch_bounds__(kListThreads)
    scale_kernel(const Clip clip, const __grid_constant__ TensorTable table) {
  const double factor = clip.value();
  if (factor == 1) return;
  const Piece piece = piece_of(table, static_cast<int>(blockIdx.x));
  in_dtype(piece.entry->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    each_element_of(piece, [&](int64_t i) {
      put<T>(piece.entry->parameter, i, get<T>(piece.entry->parameter, i) * compute_t<T>(factor));
    });
  });
}

__global__ void __launch_bounds__(kListThreads)
    unscale_kernel(const __grid_constant__ TensorTable table, const float* scale,
                   float* found_inf) {
  const float factor = static_cast<float>(1 / static_cast<double>(*scale));
  const Piece piece = piece_of(table, static_cast<int>(blockIdx.x));
  bool found = false;
  in_dtype(piece.entry->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    each_element_of(piece, [&](int64_t i) {
      const compute_t<T> g = get<T>(piece.entry->parameter, i);
      found = found || !(g - g == 0);
      put<T>(piece.entry->parameter, i, g * compute_t<T>(factor));
    });
  });
  // Whoever writes writes the same: the order does not matter.
  if (found) atomicExch(found_inf, 1.0f);
}

__global__ void update_scale_kernel(const UpdateScale p) {
  if (*p.found_inf != 0) {
    *p.scale = static_cast<float>(*p.scale * p.backoff);
    *p.streak = 0;
  } else if (++*p.streak >= p.interval) {
    const auto grown = static_cast<float>(*p.scale * p.growth);
    if (grown - grown == 0) *p.scale = grown;
    *p.streak = 0;
  }
}

}  // namespace

void grad_norm(const GradNorm& p) {
  if (p.p == 2) return norm_of_all<Squares>(p);
  if (p.p == 1) return norm_of_all<Sizes>(p);
  norm_of_all<LargestSize>(p);
}

void scale_all(const ScaleAll& p) {
  const Clip clip{p.factor, p.norm, p.norm_dtype};
  in_tables(
      p.tensors, p.count, [](const OptimizerTensor&, ListEntry&) {},
      [&](const TensorTable& table) {
        launch({dim3(static_cast<unsigned>(table.blocks)), dim3(kListThreads), 0, current_stream()},
               scale_kernel, clip, table);
      });
}

void unscale_all(const UnscaleAll& p) {
  in_tables(
      p.tensors, p.count, [](const OptimizerTensor&, ListEntry&) {},
      [&](const TensorTable& table) {
        launch({dim3(static_cast<unsigned>(table.blocks)), dim3(kListThreads), 0, current_stream()},
               unscale_kernel, table, p.scale, p.found_inf);
      });
}

void update_scale(const UpdateScale& p) {
  launch({dim3(1), dim3(1), 0, current_stream()}, update_scale_kernel, p);
}

}  // namespace gs::cuda
