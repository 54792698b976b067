// novograd.hpp - NovoGrad in float64.
#pragma once

#include "reference/shared.hpp"

namespace reference {

/// Ginsburg et al. 2019, algorithm 1: v = |g|^2 at first, then b2 v + (1 - b2) |g|^2; m = b1 m +
/// (g / (sqrt(v) + eps) + d w), the addend times 1 - b1 if gradients are averaged; w = w - lr m. State:
/// exp_avg (m); scalar: exp_avg_norm_sq (v).
struct NovoGrad {
  Shared shared;
  double beta1, beta2, eps;
  bool averages;

  explicit NovoGrad(const Settings& settings)
      : shared(settings),
        beta1(settings.number("beta1")),
        beta2(settings.number("beta2")),
        eps(settings.number("eps")),
        averages(settings.flag("grad_averaging")) {}

  static std::vector<Option> options() {
    return {{"plain", {{"lr", 0.002}}}, {"averaging", {{"lr", 0.01}, {"grad_averaging", true}}}};
  }

  void step(std::int64_t t, std::span<Element> elements, std::span<const Number> gradients) const {
    if (elements.empty()) return;
    SumOfSquares of_gradient;
    for (std::size_t i = 0; i < elements.size(); ++i)
      of_gradient.add(shared.gradient(elements[i].p, gradients[i]));
    const Number fresh = of_gradient.sum();
    const Number v = t == 1 ? fresh : Number(beta2) * elements[0].scalar[0] + Number(1.0 - beta2) * fresh;
    const double decay = shared.form == Shared::kCoupled ? 0.0 : shared.weight_decay;
    for_each_element(elements, gradients, [&](Element& e, Number gradient) {
      e.scalar[0] = v;
      const Number g = shared.gradient(e.p, gradient);
      Number x = std::isinf(v.value) ? Number(0.0) * g : g / (sqrt(v) + Number(eps));
      if (decay != 0.0) x = x + Number(decay) * e.p;
      Number& m = e.state[0];
      m = Number(beta1) * m + Number(averages ? 1.0 - beta1 : 1.0) * x;
      e.p = shared.moved_by(e.p, Number(shared.lr) * m);
    });
  }
};

}  // namespace reference
