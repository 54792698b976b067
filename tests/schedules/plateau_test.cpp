// plateau_test.cpp - compares ReduceLROnPlateau with PyTorch's on the same metrics, bit for bit.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

#include "schedules/golden_schedules.hpp"
#include "support/model.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

using Mode = ReduceLROnPlateau::Mode;
using Threshold = ReduceLROnPlateau::Threshold;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

/// Returns the plateaus of golden/generate.py by name.
std::map<std::string, ReduceLROnPlateau> plateaus() {
  return {
      {"default", {}},
      {"impatient", {.factor = 0.5, .patience = 0}},
      {"abs", {.factor = 0.5, .patience = 3, .threshold = 0.02, .threshold_mode = Threshold::abs}},
      {"cooldown", {.factor = 0.7, .patience = 2, .cooldown = 5}},
      {"min_lr", {.factor = 0.3, .patience = 1, .min_lrs = {0.01, 0.002}}},
      {"eps", {.factor = 0.9, .patience = 0, .eps = 1e-2}},
      {"max", {.mode = Mode::max, .factor = 0.5, .patience = 4}},
      {"max_rel", {.mode = Mode::max, .factor = 0.5, .patience = 2, .threshold = 0.01}},
      {"max_abs",
       {.mode = Mode::max,
        .factor = 0.5,
        .patience = 2,
        .threshold = 0.01,
        .threshold_mode = Threshold::abs,
        .cooldown = 1}},
      {"ties", {.factor = 0.5, .patience = 2, .threshold = 0.0}},
      {"odd", {.factor = 0.5, .patience = 1}},
      {"odd_max", {.mode = Mode::max, .factor = 0.5, .patience = 1, .threshold_mode = Threshold::abs}},
      {"whole_threshold", {.factor = 0.5, .patience = 1, .threshold = 1.0}},
      {"zero_factor", {.factor = 0.0, .patience = 0, .min_lr = 0.001}},
      {"infinite_start", {.factor = 0.5, .patience = 2}},
  };
}

double best_of(const ReduceLROnPlateau& plateau) {
  return plateau.best.value_or(plateau.mode == Mode::min ? kInf : -kInf);
}

TEST(ReduceLROnPlateau, AgreesWithPyTorchBitForBit) {
  const std::vector<GoldenPlateau> goldens = golden_plateaus();
  ASSERT_EQ(goldens.size(), plateaus().size());
  for (const GoldenPlateau& golden : goldens) {
    SCOPED_TRACE(golden.name);
    ReduceLROnPlateau plateau = plateaus().at(golden.name);
    double lr[2] = {0.3, 0.07};
    for (std::size_t i = 0; i < golden.metrics.size(); ++i) {
      const GoldenMetric& wanted = golden.metrics[i];
      const bool fires = plateau.observe(wanted.metric);
      for (std::size_t group = 0; group < 2; ++group) {
        if (fires) lr[group] = plateau.reduced(lr[group], group);
        ASSERT_EQ(lr[group], wanted.lr[group]) << "metric " << i;
      }
      ASSERT_EQ(best_of(plateau), wanted.best) << "metric " << i;
      ASSERT_EQ(plateau.num_bad_epochs, wanted.num_bad_epochs) << "metric " << i;
      ASSERT_EQ(plateau.cooldown_counter, wanted.cooldown_counter) << "metric " << i;
    }
  }
}

TEST(ReduceLROnPlateau, ContinuesFromACopyOfItsState) {
  for (const GoldenPlateau& golden : golden_plateaus()) {
    SCOPED_TRACE(golden.name);
    ReduceLROnPlateau unbroken = plateaus().at(golden.name);
    for (std::size_t stop = 0; stop < golden.metrics.size(); stop += 13) {
      ReduceLROnPlateau before = plateaus().at(golden.name);
      for (std::size_t i = 0; i < stop; ++i) (void)before.observe(golden.metrics[i].metric);
      ReduceLROnPlateau after = plateaus().at(golden.name);
      after.best = before.best;
      after.num_bad_epochs = before.num_bad_epochs;
      after.cooldown_counter = before.cooldown_counter;
      for (std::size_t i = stop; i < golden.metrics.size(); ++i) {
        ASSERT_EQ(after.observe(golden.metrics[i].metric), before.observe(golden.metrics[i].metric)) << i;
      }
      ASSERT_EQ(after, before);
    }
  }
}

TEST(ReduceLROnPlateau, KeepsTheRateIfItWouldFallByEpsOrLess) {
  const ReduceLROnPlateau plateau{.factor = 0.5, .eps = 0.5};
  EXPECT_EQ(plateau.reduced(1.0), 1.0);
  EXPECT_EQ(plateau.reduced(std::nextafter(1.0, 2.0)), std::nextafter(1.0, 2.0) / 2);
}

TEST(ReduceLROnPlateau, StepSetsTheRateOfEveryGroup) {
  Model model({{.numel = 3}, {.numel = 5, .group = 1}});
  Optimizer optimizer{std::vector{SGD{.lr = 0.4}, SGD{.lr = 0.02}}, model.parameters()};
  ReduceLROnPlateau plateau{.factor = 0.5, .patience = 0, .min_lr = 0.015};
  EXPECT_FALSE(plateau.step(1.0, optimizer));
  EXPECT_EQ(optimizer.rule<SGD>(0).lr, 0.4);
  EXPECT_TRUE(plateau.step(2.0, optimizer));
  EXPECT_EQ(optimizer.rule<SGD>(0).lr, 0.2);
  EXPECT_EQ(optimizer.rule<SGD>(1).lr, 0.015);
  EXPECT_TRUE(plateau.step(kNaN, optimizer));
  EXPECT_EQ(optimizer.rule<SGD>(0).lr, 0.1);
  EXPECT_EQ(optimizer.rule<SGD>(1).lr, 0.015);
}

TEST(ReduceLROnPlateau, RejectsMinLrsThatDoNotMatchTheGroupsAndChangesNothing) {
  Model model({{.numel = 3}, {.numel = 5}});
  Optimizer optimizer{SGD{.lr = 0.4}, model.parameters()};
  ReduceLROnPlateau plateau{.patience = 0, .min_lrs = {0.1, 0.2}};
  const ReduceLROnPlateau before = plateau;
  EXPECT_TRUE(refused([&] { plateau.step(1.0, optimizer); }, {"min_lrs", "2 elements", "1 group"}));
  EXPECT_EQ(plateau, before);
  EXPECT_TRUE(refused([&] { (void)plateau.reduced(0.1, 2); }, {"min_lrs", "2 elements", "3 groups"}));
}

TEST(ReduceLROnPlateau, RejectsParametersOutOfRangeAndChangesNothing) {
  const std::vector<std::pair<ReduceLROnPlateau, std::string>> cases{
      {{.mode = static_cast<Mode>(2)}, "mode"},
      {{.factor = 1.0}, "factor"},
      {{.factor = -0.1}, "factor"},
      {{.factor = kNaN}, "factor"},
      {{.patience = -1}, "patience"},
      {{.threshold = -1e-4}, "threshold"},
      {{.threshold = kNaN}, "threshold"},
      {{.threshold_mode = static_cast<Threshold>(-1)}, "threshold_mode"},
      {{.cooldown = -1}, "cooldown"},
      {{.min_lr = -1.0}, "min_lr"},
      {{.min_lrs = {0.1, kInf}}, "min_lrs"},
      {{.eps = kNaN}, "eps"},
      {{.num_bad_epochs = -1}, "num_bad_epochs"},
      {{.cooldown_counter = -1}, "cooldown_counter"},
  };
  for (auto [plateau, word] : cases) {
    EXPECT_TRUE(refused([&] { (void)plateau.observe(1.0); }, {"ReduceLROnPlateau." + word + " must"}));
    EXPECT_FALSE(plateau.best.has_value());
    EXPECT_TRUE(refused([&] { (void)plateau.reduced(1.0); }, {"ReduceLROnPlateau." + word + " must"}));
  }
}

}  // namespace
}  // namespace onepass::test
