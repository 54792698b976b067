// main.cpp - takes steps with a rule of the library and with rules of this project.
#include <onepass/onepass.hpp>

#include <cmath>
#include <cstdio>
#include <vector>

#include "qhadam.hpp"
#include "sign_sgd.hpp"
#include "tiger.hpp"
#include "yogi.hpp"

namespace {

/// Steps one parameter, and the formula in double, with the same gradients. The two may differ by the
/// rounding of float32 in some 20 steps.
template <class Rule, class Formula>
bool follows(const Rule& rule, Formula formula) {
  std::vector<float> weight{1.0f}, grad{0.0f};
  onepass::Optimizer optimizer{rule, std::vector<onepass::Parameter>{{"weight", weight, grad}}};
  double p = 1.0;
  for (int t = 1; t <= 20; ++t) {
    grad[0] = static_cast<float>(std::sin(t) + 0.25);
    optimizer.step();
    p = formula(t, p, static_cast<double>(grad[0]));
    if (!(std::fabs(weight[0] - p) < 1e-5)) return false;
  }
  return true;
}

bool yogi_follows() {
  double m = 1e-6, v = 1e-6;
  return follows(mine::Yogi{}, [&](int t, double p, double g) {
    m = 0.9 * m + 0.1 * g;
    v -= 0.001 * (v > g * g ? 1.0 : v < g * g ? -1.0 : 0.0) * g * g;
    return p - 0.01 * (m / (1.0 - std::pow(0.9, t))) / (std::sqrt(v / (1.0 - std::pow(0.999, t))) + 1e-3);
  });
}

bool qhadam_follows() {
  double m = 0.0, v = 0.0;
  return follows(mine::QHAdam{.nu2 = 0.9}, [&](int t, double p, double g) {
    m += (1.0 - 0.995) / (1.0 - std::pow(0.995, t)) * (g - m);
    v += (1.0 - 0.999) / (1.0 - std::pow(0.999, t)) * (g * g - v);
    return p - 1e-3 * (0.7 * m + 0.3 * g) / (std::sqrt(0.9 * v + 0.1 * g * g) + 1e-8);
  });
}

bool tiger_follows() {
  double m = 0.0;
  return follows(mine::Tiger{}, [&](int /*t*/, double p, double g) {
    m = 0.965 * m + 0.035 * g;
    return p - 1e-3 * ((m > 0.0) - (m < 0.0) + 0.01 * p);
  });
}

}  // namespace

int main() {
  std::vector<float> weight{1.0f, 2.0f, 3.0f};
  std::vector<float> grad{0.5f, 0.0f, -0.5f};
  const std::vector<onepass::Parameter> parameters{{"weight", weight, grad}};

  onepass::Optimizer sgd{onepass::SGD{.lr = 0.5}, parameters};
  sgd.step();
  if (weight != std::vector{0.75f, 2.0f, 3.25f}) return 1;

  onepass::Optimizer own{mine::SignSGD{.lr = 0.25}, parameters};
  own.step();
  own.step();
  const auto* const zeros = static_cast<const float*>(own.state("weight", "zero_count").data);
  if (weight != std::vector{0.25f, 2.0f, 3.75f} || zeros[0] != 0.0f || zeros[1] != 2.0f) return 2;

  if (!yogi_follows()) return 3;
  if (!qhadam_follows()) return 4;
  if (!tiger_follows()) return 5;
  std::puts("consumer: all rules have moved the weights");
  return 0;
}
