// Random numbers from the Philox generator. An operation takes one offset of its stream; within it,
// element i has its own counter, so that the numbers do not depend on threads or device.
#include "core/random.h"
#include "kernels/params/random.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "ops/common.h"

namespace gs::ops {
namespace {

struct Stream {
  uint64_t seed, offset;
};

// -1 for both: the default generator, which moves on by one.
Stream stream_of(const char* op, int64_t seed, int64_t offset, Device device = {}) {
  if (seed == -1 && offset == -1) {
    Generator& generator = default_generator();
    const uint64_t own_seed = generator.seed();
    return {own_seed, generator.next()};
  }
  GS_CHECK(offset >= 0, Value, op, "expected an offset of 0 or more, got ", offset, ".");
  GS_CHECK(
      !is_recorded(device), Runtime, op,
      "cannot be part of a captured graph with a generator of its own, which replays would not "
      "advance. Use the default generator.");
  return {static_cast<uint64_t>(seed), static_cast<uint64_t>(offset)};
}

// Fills x with `kind` numbers drawn in `draw` and converted to x's dtype.
Tensor filled(const char* op, const Tensor& x, RandomOp kind, DType draw, int64_t seed,
              int64_t offset, double a, double b, int64_t low, int64_t high) {
  return autograd::in_place(op, x, [&](const Tensor& old, Tensor& out) {
    if (needs_grad(old)) {  // nothing of what was there is left
      record(op, out, inputs(old), [](Backward& b) -> Tensors { return {zeros_like(b.grad())}; });
    }
    const Stream stream = stream_of(op, seed, offset, out.device());
    if (out.numel() == 0) return;
    const bool direct = out.is_contiguous() && out.dtype() == draw;
    const Tensor dense = direct ? detached(out) : empty(out.shape(), draw, out.device());
    kernels::random(out.device(), {kind, dense.raw(), dense.numel(), draw, stream.seed,
                                   stream.offset, a, b, low, high});
    if (!direct) copy_into(out, dense);
  });
}

// The integers a dtype holds exactly, as [lowest, highest].
std::pair<int64_t, int64_t> integer_range(DType t) {
  switch (t) {
    case DType::Bool:
      return {0, 1};
    case DType::UInt8:
      return {0, 255};
    case DType::Int8:
      return {-128, 127};
    case DType::Int16:
      return {-32768, 32767};
    case DType::Int32:
      return {std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()};
    case DType::Float16:
      return {-2048, 2048};
    case DType::BFloat16:
      return {-256, 256};
    case DType::Float32:
      return {-(int64_t{1} << 24), int64_t{1} << 24};
    case DType::Float64:
      return {-(int64_t{1} << 53), int64_t{1} << 53};
    default:
      return {std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()};
  }
}

}  // namespace

Tensor uniform_(const Tensor& x, double low, double high, int64_t seed, int64_t offset) {
  check_floating("uniform_", x);
  GS_CHECK(low <= high && std::isfinite(high - low), Value, "uniform_",
           "expected finite low <= high, got ", low, " and ", high, ".");
  return filled("uniform_", x, RandomOp::Uniform, x.dtype(), seed, offset, low, high, 0, 0);
}

Tensor normal_(const Tensor& x, double mean, double std, int64_t seed, int64_t offset) {
  check_floating("normal_", x);
  GS_CHECK(std >= 0, Value, "normal_", "expected std of 0 or more, got ", std, ".");
  return filled("normal_", x, RandomOp::Normal, x.dtype(), seed, offset, mean, std, 0, 0);
}

Tensor bernoulli_(const Tensor& x, double p, int64_t seed, int64_t offset) {
  check_defined("bernoulli_", x, "input");
  GS_CHECK(p >= 0 && p <= 1, Value, "bernoulli_", "expected a probability p in [0, 1], got ", p,
           ".");
  const DType draw = is_floating(x.dtype()) ? x.dtype() : DType::Float32;
  return filled("bernoulli_", x, RandomOp::Bernoulli, draw, seed, offset, p, 0, 0, 0);
}

Tensor random_integers_(const Tensor& x, int64_t low, int64_t high, int64_t seed, int64_t offset) {
  const char* op = "random_integers_";
  check_defined(op, x, "input");
  GS_CHECK(low < high, Value, op, "expected low < high, got ", low, " and ", high, ".");
  GS_CHECK(low >= 0 || high <= std::numeric_limits<int64_t>::max() + low, Value, op,
           "the range from ", low, " to ", high, " is too large.");
  const auto [lowest, highest] = integer_range(x.dtype());
  GS_CHECK(low >= lowest && high - 1 <= highest, Value, op, "expected low and high - 1 in [",
           lowest, ", ", highest, "], which ", x.dtype(), " holds exactly, got ", low, " and ",
           high - 1, ".");
  return filled(op, x, RandomOp::Integers, DType::Int64, seed, offset, 0, 0, low, high);
}

// For draws that belong to one sample each and must not depend on which samples share its batch.
Tensor random_each_(const Tensor& x, int64_t low, int64_t high, int64_t seed, int64_t offset,
                    int64_t step) {
  constexpr const char* op = "random_each_";
  check_defined(op, x, "input");
  const bool uniform = x.dtype() == DType::Float32;
  GS_CHECK(uniform || x.dtype() == DType::Int64, Type, op,
           "expected a float32 or int64 tensor, got ", x.dtype(), ".");
  GS_CHECK(x.dim() == 1 && x.is_contiguous() && !needs_grad(x), Value, op,
           "expected a contiguous vector without history, got shape ", x.shape(), ".");
  GS_CHECK(uniform || low < high, Value, op, "expected low < high, got ", low, " and ", high, ".");
  GS_CHECK(offset >= 0 && step >= 0, Value, op, "expected offset and step of 0 or more, got ",
           offset, " and ", step, ".");
  stream_of(op, seed, offset, x.device());
  return autograd::in_place(op, x, [&](const Tensor&, Tensor& out) {
    char* to = static_cast<char*>(out.raw());
    for (int64_t i = 0; i < out.numel(); ++i) {
      kernels::random(
          out.device(),
          {uniform ? RandomOp::Uniform : RandomOp::Integers, to + i * size_of(out.dtype()), 1,
           out.dtype(), static_cast<uint64_t>(seed),
           static_cast<uint64_t>(offset) + static_cast<uint64_t>(i) * static_cast<uint64_t>(step),
           0, 1, low, high});
    }
  });
}

Tensor randperm(int64_t n, int64_t seed, int64_t offset) {
  GS_CHECK(n >= 0, Value, "randperm", "expected n of 0 or more, got ", n, ".");
  checked_numel({n}, "randperm");
  Tensor y = empty({n}, DType::Int64);
  const Stream stream = stream_of("randperm", seed, offset);
  if (n)
    kernels::random_permutation(y.device(), {y.data<int64_t>(), n, stream.seed, stream.offset});
  return y;
}

namespace {

// Number `counter` of the stream, in [0, 1).
double unit(const Stream& s, uint64_t counter) {
  const Philox4 block = philox(s.seed, s.offset, counter);
  return to_unit_double(block.v[0], block.v[1]);
}

// Each draw finds its place among the running sums.
void draw_with_replacement(const double* w, int64_t n, int64_t samples, int64_t row,
                           const Stream& stream, int64_t* out) {
  std::vector<double> sums(n);
  double sum = 0;
  int64_t last = 0;  // the last position that can be drawn: rounding never goes past it
  for (int64_t i = 0; i < n; ++i) {
    sums[i] = sum += w[i];
    if (w[i] > 0) last = i;
  }
  for (int64_t k = 0; k < samples; ++k) {
    const double at = unit(stream, static_cast<uint64_t>(row * samples + k)) * sum;
    const int64_t found = std::upper_bound(sums.begin(), sums.end(), at) - sums.begin();
    out[k] = std::min(found, last);
  }
}

// Exponential waiting times with rates w: the first to arrive are a draw without replacement
// (Efraimidis and Spirakis, 2006).
void draw_without_replacement(const double* w, int64_t n, int64_t samples, int64_t row,
                              const Stream& stream, int64_t* out) {
  std::vector<std::pair<double, int64_t>> arrivals;
  for (int64_t i = 0; i < n; ++i)
    if (w[i] > 0)
      arrivals.emplace_back(-std::log(1 - unit(stream, static_cast<uint64_t>(row * n + i))) / w[i],
                            i);
  std::partial_sort(arrivals.begin(), arrivals.begin() + samples, arrivals.end());
  for (int64_t k = 0; k < samples; ++k) out[k] = arrivals[k].second;
}

}  // namespace

Tensor multinomial(const Tensor& weights, int64_t num_samples, bool replacement, int64_t seed,
                   int64_t offset) {
  const char* op = "multinomial";
  check_floating(op, weights);
  GS_CHECK(weights.dim() == 1 || weights.dim() == 2, Value, op,
           "expected weights of shape (n,) or (rows, n), got ", weights.shape(), ".");
  GS_CHECK(num_samples >= 1, Value, op, "expected num_samples of 1 or more, got ", num_samples,
           ".");
  const int64_t n = weights.size(-1), rows = weights.dim() == 2 ? weights.size(0) : 1;
  GS_CHECK(replacement || num_samples <= n, Value, op, "expected num_samples of at most ", n,
           " without replacement, got ", num_samples, ".");
  const Tensor w = contiguous(cast(to_device(detached(weights), Device{}), DType::Float64));
  for (int64_t row = 0; row < rows; ++row) {
    const double* p = w.data<double>() + row * n;
    double sum = 0;
    int64_t positive = 0;
    for (int64_t i = 0; i < n; ++i) {
      GS_CHECK(p[i] >= 0 && std::isfinite(p[i]), Value, op,
               "expected weights that are finite and not negative, got ", p[i], ".");
      sum += p[i];
      positive += p[i] > 0;
    }
    GS_CHECK(sum > 0 && std::isfinite(sum), Value, op,
             "expected weights with a positive, finite sum, got ", sum, ".");
    GS_CHECK(replacement || num_samples <= positive, Value, op, "expected at least ", num_samples,
             " weights above 0 without replacement, got ", positive, ".");
  }
  Shape shape = weights.shape();
  shape.back() = num_samples;
  Tensor out = empty(shape, DType::Int64);
  const Stream stream = stream_of(op, seed, offset);
  const auto draw = replacement ? draw_with_replacement : draw_without_replacement;
  for (int64_t row = 0; row < rows; ++row)
    draw(w.data<double>() + row * n, n, num_samples, row, stream,
         out.data<int64_t>() + row * num_samples);
  return to_device(out, weights.device());
}

}  // namespace gs::ops
