// small_steps_test.cpp - many small steps go as far as in float64, in every format that does not round to
// nearest.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <optional>

#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/rule_settings.hpp"

namespace onepass::test {
namespace {

constexpr int kSteps = 500;

/// A rule whose step is `lr`, or `lr` times the parameter, if the gradient is that of GentleSlope.
struct Walk {
  const char* name;
  Rule (*rule)(double lr, double weight_decay);
  bool proportional;          ///< The gradient is the parameter's first value; else 1 in magnitude.
  bool random_signs = false;  ///< The gradient changes its sign at random, which centered RMSProp needs.
};

constexpr auto kDecoupled = WeightDecay::decoupled;

const Walk kWalks[] = {
    {"SGD",
     [](double lr, double decay) -> Rule {
       return SGD{.lr = lr, .weight_decay = decay, .weight_decay_mode = kDecoupled};
     },
     true},
    {"SGD with momentum",
     [](double lr, double decay) -> Rule {
       return SGD{
           .lr = 0.1 * lr, .momentum = 0.9, .weight_decay = 10 * decay, .weight_decay_mode = kDecoupled};
     },
     false},
    {"RMSProp",
     [](double lr, double decay) -> Rule {
       return RMSProp{.lr = lr, .weight_decay = decay, .weight_decay_mode = kDecoupled};
     },
     false},
    {"centered RMSProp",
     [](double lr, double decay) -> Rule {
       return RMSProp{.lr = lr, .weight_decay = decay, .centered = true, .weight_decay_mode = kDecoupled};
     },
     false, true},
    {"AdamW", [](double lr, double decay) -> Rule { return AdamW{.lr = lr, .weight_decay = decay}; }, false},
    {"AdamW with AMSGrad",
     [](double lr, double decay) -> Rule { return AdamW{.lr = lr, .weight_decay = decay, .amsgrad = true}; },
     false},
    {"Signum", [](double lr, double decay) -> Rule { return Signum{.lr = lr, .weight_decay = decay}; },
     false},
    {"Lion", [](double lr, double decay) -> Rule { return Lion{.lr = lr, .weight_decay = decay}; }, false},
    {"Adagrad",
     [](double lr, double decay) -> Rule {
       return Adagrad{.lr = lr, .weight_decay = decay, .weight_decay_mode = kDecoupled};
     },
     false},
    {"Adadelta",  // its first steps are a thousandth of its rate
     [](double lr, double decay) -> Rule {
       return Adadelta{.lr = 1e3 * lr, .weight_decay = 1e-3 * decay, .weight_decay_mode = kDecoupled};
     },
     false},
    {"Adamax",
     [](double lr, double decay) -> Rule {
       return Adamax{.lr = lr, .weight_decay = decay, .weight_decay_mode = kDecoupled};
     },
     false},
    {"Rprop",
     [](double lr, double decay) -> Rule {
       return Rprop{.lr = lr,
                    .step_size_min = lr,
                    .step_size_max = lr,
                    .weight_decay = decay,
                    .weight_decay_mode = kDecoupled};
     },
     false},
};

/// Normally distributed numbers of deviation 1, rounded to bfloat16, or all equal to 1.5.
std::vector<float> first_values(std::size_t count, bool equal) {
  std::vector<float> values(count, 1.5f);
  if (equal) return values;
  for (std::size_t i = 0; i < count; ++i) {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform(2 * i)));
    const double angle = 2.0 * std::numbers::pi * uniform(2 * i + 1);
    values[i] =
        storage::BFloat16::decode(storage::BFloat16::encode(static_cast<float>(radius * std::cos(angle))));
  }
  return values;
}

/// The gradient of one element. It is the same for all elements of a block in formats with 8-bit states,
/// whose codes then lose nothing, and constant, or of random sign.
double gradient(const Walk& walk, const std::vector<float>& start, std::size_t i, int step) {
  if (walk.proportional) return double{start[i]};
  if (!walk.random_signs) return 0.5;
  return (mix(i / storage::kBlock * 1009 + static_cast<std::uint64_t>(step) * 7919) & 1) != 0 ? 0.5 : -0.5;
}

/// The way of each parameter from its first value.
using Way = std::vector<double>;

Way way_in_float64(const Walk& walk, const Rule& rule, const std::vector<float>& start) {
  const reference::Step step = reference_step(rule);
  std::vector<reference::Element> elements(start.size());
  std::vector<reference::Number> gradients(start.size());
  for (std::size_t i = 0; i < start.size(); ++i) elements[i].p = reference::Number(double{start[i]});
  for (int t = 1; t <= kSteps; ++t) {
    for (std::size_t i = 0; i < start.size(); ++i) gradients[i] = gradient(walk, start, i, t);
    step(t, elements, gradients);
  }
  Way way(start.size());
  for (std::size_t i = 0; i < way.size(); ++i) way[i] = elements[i].p.value - double{start[i]};
  return way;
}

Way way_in(const FormatCase& format, const Walk& walk, const Rule& rule, const std::vector<float>& start) {
  const FormatModel model(format, Device::cpu(), {static_cast<std::int64_t>(start.size())});
  model.value(0).write(start);
  Optimizer optimizer(rule, model.parameters(),
                      {.storage = format.low(), .float32_storage = format.wide(), .seed = 5});
  std::vector<float> gradients(start.size());
  for (int t = 1; t <= kSteps; ++t) {
    if (t == 1 || walk.random_signs) {
      for (std::size_t i = 0; i < start.size(); ++i)
        gradients[i] = static_cast<float>(gradient(walk, start, i, t));
      model.grad(0).write(gradients);
    }
    optimizer.step();
  }
  const std::vector<float> end = decoded_param(format, model.value(0), optimizer.state_dict().parameters[0]);
  Way way(start.size());
  for (std::size_t i = 0; i < way.size(); ++i) way[i] = double{end[i]} - double{start[i]};
  return way;
}

/// The share of the way in float64 that was gone, over all elements: the projection of one on the other.
double share(const Way& way, const Way& wanted) {
  double along = 0, all = 0;
  for (std::size_t i = 0; i < way.size(); ++i) along += way[i] * wanted[i], all += wanted[i] * wanted[i];
  return along / all;
}

/// A bound of the standard error of share(): rounding a number that is the share f of a unit above its lower
/// neighbour adds the variance f (1 - f) <= 1/4 of the unit squared in each step.
double standard_error(const std::vector<float>& start, const Way& wanted, int mantissa_bits) {
  double variance = 0, all = 0;
  for (std::size_t i = 0; i < start.size(); ++i) {
    const double farthest = std::max(std::fabs(double{start[i]}), std::fabs(start[i] + wanted[i]));
    const double unit = std::exp2(std::floor(std::log2(farthest)) - mantissa_bits);
    variance += wanted[i] * wanted[i] * 0.25 * kSteps * unit * unit, all += wanted[i] * wanted[i];
  }
  return std::sqrt(variance) / all;
}

struct Narrow {
  const char* format;
  int mantissa_bits;
  std::size_t count;
};
constexpr Narrow kCompact{"compact", 15, 4096};

void expect_whole_way(const Walk& walk, const Narrow& narrow, double lr, double weight_decay,
                      Way (*wanted_way)(const Walk&, const Rule&, const std::vector<float>&)) {
  SCOPED_TRACE(testing::Message() << walk.name << " in " << narrow.format << ", lr " << lr << ", decay "
                                  << weight_decay);
  const Rule rule = walk.rule(lr, weight_decay);
  const std::vector<float> start = first_values(narrow.count, false);
  const Way wanted = wanted_way(walk, rule, start);
  const Way way = way_in(format_case(narrow.format), walk, rule, start);
  EXPECT_NEAR(share(way, wanted), 1.0, 0.02 + 4 * standard_error(start, wanted, narrow.mantissa_bits));
}

TEST(SmallSteps, OfCompactParametersGoAsFarAsInFloat64) {
  for (const Walk& walk : kWalks) {
    for (const double lr : {1e-6, 1e-5, 5e-5, 1e-3, 1e-2}) {
      for (const double weight_decay : {0.0, 0.1}) {
        expect_whole_way(walk, kCompact, lr, weight_decay, way_in_float64);
      }
    }
  }
}

/// The way of SGD in closed form, for as many elements as stochastic rounding to 8 bits of precision needs:
/// p loses the share d = lr * weight_decay of itself, and lr times its first value.
Way way_of_sgd(const Walk& /*walk*/, const Rule& rule, const std::vector<float>& start) {
  const double lr = rule.get("lr"), d = lr * rule.get("weight_decay"), kept = std::pow(1.0 - d, kSteps);
  Way way(start.size());
  for (std::size_t i = 0; i < way.size(); ++i) {
    way[i] = double{start[i]} * (kept - 1.0 - lr * (d == 0.0 ? kSteps : (1.0 - kept) / d));
  }
  return way;
}

TEST(SmallSteps, OfStochasticBFloat16GoAsFarAsInFloat64) {
  for (const char* const format : {"bf16_stochastic", "all_bf16_stochastic"}) {
    for (const double lr : {1e-6, 1e-4, 1e-2}) {
      for (const double weight_decay : {0.0, 0.1}) {
        expect_whole_way(kWalks[0], {format, 7, std::size_t{1} << 18}, lr, weight_decay, way_of_sgd);
      }
    }
  }
}

// Float32 itself rounds every step of an equal parameter in the same direction.
TEST(SmallSteps, OfEqualCompactParametersAreNoFurtherOffThanFloat32) {
  const std::vector<float> start = first_values(kCompact.count, true);
  for (const Walk& walk : kWalks) {
    for (const double lr : {1e-6, 1e-5, 1e-3}) {
      SCOPED_TRACE(testing::Message() << walk.name << ", lr " << lr);
      const Rule rule = walk.rule(lr, 0.1);
      const Way wanted = way_in_float64(walk, rule, start);
      const double compact = share(way_in(format_case("compact"), walk, rule, start), wanted);
      const double wide = share(way_in(format_case("float32"), walk, rule, start), wanted);
      EXPECT_LE(std::fabs(compact - 1.0),
                std::fabs(wide - 1.0) + 0.02 + 4 * standard_error(start, wanted, kCompact.mantissa_bits));
    }
  }
}

}  // namespace
}  // namespace onepass::test
