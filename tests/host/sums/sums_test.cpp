// sums_test.cpp - the sums that a rule takes over a tensor are exact: the same bits in any order, on any
// threads, in any cut; and a step takes them of its own gradients alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <vector>

#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/model.hpp"
#include "support/named.hpp"
#include "support/numbers/compare.hpp"
#include "support/numbers/values.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

constexpr LARS kLars{.lr = 0.5, .momentum = 0.5, .trust_coeff = 0.5, .weight_decay = 0.1};
constexpr LAMB kLamb{.lr = 0.01, .weight_decay = 0.1};
constexpr Prodigy kProdigy{.d0 = 0.01, .weight_decay = 0.1};

std::vector<float> stepped(const Rule& rule, std::vector<float> value, std::vector<float> gradient) {
  Optimizer optimizer{rule, std::vector<Parameter>{{"p", std::span(value), std::span(gradient)}}};
  for (int step = 0; step < 3; ++step) optimizer.step();
  return value;
}

/// The rules that take sums.
std::vector<RuleCase> rules_with_sums() {
  std::vector<RuleCase> cases = rule_options();
  std::erase_if(cases, [](const RuleCase& one) {
    std::vector<float> p(1);
    return one.make({{"p", std::span(p)}}).sums_numel() == 0;
  });
  return cases;
}

class SumsOfRules : public testing::TestWithParam<RuleCase> {};
INSTANTIATE_TEST_SUITE_P(All, SumsOfRules, testing::ValuesIn(rules_with_sums()), by_name);

TEST_P(SumsOfRules, DoNotDependOnTheOrderOfTheElements) {
  constexpr std::size_t kNumel = 5000;
  std::vector<float> value(kNumel), gradient(kNumel);
  draw_value(value, 1);
  draw_gradient(gradient, 1, 1007, 200);
  std::vector<std::size_t> order(kNumel);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::shuffle(order.begin(), order.end(), std::mt19937(5));
  const auto ordered = [&](const std::vector<float>& from) {
    std::vector<float> to;
    for (const std::size_t i : order) to.push_back(from[i]);
    return to;
  };
  EXPECT_TRUE(equal_bits(ordered(stepped(GetParam().rule, value, gradient)),
                         stepped(GetParam().rule, ordered(value), ordered(gradient))));
}

const std::vector<Shape> kShapes{
    {.numel = 20'000}, {.numel = 70}, {.numel = 0}, {.numel = 3001}, {.numel = 1}};

TEST_P(SumsOfRules, AreTheSameForAnyThreadsAndChunksAndPlaceInTheModel) {
  Model model(kShapes);
  Optimizer one = GetParam().make(model.parameters(), {.threads = 1});
  train_finite(model, one, 4);
  const Snapshot expected = snapshot(model.parameters(), one);
  for (const int threads : {2, 5}) {
    std::vector<Shape> turned = kShapes;
    for (std::size_t i = 0; i < turned.size(); ++i) turned[i].id = static_cast<int>(i);
    std::ranges::reverse(turned);
    Model other(turned);
    Optimizer many = GetParam().make(other.parameters(), {.chunk_size = 64 * threads, .threads = threads});
    train_finite(other, many, 4);
    EXPECT_TRUE(equal_bits(expected, snapshot(other.parameters(), many))) << threads << " threads";
  }
}

TEST_P(SumsOfRules, OfASkippedStepAreForgotten) {
  Model skipping(kShapes), plain(kShapes);
  Optimizer with = GetParam().make(skipping.parameters()), without = GetParam().make(plain.parameters());
  with.set_nonfinite(NonFinite::skip);
  train_finite(skipping, with, 2);
  skipping.draw_finite_gradients(3);
  std::vector<float> bad = read(skipping.grad(0).tensor());
  bad[7] = std::numeric_limits<float>::infinity();
  skipping.grad(0).write(bad);
  with.step();
  EXPECT_EQ(with.skipped_steps(), 1);
  train_finite(skipping, with, 2, 3);
  train_finite(plain, without, 4);
  EXPECT_TRUE(equal_bits(snapshot(plain.parameters(), without), snapshot(skipping.parameters(), with)));
}

class SumsOfFormats : public testing::TestWithParam<FormatCase> {};
INSTANTIATE_TEST_SUITE_P(All, SumsOfFormats, testing::ValuesIn(all_format_cases()), by_name);

// The sums see the parameters and states as the update does, whatever stores them.
TEST_P(SumsOfFormats, AreTheSameForAnyIsaAndThreadsAndChunks) {
  const auto after_steps = [&](const Rule& rule, Isa isa, int threads, std::int64_t chunk_size) {
    const FormatModel model(GetParam(), Device::cpu(), {20'000, 7, 33, 0, 61, 1});
    Optimizer optimizer(rule, model.parameters(),
                        {.chunk_size = chunk_size,
                         .threads = threads,
                         .isa = isa,
                         .storage = GetParam().low(),
                         .float32_storage = GetParam().wide()});
    for (int step = 1; step <= 4; ++step) {
      model.draw_finite(step);
      optimizer.step();
    }
    return all_bytes(model, optimizer.state_dict());
  };
  for (const Rule& rule : {Rule(kLamb), Rule(kLars), Rule(kProdigy)}) {
    const std::vector<std::byte> expected = after_steps(rule, Isa::baseline, 1, 0);
    for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512, Isa::avx512_bf16}) {
      if (!isa_available(isa)) continue;
      EXPECT_EQ(expected, after_steps(rule, isa, 3, 192)) << rule.name() << " " << to_string(isa);
    }
  }
}

// Squares from 2^-200 to 2^120: a double that adds them in their order drops the small ones, of which there
// are enough to count. The norm is that of long double, in which they fit.
TEST(Sums, LoseNoSmallTerms) {
  std::vector<float> value(1 << 16, 0x1p-20f), gradient(value.size(), 0.0f);
  value[0] = 0x1p6f;
  value[1] = 0x1p-100f;
  gradient[5] = 1.0f;
  const LARS rule{.lr = 1.0, .momentum = 0.0, .trust_coeff = 1.0, .eps = 0.0, .always_adapt = true};
  const double norm = std::sqrt(0x1p12 + 0x1p-40 * 65534.0 + 0x1p-200);
  const std::vector<float> after = [&] {
    std::vector<float> moved = value;
    Optimizer optimizer{rule, std::vector<Parameter>{{"p", std::span(moved), std::span(gradient)}}};
    optimizer.step();
    return moved;
  }();
  EXPECT_EQ(after[5], 0x1p-20f - static_cast<float>(norm));
}

// Without eps, an element of zeros has a direction of 0 / 0, so that one behind the end would make the norm
// NaN and trust 1. ||p|| = sqrt(7 * 9), ||u|| = sqrt(7): a step is 0.5 * 3.
TEST(Sums, HaveNoTermBehindTheEndOfATensor) {
  constexpr LAMB kNoEps{.lr = 0.5, .eps = 0.0, .weight_decay = 0.0, .always_adapt = true};
  std::vector<float> value(7, 3.0f), gradient(7, 2.0f);
  Optimizer optimizer{kNoEps, std::vector<Parameter>{{"p", std::span(value), std::span(gradient)}}};
  optimizer.step();
  for (const float one : value) EXPECT_NEAR(one, 1.5f, 1e-6f);
}

TEST(Sums, AreOfTheGradientsAfterClippingAndUnscaling) {
  std::vector<float> value{6, 8}, scaled{6, 8}, gradient{3, 4}, large{3 * 512.0f, 4 * 512.0f};
  Optimizer plain{kLars, std::vector<Parameter>{{"p", std::span(value), std::span(gradient)}}};
  Optimizer clipped{kLars, std::vector<Parameter>{{"p", std::span(scaled), std::span(large)}}};
  clipped.set_gradient_handling(
      {.clip_norm = ClipGradNorm{.max_norm = 5.0, .formula = ClipFormula::exact}, .loss_scale = 64.0});
  plain.step();
  clipped.step();
  EXPECT_EQ(value, scaled);
}

TEST(Sums, FollowTheScheduleOfTheStep) {
  std::vector<float> value{6, 8}, other{6, 8}, gradient{3, 4};
  Optimizer scheduled{kLars, std::vector<Parameter>{{"p", std::span(value), std::span(gradient)}}};
  scheduled.set_schedule(ExponentialLR{.gamma = 0.5});
  Optimizer by_hand{kLars, std::vector<Parameter>{{"p", std::span(other), std::span(gradient)}}};
  double lr = kLars.lr;
  for (int step = 0; step < 4; ++step, lr *= 0.5) {
    by_hand.set_lr(lr);
    by_hand.step();
    scheduled.step();
    EXPECT_EQ(value, other) << "step " << step;
  }
}

TEST(Sums, LeaveOtherRulesAlone) {
  std::vector<Shape> shapes{
      {.numel = 700, .group = 0}, {.numel = 9000, .group = 1}, {.numel = 33, .group = 2}};
  Model together(shapes), with(shapes), without(shapes);
  Optimizer all({kLamb, AdamW{.lr = 0.01}, kLars}, together.parameters());
  Optimizer sums({kLamb, kLars, kLars}, with.parameters());
  Optimizer none({AdamW{.lr = 0.01}, AdamW{.lr = 0.01}, AdamW{.lr = 0.01}}, without.parameters());
  EXPECT_EQ(all.sums_numel(), 3 * 67);
  EXPECT_EQ(none.sums_numel(), 0);
  train_finite(together, all, 5);
  train_finite(with, sums, 5);
  train_finite(without, none, 5);
  EXPECT_TRUE(equal_bits(with.value(0).host(), together.value(0).host()));
  EXPECT_TRUE(equal_bits(without.value(1).host(), together.value(1).host()));
  EXPECT_TRUE(equal_bits(with.value(2).host(), together.value(2).host()));
}

TEST(Sums, CountInTheTraffic) {
  std::vector<float> value(100), gradient(100);
  const auto bytes = [&](const Rule& rule) {
    std::map<std::string, double> by_name;
    Optimizer optimizer(rule, std::vector<Parameter>{{"p", std::span(value), std::span(gradient)}});
    for (const StreamBytes& stream : optimizer.traffic()) by_name[stream.name] = stream.bytes / 100;
    return by_name;
  };
  EXPECT_EQ(bytes(kLars),
            (std::map<std::string, double>{{"param", 12}, {"grad", 8}, {"momentum_buffer", 8}}));
  EXPECT_EQ(bytes(kLamb),
            (std::map<std::string, double>{{"param", 12}, {"grad", 8}, {"exp_avg", 12}, {"exp_avg_sq", 12}}));
}

}  // namespace
}  // namespace onepass::test
