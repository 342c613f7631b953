#include "core/shape.h"

#include <algorithm>

namespace gs {

void Dims::insert(int64_t at, int64_t value) {
  push_back(value);
  for (int64_t i = size_ - 1; i > at; --i) values_[i] = values_[i - 1];
  values_[at] = value;
}

void Dims::erase(int64_t at) {
  for (int64_t i = at; i + 1 < size_; ++i) values_[i] = values_[i + 1];
  --size_;
}

void Dims::too_many() {
  raise(ErrorKind::Value, "shape", "expected at most ", kMaxDims, " dimensions, got more.");
}

std::ostream& operator<<(std::ostream& out, const Dims& dims) {
  out << '(';
  for (int64_t i = 0; i < dims.size(); ++i) out << (i ? ", " : "") << dims[i];
  return out << (dims.size() == 1 ? ",)" : ")");
}

// Sizes of 0 are counted as 1 in the overflow check, because strides are products that skip them.
int64_t checked_numel(const Shape& shape, const char* op) {
  int64_t product = 1;
  bool usual = true;
  for (int64_t size : shape) usual &= size > 0 && !__builtin_mul_overflow(product, size, &product);
  if (usual) [[likely]]
    return product;
  product = 1;
  bool empty = false;
  for (int64_t size : shape) {
    GS_CHECK(size >= 0, Value, op, "expected sizes of at least 0, got shape ", shape, ".");
    if (size == 0) {
      empty = true;
    } else {
      GS_CHECK(!__builtin_mul_overflow(product, size, &product), Value, op, "shape ", shape,
               " has more elements than can be counted.");
    }
  }
  return empty ? 0 : product;
}

Strides contiguous_strides(const Shape& shape) {
  Strides strides = shape;
  int64_t step = 1;
  for (int64_t i = shape.size() - 1; i >= 0; --i) {
    strides[i] = step;
    step *= std::max<int64_t>(shape[i], 1);
  }
  return strides;
}

bool is_contiguous(const Shape& shape, const Strides& strides) {
  int64_t step = 1;
  bool follows = true;
  for (int64_t i = shape.size() - 1; i >= 0; --i) {
    if (shape[i] == 0) return true;
    if (shape[i] == 1) continue;
    follows = follows && strides[i] == step;
    step *= shape[i];
  }
  return follows;
}

bool is_dense(const Shape& shape, const Strides& strides) {
  // Axes of size 1 do not matter; the others, by rising stride, must each step over the one before.
  Dims order;
  for (int64_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0) return true;
    if (shape[i] > 1) order.push_back(i);
  }
  std::sort(order.begin(), order.end(),
            [&](int64_t a, int64_t b) { return strides[a] < strides[b]; });
  int64_t step = 1;
  for (int64_t axis : order) {
    if (strides[axis] != step) return false;
    step *= shape[axis];
  }
  return true;
}

Shape broadcast(const Shape& a, const Shape& b, const char* op) {
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  const int64_t shift = longer.size() - shorter.size();
  Shape out = longer;
  for (int64_t i = 0; i < shorter.size(); ++i) {
    int64_t& size = out[i + shift];
    if (size == shorter[i] || shorter[i] == 1) continue;
    GS_CHECK(size == 1, Value, op, "shapes ", a, " and ", b, " cannot be broadcast together.");
    size = shorter[i];
  }
  return out;
}

int64_t wrap_dim(int64_t dim, int64_t ndim, const char* op) {
  const int64_t n = std::max<int64_t>(ndim, 1);
  GS_CHECK(dim >= -n && dim < n, Index, op, "expected a dimension from ", -n, " to ", n - 1,
           ", got ", dim, ".");
  return dim < 0 ? dim + n : dim;
}

bool view_strides(const Shape& shape, const Strides& strides, const Shape& wanted, Strides* out) {
  int64_t numel = 1, wanted_numel = 1;
  for (int64_t size : shape) numel *= size;
  for (int64_t size : wanted) wanted_numel *= size;
  if (numel != wanted_numel) return false;
  if (numel == 0) {
    *out = contiguous_strides(wanted);
    return true;
  }

  // Runs of axes that lie in memory like one axis.
  Dims run_size, run_stride;
  for (int64_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 1) continue;
    if (!run_size.empty() && run_stride.back() == shape[i] * strides[i]) {
      run_size.back() *= shape[i];
      run_stride.back() = strides[i];
    } else {
      run_size.push_back(shape[i]);
      run_stride.push_back(strides[i]);
    }
  }

  // Each wanted axis is cut from the inner end of a run; none may span two runs.
  Strides result = wanted;
  int64_t left = 1, step = 1;
  for (int64_t i = wanted.size() - 1; i >= 0; --i) {
    if (wanted[i] > 1 && left == 1) {
      left = run_size.back();
      step = run_stride.back();
      run_size.pop_back();
      run_stride.pop_back();
    }
    if (left % wanted[i] != 0) return false;
    result[i] = step;
    step *= wanted[i];
    left /= wanted[i];
  }
  *out = result;
  return true;
}

Shape infer_shape(Shape wanted, int64_t numel, const Shape& from, const char* op) {
  int64_t known = 1, unknown = -1;
  bool overflow = false;
  for (int64_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == -1) {
      GS_CHECK(unknown < 0, Value, op, "expected at most one size of -1, got ", wanted, ".");
      unknown = i;
      continue;
    }
    GS_CHECK(wanted[i] >= 0, Value, op, "expected sizes of at least 0 or one -1, got ", wanted,
             ".");
    overflow = overflow || __builtin_mul_overflow(known, wanted[i], &known);
  }
  if (unknown >= 0) {
    GS_CHECK(overflow || known != 0, Value, op, "the size -1 in ", wanted,
             " could be anything next to a size of 0; give it explicitly.");
    GS_CHECK(!overflow && numel % known == 0, Value, op, "shape ", wanted, " does not fit the ",
             numel, " elements of a tensor of shape ", from, ".");
    wanted[unknown] = numel / known;
    return wanted;
  }
  // A later 0 makes the count 0 whatever overflowed before it.
  const bool empty = std::find(wanted.begin(), wanted.end(), 0) != wanted.end();
  GS_CHECK(empty ? numel == 0 : !overflow && known == numel, Value, op, "shape ", wanted,
           " does not fit the ", numel, " elements of a tensor of shape ", from, ".");
  return wanted;
}

}  // namespace gs
