// clip_test.cpp - the norm of all gradients is that of the reference, and clipping by norm and by value
// follows the documented formulas.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "reference/gradients.hpp"
#include "support/flat_model.hpp"
#include "support/model.hpp"
#include "support/numbers/compare.hpp"
#include "support/numbers/values.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr double kNoLimit = std::numeric_limits<double>::infinity();

constexpr NormType kTypes[] = {NormType::l1, NormType::l2, NormType::infinity};

reference::Norm to_reference(NormType type) {
  return type == NormType::l1   ? reference::Norm::l1
         : type == NormType::l2 ? reference::Norm::l2
                                : reference::Norm::infinity;
}

/// Tensors of sizes around one leaf and around four, with empty ones between them. Each element is `draw` of
/// another key.
template <class Draw>
std::vector<std::vector<float>> tensors_of(Draw draw) {
  std::vector<std::vector<float>> tensors;
  std::uint64_t key = 0;
  for (const std::size_t size :
       {0u, 1u, 3u, 127u, 128u, 129u, 1023u, 1024u, 1025u, 0u, 4095u, 4096u, 4097u, 9000u}) {
    tensors.emplace_back(size);
    for (float& element : tensors.back()) element = draw(key += 3);
  }
  return tensors;
}

/// Folding a leaf of 1,024 elements rounds 15 times, the sum of the leaves 3 times, the root once.
constexpr long double kRelative = 24 * 0x1p-53L;

void expect_norm_of_reference(const std::vector<std::vector<float>>& gradients, const char* what) {
  for (const NormType type : kTypes) {
    FlatModel model(gradients, 0.0f);
    Optimizer optimizer{SGD{.lr = 0.0}, model.parameters()};
    optimizer.clip_grad_norm({.norm_type = type});
    optimizer.set_nonfinite(NonFinite::skip);
    optimizer.step();
    const long double wanted = reference::norm(gradients, to_reference(type));
    EXPECT_LE(std::fabs(optimizer.grad_norm() - wanted), kRelative * wanted)
        << what << ", norm type " << static_cast<int>(type) << ": " << optimizer.grad_norm();
    EXPECT_EQ(optimizer.skipped_steps(), 0) << what;
  }
}

TEST(GradNorm, MatchesTheReference) {
  expect_norm_of_reference(tensors_of(heavy_tailed), "heavy tails");
  expect_norm_of_reference(tensors_of([](std::uint64_t key) {
                             return static_cast<float>(mix(key) % 0x7fffff) *
                                    std::numeric_limits<float>::denorm_min();
                           }),
                           "denormals");
  expect_norm_of_reference(tensors_of([](std::uint64_t) { return 0.0f; }), "zeros");
  expect_norm_of_reference(
      tensors_of([](std::uint64_t key) {
        return static_cast<float>(std::ldexp(1.0 + uniform(key), -149 + static_cast<int>(mix(key) % 276)));
      }),
      "every exponent");
}

// The squares of these gradients are far beyond float32, and their sum is larger than any of them.
TEST(GradNorm, LargeFiniteGradientsAreNotMistakenForInfiniteOnes) {
  for (const float large : {1e20f, -1e20f, 3e38f, std::numeric_limits<float>::max()}) {
    expect_norm_of_reference(tensors_of([&](std::uint64_t) { return large; }), "large");
    expect_norm_of_reference({{large}}, "a single one");
    expect_norm_of_reference({{1e-30f, large, 1e-38f}, {}, {2.0f}}, "beside small ones");
  }
}

TEST(GradNorm, TensorsWithoutAGradientDoNotCount) {
  FlatModel model({{3.0f}, {4.0f}, {12.0f}}, 0.0f);
  Optimizer optimizer{kShowsGradients, model.parameters()};
  optimizer.clip_grad_norm(kNoLimit);
  EXPECT_EQ(optimizer.grad_norm(), 0.0) << "before the first step";
  optimizer.step();
  EXPECT_EQ(optimizer.grad_norm(), 13.0);
  std::vector<Tensor> gradients{std::span(model.grads[0]), std::span(model.grads[1]), Tensor{}};
  optimizer.set_gradients(gradients);
  optimizer.step();
  EXPECT_EQ(optimizer.grad_norm(), 5.0);
  optimizer.set_gradients(std::vector<Tensor>(3));
  optimizer.step();
  EXPECT_EQ(optimizer.grad_norm(), 0.0);
}

TEST(GradNorm, FetchedNormIsNaNAtFirstAndThenTheNormFetchedLast) {
  FlatModel model({{3.0f, 4.0f}}, 0.0f);
  Optimizer optimizer{kShowsGradients, model.parameters()};
  optimizer.clip_grad_norm(1.0);
  EXPECT_TRUE(std::isnan(optimizer.fetched_grad_norm()));
  optimizer.step();
  EXPECT_TRUE(std::isnan(optimizer.fetched_grad_norm()));
  optimizer.fetch_grad_norm();
  EXPECT_EQ(optimizer.fetched_grad_norm(), 5.0);
  model.grads[0] = {6.0f, 8.0f};
  optimizer.step();
  EXPECT_EQ(optimizer.fetched_grad_norm(), 5.0) << "what was fetched last";
  EXPECT_EQ(optimizer.grad_norm(), 10.0);
}

TEST(ClipNorm, CoefficientFollowsTheExactAndThePyTorchFormula) {
  const std::vector<std::vector<float>> gradients{{3.0f}, {0.0f, -4.0f}};
  for (const auto& [type, max_norm] :
       {std::pair{NormType::l1, 3.5}, std::pair{NormType::l2, 2.5}, std::pair{NormType::infinity, 2.0}}) {
    for (const ClipFormula formula : {ClipFormula::exact, ClipFormula::pytorch}) {
      FlatModel model(gradients, 0.0f);
      Optimizer optimizer{kShowsGradients, model.parameters()};
      optimizer.clip_grad_norm({.max_norm = max_norm, .norm_type = type, .formula = formula});
      optimizer.step();
      const double eps = formula == ClipFormula::pytorch ? 1e-6 : 0.0;
      const auto coefficient = static_cast<float>(max_norm / (2 * max_norm + eps));
      EXPECT_TRUE(equal_bits(std::vector<float>{-3.0f * coefficient}, model.values[0]));
      EXPECT_TRUE(equal_bits(std::vector<float>{0.0f, 4.0f * coefficient}, model.values[1]));
      EXPECT_EQ(coefficient == 0.5f, formula == ClipFormula::exact);
    }
  }
}

TEST(ClipNorm, NormEqualToMaxNormIsClippedOnlyByThePyTorchFormula) {
  for (const ClipFormula formula : {ClipFormula::exact, ClipFormula::pytorch}) {
    FlatModel model({{3.0f, 4.0f}}, 0.0f);
    Optimizer optimizer{kShowsGradients, model.parameters()};
    optimizer.clip_grad_norm({.max_norm = 5.0, .formula = formula});
    optimizer.step();
    // 5 / (5 + 1e-6) is 1 - 2e-7, which float32 distinguishes from 1.
    EXPECT_EQ(model.values[0][1] == -4.0f, formula == ClipFormula::exact);
  }
}

TEST(ClipNorm, MaxNormOfZeroZeroesTheGradients) {
  for (const ClipFormula formula : {ClipFormula::exact, ClipFormula::pytorch}) {
    for (const float g : {0.0f, 2.0f}) {
      FlatModel model({{g, -g}}, 1.0f);
      Optimizer optimizer{kShowsGradients, model.parameters()};
      optimizer.clip_grad_norm({.max_norm = 0.0, .formula = formula});
      optimizer.step();
      EXPECT_TRUE(equal_bits(std::vector<float>{1.0f, 1.0f}, model.values[0])) << g;
    }
  }
}

std::vector<Shape> several_shapes() {
  return {{.numel = 5003}, {.numel = 0}, {.numel = 70, .grad_misalignment = 1}, {.numel = 1}};
}

/// Takes five steps under `handling`. Unless `finite`, the gradients contain NaN and Inf.
Snapshot stepped(const GradientHandling& handling, bool finite) {
  Model model(several_shapes());
  Optimizer optimizer(AdamW{.lr = 0.01, .weight_decay = 0.1}, model.parameters());
  optimizer.set_gradient_handling(handling);
  finite ? train_finite(model, optimizer, 5) : train(model, optimizer, 5);
  EXPECT_TRUE(model.intact());
  return snapshot(model.parameters(), optimizer);
}

TEST(ClipNorm, NormBelowMaxNormChangesNoBit) {
  for (const NormType type : kTypes) {
    for (const ClipFormula formula : {ClipFormula::exact, ClipFormula::pytorch}) {
      EXPECT_TRUE(
          equal_bits(stepped({}, true), stepped({.clip_norm = ClipGradNorm{1e9, type, formula}}, true)));
    }
  }
}

TEST(ClipNorm, InfiniteMaxNormChangesNoBitWhateverTheNorm) {
  for (const NormType type : kTypes) {
    EXPECT_TRUE(
        equal_bits(stepped({}, false), stepped({.clip_norm = ClipGradNorm{.norm_type = type}}, false)));
  }
}

TEST(ClipNorm, NeverRewritesGradients) {
  Model model(several_shapes());
  Optimizer optimizer(SGD{.lr = 0.1}, model.parameters());
  optimizer.set_gradient_handling(
      {.clip_norm = ClipGradNorm{.max_norm = 0.1}, .clip_value = 0.01, .loss_scale = 8});
  const std::vector<float> before = model.grad(0).read();
  optimizer.step();
  EXPECT_TRUE(equal_bits(before, model.grad(0).read()));
}

// torch.nn.utils.clip_grad_norm_ does the same with error_if_nonfinite=False.
TEST(ClipNorm, NaNMakesEveryGradientNaN) {
  for (const NormType type : kTypes) {
    FlatModel model({{1.0f, kNaN}, {kInf}, {2.0f}}, 0.0f);
    Optimizer optimizer{kShowsGradients, model.parameters()};
    optimizer.clip_grad_norm({.max_norm = 1.0, .norm_type = type});
    optimizer.step();
    EXPECT_TRUE(std::isnan(optimizer.grad_norm()));
    for (const std::vector<float>& value : model.values) EXPECT_TRUE(std::isnan(value[0]));
    EXPECT_EQ(optimizer.skipped_steps(), 0);
    EXPECT_EQ(optimizer.steps(), 1);
  }
}

TEST(ClipNorm, InfinityMakesOtherGradientsZeroAndItselfNaN) {
  for (const NormType type : kTypes) {
    for (const float infinite : {kInf, -kInf}) {
      FlatModel model({{1.0f, infinite}, {2.0f}}, 8.0f);
      Optimizer optimizer{kShowsGradients, model.parameters()};
      optimizer.clip_grad_norm({.max_norm = 1.0, .norm_type = type});
      optimizer.step();
      EXPECT_EQ(optimizer.grad_norm(), double{kInf});
      EXPECT_TRUE(std::isnan(model.values[0][1]));
      EXPECT_EQ(model.values[0][0], 8.0f);
      EXPECT_EQ(model.values[1][0], 8.0f);
    }
  }
}

TEST(ClipNorm, MeasuresTheUnscaledMeanOfMicroBatches) {
  FlatModel model({{3.0f * 64}, {4.0f * 64}}, 0.0f);
  Optimizer optimizer{kShowsGradients, model.parameters(), {.accumulates_gradients = true}};
  optimizer.set_gradient_handling(
      {.clip_norm = ClipGradNorm{.max_norm = 2.5, .formula = ClipFormula::exact}, .loss_scale = 64});
  for (int batch = 0; batch < 4; ++batch) optimizer.accumulate();
  optimizer.step();
  EXPECT_EQ(optimizer.grad_norm(), 5.0);
  EXPECT_EQ(model.values[0][0], -1.5f);
  EXPECT_EQ(model.values[1][0], -2.0f);
}

TEST(ClipNorm, FollowsChangedSettings) {
  FlatModel model({{3.0f, 4.0f}}, 0.0f);
  Optimizer optimizer{kShowsGradients, model.parameters()};
  const auto step = [&] {
    model.values[0] = {0.0f, 0.0f};
    optimizer.step();
    return -model.values[0][0];
  };
  EXPECT_EQ(step(), 3.0f);
  optimizer.clip_grad_norm({.max_norm = 2.5, .formula = ClipFormula::exact});
  EXPECT_EQ(step(), 1.5f);
  optimizer.clip_grad_norm({.max_norm = 7.0 / 4, .norm_type = NormType::l1, .formula = ClipFormula::exact});
  EXPECT_EQ(step(), 0.75f);
  optimizer.set_gradient_handling({});
  EXPECT_EQ(step(), 3.0f);
  EXPECT_EQ(optimizer.grad_norm(), 7.0) << "of the last step that measured it";
}

// The factor, 1 / loss scale * clip coefficient, is below the normal float32 numbers, where a float32 keeps
// few digits or none.
TEST(ClipNorm, SmallFactorsKeepTheDigitsOfTheGradient) {
  for (const double scale : {0x1p110, 0x1p120, 0x1p126}) {
    const double gradient = 16.0 * 1.2345678;
    FlatModel model({{static_cast<float>(gradient)}}, 0.0f);
    model.grads[0][0] *= static_cast<float>(scale / 32.0);
    Optimizer optimizer{kShowsGradients, model.parameters()};
    optimizer.set_gradient_handling(
        {.clip_norm = ClipGradNorm{.max_norm = 1e-5, .formula = ClipFormula::exact}, .loss_scale = scale});
    optimizer.step();
    EXPECT_NEAR(model.values[0][0], -1e-5, 2e-12) << scale;
  }
}

TEST(ClipNorm, LargestGradientIsClippedToAnyNorm) {
  for (const double max_norm : {1e-8, 1e-20, 1e-37}) {
    for (const bool maximize : {false, true}) {
      FlatModel model({{3e38f, -1.0f}}, 0.0f);
      Optimizer optimizer{SGD{.lr = 1.0, .maximize = maximize}, model.parameters()};
      optimizer.clip_grad_norm({.max_norm = max_norm, .formula = ClipFormula::exact});
      optimizer.step();
      EXPECT_NEAR(model.values[0][0] / max_norm, maximize ? 1.0 : -1.0, 2e-7) << max_norm;
    }
  }
}

TEST(ClipNorm, SmallFactorsHaveTheBitsOfTheirProductForEveryRule) {
  for (const RuleCase& rule : rule_options()) {
    Model model(several_shapes()), unscaled(several_shapes());
    Optimizer actual = rule.make(model.parameters()), wanted = rule.make(unscaled.parameters());
    actual.set_gradient_handling({.loss_scale = 0x1p127});
    for (int step = 1; step <= 3; ++step) {
      model.draw_finite_gradients(step);
      unscaled.draw_finite_gradients(step);
      for (std::size_t t = 0; t < model.size(); ++t) {
        for (float& g : model.grad(t).host()) g = std::fabs(g) < 1e-30f ? 0.0f : std::clamp(g, -1.0f, 1.0f);
        std::ranges::copy(model.grad(t).host(), unscaled.grad(t).host().begin());
        for (float& g : model.grad(t).host()) g *= 0x1p127f;
      }
      actual.step();
      wanted.step();
    }
    EXPECT_TRUE(equal_bits(snapshot(unscaled.parameters(), wanted), snapshot(model.parameters(), actual)))
        << rule.name;
  }
}

TEST(ClipValue, CutsEachElementAndKeepsNaN) {
  const std::vector<float> gradient{3.0f, -3.0f, 0.5f, -0.5f, kInf, -kInf, kNaN, 0.75f, -0.0f};
  FlatModel model({gradient}, 0.0f);
  Optimizer optimizer{kShowsGradients, model.parameters()};
  optimizer.clip_grad_value(0.75);
  optimizer.step();
  EXPECT_TRUE(equal_bits(std::vector<float>{-0.75f, 0.75f, -0.5f, 0.5f, -0.75f, 0.75f, kNaN, -0.75f, 0.0f},
                         model.values[0]));
  EXPECT_TRUE(equal_bits(gradient, model.grads[0]));
}

TEST(ClipValue, LimitOfZeroZeroesTheGradients) {
  FlatModel model({{3.0f, -3.0f, kInf, 1e-45f}}, 1.0f);
  Optimizer optimizer{kShowsGradients, model.parameters()};
  optimizer.clip_grad_value(0.0);
  optimizer.step();
  EXPECT_TRUE(equal_bits(std::vector<float>(4, 1.0f), model.values[0]));
}

TEST(ClipValue, FollowsUnscalingAndNormClippingAndPrecedesWeightDecay) {
  FlatModel model({{48.0f, 64.0f}}, 2.0f);
  SGD rule{.lr = 1.0, .weight_decay = 0.5, .maximize = true};
  Optimizer optimizer{rule, model.parameters()};
  optimizer.set_gradient_handling({.clip_norm = ClipGradNorm{.max_norm = 2.5, .formula = ClipFormula::exact},
                                   .clip_value = 1.75,
                                   .loss_scale = 16});
  // Unscaled: 3, 4. Clipped by norm: 1.5, 2; by value: 1.5, 1.75. Then the sign turns, and 0.5 * 2 is added.
  optimizer.step();
  EXPECT_EQ(optimizer.grad_norm(), 5.0);
  EXPECT_TRUE(equal_bits(std::vector<float>{2.5f, 2.75f}, model.values[0]));
}

TEST(ClipValue, EveryRuleGivesTheBitsOfClippedGradients) {
  for (const RuleCase& rule : rule_options()) {
    Model model(several_shapes()), cut(several_shapes());
    Optimizer actual = rule.make(model.parameters()), wanted = rule.make(cut.parameters());
    actual.set_gradient_handling({.clip_value = 0.03});
    for (int step = 1; step <= 3; ++step) {
      model.draw_gradients(step, 200);
      cut.draw_gradients(step, 200);
      for (std::size_t t = 0; t < cut.size(); ++t) {
        for (float& g : cut.grad(t).host()) g = g > 0.03f ? 0.03f : g < -0.03f ? -0.03f : g;
      }
      actual.step();
      wanted.step();
    }
    EXPECT_TRUE(equal_bits(snapshot(cut.parameters(), wanted), snapshot(model.parameters(), actual)))
        << rule.name;
  }
}

}  // namespace
}  // namespace onepass::test
