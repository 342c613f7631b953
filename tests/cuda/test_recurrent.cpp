#include "kernels/params/recurrent.h"
#include "recurrent_layer.h"

namespace gs {
namespace {

using namespace twin;

TEST(Recurrent, KindsAndDtypes) {
  for (const CellKind kind : kKinds)
    for (const DType dtype : kFloating)
      for (const Sizes& s : {Sizes{4, 3, 5, 7}, Sizes{3, 6, 8, 40}, Sizes{1, 1, 1, 1}}) {
        Layer l;
        l.kind = kind, l.dtype = dtype, l.s = s;
        expect_layer(l);
        l.reverse = true, l.more = 9;
        expect_layer(l);
      }
}

TEST(Recurrent, OptionalParts) {
  for (const CellKind kind : kKinds) {
    Layer l;
    l.kind = kind;
    l.biases = false, l.weights = false;
    expect_layer(l);
    l.dout = false;
    expect_layer(l);
    l.dout = true, l.d_n = false;
    expect_layer(l);
    l.keep = false;
    expect_layer(l);
  }
}

TEST(Recurrent, CutProducts) {  // few rows and a long k: the cells add the parts
  for (const CellKind kind : {CellKind::Lstm, CellKind::Gru}) {
    for (const Sizes& s : {Sizes{2, 5, 530, 272}, Sizes{2, 2, 1100, 300}}) {
      Layer l;
      l.kind = kind, l.s = s;
      expect_layer(l);
    }
  }
  Layer l;  // many rows under dW_hh and db_hh
  l.s = {40, 20, 3, 9};
  expect_layer(l);
}

TEST(Recurrent, Empty) {
  for (const CellKind kind : kKinds) {
    for (const Sizes& s : {Sizes{0, 3, 5, 7}, Sizes{4, 0, 5, 7}, Sizes{4, 3, 0, 7}}) {
      Layer l;
      l.kind = kind, l.s = s;
      expect_layer(l);
    }
  }
}

TEST(Recurrent, Operation) {
  const int64_t steps = 3, batch = 4, inputs = 5, hidden = 6;
  const Tensor x = values({steps, batch, inputs}), h0 = values({2, batch, hidden}, -1, 1),
               c0 = values({2, batch, hidden}, -1, 1, DType::Float32, 2);
  Tensors weights;
  for (int i = 0; i < 2; ++i) {
    const Shape shapes[] = {{4 * hidden, inputs}, {4 * hidden, hidden}, {4 * hidden}, {4 * hidden}};
    for (const Shape& shape : shapes)
      weights.push_back(
          values(shape, -0.4, 0.4, DType::Float32, 3 + static_cast<int>(weights.size())));
  }
  Tensors here, there;
  for (const Device device : {Device{}, kCuda}) {
    const auto put = [&](const Tensor& t) { return ops::to_device(t, device); };
    Tensors w;
    for (const Tensor& t : weights) w.push_back(put(t));
    (device.is_cpu() ? here : there) =
        ops::lstm(put(x), put(h0), put(c0), w, true, 1, 0, false, true, false);
  }
  for (size_t i = 0; i < here.size(); ++i) expect_close(there[i], here[i], 1e-5);
}

}  // namespace
}  // namespace gs
