// adopt.hpp - ADOPT in float64.
#pragma once

#include "reference/shared.hpp"

namespace reference {

/// Taniguchi et al. 2024, algorithm 2, whose step t - 1 is step t here: the first step sets v = g^2. The
/// others set m = b1 m + (1 - b1) clip(g / max(sqrt(v), eps), (t - 1)^0.25), theta = theta - lr m, and then
/// v = b2 v + (1 - b2) g^2. The first step does not decay theta. States: exp_avg, exp_avg_sq.
struct ADOPT {
  Shared shared, resting;
  double beta1, beta2, eps;
  bool clip;

  explicit ADOPT(const Settings& settings)
      : shared(settings),
        resting(settings),
        beta1(settings.number("beta1")),
        beta2(settings.number("beta2")),
        eps(settings.number("eps")),
        clip(settings.flag("clip")) {
    resting.weight_decay = 0.0;
  }

  static std::vector<Option> options() {
    return {{"plain", {{"lr", 0.002}}}, {"unclipped", {{"lr", 0.002}, {"clip", false}}}};
  }

  void step(std::int64_t t, std::span<Element> elements, std::span<const Number> gradients) const {
    const double limit = std::pow(static_cast<double>(t - 1), 0.25);
    for_each_element(elements, gradients, [&](Element& e, Number gradient) {
      const Number g = shared.gradient(e.p, gradient);
      Number& m = e.state[0];
      Number& v = e.state[1];
      if (t == 1) {
        v = g * g;
        e.p = resting.moved(e.p, Number(0.0));
        return;
      }
      const Number whole = g / max(sqrt(v), Number(eps));
      m = average(m, clip ? clamp(whole, limit) : whole, 1.0 - beta1);
      e.p = shared.moved(e.p, Number(shared.lr) * m);
      v = average(v, g * g, 1.0 - beta2);
    });
  }
};

}  // namespace reference
