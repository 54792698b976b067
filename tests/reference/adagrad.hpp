// adagrad.hpp - Adagrad in float64.
#pragma once

#include "reference/shared.hpp"

namespace reference {

/// Duchi, Hazan and Singer 2011 with diagonal matrices: G_t = G_(t-1) + g_t^2,
/// x_(t+1) = x_t - eta g_t / (sqrt(G_t) + eps). As in torch.optim.Adagrad, eta = lr / (1 + (t - 1) lr_decay),
/// and G_0 = initial_accumulator_value. States: sum.
struct Adagrad {
  Shared shared;
  double lr_decay, initial, eps;

  explicit Adagrad(const Settings& settings)
      : shared(settings),
        lr_decay(settings.number("lr_decay")),
        initial(settings.number("initial_accumulator_value")),
        eps(settings.number("eps")) {}

  static std::vector<Option> options() {
    const Settings plain{{"lr", 0.01}};
    const Settings started = plain.with("initial_accumulator_value", 0.1);
    return {{"plain", plain}, {"started_decaying", started.with("lr_decay", 0.05).with("eps", 1e-3)}};
  }

  void step(std::int64_t t, std::span<Element> elements, std::span<const Number> gradients) const {
    const double rate = shared.lr / (1.0 + static_cast<double>(t - 1) * lr_decay);
    for_each_element(elements, gradients, [&](Element& e, Number gradient) {
      const Number g = shared.gradient(e.p, gradient);
      Number& sum = e.state[0];
      sum = (t == 1 ? Number(initial) : sum) + g * g;
      e.p = shared.moved(e.p, Number(rate) * (g / (sqrt(sum) + Number(eps))));
    });
  }
};

}  // namespace reference
