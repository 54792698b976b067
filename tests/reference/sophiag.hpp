// sophiag.hpp - the step of Sophia-G in float64.
#pragma once

#include "reference/shared.hpp"

namespace reference {

/// Liu et al. 2023, algorithm 3, as the authors' code has it: m = b1 m + (1 - b1) g, and
/// theta = theta - lr sign(m) min(|m| / (rho B h + 1e-15), 1). h, the average of sampled squared gradients
/// that b2 decays, changes between steps only. States: exp_avg, hessian.
struct SophiaG {
  Shared shared;
  double beta1, curvature;

  explicit SophiaG(const Settings& settings)
      : shared(settings),
        beta1(settings.number("beta1")),
        curvature(settings.number("rho") * settings.number("batch_size")) {
    static_cast<void>(settings.number("beta2"));  // of the refresh
  }

  static std::vector<Option> options() { return {{"plain", {{"lr", 0.002}}}}; }

  void step(std::int64_t /*t*/, std::span<Element> elements, std::span<const Number> gradients) const {
    for_each_element(elements, gradients, [&](Element& e, Number gradient) {
      const Number g = shared.gradient(e.p, gradient);
      Number& m = e.state[0];
      const Number h = e.state[1];
      m = average(m, g, 1.0 - beta1);
      const Number direction = clamp(m / (Number(curvature) * h + Number(1e-15)), 1.0);
      e.p = shared.moved(e.p, Number(shared.lr) * direction);
    });
  }
};

}  // namespace reference
