// Optimizer steps: all parameters in one launch. The tensors' table travels by value with the
// launch; each block takes a piece of one tensor.
#include <cmath>
#include <limits>

#include "kernels/kernels.h"
#include "reduce.cuh"
#include "runtime/scratch.h"
#include "runtime/stream.h"
#include "vec.cuh"

namespace gs::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kPiece = 4096;    // elements of a block
constexpr int kTableTensors = 256;  // a table of 18 KB; kernels take up to 32 KB of parameters

struct Entry {
  void* parameter;
  const void* grad;
  void* state1;
  void* state2;
  void* state3;
  int64_t n;
  double a, b;  // what follows from the tensor's own step count
  DType dtype;
  int first_block;
};
struct Table {
  Entry entries[kTableTensors] = {};
  int count = 0, blocks = 0;
};

// The tensor and the elements [begin, end) of this block.
struct Piece {
  const Entry* entry;
  int64_t begin, end;
};
GS_DEVICE Piece piece_of(const Table& table, int block) {
  int low = 0, past = table.count;  // the last tensor that starts at or before this block
  while (past - low > 1) {
    const int middle = (low + past) / 2;
    (table.entries[middle].first_block <= block ? low : past) = middle;
  }
  const Entry& entry = table.entries[low];
  const int64_t begin = int64_t(block - entry.first_block) * kPiece;
  return {&entry, begin, begin + kPiece < entry.n ? begin + kPiece : entry.n};
}

template <class F>
GS_DEVICE void in_dtype(DType t, const F& f) {
  switch (t) {
    case DType::Float32:
      return f(Type<float>{});
    case DType::Float64:
      return f(Type<double>{});
    case DType::Float16:
      return f(Type<Half>{});
    default:
      return f(Type<BFloat16>{});
  }
}

// f(element) for this thread's elements of the piece.
template <class F>
GS_DEVICE void each_element_of(const Piece& piece, const F& f) {
  for (int64_t i = piece.begin + threadIdx.x; i < piece.end; i += kThreads) f(i);
}

template <class Step>
__global__ void __launch_bounds__(kThreads)
    step_kernel(const Step step, const __grid_constant__ Table table) {
  const Piece piece = piece_of(table, static_cast<int>(blockIdx.x));
  in_dtype(piece.entry->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    each_element_of(piece, [&](int64_t i) { step.template update<T>(*piece.entry, i); });
  });
}

// Calls run(table) for all tensors that have elements, a table at a time.
template <class Fill, class Run>
void in_tables(const OptimizerTensor* tensors, int64_t count, Fill fill, Run run) {
  Table table;
  for (int64_t t = 0; t < count; ++t) {
    const OptimizerTensor& from = tensors[t];
    if (from.n > 0) {
      Entry& entry = table.entries[table.count++];
      entry = {from.parameter, from.grad, from.state1, from.state2, from.state3,
               from.n,         0,         0,           from.dtype,  table.blocks};
      fill(from, entry);
      table.blocks += static_cast<int>(ceil_div(from.n, kPiece));
    }
    if (table.count == kTableTensors || (t + 1 == count && table.count > 0)) {
      run(table);
      table = {};
    }
  }
}

template <class Step, class Fill>
void run_step(const OptimizerTensor* tensors, int64_t count, const Step& step, Fill fill) {
  in_tables(tensors, count, fill, [&](const Table& table) {
    launch({dim3(static_cast<unsigned>(table.blocks)), dim3(kThreads), 0, current_stream()},
           step_kernel<Step>, step, table);
  });
}

template <class T>
GS_DEVICE compute_t<T> get(const void* p, int64_t i) {
  return widen(static_cast<const T*>(p)[i]);
}
template <class T>
GS_DEVICE void put(void* p, int64_t i, compute_t<T> v) {
  static_cast<T*>(p)[i] = T(v);
}

// a + w (b - a), from the nearer end.
template <class C>
GS_DEVICE C lerp(C a, C b, C w) {
  return w < C(0.5) ? a + w * (b - a) : b - (b - a) * (C(1) - w);
}

// ---------------------------------------------------------------- the rules

struct Sgd {  // entry.a: 1 on the first step of a momentum buffer
  double lr, momentum, fresh, decay, sign;
  bool nesterov;

  template <class T>
  GS_DEVICE void update(const Entry& e, int64_t i) const {
    using C = compute_t<T>;
    const C w = get<T>(e.parameter, i);
    C g = get<T>(e.grad, i) * C(sign);
    if (decay != 0) g = g + C(decay) * w;
    if (momentum != 0) {
      const C b = e.a == 1 ? g : get<T>(e.state1, i) * C(momentum) + C(fresh) * g;
      put<T>(e.state1, i, b);
      g = nesterov ? g + C(momentum) * b : b;
    }
    put<T>(e.parameter, i, w - C(lr) * g);
  }
};

struct Adam {  // entry.a: lr / (1 - beta1^t), entry.b: sqrt(1 - beta2^t)
  double w1, beta2, w2, eps, sign, shrink, decay;
  bool amsgrad;

  template <class T>
  GS_DEVICE void update(const Entry& e, int64_t i) const {
    using C = compute_t<T>;
    C w = get<T>(e.parameter, i) * C(shrink);
    C g = get<T>(e.grad, i) * C(sign);
    if (decay != 0) g = g + C(decay) * w;
    const C m = lerp(get<T>(e.state1, i), g, C(w1));
    C v = get<T>(e.state2, i) * C(beta2) + (C(w2) * g) * g;
    put<T>(e.state1, i, m);
    put<T>(e.state2, i, v);
    if (amsgrad) {
      const C before = get<T>(e.state3, i);
      v = before > v ? before : v;
      put<T>(e.state3, i, v);
    }
    put<T>(e.parameter, i, w - (C(e.a) * m) / (std::sqrt(v) / C(e.b) + C(eps)));
  }
};

struct Rmsprop {
  double lr, alpha, fresh, eps, decay, momentum, sign;
  bool centered;

  template <class T>
  GS_DEVICE void update(const Entry& e, int64_t i) const {
    using C = compute_t<T>;
    const C w = get<T>(e.parameter, i);
    C g = get<T>(e.grad, i) * C(sign);
    if (decay != 0) g = g + C(decay) * w;
    const C square = get<T>(e.state1, i) * C(alpha) + (C(fresh) * g) * g;
    put<T>(e.state1, i, square);
    C variance = square;
    if (centered) {
      const C mean = lerp(get<T>(e.state3, i), g, C(fresh));
      put<T>(e.state3, i, mean);
      variance = square - mean * mean;
    }
    const C root = std::sqrt(variance) + C(eps);
    if (momentum > 0) {
      const C b = get<T>(e.state2, i) * C(momentum) + g / root;
      put<T>(e.state2, i, b);
      put<T>(e.parameter, i, w - C(lr) * b);
    } else {
      put<T>(e.parameter, i, w - (C(lr) * g) / root);
    }
  }
};

struct Scale {
  double factor;
  template <class T>
  GS_DEVICE void update(const Entry& e, int64_t i) const {
    put<T>(e.parameter, i, get<T>(e.parameter, i) * compute_t<T>(factor));
  }
};

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
__global__ void __launch_bounds__(kThreads)
    norm_kernel(const __grid_constant__ Table table, double* partial) {
  const Piece piece = piece_of(table, static_cast<int>(blockIdx.x));
  const Join join{Norm::kLargest};
  double mine = 0;
  in_dtype(piece.entry->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    each_element_of(piece, [&](int64_t i) {
      mine = join(mine, Norm::of(static_cast<double>(get<T>(piece.entry->grad, i))));
    });
  });
  mine = block_reduce<kThreads>(mine, join, 0.0);
  if (threadIdx.x == 0) partial[blockIdx.x] = mine;
}

__global__ void __launch_bounds__(kThreads)
    join_kernel(const double* partial, int64_t n, Join join, double* result) {
  double mine = 0;
  for (int64_t i = threadIdx.x; i < n; i += kThreads) mine = join(mine, partial[i]);
  mine = block_reduce<kThreads>(mine, join, 0.0);
  if (threadIdx.x == 0) *result = mine;
}

template <class Norm>
void norm_of_all(const GradNorm& p) {
  int64_t blocks = 0;
  for (int64_t t = 0; t < p.count; ++t) blocks += ceil_div(p.tensors[t].n, kPiece);
  *p.result = 0;
  if (blocks == 0) return;
  const Scratch<double> partial(blocks + 1);
  int64_t done = 0;
  in_tables(
      p.tensors, p.count, [](const OptimizerTensor&, Entry&) {},
      [&](const Table& table) {
        launch({dim3(static_cast<unsigned>(table.blocks)), dim3(kThreads), 0, current_stream()},
               norm_kernel<Norm>, table, partial.data() + done);
        done += table.blocks;
      });
  double* const result = partial.data() + blocks;
  launch({dim3(1), dim3(kThreads), 0, current_stream()}, join_kernel, partial.data(), blocks,
         Join{Norm::kLargest}, result);
  check(cudaMemcpyAsync(p.result, result, sizeof(double), cudaMemcpyDeviceToHost, current_stream()),
        "grad_norm");
  synchronize(current_stream());
}

}  // namespace

void sgd_step(const SgdStep& p) {
  const Sgd rule{p.lr,      p.momentum, 1 - p.dampening, p.weight_decay, p.maximize ? -1.0 : 1.0,
                 p.nesterov};
  run_step(p.tensors, p.count, rule,
           [](const OptimizerTensor& from, Entry& to) { to.a = from.step; });
}

void adam_step(const AdamStep& p) {
  const Adam rule{1 - p.beta1,
                  p.beta2,
                  1 - p.beta2,
                  p.eps,
                  p.maximize ? -1.0 : 1.0,
                  p.decoupled ? 1 - p.lr * p.weight_decay : 1.0,
                  p.decoupled ? 0.0 : p.weight_decay,
                  p.amsgrad};
  run_step(p.tensors, p.count, rule, [&](const OptimizerTensor& from, Entry& to) {
    to.a = p.lr / (1 - std::pow(p.beta1, from.step));
    to.b = std::sqrt(1 - std::pow(p.beta2, from.step));
  });
}

void rmsprop_step(const RmspropStep& p) {
  const Rmsprop rule{
      p.lr,      p.alpha, 1 - p.alpha, p.eps, p.weight_decay, p.momentum, p.maximize ? -1.0 : 1.0,
      p.centered};
  run_step(p.tensors, p.count, rule, [](const OptimizerTensor&, Entry&) {});
}

void grad_norm(const GradNorm& p) {
  if (p.p == 2) return norm_of_all<Squares>(p);
  if (p.p == 1) return norm_of_all<Sizes>(p);
  norm_of_all<LargestSize>(p);
}

void scale_all(const ScaleAll& p) {
  run_step(p.tensors, p.count, Scale{p.factor}, [](const OptimizerTensor&, Entry&) {});
}

}  // namespace gs::cuda
