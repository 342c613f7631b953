// The tensor: a small handle on a reference-counted body of storage, shape, strides and dtype.
#pragma once

#include <memory>
#include <vector>

#include "core/dtype.h"
#include "core/scalar.h"
#include "core/shape.h"
#include "core/storage.h"

namespace gs {

class Tensor;
using Tensors = std::vector<Tensor, CachedElements<Tensor>>;

// What autograd hangs on a tensor; defined in autograd/meta.h.
struct AutogradData : Cached {
  virtual ~AutogradData() = default;
};

struct TensorBody : RefCounted<TensorBody>, Cached {
  TensorBody(Ref<Storage> on, const Shape& sizes, int64_t start, int64_t count, DType type)
      : storage(std::move(on)), offset(start), numel(count), shape(sizes), dtype(type) {}

  Ref<Storage> storage;
  int64_t offset;  // elements
  int64_t numel;
  Shape shape;
  Strides strides;  // elements
  DType dtype;
  bool contiguous = true;
  bool requires_grad = false;   // a leaf that asks for it, or the result of something recorded
  bool wrapped_number = false;  // a Python number: yields to tensors in type promotion
  bool inference = false;       // made in inference_mode: can never be saved for a gradient
  bool untracked = false;  // an alias made by .data: writing to it does not advance the version
  bool rebased = false;    // an in-place operation gave it a history that its views must follow
  Ref<TensorBody> base;    // the tensor this is a differentiable view of
  std::unique_ptr<AutogradData> autograd;
  void* python_object = nullptr;  // the Python wrapper while it lives (borrowed)

  static void destroy(TensorBody* body);
};

class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(Ref<TensorBody> body) : body_(std::move(body)) {}

  bool defined() const { return static_cast<bool>(body_); }
  TensorBody* body() const { return body_.get(); }
  const Ref<TensorBody>& ref() const { return body_; }
  bool same(const Tensor& other) const { return body_ == other.body_; }

  const Shape& shape() const { return body_->shape; }
  const Strides& strides() const { return body_->strides; }
  int64_t dim() const { return body_->shape.size(); }
  int64_t size(int64_t i) const { return body_->shape[i < 0 ? i + dim() : i]; }
  int64_t stride(int64_t i) const { return body_->strides[i < 0 ? i + dim() : i]; }
  int64_t numel() const { return body_->numel; }
  int64_t offset() const { return body_->offset; }
  DType dtype() const { return body_->dtype; }
  Device device() const { return body_->storage->device(); }
  bool is_contiguous() const { return body_->contiguous; }
  bool requires_grad() const {
    return body_->requires_grad || (body_->base && body_->base->rebased);
  }

  void* raw() const { return body_->storage->data() + body_->offset * size_of(body_->dtype); }
  template <class T>
  T* data() const {
    return static_cast<T*>(raw());
  }

  uint32_t version() const { return body_->storage->version(); }
  void bump_version() const {
    if (!body_->untracked) body_->storage->bump_version();
  }
  Scalar item()
      const;  // the only element; ValueError (RuntimeError in Python terms) when numel != 1

 private:
  Ref<TensorBody> body_;
};

// Uninitialised, contiguous.
Tensor empty(const Shape& shape, DType dtype, Device device = {});
inline Tensor empty_like(const Tensor& t) { return empty(t.shape(), t.dtype(), t.device()); }
Tensor empty_strided(const Shape& shape, const Strides& strides, DType dtype, Device device = {});
// Another window on the same memory, without history. `offset` in elements from the storage's
// start.
Tensor alias(const Tensor& t, const Shape& shape, const Strides& strides, int64_t offset);
inline Tensor detached(const Tensor& t) { return alias(t, t.shape(), t.strides(), t.offset()); }
// A tensor on memory of somebody else.
Tensor from_storage(Ref<Storage> storage, const Shape& shape, const Strides& strides,
                    int64_t offset, DType dtype);
// While true, tensors made on this thread are marked `inference`. Set by autograd's inference_mode.
void set_making_inference_tensors(bool on);
bool making_inference_tensors();
// A 0-dimensional tensor that behaves as a Python number in type promotion.
Tensor wrapped_number(Scalar value);
// The same in the Float32 or Float64 of the tensor that it is going to meet, which saves the cast.
Tensor wrapped_number(Scalar value, DType dtype);

}  // namespace gs
