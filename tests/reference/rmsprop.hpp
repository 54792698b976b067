// rmsprop.hpp - RMSProp in float64.
#pragma once

#include "reference/shared.hpp"

namespace reference {

/// Tieleman and Hinton 2012, lecture 6.5: v = alpha v + (1 - alpha) g^2, step lr g / sqrt(v).
/// Centered, Graves 2013, eq. 38-41: a = alpha a + (1 - alpha) g, and v - a^2, but at least 0, replaces v.
/// eps is inside the root as in Graves, or added to the root as in torch.optim.RMSprop.
/// Momentum is that of torch.optim.RMSprop: b = mu b + g / root, step lr b.
/// States: square_avg, then grad_avg if centered, then momentum_buffer if momentum is not 0.
struct RMSProp {
  Shared shared;
  double alpha, eps, momentum;
  bool eps_inside, centered;

  explicit RMSProp(const Settings& settings)
      : shared(settings),
        alpha(settings.number("alpha")),
        eps(settings.number("eps")),
        momentum(settings.number("momentum")),
        eps_inside(settings.choice("epsilon", {"outside_root", "inside_root"}) == 1),
        centered(settings.flag("centered")) {}

  static std::vector<Option> options() {
    std::vector<Option> all;
    for (const std::string where : {"inside", "outside"}) {
      const std::string epsilon = where + "_root";
      const Settings plain{{"lr", 0.003}, {"alpha", 0.95}, {"eps", 1e-6}, {"epsilon", epsilon}};
      const Settings centered = plain.with("centered", true);
      all.push_back({"plain_" + where, plain});
      all.push_back({"centered_" + where, centered});
      all.push_back({"momentum_" + where, plain.with("momentum", 0.8)});
      all.push_back({"centered_momentum_" + where, centered.with("momentum", 0.8)});
    }
    return all;
  }

  void step(std::int64_t /*t*/, std::span<Element> elements, std::span<const Number> gradients) const {
    for_each_element(elements, gradients, [&](Element& e, Number g) { step_element(e, g); });
  }

  void step_element(Element& e, Number gradient) const {
    const Number g = shared.gradient(e.p, gradient);
    Number& v = e.state[0];
    v = average(v, g * g, 1.0 - alpha);
    Number variance = v;
    if (centered) {
      Number& a = e.state[1];
      a = average(a, g, 1.0 - alpha);
      variance = max(v - a * a, Number(0.0));
    }
    const Number root = eps_inside ? sqrt(variance + Number(eps)) : sqrt(variance) + Number(eps);
    Number direction = g / root;
    if (momentum != 0.0) {
      Number& b = e.state[centered ? 2 : 1];
      b = Number(momentum) * b + direction;
      direction = b;
    }
    e.p = shared.moved(e.p, Number(shared.lr) * direction);
  }
};

}  // namespace reference
