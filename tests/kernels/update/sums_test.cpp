// sums_test.cpp - the sums that rules take over tensors and over the model have on CUDA the bits of the CPU,
// in every format and size, and shards add them up in graphs.
#include <limits>

#include "kernels/cuda_test.hpp"
#include "kernels/shared/device_words.hpp"
#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"

namespace onepass::test {
namespace {

class CudaSums : public CudaTest {};

const std::vector<Rule> kRules{LAMB{.lr = 0.01, .weight_decay = 0.1},
                               LARS{.lr = 0.5, .trust_coeff = 0.1, .weight_decay = 0.1}};
// k, one of the scalars, is in the rate of every step by the correction.
const Rule kOverModel = Prodigy{.d0 = 0.01, .weight_decay = 0.1, .use_bias_correction = true};
const std::vector<Rule> kBoth{kOverModel, kRules[0]};

/// Even tensors have the first rule, odd ones the second. The largest has several chunks.
const std::vector<Shape> kShapes{{.numel = 9000, .group = 0},
                                 {.numel = 4097, .group = 1},
                                 {.numel = 0, .group = 0},
                                 {.numel = 33, .value_misalignment = 1, .group = 1},
                                 {.numel = 1, .group = 0}};

/// The same model on both devices.
struct Twins {
  Model cpu{kShapes}, gpu{kShapes, kGpu};
  Optimizer wanted, actual;

  explicit Twins(const std::vector<Rule>& rules = kRules)
      : wanted(rules, cpu.parameters()), actual(rules, gpu.parameters()) {}

  void draw(int step) {
    cpu.draw_finite_gradients(step);
    gpu.draw_finite_gradients(step);
    synchronize(kGpu);
  }
  [[nodiscard]] testing::AssertionResult have_equal_bits() {
    return equal_bits(snapshot(cpu.parameters(), wanted), snapshot(gpu.parameters(), actual));
  }
};

TEST_F(CudaSums, HaveTheBitsOfTheCpuForOneChunkAndMany) {
  for (const std::vector<Rule>& rules : {kRules, kBoth, {kOverModel, kOverModel}}) {
    Twins twins(rules);
    for (int step = 1; step <= 4; ++step) {
      twins.draw(step);
      twins.wanted.step();
      twins.actual.step();
      ASSERT_TRUE(twins.have_equal_bits()) << rules[0].name() << ", step " << step;
    }
  }
}

// A parameter without gradients keeps its scalars, and takes over those of the others when it comes back.
TEST_F(CudaSums, OverTheModelGiveAllTensorsTheScalarsOfTheNewest) {
  Twins twins({kOverModel, kOverModel});
  const auto give = [](Model& model, Optimizer& optimizer, bool all) {
    std::vector<Tensor> gradients = model.gradients();
    if (!all) gradients[0].data = gradients[3].data = nullptr;
    optimizer.set_gradients(gradients);
  };
  for (int step = 1; step <= 6; ++step) {
    give(twins.cpu, twins.wanted, step < 3 || step == 6);
    give(twins.gpu, twins.actual, step < 3 || step == 6);
    twins.draw(step);
    twins.wanted.step();
    twins.actual.step();
    ASSERT_TRUE(twins.have_equal_bits()) << "step " << step;
  }
}

// Terms from 2^-60 to 2^40 need more bins than two, and a leaf of zeros needs none.
TEST_F(CudaSums, OfFarApartTermsHaveTheBitsOfTheCpu) {
  std::vector<float> values(5000, 0.0f), gradients(5000, 0.0f);
  for (std::size_t i = 0; i < 3000; ++i) {
    values[i] = std::ldexp(1.0f + static_cast<float>(i), static_cast<int>(i % 100) - 60);
    gradients[i] = std::ldexp(1.0f, 20 - static_cast<int>(i % 90));
  }
  const auto after = [&](Device device) {
    const std::vector<Shape> shapes{{.numel = 5000}};
    Model model(shapes, device);
    model.value(0).write(values);
    model.grad(0).write(gradients);
    Optimizer optimizer(kRules[1], model.parameters());
    optimizer.step();
    return snapshot(model.parameters(), optimizer);
  };
  EXPECT_TRUE(equal_bits(after(Device::cpu()), after(kGpu)));
}

// Without eps, a lane without an element has a direction of 0 / 0, which would make the norm NaN and trust 1.
TEST_F(CudaSums, HaveNoTermBehindTheEndOfATensor) {
  const auto after = [&](Device device) {
    const std::vector<Shape> shapes{{.numel = 7}};
    Model model(shapes, device);
    model.value(0).write(std::vector<float>(7, 3.0f));
    model.grad(0).write(std::vector<float>(7, 2.0f));
    Optimizer optimizer(LAMB{.lr = 0.5, .eps = 0.0, .weight_decay = 0.0, .always_adapt = true},
                        model.parameters());
    optimizer.step();
    return snapshot(model.parameters(), optimizer);
  };
  EXPECT_TRUE(equal_bits(after(Device::cpu()), after(kGpu)));
}

TEST_F(CudaSums, InEveryFormatHaveTheBitsOfTheCpu) {
  for (const FormatCase& format : all_format_cases()) {
    SCOPED_TRACE(format.name);
    const auto after = [&](Device device) {
      FormatModel model(format, device, {100, 0, 1030, 7});
      Optimizer optimizer(format.param == DType::float32 ? kRules[0] : kOverModel, model.parameters(),
                          {.storage = format.low(), .float32_storage = format.wide(), .seed = 7});
      optimizer.set_gradient_handling({.clip_norm = ClipGradNorm{.max_norm = 0.5}, .loss_scale = 3.0});
      for (int step = 1; step <= 3; ++step) {
        model.draw_finite(step);
        optimizer.step();
      }
      EXPECT_TRUE(model.intact());
      return all_bytes(model, optimizer.state_dict());
    };
    EXPECT_EQ(after(Device::cpu()), after(kGpu));
  }
}

// Two types of rule in one format each have a prepare, a pass for the sums, a finish, and an update.
TEST_F(CudaSums, AddTwoLaunchesForEachRule) {
  Twins twins(kBoth);
  twins.draw(1);
  twins.wanted.step();
  twins.actual.step();
  synchronize(kGpu);
  const CudaStream stream;
  const CapturedGraph graph(stream, [&] { twins.actual.step(stream); });
  EXPECT_EQ(graph.kernel_nodes(), 8);
  for (int step = 2; step <= 4; ++step) {
    twins.draw(step);
    twins.wanted.step();
    graph.replay(stream);
    stream.wait();
  }
  EXPECT_TRUE(twins.have_equal_bits());
}

// The words of another shard are those of the same gradients again: the sums and the numbers of elements
// double. Both halves are captured once.
TEST_F(CudaSums, OfShardsAreGivenAndTakenWithTheBitsOfTheCpuInGraphs) {
  Twins twins(kBoth);
  const std::int64_t numel = twins.wanted.sums_numel();
  ASSERT_EQ(twins.actual.sums_numel(), numel);
  const Words wanted(Device::cpu(), numel), actual(kGpu, numel);
  const CudaStream stream;
  const CapturedGraph begin(stream, [&] { twins.actual.begin_step(actual.tensor(), stream); });
  const CapturedGraph finish(stream, [&] { twins.actual.finish_step(actual.tensor(), stream); });
  for (int step = 1; step <= 3; ++step) {
    twins.draw(step);
    twins.wanted.begin_step(wanted.tensor());
    begin.replay(stream);
    stream.wait();
    std::vector<std::int64_t> words = wanted.read();
    EXPECT_EQ(words, actual.read());
    for (std::int64_t& word : words) word *= 2;
    wanted.write(words);
    actual.write(words);
    twins.wanted.finish_step(wanted.tensor());
    finish.replay(stream);
    stream.wait();
  }
  EXPECT_TRUE(twins.have_equal_bits());
}

TEST_F(CudaSums, OfASkippedStepAreForgotten) {
  Twins twins(kBoth);
  for (Optimizer* one : {&twins.wanted, &twins.actual}) one->set_nonfinite(NonFinite::skip);
  for (int step = 1; step <= 3; ++step) {
    twins.draw(step);
    if (step == 2) {
      for (Model* model : {&twins.cpu, &twins.gpu}) {
        std::vector<float> bad = model->grad(1).read();
        bad[4000] = std::numeric_limits<float>::quiet_NaN();
        model->grad(1).write(bad);
      }
    }
    twins.wanted.step();
    twins.actual.step();
  }
  EXPECT_EQ(twins.actual.skipped_steps(), 1);
  EXPECT_TRUE(twins.have_equal_bits());
}

}  // namespace
}  // namespace onepass::test
