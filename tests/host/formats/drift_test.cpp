// drift_test.cpp - after 2,000 steps, each format is as close to the same steps in float32 as its precision
// allows.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "support/formats/format_model.hpp"
#include "support/formats/format_state.hpp"
#include "support/rules.hpp"

namespace onepass::test {
namespace {

constexpr int kSteps = 2000;
constexpr int kCount = 96;

/// A quadratic bowl, 0.5 * c * (x - target)^2 for each element, with noise on its gradient. The loss that is
/// left at the end shows both how far the parameters have come and how finely they can move.
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
  Rule rule;

  /// Returns true for Adam and AdamW, whose update is m / sqrt(v).
  [[nodiscard]] bool averages() const { return rule.is<Adam>() || rule.is<AdamW>(); }
};

/// Every variant of every rule, with a learning rate that suits the bowl.
std::vector<Descent> descents() {
  return {{"SGD", SGD{.lr = 0.05}},
          {"SGD_momentum", SGD{.lr = 0.02, .momentum = 0.9, .nesterov = true}},
          {"RMSProp", RMSProp{.lr = 2e-3}},
          {"RMSProp_centered", RMSProp{.lr = 2e-3, .centered = true}},
          {"RMSProp_momentum", RMSProp{.lr = 1e-3, .momentum = 0.9}},
          {"RMSProp_centered_momentum", RMSProp{.lr = 1e-3, .momentum = 0.9, .centered = true}},
          {"Adam", Adam{.lr = 2e-3}},
          {"Adam_amsgrad", Adam{.lr = 2e-3, .amsgrad = true}},
          {"AdamW", AdamW{.lr = 2e-3, .weight_decay = 1e-3}},
          {"AdamW_amsgrad", AdamW{.lr = 2e-3, .weight_decay = 1e-3, .amsgrad = true}}};
}

/// Takes all steps and returns the parameters in the optimizer's precision. The model computes its gradients
/// from the parameters as stored, and rounds them to the gradients' type.
std::vector<float> descend(const Descent& rule, const FormatCase& format) {
  const FormatModel model(format, Device::cpu(), {kCount});
  Optimizer optimizer(rule.rule, model.parameters(),
                      {.storage = format.low(), .float32_storage = format.wide(), .seed = 3});
  std::vector<float> gradient(kCount);
  for (int step = 0; step < kSteps; ++step) {
    const std::vector<float> x = model.value(0).floats();
    for (int i = 0; i < kCount; ++i) {
      const auto at = static_cast<std::size_t>(i);
      gradient[at] =
          static_cast<float>(Bowl::curvature(i) * (x[at] - Bowl::target(i)) + Bowl::noise(i, step));
    }
    model.grad(0).write(gradient);
    optimizer.step();
  }
  return decoded_param(format, model.value(0), optimizer.state_dict().parameters[0]);
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum / static_cast<double>(a.size()));
}

/// Limits of a format against the float32 run: the root mean square of the distance over all parameters,
/// which lie in (-1, 1), and the factor by which the loss may be larger.
struct Allowance {
  double distance;
  double loss;
};

/// The values that the model reads are off by 2^-9 at most, half of bfloat16's last place below 1. With a
/// master, the parameters settle where the mean of the values read is right, which is well within that
/// distance, and the loss is that of float32. 8-bit states add the noise of their codes. Without a master,
/// the parameters themselves lie on bfloat16's grid, whose points are up to 2^-8 apart, and wander by a few
/// points. With stochastic rounding they wander between two neighbours; with rounding to nearest, the noise
/// of their gradients moves them, as is_lost() explains.
Allowance allowance(const FormatCase& format) {
  if (format.storage.states == States::quantized8) return {0x1p-9, 1.1};
  if (format.storage.master != Master::none) return {0x1p-11, 1.02};
  return {0x1p-6, 2.0};
}

/// Returns true if most steps are lost. Rounding to nearest loses a step of less than half the last place:
/// 2^-9 = 0.002 for parameters from 0.5 on, 0.0005 from 0.125 on. Noise of up to 0.1 moves a parameter by
/// 0.005 at SGD's learning rate, and by 0.0035 at RMSProp's, which divides the noise by its deviation 0.1 /
/// sqrt(3); momentum adds such steps up. So the parameters round to either side, and the gradient without its
/// noise counts in the mean. Adam averages ten gradients, which reduces the deviation of the noise to
/// sqrt(0.1 / 1.9) = 0.23 of itself, and so the step to 0.0005. Where the gradient is no larger than its
/// noise, most parameters stop moving.
bool is_lost(const Descent& rule, const FormatCase& format) {
  return rule.averages() && format.param != DType::float32 && format.storage.master == Master::none &&
         format.storage.rounding == Rounding::nearest;
}

TEST(Drift, AfterTwoThousandStepsIsWithinTheAllowanceOfTheFormat) {
  for (const Descent& rule : descents()) {
    const std::vector<float> wide = descend(rule, format_cases()[0]);
    const double wide_loss = Bowl::loss(wide);
    for (const FormatCase& format : format_cases()) {
      if (format.param == DType::float32) continue;
      const std::vector<float> narrow = descend(rule, format);
      if (is_lost(rule, format)) {  // such parameters need a master or stochastic rounding
        EXPECT_GE(Bowl::loss(narrow), 100 * wide_loss) << rule.name << " in " << format.name;
        continue;
      }
      const Allowance most = allowance(format);
      EXPECT_LE(distance(narrow, wide), most.distance) << rule.name << " in " << format.name;
      EXPECT_LE(Bowl::loss(narrow), most.loss * wide_loss) << rule.name << " in " << format.name;
    }
  }
}

}  // namespace
}  // namespace onepass::test
