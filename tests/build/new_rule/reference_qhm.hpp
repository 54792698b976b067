// qhm.hpp - quasi-hyperbolic momentum in float64.
#pragma once

#include "reference/shared.hpp"

namespace reference {

/// Ma and Yarats 2019, eq. 3: b_t = beta b_(t-1) + (1 - beta) g_t, and
/// theta_t = theta_(t-1) - lr ((1 - nu) g_t + nu b_t). States: momentum_buffer.
struct QHM {
  Shared shared;
  double beta, nu;

  explicit QHM(const Settings& settings)
      : shared(settings), beta(settings.number("beta")), nu(settings.number("nu")) {}

  static std::vector<Option> options() { return {{"plain", {{"lr", 0.01}, {"beta", 0.9}, {"nu", 0.7}}}}; }

  void step(std::int64_t /*t*/, std::span<Element> elements, std::span<const Number> gradients) const {
    for_each_element(elements, gradients, [&](Element& e, Number gradient) {
      const Number g = shared.gradient(e.p, gradient);
      Number& b = e.state[0];
      b = average(b, g, 1.0 - beta);
      e.p = shared.moved(e.p, Number(shared.lr) * (Number(1.0 - nu) * g + Number(nu) * b));
    });
  }
};

}  // namespace reference
