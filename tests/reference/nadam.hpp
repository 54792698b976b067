// nadam.hpp - NAdam in float64.
#pragma once

#include <iterator>
#include <vector>

#include "reference/shared.hpp"

namespace reference {

/// torch.optim.NAdam's documentation: mu_t = b1 (1 - 0.5 0.96^(t psi)), P_t = mu_1 ... mu_t,
/// m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, m^ = mu_(t+1) m / (1 - P_(t+1)) + (1 - mu_t) g / (1 -
/// P_t), v^ = v / (1 - b2^t), theta = theta - lr m^ / (sqrt(v^) + eps). States: exp_avg, exp_avg_sq.
struct NAdam {
  Shared shared;
  double beta1, beta2, eps, momentum_decay;
  mutable std::vector<double> products{1.0};  ///< P_t by t; grows as it is asked.

  explicit NAdam(const Settings& settings)
      : shared(settings),
        beta1(settings.number("beta1")),
        beta2(settings.number("beta2")),
        eps(settings.number("eps")),
        momentum_decay(settings.number("momentum_decay")) {}

  static std::vector<Option> options() {
    return {{"plain", {{"lr", 0.002}}}, {"rises", {{"lr", 0.002}, {"momentum_decay", 0.5}}}};
  }

  [[nodiscard]] double momentum(std::int64_t t) const {
    return beta1 * (1.0 - 0.5 * std::pow(0.96, static_cast<double>(t) * momentum_decay));
  }
  [[nodiscard]] double product(std::int64_t t) const {
    while (std::ssize(products) <= t) products.push_back(products.back() * momentum(std::ssize(products)));
    return products[static_cast<std::size_t>(t)];
  }

  void step(std::int64_t t, std::span<Element> elements, std::span<const Number> gradients) const {
    const Number of_average(momentum(t + 1) / (1.0 - product(t + 1)));
    const Number of_gradient((1.0 - momentum(t)) / (1.0 - product(t)));
    const Number correction2(1.0 - std::pow(beta2, static_cast<double>(t)));
    shared.move_all(elements, gradients, [&](Element& e, Number g) {
      Number &m = e.state[0], &v = e.state[1];
      m = average(m, g, 1.0 - beta1);
      v = average(v, g * g, 1.0 - beta2);
      const Number direction = (of_average * m + of_gradient * g) / (sqrt(v / correction2) + Number(eps));
      return Number(shared.lr) * direction;
    });
  }
};

}  // namespace reference
