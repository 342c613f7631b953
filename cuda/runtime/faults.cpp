#include "runtime/faults.h"

#include <atomic>
#include <map>
#include <mutex>
#include <tuple>
#include <vector>

#include "core/error.h"
#include "runtime/pinned.h"

namespace gs::cuda {
namespace {

using Text = std::tuple<const char*, const char*, int64_t>;  // as given to fault_site

struct Sites {
  std::mutex lock;
  std::map<Text, size_t> known;
  std::vector<Text> texts;
  std::atomic<Fault*> noted{nullptr};
};
Sites& sites() {
  static Sites* only = new Sites;  // never destroyed: kernels may outlive static objects
  return *only;
}

[[noreturn]] void raise_fault(const Text& text, int64_t value) {
  const auto& [op, what, size] = text;
  if (!what)
    raise(ErrorKind::Value, op,
          "expected probabilities in [0, 1]. The device found others in an operation before this "
          "one.");
  raise(ErrorKind::Index, op, what, " ", value, " is out of range for size ", size,
        ". The device found it in an operation before this one, which went on with another.");
}

}  // namespace

FaultSite fault_site(const char* op, const char* what, int64_t size) {
  Sites& s = sites();
  const std::lock_guard<std::mutex> hold(s.lock);
  if (!s.noted) {
    auto* fault = static_cast<Fault*>(allocate_pinned(sizeof(Fault)));
    *fault = {};
    s.noted = fault;
  }
  const Text text{op, what, size};
  const auto [place, is_new] = s.known.emplace(text, s.texts.size() + 1);
  if (is_new) s.texts.push_back(text);
  return {place->second, s.noted};
}

void report_noted_fault() {
  Sites& s = sites();
  Fault* const fault = s.noted;
  if (!fault || __atomic_load_n(&fault->site, __ATOMIC_ACQUIRE) == 0) return;
  Text text;
  int64_t value;
  {
    const std::lock_guard<std::mutex> hold(s.lock);
    if (fault->site == 0) return;
    text = s.texts[fault->site - 1];
    value = fault->value;
    *fault = {};
  }
  raise_fault(text, value);
}

}  // namespace gs::cuda
