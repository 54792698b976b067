// grams.hpp - Grams in float64.
#pragma once

#include "reference/shared.hpp"

namespace reference {

/// Cao, Li, and Song 2024, algorithm 1: Adam's update u = m^ / (sqrt(v^) + eps) of the moments
/// m = b1 m + (1 - b1) g and v = b2 v + (1 - b2) g^2, and theta = theta - lr sign(g) |u|. States: exp_avg,
/// exp_avg_sq.
struct Grams {
  Shared shared;
  double beta1, beta2, eps;

  explicit Grams(const Settings& settings)
      : shared(settings),
        beta1(settings.number("beta1")),
        beta2(settings.number("beta2")),
        eps(settings.number("eps")) {}

  static std::vector<Option> options() { return {{"plain", {{"lr", 0.002}}}}; }

  void step(std::int64_t t, std::span<Element> elements, std::span<const Number> gradients) const {
    const double first = 1.0 - std::pow(beta1, static_cast<double>(t));
    const double second = 1.0 - std::pow(beta2, static_cast<double>(t));
    for_each_element(elements, gradients, [&](Element& e, Number gradient) {
      const Number g = shared.gradient(e.p, gradient);
      Number& m = e.state[0];
      Number& v = e.state[1];
      m = average(m, g, 1.0 - beta1);
      v = average(v, g * g, 1.0 - beta2);
      const Number u = m / Number(first) / (sqrt(v / Number(second)) + Number(eps));
      e.p = shared.moved(e.p, Number(shared.lr) * (sign(g) * abs(u)));
    });
  }
};

}  // namespace reference
