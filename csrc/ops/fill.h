// Batches whose memory is written later: arguments are checked and tensors allocated at once, large
// ones are then filled by the background thread (core/background.h).
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/background.h"
#include "core/tensor.h"
#include "ops/ops.h"

namespace gs::ops {

// A tensor and what writes its positions [begin, end) of the first dimension.
struct Rows {
  Tensor out;
  BackgroundTask::Function write;
};

// `pinned`: in pinned memory, when it is memory of the host.
Rows rows_of_select(const Tensor& x, const Tensor& index,  // index_select along dimension 0
                    bool pinned = false);
Rows rows_of_images(const Tensor& images, const Tensor& index, const Tensor& table,
                    const Dims& size, const Tensor& corners, const Tensor& flip, int64_t fill,
                    bool pinned = false);

// The tensors of one batch. Nobody may read them, or write corners, flip and table, until all is
// done.
class Fill {
 public:
  explicit Fill(bool pinned = false) : pinned_(pinned) {}  // in pinned memory

  // As index_select(x, 0, index) and image_batch(...). Written at once where later does not pay,
  // and where a gradient is recorded.
  Tensor select(const Tensor& x, const Tensor& index);
  Tensor image_batch(const Tensor& images, const Tensor& index, const Tensor& table,
                     const Dims& size, const Tensor& corners, const Tensor& flip, int64_t fill);

  bool empty() const { return tasks_.empty(); }  // nothing is left for later
  void start();
  // As those of BackgroundTask, for all of them.
  bool do_rest();
  void wait();

 private:
  Tensor add(Rows rows);

  const bool pinned_;
  std::vector<std::unique_ptr<BackgroundTask>> tasks_;
};

}  // namespace gs::ops
