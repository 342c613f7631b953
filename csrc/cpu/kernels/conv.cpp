// Convolution and its two gradients, as matrix products over patches that are made while they are
// packed.
#include "kernels/params/conv.h"
#include "cpu/conv_channel_grad.h"
#include "cpu/conv_channel_sums.h"
#include "cpu/conv_depthwise_grad.h"
#include "cpu/conv_pooled.h"
#include "cpu/conv_product.h"
#include "cpu/conv_row_sums.h"
#include "cpu/conv_weight_grad.h"
#include "cpu/conv_winograd.h"
#include "cpu/conv_winograd_grad.h"
#include "cpu/isa.h"
#include "kernels/params/pool.h"

namespace gs::cpu {
namespace {

void add_forward_taps(const ConvShape& s, Taps& taps) {
  for (int64_t r = 0; r < s.r; ++r)
    for (int64_t c = 0; c < s.s; ++c)
      taps.add(r * s.dilation_h - s.pad_h, c * s.dilation_w - s.pad_w);
}

PatchSource forward_source(const ConvShape& s) {
  return {s.c / s.groups, s.h, s.w, s.c * s.h * s.w, s.n, s.p, s.q, s.stride_h, s.stride_w};
}

// With few outputs a group, packed patches would be used too seldom to pay for packing them.
template <class T, class W>
void sum_patches(const PatchSource& source, const Taps& taps, const T* src, int64_t groups,
                 int64_t outputs, const PatchOutput<T>& out, const W& weight) {
  if (out.step_h == 1 && out.step_w == 1 && ChannelSums<T>::fits(source, taps, groups, outputs)) {
    const ChannelSums<T> sums(source, taps, groups, out, weight), *all = &sums;
    return sum_channels(&all, 1, source, taps, src, groups, out);
  }
  const bool shares_rows = outputs <= 8 && TapColumns(taps, source).height() >= 3;
  if (outputs < 4 || shares_rows)
    RowSums<T>(source, taps, src, groups, outputs, out).run(weight);
  else
    PatchProduct<T>(source, taps, src, groups, outputs, out).run(weight);
}

template <class T>
void forward(const Conv2d& p) {
  const ConvShape& s = p.shape;
  if constexpr (std::is_same_v<T, float>)
    if (winograd_forward(p)) return;
  const PatchSource source = forward_source(s);
  Taps taps(s.r * s.s);
  add_forward_taps(s, taps);
  const PatchOutput<T> out{
      static_cast<T*>(p.y),          s.o * s.p * s.q, s.p * s.q, s.q, 0, 0, 1, 1,
      static_cast<const T*>(p.bias), p.activation};
  const T* weight = static_cast<const T*>(p.weight);
  const int64_t outputs = s.o / s.groups, depth = source.channels * taps.count(),
                count = taps.count();
  sum_patches(source, taps, static_cast<const T*>(p.x), s.groups, outputs, out,
              [=](int64_t group, int64_t m, int64_t channel, int64_t tap) {
                return weight[(group * outputs + m) * depth + channel * count + tap];
              });
}

// The same and the maxima of 2 x 2 windows. What has no path of its own is computed in full, then
// pooled; so are sums by Winograd that are not finite.
void forward_pooled(const Conv2d& p) {
  const ConvShape& s = p.shape;
  if (s.p < 2 || s.q < 2 || winograd_forward(p)) return;
  if (PooledProduct::fits(p)) return PooledProduct(p).run();
  const Scratch<float> y(s.n * s.o * s.p * s.q);
  Conv2d full = p;
  full.y = y.get(), full.pool = false;
  forward<float>(full);
  const PoolShape pool{s.dtype, s.n * s.o, s.p, s.q, s.p / 2, s.q / 2, 2, 2, 2, 2, 0, 0, 1, 1};
  GS_ISA::max_pool2d({pool, y.get(), p.y, nullptr});
}

// dx at h = phase + stride * t gathers dy at (h + pad - r * dilation) / stride for the r that
// divide. Each of the stride_h * stride_w phases is a convolution of dy with step 1 and its own
// taps.
struct GradPhase {
  Taps taps;
  Scratch<int64_t> index;  // tap -> position in the window
  PatchSource source;

  GradPhase(const ConvShape& s, int64_t ph, int64_t pw)
      : taps(s.r * s.s),
        index(max_of(s.r * s.s, 1)),
        source{s.o / s.groups,
               s.p,
               s.q,
               s.o * s.p * s.q,
               s.n,
               ceil_div(s.h - ph, s.stride_h),
               ceil_div(s.w - pw, s.stride_w),
               1,
               1} {
    for (int64_t r = 0; r < s.r; ++r)
      for (int64_t c = 0; c < s.s; ++c) {
        const int64_t h = ph + s.pad_h - r * s.dilation_h, w = pw + s.pad_w - c * s.dilation_w;
        if (h % s.stride_h || w % s.stride_w) continue;
        index.get()[taps.count()] = r * s.s + c;
        taps.add(h / s.stride_h, w / s.stride_w);
      }
  }
};
template <class T>
PatchOutput<T> grad_output(const Conv2dInputGrad& p, int64_t ph, int64_t pw) {
  const ConvShape& s = p.shape;
  return {static_cast<T*>(p.dx),
          s.c * s.h * s.w,
          s.h * s.w,
          s.w,
          ph,
          pw,
          s.stride_h,
          s.stride_w,
          nullptr,
          Activation::None};
}

// With stride 2 the phases share what they read of dy: planes that are turned over, where they are
// small and the convolution depthwise, or their padded copy. False where they cannot.
template <class T, class W>
bool shared_input_grad(const Conv2dInputGrad& p, const W& weight) {
  const ConvShape& s = p.shape;
  if (s.stride_h != 2 || s.stride_w != 2 || s.h < 2 || s.w < 2) return false;
  const GradPhase phases[4] = {{s, 0, 0}, {s, 0, 1}, {s, 1, 0}, {s, 1, 1}};
  Taps taps(s.r * s.s);
  for (const GradPhase& phase : phases)
    for (int64_t i = 0; i < phase.taps.count(); ++i) taps.add(phase.taps.row(i), phase.taps.col(i));
  const PatchSource& source = phases[0].source;
  const T* dy = static_cast<const T*>(p.dy);
  const int64_t inputs = s.c / s.groups;
  if (ChannelSums<T>::fits(source, taps, s.groups, inputs) && s.h * s.w >= kLanes<T>) {
    const auto sums = [&](int i) {
      return ChannelSums<T>(phases[i].source, phases[i].taps, s.groups,
                            grad_output<T>(p, i / 2, i % 2), weight(phases[i].index.get()));
    };
    const ChannelSums<T> a = sums(0), b = sums(1), c = sums(2), d = sums(3);
    const ChannelSums<T>* const all[4] = {&a, &b, &c, &d};
    sum_channels(all, 4, source, taps, dy, s.groups, grad_output<T>(p, 0, 0));
    return true;
  }
  if (inputs <= 8 || s.h % 2 || s.w % 2) return false;
  const auto product = [&](int i) {
    return PatchProduct<T>(phases[i].source, phases[i].taps, dy, s.groups, inputs,
                           grad_output<T>(p, i / 2, i % 2));
  };
  PatchProduct<T> a = product(0), b = product(1), c = product(2), d = product(3);
  PatchProduct<T>* const all[4] = {&a, &b, &c, &d};
  for (int i = 0; i < 4; ++i) all[i]->pack_weights(weight(phases[i].index.get()));
  PatchProduct<T>::run_all(all, 4, taps);
  return true;
}

template <class T>
void input_grad(const Conv2dInputGrad& p) {
  const ConvShape& s = p.shape;
  if constexpr (std::is_same_v<T, float>)
    if (winograd_input_grad(p)) return;
  const int64_t inputs = s.c / s.groups, outputs = s.o / s.groups, window = s.r * s.s;
  const T* weight = static_cast<const T*>(p.weight);
  const auto weight_at = [=](const int64_t* index) {
    return [=](int64_t group, int64_t m, int64_t channel, int64_t tap) {
      return weight[((group * outputs + channel) * inputs + m) * window + index[tap]];
    };
  };
  if constexpr (std::is_same_v<T, float>)
    if (shared_input_grad<T>(p, weight_at)) return;
  for (int64_t ph = 0; ph < min_of(s.stride_h, s.h); ++ph)
    for (int64_t pw = 0; pw < min_of(s.stride_w, s.w); ++pw) {
      const GradPhase phase(s, ph, pw);
      sum_patches(phase.source, phase.taps, static_cast<const T*>(p.dy), s.groups, inputs,
                  grad_output<T>(p, ph, pw), weight_at(phase.index.get()));
    }
}

template <class T>
void weight_grad(const Conv2dWeightGrad& p) {
  const ConvShape& s = p.shape;
  if constexpr (std::is_same_v<T, float>)
    if (winograd_weight_grad(p)) return;
  const PatchSource source = forward_source(s);
  Taps taps(s.r * s.s);
  add_forward_taps(s, taps);
  const T* x = static_cast<const T*>(p.x);
  const T* dy = static_cast<const T*>(p.dy);
  T* dweight = static_cast<T*>(p.dweight);
  T* dbias = static_cast<T*>(p.dbias);
  const int64_t outputs = s.o / s.groups;
  if (ChannelGrad<T>::fits(source, taps, s.groups, outputs))
    return ChannelGrad<T>(source, taps, x, dy, s.groups, dweight, dbias).run();
  const bool depthwise = source.channels == 1 && outputs < 4;
  const bool small_groups = s.groups >= 4 && source.channels <= 8 && outputs <= 8 &&
                            TapColumns(taps, source, true).height() >= 3;
  if (depthwise || small_groups)
    return DepthwiseGrad<T>(source, taps, x, dy, s.groups, outputs, dweight, dbias).run();
  WeightGrad<T>(source, taps, x, dy, s.groups, outputs, dweight, dbias).run();
}

}  // namespace

namespace GS_ISA {

void conv2d(const Conv2d& p) {
  if (p.pool) return forward_pooled(p);
  visit_floating(p.shape.dtype, [&](auto tag) { forward<typename decltype(tag)::type>(p); });
}

void conv2d_input_grad(const Conv2dInputGrad& p) {
  visit_floating(p.shape.dtype, [&](auto tag) { input_grad<typename decltype(tag)::type>(p); });
}

void conv2d_weight_grad(const Conv2dWeightGrad& p) {
  visit_floating(p.shape.dtype, [&](auto tag) { weight_grad<typename decltype(tag)::type>(p); });
}

}  // namespace GS_ISA
}  // namespace gs::cpu
