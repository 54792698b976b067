// schedule_free_adamw.hpp - Schedule-Free AdamW in float64.
#pragma once

#include "reference/schedule_free_sgd.hpp"

namespace reference {

/// Defazio et al. 2024, algorithm 1: v = b2 v + (1 - b2) g^2, u = g / (sqrt(v / (1 - b2^t)) + eps) +
/// weight_decay y. States: z - y, exp_avg_sq (v).
struct ScheduleFreeAdamW {
  Shared shared;
  ScheduleFree sequences;
  double beta2, eps;

  explicit ScheduleFreeAdamW(const Settings& settings)
      : shared(settings),
        sequences(settings, "beta1"),
        beta2(settings.number("beta2")),
        eps(settings.number("eps")) {}

  static std::vector<Option> options() {
    const Settings plain{{"lr", 0.002}};
    return {{"plain", plain}, {"warmup", plain.with("warmup_steps", 20.0).with("r", 0.5)}};
  }

  void step(std::int64_t t, std::span<Element> elements, std::span<const Number> gradients) const {
    const double rate = sequences.rate(t), c = sequences.share(t);
    const Number correction2(1.0 - std::pow(beta2, static_cast<double>(t)));
    for_each_element(elements, gradients, [&](Element& e, Number gradient) {
      const Number g = shared.gradient(e.p, gradient);
      Number& v = e.state[1];
      v = average(v, g * g, 1.0 - beta2);
      Number u = g / (sqrt(v / correction2) + Number(eps));
      if (shared.form != Shared::kCoupled) u = u + Number(shared.weight_decay) * e.p;
      e.p = shared.moved_by(e.p, sequences.loss(rate, c, u, e.state[0]));
    });
  }
};

}  // namespace reference
