// Captured graphs: replays give what the same operations give one by one.
#include "core/device_runtime.h"
#include "core/error.h"
#include "core/random.h"
#include "twin.h"

namespace gs {
namespace {

using twin::kCuda;
using twin::values;

const DeviceRuntime& cuda() { return *cuda_runtime(); }

Tensor on_cuda(const Tensor& t) { return ops::to_device(t, kCuda); }
Tensor on_host(const Tensor& t) { return ops::to_device(t, Device{}); }

void expect_bits(const Tensor& a, const Tensor& b) {
  ASSERT_EQ(a.shape(), b.shape());
  const Tensor x = on_host(ops::contiguous(a)), y = on_host(ops::contiguous(b));
  const auto bytes = static_cast<size_t>(x.numel() * size_of(x.dtype()));
  ASSERT_EQ(std::memcmp(x.raw(), y.raw(), bytes), 0);
}

// Work captured in a stream of its own, in which the test goes on.
class Captured {
 public:
  explicit Captured(const std::function<void()>& work, uint64_t pool = 0) {
    bool begun = false, whole = false;
    try {
      cuda().set_current_stream(stream_);
      cuda().begin_capture(graph_, pool);
      begun = true;
      work();
      whole = true;
      leave(true);
    } catch (...) {
      if (begun && !whole) leave(false);
      drop();
      throw;
    }
  }
  ~Captured() { drop(); }

  void replay(const std::function<void()>& patch = {}) {
    cuda().begin_replay(graph_);
    if (patch) patch();
    cuda().end_replay(graph_, true);
    cuda().synchronize();
  }
  uint64_t pool() const { return cuda().graph_pool(graph_); }

 private:
  void leave(bool keep) {
    try {
      cuda().end_capture(graph_, keep);
    } catch (...) {
      cuda().set_current_stream(nullptr);
      throw;
    }
    cuda().set_current_stream(nullptr);
  }
  void drop() {
    cuda().delete_graph(graph_);
    cuda().delete_stream(stream_);
  }

  DeviceStream stream_ = cuda().new_stream();
  DeviceGraph graph_ = cuda().new_graph();
};

void expect_refused(const std::function<void()>& work, const std::string& text) {
  try {
    const Captured captured(work);
    FAIL() << "captured what should be refused";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find(text), std::string::npos) << e.what();
  }
}

TEST(Graph, ReplaysReadAndWriteWhereTheTensorsAre) {
  const Tensor x = on_cuda(values({3, 700}));
  Tensor y;
  Captured captured([&] { y = ops::sum(ops::mul(x, 2.0), Dims{1}, false, std::nullopt); });
  for (int seed = 2; seed < 5; ++seed) {
    const Tensor next = values({3, 700}, -2, 2, DType::Float32, seed);
    ops::copy_(x, next);
    captured.replay();
    expect_bits(y, ops::sum(ops::mul(on_cuda(next), 2.0), Dims{1}, false, std::nullopt));
  }
}

TEST(Graph, ReplaysDrawWhatOperationsWouldDraw) {
  const Tensor x = on_cuda(values({1111}));
  for (DType dtype : {DType::Float32, DType::Float64}) {
    const Tensor u = empty({777}, dtype, kCuda), n = empty({333}, dtype, kCuda);
    Tensor dropped;
    const auto draw = [&] {
      ops::uniform_(u, 0, 1, -1, -1);
      dropped = ops::dropout(x, 0.4, true);
      ops::normal_(n, 0, 1, -1, -1);
    };
    default_generator().manual_seed(5);
    default_generator().next();
    Captured captured(draw);
    EXPECT_EQ(default_generator().offset(), 1u) << "a capture draws nothing";
    const Tensor from_graph = dropped;
    std::vector<Tensor> drawn;
    for (int replay = 0; replay < 3; ++replay) {
      if (replay == 2) default_generator().manual_seed(17);
      captured.replay();
      for (const Tensor& t : {u, from_graph, n}) drawn.push_back(ops::clone(t));
    }
    default_generator().manual_seed(5);
    default_generator().next();
    for (int step = 0; step < 3; ++step) {
      if (step == 2) default_generator().manual_seed(17);
      draw();
      const Tensors now{u, dropped, n};
      for (size_t i = 0; i < 3; ++i) expect_bits(drawn[static_cast<size_t>(step) * 3 + i], now[i]);
    }
  }
}

TEST(Graph, TheGradientOfDropoutDrawsAgainWhatTheForwardDrew) {
  const Tensor x = on_cuda(values({999}, 0.5, 2));  // no negative zeros
  x.body()->requires_grad = true;
  Tensor y, g;
  const Tensor ones = on_cuda(ops::full({999}, Scalar(1.0), DType::Float32, Device{}));
  default_generator().manual_seed(3);
  const Tensor early = ops::dropout(x, 0.5, true);  // its gradient keeps the mask of then
  Tensor of_early;
  Captured captured([&] {
    y = ops::dropout(x, 0.5, true);
    g = autograd::grad({y}, {x}, {ones}, false, false, true)[0];
    of_early = autograd::grad({early}, {x}, {ones}, false, false, true)[0];
  });
  for (int replay = 0; replay < 3; ++replay) {
    captured.replay();
    expect_bits(ops::mul(ops::detach(x), g), ops::detach(y));
    expect_bits(ops::mul(ops::detach(x), of_early), ops::detach(early));
  }
}

// 300 tensors take two tables; the last ones are not dense.
TEST(Graph, OptimizersStepWithTheNumbersOfTheReplay) {
  Tensors params, twins, grads, means, squares, means2, squares2, steps, steps2;
  for (int i = 0; i < 300; ++i) {
    const Tensor value = values({1 + i % 7, 3}, -1, 1, DType::Float32, i);
    const auto placed = [&](const Tensor& t) {
      const Tensor there = on_cuda(t);
      return i < 298 ? there : ops::transpose(there, 0, 1);
    };
    params.push_back(placed(value)), twins.push_back(placed(value));
    grads.push_back(placed(values({1 + i % 7, 3}, -1, 1, DType::Float32, 1000 + i)));
    for (Tensors* list : {&means, &squares, &means2, &squares2})
      list->push_back(ops::mul(params.back(), 0.0));
    steps.push_back(ops::full({}, Scalar(double(i % 3)), DType::Float32, Device{}));
    steps2.push_back(ops::clone(steps.back()));
  }
  const auto step = [&](const Tensors& p, const Tensors& m, const Tensors& s, const Tensors& t,
                        double lr) {
    ops::adam_step(p, grads, m, s, {}, t, lr, 0.9, 0.99, 1e-8, 0.01, true, false, false, Tensor());
  };
  Captured captured([&] { step(params, means, squares, steps, 0.5); });
  EXPECT_EQ(*steps[1].data<float>(), 1) << "a capture is no step";
  for (double lr : {0.1, 0.1, 0.03}) {
    captured.replay([&] { step(params, means, squares, steps, lr); });
    step(twins, means2, squares2, steps2, lr);
    for (size_t i = 0; i < params.size(); ++i) {
      expect_bits(params[i], twins[i]);
      expect_bits(squares[i], squares2[i]);
      ASSERT_EQ(*steps[i].data<float>(), *steps2[i].data<float>());
    }
  }
  EXPECT_THROW(captured.replay(), Error) << "a step is missing";
}

TEST(Graph, OutOfRangeIndicesAreReportedAndNotUsed) {
  const Tensor table = on_cuda(values({10, 4})), logits = on_cuda(values({6, 5}));
  const Tensor index = on_cuda(ops::arange(0, 6, 1, DType::Int64, Device{}));
  const Tensor classes = on_cuda(ops::full({6}, Scalar(int64_t{3}), DType::Int64, Device{}));
  Tensor rows, picked, loss;
  Captured captured([&] {
    rows = ops::index_select(table, 0, index);
    picked = ops::gather(table, 0, ops::reshape(index, {6, 1}));
    loss = ops::cross_entropy(logits, classes, Tensor(), -100, "mean", 0.0);
  });
  captured.replay();
  expect_bits(rows, ops::index_select(table, 0, index));
  expect_bits(loss, ops::cross_entropy(logits, classes, Tensor(), -100, "mean", 0.0));
  for (int64_t bad : {int64_t{10}, int64_t{-1}, int64_t{1} << 40}) {
    ops::fill_(ops::narrow(index, 0, 4, 1), Scalar(bad));
    try {
      captured.replay();
      FAIL() << "an index of " << bad << " was not reported";
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::Index);
      EXPECT_NE(std::string(e.what()).find(std::to_string(bad)), std::string::npos) << e.what();
    }
    ops::fill_(ops::narrow(index, 0, 4, 1), Scalar(int64_t{9}));
    captured.replay();  // the next one is as if nothing had been
    expect_bits(rows, ops::index_select(table, 0, index));
  }
  // An ignored class is no fault; another one outside is, and counts as ignored.
  ops::fill_(ops::narrow(classes, 0, 0, 1), Scalar(int64_t{-100}));
  captured.replay();
  expect_bits(loss, ops::cross_entropy(logits, classes, Tensor(), -100, "mean", 0.0));
  ops::fill_(ops::narrow(classes, 0, 1, 1), Scalar(int64_t{5}));
  EXPECT_THROW(captured.replay(), Error);
  ops::fill_(ops::narrow(classes, 0, 1, 1), Scalar(int64_t{-100}));
  expect_bits(loss, ops::cross_entropy(logits, classes, Tensor(), -100, "mean", 0.0));
}

TEST(Graph, IndicesFromTheEnd) {
  const Tensor x = on_cuda(values({7, 3}));
  const Tensor index = on_cuda(ops::full({4}, Scalar(int64_t{-2}), DType::Int64, Device{}));
  Tensor y;
  Captured captured([&] { y = ops::index(x, {index}); });
  captured.replay();
  const Tensor sixth = on_cuda(ops::full({4}, Scalar(int64_t{5}), DType::Int64, Device{}));
  expect_bits(y, ops::index_select(x, 0, sixth));
}

TEST(Graph, RefusesWhatItCannotHold) {
  const Tensor x = on_cuda(values({5}));
  const Tensor here = values({5});
  expect_refused([&] { ops::sum(x, std::nullopt, false, std::nullopt).item(); }, "the host asks");
  expect_refused([&] { on_host(x); }, "the host asks");
  expect_refused([&] { on_cuda(here); }, "tensor of the host");
  expect_refused([&] { ops::nonzero(ops::gt(x, 0.0)); }, "[nonzero]");
  expect_refused([&] { cuda().synchronize(); }, "[synchronize]");
  expect_refused([&] { cuda().empty_cache(); }, "[empty_cache]");
  expect_refused([&] { cuda().set_current_stream(nullptr); }, "[set_stream]");
  expect_refused([&] { ops::uniform_(x, 0, 1, 3, 4); }, "generator of its own");
  expect_refused([&] { default_generator().manual_seed(4); }, "seeded");
  expect_refused([&] { const Captured inner([] {}); }, "[set_stream]");
  const DeviceGraph graph = cuda().new_graph();
  EXPECT_THROW(cuda().begin_capture(graph, 0), Error) << "the default stream";
  cuda().delete_graph(graph);
  expect_bits(ops::add(x, 1.0, 1), ops::add(x, 1.0, 1));  // everything goes on
  EXPECT_EQ(cuda().memory_stats(0).graphs, 0);
}

TEST(Graph, ItsMemoryIsItsOwnUntilItIsDropped) {
  const Tensor x = on_cuda(values({4096}));
  const int64_t in_use = cuda().memory_stats(0).in_use;
  Tensor y, z;
  {
    Captured first([&] { y = ops::exp(ops::mul(x, 2.0)); });
    const int64_t held = cuda().memory_stats(0).graphs;
    EXPECT_GE(held, 2 * 4096 * 4) << "y and what is between";
    EXPECT_GE(cuda().memory_stats(0).in_use, held);
    const Tensor others = ops::mul(x, 3.0);  // does not get the graph's memory
    first.replay();
    expect_bits(others, ops::mul(x, 3.0));
    Captured second([&] { z = ops::exp(ops::mul(x, 3.0)); }, first.pool());
    EXPECT_LT(cuda().memory_stats(0).graphs, 2 * held) << "what is between is shared";
    first.replay();
    second.replay();
    expect_bits(y, ops::exp(ops::mul(x, 2.0)));
    expect_bits(z, ops::exp(ops::mul(x, 3.0)));
  }
  EXPECT_EQ(cuda().memory_stats(0).graphs, 0);
  expect_bits(y, ops::exp(ops::mul(x, 2.0)));  // results outlive their graph
  y = z = Tensor();
  EXPECT_EQ(cuda().memory_stats(0).in_use, in_use);
}

// What was freed while recording may be used by what was recorded before.
TEST(Graph, MemoryThatIsFreedWhileRecordingStaysWithIt) {
  Tensor x = on_cuda(values({2048}));
  const Tensor copy = ops::clone(x);
  Tensor y;
  cuda().empty_cache();  // the next tensor would get x's memory
  Captured captured([&] {
    y = ops::mul(x, 2.0);
    x = Tensor();
  });
  const Tensor other = ops::mul(copy, 5.0);
  captured.replay();
  expect_bits(y, ops::mul(copy, 2.0));
  expect_bits(other, ops::mul(copy, 5.0));
}

}  // namespace
}  // namespace gs
