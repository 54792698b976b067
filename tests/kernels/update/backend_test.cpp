// backend_test.cpp - the CUDA backend does what the CPU backend does besides stepping: it changes gradients,
// moves states and takes added parameters.
#include "kernels/cuda_test.hpp"
#include "support/numbers/compare.hpp"

namespace onepass::test {
namespace {

class CudaBackend : public CudaTest {};

const std::vector<Shape> kShapes{
    {.numel = 70}, {.numel = 0}, {.numel = 133, .value_misalignment = 1}, {.numel = 3}};

TEST_F(CudaBackend, DeviceIsNamed) {
  EXPECT_EQ(to_string(kGpu), "cuda:0");
  EXPECT_FALSE(device_name(kGpu).empty());
}

TEST_F(CudaBackend, CopiesAndZerosReachEveryByte) {
  const std::vector<float> values{1.0f, -2.0f, 3.5f, 4.0f, 5.0f};
  const DeviceBuffer buffer(kGpu, 20), other(kGpu, 20);
  std::vector<float> back(5);
  copy({kGpu, buffer.data()}, {Device::cpu(), values.data()}, 20);
  copy({kGpu, other.data()}, {kGpu, buffer.data()}, 20);
  fill_zero({kGpu, other.as<float>() + 1}, 8);
  copy({Device::cpu(), back.data()}, {kGpu, other.data()}, 20);
  EXPECT_TRUE(equal_bits(std::vector<float>{1.0f, 0.0f, 0.0f, 4.0f, 5.0f}, back));
}

TEST_F(CudaBackend, NullGradientLeavesParameterStatesAndStepCountAlone) {
  for (const RuleCase& rule : one_case_per_layout()) {
    SCOPED_TRACE(rule.name);
    Model cpu(kShapes), gpu(kShapes, kGpu);
    Optimizer wanted = rule.make(cpu.parameters());
    Optimizer actual = rule.make(gpu.parameters());
    for (const auto& [model, optimizer] : {std::pair{&cpu, &wanted}, std::pair{&gpu, &actual}}) {
      train(*model, *optimizer, 1);
      std::vector<Tensor> gradients = model->gradients();
      gradients[0] = Tensor{};
      optimizer->set_gradients(gradients);
      train(*model, *optimizer, 1, 2);
      optimizer->set_gradients(model->gradients());
      train(*model, *optimizer, 1, 3);
    }
    EXPECT_EQ(actual.step_count("t0"), 2);
    EXPECT_EQ(actual.step_count("t2"), 3);
    EXPECT_TRUE(equal_bits(snapshot(cpu.parameters(), wanted), snapshot(gpu.parameters(), actual)));
  }
}

// More pointers change than the arguments of one launch hold, with unchanged pointers between them.
TEST_F(CudaBackend, ManyGradientsChangeAtOnce) {
  const std::vector<Shape> shapes(1203, Shape{.numel = 1});
  Model cpu(shapes), gpu(shapes, kGpu), elsewhere(shapes, kGpu);
  Optimizer wanted(SGD{.lr = 0.1}, cpu.parameters());
  Optimizer actual(SGD{.lr = 0.1}, gpu.parameters());
  std::vector<Tensor> gradients = elsewhere.gradients();
  const std::vector<Tensor> kept = gpu.gradients();
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    if (i % 3 == 0) {
      gradients[i] = kept[i];
    } else {
      gpu.grad(i).write(std::vector<float>{1e6f});  // must not be read any more
    }
  }
  actual.set_gradients(gradients);
  wanted.step();
  actual.step();
  EXPECT_TRUE(equal_bits(snapshot(cpu.parameters(), wanted), snapshot(gpu.parameters(), actual)));
  gradients.back() = Tensor{};
  actual.set_gradients(gradients);
  actual.step();
  EXPECT_EQ(actual.step_count("t1201"), 2);
  EXPECT_EQ(actual.step_count("t1202"), 1);
}

TEST_F(CudaBackend, FoundInfSkipsTheStep) {
  for (const RuleCase& rule : one_case_per_layout()) {
    SCOPED_TRACE(rule.name);
    Model model(kShapes, kGpu);
    Optimizer optimizer = rule.make(model.parameters());
    train(model, optimizer, 1);
    DeviceFloat found_inf(2.0f);
    optimizer.set_found_inf(found_inf.get());
    train(model, optimizer, 1, 50);
    EXPECT_EQ(optimizer.skipped_steps(), 1);
    found_inf.set(0.0f);
    train(model, optimizer, 1, 2);
    optimizer.set_found_inf(nullptr);
    train(model, optimizer, 1, 3);
    EXPECT_EQ(optimizer.skipped_steps(), 1);
    EXPECT_TRUE(equal_bits(on_cpu(rule, kShapes, 3), snapshot(model.parameters(), optimizer)));
  }
}

TEST_F(CudaBackend, ZeroGradWritesZerosToGradientsAndNothingElse) {
  Model model({{.numel = 0},
               {.numel = 70, .grad_misalignment = 1},
               {.numel = 3},
               {.numel = 200, .grad_misalignment = 3}},
              kGpu);
  Optimizer optimizer(AdamW{}, model.parameters(), {.chunk_size = 64});
  train(model, optimizer, 1);
  const Snapshot before = snapshot(model.parameters(), optimizer);
  const std::vector<float> kept = model.grad(2).read();
  std::vector<Tensor> gradients = model.gradients();
  gradients[2] = Tensor{};
  optimizer.set_gradients(gradients);
  optimizer.zero_grad();
  for (const std::size_t i : {0u, 1u, 3u}) {
    const std::vector<float> zeros(static_cast<std::size_t>(model.shape(i).numel), 0.0f);
    EXPECT_TRUE(equal_bits(zeros, model.grad(i).read())) << "tensor " << i;
  }
  EXPECT_TRUE(equal_bits(kept, model.grad(2).read()));
  EXPECT_TRUE(equal_bits(before, snapshot(model.parameters(), optimizer)));
  EXPECT_TRUE(model.intact());
}

TEST_F(CudaBackend, LateParametersStartAtStepOne) {
  const std::vector<Shape> late_shapes{{.numel = 41, .id = 7}, {.numel = 0, .id = 8}};
  for (const RuleCase& rule : one_case_per_layout()) {
    SCOPED_TRACE(rule.name);
    Model cpu(kShapes), gpu(kShapes, kGpu), cpu_late(late_shapes), gpu_late(late_shapes, kGpu);
    Optimizer wanted = rule.make(cpu.parameters());
    Optimizer actual = rule.make(gpu.parameters());
    train(cpu, wanted, 2);
    train(gpu, actual, 2);
    wanted.add_parameters(cpu_late.parameters());
    actual.add_parameters(gpu_late.parameters());
    train(cpu, wanted, 1, 3);
    train(gpu, actual, 1, 3);
    EXPECT_EQ(actual.step_count("t7"), 1);
    EXPECT_EQ(actual.step_count("t0"), 3);
    EXPECT_TRUE(equal_bits(snapshot(cpu.parameters(), wanted), snapshot(gpu.parameters(), actual)));
    EXPECT_TRUE(equal_bits(snapshot(cpu_late.parameters(), wanted), snapshot(gpu_late.parameters(), actual)));
  }
}

/// Takes two steps on one device and two more on the other.
void expect_dict_crosses(const RuleCase& rule, Device from, Device to) {
  Model first(kShapes, from), second(kShapes, to);
  Optimizer source = rule.make(first.parameters());
  train(first, source, 2);
  Optimizer target = rule.make(second.parameters());
  target.load_state_dict(source.state_dict());
  for (std::size_t i = 0; i < first.size(); ++i) second.value(i).write(first.value(i).read());
  train(second, target, 2, 3);
  EXPECT_TRUE(equal_bits(on_cpu(rule, kShapes, 4), snapshot(second.parameters(), target)));
}

TEST_F(CudaBackend, TrainingContinuesOnTheOtherDeviceBitForBit) {
  for (const RuleCase& rule : one_case_per_layout()) {
    SCOPED_TRACE(rule.name);
    expect_dict_crosses(rule, Device::cpu(), kGpu);
    expect_dict_crosses(rule, kGpu, Device::cpu());
    expect_dict_crosses(rule, kGpu, kGpu);
  }
}

TEST_F(CudaBackend, ChangedRuleTakesEffect) {
  Model cpu(kShapes), gpu(kShapes, kGpu);
  Optimizer wanted{RMSProp{.momentum = 0.5, .centered = true}, cpu.parameters()};
  Optimizer actual{RMSProp{.momentum = 0.5, .centered = true}, gpu.parameters()};
  const RMSProp changed{
      .lr = 0.5, .alpha = 0.7, .weight_decay = 0.1, .epsilon = Epsilon::outside_root, .centered = true};
  wanted.step();
  actual.step();
  wanted.set_rule(changed);
  actual.set_rule(changed);
  wanted.step();
  actual.step();
  EXPECT_TRUE(equal_bits(snapshot(cpu.parameters(), wanted), snapshot(gpu.parameters(), actual)));
}

}  // namespace
}  // namespace onepass::test
