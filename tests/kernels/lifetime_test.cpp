// lifetime_test.cpp - optimizers that are destroyed or moved while the device is at work, or that share it.
#include "kernels/cuda_test.hpp"

namespace onepass::test {
namespace {

class CudaLifetime : public CudaTest {};

const std::vector<Shape> kShapes{{.numel = 700}, {.numel = 131, .value_misalignment = 1}};
constexpr int kSteps = 6;

/// Takes kSteps steps on the CPU with one gradient for all, so that a CUDA twin need not wait between steps.
Snapshot values_after(const AdamW& rule) {
  Model model(kShapes);
  Optimizer optimizer(rule, model.parameters());
  for (int step = 0; step < kSteps; ++step) optimizer.step();
  return {{"t0", model.value(0).read()}, {"t1", model.value(1).read()}};
}

Snapshot values_of(Model& model) { return {{"t0", model.value(0).read()}, {"t1", model.value(1).read()}}; }

TEST_F(CudaLifetime, OptimizerMayBeDestroyedWhileStepsAreInFlight) {
  Model model(kShapes, kGpu);
  const CudaStream stream;
  {
    Optimizer optimizer(AdamW{}, model.parameters());
    synchronize(kGpu);
    for (int step = 0; step < kSteps; ++step) optimizer.step(stream);
  }
  stream.wait();
  EXPECT_TRUE(equal_bits(values_after({}), values_of(model)));
  EXPECT_TRUE(model.intact());
}

TEST_F(CudaLifetime, OptimizerMayBeMovedWhileStepsAreInFlight) {
  Model model(kShapes, kGpu), other(kShapes, kGpu);
  const CudaStream stream;
  Optimizer first{AdamW{}, model.parameters()};
  Optimizer target{AdamW{.lr = 0.5}, other.parameters()};
  synchronize(kGpu);
  for (int step = 0; step < 3; ++step) first.step(stream);
  target.step(stream);
  Optimizer second = std::move(first);
  target = std::move(second);  // ends the optimizer of `other` in flight
  for (int step = 3; step < kSteps; ++step) target.step(stream);
  stream.wait();
  EXPECT_TRUE(equal_bits(values_after({}), values_of(model)));
  EXPECT_TRUE(model.intact());
  EXPECT_TRUE(other.intact());
}

TEST_F(CudaLifetime, TwoOptimizersStepOnTwoStreamsAtOnce) {
  const AdamW rules[] = {{.lr = 0.1}, {.lr = 0.02, .weight_decay = 0.3}};
  Model models[] = {Model(kShapes, kGpu), Model(kShapes, kGpu)};
  Optimizer optimizers[] = {Optimizer(rules[0], models[0].parameters()),
                            Optimizer(rules[1], models[1].parameters())};
  const CudaStream streams[2];
  synchronize(kGpu);
  for (int step = 0; step < kSteps; ++step) {
    for (int i = 0; i < 2; ++i) optimizers[i].step(streams[i]);
  }
  for (int i = 0; i < 2; ++i) {
    streams[i].wait();
    EXPECT_TRUE(equal_bits(values_after(rules[i]), values_of(models[i]))) << "optimizer " << i;
    EXPECT_EQ(optimizers[i].step_count("t0", streams[i]), kSteps);
  }
}

TEST_F(CudaLifetime, ParametersMayBeAddedWhileStepsAreInFlight) {
  Model model(kShapes, kGpu), late({{.numel = 9, .id = 9}, {.numel = 4, .id = 10}}, kGpu);
  Optimizer optimizer(AdamW{}, model.parameters());
  const CudaStream stream;
  synchronize(kGpu);
  for (int step = 0; step < 3; ++step) optimizer.step(stream);
  optimizer.add_parameters(late.parameters());
  for (int step = 3; step < kSteps; ++step) optimizer.step(stream);
  stream.wait();
  EXPECT_TRUE(equal_bits(values_after({}), values_of(model)));
  EXPECT_EQ(optimizer.step_count("t9"), kSteps - 3);
}

TEST_F(CudaLifetime, MovedBufferKeepsItsMemory) {
  DeviceBuffer first(kGpu, 64);
  void* const memory = first.data();
  DeviceBuffer second = std::move(first);
  EXPECT_EQ(second.data(), memory);
  second = DeviceBuffer(kGpu, 32);
  EXPECT_EQ(second.bytes(), 32u);
}

}  // namespace
}  // namespace onepass::test
