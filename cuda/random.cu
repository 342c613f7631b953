// Random numbers: the stream of core/random.h, the same words for the same element as on the CPU.
// Uniform numbers, integers, Bernoulli draws and dropout masks have the same bits there; normal
// numbers differ by the last bits of logarithm and cosine.
#include <vector>

#include "any_dtype.cuh"
#include "core/random.h"
#include "kernels/kernels.h"
#include "kernels/params/random.h"
#include "runtime/graph.h"

namespace gs::cuda {
namespace {

constexpr int kThreads = 256;

// Words of one Philox block: four elements of one word each, or two of two words. `shift`, null
// unless a graph recorded it, is where a replay draws instead.
template <int WordsEach, class F>
__global__ void __launch_bounds__(kThreads)
    each_draw_kernel(F f, int64_t n, uint64_t seed, uint64_t offset, const RandomShift* shift) {
  if (shift) {
    seed = shift->seed;
    offset += shift->shift;
  }
  constexpr int kElements = 4 / WordsEach;
  const int64_t threads = int64_t(gridDim.x) * kThreads;
  for (int64_t block = int64_t(blockIdx.x) * kThreads + threadIdx.x; block * kElements < n;
       block += threads) {
    const Philox4 words = philox(seed, offset, static_cast<uint64_t>(block));
    const int64_t first = block * kElements;
    f(first, n - first < kElements ? static_cast<int>(n - first) : kElements, words.v);
  }
}

template <int WordsEach, class F>
void each_draw(int64_t n, uint64_t seed, uint64_t offset, F f) {
  if (n == 0) return;
  launch({loop_grid(n, 4 / WordsEach), dim3(kThreads), 0, current_stream()},
         each_draw_kernel<WordsEach, F>, f, n, seed, offset,
         capture() == Capture::Recording ? current_graph()->random_shift(seed, offset) : nullptr);
}

// ---------------------------------------------------------------- floating distributions

// Bits of a uniform number that its type can hold below 1.
template <class T>
constexpr int unit_bits() {
  return std::is_same_v<T, Half> ? 11 : std::is_same_v<T, BFloat16> ? 8 : 24;
}

// [a, b): one rounding on every device. A value that rounds up to b becomes a.
template <class T>
struct Uniform {
  T* y;
  float low, width, high;
  GS_DEVICE void operator()(int64_t i, int n, const uint32_t* words) const {
    constexpr int kBits = unit_bits<T>();
    for (int k = 0; k < n; ++k) {
      const float u = static_cast<float>(words[k] >> (32 - kBits)) / static_cast<float>(1 << kBits);
      const T value = T(std::fma(width, u, low));
      y[i + k] = static_cast<float>(value) < high ? value : T(low);
    }
  }
};
struct UniformDouble {
  double* y;
  double low, width, high;
  GS_DEVICE void operator()(int64_t i, int n, const uint32_t* words) const {
    for (int k = 0; k < n; ++k) {
      const double u = to_unit_double(words[2 * k], words[2 * k + 1]);
      const double value = std::fma(width, u, low);
      y[i + k] = value < high ? value : low;
    }
  }
};

// Box and Muller (1958): two elements from a radius and an angle.
template <class T>
struct Normal {
  T* y;
  float mean, deviation;
  GS_DEVICE void operator()(int64_t i, int n, const uint32_t* words) const {
    for (int k = 0; k < n; k += 2) {
      const float u = static_cast<float>(words[k]) * 0x1p-32f + 0x1p-33f;  // (0, 1]
      const float r = std::sqrt(-2.0f * std::log(u)) * deviation;
      const float angle = to_unit_float(words[k + 1]) * 6.28318531f;
      y[i + k] = T(r * std::cos(angle) + mean);
      if (k + 1 < n) y[i + k + 1] = T(r * std::sin(angle) + mean);
    }
  }
};
struct NormalDouble {
  double* y;
  double mean, deviation;
  GS_DEVICE void operator()(int64_t i, int n, const uint32_t* words) const {
    const double u = 1 - to_unit_double(words[0], words[1]);
    const double r = deviation * std::sqrt(-2 * std::log(u));
    const double angle = to_unit_double(words[2], words[3]) * 6.283185307179586;
    y[i] = r * std::cos(angle) + mean;
    if (n > 1) y[i + 1] = r * std::sin(angle) + mean;
  }
};

// ---------------------------------------------------------------- discrete distributions

// Words below it come with probability p; 2^32 for p = 1.
uint64_t threshold(double p) { return static_cast<uint64_t>(std::ceil(p * 0x1p32)); }

struct Draw {
  void* y;
  DType dtype;
  GS_DEVICE void put(int64_t i, int64_t value) const {
    void* at = static_cast<char*>(y) + i * size_of(dtype);
    if (is_floating(dtype))
      store_floating(at, dtype, value);
    else
      store_integer(at, dtype, dtype == DType::Bool ? value != 0 : value);
  }
};
struct DrawBernoulli : Draw {
  uint64_t below;
  GS_DEVICE void operator()(int64_t i, int n, const uint32_t* words) const {
    for (int k = 0; k < n; ++k) put(i + k, words[k] < below);
  }
};

// The upper half of word * range, in two products of 32 bits each.
GS_HOST_DEVICE uint64_t scaled(uint32_t high, uint32_t low, uint64_t range) {
  const uint64_t r1 = range >> 32, r0 = range & 0xffffffffu;
  const uint64_t low_r0 = low * r0, low_r1 = low * r1, high_r0 = high * r0, high_r1 = high * r1;
  const uint64_t middle = (low_r0 >> 32) + (low_r1 & 0xffffffffu) + (high_r0 & 0xffffffffu);
  return high_r1 + (low_r1 >> 32) + (high_r0 >> 32) + (middle >> 32);
}
struct DrawIntegers : Draw {
  uint64_t low, range;
  GS_DEVICE void operator()(int64_t i, int n, const uint32_t* words) const {
    for (int k = 0; k < n; ++k)
      put(i + k, static_cast<int64_t>(low + scaled(words[2 * k], words[2 * k + 1], range)));
  }
};

// ---------------------------------------------------------------- dropout

template <class T>
struct Drop {
  const T* x;
  T* y;
  uint64_t least_kept;
  compute_t<T> scale;
  GS_DEVICE void operator()(int64_t i, int n, const uint32_t* words) const {
    for (int k = 0; k < n; ++k)
      y[i + k] = words[k] >= least_kept ? T(widen(x[i + k]) * scale) : T(compute_t<T>(0));
  }
};

}  // namespace

void random(const Random& p) {
  const auto low = static_cast<float>(p.a), width = static_cast<float>(p.b - p.a);
  const auto mean = static_cast<float>(p.a), deviation = static_cast<float>(p.b);
  switch (p.op) {
    case RandomOp::Uniform:
      if (p.dtype == DType::Float64)
        return each_draw<2>(p.n, p.seed, p.offset,
                            UniformDouble{static_cast<double*>(p.y), p.a, p.b - p.a, p.b});
      return visit_floating(p.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        const float high = static_cast<float>(T(static_cast<float>(p.b)));
        each_draw<1>(p.n, p.seed, p.offset, Uniform<T>{static_cast<T*>(p.y), low, width, high});
      });
    case RandomOp::Normal:
      if (p.dtype == DType::Float64)
        return each_draw<2>(p.n, p.seed, p.offset,
                            NormalDouble{static_cast<double*>(p.y), p.a, p.b});
      return visit_floating(p.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        each_draw<1>(p.n, p.seed, p.offset, Normal<T>{static_cast<T*>(p.y), mean, deviation});
      });
    case RandomOp::Bernoulli:
      return each_draw<1>(p.n, p.seed, p.offset, DrawBernoulli{{p.y, p.dtype}, threshold(p.a)});
    case RandomOp::Integers: {
      const auto first = static_cast<uint64_t>(p.low);
      return each_draw<2>(
          p.n, p.seed, p.offset,
          DrawIntegers{{p.y, p.dtype}, first, static_cast<uint64_t>(p.high) - first});
    }
  }
}

// Every step depends on the one before: made on the host, then copied.
void random_permutation(const RandomPermutation& p) {
  if (p.n == 0) return;
  refuse_recording("randperm", "the order is drawn on the host. Draw it before, into a tensor.");
  std::vector<int64_t> order(static_cast<size_t>(p.n));
  for (int64_t i = 0; i < p.n; ++i) {
    const Philox4 block = philox(p.seed, p.offset, static_cast<uint64_t>(i / 2));
    const uint32_t* words = block.v + i % 2 * 2;
    const uint64_t j = scaled(words[0], words[1], static_cast<uint64_t>(i) + 1);
    order[static_cast<size_t>(i)] = order[j];
    order[j] = i;
  }
  const size_t bytes = order.size() * sizeof(int64_t);
  check(cudaMemcpyAsync(p.y, order.data(), bytes, cudaMemcpyHostToDevice, current_stream()),
        "randperm");
  synchronize(current_stream());
}

void dropout(const Dropout& p) {
  visit_floating(p.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = compute_t<T>;
    each_draw<1>(p.n, p.seed, p.offset,
                 Drop<T>{static_cast<const T*>(p.x), static_cast<T*>(p.y), threshold(p.p),
                         static_cast<C>(p.p < 1 ? 1 / (1 - p.p) : 0)});
  });
}

}  // namespace gs::cuda
