// Random numbers. Element i is a function of (seed, offset, i) alone: groups of Philox blocks are
// made whole and transformed whole, also at the end of the tensor, so that a value never depends on
// where work was cut.
#include <cmath>
#include <cstdint>

#include "core/parallel.h"
#include "cpu/isa.h"
#include "cpu/philox.h"
#include "cpu/vmath.h"
#include "kernels/params/random.h"

namespace gs::cpu {
namespace {

constexpr int64_t kGrain = 16 << 10;  // a multiple of every group

// Calls f(i, words, n) for groups of n elements that start at element i; an element takes
// `words_each` words. n is smaller in the last group alone.
template <int words_each, class F>
GS_INLINE void for_each_group(uint64_t seed, uint64_t offset, int64_t n, F&& f) {
  constexpr int64_t group = kPhiloxWords / words_each;
  static_assert(kGrain % group == 0);
  parallel_for(0, n, kGrain, [&](int64_t begin, int64_t end) {
    alignas(64) uint32_t words[kPhiloxWords];
    for (int64_t i = begin; i < end; i += group) {
      philox_blocks(seed, offset, static_cast<uint64_t>(i * words_each / 4), words);
      f(i, words, end - i < group ? end - i : group);
    }
  });
}

// ---------------------------------------------------------------- floating distributions

// Bits of a uniform number that its type can hold below 1.
template <class T>
inline constexpr int kUnitBits = 24;
template <>
inline constexpr int kUnitBits<Half> = 11;
template <>
inline constexpr int kUnitBits<BFloat16> = 8;

// [a, b): fma rounds once on every device. A value that rounds up to b becomes a.
template <class T>
void uniform(const Random& p) {
  T* const y = static_cast<T*>(p.y);
  const float low = static_cast<float>(p.a), width = static_cast<float>(p.b - p.a);
  const float high = static_cast<T>(static_cast<float>(p.b));
  constexpr float unit = 1.0f / static_cast<float>(1 << kUnitBits<T>);
  for_each_group<1>(p.seed, p.offset, p.n, [&](int64_t i, const uint32_t* words, int64_t n) {
    for (int64_t k = 0; k < n; ++k) {
      const float u =
          static_cast<float>(static_cast<int32_t>(words[k] >> (32 - kUnitBits<T>))) * unit;
      const T value = static_cast<T>(__builtin_fmaf(width, u, low));
      y[i + k] = static_cast<float>(value) < high ? value : static_cast<T>(low);
    }
  });
}

void uniform_double(const Random& p) {
  double* const y = static_cast<double*>(p.y);
  const double low = p.a, width = p.b - p.a, high = p.b;
  for_each_group<2>(p.seed, p.offset, p.n, [&](int64_t i, const uint32_t* words, int64_t n) {
    for (int64_t k = 0; k < n; ++k) {
      const double u = to_unit_double(words[2 * k], words[2 * k + 1]);
      const double value = __builtin_fma(width, u, low);
      y[i + k] = value < high ? value : low;
    }
  });
}

// Box-Muller: elements 2j and 2j + 1 are radius * cos and radius * sin.
template <class T>
void normal(const Random& p) {
  T* const y = static_cast<T*>(p.y);
  const float mean = static_cast<float>(p.a), deviation = static_cast<float>(p.b);
  for_each_group<1>(p.seed, p.offset, p.n, [&](int64_t i, const uint32_t* words, int64_t n) {
    constexpr int pairs = kPhiloxWords / 2;
    alignas(64) float radius[pairs], angle[pairs], cosine[pairs], sine[pairs];
    for (int j = 0; j < pairs; ++j) {  // the radius word goes to (0, 1]
      radius[j] = static_cast<float>(words[2 * j]) * 0x1p-32f + 0x1p-33f;
      angle[j] = to_unit_float(words[2 * j + 1]) * 6.28318531f;
    }
    for (int j = 0; j < pairs; j += kLanes<float>) {
      const Vec<float> r = vsqrt<float>(-2.0f * vlog(load(radius + j))) * deviation;
      const Vec<float> a = load(angle + j);
      store(cosine + j, r * vcos(a) + mean);
      store(sine + j, r * vsin(a) + mean);
    }
    float both[kPhiloxWords];
    for (int j = 0; j < pairs; ++j) {
      both[2 * j] = cosine[j];
      both[2 * j + 1] = sine[j];
    }
    for (int64_t k = 0; k < n; ++k) y[i + k] = static_cast<T>(both[k]);
  });
}

void normal_double(const Random& p) {
  double* const y = static_cast<double*>(p.y);
  for_each_group<2>(p.seed, p.offset, p.n, [&](int64_t i, const uint32_t* words, int64_t n) {
    for (int64_t k = 0; k < n; k += 2) {
      const uint32_t* w = words + 2 * k;
      const double r = p.b * std::sqrt(-2 * std::log(1 - to_unit_double(w[0], w[1])));
      const double a = to_unit_double(w[2], w[3]) * 6.283185307179586;
      y[i + k] = r * std::cos(a) + p.a;
      if (k + 1 < n) y[i + k + 1] = r * std::sin(a) + p.a;
    }
  });
}

// ---------------------------------------------------------------- discrete distributions

// Words below it come with probability p; 2^32 for p = 1.
GS_INLINE uint64_t threshold(double p) { return static_cast<uint64_t>(std::ceil(p * 0x1p32)); }

// One word an element, whatever the dtype.
template <class T>
void bernoulli(const Random& p) {
  T* const y = static_cast<T*>(p.y);
  const uint64_t below = threshold(p.a);
  const T one = static_cast<T>(static_cast<compute_t<T>>(1));
  const T zero = static_cast<T>(static_cast<compute_t<T>>(0));
  for_each_group<1>(p.seed, p.offset, p.n, [&](int64_t i, const uint32_t* words, int64_t n) {
    for (int64_t k = 0; k < n; ++k) y[i + k] = words[k] < below ? one : zero;
  });
}

// low + the upper half of word * range: a bias of 2^-64 * range, which nobody will see.
GS_INLINE uint64_t scaled(const uint32_t* words, uint64_t range) {
  const uint64_t word = static_cast<uint64_t>(words[0]) << 32 | words[1];
  __extension__ typedef unsigned __int128 Product;
  return static_cast<uint64_t>(static_cast<Product>(word) * range >> 64);
}

template <class T>
void integers(const Random& p) {
  T* const y = static_cast<T*>(p.y);
  const uint64_t low = static_cast<uint64_t>(p.low), range = static_cast<uint64_t>(p.high) - low;
  for_each_group<2>(p.seed, p.offset, p.n, [&](int64_t i, const uint32_t* words, int64_t n) {
    for (int64_t k = 0; k < n; ++k) {
      const auto value = static_cast<int64_t>(low + scaled(words + 2 * k, range));
      y[i + k] = static_cast<T>(static_cast<compute_t<T>>(value));
    }
  });
}

template <class T>
void drop(const Dropout& p) {
  using C = compute_t<T>;
  const T* const x = static_cast<const T*>(p.x);
  T* const y = static_cast<T*>(p.y);
  const uint64_t below = threshold(p.p);
  const C scale = static_cast<C>(p.p < 1 ? 1 / (1 - p.p) : 0);
  if (below > 0xffffffffu) {  // p = 1
    parallel_for(0, p.n, kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) y[i] = static_cast<T>(C(0));
    });
    return;
  }
  const auto least_kept = static_cast<uint32_t>(below);
  for_each_group<1>(p.seed, p.offset, p.n, [&](int64_t i, const uint32_t* words, int64_t n) {
    for (int64_t k = 0; k < n; ++k) {
      const C value = static_cast<C>(x[i + k]) * scale;
      y[i + k] = static_cast<T>(words[k] >= least_kept ? value : C(0));
    }
  });
}

}  // namespace

namespace GS_ISA {

void random(const Random& p) {
  switch (p.op) {
    case RandomOp::Uniform:
      return visit_floating(p.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        if constexpr (sizeof(T) == 8)
          uniform_double(p);
        else
          uniform<T>(p);
      });
    case RandomOp::Normal:
      return visit_floating(p.dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        if constexpr (sizeof(T) == 8)
          normal_double(p);
        else
          normal<T>(p);
      });
    case RandomOp::Bernoulli:
      return visit(p.dtype, [&](auto tag) { bernoulli<typename decltype(tag)::type>(p); });
    case RandomOp::Integers:
      return visit(p.dtype, [&](auto tag) { integers<typename decltype(tag)::type>(p); });
  }
}

// Fisher-Yates from the front: i goes to a random place among the first i + 1, and what stood there
// to i.
void random_permutation(const RandomPermutation& p) {
  alignas(64) uint32_t words[kPhiloxWords];
  constexpr int64_t group = kPhiloxWords / 2;
  for (int64_t i = 0; i < p.n; ++i) {
    if (i % group == 0) {
      philox_blocks(p.seed, p.offset, static_cast<uint64_t>(i / 2), words);
    }
    const auto j =
        static_cast<int64_t>(scaled(words + i % group * 2, static_cast<uint64_t>(i) + 1));
    p.y[i] = p.y[j];  // j may be i: then the next line sets it
    p.y[j] = i;
  }
}

void dropout(const Dropout& p) {
  visit_floating(p.dtype, [&](auto tag) { drop<typename decltype(tag)::type>(p); });
}

}  // namespace GS_ISA
}  // namespace gs::cpu
