// rounds_test.cpp - parts of a model that step one after the other, and end their round together, step as the
// whole does.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "support/formats/format_rounds.hpp"
#include "support/model.hpp"
#include "support/named.hpp"
#include "support/numbers/compare.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

class RoundsOfFormats : public testing::TestWithParam<FormatCase> {};
INSTANTIATE_TEST_SUITE_P(All, RoundsOfFormats, testing::ValuesIn(all_format_cases()), by_name);

TEST_P(RoundsOfFormats, StepEveryKernelAsTheWholeWithTheNormBefore) {
  for (const RuleCase& rule : one_case_per_layout()) {
    for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512}) {
      if (!isa_available(isa)) continue;
      SCOPED_TRACE(testing::Message() << rule.name << " " << to_string(isa));
      expect_rounds_are_steps(rule, GetParam(), Device::cpu(), {.isa = isa});
    }
  }
}

class RoundsOfRules : public testing::TestWithParam<RuleCase> {};
INSTANTIATE_TEST_SUITE_P(All, RoundsOfRules, testing::ValuesIn(rule_options()), by_name);

TEST_P(RoundsOfRules, StepAsTheWholeWithTheNormBefore) {
  expect_rounds_are_steps(GetParam(), format_case("float32"), Device::cpu());
}

const std::vector<Shape> kShapes{
    {.numel = 70}, {.numel = 5000}, {.numel = 0}, {.numel = 1100, .group = 1}, {.numel = 9, .group = 2}};

/// Groups of three rules, two of one type.
std::vector<Rule> three_rules() {
  return {AdamW{.lr = 0.01}, SGD{.lr = 0.1, .momentum = 0.9}, AdamW{.lr = 0.03, .amsgrad = true}};
}

/// The same model twice: `steps` steps it as a whole, `rounds` in parts.
struct Twins {
  Model whole{kShapes}, parted{kShapes};
  Optimizer steps, rounds;

  explicit Twins(const GradientHandling& handling = {}, const Options& options = {})
      : steps(three_rules(), whole.parameters(), options),
        rounds(three_rules(), parted.parameters(), options) {
    steps.set_gradient_handling(handling);
    rounds.set_gradient_handling(handling);
  }
  void draw(int step) {
    whole.draw_finite_gradients(step);
    parted.draw_finite_gradients(step);
  }
  void spoil(std::size_t tensor, std::size_t element, float value) {
    std::vector<float> gradient = parted.grad(tensor).read();
    gradient[element] = value;
    parted.grad(tensor).write(gradient);
  }
  [[nodiscard]] testing::AssertionResult same() {
    return equal_bits(snapshot(whole.parameters(), steps), snapshot(parted.parameters(), rounds));
  }
};

TEST(Rounds, GroupsOfSeveralRulesAreClippedByTheirNormsOfTheRoundBefore) {
  for (const NormType type : {NormType::l1, NormType::l2, NormType::infinity}) {
    for (const bool exact : {false, true}) {
      Twins twins({.clip_norm =
                       ClipGradNorm{.max_norm = 0.05, .norm_type = type, .per_group = true, .exact = exact}});
      ClipByTheNormBefore clipped(twins.steps);
      for (unsigned step = 1; step <= 4; ++step) {
        twins.draw(static_cast<int>(step));
        clipped.step(twins.steps);
        step_round(twins.rounds, random_parts(kShapes.size(), step));
        EXPECT_TRUE(twins.same());
      }
      // The steps' norms are those of the step before: measure once more for the last ones.
      twins.steps.step();
      EXPECT_EQ(std::bit_cast<std::uint64_t>(twins.steps.grad_norm()),
                std::bit_cast<std::uint64_t>(twins.rounds.grad_norm()));
      for (std::size_t group = 0; group < 3; ++group) {
        EXPECT_EQ(std::bit_cast<std::uint64_t>(twins.steps.grad_norm(group)),
                  std::bit_cast<std::uint64_t>(twins.rounds.grad_norm(group)));
      }
      EXPECT_EQ(twins.rounds.steps(), 4);
    }
  }
}

TEST(Rounds, ParametersAreClippedByTheirNormsOfTheSameRound) {
  for (const NormType type : {NormType::l1, NormType::l2, NormType::infinity}) {
    Twins twins({.clip_norm = ClipGradNorm{.max_norm = 0.05, .norm_type = type, .per_parameter = true}});
    for (unsigned step = 1; step <= 4; ++step) {
      twins.draw(static_cast<int>(step));
      twins.steps.step();
      step_round(twins.rounds, random_parts(kShapes.size(), step));
      EXPECT_TRUE(twins.same());
      EXPECT_EQ(std::bit_cast<std::uint64_t>(twins.steps.grad_norm()),
                std::bit_cast<std::uint64_t>(twins.rounds.grad_norm()));
      for (std::size_t t = 0; t < kShapes.size(); ++t) {
        const std::string name = tensor_name(static_cast<int>(t));
        EXPECT_EQ(std::bit_cast<std::uint64_t>(twins.steps.grad_norm(name)),
                  std::bit_cast<std::uint64_t>(twins.rounds.grad_norm(name)));
      }
    }
  }
}

TEST(Rounds, NamesSelectTheSameParameters) {
  Twins twins;
  twins.draw(1);
  twins.steps.step();
  const std::vector<std::string> first{"t3", "t0"}, rest{"t4", "t1", "t2"};
  twins.rounds.step_some(first);
  twins.rounds.step_some(rest);
  twins.rounds.end_round();
  EXPECT_TRUE(twins.same());
}

// The gradients of parameters that are not in a part may hold anything, and may be null.
TEST(Rounds, GradientsOfOtherParametersAreNotRead) {
  Twins twins({.clip_norm = ClipGradNorm{.max_norm = 1e9}, .nonfinite = NonFinite::skip});
  twins.draw(1);
  twins.steps.step();
  for (const std::size_t part : {3, 0, 1, 4, 2}) {
    std::vector<Tensor> gradients = twins.parted.gradients();
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      if (i != part) gradients[i] = {};
    }
    twins.rounds.set_gradients(gradients);
    twins.rounds.step_some(std::vector<std::size_t>{part});
  }
  twins.rounds.end_round();
  EXPECT_TRUE(twins.same());
  EXPECT_EQ(std::bit_cast<std::uint64_t>(twins.steps.grad_norm()),
            std::bit_cast<std::uint64_t>(twins.rounds.grad_norm()));
}

TEST(Rounds, APartThatIsNotFiniteIsSkippedAlone) {
  for (const float bad : {kInf, kNaN}) {
    Twins twins({.clip_norm = ClipGradNorm{.max_norm = 0.5}, .nonfinite = NonFinite::error});
    twins.draw(1);
    twins.spoil(3, 1099, bad);
    const std::vector<float> before = twins.parted.value(3).read();
    step_round(twins.rounds, {{4, 0}, {3}, {1, 2}});
    EXPECT_TRUE(equal_bits(before, twins.parted.value(3).read()));
    EXPECT_EQ(twins.rounds.step_count("t3"), 0);
    EXPECT_EQ(twins.rounds.step_count("t1"), 1);
    EXPECT_EQ(twins.rounds.steps(), 1);
    EXPECT_EQ(twins.rounds.skipped_steps(), 0);
    EXPECT_TRUE(std::isfinite(twins.rounds.grad_norm()));
    try {
      twins.rounds.check();
      FAIL();
    } catch (const NonFiniteGradient& error) {
      EXPECT_NE(std::string(error.what()).find("element 1099 of \"t3\""), std::string::npos) << error.what();
    }
  }
}

TEST(Rounds, SkippedPartsDoNotCountInTheNormsOfGroups) {
  Twins twins({.clip_norm = ClipGradNorm{.max_norm = 0.5, .per_group = true}, .nonfinite = NonFinite::skip});
  twins.draw(1);
  twins.spoil(3, 7, kNaN);
  step_round(twins.rounds, {{4, 0}, {3}, {1, 2}});
  EXPECT_GT(twins.rounds.grad_norm(0), 0.0);
  EXPECT_EQ(twins.rounds.grad_norm(1), 0.0);
}

TEST(Rounds, ARoundOfSkippedPartsIsASkippedStep) {
  Twins twins({.nonfinite = NonFinite::skip});
  twins.draw(1);
  for (const std::size_t tensor : {0, 1, 3, 4}) twins.spoil(tensor, 8, kNaN);
  step_round(twins.rounds, {{4, 0}, {3}, {1}});
  EXPECT_EQ(twins.rounds.steps(), 0);
  EXPECT_EQ(twins.rounds.skipped_steps(), 1);
  EXPECT_TRUE(twins.same());
}

// Propagated, an Inf makes the norm infinite; a coefficient of 0 would stop the next round.
TEST(Rounds, ANormThatIsNotFiniteClipsNothing) {
  Twins twins({.clip_norm = ClipGradNorm{.max_norm = 0.5}});
  twins.draw(1);
  twins.spoil(0, 3, kInf);
  step_round(twins.rounds, {{0}, {1, 2, 3, 4}});
  EXPECT_EQ(twins.rounds.grad_norm(), kInf);
  Twins plain;
  plain.draw(1);
  plain.steps.step();
  twins.draw(2), plain.draw(2);
  step_round(twins.rounds, {{0}, {1, 2, 3, 4}});
  plain.steps.step();
  EXPECT_TRUE(equal_bits(plain.whole.value(1).read(), twins.parted.value(1).read()));
}

TEST(Rounds, LossScalersMoveAtTheEnd) {
  Twins twins({.loss_scaler = LossScaler{.init_scale = 8, .growth_interval = 2}});
  for (int step = 1; step <= 4; ++step) {
    twins.draw(step);
    if (step == 3) twins.spoil(4, 0, kNaN);
    twins.rounds.step_some(std::vector<std::size_t>{4});
    EXPECT_EQ(twins.rounds.loss_scale(), step <= 2 ? 8.0f : step == 3 ? 16.0f : 8.0f);
    twins.rounds.step_some(std::vector<std::size_t>{0, 1, 2, 3});
    twins.rounds.end_round();
  }
  EXPECT_EQ(twins.rounds.loss_scale(), 8.0f);
}

TEST(Rounds, SchedulesFollowTheStepsOfEachParameter) {
  Model model({{.numel = 1}, {.numel = 1}});
  for (const std::size_t t : {0, 1}) {
    model.value(t).write(std::vector<float>{0.0f});
    model.grad(t).write(std::vector<float>{1.0f});
  }
  Optimizer optimizer(SGD{.lr = 1.0}, model.parameters());
  optimizer.set_schedule(StepLR{.step_size = 1, .gamma = 0.5});
  for (int round = 0; round < 3; ++round) {
    optimizer.step_some(std::vector<std::size_t>{0});
    if (round == 2) optimizer.step_some(std::vector<std::size_t>{1});
    optimizer.end_round();
  }
  EXPECT_EQ(model.value(0).read()[0], -1.75f);
  EXPECT_EQ(model.value(1).read()[0], -1.0f);
}

TEST(Rounds, AccumulatedSumsAreSteppedInParts) {
  Twins twins({.clip_norm = ClipGradNorm{.max_norm = 1e9}}, {.accumulates_gradients = true});
  for (int step = 1; step <= 3; ++step) {
    for (int batch = 0; batch < 2; ++batch) {
      twins.draw(10 * step + batch);
      twins.steps.accumulate({.weight = 1.0 + batch});
      twins.rounds.accumulate({.weight = 1.0 + batch});
    }
    twins.steps.step();
    step_round(twins.rounds, {{4, 1}, {0}, {2, 3}});
    EXPECT_TRUE(twins.same());
    EXPECT_EQ(twins.steps.grad_norm(), twins.rounds.grad_norm());
  }
  step_round(twins.rounds, {{0}, {1, 2, 3, 4}});
  EXPECT_EQ(twins.rounds.steps(), 3) << "a round without micro-batches counts nothing";
}

// Else the next micro-batch would be added to what is left of the round before.
TEST(Rounds, SumsOfParametersThatARoundLeavesOutAreDropped) {
  Twins twins({}, {.accumulates_gradients = true});
  twins.draw(1);
  twins.rounds.accumulate();
  twins.rounds.step_some(std::vector<std::size_t>{0});
  twins.rounds.end_round();
  const std::vector<float> before = twins.parted.value(1).read();
  twins.draw(2);
  twins.rounds.accumulate();
  step_round(twins.rounds, {{1}});
  Twins fresh;
  fresh.draw(2);
  step_round(fresh.rounds, {{1}});
  EXPECT_FALSE(equal_bits(before, twins.parted.value(1).read()));
  EXPECT_TRUE(equal_bits(fresh.parted.value(1).read(), twins.parted.value(1).read()));
}

TEST(Rounds, GradientsOfAPartAreZeroedWithIt) {
  Twins twins({.zero_grad = true});
  twins.draw(1);
  const std::vector<float> other = twins.parted.grad(1).read();
  twins.rounds.step_some(std::vector<std::size_t>{0, 3});
  for (const float g : twins.parted.grad(3).read()) ASSERT_EQ(g, 0.0f);
  EXPECT_TRUE(equal_bits(other, twins.parted.grad(1).read()));
}

TEST(Rounds, PartsAreMadeAnewWhenParametersChange) {
  Twins twins({}, {.chunk_size = 64});
  twins.draw(1);
  step_round(twins.rounds, {{0, 1}, {3, 4}});
  twins.steps.step();
  for (Optimizer* one : {&twins.steps, &twins.rounds}) one->remove_parameters({"t0"});
  twins.draw(2);
  step_round(twins.rounds, {{0, 1}, {2, 3}});
  twins.steps.step();
  for (const std::size_t t : {0, 1, 3, 4}) {
    EXPECT_TRUE(equal_bits(twins.whole.value(t).read(), twins.parted.value(t).read())) << t;
  }
}

TEST(Rounds, AnEmptyRoundCountsNothing) {
  Twins twins({.loss_scaler = LossScaler{.growth_interval = 1}});
  twins.rounds.step_some(std::vector<std::size_t>{});
  twins.rounds.end_round();
  EXPECT_EQ(twins.rounds.steps(), 0);
  EXPECT_EQ(twins.rounds.loss_scale(), 65536.0f);
}

class BadRounds : public testing::Test {
 protected:
  template <class Call>
  void expect_refused(Call call, std::initializer_list<std::string> words) {
    const std::vector<float> before = twins_.parted.value(1).read();
    EXPECT_TRUE(refused([&] { call(twins_.rounds); }, words));
    EXPECT_TRUE(equal_bits(before, twins_.parted.value(1).read()));
  }
  void SetUp() override { twins_.draw(1); }

  Twins twins_{{.clip_norm = ClipGradNorm{}}, {.accumulates_gradients = true}};
};

TEST_F(BadRounds, UnknownParametersAreRefused) {
  expect_refused(
      [](Optimizer& one) {
        one.step_some(std::vector<std::size_t>{1, 5});
      },
      {"step_some", "parameter 5", "there are 5"});
  expect_refused([](Optimizer& one) { one.step_some(std::vector<std::string>{"t1", "w"}); }, {"\"w\""});
}

TEST_F(BadRounds, AParameterTwiceInARoundIsRefused) {
  twins_.rounds.accumulate();
  expect_refused(
      [](Optimizer& one) {
        one.step_some(std::vector<std::size_t>{1, 0, 1});
      },
      {"\"t1\"", "twice"});
  twins_.rounds.step_some(std::vector<std::size_t>{1, 0});
  expect_refused(
      [](Optimizer& one) {
        one.step_some(std::vector<std::size_t>{3, 1});
      },
      {"\"t1\"", "this round", "end_round"});
  twins_.rounds.end_round();
  twins_.rounds.step_some(std::vector<std::size_t>{3, 1});
}

TEST_F(BadRounds, OtherCallsInTheMiddleOfARoundAreRefused) {
  Optimizer& rounds = twins_.rounds;
  rounds.accumulate();
  const StateDict dict = rounds.state_dict();
  rounds.step_some(std::vector<std::size_t>{0});
  std::vector<std::int64_t> words(22);
  const Tensor measure{words.data(), DType::int64, 22};
  expect_refused([](Optimizer& one) { one.step(); }, {"step()", "round", "end_round"});
  expect_refused([&](Optimizer& one) { one.measure(measure); }, {"measure()", "round"});
  expect_refused([&](Optimizer& one) { one.step_measured(measure); }, {"step_measured()", "round"});
  expect_refused([](Optimizer& one) { one.accumulate(); }, {"accumulate()", "round"});
  expect_refused([](Optimizer& one) { one.drop_accumulated(); }, {"drop_accumulated()", "round"});
  expect_refused([](Optimizer& one) { one.add_parameters(std::vector<Parameter>{}); },
                 {"add_parameters()", "round"});
  expect_refused([](Optimizer& one) { one.remove_parameters({"t1"}); }, {"remove_parameters()", "round"});
  expect_refused([](Optimizer& one) { static_cast<void>(one.state_dict()); }, {"state_dict()", "round"});
  expect_refused([&](Optimizer& one) { one.load_state_dict(dict); }, {"load_state_dict()", "round"});
  rounds.end_round();
  rounds.step();
}

}  // namespace
}  // namespace onepass::test
