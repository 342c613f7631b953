// Layers whose steps are all one kernel: LSTM and GRU of at most 32 bits that fit the device. The
// emulated one holds 16 blocks: 64 hidden units in fours, 128 in eights.
#include <cstring>

#include "kernels/params/recurrent.h"
#include "portable.cuh"
#include "recurrent_layer.h"

namespace gs {
namespace {

using namespace twin;

const CellKind kGated[] = {CellKind::Lstm, CellKind::Gru};
const DType kTypes[] = {DType::Float32, DType::Float16, DType::BFloat16};

Layer layer_of(CellKind kind, DType dtype, const Sizes& s) {
  Layer l;
  l.kind = kind, l.dtype = dtype, l.s = s;
  return l;
}

// Few sequences, narrow slices; an odd and an even number of steps.
TEST(RecurrentPersistent, Few) {
  for (const CellKind kind : kGated)
    for (const DType dtype : kTypes) {
      expect_layer(layer_of(kind, dtype, {5, 3, 6, 30}));
      Layer back = layer_of(kind, dtype, {2, 8, 5, 64});
      back.reverse = true, back.more = 3;
      expect_layer(back);
    }
}

// Wide slices; several groups of sequences, and several passes of a group.
TEST(RecurrentPersistent, Many) {
  for (const CellKind kind : kGated)
    for (const DType dtype : kTypes) {
      expect_layer(layer_of(kind, dtype, {3, 37, 4, 21}));
      expect_layer(layer_of(kind, dtype, {4, 50, 4, 75}));
    }
}

// The emulated device, larger for the length of a test.
struct Processors {
#if defined(GRADSTONE_CUDA_EMU)
  explicit Processors(int n) { cuda_host::options().processors = n; }
  ~Processors() { cuda_host::options().processors = 4; }
#else
  explicit Processors(int) {}
#endif
};

TEST(RecurrentPersistent, DeepForward) {
  const Processors more(9);
  expect_layer(layer_of(CellKind::Lstm, DType::Float32, {3, 2, 4, 141}));
  expect_layer(layer_of(CellKind::Gru, DType::BFloat16, {3, 17, 4, 141}));
}

// A depth of several pieces, more of them than are under way at one time.
TEST(RecurrentPersistent, Deep) {
  expect_layer(layer_of(CellKind::Lstm, DType::Float32, {3, 17, 4, 128}));
  expect_layer(layer_of(CellKind::Lstm, DType::BFloat16, {3, 2, 4, 63}));
  expect_layer(layer_of(CellKind::Gru, DType::Float16, {3, 19, 4, 127}));
}

TEST(RecurrentPersistent, OptionalParts) {
  for (const CellKind kind : kGated) {
    Layer l = layer_of(kind, DType::Float32, {4, 5, 3, 18});
    l.biases = false;
    expect_layer(l);
    l.dout = false;
    expect_layer(l);
    l.dout = true, l.d_n = false;
    expect_layer(l);
    l.keep = false;
    expect_layer(l);
  }
}

// Too many sequences for a few passes, too many units for the device: a kernel a step.
TEST(RecurrentPersistent, TooLarge) {
  expect_layer(layer_of(CellKind::Lstm, DType::Float32, {2, 161, 3, 70}));
  expect_layer(layer_of(CellKind::Gru, DType::Float32, {2, 3, 3, 130}));
}

// Whoever waits longest: a block has little to do in the last units, and every step ends together.
TEST(RecurrentPersistent, ManySteps) {
  for (const CellKind kind : kGated) expect_layer(layer_of(kind, DType::Float32, {33, 2, 3, 61}));
}

TEST(RecurrentPersistent, SameBits) {
  for (const DType dtype : kTypes) {
    const Layer l = layer_of(CellKind::Lstm, dtype, {7, 20, 4, 40});
    const Tensors here = forward(l, Device{});
    const auto bits = [&] {
      Tensors all = forward(l, kCuda);
      for (const Tensor& t : backward(l, kCuda, here)) all.push_back(t);
      std::vector<char> bytes;
      for (const Tensor& t : all) {
        const Tensor host = ops::to_device(t, Device{});
        const char* p = static_cast<const char*>(host.raw());
        bytes.insert(bytes.end(), p, p + host.numel() * size_of(dtype));
      }
      return bytes;
    };
    EXPECT_EQ(bits(), bits());
  }
}

}  // namespace
}  // namespace gs
