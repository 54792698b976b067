// bad_hyperparameter_test.cpp - every hyperparameter out of its range is refused by name, by the constructor
// and by every setter.
#include <gtest/gtest.h>

#include <limits>
#include <span>
#include <string>
#include <vector>

#include "support/model.hpp"
#include "support/refusal.hpp"

namespace onepass::test {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

/// Expects each value of the member to be refused by the constructor, also in the second of two groups, and
/// by set_rule(). Afterwards the optimizer must be unchanged and still step.
template <class Rule>
void expect_range(double Rule::*member, const std::string& name, std::initializer_list<double> bad) {
  const std::string full_name = std::string(Rule::kName) + "." + name;
  for (const double value : bad) {
    SCOPED_TRACE(full_name + " = " + std::to_string(value));
    Rule rule;
    rule.*member = value;
    Model model({{.numel = 70}, {.numel = 3}}), twin({{.numel = 70}, {.numel = 3}});
    EXPECT_TRUE(refused([&] { Optimizer{rule, model.parameters()}; }, {full_name}));
    EXPECT_TRUE(refused(
        [&] {
          Optimizer{std::vector<Rule>{Rule{}, rule}, model.parameters()};
        },
        {full_name}));

    Optimizer optimizer{Rule{}, model.parameters()};
    Optimizer steady{Rule{}, twin.parameters()};
    optimizer.step();
    EXPECT_TRUE(refused([&] { optimizer.set_rule(rule); }, {full_name}));
    EXPECT_EQ(optimizer.template rule<Rule>().*member, Rule{}.*member);
    optimizer.step();
    steady.step();
    steady.step();
    EXPECT_TRUE(equal_bits(snapshot(twin.parameters(), steady), snapshot(model.parameters(), optimizer)));
  }
}

template <class Rule>
void expect_shared_ranges() {
  expect_range(&Rule::lr, "lr", {kNaN, kInf, -kInf, -1e-9, 1e39});
  expect_range(&Rule::weight_decay, "weight_decay", {kNaN, kInf, -kInf, -0.1, 1e39});
}

TEST(BadHyperparameter, SgdRefusesItByName) {
  expect_shared_ranges<SGD>();
  expect_range(&SGD::momentum, "momentum", {kNaN, kInf, -0.5, 1e39});
  expect_range(&SGD::dampening, "dampening", {kNaN, kInf, -kInf, -1e39});
}

TEST(BadHyperparameter, RmsPropRefusesItByName) {
  expect_shared_ranges<RMSProp>();
  expect_range(&RMSProp::alpha, "alpha", {kNaN, kInf, -0.1, 1.0, 1.5});
  expect_range(&RMSProp::eps, "eps", {kNaN, kInf, -1e-8, 1e-60});
  expect_range(&RMSProp::momentum, "momentum", {kNaN, kInf, -0.5, 1e39});
}

TEST(BadHyperparameter, AdamRefusesItByName) {
  expect_shared_ranges<Adam>();
  expect_range(&Adam::beta1, "beta1", {kNaN, kInf, -0.1, 1.0, 1.5});
  expect_range(&Adam::beta2, "beta2", {kNaN, kInf, -0.1, 1.0, 1.5});
  expect_range(&Adam::eps, "eps", {kNaN, kInf, -1e-8, 1e-60});
}

TEST(BadHyperparameter, AdamWRefusesItByName) {
  expect_shared_ranges<AdamW>();
  expect_range(&AdamW::beta1, "beta1", {kNaN, kInf, -0.1, 1.0, 1.5});
  expect_range(&AdamW::beta2, "beta2", {kNaN, kInf, -0.1, 1.0, 1.5});
  expect_range(&AdamW::eps, "eps", {kNaN, kInf, -1e-8, 1e-60});
}

TEST(BadHyperparameter, MessageContainsTheRangeAndTheValue) {
  Model model(std::vector<Shape>{{.numel = 1}});
  EXPECT_TRUE(refused(
      [&] {
        Optimizer{AdamW{.beta1 = 1.5}, model.parameters()};
      },
      {"AdamW.beta1", "[0, 1)", "1.5"}));
  EXPECT_TRUE(refused([&] { Optimizer{Adam{.lr = -0.25}, model.parameters()}; }, {"Adam.lr", "-0.25"}));
  EXPECT_TRUE(refused([&] { Optimizer{SGD{.lr = kNaN}, model.parameters()}; }, {"SGD.lr", "nan"}));
}

TEST(BadHyperparameter, NesterovNeedsMomentumWithoutDampening) {
  Model model(std::vector<Shape>{{.numel = 1}});
  const SGD without{.nesterov = true};
  const SGD dampened{.momentum = 0.9, .dampening = 0.1, .nesterov = true};
  EXPECT_TRUE(refused([&] { Optimizer{without, model.parameters()}; }, {"SGD", "nesterov", "momentum"}));
  EXPECT_TRUE(refused([&] { Optimizer{dampened, model.parameters()}; }, {"SGD", "nesterov", "dampening"}));
}

TEST(BadHyperparameter, EdgesOfTheRangesAreAccepted) {
  Model model(std::vector<Shape>{{.numel = 3}});
  EXPECT_NO_THROW((Optimizer{AdamW{.lr = 0.0, .beta1 = 0.0, .beta2 = 0.0, .eps = 0.0, .weight_decay = 0.0},
                             model.parameters()}));
  EXPECT_NO_THROW(
      (Optimizer{RMSProp{.lr = 0.0, .alpha = 0.0, .eps = 0.0, .momentum = 1.5}, model.parameters()}));
  EXPECT_NO_THROW((Optimizer{SGD{.lr = 0.0, .momentum = 1.0, .dampening = -1.0}, model.parameters()}));
}

TEST(BadHyperparameter, SetLrRefusesAndChangesNoGroup) {
  Model model({{.numel = 1}, {.numel = 1, .group = 1}});
  Optimizer optimizer{std::vector<SGD>{{.lr = 1.0}, {.lr = 2.0}}, model.parameters()};
  for (const double bad : {kNaN, kInf, -1.0}) {
    EXPECT_TRUE(refused([&] { optimizer.set_lr(bad); }, {"SGD.lr"}));
    EXPECT_TRUE(refused([&] { optimizer.set_lr(bad, 1); }, {"SGD.lr"}));
  }
  EXPECT_EQ(optimizer.rule<SGD>(0).lr, 1.0);
  EXPECT_EQ(optimizer.rule<SGD>(1).lr, 2.0);
}

/// Expects a rule, each of whose hyperparameters is in range, to be refused by the constructor and
/// set_rule().
template <class Rule>
void expect_coefficients_refused(const Rule& rule, const std::string& lr) {
  SCOPED_TRACE(std::string(Rule::kName) + " with lr " + lr);
  Model model(std::vector<Shape>{{.numel = 3}});
  EXPECT_TRUE(refused([&] { Optimizer{rule, model.parameters()}; }, {Rule::kName, "coefficient", lr}));
  Optimizer optimizer{Rule{}, model.parameters()};
  EXPECT_TRUE(refused([&] { optimizer.set_rule(rule); }, {Rule::kName, "coefficient", lr}));
  EXPECT_EQ(optimizer.template rule<Rule>().lr, Rule{}.lr);
}

TEST(BadHyperparameter, CoefficientsThatOverflowFloat32AreRefused) {
  expect_coefficients_refused(AdamW{.lr = 1e38, .weight_decay = 0}, "1e+38");
  expect_coefficients_refused(AdamW{.lr = 1e30, .weight_decay = 1e10}, "1e+30");
  expect_coefficients_refused(Adam{.lr = 1e30, .beta1 = 1 - 0x1p-53}, "1e+30");
  expect_coefficients_refused(Adam{.lr = 1e30, .beta1 = 0.0, .l1 = 1e10}, "1e+30");
  expect_coefficients_refused(
      SGD{.lr = 1e30, .weight_decay = 1e10, .weight_decay_mode = WeightDecay::decoupled}, "1e+30");
  expect_coefficients_refused(RMSProp{.lr = 1e30, .l1 = 1e10}, "1e+30");
  Model model(std::vector<Shape>{{.numel = 3}});
  EXPECT_NO_THROW((Optimizer{SGD{.lr = 3e38, .momentum = 3e38}, model.parameters()}));
  EXPECT_NO_THROW((Optimizer{AdamW{.lr = 1e37, .weight_decay = 0}, model.parameters()}));
}

TEST(BadHyperparameter, SetLrRefusesRatesWhoseCoefficientsOverflow) {
  Model model({{.numel = 1}, {.numel = 1, .group = 1}});
  Optimizer optimizer{{SGD{.lr = 1.0}, AdamW{.lr = 2.0}}, model.parameters()};
  EXPECT_TRUE(refused([&] { optimizer.set_lr(1e38); }, {"AdamW", "coefficient", "1e+38", "group 1"}));
  EXPECT_TRUE(refused([&] { optimizer.set_lr(1e38, 1); }, {"AdamW", "coefficient", "1e+38"}));
  EXPECT_EQ(optimizer.rule(0).lr, 1.0);
  EXPECT_EQ(optimizer.rule(1).lr, 2.0);
  StateDict dict = optimizer.state_dict();
  dict.groups[1].hyperparameters[0].value = "1e38";
  EXPECT_TRUE(refused([&] { optimizer.load_state_dict(dict); }, {"AdamW", "coefficient", "1e+38"}));
  EXPECT_EQ(optimizer.rule(1).lr, 2.0);
}

TEST(BadHyperparameter, VariantWithoutItsStateIsRefused) {
  Model model(std::vector<Shape>{{.numel = 70}});
  Optimizer sgd{SGD{}, model.parameters()};
  EXPECT_TRUE(refused([&] { sgd.set_rule(SGD{.momentum = 0.9}); }, {"SGD", "momentum_buffer"}));
  EXPECT_EQ(sgd.rule<SGD>().momentum, 0.0);
  Optimizer adam{Adam{}, model.parameters()};
  EXPECT_TRUE(refused([&] { adam.set_rule(Adam{.amsgrad = true}); }, {"Adam", "max_exp_avg_sq"}));
  Optimizer rmsprop{RMSProp{.momentum = 0.9}, model.parameters()};
  EXPECT_TRUE(refused([&] { rmsprop.set_rule(RMSProp{.momentum = 0.9, .centered = true}); },
                      {"RMSProp", "grad_avg"}));
  sgd.step();
  adam.step();
  rmsprop.step();
}

TEST(BadHyperparameter, UnknownGroupIsRefused) {
  Model model(std::vector<Shape>{{.numel = 1}});
  Optimizer optimizer{SGD{}, model.parameters()};
  EXPECT_TRUE(refused([&] { optimizer.set_rule(SGD{}, 1); }, {"group 1"}));
  EXPECT_TRUE(refused([&] { optimizer.set_lr(0.1, 2); }, {"group 2"}));
  EXPECT_TRUE(refused([&] { static_cast<void>(optimizer.rule(3)); }, {"group 3"}));
}

/// Numbers at the ends of ranges, and numbers whose products and quotients leave float32.
constexpr double kExtremes[] = {0.0, 0x1p-149, 1e-30, 1e-8, 1.0 - 0x1p-53, 1.0 - 0x1p-24,
                                1.0, 1e10,     1e20,  1e30, 1e38,          3.4e38};

/// Returns whether an optimizer takes the rule. If so, expects a parameter of 0 without a gradient to stay 0.
bool leaves_zero_alone(const Rule& rule) {
  std::vector<float> value{0.0f}, gradient{0.0f};
  try {
    Optimizer optimizer{rule, std::vector<Parameter>{{"p", std::span(value), std::span(gradient)}}};
    for (int step = 0; step < 3; ++step) optimizer.step();
  } catch (const InvalidArgument&) {
    return false;
  }
  EXPECT_EQ(value[0], 0.0f) << [&] {
    std::string text(rule.name());
    for (const Hyperparameter& one : rule.hyperparameters()) {
      text += std::string(" ") + one.name + " " + rule.text(one.name);
    }
    return text;
  }();
  return true;
}

/// Returns whether a rule's eps, or its first one, is 0.
bool has_no_eps(const Rule& rule) {
  return (rule.has("eps") && rule.get("eps") == 0.0) || (rule.has("eps1") && rule.get("eps1") == 0.0);
}

// 0 * Inf would be NaN. With an eps of 0 the formulas of most rules give 0 / 0.
TEST(BadHyperparameter, RulesThatAreAcceptedLeaveZeroAlone) {
  for (const Rule& usual : library_rules()) {
    int accepted = 0, refused = 0;
    const std::span<const Hyperparameter> list = usual.hyperparameters();
    for (const Hyperparameter& a : list) {
      for (const Hyperparameter& b : list) {
        if (&b <= &a || a.kind != Hyperparameter::Kind::number) continue;
        for (const double x : kExtremes) {
          for (const double y : kExtremes) {
            Rule rule = usual;
            const bool is_number = b.kind == Hyperparameter::Kind::number;
            if (!a.range.contains(x) || (is_number ? !b.range.contains(y) : y != 0.0 && y != 1.0)) continue;
            rule.set(a.name, x);
            rule.set(b.name, y);
            if (has_no_eps(rule)) continue;
            ++(leaves_zero_alone(rule) ? accepted : refused);
          }
        }
      }
    }
    EXPECT_GT(accepted, 100) << usual.name();
    EXPECT_GT(refused, 10) << usual.name();
  }
}

}  // namespace
}  // namespace onepass::test
