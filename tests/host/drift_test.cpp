// drift_test.cpp - 2,000 steps in each format beside the same steps in float32.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "support/low_model.hpp"
#include "support/low_state.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

constexpr int kSteps = 2000;
constexpr int kCount = 96;

/// A quadratic bowl, 0.5 * c * (x - target)^2 for each element, with noise on its gradient: what is left of
/// the loss in the end shows both how far the parameters have come and how finely they can move.
struct Bowl {
  static double curvature(int i) { return 0.1 + 0.9 * uniform(static_cast<std::uint64_t>(i)); }
  static double target(int i) { return 2.0 * uniform(static_cast<std::uint64_t>(i) + 1000) - 1.0; }
  static double noise(int i, int step) {
    return 0.1 * (2.0 * uniform(static_cast<std::uint64_t>(i * 10000 + step) + 2000) - 1.0);
  }
  static double loss(const std::vector<float>& x) {
    double sum = 0;
    for (int i = 0; i < kCount; ++i) {
      const double away = x[static_cast<std::size_t>(i)] - target(i);
      sum += 0.5 * curvature(i) * away * away / kCount;
    }
    return sum;
  }
};

struct Descent {
  const char* name;
  std::function<AnyOptimizerPtr(const std::vector<Parameter>&, const Options&)> make;
};

template <class Rule>
Descent descent(const char* name, const Rule& rule) {
  return {name, [rule](const std::vector<Parameter>& parameters, const Options& options) {
            return make_optimizer(rule, parameters, options);
          }};
}

/// Every variant of every rule, with rates that a bowl is descended with.
std::vector<Descent> descents() {
  return {descent("SGD", SGD{.lr = 0.05}),
          descent("SGD_momentum", SGD{.lr = 0.02, .momentum = 0.9, .nesterov = true}),
          descent("RMSProp", RMSProp{.lr = 2e-3}),
          descent("RMSProp_centered", RMSProp{.lr = 2e-3, .centered = true}),
          descent("RMSProp_momentum", RMSProp{.lr = 1e-3, .momentum = 0.9}),
          descent("RMSProp_centered_momentum", RMSProp{.lr = 1e-3, .momentum = 0.9, .centered = true}),
          descent("Adam", Adam{.lr = 2e-3}),
          descent("Adam_amsgrad", Adam{.lr = 2e-3, .amsgrad = true}),
          descent("AdamW", AdamW{.lr = 2e-3, .weight_decay = 1e-3}),
          descent("AdamW_amsgrad", AdamW{.lr = 2e-3, .weight_decay = 1e-3, .amsgrad = true})};
}

/// The parameters as the optimizer has them after all steps. The model reads them in their format, and
/// rounds its gradients to theirs.
std::vector<float> descend(const Descent& rule, const FormatCase& format) {
  const LowModel model(format, Device::cpu(), {kCount});
  const AnyOptimizerPtr optimizer = rule.make(model.parameters(), {.storage = format.storage, .seed = 3});
  std::vector<float> gradient(kCount);
  for (int step = 0; step < kSteps; ++step) {
    const std::vector<float> x = model.value(0).floats();
    for (int i = 0; i < kCount; ++i) {
      const auto at = static_cast<std::size_t>(i);
      gradient[at] =
          static_cast<float>(Bowl::curvature(i) * (x[at] - Bowl::target(i)) + Bowl::noise(i, step));
    }
    model.grad(0).write(gradient);
    optimizer->step();
  }
  return decoded_param(format, model.value(0), optimizer->state_dict().parameters[0]);
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum / static_cast<double>(a.size()));
}

/// How far from the float32 run a format may end, as the root of the mean square over all parameters, all of
/// which lie in (-1, 1), and by what factor its loss may be larger.
struct Allowance {
  double distance;
  double loss;
};

/// What the model reads is off by 2^-9 at most, half of bfloat16's last place below 1. With a master the
/// parameters settle where the mean of what is read is right: well within that, and the loss is that of
/// float32. 8-bit states add the noise of their codes. Rounded at random, the parameters themselves lie on
/// bfloat16's grid, at one of two neighbours that are up to 2^-8 apart, and wander by a few of them.
Allowance allowance(const FormatCase& format) {
  if (format.param == DType::float32) return {0.0, 1.0};
  if (format.storage.states == States::quantized8) return {0x1p-9, 1.1};
  if (format.storage.master != Master::none) return {0x1p-11, 1.02};
  return {0x1p-6, 2.0};
}

TEST(Drift, AfterTwoThousandStepsIsWithinWhatTheFormatHolds) {
  for (const Descent& rule : descents()) {
    const std::vector<float> wide = descend(rule, format_cases()[0]);
    for (const FormatCase& format : format_cases()) {
      const bool is_nearest = format.storage.rounding == Rounding::nearest;
      if (format.param != DType::float32 && format.storage.master == Master::none && is_nearest) continue;
      const std::vector<float> low = descend(rule, format);
      const Allowance most = allowance(format);
      EXPECT_LE(distance(low, wide), most.distance) << rule.name << " in " << format.name;
      EXPECT_LE(Bowl::loss(low), most.loss * Bowl::loss(wide)) << rule.name << " in " << format.name;
    }
  }
}

/// Why a parameter of 16 bits needs a master or random bits: steps of less than half its last place are lost.
TEST(Drift, RoundedToTheNearestAdamStopsShort) {
  const Descent adam = descent("Adam", Adam{.lr = 2e-3});
  const double wide = Bowl::loss(descend(adam, format_cases()[0]));
  for (const FormatCase& format : format_cases()) {
    if (format.param == DType::float32 || format.storage.master != Master::none) continue;
    const double loss = Bowl::loss(descend(adam, format));
    if (format.storage.rounding == Rounding::nearest) {
      EXPECT_GE(loss, 100 * wide) << format.name;
    } else {
      EXPECT_LE(loss, 2 * wide) << format.name;
    }
  }
}

}  // namespace
}  // namespace onepass::test
