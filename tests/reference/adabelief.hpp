// adabelief.hpp - AdaBelief in float64.
#pragma once

#include "reference/shared.hpp"

namespace reference {

/// Zhuang et al. 2020, algorithm 1: m = b1 m + (1 - b1) g, s = b2 s + (1 - b2) (g - m)^2 + eps,
/// theta = theta - lr m^ / (sqrt(s^) + eps) with m^ = m / (1 - b1^t) and s^ = s / (1 - b2^t). Rectified as in
/// the authors' package: with rho_inf = 2 / (1 - b2) - 1 and rho = rho_inf - 2 t b2^t / (1 - b2^t), theta
/// loses lr m^ while rho < 5, and then lr m^ / (sqrt(s) + eps) times
/// sqrt((1 - b2^t) (rho - 4) / (rho_inf - 4) (rho - 2) / rho rho_inf / (rho_inf - 2)). States: exp_avg,
/// exp_avg_var.
struct AdaBelief {
  Shared shared;
  double beta1, beta2, eps;
  bool rectify;

  explicit AdaBelief(const Settings& settings)
      : shared(settings),
        beta1(settings.number("beta1")),
        beta2(settings.number("beta2")),
        eps(settings.number("eps")),
        rectify(settings.flag("rectify")) {}

  static std::vector<Option> options() {
    return {{"plain", {{"lr", 0.002}}}, {"rectify", {{"lr", 0.002}, {"rectify", true}}}};
  }

  /// What one step has in common for a whole tensor.
  struct Step {
    double first, second;  ///< 1 - b^t
    double rho, scale;     ///< The scale of a rectified step.
  };
  [[nodiscard]] Step of(std::int64_t t) const {
    const auto power = static_cast<double>(t);
    const double second = 1.0 - std::pow(beta2, power);
    const double rho_inf = 2.0 / (1.0 - beta2) - 1.0;
    const double rho = rho_inf - 2.0 * power * std::pow(beta2, power) / second;
    const double scale =
        std::sqrt(second * (rho - 4) / (rho_inf - 4) * (rho - 2) / rho * rho_inf / (rho_inf - 2));
    return {1.0 - std::pow(beta1, power), second, rho, scale};
  }

  [[nodiscard]] Number direction(const Step& step, Number m, Number s) const {
    const Number corrected = m / Number(step.first);
    if (!rectify) return corrected / (sqrt(s / Number(step.second)) + Number(eps));
    if (step.rho < 5) return corrected;
    return Number(step.scale) * corrected / (sqrt(s) + Number(eps));
  }

  void step(std::int64_t t, std::span<Element> elements, std::span<const Number> gradients) const {
    const Step step = of(t);
    for_each_element(elements, gradients, [&](Element& e, Number gradient) {
      const Number g = shared.gradient(e.p, gradient);
      Number& m = e.state[0];
      Number& s = e.state[1];
      m = average(m, g, 1.0 - beta1);
      s = average(s, (g - m) * (g - m), 1.0 - beta2) + Number(eps);
      e.p = shared.moved(e.p, Number(shared.lr) * direction(step, m, s));
    });
  }
};

}  // namespace reference
