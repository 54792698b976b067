// radam.hpp - RAdam in float64.
#pragma once

#include "reference/shared.hpp"

namespace reference {

/// Liu et al. 2020, algorithm 2, in the form of torch.optim.RAdam: Adam's moments m and v,
/// rho_inf = 2 / (1 - b2) - 1 and rho = rho_inf - 2 t b2^t / (1 - b2^t). While rho <= 5,
/// theta = theta - lr m / (1 - b1^t). Then theta = theta - lr m / (1 - b1^t) * l * r with
/// l = sqrt(1 - b2^t) / (sqrt(v) + eps) and
/// r = sqrt((rho - 4) (rho - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho)). States: exp_avg, exp_avg_sq.
struct RAdam {
  Shared shared;
  double beta1, beta2, eps;

  explicit RAdam(const Settings& settings)
      : shared(settings),
        beta1(settings.number("beta1")),
        beta2(settings.number("beta2")),
        eps(settings.number("eps")) {}

  static std::vector<Option> options() {
    return {{"plain", {{"lr", 0.002}}}, {"never_rectified", {{"lr", 0.002}, {"beta2", 0.6}}}};
  }

  void step(std::int64_t t, std::span<Element> elements, std::span<const Number> gradients) const {
    const auto power = static_cast<double>(t);
    const double first = 1.0 - std::pow(beta1, power);
    const double second = 1.0 - std::pow(beta2, power);
    const double rho_inf = 2.0 / (1.0 - beta2) - 1.0;
    const double rho = rho_inf - 2.0 * power * std::pow(beta2, power) / second;
    const double r = std::sqrt((rho - 4) / (rho_inf - 4) * (rho - 2) / (rho_inf - 2) * rho_inf / rho);
    shared.move_all(elements, gradients, [&](Element& e, Number g) {
      Number& m = e.state[0];
      Number& v = e.state[1];
      m = average(m, g, 1.0 - beta1);
      v = average(v, g * g, 1.0 - beta2);
      Number direction = m / Number(first);
      if (rho > 5) direction = direction * Number(r * std::sqrt(second)) / (sqrt(v) + Number(eps));
      return Number(shared.lr) * direction;
    });
  }
};

}  // namespace reference
