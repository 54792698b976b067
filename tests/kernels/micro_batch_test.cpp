// micro_batch_test.cpp - micro-batches that are weighted or dropped give on CUDA the bits of the CPU, in
// graphs too.
#include <limits>
#include <utility>

#include "kernels/gradient_pair.hpp"

namespace onepass::test {
namespace {

class CudaMicroBatch : public CudaTest {};

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
const Options kAccumulates{.accumulates_gradients = true};

/// The weights of three windows: one, equal ones, and some that leave the micro-batch out.
constexpr float kWeights[] = {17.0f, 2048.0f, 0.3f, 1.0f, 1.0f, 1.0f, 0.0f, 5.5f, 0x1p-30f};

TEST_F(CudaMicroBatch, WeightsGiveTheBitsOfTheCpu) {
  Pair pair(border_shapes(), {.clip_norm = ClipGradNorm{.max_norm = 0.5}}, kAccumulates);
  for (int batch = 0; batch < 9; ++batch) {
    pair.both([&](Model& model, Optimizer& optimizer) {
      model.draw_finite_gradients(batch);
      if (kWeights[batch] == 0.0f) spoil(model, 12, 5000, kNaN);
      std::vector<Tensor> gradients = model.gradients();
      if (batch % 3 != 1) gradients[11] = Tensor{};
      optimizer.set_gradients(gradients);
      optimizer.accumulate({.weight = kWeights[batch]});
      if (batch % 3 == 2) optimizer.step();
    });
  }
  EXPECT_EQ(pair.actual.steps(), 3);
  pair.expect_same();
}

TEST_F(CudaMicroBatch, WindowOfWeightZeroIsNoStep) {
  Pair pair(border_shapes(), {.nonfinite = NonFinite::skip, .zero_grad = true}, kAccumulates);
  pair.both([](Model& model, Optimizer& optimizer) {
    spoil(model, 12, 5000, kInf);
    optimizer.accumulate({.weight = 0});
    optimizer.step();
  });
  EXPECT_EQ(pair.actual.steps(), 0);
  EXPECT_EQ(pair.actual.skipped_steps(), 0);
  pair.expect_same();
}

// One graph, captured once, with another weight in the device's memory at every replay.
TEST_F(CudaMicroBatch, ReplaysReadTheWeightFromMemory) {
  Pair pair(border_shapes(), {}, kAccumulates);
  DeviceFloat weight(1.0f);
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph batch(stream,
                            [&] { pair.actual.accumulate({.weight_pointer = weight.get()}, stream); });
  EXPECT_EQ(batch.node_count(), 1);
  const CapturedGraph step(stream, [&] { pair.actual.step(stream); });
  for (int i = 0; i < 12; ++i) {
    const float now = i < 9 ? kWeights[i] : i == 9 ? kNaN : i == 10 ? -1.0f : kInf;
    pair.both([&](Model& model, Optimizer&) { model.draw_finite_gradients(i); });
    weight.set(now);
    synchronize(kGpu);
    pair.wanted.accumulate({.weight_pointer = &now});
    batch.replay(stream);
    if (i % 3 == 2) {
      pair.wanted.step();
      step.replay(stream);
    }
    stream.wait();
  }
  EXPECT_EQ(pair.actual.steps(), 3) << "the last window had no weight";
  pair.expect_same();
}

/// Places in the border shapes, one for each window.
constexpr std::pair<std::size_t, std::int64_t> kPlaces[] = {{12, 9002}, {7, 1024}, {1, 0}};

// Each window has a micro-batch with an element that is not finite, and the last one has only such.
TEST_F(CudaMicroBatch, DroppedOnesGiveTheBitsOfTheCpu) {
  Pair pair(border_shapes(),
            {.clip_norm = ClipGradNorm{.max_norm = 0.5},
             .loss_scaler = LossScaler{.init_scale = 64, .growth_interval = 1},
             .zero_grad = true},
            kAccumulates);
  for (int window = 0; window < 3; ++window) {
    const auto [tensor, element] = kPlaces[window];
    pair.both([&, t = tensor, i = element](Model& model, Optimizer& optimizer) {
      for (int batch = 0; batch < 3; ++batch) {
        model.draw_finite_gradients(3 * window + batch);
        if (batch == 1 || window == 2) spoil(model, t, i, batch == 1 ? kNaN : -kInf);
        optimizer.accumulate({.weight = batch + 0.5, .drop_nonfinite = true});
      }
      optimizer.step();
    });
    pair.expect_same();
  }
  EXPECT_EQ(pair.actual.dropped_micro_batches(), 5);
  EXPECT_EQ(pair.actual.steps(), 2);
  EXPECT_EQ(pair.actual.loss_scale(), 8.0f);
}

TEST_F(CudaMicroBatch, ReplaysDecideWhatIsDropped) {
  Pair pair(border_shapes(), {.nonfinite = NonFinite::skip}, kAccumulates);
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph batch(stream, [&] { pair.actual.accumulate({.drop_nonfinite = true}, stream); });
  EXPECT_EQ(batch.node_count(), 2) << "the test, and the sum";
  const CapturedGraph step(stream, [&] { pair.actual.step(stream); });
  for (int i = 0; i < 9; ++i) {
    pair.both([&](Model& model, Optimizer&) {
      model.draw_finite_gradients(i);
      if (i % 3 == 1) spoil(model, 12, 9002, kInf);
    });
    synchronize(kGpu);
    pair.wanted.accumulate({.drop_nonfinite = true});
    batch.replay(stream);
    if (i % 3 == 2) {
      pair.wanted.step();
      step.replay(stream);
    }
    stream.wait();
  }
  EXPECT_EQ(pair.actual.dropped_micro_batches(), 3);
  pair.expect_same();
}

// 600 tensors have more counts than one launch can write.
TEST_F(CudaMicroBatch, DroppedWindowIsGoneInGraphsToo) {
  const std::vector<Shape> shapes(600, {.numel = 3});
  Pair pair(shapes, {}, kAccumulates);
  pair.both([](Model& model, Optimizer& optimizer) {
    model.draw_gradients(1, 200);
    optimizer.accumulate({.weight = 7});
    optimizer.drop_accumulated();
    optimizer.step();
  });
  EXPECT_EQ(pair.actual.steps(), 0);
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph drop(stream, [&] { pair.actual.drop_accumulated(stream); });
  for (int i = 0; i < 2; ++i) {
    pair.both([&](Model& model, Optimizer& optimizer) {
      model.draw_finite_gradients(i);
      optimizer.accumulate();
    });
    synchronize(kGpu);
    pair.wanted.drop_accumulated();
    drop.replay(stream);
    stream.wait();
    pair.both([&](Model& model, Optimizer& optimizer) {
      model.draw_finite_gradients(i + 5);
      optimizer.accumulate();
      optimizer.step();
    });
  }
  EXPECT_EQ(pair.actual.steps(), 2);
  pair.expect_same();
}

}  // namespace
}  // namespace onepass::test
