// x[...] and x[...] = v: integers, slices, None, Ellipsis, masks and integer arrays.
//
// The index is read from left to right. Everything but arrays and masks narrows a view as it is
// met; arrays and masks are kept with the dimension of the view they stand for, and applied at the
// end.
#include <algorithm>

#include "arrays.h"
#include "tensor_slots.h"

namespace gs::python {
namespace {

constexpr const char* kOp = "index";

bool is_integer(PyObject* item, int64_t* value) {
  const Fit fit = to_int64(item, value);
  GS_CHECK(fit != Fit::TooLarge, Index, kOp, "the index does not fit in 64 bits.");
  return fit == Fit::Yes;
}

bool is_scalar_bool(PyObject* item) {
  bool ignored;
  return to_bool(item, &ignored);
}

// An array-like index as a tensor: int64 or bool.
Tensor index_tensor(PyObject* item) {
  Tensor t;
  if (is_tensor(item)) {
    t = tensor_of(item);
  } else if (is_numpy_array(item)) {
    t = tensor_from_data(item, std::nullopt, {});
  } else if (PyList_Check(item) || PyTuple_Check(item) || PyRange_Check(item) ||
             is_scalar_bool(item)) {
    t = tensor_from_data(item, std::nullopt, {});
    if (t.numel() == 0 && is_floating(t.dtype())) t = ops::cast(t, DType::Int64);
  } else {
    raise(ErrorKind::Type, kOp, "expected ints, slices, None, ..., masks or integer arrays, got ",
          type_name(item), ".");
  }
  if (t.dtype() == DType::UInt8) {
    raise(ErrorKind::Type, kOp,
          "an index of dtype uint8 is ambiguous; use bool for masks or int64 for positions.");
  }
  GS_CHECK(t.dtype() == DType::Bool || is_integral(t.dtype()), Type, kOp,
           "expected an integer or bool index, got dtype ", t.dtype(), ".");
  return ops::detach(t);
}

// The dimensions of the indexed tensor that one item stands for.
int64_t dims_taken(PyObject* item) {
  if (item == Py_None || item == Py_Ellipsis || is_scalar_bool(item)) return 0;
  if (is_tensor(item) && tensor_of(item).dtype() == DType::Bool) return tensor_of(item).dim();
  if (is_tensor(item) || PySlice_Check(item) || PyLong_Check(item)) return 1;
  if (is_numpy_array(item) || PyList_Check(item) || PyTuple_Check(item)) {
    const Tensor t = index_tensor(item);
    return t.dtype() == DType::Bool ? t.dim() : 1;
  }
  return 1;
}

Tensor select_position(const Tensor& x, int64_t dim, int64_t index, int64_t shown_dim) {
  const int64_t n = x.size(dim);
  if (index < -n || index >= n) {
    raise(ErrorKind::Index, kOp, "index ", index, " is out of range for dimension ", shown_dim,
          " of size ", n, ".");
  }
  return ops::select(x, dim, index);
}

Tensor take_slice(const Tensor& x, int64_t dim, PyObject* slice) {
  Py_ssize_t start = 0, stop = 0, step = 1;
  if (PySlice_Unpack(slice, &start, &stop, &step) < 0) throw py::error_already_set();
  GS_CHECK(step > 0, Value, kOp, "a slice's step must be positive, got ", step,
           "; use flip() to reverse.");
  const int64_t length = PySlice_AdjustIndices(x.size(dim), &start, &stop, step);
  if (start == 0 && step == 1 && length == x.size(dim)) return x;
  return ops::slice(x, dim, start, stop, step);
}

class Indexer {
 public:
  Indexer(const Tensor& x, PyObject* key) : view_(x) {
    if (PyTuple_Check(key)) {
      read_all(PySequence_Fast_ITEMS(key), PyTuple_GET_SIZE(key));
    } else {
      read_all(&key, 1);
    }
  }

  bool is_basic() const { return kept_.empty(); }
  const Tensor& view() const { return view_; }
  // One index per leading dimension of view(), masks turned into positions.
  Tensors arrays() const;
  // Dimensions of what is indexed.
  int64_t result_dims() const;
  // The mask, when it alone is kept and covers the leading dimensions of view(); otherwise
  // undefined.
  Tensor single_mask() const {
    const bool alone =
        kept_.size() == 1 && kept_[0].dim == 0 && kept_[0].index.dtype() == DType::Bool;
    return alone ? kept_[0].index : Tensor();
  }

 private:
  void read_all(PyObject* const* items, Py_ssize_t n);
  void read(PyObject* item);
  void keep_mask(const Tensor& mask);

  struct Kept {
    int64_t dim;  // of view_
    Tensor index;
  };

  Tensor view_;
  int64_t dim_ = 0;      // the next dimension of view_
  int64_t source_ = 0;   // the dimension of the indexed tensor it came from, for messages
  int64_t skipped_ = 0;  // what ... stands for
  std::vector<Kept> kept_;
};

void Indexer::read_all(PyObject* const* items, Py_ssize_t n) {
  int64_t taken = 0;
  int ellipses = 0;
  for (Py_ssize_t i = 0; i < n; ++i) {
    taken += dims_taken(items[i]);
    ellipses += items[i] == Py_Ellipsis;
  }
  GS_CHECK(ellipses <= 1, Index, kOp, "an index can have one ellipsis ('...') alone, got ",
           ellipses, ".");
  GS_CHECK(taken <= view_.dim(), Index, kOp, "too many indices: the tensor has ", view_.dim(),
           " dimensions, the index ", taken, ".");
  skipped_ = view_.dim() - taken;
  for (Py_ssize_t i = 0; i < n; ++i) read(items[i]);
}

void Indexer::read(PyObject* item) {
  int64_t position = 0;
  if (item == Py_None) {
    view_ = ops::unsqueeze(view_, dim_++);
  } else if (item == Py_Ellipsis) {
    dim_ += skipped_;
    source_ += skipped_;
  } else if (PySlice_Check(item)) {
    view_ = take_slice(view_, dim_++, item);
    ++source_;
  } else if (is_integer(item, &position)) {
    view_ = select_position(view_, dim_, position, source_++);
  } else {
    const Tensor index = index_tensor(item);
    if (index.dtype() == DType::Bool) {
      keep_mask(index);
    } else {
      kept_.push_back({dim_++, index});
      ++source_;
    }
  }
}

void Indexer::keep_mask(const Tensor& mask) {
  if (mask.dim() == 0) {  // x[True]: a new dimension of size 1 or 0
    view_ = ops::unsqueeze(view_, dim_);
    kept_.push_back({dim_++, ops::unsqueeze(mask, 0)});
    return;
  }
  for (int64_t i = 0; i < mask.dim(); ++i) {
    GS_CHECK(mask.size(i) == view_.size(dim_ + i), Index, kOp, "a mask of shape ", mask.shape(),
             " does not match the tensor: dimension ", source_ + i, " has size ",
             view_.size(dim_ + i), ".");
  }
  kept_.push_back({dim_, mask});
  dim_ += mask.dim();
  source_ += mask.dim();
}

Tensors Indexer::arrays() const {
  Tensors out;
  const auto put = [&](int64_t dim, Tensor index) {
    if (int64_t(out.size()) <= dim) out.resize(dim + 1);
    out[dim] = std::move(index);
  };
  for (const Kept& kept : kept_) {
    if (kept.index.dtype() != DType::Bool) {
      put(kept.dim, kept.index);
      continue;
    }
    const Tensor positions = ops::nonzero(kept.index);
    for (int64_t i = 0; i < kept.index.dim(); ++i) put(kept.dim + i, ops::select(positions, 1, i));
  }
  return out;
}

int64_t Indexer::result_dims() const {
  int64_t broadcast = 0, taken = 0;
  for (const Kept& kept : kept_) {
    const bool mask = kept.index.dtype() == DType::Bool;
    broadcast = std::max(broadcast, mask ? int64_t(1) : kept.index.dim());
    taken += mask ? kept.index.dim() : 1;
  }
  return view_.dim() - taken + broadcast;
}

// What is assigned, in the dtype it has: NumPy arrays and lists are taken too.
ops::Operand assigned(const Tensor& x, PyObject* value) {
  if (is_tensor(value)) return tensor_of(value);
  Scalar number;
  const Fit fit = to_scalar(value, &number);
  GS_CHECK(fit != Fit::TooLarge, Value, kOp, "the number does not fit in 64 bits.");
  if (fit == Fit::Yes) return number;
  if (is_numpy_array(value)) return tensor_from_data(value, std::nullopt, x.device());
  if (PyList_Check(value) || PyTuple_Check(value))
    return tensor_from_data(value, x.dtype(), x.device());
  raise(ErrorKind::Type, kOp, "cannot assign a ", type_name(value), " to elements of a tensor.");
}

// Leading dimensions of size 1 beyond those of the place are dropped, as NumPy does.
ops::Operand without_leading_ones(const ops::Operand& value, int64_t ndim) {
  ops::Operand out = value;
  while (out.dim() > ndim && out.size(0) == 1) out = ops::Operand(ops::select(out, 0, 0));
  return out;
}

void assign_view(const Tensor& view, const Tensor& x, PyObject* value) {
  Scalar number;
  if (to_scalar(value, &number) == Fit::Yes) {
    ops::fill_(view, number);
  } else {
    ops::copy_(view, without_leading_ones(assigned(x, value), view.dim()));
  }
}

void assign(PyObject* self, PyObject* key, PyObject* value) {
  const Tensor& x = tensor_of(self);
  const Indexer index(x, key);
  const Tensor& view = index.view();
  if (index.is_basic()) return assign_view(view, x, value);
  const ops::Operand source = assigned(x, value);
  Tensor mask = index.single_mask();
  if (mask.defined() && source.dim() == 0) {
    while (mask.dim() < view.dim()) mask = ops::unsqueeze(mask, mask.dim());
    ops::masked_fill_(view, mask, source);
  } else {
    ops::index_put_(view, index.arrays(), without_leading_ones(source, index.result_dims()), false);
  }
}

}  // namespace

PyObject* get_item(PyObject* self, PyObject* key) {
  return guard([&]() -> PyObject* {
    const Tensor& x = tensor_of(self);
    if (PyLong_CheckExact(key) && x.dim() > 0) {
      int64_t position = 0;
      is_integer(key, &position);
      return wrap(select_position(x, 0, position, 0));
    }
    const Indexer index(x, key);
    if (!index.is_basic()) {
      const Tensor mask = index.single_mask();
      const bool whole = mask.defined() && mask.dim() == index.view().dim();
      return wrap(whole ? ops::masked_select(index.view(), mask)
                        : ops::index(index.view(), index.arrays()));
    }
    // x[:] and x[...] are views like any other, never x itself.
    if (index.view().same(x))
      return wrap(x.dim() ? ops::slice(x, 0, {}, {}, 1) : ops::view(x, x.shape()));
    return wrap(index.view());
  });
}

int set_item(PyObject* self, PyObject* key, PyObject* value) {
  return guard_status([&] {
    if (!value) raise(ErrorKind::Type, kOp, "elements of a tensor cannot be deleted.");
    assign(self, key, value);
  });
}

}  // namespace gs::python
