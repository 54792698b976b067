// nadamw.hpp - NAdamW in float64.
#pragma once

#include "reference/shared.hpp"

namespace reference {

/// Adam's moments, m = b1 m + (1 - b1) g and v = b2 v + (1 - b2) g^2, and Nesterov's look ahead of timm's
/// NAdamW: n = b1 m + (1 - b1) g, theta = theta - lr n / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps). States:
/// exp_avg, exp_avg_sq.
struct NAdamW {
  Shared shared;
  double beta1, beta2, eps;

  explicit NAdamW(const Settings& settings)
      : shared(settings),
        beta1(settings.number("beta1")),
        beta2(settings.number("beta2")),
        eps(settings.number("eps")) {}

  static std::vector<Option> options() { return {{"plain", {{"lr", 0.002}}}}; }

  void step(std::int64_t t, std::span<Element> elements, std::span<const Number> gradients) const {
    const double first = 1.0 - std::pow(beta1, static_cast<double>(t));
    const double second = 1.0 - std::pow(beta2, static_cast<double>(t));
    shared.move_all(elements, gradients, [&](Element& e, Number g) {
      Number& m = e.state[0];
      Number& v = e.state[1];
      m = average(m, g, 1.0 - beta1);
      v = average(v, g * g, 1.0 - beta2);
      const Number ahead = Number(beta1) * m + Number(1.0 - beta1) * g;
      const Number direction = ahead / Number(first) / (sqrt(v / Number(second)) + Number(eps));
      return Number(shared.lr) * direction;
    });
  }
};

}  // namespace reference
