// decay_test.cpp - every form of weight decay, and caution, give answers worked out by hand and agree with
// the float64 reference, for every rule.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "optimizers/trial.hpp"
#include "support/named.hpp"
#include "support/numbers/one_element.hpp"
#include "support/numbers/sizes.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

using reference::Element;
using reference::Number;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// lr * weight_decay is 0.25, and a step is half of the gradient.
float moved(WeightDecay form, float p, float gradient) {
  return OneElement<SGD>({.lr = 0.5, .weight_decay = 0.5, .weight_decay_mode = form}, p).step(gradient);
}

TEST(Decay, DecoupledTakesItsShareOfTheOldParameter) {
  EXPECT_EQ(moved(WeightDecay::decoupled, 2.0f, 1.0f), 1.0f);  // 2 - 0.5 - 0.5
}

TEST(Decay, AfterTakesItsShareOfTheMovedParameter) {
  EXPECT_EQ(moved(WeightDecay::after, 2.0f, 1.0f), 1.125f);  // 1.5 - 0.375
  EXPECT_EQ(moved(WeightDecay::after, -2.0f, 1.0f), -1.875f);
}

TEST(Decay, ProximalDividesTheMovedParameter) {
  EXPECT_FLOAT_EQ(moved(WeightDecay::proximal, 2.0f, 1.0f), 1.2f);  // 1.5 / 1.25
  EXPECT_FLOAT_EQ(moved(WeightDecay::proximal, -2.0f, 1.0f), -2.0f);
}

TEST(Decay, CautiousSparesAParameterThatTheUpdateMovesAwayFromZero) {
  EXPECT_EQ(moved(WeightDecay::cautious, 2.0f, 1.0f), 1.0f);
  EXPECT_EQ(moved(WeightDecay::cautious, 2.0f, -1.0f), 2.5f);
  EXPECT_EQ(moved(WeightDecay::cautious, -2.0f, -1.0f), -1.0f);
  EXPECT_EQ(moved(WeightDecay::cautious, -2.0f, 1.0f), -2.5f);
}

TEST(Decay, CautiousDecaysWhereTheUpdateIsZero) {
  EXPECT_EQ(moved(WeightDecay::cautious, 2.0f, 0.0f), 1.5f);
  EXPECT_EQ(moved(WeightDecay::cautious, -2.0f, -0.0f), -1.5f);
}

// The product of the two would be 0 in float32, and 0 decays.
TEST(Decay, CautiousComparesSignsAndNotAProductThatUnderflows) {
  const float p = 1e-30f;
  OneElement<SGD> one({.lr = 0.5, .weight_decay = 0.5, .weight_decay_mode = WeightDecay::cautious}, p);
  EXPECT_EQ(one.step(-2e-20f), p + 1e-20f);
}

TEST(Decay, CorrectedIsDecoupledWithoutASchedule) {
  EXPECT_EQ(moved(WeightDecay::corrected, 2.0f, 1.0f), 1.0f);
}

// The rate is halved, so the decay is a quarter: 2 - 0.25 - 0.0625 * 2.
TEST(Decay, CorrectedFollowsTheSquareOfTheScheduledRate) {
  const auto scheduled = [](WeightDecay form) {
    OneElement<SGD> one({.lr = 0.5, .weight_decay = 0.5, .weight_decay_mode = form}, 2.0f);
    one.optimizer().set_schedule(ConstantLR{.factor = 0.5, .total_iters = 10});
    return one.step(1.0f);
  };
  EXPECT_EQ(scheduled(WeightDecay::corrected), 1.625f);
  EXPECT_EQ(scheduled(WeightDecay::decoupled), 1.5f);
}

TEST(Decay, CorrectedTakesNothingIfTheRateIsZero) {
  OneElement<SGD> one({.lr = 0.0, .weight_decay = 0.5, .weight_decay_mode = WeightDecay::corrected}, 2.0f);
  EXPECT_EQ(one.step(1.0f), 2.0f);
}

TEST(Decay, NaNOfTheUpdateReachesTheParameterInEveryForm) {
  for (const WeightDecay form : {WeightDecay::decoupled, WeightDecay::after, WeightDecay::proximal,
                                 WeightDecay::corrected, WeightDecay::cautious}) {
    EXPECT_TRUE(std::isnan(moved(form, 2.0f, kNaN)));
  }
}

// The first step goes down the gradient. In the second, exp_avg is still positive: 0.5 * 0.5 * 4 - 0.5 * 1.
TEST(Caution, LeavesOutUpdatesAgainstTheGradient) {
  for (const Caution caution : {Caution::none, Caution::masked}) {
    OneElement<Adam> one({.lr = 0.25, .beta1 = 0.5, .beta2 = 0.5, .caution = caution}, 1.0f);
    const float first = one.step(4.0f);
    EXPECT_LT(first, 1.0f);
    const float second = one.step(-1.0f);
    EXPECT_EQ(second == first, caution == Caution::masked);
    EXPECT_EQ(one.state("exp_avg"), 0.5f);
  }
}

TEST(Caution, LeavesOutUpdatesWithoutAGradientAndKeepsNaN) {
  OneElement<Adam> one({.lr = 0.25, .caution = Caution::masked}, 1.0f);
  const float first = one.step(4.0f);
  EXPECT_EQ(one.step(0.0f), first);
  EXPECT_TRUE(std::isnan(one.step(kNaN)));
}

TEST(Caution, DoesNotMaskTheDecay) {
  OneElement<AdamW> one({.lr = 0.5, .weight_decay = 0.5, .caution = Caution::masked}, 2.0f);
  EXPECT_EQ(one.step(0.0f), 1.5f);
}

/// A rule that owns its decay has no other than coupled and decoupled.
bool refuses(const Rule& rule) {
  try {
    rule.check();
  } catch (const InvalidArgument& error) {
    return std::string(error.what()).find("weight_decay_mode must be coupled or decoupled") !=
           std::string::npos;
  }
  return false;
}

/// One option for each kernel, with each form of decay that is no option of the other tests, and with caution
/// where the rule has it.
std::vector<RuleCase> decaying_cases() {
  std::vector<RuleCase> all;
  for (const RuleCase& one : one_case_per_kernel()) {
    for (const char* const form : {"after", "proximal", "corrected", "cautious"}) {
      Rule rule = one.rule;
      rule.set_text("weight_decay_mode", form);
      if (refuses(rule)) continue;
      all.push_back(rule_case(one.name + "_" + form, rule));
    }
    for (const Hyperparameter& listed : one.rule.hyperparameters()) {
      if (std::string(listed.name) != "caution") continue;
      for (const char* const caution : {"masked", "rescaled"}) {
        Rule rule = one.rule;
        rule.set_text("caution", caution);
        all.push_back(rule_case(one.name + "_" + caution, rule));
      }
    }
  }
  return all;
}

class DecayForms : public testing::TestWithParam<RuleCase> {};
INSTANTIATE_TEST_SUITE_P(All, DecayForms, testing::ValuesIn(decaying_cases()), by_name);

TEST_P(DecayForms, EveryStepIsWithinEightUlpOfItsTerms) {
  std::vector<Shape> shapes{{.numel = 0}};
  for (const std::int64_t numel : awkward_sizes(64)) {
    shapes.push_back({.numel = numel, .value_misalignment = static_cast<int>(shapes.size() % 4)});
  }
  Trial run(GetParam().rule, shapes, Options{.chunk_size = 64});
  for (std::int64_t t = 1; t <= 40; ++t) {
    std::vector<std::vector<Element>> expected = run.elements();
    run.model.draw_gradients(t, 40);
    run.optimizer.step();
    run.step_reference(t, expected, run.gradients());
    for (std::size_t tensor = 0; tensor < expected.size(); ++tensor) {
      ASSERT_TRUE(agree(run.streams[tensor], expected[tensor], one_step_tolerance))
          << "step " << t << ", tensor " << tensor;
    }
  }
  EXPECT_TRUE(run.model.intact());
}

}  // namespace
}  // namespace onepass::test
