// sgd.hpp - stochastic gradient descent in float64.
#pragma once

#include "reference/shared.hpp"

namespace reference {

/// The documented form of torch.optim.SGD: b_1 = g_1, then b_t = mu b_(t-1) + (1 - tau) g_t. Momentum
/// replaces g_t by b_t, and Nesterov by g_t + mu b_t. theta_t = theta_(t-1) - lr g_t. States:
/// momentum_buffer.
struct SGD {
  Shared shared;
  double momentum, dampening;
  bool nesterov;

  explicit SGD(const Settings& settings)
      : shared(settings),
        momentum(settings.number("momentum")),
        dampening(settings.number("dampening")),
        nesterov(settings.flag("nesterov")) {}

  static std::vector<Option> options() {
    const Settings plain{{"lr", 0.01}};
    const Settings momentum = plain.with("momentum", 0.9);
    return {{"plain", plain},
            {"momentum", momentum},
            {"dampening", momentum.with("dampening", 0.3)},
            {"nesterov", momentum.with("nesterov", true)}};
  }

  void step(std::int64_t t, std::span<Element> elements, std::span<const Number> gradients) const {
    for_each_element(elements, gradients, [&](Element& e, Number g) { step_element(t, e, g); });
  }

  void step_element(std::int64_t t, Element& e, Number gradient) const {
    const Number g = shared.gradient(e.p, gradient);
    Number direction = g;
    if (momentum != 0.0) {
      Number& b = e.state[0];
      b = t == 1 ? g : Number(momentum) * b + Number(1.0 - dampening) * g;
      direction = nesterov ? g + Number(momentum) * b : b;
    }
    e.p = shared.moved(e.p, Number(shared.lr) * direction);
  }
};

}  // namespace reference
