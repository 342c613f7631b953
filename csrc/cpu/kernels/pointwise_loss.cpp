// Losses of two tensors, element by element: the loss of each element or the total in one pass, and
// the gradients in another. Work is cut into chunks by shape alone; a chunk goes through buffers in
// the first-level cache where an operand is not a dense array of the compute type.
#include <cstring>

#include "core/parallel.h"
#include "cpu/isa.h"
#include "cpu/rows.h"
#include "cpu/vmath.h"
#include "kernels/loss_functors.h"
#include "kernels/params/pointwise_loss.h"

namespace gs::cpu {
namespace {

inline constexpr int64_t kSpan = 1024;         // elements in a buffer
inline constexpr int64_t kCheapChunk = 32768;  // elements worth a task
inline constexpr int64_t kChunk = 8192;        // the same where there are logarithms

int64_t chunk_of(LossOp op) {
  switch (op) {
    case LossOp::CrossEntropy:
    case LossOp::LogitsCrossEntropy:
    case LossOp::Divergence:
    case LossOp::LogDivergence:
      return kChunk;
    default:
      return kCheapChunk;
  }
}

// ---------------------------------------------------------------- the arithmetic

// n elements, n a multiple of the lanes. Operands that a function does not use may be anything.
template <class C>
struct Piece {
  const C *x, *t, *p, *g;
  C* y;
  int64_t n;
  C a;
};

template <class L, class C>
[[gnu::noinline]] void value_body(const Piece<C>& s) {
  const Vec<C> a = splat(s.a);
  for (int64_t i = 0; i < s.n; i += kLanes<C>)
    store(s.y + i, L::template value<VecMath<C>>(load(s.x + i), load(s.t + i), load(s.p + i), a));
}

// Several sums in turn hide the latency of an addition; they are short, and go into a double.
template <class L, class C>
[[gnu::noinline]] double sum_body(const Piece<C>& s) {
  const Vec<C> a = splat(s.a);
  return sum_vectors<C>(s.n, [&](int64_t i, int) {
    prefetch_ahead<kLanes<C>>(s.x + i);
    prefetch_ahead<kLanes<C>>(s.t + i);
    return L::template value<VecMath<C>>(load(s.x + i), load(s.t + i), load(s.p + i), a);
  });
}

template <class L, class C>
[[gnu::noinline]] void input_body(const Piece<C>& s) {
  const Vec<C> a = splat(s.a);
  for (int64_t i = 0; i < s.n; i += kLanes<C>)
    store(s.y + i, load(s.g + i) * L::template by_input<VecMath<C>>(load(s.x + i), load(s.t + i),
                                                                    load(s.p + i), a));
}
template <class L, class C>
[[gnu::noinline]] void target_body(const Piece<C>& s) {
  const Vec<C> a = splat(s.a);
  for (int64_t i = 0; i < s.n; i += kLanes<C>)
    store(s.y + i, load(s.g + i) * L::template by_target<VecMath<C>>(load(s.x + i), load(s.t + i),
                                                                     load(s.p + i), a));
}

template <class C>
struct Bodies {
  void (*value)(const Piece<C>&);
  double (*sum)(const Piece<C>&);
  void (*by_input)(const Piece<C>&);
  void (*by_target)(const Piece<C>&);
};

template <class C>
Bodies<C> bodies_of(LossOp op) {
  switch (op) {
#define GS_CASE(name)                                                                            \
  case LossOp::name:                                                                             \
    return {value_body<losses::name, C>, sum_body<losses::name, C>, input_body<losses::name, C>, \
            target_body<losses::name, C>};
    GS_LOSSES(GS_CASE)
#undef GS_CASE
  }
  return {};
}

// Elements that do not fill a vector run through the same code on padded copies.
template <class C>
struct Tail {
  alignas(64) C memory[5][kLanes<C>] = {};
  Piece<C> piece;
  Tail(const Piece<C>& s, int64_t from) {
    const C* const sources[4] = {s.x, s.t, s.p, s.g};
    for (int k = 0; k < 4; ++k)
      if (sources[k]) std::memcpy(memory[k], sources[k] + from, (s.n - from) * sizeof(C));
    piece = {memory[0], memory[1], memory[2], memory[3], memory[4], kLanes<C>, s.a};
  }
};

template <class C>
void write(void (*body)(const Piece<C>&), Piece<C> s) {
  const int64_t whole = s.n / kLanes<C> * kLanes<C>, rest = s.n - whole;
  if (rest) {
    Tail<C> tail(s, whole);
    body(tail.piece);
    std::memcpy(s.y + whole, tail.memory[4], rest * sizeof(C));
  }
  s.n = whole;
  if (whole) body(s);
}

template <class C>
double sum(const Bodies<C>& bodies, Piece<C> s) {
  const int64_t whole = s.n / kLanes<C> * kLanes<C>;
  double total = 0;
  if (whole < s.n) {
    Tail<C> tail(s, whole);
    bodies.value(tail.piece);
    for (int64_t i = whole; i < s.n; ++i) total += static_cast<double>(tail.memory[4][i - whole]);
  }
  s.n = whole;
  return whole ? total + bodies.sum(s) : total;
}

// ---------------------------------------------------------------- reading

// A repeated operand, span by span.
template <class C>
class RepeatedSpans {
 public:
  RepeatedSpans(const Repeated& source, DType dtype, int64_t n, double scale = 1)
      : data_(source.data, dtype),
        period_(data_ ? source.period : 1),
        dense_(data_ && period_ == n && scale == 1),
        scale_(static_cast<C>(scale)) {
    if (period_ != 1) return;
    const int64_t filled = n < kSpan ? n : kSpan;
    const C value = data_ ? data_[0] * scale_ : scale_;
    for (int64_t i = 0; i < filled; ++i) buffer_[i] = value;
  }
  const C* at(int64_t from, int64_t count) {
    if (period_ == 1) return buffer_;
    if (dense_) return data_.span(from, count, buffer_);
    for (int64_t i = 0; i < count;) {
      const int64_t offset = (from + i) % period_, left = period_ - offset;
      const int64_t run = left < count - i ? left : count - i;
      const C* values = data_.span(offset, run, buffer_ + i);
      for (int64_t k = 0; k < run; ++k) buffer_[i + k] = values[k] * scale_;
      i += run;
    }
    return buffer_;
  }

 private:
  Source<C> data_;
  int64_t period_;
  bool dense_;
  C scale_;
  alignas(64) C buffer_[kSpan];
};

template <class C>
bool within_unit(const C* x, int64_t n) {
  VecInt<C> outside{};
  each_vector<C>(n, [&](int64_t i, int count) {
    const Vec<C> v = load_part(x + i, count);
    outside |= ~((v >= C(0)) & (v <= C(1)));
  });
  return !any_lane(outside);
}

template <class C>
void multiply(C* y, const C* by, int64_t n) {
  each_vector<C>(n, [=](int64_t i, int count) {
    store_part(y + i, load_part(y + i, count) * load_part(by + i, count), count);
  });
}

// The pieces of [begin, end): f(piece, at), with y not set. `direct`: nothing else of the caller
// needs buffers, so that one piece can be all of it.
template <class C, class F>
void each_piece(const LossInputs& in, int64_t begin, int64_t end, bool direct, F f) {
  alignas(64) C x_buffer[kSpan], t_buffer[kSpan];
  const bool with_positive = in.op == LossOp::LogitsCrossEntropy;
  RepeatedSpans<C> positive(with_positive ? in.positive : Repeated{}, in.dtype,
                            with_positive ? in.n : 0);
  const Source<C> x(in.x, in.dtype), t(in.target, in.dtype);
  const bool whole = direct && !with_positive && !x.converts();
  for (int64_t at = begin, n; at < end; at += n) {
    n = whole || end - at < kSpan ? end - at : kSpan;
    const C* xs = x.span(at, n, x_buffer);
    f(Piece<C>{xs, t.span(at, n, t_buffer), with_positive ? positive.at(at, n) : xs, xs, nullptr, n,
               static_cast<C>(in.a)},
      at);
  }
}

// ---------------------------------------------------------------- values and totals

template <class C>
class Values {
 public:
  explicit Values(const PointwiseLoss& p) : p_(p), bodies_(bodies_of<C>(p.in.op)) {}

  // The loss of [begin, end) is written, or its sum returned.
  double operator()(int64_t begin, int64_t end) const {
    RepeatedSpans<C> weight(p_.in.weight, p_.in.dtype, weighted() ? p_.in.n : 0);
    const Sink<C> y(p_.y, p_.in.dtype);
    alignas(64) C buffer[kSpan];
    double total = 0;
    const bool direct = !weighted() && (!y || !y.converts());
    each_piece<C>(p_.in, begin, end, direct, [&](Piece<C> s, int64_t at) {
      if (p_.outside && !within_unit(s.x, s.n))
        __atomic_store_n(p_.outside, true, __ATOMIC_RELAXED);
      if (!p_.y && !weighted()) {
        total += sum(bodies_, s);
        return;
      }
      s.y = y ? y.target(at, buffer) : buffer;
      write(bodies_.value, s);
      if (weighted()) multiply(s.y, weight.at(at, s.n), s.n);
      if (y)
        y.finish(at, s.y, s.n);
      else
        total += sum_vectors<C>(s.n, [&](int64_t i, int n) { return load_part(s.y + i, n); });
    });
    return total;
  }

 private:
  bool weighted() const { return p_.in.weight.data != nullptr; }

  const PointwiseLoss& p_;
  Bodies<C> bodies_;
};

template <class C>
void loss_as(const PointwiseLoss& p) {
  const Values<C> values(p);
  const int64_t n = p.in.n, chunk = chunk_of(p.in.op), chunks = (n + chunk - 1) / chunk;
  double total = 0;
  if (p.y || chunks <= 1) {
    parallel_for(0, n, chunk, [&](int64_t begin, int64_t end) {
      const double sum = values(begin, end);
      if (!p.y) total = sum;
    });
  } else {
    const Scratch<double> partial(chunks);
    parallel_for(0, chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c)
        partial.get()[c] = values(c * chunk, c + 1 < chunks ? (c + 1) * chunk : n);
    });
    for (int64_t c = 0; c < chunks; ++c) total += partial.get()[c];
  }
  if (!p.y) Sink<C>(p.total, p.in.dtype).set(0, static_cast<C>(total / p.divisor));
}

// ---------------------------------------------------------------- gradients

template <class C>
void grad_as(const PointwiseLossGrad& p) {
  const DType dtype = p.in.dtype;
  const Bodies<C> bodies = bodies_of<C>(p.in.op);
  const bool weighted = p.in.weight.data != nullptr;
  parallel_for(0, p.in.n, chunk_of(p.in.op), [&](int64_t begin, int64_t end) {
    RepeatedSpans<C> g(p.g, dtype, p.in.n, p.scale),
        weight(p.in.weight, dtype, weighted ? p.in.n : 0);
    alignas(64) C product[kSpan], buffer[kSpan];
    each_piece<C>(p.in, begin, end, false, [&](Piece<C> s, int64_t at) {
      s.g = g.at(at, s.n);
      if (weighted) {
        std::memcpy(product, s.g, s.n * sizeof(C));
        multiply(product, weight.at(at, s.n), s.n);
        s.g = product;
      }
      const auto run = [&](void (*body)(const Piece<C>&), void* out) {
        if (!out) return;
        const Sink<C> y(out, dtype);
        s.y = y.target(at, buffer);
        write(body, s);
        y.finish(at, s.y, s.n);
      };
      run(bodies.by_input, p.dx);
      run(bodies.by_target, p.dtarget);
    });
  });
}

}  // namespace

namespace GS_ISA {

void pointwise_loss(const PointwiseLoss& p) {
  visit_compute(p.in.dtype, [&](auto tag) { loss_as<typename decltype(tag)::type>(p); });
}

void pointwise_loss_grad(const PointwiseLossGrad& p) {
  visit_compute(p.in.dtype, [&](auto tag) { grad_as<typename decltype(tag)::type>(p); });
}

}  // namespace GS_ISA
}  // namespace gs::cpu
