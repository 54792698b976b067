// clip_groups_test.cpp - clipping by group: each group by the norm of its own gradients.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "support/flat_model.hpp"
#include "support/model.hpp"
#include "support/numbers/compare.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
using Floats = std::vector<float>;

/// Parameters in these groups, which plain SGD moves from 0: a step leaves the negated gradients that the
/// rule saw.
struct Grouped {
  FlatModel model;
  Optimizer optimizer;

  Grouped(std::vector<Floats> gradients, const std::vector<std::size_t>& groups, const Options& options = {})
      : model(std::move(gradients), 0.0f), optimizer{rules(groups), parameters(groups), options} {}

  static std::vector<SGD> rules(const std::vector<std::size_t>& groups) {
    return std::vector<SGD>(std::ranges::max(groups) + 1, kShowsGradients);
  }
  std::vector<Parameter> parameters(const std::vector<std::size_t>& groups) {
    std::vector<Parameter> all = model.parameters();
    for (std::size_t i = 0; i < all.size(); ++i) all[i].group = groups[i];
    return all;
  }
  void clip(double max_norm, const GradientHandling& others = {}) {
    GradientHandling handling = others;
    handling.clip_norm = ClipGradNorm{.max_norm = max_norm, .formula = ClipFormula::exact, .per_group = true};
    optimizer.set_gradient_handling(handling);
  }
};

TEST(ClipGroups, EachGroupIsClippedByItsOwnNorm) {
  Grouped grouped({{30.0f}, {3.0f, 0.0f}, {40.0f}, {0.0f, 4.0f}}, {0, 1, 0, 1});
  grouped.clip(10.0);
  grouped.optimizer.step();
  EXPECT_EQ(grouped.model.values[0], Floats{-6.0f});
  EXPECT_EQ(grouped.model.values[2], Floats{-8.0f});
  EXPECT_EQ(grouped.model.values[1], (Floats{-3.0f, 0.0f})) << "the second group's norm is below 10";
  EXPECT_EQ(grouped.model.values[3], (Floats{0.0f, -4.0f}));
  EXPECT_EQ(grouped.optimizer.grad_norm(0), 50.0);
  EXPECT_EQ(grouped.optimizer.grad_norm(1), 5.0);
  EXPECT_EQ(grouped.optimizer.grad_norm(), std::sqrt(2525.0));
}

TEST(ClipGroups, NormsAreOfTheUnscaledMeans) {
  for (const NormType type : {NormType::l1, NormType::l2, NormType::infinity}) {
    Grouped grouped({{24.0f, 32.0f}, {8.0f}}, {0, 1}, {.accumulates_gradients = true});
    grouped.optimizer.set_gradient_handling(
        {.clip_norm = ClipGradNorm{.max_norm = 1e9, .norm_type = type, .per_group = true},
         .loss_scale = 2.0});
    for (int i = 0; i < 2; ++i) grouped.optimizer.accumulate({.weight = 4});
    grouped.optimizer.step();
    EXPECT_EQ(grouped.optimizer.grad_norm(0), type == NormType::l1   ? 28.0
                                              : type == NormType::l2 ? 20.0
                                                                     : 16.0);
    EXPECT_EQ(grouped.optimizer.grad_norm(1), 4.0);
    grouped.optimizer.step();
    EXPECT_EQ(grouped.optimizer.grad_norm(1), 4.0) << "a step without gradients measures nothing";
  }
}

std::vector<Shape> shapes(std::size_t groups) {
  std::vector<Shape> all;
  for (const std::int64_t numel : {1100, 3, 0, 4097, 70, 1024, 9003, 1, 129, 600, 5, 77}) {
    const auto n = static_cast<int>(all.size());
    all.push_back({.numel = numel, .grad_misalignment = n % 4, .group = all.size() % groups});
  }
  return all;
}

Optimizer made(const Model& model, std::size_t groups, const Options& options = {}) {
  return Optimizer(std::vector<AdamW>(groups, AdamW{.lr = 0.01}), model.parameters(), options);
}

// As one optimizer for each group would do.
TEST(ClipGroups, GivesTheBitsOfAnOptimizerForEachGroup) {
  constexpr std::size_t kGroups = 3;
  Model model(shapes(kGroups)), twin(shapes(kGroups));
  Optimizer optimizer = made(model, kGroups);
  optimizer.clip_grad_norm({.max_norm = 0.5, .per_group = true});
  std::vector<Optimizer> alone;
  for (std::size_t group = 0; group < kGroups; ++group) {
    alone.push_back(made(twin, kGroups));
    std::vector<Tensor> gradients = twin.gradients();
    for (std::size_t t = 0; t < twin.size(); ++t) {
      if (twin.shape(t).group != group) gradients[t] = Tensor{};
    }
    alone.back().set_gradients(gradients);
    alone.back().clip_grad_norm(0.5);
  }
  for (int step = 0; step < 3; ++step) {
    model.draw_finite_gradients(step);
    twin.draw_finite_gradients(step);
    optimizer.step();
    for (std::size_t group = 0; group < kGroups; ++group) {
      alone[group].step();
      EXPECT_EQ(optimizer.grad_norm(group), alone[group].grad_norm());
    }
  }
  for (std::size_t t = 0; t < model.size(); ++t) {
    EXPECT_TRUE(equal_bits(twin.value(t).read(), model.value(t).read())) << t;
  }
}

TEST(ClipGroups, NormOfAllHasTheBitsOfClippingByOne) {
  for (const NormType type : {NormType::l1, NormType::l2, NormType::infinity}) {
    Model model(shapes(5)), twin(shapes(5));
    Optimizer by_group = made(model, 5), together = made(twin, 5);
    by_group.clip_grad_norm({.max_norm = 0.5, .norm_type = type, .per_group = true});
    together.clip_grad_norm({.max_norm = 0.5, .norm_type = type});
    for (int step = 0; step < 2; ++step) {
      model.draw_finite_gradients(step);
      twin.draw_finite_gradients(step);
      by_group.step();
      together.step();
      EXPECT_EQ(by_group.grad_norm(), together.grad_norm());
    }
  }
}

TEST(ClipGroups, NaNSpoilsTheCoefficientOfItsGroupAlone) {
  Grouped grouped({{kNaN, 1.0f}, {3.0f, 4.0f}}, {0, 1});
  grouped.clip(1.0);
  grouped.optimizer.step();
  EXPECT_TRUE(std::isnan(grouped.model.values[0][1]));
  EXPECT_FLOAT_EQ(grouped.model.values[1][0], -0.6f);
  EXPECT_TRUE(std::isnan(grouped.optimizer.grad_norm(0)));
  EXPECT_EQ(grouped.optimizer.grad_norm(1), 5.0);
  grouped.model.grads[0] = {3.0f, 4.0f};
  grouped.optimizer.step();
  EXPECT_EQ(grouped.optimizer.grad_norm(0), 5.0) << "nothing is left of the NaN";
}

TEST(ClipGroups, StepIsSkippedAsAWhole) {
  Grouped grouped({{kNaN}, {3.0f, 4.0f}}, {0, 1});
  grouped.clip(1.0, {.nonfinite = NonFinite::error});
  grouped.optimizer.step();
  EXPECT_EQ(grouped.model.values[1], (Floats{0.0f, 0.0f}));
  EXPECT_EQ(grouped.optimizer.skipped_steps(), 1);
  EXPECT_THROW(grouped.optimizer.check(), NonFiniteGradient);
}

TEST(ClipGroups, CanBeTurnedOnAndOff) {
  Grouped grouped({{30.0f}, {40.0f}}, {0, 1});
  grouped.clip(10.0);
  grouped.optimizer.step();
  EXPECT_EQ(grouped.model.values, (std::vector<Floats>{{-10.0f}, {-10.0f}}));
  grouped.optimizer.clip_grad_norm({.max_norm = 10.0, .formula = ClipFormula::exact});
  grouped.optimizer.step();
  EXPECT_EQ(grouped.model.values, (std::vector<Floats>{{-16.0f}, {-18.0f}}));
  EXPECT_EQ(grouped.optimizer.grad_norm(1), 40.0) << "the last step that clipped by group";
  grouped.clip(10.0);
  grouped.optimizer.step();
  EXPECT_EQ(grouped.model.values, (std::vector<Floats>{{-26.0f}, {-28.0f}}));
}

TEST(ClipGroups, NormsSurviveAddedParameters) {
  Grouped grouped({{30.0f}, {40.0f}}, {0, 1});
  grouped.clip(10.0);
  EXPECT_EQ(grouped.optimizer.grad_norm(1), 0.0) << "before the first step";
  grouped.optimizer.step();
  FlatModel late({{9.0f}}, 0.0f);
  std::vector<Parameter> joining = late.parameters();
  joining[0].name = "late";
  joining[0].group = 1;
  grouped.optimizer.add_parameters(joining);
  EXPECT_EQ(grouped.optimizer.grad_norm(1), 40.0);
  grouped.optimizer.step();
  EXPECT_EQ(grouped.optimizer.grad_norm(1), 41.0);
}

TEST(ClipGroups, NormOfAGroupThatDoesNotExistIsRefused) {
  Grouped grouped({{30.0f}, {40.0f}}, {0, 1});
  EXPECT_TRUE(refused([&] { (void)grouped.optimizer.grad_norm(2); }, {"group 2"}));
}

TEST(ClipGroups, ThreadsAndInstructionSetsDoNotChangeABit) {
  const auto run = [](const Options& options) {
    std::vector<Shape> large = shapes(12);
    large[3].numel = 300001;
    Model model(large);
    Optimizer optimizer = made(model, 12, options);
    optimizer.clip_grad_norm({.max_norm = 0.1, .per_group = true});
    train_finite(model, optimizer, 2);
    return snapshot(model.parameters(), optimizer);
  };
  const Snapshot wanted = run({.threads = 1, .isa = Isa::baseline});
  EXPECT_TRUE(equal_bits(wanted, run({.threads = 3})));
  EXPECT_TRUE(equal_bits(wanted, run({.chunk_size = 192, .threads = 2})));
}

}  // namespace
}  // namespace onepass::test
