// groups_test.cpp - groups of one optimizer give the bits of separate optimizers, and their hyperparameters
// can change between steps.
#include <gtest/gtest.h>

#include "support/model.hpp"
#include "support/numbers/compare.hpp"

namespace onepass::test {
namespace {

/// Two tensors per group, interleaved so that neighbours in the optimizer's table have different rules.
std::vector<Shape> interleaved(std::size_t groups) {
  std::vector<Shape> shapes;
  for (const std::int64_t numel : {67, 130}) {
    for (std::size_t group = 0; group < groups; ++group) {
      shapes.push_back({.numel = numel + static_cast<std::int64_t>(group), .group = group});
    }
  }
  return shapes;
}

/// The result of a separate optimizer for each group. It contains only the states that the group's rule uses.
template <class Rule>
Snapshot separately(const std::vector<Rule>& rules, int steps) {
  Snapshot all;
  for (std::size_t group = 0; group < rules.size(); ++group) {
    std::vector<Shape> mine;
    const std::vector<Shape> shapes = interleaved(rules.size());
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      if (shapes[i].group == group) mine.push_back({.numel = shapes[i].numel, .id = static_cast<int>(i)});
    }
    Model model(mine);
    Optimizer optimizer(rules[group], model.parameters());
    train(model, optimizer, steps);
    all.merge(snapshot(model.parameters(), optimizer));
  }
  return all;
}

template <class Rule>
void expect_groups_equal_separate_optimizers(const std::vector<Rule>& rules) {
  Model model(interleaved(rules.size()));
  Optimizer together(rules, model.parameters());
  train(model, together, 20);
  Snapshot actual = snapshot(model.parameters(), together);
  const Snapshot wanted = separately(rules, 20);
  std::erase_if(actual, [&](const auto& entry) { return !wanted.contains(entry.first); });
  EXPECT_TRUE(equal_bits(wanted, actual));
}

TEST(Groups, EachSgdGroupMovesByItsOwnRule) {
  expect_groups_equal_separate_optimizers<SGD>({
      {.lr = 0.1, .weight_decay = 0.2},
      {.lr = 0.2, .momentum = 0.9, .weight_decay = 0.1},
      {.lr = 0.3, .momentum = 0.8, .nesterov = true, .weight_decay_mode = WeightDecay::decoupled},
      {.lr = 0.01, .momentum = 0.5, .dampening = 0.5, .maximize = true},
  });
}

TEST(Groups, EachRmsPropGroupMovesByItsOwnRule) {
  expect_groups_equal_separate_optimizers<RMSProp>({
      {.lr = 0.1, .weight_decay = 0.2},
      {.lr = 0.2, .momentum = 0.9, .epsilon = Epsilon::outside_root},
      {.lr = 0.03, .alpha = 0.9, .weight_decay = 0.1, .centered = true},
      {.lr = 0.01, .momentum = 0.5, .centered = true, .maximize = true},
  });
}

TEST(Groups, EachAdamGroupMovesByItsOwnRule) {
  expect_groups_equal_separate_optimizers<Adam>({
      {.lr = 0.1},
      {.lr = 0.01, .beta1 = 0.5, .beta2 = 0.9, .amsgrad = true},
      {.lr = 0.2, .eps = 1e-3, .weight_decay = 0.1, .maximize = true},
  });
}

TEST(Groups, EachAdamWGroupMovesByItsOwnRule) {
  expect_groups_equal_separate_optimizers<AdamW>({
      {.lr = 0.1},
      {.lr = 0.01, .weight_decay = 0.3, .amsgrad = true},
      {.lr = 0.2, .weight_decay_mode = WeightDecay::coupled},
  });
}

TEST(Groups, RulesCanBeReadBack) {
  Model model(interleaved(2));
  Optimizer optimizer{std::vector<AdamW>{{.lr = 0.5}, {.lr = 0.25, .amsgrad = true}}, model.parameters()};
  EXPECT_EQ(optimizer.group_count(), 2u);
  EXPECT_EQ(optimizer.rule<AdamW>(0).lr, 0.5);
  EXPECT_EQ(optimizer.rule<AdamW>(1).lr, 0.25);
  optimizer.set_lr(0.125, 1);
  EXPECT_EQ(optimizer.rule<AdamW>(0).lr, 0.5);
  EXPECT_EQ(optimizer.rule<AdamW>(1).lr, 0.125);
  EXPECT_TRUE(optimizer.rule<AdamW>(1).amsgrad);
}

/// Two groups of one element with gradient 1 and plain SGD: a step subtracts the group's learning rate.
struct TwoRates {
  std::vector<float> a{0.0f}, b{0.0f}, gradient{1.0f};
  Optimizer optimizer{
      std::vector<SGD>{{.lr = 1.0}, {.lr = 2.0}},
      std::vector<Parameter>{{"a", std::span(a), std::span(gradient), 0}, {"b", std::span(b), Tensor{}, 1}}};
  TwoRates() { optimizer.set_gradients(std::vector<Tensor>{std::span(gradient), std::span(other)}); }
  std::vector<float> other{1.0f};
};

TEST(Groups, RateOfAllGroupsCanChange) {
  TwoRates two;
  two.optimizer.step();
  EXPECT_EQ(two.a[0], -1.0f);
  EXPECT_EQ(two.b[0], -2.0f);
  two.optimizer.set_lr(0.5);
  two.optimizer.step();
  EXPECT_EQ(two.a[0], -1.5f);
  EXPECT_EQ(two.b[0], -2.5f);
}

TEST(Groups, RateOfOneGroupCanChange) {
  TwoRates two;
  two.optimizer.set_lr(0.5, 1);
  two.optimizer.step();
  EXPECT_EQ(two.a[0], -1.0f);
  EXPECT_EQ(two.b[0], -0.5f);
}

TEST(Groups, AnyHyperparameterCanChange) {
  TwoRates two;
  two.optimizer.set_rule(SGD{.lr = 1.0, .maximize = true}, 0);
  two.optimizer.step();
  EXPECT_EQ(two.a[0], 1.0f);
  EXPECT_EQ(two.b[0], -2.0f);
}

// A rule changed between steps gives the bits of an optimizer that was made with the new rule and loaded the
// old states.
TEST(Groups, ChangedRuleContinuesFromTheSameStates) {
  const std::vector<Shape> shapes{{.numel = 100}};
  const AdamW before{.lr = 0.1}, after{.lr = 0.01, .beta1 = 0.5, .beta2 = 0.8, .weight_decay = 0.3};
  Model changed(shapes), reloaded(shapes);
  Optimizer optimizer{before, changed.parameters()};
  changed.draw_gradients(1, 100);
  optimizer.step();
  Optimizer other{after, reloaded.parameters()};
  StateDict dict = optimizer.state_dict();
  dict.groups.clear();
  other.load_state_dict(dict);
  reloaded.value(0).write(changed.value(0).host());
  optimizer.set_rule(after);
  for (int step = 2; step < 6; ++step) {
    changed.draw_gradients(step, 100);
    reloaded.draw_gradients(step, 100);
    optimizer.step();
    other.step();
  }
  EXPECT_TRUE(equal_bits(reloaded.value(0).host(), changed.value(0).host()));
}

TEST(Groups, MomentumMayBeTurnedOffAndOnIfTheBufferExists) {
  std::vector<float> p{0.0f}, gradient{1.0f};
  Optimizer optimizer{SGD{.lr = 1.0, .momentum = 0.5},
                      std::vector<Parameter>{{"p", std::span(p), std::span(gradient)}}};
  optimizer.step();
  optimizer.set_rule(SGD{.lr = 1.0});
  optimizer.step();
  EXPECT_EQ(p[0], -2.0f);
  optimizer.set_rule(SGD{.lr = 1.0, .momentum = 0.5});
  optimizer.step();  // the buffer was 1, the last gradient
  EXPECT_EQ(p[0], -3.5f);
}

}  // namespace
}  // namespace onepass::test
