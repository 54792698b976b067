// stable_adamw.hpp - StableAdamW in float64.
#pragma once

#include "reference/shared.hpp"

namespace reference {

/// Wortsman et al. 2023, algorithm 2: b^ = b (1 - b^(t-1)) / (1 - b^t) for both betas; v = b1^ v + (1 - b1^)
/// g, u = b2^ u + (1 - b2^) g^2; RMS = sqrt(mean(g^2 / max(u, eps^2))); eta = lr / max(1, RMS);
/// theta = theta - eta wd theta - eta v / (sqrt(u) + eps). States: exp_avg (v), exp_avg_sq (u).
struct StableAdamW {
  Shared shared;
  double beta1, beta2, eps;

  explicit StableAdamW(const Settings& settings)
      : shared(settings),
        beta1(settings.number("beta1")),
        beta2(settings.number("beta2")),
        eps(settings.number("eps")) {}

  static std::vector<Option> options() { return {{"plain", {{"lr", 0.002}}}}; }

  static double fresh_share(double beta, std::int64_t t) {
    const double past = beta * (1.0 - std::pow(beta, static_cast<double>(t - 1)));
    return 1.0 - past / (1.0 - std::pow(beta, static_cast<double>(t)));
  }

  void step(std::int64_t t, std::span<Element> elements, std::span<const Number> gradients) const {
    SumOfSquares surprise;
    for (std::size_t i = 0; i < elements.size(); ++i) {
      const Number g = shared.gradient(elements[i].p, gradients[i]);
      Number &v = elements[i].state[0], &u = elements[i].state[1];
      v = average(v, g, fresh_share(beta1, t));
      u = average(u, g * g, fresh_share(beta2, t));
      surprise.add(g / max(sqrt(u), Number(eps)));
    }
    const Number mean = surprise.norm() / Number(std::sqrt(static_cast<double>(elements.size())));
    const Number rms = std::isnan(mean.value) ? Number(1.0) : max(Number(1.0), mean);
    const Number eta = Number(shared.lr) / rms;
    const double decay = shared.form == Shared::kCoupled ? 0.0 : shared.weight_decay;
    for (Element& e : elements) {
      const Number step = eta * (e.state[0] / (sqrt(e.state[1]) + Number(eps)));
      e.p = shared.moved_by(e.p, decay != 0.0 ? eta * Number(decay) * e.p + step : step);
    }
  }
};

}  // namespace reference
