// clip_groups_test.cpp - clipping by group and by parameter gives on CUDA the bits of the CPU, in graphs too.
#include <limits>

#include "kernels/cuda_test.hpp"
#include "support/numbers/compare.hpp"

namespace onepass::test {
namespace {

class CudaClipGroups : public CudaTest {};

/// More groups than a pass of the reduction has.
constexpr std::size_t kGroups = 19;

std::vector<Shape> shapes() {
  std::vector<Shape> all;
  for (std::size_t i = 0; i < 45; ++i) {
    const std::int64_t numel = i == 7 ? 9003 : i == 20 ? 4097 : static_cast<std::int64_t>(i * i);
    all.push_back({.numel = numel, .grad_misalignment = static_cast<int>(i % 4), .group = i * 5 % kGroups});
  }
  return all;
}

Optimizer made(const Model& model) {
  return Optimizer(std::vector<AdamW>(kGroups, AdamW{.lr = 0.01}), model.parameters());
}

ClipGradNorm by_group(NormType type) { return {.max_norm = 0.05, .norm_type = type, .per_group = true}; }
ClipGradNorm by_parameter(NormType type, bool exact) {
  return {.max_norm = 0.05, .norm_type = type, .per_parameter = true, .exact = exact};
}

void expect_same(Model& cpu, Optimizer& wanted, Model& gpu, Optimizer& actual) {
  EXPECT_EQ(wanted.grad_norm(), actual.grad_norm());
  for (std::size_t group = 0; group < kGroups; ++group) {
    EXPECT_EQ(wanted.grad_norm(group), actual.grad_norm(group)) << group;
  }
  for (const Parameter& parameter : cpu.parameters()) {
    EXPECT_EQ(wanted.grad_norm(parameter.name), actual.grad_norm(parameter.name)) << parameter.name;
  }
  EXPECT_TRUE(equal_bits(snapshot(cpu.parameters(), wanted), snapshot(gpu.parameters(), actual)));
}

TEST_F(CudaClipGroups, EveryNormClipsWithTheBitsOfTheCpu) {
  for (const NormType type : {NormType::l1, NormType::l2, NormType::infinity}) {
    Model cpu(shapes()), gpu(shapes(), kGpu);
    Optimizer wanted = made(cpu), actual = made(gpu);
    wanted.clip_grad_norm(by_group(type));
    actual.clip_grad_norm(by_group(type));
    train_finite(cpu, wanted, 2);
    train_finite(gpu, actual, 2);
    EXPECT_GT(actual.grad_norm(kGroups - 1), 0.05);
    expect_same(cpu, wanted, gpu, actual);
  }
}

TEST_F(CudaClipGroups, EveryNormClipsByParameterWithTheBitsOfTheCpu) {
  for (const NormType type : {NormType::l1, NormType::l2, NormType::infinity}) {
    for (const bool exact : {false, true}) {
      Model cpu(shapes()), gpu(shapes(), kGpu);
      Optimizer wanted = made(cpu), actual = made(gpu);
      wanted.clip_grad_norm(by_parameter(type, exact));
      actual.clip_grad_norm(by_parameter(type, exact));
      train_finite(cpu, wanted, 2);
      train_finite(gpu, actual, 2);
      EXPECT_GT(actual.grad_norm("t44"), 0.05);
      expect_same(cpu, wanted, gpu, actual);
    }
  }
}

// One tensor of more leaves than the grid has warps, so that several of them add to it.
TEST_F(CudaClipGroups, WarpsShareATensorAndThreadBlocksShareSmallOnes) {
  std::vector<Shape> mixed = shapes();
  mixed[11].numel = 700001;
  for (int i = 0; i < 300; ++i) mixed.push_back({.numel = i % 3});
  Model cpu(mixed), gpu(mixed, kGpu);
  Optimizer wanted = made(cpu), actual = made(gpu);
  wanted.clip_grad_norm(by_parameter(NormType::l2, false));
  actual.clip_grad_norm(by_parameter(NormType::l2, false));
  train_finite(cpu, wanted, 1);
  train_finite(gpu, actual, 1);
  expect_same(cpu, wanted, gpu, actual);
}

TEST_F(CudaClipGroups, ReplaysChooseBetweenAllGroupsAndParameters) {
  Model cpu(shapes()), gpu(shapes(), kGpu);
  Optimizer wanted = made(cpu), actual = made(gpu);
  actual.clip_grad_norm(1.0);
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph graph(stream, [&] { actual.step(stream); });
  EXPECT_EQ(graph.node_count(), 3);
  for (int step = 0; step < 6; ++step) {
    ClipGradNorm clip = by_parameter(NormType::l2, false);
    clip.per_parameter = step % 3 == 1;
    clip.per_group = step % 3 == 2;
    wanted.clip_grad_norm(clip);
    actual.clip_grad_norm(clip, stream);
    cpu.draw_finite_gradients(step);
    gpu.draw_finite_gradients(step);
    synchronize(kGpu);
    wanted.step();
    graph.replay(stream);
    stream.wait();
    expect_same(cpu, wanted, gpu, actual);
  }
}

TEST_F(CudaClipGroups, ReplaysTurnItOnAndOff) {
  Model cpu(shapes()), gpu(shapes(), kGpu);
  Optimizer wanted = made(cpu), actual = made(gpu);
  actual.clip_grad_norm(1.0);
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph graph(stream, [&] { actual.step(stream); });
  EXPECT_EQ(graph.node_count(), 3);
  for (int step = 0; step < 4; ++step) {
    ClipGradNorm clip = by_group(NormType::l2);
    clip.per_group = step % 2 == 0;
    wanted.clip_grad_norm(clip);
    actual.clip_grad_norm(clip, stream);
    cpu.draw_finite_gradients(step);
    gpu.draw_finite_gradients(step);
    synchronize(kGpu);
    wanted.step();
    graph.replay(stream);
    stream.wait();
    expect_same(cpu, wanted, gpu, actual);
  }
}

void expect_same_skips(const ClipGradNorm& clip) {
  Model cpu(shapes()), gpu(shapes(), kGpu);
  Optimizer wanted = made(cpu), actual = made(gpu);
  for (Optimizer* one : {&wanted, &actual}) {
    one->set_gradient_handling({.clip_norm = clip, .nonfinite = NonFinite::skip});
  }
  for (int step = 0; step < 3; ++step) {
    for (Model* model : {&cpu, &gpu}) {
      model->draw_finite_gradients(step);
      std::vector<float> gradient = model->grad(7).read();
      if (step == 1) gradient[9002] = std::numeric_limits<float>::infinity();
      model->grad(7).write(gradient);
    }
    wanted.step();
    actual.step();
    expect_same(cpu, wanted, gpu, actual);
  }
  EXPECT_EQ(actual.skipped_steps(), 1);
}

TEST_F(CudaClipGroups, SkippedStepsMeasureAsTheCpuDoes) {
  expect_same_skips(by_group(NormType::l2));
  expect_same_skips(by_parameter(NormType::l2, false));
}

}  // namespace
}  // namespace onepass::test
