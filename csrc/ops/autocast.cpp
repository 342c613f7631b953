#include "ops/autocast.h"

#include <unordered_map>

#include "autograd/meta.h"
#include "ops/common.h"

namespace gs::autocast {

__thread uint8_t active_devices GS_INITIAL_EXEC = 0;

namespace {

// A weight is cast once, however often it is used: a step of an LSTM uses the same ones each time.
struct CachedCast {
  Tensor source, result;
  uint32_t version;  // of the source
};

struct ThreadState {
  DType dtype[2] = {DType::BFloat16, DType::BFloat16};
  bool cache_enabled = true;
  int64_t nesting = 0;
  std::unordered_map<const TensorBody*, CachedCast> recorded, unrecorded;  // with a history or not
};
ThreadState& state() {
  thread_local ThreadState state;
  return state;
}

uint8_t bit_of(DeviceType device) { return static_cast<uint8_t>(1u << static_cast<int>(device)); }

// float64 is meant, and stays; numbers yield anyway.
bool is_cast(const Tensor& t) {
  return t.defined() && is_floating(t.dtype()) && t.dtype() != DType::Float64 &&
         !t.body()->wrapped_number && (active_devices & bit_of(t.device().type));
}

// A cast of the same values that can still be differentiated.
bool is_fresh(const CachedCast& entry, DType to) {
  if (entry.result.dtype() != to || entry.version != entry.source.version()) return false;
  const Ref<autograd::Node> node = autograd::grad_node(entry.result);
  return !node || !node->released();
}

Tensor to_low(const Tensor& t, DType to) {
  const bool is_weight =
      t.dtype() == DType::Float32 && t.requires_grad() && !t.body()->base && autograd::is_leaf(t);
  ThreadState& s = state();
  if (!is_weight || !s.cache_enabled || s.nesting == 0) return ops::cast(t, to);
  auto& cache = autograd::grad_enabled() ? s.recorded : s.unrecorded;
  const auto found = cache.find(t.body());
  if (found != cache.end() && is_fresh(found->second, to)) return found->second.result;
  Tensor result = ops::cast(t, to);
  cache.insert_or_assign(t.body(), CachedCast{t, result, t.version()});
  return result;
}

}  // namespace

bool enabled(DeviceType device) { return active_devices & bit_of(device); }
void set_enabled(DeviceType device, bool on) {
  const auto others = static_cast<uint8_t>(active_devices & ~bit_of(device));
  active_devices = on ? static_cast<uint8_t>(others | bit_of(device)) : others;
}

DType dtype_of(DeviceType device) { return state().dtype[static_cast<int>(device)]; }
void set_dtype(DeviceType device, DType dtype) {
  GS_CHECK(dtype == DType::BFloat16 || dtype == DType::Float16, Value, "autocast",
           "expected bfloat16 or float16, got ", dtype, ".");
  state().dtype[static_cast<int>(device)] = dtype;
}

bool cache_enabled() { return state().cache_enabled; }
void set_cache_enabled(bool on) { state().cache_enabled = on; }
int64_t change_nesting(int64_t by) {
  ThreadState& s = state();
  s.nesting += by;
  if (s.nesting == 0) clear_cache();
  return s.nesting;
}
void clear_cache() {
  state().recorded.clear();
  state().unrecorded.clear();
}

void Casts::see(const Tensor& t) {
  if (policy_ != Policy::Widest || !t.defined() || !is_floating(t.dtype()) ||
      t.body()->wrapped_number)
    return;
  widest_ = any_ ? promote(widest_, t.dtype()) : t.dtype();
  any_ = true;
}

Tensor Casts::cast(const Tensor& t) const {
  if (!is_cast(t)) return t;
  switch (policy_) {
    case Policy::Low: {
      const DType low = dtype_of(t.device().type);
      return t.dtype() == low ? t : to_low(t, low);
    }
    case Policy::Float32:
      return ops::cast(t, DType::Float32);
    case Policy::Widest:
      return ops::cast(t, widest_);
    default:
      return t;
  }
}

Tensors Casts::cast(const Tensors& list) const {
  Tensors out;
  out.reserve(list.size());
  for (const Tensor& t : list) out.push_back(cast(t));
  return out;
}

}  // namespace gs::autocast
