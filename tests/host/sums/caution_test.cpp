// caution_test.cpp - Caution::rescaled divides the updates that stay by their share of the tensor.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/model.hpp"
#include "support/named.hpp"
#include "support/numbers/compare.hpp"
#include "support/refusal.hpp"
#include "support/rules.hpp"
#include "support/shards/sharded_model.hpp"

namespace onepass::test {
namespace {

// After a gradient of 4 and with one of 1, the sign's argument is 0.5 * 2 + 0.5 * 1; with -1 it is 0.5 > 0.
constexpr Lion kLion{.lr = 0.5, .beta1 = 0.5, .beta2 = 0.5, .caution = Caution::rescaled};

/// Steps a tensor with gradients of 4 and then with these.
std::vector<float> stepped(const Rule& rule, std::vector<float> gradient) {
  std::vector<float> value(gradient.size(), 2.0f), first(gradient.size(), 4.0f);
  Optimizer optimizer(rule, std::vector<Parameter>{{"p", std::span(value), std::span(first)}});
  optimizer.step();
  first = gradient;
  optimizer.step();
  return value;
}

TEST(CautionRescaled, DividesByTheShareThatStays) {
  const float third = 1.5f - 0.5f * static_cast<float>(4.0 / 3.0);
  EXPECT_EQ(stepped(kLion, {1, 1, -1, 1}), (std::vector<float>{third, third, 1.5f, third}));
  EXPECT_EQ(stepped(kLion, {1, -1, 0, -1}), (std::vector<float>{1.5f - 0.5f * 4.0f, 1.5f, 1.5f, 1.5f}));
}

TEST(CautionRescaled, IsNoneWhereAllStay) {
  EXPECT_EQ(stepped(kLion, {1, 1}), (std::vector<float>{1.0f, 1.0f}));
}

TEST(CautionRescaled, MovesNothingWhereNoneStays) {
  EXPECT_EQ(stepped(kLion, {-1, 0, -1}), (std::vector<float>{1.5f, 1.5f, 1.5f}));
}

TEST(CautionRescaled, DividesByOneInAThousandAtLeast) {
  std::vector<float> gradient(4000, -1.0f);
  gradient[3999] = 1.0f;
  EXPECT_EQ(stepped(kLion, gradient)[3999], 1.5f - 0.5f * 1000.0f);
}

TEST(CautionRescaled, CountsNoNaN) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> after = stepped(kLion, {1, nan, 1, 1});
  EXPECT_EQ(after[0], 1.5f - 0.5f * static_cast<float>(4.0 / 3.0));
  EXPECT_TRUE(std::isnan(after[1]));
}

TEST(CautionRescaled, DoesNotScaleTheDecay) {
  Lion rule = kLion;
  rule.weight_decay = 0.25;  // 2 - (0.125 * 2 + 0.5) = 1.25
  EXPECT_EQ(stepped(rule, {-1, 1})[0], 1.25f - 0.125f * 1.25f);
  EXPECT_EQ(stepped(rule, {-1, 1})[1], 1.25f - std::fma(0.125f, 1.25f, 1.0f));
}

/// Every option of a rule with caution, rescaled.
std::vector<RuleCase> rescaled_cases() {
  std::vector<RuleCase> all;
  for (const RuleCase& one : rule_options()) {
    if (!one.rule.has("caution")) continue;
    Rule rule = one.rule;
    rule.set_text("caution", "rescaled");
    all.push_back(rule_case(one.name + "_rescaled", rule));
  }
  return all;
}

class RescaledRules : public testing::TestWithParam<RuleCase> {};
INSTANTIATE_TEST_SUITE_P(All, RescaledRules, testing::ValuesIn(rescaled_cases()), by_name);

const std::vector<Shape> kShapes{
    {.numel = 20'000}, {.numel = 70, .id = 1}, {.numel = 0, .id = 2}, {.numel = 3001, .id = 3}};

TEST_P(RescaledRules, HaveTheSameBitsForAnyIsaAndThreadsAndChunks) {
  const auto after = [](const Options& options) {
    Model model(kShapes);
    Optimizer optimizer = GetParam().make(model.parameters(), options);
    train(model, optimizer, 5);
    return snapshot(model.parameters(), optimizer);
  };
  const Snapshot expected = after({.threads = 1, .isa = Isa::baseline});
  for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512}) {
    if (!isa_available(isa)) continue;
    EXPECT_TRUE(equal_bits(expected, after({.chunk_size = 192, .threads = 3, .isa = isa}))) << to_string(isa);
  }
}

TEST_P(RescaledRules, StepAsTheWholeInShards) {
  ShardedModel model({5000, 3, 9000}, {{1, 0, 4001}, {4096, 3, 8993}}, {}, {},
                     {GetParam().rule, GetParam().rule});
  for (int step = 1; step <= 4; ++step) {
    model.draw(step);
    model.step_with_sums();
    for (std::size_t t = 0; t < model.tensors(); ++t)
      ASSERT_TRUE(equal_bits(model.whole().value(t), model.value(t))) << "tensor " << t << ", step " << step;
  }
}

// Both rules share their loops, and one launch measures both.
TEST(CautionRescaled, LeavesOtherGroupsAlone) {
  const std::vector<Shape> shapes{{.numel = 300, .group = 0}, {.numel = 5000, .group = 1}};
  const auto after = [&](Caution first, Caution second) {
    Model model(shapes);
    Optimizer optimizer(Rules{AdamW{.lr = 0.01, .caution = first}, Adam{.lr = 0.01, .caution = second}},
                        model.parameters());
    train_finite(model, optimizer, 4);
    return std::vector{model.value(0).read(), model.value(1).read()};
  };
  const auto none = after(Caution::none, Caution::none), both = after(Caution::rescaled, Caution::masked);
  EXPECT_TRUE(equal_bits(none[1], after(Caution::rescaled, Caution::none)[1]));
  EXPECT_FALSE(equal_bits(none[0], both[0]));
  EXPECT_TRUE(equal_bits(both[0], after(Caution::rescaled, Caution::rescaled)[0]));
}

TEST(CautionRescaled, ReadsGradientAndAverageOnceMore) {
  std::vector<float> value(100), gradient(100);
  const auto bytes = [&](Caution caution) {
    Optimizer optimizer(AdamW{.caution = caution},
                        std::vector<Parameter>{{"p", std::span(value), std::span(gradient)}});
    double all = 0.0;
    for (const StreamBytes& stream : optimizer.traffic()) all += stream.bytes;
    return all / 100.0;
  };
  EXPECT_EQ(bytes(Caution::none), 28.0);
  EXPECT_EQ(bytes(Caution::masked), 28.0);
  EXPECT_EQ(bytes(Caution::rescaled), 36.0);
}

TEST(CautionRescaled, MayNotBeTurnedOnOrOff) {
  Model model(kShapes);
  Optimizer optimizer(AdamW{.caution = Caution::masked}, model.parameters());
  EXPECT_EQ(optimizer.sums_numel(), 0);
  EXPECT_TRUE(refused([&] { optimizer.set_rule(AdamW{.caution = Caution::rescaled}); },
                      {"caution may not become rescaled, or cease to be it, in group 0"}));
  optimizer.set_rule(AdamW{.lr = 0.5});
  Optimizer rescaled(AdamW{.caution = Caution::rescaled}, model.parameters());
  EXPECT_TRUE(refused([&] { rescaled.set_rule(AdamW{}); }, {"caution may not"}));
  EXPECT_TRUE(refused([&] { rescaled.load_state_dict(optimizer.state_dict()); }, {"caution may not"}));
}

}  // namespace
}  // namespace onepass::test
