#include <gtest/gtest.h>

#include <functional>
#include <sstream>

#include "core/shape.h"

namespace gs {
namespace {

std::string text(const Dims& dims) {
  std::ostringstream out;
  out << dims;
  return out.str();
}

void expect_error(ErrorKind kind, const std::string& message, const std::function<void()>& f) {
  try {
    f();
    ADD_FAILURE() << "no error; expected: " << message;
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), kind);
    EXPECT_EQ(e.what(), message);
  }
}

TEST(Dims, ListOperations) {
  Dims d{2, 3, 4};
  d.insert(0, 7);
  d.insert(4, 9);
  d.insert(2, 8);
  EXPECT_EQ(d, (Dims{7, 2, 8, 3, 4, 9}));
  d.erase(0);
  d.erase(4);
  d.erase(1);
  EXPECT_EQ(d, (Dims{2, 3, 4}));
  EXPECT_EQ(Dims(3, 1), (Dims{1, 1, 1}));
  EXPECT_EQ(text({}), "()");
  EXPECT_EQ(text({5}), "(5,)");
  EXPECT_EQ(text({2, 3}), "(2, 3)");
  expect_error(ErrorKind::Value, "[shape] expected at most 12 dimensions, got more.",
               [] { Dims(13, 1); });
}

TEST(Shape, Numel) {
  EXPECT_EQ(checked_numel({}, "f"), 1);
  EXPECT_EQ(checked_numel({2, 3, 4}, "f"), 24);
  EXPECT_EQ(checked_numel({2, 0, 4}, "f"), 0);
  expect_error(ErrorKind::Value, "[f] expected sizes of at least 0, got shape (2, -1).",
               [] { checked_numel({2, -1}, "f"); });
  const int64_t big = int64_t(1) << 32;
  EXPECT_EQ(checked_numel({big, big / 4}, "f"), int64_t(1) << 62);
  for (const Shape& shape : {Shape{big, big}, Shape{big, 0, big}, Shape{0, big, big}})
    EXPECT_THROW(checked_numel(shape, "f"), Error) << shape;
}

TEST(Shape, ContiguousStrides) {
  EXPECT_EQ(contiguous_strides({2, 3, 4}), (Strides{12, 4, 1}));
  EXPECT_EQ(contiguous_strides({2, 0, 4}), (Strides{4, 4, 1}));
  EXPECT_EQ(contiguous_strides({}), Strides{});
  EXPECT_TRUE(is_contiguous({2, 3}, {3, 1}));
  EXPECT_TRUE(is_contiguous({2, 1, 3}, {3, 99, 1}));
  EXPECT_TRUE(is_contiguous({5, 0}, {7, 9}));
  EXPECT_TRUE(is_contiguous({0, 5}, {7, 9}));
  EXPECT_TRUE(is_contiguous({}, {}));
  EXPECT_FALSE(is_contiguous({2, 3}, {1, 2}));
  EXPECT_FALSE(is_contiguous({2, 3}, {6, 2}));
}

TEST(Shape, Dense) {
  EXPECT_TRUE(is_dense({2, 3, 4}, {12, 4, 1}));
  EXPECT_TRUE(is_dense({4, 3, 2}, {1, 4, 12}));
  EXPECT_TRUE(is_dense({3, 1, 2}, {2, 50, 1}));
  EXPECT_TRUE(is_dense({3, 0}, {5, 5}));
  EXPECT_FALSE(is_dense({3, 2}, {0, 1}));
  EXPECT_FALSE(is_dense({3, 2}, {4, 1}));
  EXPECT_FALSE(is_dense({3, 2}, {1, 1}));
}

TEST(Shape, Broadcast) {
  EXPECT_EQ(broadcast({2, 1, 4}, {3, 1}, "f"), (Shape{2, 3, 4}));
  EXPECT_EQ(broadcast({}, {3, 1}, "f"), (Shape{3, 1}));
  EXPECT_EQ(broadcast({1}, {0}, "f"), (Shape{0}));
  EXPECT_EQ(broadcast({0, 1}, {5}, "f"), (Shape{0, 5}));
  expect_error(ErrorKind::Value, "[add] shapes (2, 3) and (4,) cannot be broadcast together.",
               [] { broadcast({2, 3}, {4}, "add"); });
  EXPECT_THROW(broadcast({0}, {2}, "add"), Error);
}

TEST(Shape, WrapDim) {
  EXPECT_EQ(wrap_dim(-1, 3, "f"), 2);
  EXPECT_EQ(wrap_dim(-3, 3, "f"), 0);
  EXPECT_EQ(wrap_dim(2, 3, "f"), 2);
  EXPECT_EQ(wrap_dim(0, 0, "f"), 0);
  EXPECT_EQ(wrap_dim(-1, 0, "f"), 0);
  expect_error(ErrorKind::Index, "[sum] expected a dimension from -2 to 1, got 2.",
               [] { wrap_dim(2, 2, "sum"); });
  EXPECT_THROW(wrap_dim(1, 0, "f"), Error);
}

TEST(Shape, InferShape) {
  EXPECT_EQ(infer_shape({2, -1}, 6, {6}, "view"), (Shape{2, 3}));
  EXPECT_EQ(infer_shape({-1}, 1, {}, "view"), (Shape{1}));
  EXPECT_EQ(infer_shape({}, 1, {1, 1}, "view"), Shape{});
  EXPECT_EQ(infer_shape({3, -1}, 0, {0}, "view"), (Shape{3, 0}));
  EXPECT_EQ(infer_shape({0, 5}, 0, {0}, "view"), (Shape{0, 5}));
  expect_error(ErrorKind::Value,
               "[view] shape (4, -1) does not fit the 6 elements of a tensor of shape (2, 3).",
               [] { infer_shape({4, -1}, 6, {2, 3}, "view"); });
  const int64_t big = int64_t(1) << 32;
  for (const Shape& bad : {Shape{-1, -1}, Shape{-2, 3}, Shape{5}, Shape{0, -1}, Shape{big, big},
                           Shape{big, big, -1}, Shape{0}})
    EXPECT_THROW(infer_shape(bad, 6, {6}, "view"), Error) << bad;
  EXPECT_THROW(infer_shape({0, -1}, 0, {0}, "view"), Error);
}

// A view is right when its i-th element in row-major order lies where the tensor's i-th lies.
int64_t offset_of(int64_t i, const Shape& shape, const Strides& strides) {
  int64_t offset = 0;
  for (int64_t d = shape.size() - 1; d >= 0; --d) {
    offset += i % shape[d] * strides[d];
    i /= shape[d];
  }
  return offset;
}

TEST(Shape, ViewStrides) {
  struct Case {
    Shape shape;
    Strides strides;
    Shape wanted;
    bool possible;
  };
  const Case cases[] = {
      {{2, 3, 4}, {12, 4, 1}, {6, 4}, true},
      {{2, 3, 4}, {12, 4, 1}, {24}, true},
      {{2, 3, 4}, {12, 4, 1}, {4, 1, 3, 2}, true},
      {{3, 2}, {1, 3}, {6}, false},
      {{3, 2}, {1, 3}, {3, 1, 2}, true},
      {{4, 6}, {12, 2}, {4, 2, 3}, true},  // every second element
      {{4, 6}, {12, 2}, {24}, true},       // rows of 12: still one run
      {{4, 6}, {24, 2}, {24}, false},
      {{4, 6}, {24, 2}, {2, 2, 6}, true},
      {{4, 3}, {0, 1}, {2, 2, 3}, true},  // broadcast
      {{4, 3}, {0, 1}, {12}, false},
      {{4, 3}, {0, 0}, {12}, true},
      {{1, 4}, {77, 1}, {4, 1, 1}, true},
      {{}, {}, {1, 1}, true},
      {{1, 1}, {5, 7}, {}, true},
      {{4, 3}, {3, 1}, {5}, false},
      {{0, 3}, {3, 1}, {7, 0}, true},
  };
  for (const Case& c : cases) {
    Strides out;
    EXPECT_EQ(view_strides(c.shape, c.strides, c.wanted, &out), c.possible)
        << c.shape << c.strides << " as " << c.wanted;
    if (!c.possible) continue;
    ASSERT_EQ(out.size(), c.wanted.size());
    const int64_t n = checked_numel(c.shape, "test");
    for (int64_t i = 0; i < n; ++i)
      EXPECT_EQ(offset_of(i, c.wanted, out), offset_of(i, c.shape, c.strides));
  }
}

}  // namespace
}  // namespace gs
