// adamax.hpp - Adamax in float64.
#pragma once

#include "reference/shared.hpp"

namespace reference {

/// Kingma and Ba 2015, algorithm 2: m_t = b1 m_(t-1) + (1 - b1) g_t, u_t = max(b2 u_(t-1), |g_t|),
/// theta_t = theta_(t-1) - lr / (1 - b1^t) m_t / u_t. As in torch.optim.Adamax, |g_t| + eps replaces |g_t|.
/// States: exp_avg = m, exp_inf = u.
struct Adamax {
  Shared shared;
  double beta1, beta2, eps;

  explicit Adamax(const Settings& settings)
      : shared(settings),
        beta1(settings.number("beta1")),
        beta2(settings.number("beta2")),
        eps(settings.number("eps")) {}

  static std::vector<Option> options() {
    const Settings plain{{"lr", 0.002}};
    return {{"plain", plain}, {"forgetful", plain.with("beta2", 0.8).with("eps", 1e-3)}};
  }

  void step(std::int64_t t, std::span<Element> elements, std::span<const Number> gradients) const {
    const double correction = 1.0 - std::pow(beta1, static_cast<double>(t));
    for_each_element(elements, gradients, [&](Element& e, Number gradient) {
      const Number g = shared.gradient(e.p, gradient);
      Number& m = e.state[0];
      Number& u = e.state[1];
      m = average(m, g, 1.0 - beta1);
      u = max(Number(beta2) * u, abs(g) + Number(eps));
      e.p = shared.moved(e.p, Number(shared.lr / correction) * (m / u));
    });
  }
};

}  // namespace reference
