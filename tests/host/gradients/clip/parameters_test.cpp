// parameters_test.cpp - clipping by parameter: the gradient of each parameter by its own norm.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "reference/gradients.hpp"
#include "support/flat_model.hpp"
#include "support/model.hpp"
#include "support/numbers/compare.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
using Floats = std::vector<float>;

/// Parameters that plain SGD moves from 0: a step leaves the negated gradients that the rule saw.
struct Shown {
  FlatModel model;
  Optimizer optimizer;

  explicit Shown(std::vector<Floats> gradients, const Options& options = {})
      : model(std::move(gradients), 0.0f), optimizer{kShowsGradients, model.parameters(), options} {}

  void clip(double max_norm, const GradientHandling& others = {}) {
    GradientHandling handling = others;
    handling.clip_norm =
        ClipGradNorm{.max_norm = max_norm, .formula = ClipFormula::exact, .per_parameter = true};
    optimizer.set_gradient_handling(handling);
  }
};

TEST(ClipParameters, EachIsClippedByItsOwnNorm) {
  Shown shown({{30.0f, 40.0f}, {3.0f, 4.0f}, {}, {0.0f, 0.0f}, {-20.0f}});
  shown.clip(10.0);
  shown.optimizer.step();
  EXPECT_EQ(shown.model.values[0], (Floats{-6.0f, -8.0f}));
  EXPECT_EQ(shown.model.values[1], (Floats{-3.0f, -4.0f})) << "its norm is below 10";
  EXPECT_EQ(shown.model.values[3], (Floats{0.0f, 0.0f}));
  EXPECT_EQ(shown.model.values[4], Floats{10.0f});
  EXPECT_EQ(shown.optimizer.grad_norm("t0"), 50.0);
  EXPECT_EQ(shown.optimizer.grad_norm("t1"), 5.0);
  EXPECT_EQ(shown.optimizer.grad_norm("t2"), 0.0) << "it has no elements";
  EXPECT_EQ(shown.optimizer.grad_norm("t3"), 0.0);
  EXPECT_EQ(shown.optimizer.grad_norm("t4"), 20.0);
  EXPECT_EQ(shown.optimizer.grad_norm(), std::sqrt(2925.0));
}

std::vector<Shape> shapes(int count) {
  std::vector<Shape> all;
  for (int i = 0; i < count; ++i) {
    const std::int64_t numel = i == 3 ? 9003 : i == 8 ? 4097 : i % 5 == 2 ? 0 : 37 * i + 1;
    all.push_back({.numel = numel, .grad_misalignment = i % 4});
  }
  return all;
}

std::vector<ClipGradNorm> clips() {
  std::vector<ClipGradNorm> all;
  for (const NormType type : {NormType::l1, NormType::l2, NormType::infinity}) {
    for (const ClipFormula formula : {ClipFormula::pytorch, ClipFormula::exact}) {
      for (const bool exact : {false, true}) {
        all.push_back(
            {.max_norm = 0.5, .norm_type = type, .formula = formula, .per_parameter = true, .exact = exact});
      }
    }
  }
  return all;
}

TEST(ClipParameters, MatchesTheReferenceForEveryNorm) {
  for (const ClipGradNorm& clip : clips()) {
    Model model(shapes(12));
    std::vector<Floats> gradients;
    model.draw_finite_gradients(1);
    for (std::size_t t = 0; t < model.size(); ++t) {
      gradients.push_back(model.grad(t).read());
      model.value(t).write(Floats(gradients.back().size(), 0.0f));
    }
    Optimizer optimizer{kShowsGradients, model.parameters()};
    optimizer.clip_grad_norm(clip);
    optimizer.step();
    int clipped = 0;
    for (std::size_t t = 0; t < model.size(); ++t) {
      const auto norm = static_cast<double>(
          reference::norm(std::span(&gradients[t], 1), static_cast<reference::Norm>(clip.norm_type)));
      EXPECT_NEAR(optimizer.grad_norm(tensor_name(static_cast<int>(t))), norm, norm * 0x1p-45);
      const double coefficient = reference::clip_coefficient(0.5, norm, clip.formula == ClipFormula::pytorch);
      clipped += coefficient < 1.0 ? 1 : 0;
      const Floats seen = model.value(t).read();
      for (std::size_t i = 0; i < seen.size(); ++i) {
        // The coefficient is rounded to float32, and the product too.
        const double wanted = -coefficient * gradients[t][i];
        ASSERT_NEAR(seen[i], wanted, 2.01 * 0x1p-24 * std::fabs(wanted) + 0x1p-149) << t << " " << i;
      }
    }
    EXPECT_GT(clipped, 2);
    EXPECT_LT(clipped, 12);
  }
}

// One optimizer for each parameter would do the same.
TEST(ClipParameters, GivesTheBitsOfAnOptimizerForEachParameter) {
  for (const ClipGradNorm& clip : clips()) {
    Model model(shapes(20)), twin(shapes(20));
    Optimizer optimizer{AdamW{.lr = 0.01}, model.parameters()};
    optimizer.clip_grad_norm(clip);
    ClipGradNorm of_one = clip;
    of_one.per_parameter = false;
    std::vector<Optimizer> alone;
    for (const Parameter& parameter : twin.parameters()) {
      alone.emplace_back(AdamW{.lr = 0.01}, std::vector{parameter});
      alone.back().clip_grad_norm(of_one);
    }
    for (int step = 0; step < 3; ++step) {
      model.draw_finite_gradients(step);
      twin.draw_finite_gradients(step);
      optimizer.step();
      for (std::size_t t = 0; t < twin.size(); ++t) {
        alone[t].step();
        EXPECT_EQ(optimizer.grad_norm(tensor_name(static_cast<int>(t))), alone[t].grad_norm());
      }
    }
    for (std::size_t t = 0; t < model.size(); ++t) {
      EXPECT_TRUE(equal_bits(twin.value(t).read(), model.value(t).read())) << t;
    }
  }
}

TEST(ClipParameters, NormOfAllHasTheBitsOfClippingByOne) {
  for (ClipGradNorm clip : clips()) {
    Model model(shapes(20)), twin(shapes(20));
    Optimizer each{AdamW{}, model.parameters()}, together{AdamW{}, twin.parameters()};
    each.clip_grad_norm(clip);
    clip.per_parameter = false;
    together.clip_grad_norm(clip);
    for (int step = 0; step < 2; ++step) {
      model.draw_finite_gradients(step);
      twin.draw_finite_gradients(step);
      each.step();
      together.step();
      EXPECT_EQ(each.grad_norm(), together.grad_norm());
    }
  }
}

TEST(ClipParameters, ThreadsChunksAndInstructionSetsDoNotChangeABit) {
  const auto run = [](const Options& options, const ClipGradNorm& clip) {
    std::vector<Shape> large = shapes(300);
    large[5].numel = 300001;
    Model model(large);
    Optimizer optimizer{AdamW{.lr = 0.01}, model.parameters(), options};
    optimizer.clip_grad_norm(clip);
    train_finite(model, optimizer, 2);
    Snapshot all = snapshot(model.parameters(), optimizer);
    for (int t = 0; t < 300; ++t) {
      all["norm " + std::to_string(t)] = {static_cast<float>(optimizer.grad_norm(tensor_name(t)))};
    }
    return all;
  };
  for (const ClipGradNorm& clip : clips()) {
    const Snapshot wanted = run({.threads = 1, .isa = Isa::baseline}, clip);
    for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512, Isa::avx512_bf16}) {
      if (!isa_available(isa)) continue;
      EXPECT_TRUE(equal_bits(wanted, run({.threads = 3, .isa = isa}, clip)));
    }
    EXPECT_TRUE(equal_bits(wanted, run({.chunk_size = 192, .threads = 2}, clip)));
  }
}

TEST(ClipParameters, NormsAreOfTheUnscaledMeans) {
  for (const NormType type : {NormType::l1, NormType::l2, NormType::infinity}) {
    Shown shown({{24.0f, 32.0f}, {8.0f}}, {.accumulates_gradients = true});
    shown.optimizer.set_gradient_handling(
        {.clip_norm = ClipGradNorm{.max_norm = 2.0, .norm_type = type, .per_parameter = true},
         .loss_scale = 2.0});
    for (int i = 0; i < 2; ++i) shown.optimizer.accumulate({.weight = 4});
    shown.optimizer.step();
    const double norm = type == NormType::l1 ? 28.0 : type == NormType::l2 ? 20.0 : 16.0;
    EXPECT_EQ(shown.optimizer.grad_norm("t0"), norm);
    EXPECT_EQ(shown.optimizer.grad_norm("t1"), 4.0);
    EXPECT_NEAR(shown.model.values[0][0], -12.0 * 2.0 / norm, 1e-5);
    EXPECT_NEAR(shown.model.values[1][0], -4.0 * 2.0 / 4.0, 1e-5);
    shown.optimizer.step();
    EXPECT_EQ(shown.optimizer.grad_norm("t1"), 4.0) << "a step without gradients measures nothing";
  }
}

TEST(ClipParameters, AParameterWithoutAGradientHasANormOfZero) {
  Shown shown(std::vector<Floats>{{30.0f}, {40.0f}});
  shown.clip(10.0);
  shown.optimizer.step();
  shown.optimizer.set_gradients(std::vector<Tensor>{Tensor{}, Tensor(shown.model.grads[1])});
  shown.optimizer.step();
  EXPECT_EQ(shown.optimizer.grad_norm("t0"), 0.0);
  EXPECT_EQ(shown.optimizer.grad_norm("t1"), 40.0);
  EXPECT_EQ(shown.model.values, (std::vector<Floats>{{-10.0f}, {-20.0f}}));
}

TEST(ClipParameters, NaNAndInfSpoilTheirParameterAlone) {
  Shown shown({{kNaN, 1.0f}, {3.0f, 4.0f}, {kInf, 2.0f}});
  shown.clip(1.0);
  shown.optimizer.step();
  EXPECT_TRUE(std::isnan(shown.model.values[0][1]));
  EXPECT_FLOAT_EQ(shown.model.values[1][0], -0.6f);
  EXPECT_TRUE(std::isnan(shown.model.values[2][0]));
  EXPECT_EQ(shown.model.values[2][1], 0.0f);
  EXPECT_TRUE(std::isnan(shown.optimizer.grad_norm("t0")));
  EXPECT_EQ(shown.optimizer.grad_norm("t1"), 5.0);
  EXPECT_EQ(shown.optimizer.grad_norm("t2"), double{kInf});
  shown.model.grads[0] = {3.0f, 4.0f};
  shown.optimizer.step();
  EXPECT_EQ(shown.optimizer.grad_norm("t0"), 5.0) << "nothing is left of the NaN";
}

TEST(ClipParameters, StepIsSkippedAsAWhole) {
  Shown shown(std::vector<Floats>{{3.0f}, {3.0f, kNaN}});
  shown.clip(1.0, {.nonfinite = NonFinite::error});
  shown.optimizer.step();
  EXPECT_EQ(shown.model.values[0], Floats{0.0f});
  EXPECT_EQ(shown.optimizer.skipped_steps(), 1);
  try {
    shown.optimizer.check();
    FAIL();
  } catch (const NonFiniteGradient& error) {
    EXPECT_NE(std::string(error.what()).find("element 1 of \"t1\""), std::string::npos) << error.what();
  }
}

TEST(ClipParameters, ALossScalerBacksOffAndGoesOn) {
  Shown shown(std::vector<Floats>{{30.0f, 40.0f}, {6.0f}});
  shown.clip(1.0, {.loss_scaler = LossScaler{.init_scale = 4.0}});
  shown.model.grads[1][0] = kInf;
  shown.optimizer.step();
  EXPECT_EQ(shown.optimizer.loss_scale(), 2.0f);
  shown.model.grads[1][0] = 6.0f;
  shown.optimizer.step();
  EXPECT_FLOAT_EQ(shown.model.values[0][0], -0.6f);
  EXPECT_EQ(shown.model.values[1], Floats{-1.0f});
  EXPECT_EQ(shown.optimizer.grad_norm("t0"), 25.0);
  EXPECT_EQ(shown.optimizer.grad_norm("t1"), 3.0);
}

TEST(ClipParameters, RulesOfSeveralTypesAreClippedAlike) {
  FlatModel model({{30.0f, 40.0f}, {30.0f, 40.0f}, {0.3f, 0.4f}}, 0.0f);
  std::vector<Parameter> parameters = model.parameters();
  parameters[1].group = parameters[2].group = 1;
  Optimizer optimizer{{SGD{.lr = 1.0}, RMSProp{.lr = 1.0, .alpha = 0.0, .eps = 1.0}}, parameters};
  optimizer.clip_grad_norm({.max_norm = 10.0, .formula = ClipFormula::exact, .per_parameter = true});
  optimizer.step();
  EXPECT_EQ(model.values[0], (Floats{-6.0f, -8.0f}));
  EXPECT_FLOAT_EQ(model.values[1][0], -6.0f / std::sqrt(37.0f));
  EXPECT_FLOAT_EQ(model.values[2][0], -0.3f / std::sqrt(1.09f));
}

TEST(ClipParameters, CanBeTurnedOnAndOff) {
  Shown shown(std::vector<Floats>{{30.0f}, {40.0f}});
  shown.clip(10.0);
  shown.optimizer.step();
  EXPECT_EQ(shown.model.values, (std::vector<Floats>{{-10.0f}, {-10.0f}}));
  shown.optimizer.clip_grad_norm({.max_norm = 10.0, .formula = ClipFormula::exact});
  shown.optimizer.step();
  EXPECT_EQ(shown.model.values, (std::vector<Floats>{{-16.0f}, {-18.0f}}));
  EXPECT_EQ(shown.optimizer.grad_norm("t1"), 40.0) << "the last step that clipped by parameter";
  shown.clip(20.0);
  shown.optimizer.step();
  EXPECT_EQ(shown.model.values, (std::vector<Floats>{{-36.0f}, {-38.0f}}));
}

TEST(ClipParameters, NormsFollowTheirParametersWhenOthersJoinAndLeave) {
  Shown shown({{30.0f}, {40.0f}, {50.0f}});
  shown.clip(10.0);
  EXPECT_EQ(shown.optimizer.grad_norm("t1"), 0.0) << "before the first step";
  shown.optimizer.step();
  shown.optimizer.remove_parameters({"t0"});
  FlatModel late({{9.0f}}, 0.0f);
  std::vector<Parameter> joining = late.parameters();
  joining[0].name = "late";
  shown.optimizer.add_parameters(joining);
  EXPECT_EQ(shown.optimizer.grad_norm("t1"), 40.0);
  EXPECT_EQ(shown.optimizer.grad_norm("t2"), 50.0);
  EXPECT_EQ(shown.optimizer.grad_norm("late"), 0.0);
  shown.optimizer.step();
  EXPECT_EQ(shown.optimizer.grad_norm("late"), 9.0);
  EXPECT_TRUE(refused([&] { (void)shown.optimizer.grad_norm("t0"); }, {"there is no parameter \"t0\""}));
}

TEST(ClipParameters, ASweepIsNotClippedAndLeavesNoNorm) {
  FlatModel model({{30.0f, 40.0f}}, 0.0f);
  Optimizer optimizer{SophiaG{}, model.parameters()};
  optimizer.clip_grad_norm({.max_norm = 10.0, .per_parameter = true});
  optimizer.sweep("update_hessian");
  EXPECT_EQ(optimizer.grad_norm("t0"), 0.0);
  optimizer.step();
  EXPECT_EQ(optimizer.grad_norm("t0"), 50.0) << "nothing is left of the sweep's measure";
}

}  // namespace
}  // namespace onepass::test
