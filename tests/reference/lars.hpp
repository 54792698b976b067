// lars.hpp - LARS in float64.
#pragma once

#include "reference/shared.hpp"

namespace reference {

/// You, Gitman and Ginsburg 2017, algorithm 1, with the rate outside the momentum: l = c |w| / (|g| + b |w| +
/// eps), or 1 if a norm is 0; d = l (g + b w); m = a m + (1 - z) d, m = d at first; w = w - lr m. Nesterov:
/// w = w - lr (d + a m). LARC: min(l / lr, 1) in place of l. State: momentum_buffer (m).
struct LARS {
  Shared shared;
  double momentum, dampening, coefficient, eps;
  bool nesterov, adapts, clips;

  explicit LARS(const Settings& settings)
      : shared(settings),
        momentum(settings.number("momentum")),
        dampening(settings.number("dampening")),
        coefficient(settings.number("trust_coeff")),
        eps(settings.number("eps")),
        nesterov(settings.flag("nesterov")),
        adapts(settings.flag("always_adapt") || shared.weight_decay != 0.0),
        clips(settings.flag("trust_clip")) {}

  static std::vector<Option> options() {
    const Settings plain{{"lr", 0.01}, {"trust_coeff", 0.5}};
    return {{"plain", plain},
            {"dampening", plain.with("dampening", 0.25)},
            {"nesterov", plain.with("nesterov", true)},
            {"larc", plain.with("trust_coeff", 0.01).with("trust_clip", true)}};
  }

  [[nodiscard]] double own_decay() const {
    return shared.form == Shared::kCoupled ? 0.0 : shared.weight_decay;
  }

  [[nodiscard]] Number trust(const SumOfSquares& of_param, const SumOfSquares& of_gradient) const {
    const Number one(1.0);
    if (!adapts || !(of_param.value() > 0.0) || !(of_gradient.value() > 0.0)) return one;
    if (std::isinf(of_gradient.value())) return 0.0;
    const Number l = Number(coefficient) * of_param.norm() /
                     (of_gradient.norm() + Number(own_decay()) * of_param.norm() + Number(eps));
    if (clips && shared.lr == 0.0) return one;
    return clips ? min(l / Number(shared.lr), one) : l;
  }

  void step(std::int64_t t, std::span<Element> elements, std::span<const Number> gradients) const {
    SumOfSquares of_param, of_gradient;
    for (std::size_t i = 0; i < elements.size(); ++i) {
      of_param.add(elements[i].p);
      of_gradient.add(shared.gradient(elements[i].p, gradients[i]));
    }
    const Number l = trust(of_param, of_gradient);
    for_each_element(elements, gradients, [&](Element& e, Number gradient) {
      const Number g = shared.gradient(e.p, gradient);
      const Number d = l * (own_decay() != 0.0 ? g + Number(own_decay()) * e.p : g);
      Number& m = e.state[0];
      m = t == 1 ? d : Number(momentum) * m + Number(1.0 - dampening) * d;
      e.p = shared.moved_by(e.p, Number(shared.lr) * (nesterov ? d + Number(momentum) * m : m));
    });
  }
};

}  // namespace reference
