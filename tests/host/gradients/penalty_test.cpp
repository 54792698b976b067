// penalty_test.cpp - penalty() returns what coupled weight decay and L1 add to the loss.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "support/flat_model.hpp"
#include "support/model.hpp"
#include "support/numbers/values.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

/// 0.5 * l2 * sum p^2 + l1 * sum |p|
long double penalty_of(std::span<const float> p, long double l2, long double l1) {
  long double sum = 0.0L;
  for (const float x : p) sum += 0.5L * l2 * x * x + l1 * std::fabs(static_cast<long double>(x));
  return sum;
}

/// A slot of a leaf rounds twice for each of its 8 elements, the slots fold in 7 more roundings, and the
/// coefficients are rounded too.
constexpr long double kRelative = 32 * 0x1p-53L;

/// The part of each leaf's sum that is cut off is below 2^-298, or 2^-269 times the largest coefficient.
constexpr long double kAbsolute = 16 * 0x1p-298L;

void expect_close(long double wanted, double actual, const char* what, double coefficient = 0.0) {
  const long double cut_off = std::max(kAbsolute, kAbsolute * 0x1p29L * coefficient);
  EXPECT_LE(std::fabs(actual - wanted), kRelative * wanted + cut_off) << what << ": " << actual;
}

TEST(Penalty, IsHalfTheDecayTimesSquaresPlusL1TimesMagnitudes) {
  FlatModel model({{0.0f, 0.0f}, {0.0f}}, 0.0f);
  model.values = {{3.0f, -4.0f}, {2.0f}};
  Optimizer optimizer{SGD{.weight_decay = 0.5, .l1 = 0.25}, model.parameters()};
  EXPECT_EQ(optimizer.penalty(), 0.25 * (9 + 16 + 4) + 0.25 * 9);
  EXPECT_EQ((Optimizer{SGD{}, model.parameters()}.penalty()), 0.0);
}

TEST(Penalty, MatchesTheReferenceWithADifferentRuleForEachGroup) {
  std::vector<Shape> shapes;
  for (const std::int64_t numel : {0, 1, 127, 1023, 1025, 4097, 9003}) {
    const int n = static_cast<int>(shapes.size());
    shapes.push_back({.numel = numel, .value_misalignment = n % 4, .group = static_cast<std::size_t>(n % 4)});
  }
  Model model(shapes);
  for (std::size_t t = 0; t < model.size(); ++t) {
    for (std::size_t i = 0; i < model.value(t).host().size(); ++i) {
      model.value(t).host()[i] = heavy_tailed(1000 * t + i);
    }
  }
  const std::vector<AdamW> rules{{.weight_decay = 0.1, .l1 = 0.3, .weight_decay_mode = WeightDecay::coupled},
                                 {.weight_decay = 0.1, .l1 = 0.7},
                                 {.weight_decay = 0.03, .weight_decay_mode = WeightDecay::coupled},
                                 {.weight_decay = 10.0, .l1 = 1e-9, .l1_mode = L1::subgradient}};
  Optimizer optimizer{rules, model.parameters()};
  long double wanted = 0.0L;
  for (std::size_t t = 0; t < model.size(); ++t) {
    const AdamW& rule = rules[shapes[t].group];
    const bool coupled = rule.weight_decay_mode == WeightDecay::coupled;
    wanted += penalty_of(model.value(t).host(), coupled ? rule.weight_decay : 0.0, rule.l1);
  }
  expect_close(wanted, optimizer.penalty(), "four groups");
  EXPECT_TRUE(model.intact());
}

TEST(Penalty, DecoupledDecayAddsNothing) {
  FlatModel model({{0.0f}}, 3.0f);
  EXPECT_EQ((Optimizer{AdamW{.weight_decay = 0.5}, model.parameters()}.penalty()), 0.0);
  EXPECT_EQ((Optimizer{AdamW{.weight_decay = 0.5, .l1 = 2.0}, model.parameters()}.penalty()), 6.0);
}

TEST(Penalty, FollowsChangesOfParametersAndRules) {
  FlatModel model({{1.0f}}, 3.0f);
  Optimizer optimizer{SGD{.lr = 1.0, .l1 = 1.0, .l1_mode = L1::subgradient}, model.parameters()};
  EXPECT_EQ(optimizer.penalty(), 3.0);
  EXPECT_EQ(optimizer.penalty(), 3.0) << "the sum does not grow from call to call";
  optimizer.step();
  EXPECT_EQ(optimizer.penalty(), 1.0);
  optimizer.set_rule(SGD{.weight_decay = 4.0, .l1 = 5.0});
  EXPECT_EQ(optimizer.penalty(), 7.0);
  optimizer.set_gradients(std::vector<Tensor>(1));
  EXPECT_EQ(optimizer.penalty(), 7.0) << "a parameter without a gradient has a penalty";
}

TEST(Penalty, ReadingItChangesNoBitOfTheTraining) {
  Model model(std::vector<Shape>{{.numel = 5000}}), twin(std::vector<Shape>{{.numel = 5000}});
  const Adam rule{.weight_decay = 0.1, .l1 = 0.1};
  Optimizer optimizer(rule, model.parameters());
  Optimizer steady(rule, twin.parameters());
  for (Optimizer* one : {&optimizer, &steady}) {
    one->set_gradient_handling({.clip_norm = ClipGradNorm{.max_norm = 0.1}, .nonfinite = NonFinite::skip});
  }
  for (int step = 1; step <= 3; ++step) {
    EXPECT_GT(optimizer.penalty(), 0.0);
    train_finite(model, optimizer, 1, step);
    train_finite(twin, steady, 1, step);
  }
  EXPECT_TRUE(equal_bits(snapshot(twin.parameters(), steady), snapshot(model.parameters(), optimizer)));
}

TEST(Penalty, OrderThreadsAndInstructionSetDoNotChangeABit) {
  std::vector<Shape> shapes;
  for (const std::int64_t numel : {70, 0, 9003, 2100001, 1024, 3}) {
    shapes.push_back({.numel = numel, .id = static_cast<int>(shapes.size())});
  }
  const auto bits = [&](const Options& options) {
    Model model(shapes);
    return std::bit_cast<std::uint64_t>(
        Optimizer(SGD{.weight_decay = 0.3, .l1 = 0.1}, model.parameters(), options).penalty());
  };
  const std::uint64_t wanted = bits({.threads = 1, .isa = Isa::baseline});
  for (unsigned seed = 1; seed <= 3; ++seed) {
    std::shuffle(shapes.begin(), shapes.end(), std::mt19937(seed));
    EXPECT_EQ(wanted, bits({.threads = static_cast<int>(seed)})) << seed;
  }
  EXPECT_EQ(wanted, bits({.chunk_size = 192, .threads = 5}));
}

TEST(Penalty, IsNotFiniteIfAParameterIsNot) {
  FlatModel model({{0.0f, 0.0f}}, 1.0f);
  Optimizer optimizer{SGD{.weight_decay = 0.5, .l1 = 0.25}, model.parameters()};
  model.values[0][1] = -kInf;
  EXPECT_EQ(optimizer.penalty(), double{kInf});
  model.values[0][0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(optimizer.penalty()));
  model.values[0] = {1.0f, 1.0f};
  EXPECT_EQ(optimizer.penalty(), 1.0);
}

TEST(Penalty, MatchesTheReferenceForHugeAndTinyParameters) {
  for (const float p : {3e38f, 1e20f, 1e-20f, 1e-38f, std::numeric_limits<float>::denorm_min()}) {
    FlatModel model({std::vector<float>(5000)}, -p);
    expect_close(penalty_of(model.values[0], 0.1, 0.0),
                 Optimizer(SGD{.weight_decay = 0.1}, model.parameters()).penalty(), "L2");
    expect_close(penalty_of(model.values[0], 0.0, 0.1),
                 Optimizer(SGD{.l1 = 0.1}, model.parameters()).penalty(), "L1");
  }
}

// The largest and the smallest coefficients leave the range of a fixed-point sum of squares of float32.
TEST(Penalty, MatchesTheReferenceForHugeAndTinyCoefficients) {
  for (const double coefficient : {3e38, 1e10, 32.0, 16.0, 1e-8, 1e-9, 1e-10, 1e-30, 1e-100}) {
    for (const float p : {3e38f, 1e36f, 1.0f, 1e-38f}) {
      FlatModel model({std::vector<float>(5000)}, p);
      const double l2 = Optimizer(SGD{.weight_decay = coefficient}, model.parameters()).penalty();
      expect_close(penalty_of(model.values[0], coefficient, 0.0), l2, "L2", coefficient);
      const double l1 = Optimizer(SGD{.l1 = coefficient}, model.parameters()).penalty();
      expect_close(penalty_of(model.values[0], 0.0, coefficient), l1, "L1", coefficient);
    }
  }
  FlatModel model({{0.0f}}, 1e36f);
  EXPECT_NEAR((Optimizer{SGD{.weight_decay = 1e10}, model.parameters()}.penalty()) / 5e81, 1.0, 1e-6);
  FlatModel small({{0.0f}}, 1.0f);
  EXPECT_EQ((Optimizer{SGD{.weight_decay = 0x1p-400}, small.parameters()}.penalty()), 0x1p-401);
}

}  // namespace
}  // namespace onepass::test
