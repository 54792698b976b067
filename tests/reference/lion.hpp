// lion.hpp - Lion in float64.
#pragma once

#include "reference/shared.hpp"

namespace reference {

/// Chen et al. 2023, algorithm 2: c_t = b1 m_(t-1) + (1 - b1) g_t, theta_t = theta_(t-1) - lr sign(c_t), and
/// m_t = b2 m_(t-1) + (1 - b2) g_t. States: exp_avg.
struct Lion {
  Shared shared;
  double beta1, beta2;

  explicit Lion(const Settings& settings)
      : shared(settings), beta1(settings.number("beta1")), beta2(settings.number("beta2")) {}

  static std::vector<Option> options() {
    const Settings plain{{"lr", 0.002}};
    return {{"plain", plain}, {"equal_betas", plain.with("beta1", 0.95).with("beta2", 0.95)}};
  }

  void step(std::int64_t /*t*/, std::span<Element> elements, std::span<const Number> gradients) const {
    shared.move_all(elements, gradients, [&](Element& e, Number g) {
      Number& m = e.state[0];
      const Number c = average(m, g, 1.0 - beta1);
      m = average(m, g, 1.0 - beta2);
      return Number(shared.lr) * sign(c);
    });
  }
};

}  // namespace reference
