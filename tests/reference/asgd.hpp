// asgd.hpp - averaged stochastic gradient descent in float64.
#pragma once

#include <algorithm>

#include "reference/shared.hpp"

namespace reference {

/// The documented form of torch.optim.ASGD at a constant lr: eta_1 = lr,
/// eta_t = lr / (1 + lambd lr (t - 1))^alpha, mu_t = 1 / max(1, t - 1 - t0);
/// theta = (1 - lambd eta) theta - eta g, ax = ax + mu (theta - ax), and theta itself while mu is 1.
/// Decoupled decay takes lr weight_decay theta besides. State: ax.
struct ASGD {
  Shared shared;
  double lambd, alpha, t0;

  explicit ASGD(const Settings& settings)
      : shared(settings),
        lambd(settings.number("lambd")),
        alpha(settings.number("alpha")),
        t0(settings.number("t0")) {}

  static std::vector<Option> options() {
    const Settings plain{{"lr", 0.01}};
    return {{"plain", plain},
            {"averages", plain.with("t0", 12.0)},
            {"falls", plain.with("lambd", 0.5).with("t0", 0.0)}};
  }

  void step(std::int64_t t, std::span<Element> elements, std::span<const Number> gradients) const {
    const auto time = static_cast<double>(t);
    const double eta = shared.lr / std::pow(1.0 + lambd * shared.lr * (time - 1.0), alpha);
    const double mu = 1.0 / std::max(1.0, time - 1.0 - t0);
    double decay = lambd * eta;
    if (shared.form != Shared::kCoupled) decay += shared.lr * shared.weight_decay;
    for_each_element(elements, gradients, [&](Element& e, Number gradient) {
      const Number g = shared.gradient(e.p, gradient);
      const Number loss = Number(decay) * e.p + Number(eta) * g;
      const Number left = e.p - loss;
      e.state[0] = mu == 1.0 ? left : average(e.state[0], left, mu);
      e.p = shared.moved_by(e.p, loss);
    });
  }
};

}  // namespace reference
