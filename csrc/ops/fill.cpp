#include "ops/fill.h"

#include "core/parallel.h"
#include "ops/common.h"

namespace gs::ops {
namespace {

// Beginning and handing over cost 10 to 20 microseconds a batch, in which a copy writes up to 400
// KB; at that size nothing was gained even beside a loop that used one CPU.
constexpr int64_t kWorthwhile = 1 << 20;  // bytes
constexpr int64_t kChunk = 256 << 10;     // bytes; who comes early waits for one at most

bool has_a_cpu_to_spare() {
  static const int cpus = available_cpus();
  return cpus > 1 && num_threads() > 1;
}

}  // namespace

Tensor Fill::add(Rows rows) {
  const int64_t n = rows.out.dim() ? rows.out.size(0) : 0;
  const int64_t bytes = rows.out.numel() * size_of(rows.out.dtype());
  if (bytes < kWorthwhile || !has_a_cpu_to_spare()) {
    if (bytes) rows.write(0, n);
    return rows.out;
  }
  const int64_t grain = n * kChunk / bytes;
  tasks_.push_back(std::make_unique<BackgroundTask>(n, grain, std::move(rows.write)));
  return rows.out;
}

Tensor Fill::select(const Tensor& x, const Tensor& index) {
  check_defined("index_select", x, "input");
  if (x.dim() == 0 || x.requires_grad()) return index_select(x, 0, index);
  check_defined("index_select", index, "index");
  return add(
      // Checked now, so it must not change until it is used.
      rows_of_select(x, clone(index), pinned_));
}

Tensor Fill::image_batch(const Tensor& images, const Tensor& index, const Tensor& table,
                         const Dims& size, const Tensor& corners, const Tensor& flip,
                         int64_t fill) {
  check_defined("image_batch", index, "index");
  return add(rows_of_images(images, clone(index), table, size, corners, flip, fill, pinned_));
}

void Fill::start() {
  for (auto& task : tasks_) task->start();
}

bool Fill::do_rest() {
  bool done = true;
  for (auto& task : tasks_) done = task->do_rest() && done;
  return done;
}

void Fill::wait() {
  for (auto& task : tasks_) task->wait();
}

}  // namespace gs::ops
