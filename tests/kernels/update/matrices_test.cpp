// matrices_test.cpp - rules that keep numbers for rows and columns have on CUDA the bits of the CPU, in every
// format and shape, and in graphs; and their launches do not depend on the number of tensors.
#include "support/numbers/matrices.hpp"
#include "host/backend/rule_ops.hpp"
#include "kernels/cuda_test.hpp"
#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"

namespace onepass::test {
namespace {

class CudaMatrices : public CudaTest {};

/// The same matrices on both devices.
struct Twins {
  Model cpu{sizes_of()}, gpu{sizes_of(), kGpu};
  Optimizer wanted, actual;

  explicit Twins(const Rule& rule)
      : wanted(rule, shaped(cpu.parameters())), actual(rule, shaped(gpu.parameters())) {}

  void draw(int step) {
    cpu.draw_gradients(step, 20);
    gpu.draw_gradients(step, 20);
    synchronize(kGpu);
  }
  [[nodiscard]] testing::AssertionResult have_equal_bits() {
    return equal_bits(snapshot(cpu.parameters(), wanted), snapshot(gpu.parameters(), actual));
  }
};

TEST_F(CudaMatrices, HaveTheBitsOfTheCpuInEveryShape) {
  for (const Rule& rule : matrix_rules()) {
    Twins twins(rule);
    for (int step = 1; step <= 4; ++step) {
      twins.draw(step);
      twins.wanted.step();
      twins.actual.step();
      ASSERT_TRUE(twins.have_equal_bits()) << rule.name() << ", step " << step;
    }
    EXPECT_TRUE(twins.gpu.intact());
  }
}

TEST_F(CudaMatrices, HaveTheBitsOfTheCpuInEveryFormat) {
  const std::vector<Dimensions> shapes{{65, 40}, {3, 5}, {2, 3, 3}, {7}, {2, 300}};
  for (const FormatCase& format : all_format_cases()) {
    for (const Rule& rule : matrix_rules()) {
      SCOPED_TRACE(std::string(format.name) + " " + std::string(rule.name()));
      const auto after = [&](Device device) {
        FormatModel model(format, device, numels_of(shapes));
        Optimizer optimizer(rule, shaped(model.parameters(), shapes),
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
}

// Vectors and matrices are two programs: each has an update and, if the rule takes sums, a measure. Matrices
// have three launches for each pass over rows and columns.
TEST_F(CudaMatrices, LaunchesDoNotDependOnTheNumberOfTensors) {
  const std::vector<int> wanted{1 + 3 + 2 + 1 + 2, 1 + 3 + 2 + 1 + 2, 1 + 3 + 2 + 1 + 3 + 2, 1 + 3 + 2};
  for (std::size_t i = 0; i < matrix_rules().size(); ++i) {
    Twins twins(matrix_rules()[i]);
    twins.draw(1);
    twins.wanted.step();
    twins.actual.step();
    synchronize(kGpu);
    const CudaStream stream;
    const CapturedGraph graph(stream, [&] { twins.actual.step(stream); });
    EXPECT_EQ(graph.kernel_nodes(), wanted[i]) << matrix_rules()[i].name();
    for (int step = 2; step <= 5; ++step) {
      twins.draw(step);
      twins.wanted.step();
      graph.replay(stream);
      stream.wait();
    }
    EXPECT_TRUE(twins.have_equal_bits()) << matrix_rules()[i].name();
  }
}

TEST_F(CudaMatrices, OfOneModelWithOtherRulesShareItsSkip) {
  const std::vector<Rule> rules{Adafactor{.weight_decay = 0.1}, CAME{}, AdamMini{}, AdamW{}};
  std::vector<Shape> sizes = sizes_of();
  for (std::size_t i = 0; i < sizes.size(); ++i) sizes[i].group = i % rules.size();
  const auto after = [&](Device device) {
    Model model(sizes, device);
    Optimizer optimizer(rules, shaped(model.parameters()));
    optimizer.set_gradient_handling(
        {.clip_norm = ClipGradNorm{.max_norm = 0.5}, .nonfinite = NonFinite::skip});
    for (int step = 1; step <= 12; ++step) {
      model.draw_gradients(step, 20);
      optimizer.step();
    }
    EXPECT_GT(optimizer.skipped_steps(), 0);
    return snapshot(model.parameters(), optimizer);
  };
  EXPECT_TRUE(equal_bits(after(Device::cpu()), after(kGpu)));
}

TEST_F(CudaMatrices, AreSteppedInPartsOfARound) {
  Twins twins(matrix_rules()[0]);
  std::vector<std::size_t> even, odd;
  for (std::size_t i = 0; i < matrix_shapes().size(); ++i) (i % 2 == 0 ? even : odd).push_back(i);
  for (int step = 1; step <= 3; ++step) {
    twins.draw(step);
    twins.wanted.step();
    twins.actual.step_some(odd);
    twins.actual.step_some(even);
    twins.actual.end_round();
  }
  EXPECT_TRUE(twins.have_equal_bits());
}

}  // namespace
}  // namespace onepass::test
