// laprop.hpp - LaProp in float64.
#pragma once

#include "reference/shared.hpp"

namespace reference {

/// Ziyin, Wang and Ueda 2020, algorithm 1, at a constant learning rate: n = b2 n + (1 - b2) g^2,
/// m = b1 m + (1 - b1) lr g / (sqrt(n / (1 - b2^t)) + eps), theta = theta - m / (1 - b1^t).
/// States: exp_avg (m), exp_avg_sq (n).
struct LaProp {
  Shared shared;
  double beta1, beta2, eps;

  explicit LaProp(const Settings& settings)
      : shared(settings),
        beta1(settings.number("beta1")),
        beta2(settings.number("beta2")),
        eps(settings.number("eps")) {}

  static std::vector<Option> options() { return {{"plain", {{"lr", 0.002}, {"eps", 1e-8}}}}; }

  void step(std::int64_t t, std::span<Element> elements, std::span<const Number> gradients) const {
    const auto power = static_cast<double>(t);
    const Number correction1(1.0 - std::pow(beta1, power)), correction2(1.0 - std::pow(beta2, power));
    shared.move_all(elements, gradients, [&](Element& e, Number g) {
      Number &m = e.state[0], &n = e.state[1];
      n = average(n, g * g, 1.0 - beta2);
      m = average(m, Number(shared.lr) * (g / (sqrt(n / correction2) + Number(eps))), 1.0 - beta1);
      return m / correction1;
    });
  }
};

}  // namespace reference
